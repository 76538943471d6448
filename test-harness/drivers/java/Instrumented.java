import io.opentelemetry.exporter.otlp.http.trace.OtlpHttpSpanExporter;
import io.opentelemetry.instrumentation.jdbc.datasource.JdbcTelemetry;
import io.opentelemetry.sdk.OpenTelemetrySdk;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.export.BatchSpanProcessor;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.sql.Statement;
import javax.sql.DataSource;
import org.postgresql.ds.PGSimpleDataSource;

/**
 * The application of drivers/python/instrumented.py with pgjdbc and OpenTelemetry's library for JDBC.
 * Arguments: the server's port, and the collector's URL.
 */
final class Instrumented {
  private static final String CARD = "4111-1111-1111-1111";

  public static void main(String[] arguments) throws SQLException {
    PGSimpleDataSource server = new PGSimpleDataSource();
    server.setUrl("jdbc:postgresql://127.0.0.1:" + arguments[0] + "/postgres");
    server.setUser("postgres");
    OtlpHttpSpanExporter exporter =
        OtlpHttpSpanExporter.builder().setEndpoint(arguments[1] + "/v1/traces").build();
    SdkTracerProvider provider =
        SdkTracerProvider.builder()
            .addSpanProcessor(BatchSpanProcessor.builder(exporter).build())
            .build();
    DataSource traced =
        JdbcTelemetry.builder(OpenTelemetrySdk.builder().setTracerProvider(provider).build())
            .setQuerySanitizationEnabled(false)
            .setCaptureQueryParameters(true)
            .setDataSourceInstrumenterEnabled(false)
            .build()
            .wrap(server);
    try (Connection connection = traced.getConnection();
        Statement statement = connection.createStatement()) {
      statement.execute("create table if not exists payments (card text primary key)");
      statement.execute("delete from payments where card = '" + CARD + "' /* card " + CARD + " */");
      insert(connection);
      statement.execute("select card from payments where card = '" + CARD + "'");
      try {
        insert(connection);
        throw new IllegalStateException("a card twice");
      } catch (SQLException expected) {
        // The server names the card in it, and so does the span.
      }
    }
    provider.close();
  }

  private static void insert(Connection connection) throws SQLException {
    try (PreparedStatement insert = connection.prepareStatement("insert into payments values (?)")) {
      insert.setString(1, CARD);
      insert.execute();
    }
  }
}
