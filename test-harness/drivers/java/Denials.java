import java.sql.BatchUpdateException;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.List;
import org.postgresql.core.BaseConnection;
import org.postgresql.util.PSQLException;
import org.postgresql.util.ServerErrorMessage;

/**
 * What pgjdbc makes of denials: outside and inside of a transaction, simple, extended, pipelined.
 *
 * <p>Prints one line per situation; the test holds them against what PostgreSQL's own refusal looks like.
 */
final class Denials {
  private static final String DENIED = "drop table pgmesh_kept";

  private interface Run {
    void run() throws SQLException;
  }

  private static void show(String situation, SQLException error) {
    SQLException cause = error;
    if (error instanceof BatchUpdateException && error.getNextException() != null) {
      cause = error.getNextException();
    }
    ServerErrorMessage message = ((PSQLException) cause).getServerErrorMessage();
    String detail = message.getDetail();
    System.out.printf(
        "%s|%s|%s|%s|%s|%s|%d|%s%n",
        situation,
        error.getSQLState(),
        message.getSeverity(),
        message.getMessage(),
        detail == null ? "" : detail.split(",")[0],
        message.getHint(),
        message.getPosition(),
        message.getFile());
  }

  private static void denied(String situation, Run run) {
    try {
      run.run();
      System.out.printf("%s|passed%n", situation);
    } catch (SQLException error) {
      show(situation, error);
    }
  }

  private static String first(Connection connection, String query) throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet rows = statement.executeQuery(query)) {
      rows.next();
      return rows.getString(1);
    }
  }

  private static void execute(Connection connection, String text) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      statement.execute(text);
    }
  }

  private static void usable(Connection connection) throws SQLException {
    if (!first(connection, "select 42").equals("42")) {
      throw new IllegalStateException("select 42 gave something else");
    }
  }

  private static void simple(String url) throws SQLException {
    try (Connection connection = DriverManager.getConnection(url + "&preferQueryMode=simple")) {
      denied("simple", () -> execute(connection, DENIED));
      usable(connection);
      denied("several", () -> execute(connection, "select 1; " + DENIED + "; select 2"));
      usable(connection);
    }
  }

  private static void extended(Connection connection) throws SQLException {
    denied("extended", () -> execute(connection, DENIED));
    usable(connection);
    denied(
        "parameters",
        () -> {
          try (var statement = connection.prepareStatement("delete from pgmesh_kept where ?")) {
            statement.setBoolean(1, true);
            statement.executeUpdate();
          }
        });
    usable(connection);
  }

  private static void transaction(Connection connection) throws SQLException {
    connection.setAutoCommit(false);
    execute(connection, "insert into pgmesh_kept values (100)");
    denied("transaction", () -> execute(connection, DENIED));
    System.out.printf("state|%s%n", connection.unwrap(BaseConnection.class).getTransactionState());
    denied("after", () -> execute(connection, "select 1"));
    connection.rollback();
    connection.setAutoCommit(true);
    System.out.printf(
        "rolled back|%s%n",
        first(connection, "select count(*) from pgmesh_kept where a = 100"));
    usable(connection);
  }

  /** One Sync behind all three: what follows the denial is skipped, as after any error of the server. */
  private static void pipeline(Connection connection) throws SQLException {
    connection.setAutoCommit(false);
    denied(
        "pipeline",
        () -> {
          try (Statement statement = connection.createStatement()) {
            for (String text :
                List.of("insert into pgmesh_kept values (1)", DENIED, "insert into pgmesh_kept values (3)")) {
              statement.addBatch(text);
            }
            statement.executeBatch();
          }
        });
    connection.rollback();
    connection.setAutoCommit(true);
    usable(connection);
  }

  public static void main(String[] arguments) throws SQLException {
    String url = arguments[0];
    try (Connection connection = DriverManager.getConnection(url)) {
      execute(connection, "create table if not exists pgmesh_kept (a int)");
      simple(url);
      extended(connection);
      transaction(connection);
      pipeline(connection);
      System.out.printf("kept|%s%n", first(connection, "select to_regclass('pgmesh_kept') is not null"));
    }
  }
}
