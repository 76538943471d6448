"""What psycopg makes of denials: outside and inside of a transaction, simple, extended, pipelined.

Prints one line per situation; the test holds them against what PostgreSQL's own refusal looks like.
"""

import sys

import psycopg
from psycopg import sql

DENIED = "drop table pgmesh_kept"


def show(situation, error):
    diag = error.diag
    print(
        situation,
        type(error).__name__,
        error.sqlstate,
        diag.severity_nonlocalized,
        diag.message_primary,
        (diag.message_detail or "").split(",")[0],
        diag.message_hint,
        diag.statement_position,
        diag.source_file,
        sep="|",
    )


def denied(situation, run):
    try:
        run()
    except psycopg.Error as error:
        show(situation, error)
    else:
        print(situation, "passed", sep="|")


def usable(connection):
    assert connection.execute("select 42").fetchone() == (42,)


def simple(connection):
    with psycopg.ClientCursor(connection) as cursor:
        denied("simple", lambda: cursor.execute(DENIED))
    usable(connection)


def extended(connection):
    denied("extended", lambda: connection.execute(DENIED, prepare=True))
    usable(connection)
    denied("parameters", lambda: connection.execute("delete from pgmesh_kept where %s", [True]))
    usable(connection)


def several(connection):
    with psycopg.ClientCursor(connection) as cursor:
        denied("several", lambda: cursor.execute("select 1; " + DENIED + "; select 2"))
    usable(connection)


def transaction(connection):
    connection.autocommit = False
    connection.execute("insert into pgmesh_kept values (100)")
    denied("transaction", lambda: connection.execute(DENIED))
    print("state", connection.info.transaction_status.name, sep="|")
    denied("after", lambda: connection.execute("select 1"))
    connection.rollback()
    connection.autocommit = True
    rows = connection.execute("select count(*) from pgmesh_kept where a = 100").fetchone()
    print("rolled back", rows[0], sep="|")
    usable(connection)


def pipeline(connection):
    cursors = []

    def run():
        with connection.pipeline():
            for text in ("select 1", DENIED, "select 3"):
                cursors.append(connection.execute(text))

    denied("pipeline", run)
    print("first", cursors[0].fetchone()[0], sep="|")
    usable(connection)


def main():
    with psycopg.connect(sys.argv[1], autocommit=True) as connection:
        connection.execute("create table if not exists pgmesh_kept (a int)")
        for situation in (simple, extended, several, transaction, pipeline):
            situation(connection)
        kept = connection.execute(
            sql.SQL("select to_regclass({}) is not null").format("pgmesh_kept")
        )
        print("kept", kept.fetchone()[0], sep="|")


main()
