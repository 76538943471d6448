// What pgx makes of denials: outside and inside of a transaction, simple, extended, pipelined.
//
// Prints one line per situation; the test holds them against what PostgreSQL's own refusal looks like.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const denied = "drop table pgmesh_kept"

func show(situation string, err error) {
	var refusal *pgconn.PgError
	if !errors.As(err, &refusal) {
		fmt.Printf("%s|%v\n", situation, err)
		return
	}
	detail, _, _ := strings.Cut(refusal.Detail, ",")
	fmt.Printf("%s|%s|%s|%s|%s|%s|%d|%s\n", situation, refusal.Code, refusal.SeverityUnlocalized,
		refusal.Message, detail, refusal.Hint, refusal.Position, refusal.File)
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func usable(ctx context.Context, connection *pgx.Conn) {
	var answer int
	must(connection.QueryRow(ctx, "select 42").Scan(&answer))
	if answer != 42 {
		log.Fatal("select 42 gave ", answer)
	}
}

func simple(ctx context.Context, connection *pgx.Conn) {
	_, err := connection.Exec(ctx, denied, pgx.QueryExecModeSimpleProtocol)
	show("simple", err)
	usable(ctx, connection)
}

func extended(ctx context.Context, connection *pgx.Conn) {
	_, err := connection.Exec(ctx, denied, pgx.QueryExecModeCacheStatement)
	show("extended", err)
	usable(ctx, connection)
	_, err = connection.Exec(ctx, "delete from pgmesh_kept where $1", true)
	show("parameters", err)
	usable(ctx, connection)
}

func several(ctx context.Context, connection *pgx.Conn) {
	_, err := connection.PgConn().Exec(ctx, "select 1; "+denied+"; select 2").ReadAll()
	show("several", err)
	usable(ctx, connection)
}

func transaction(ctx context.Context, connection *pgx.Conn) {
	tx, err := connection.Begin(ctx)
	must(err)
	_, err = tx.Exec(ctx, "insert into pgmesh_kept values (100)")
	must(err)
	_, err = tx.Exec(ctx, denied)
	show("transaction", err)
	fmt.Printf("state|%c\n", connection.PgConn().TxStatus())
	_, err = tx.Exec(ctx, "select 1")
	show("after", err)
	must(tx.Rollback(ctx))
	var rows int
	must(connection.QueryRow(ctx, "select count(*) from pgmesh_kept where a = 100").Scan(&rows))
	fmt.Printf("rolled back|%d\n", rows)
	usable(ctx, connection)
}

// One Sync behind all three: what follows the denial is skipped, as after any error of the server.
func pipeline(ctx context.Context, connection *pgx.Conn) {
	batch := &pgx.Batch{}
	for _, text := range []string{"select 1", denied, "select 3"} {
		batch.Queue(text)
	}
	results := connection.SendBatch(ctx, batch)
	var first int
	must(results.QueryRow().Scan(&first))
	_, err := results.Exec()
	show("pipeline", err)
	fmt.Printf("first|%d\n", first)
	if results.Close() == nil {
		log.Fatal("the batch succeeded")
	}
	usable(ctx, connection)
}

func main() {
	ctx := context.Background()
	config, err := pgx.ParseConfig(os.Args[1])
	must(err)
	connection, err := pgx.ConnectConfig(ctx, config)
	must(err)
	defer connection.Close(ctx)
	_, err = connection.Exec(ctx, "create table if not exists pgmesh_kept (a int)")
	must(err)
	for _, situation := range []func(context.Context, *pgx.Conn){simple, extended, several, transaction} {
		situation(ctx, connection)
	}

	// Without this pgx would describe every statement of a batch before it runs the first.
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	pipelining, err := pgx.ConnectConfig(ctx, config)
	must(err)
	defer pipelining.Close(ctx)
	pipeline(ctx, pipelining)

	var kept bool
	must(connection.QueryRow(ctx, "select to_regclass('pgmesh_kept') is not null").Scan(&kept))
	fmt.Printf("kept|%t\n", kept)
}
