import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;

/** Connects to the URL and prints the session's application_name, or the SQLSTATE that refuses it. */
final class Stamped {
  public static void main(String[] arguments) {
    try (Connection connection = DriverManager.getConnection(arguments[0]);
        Statement statement = connection.createStatement();
        ResultSet rows = statement.executeQuery("show application_name")) {
      rows.next();
      System.out.println(rows.getString(1));
    } catch (SQLException error) {
      System.out.println(error.getSQLState());
    }
  }
}
