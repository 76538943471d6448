// The application of drivers/python/instrumented.py with pgx and its tracer, otelpgx.
// usage: instrumented PORT COLLECTOR_HOST:PORT
package main

import (
	"context"
	"log"
	"os"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
)

const card = "4111-1111-1111-1111"

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	ctx := context.Background()
	otel.SetErrorHandler(otel.ErrorHandlerFunc(must))
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpoint(os.Args[2]), otlptracehttp.WithInsecure())
	must(err)
	name := resource.NewSchemaless(attribute.String("service.name", "otelpgx"))
	provider := trace.NewTracerProvider(trace.WithBatcher(exporter), trace.WithResource(name))

	// otelpgx is silent outside of a span.
	ctx, span := provider.Tracer("till").Start(ctx, "pay")

	config, err := pgx.ParseConfig("host=127.0.0.1 user=postgres dbname=postgres port=" + os.Args[1])
	must(err)
	config.Tracer = otelpgx.NewTracer(otelpgx.WithTracerProvider(provider), otelpgx.WithIncludeQueryParameters())
	// Without a span for each statement's preparation.
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	connection, err := pgx.ConnectConfig(ctx, config)
	must(err)
	execute := func(sql string, arguments ...any) error {
		_, err := connection.Exec(ctx, sql, arguments...)
		return err
	}
	must(execute("create table if not exists payments (card text primary key)"))
	must(execute("delete from payments where card = '" + card + "' /* card " + card + " */"))
	must(execute("insert into payments values ($1)", card))
	must(execute("select card from payments where card = '" + card + "'"))
	if execute("insert into payments values ($1)", card) == nil {
		log.Fatal("a card twice")
	}
	must(connection.Close(ctx))
	span.End()
	must(provider.Shutdown(ctx))
}
