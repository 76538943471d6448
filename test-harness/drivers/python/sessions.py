"""What applications do with psycopg, each as a function that prints what it saw.

Run directly against the server and through the proxy; both must print the same.

    sessions.py CONNINFO            every session, each under its name
    sessions.py CONNINFO NAME ...   only these
"""

import asyncio
import sys
import threading
import time

import psycopg
from psycopg import ClientCursor, sql

SESSIONS = {}


def session(run):
    SESSIONS[run.__name__] = run
    return run


def show(*values):
    print("  ", *values)


def show_error(error):
    diag = error.diag
    show(type(error).__name__, diag.severity_nonlocalized, diag.sqlstate, diag.message_primary)


@session
def simple_protocol(conninfo):
    with psycopg.connect(conninfo, autocommit=True, cursor_factory=ClientCursor) as conn:
        cursor = conn.cursor()
        cursor.execute("select 1; select 'two', 3; select generate_series(1, 4)")
        while True:
            show(cursor.statusmessage, cursor.fetchall())
            if not cursor.nextset():
                break
        cursor.execute("select %s::text || %s", ("quoted ' value", "é"))
        show(cursor.fetchone())


@session
def parameters_in_text_and_binary(conninfo):
    with psycopg.connect(conninfo) as conn:
        for binary in (False, True):
            cursor = conn.execute("select %s::int8, %s::text, %s::bytea", (7, "a", b"\0\xff"), binary=binary)
            show(cursor.fetchone())


@session
def errors_and_rollbacks(conninfo):
    with psycopg.connect(conninfo) as conn:
        conn.execute("create temporary table t (a int primary key)")
        conn.execute("insert into t values (1)")
        try:
            with conn.transaction():
                conn.execute("insert into t values (%s)", (1,))
        except psycopg.Error as error:
            show_error(error)
        show(conn.execute("select count(*) from t").fetchone(), conn.info.transaction_status.name)
        for broken in ("selec 1", "select 1/0", "select * from nowhere"):
            try:
                with conn.transaction():
                    conn.execute(broken)
            except psycopg.Error as error:
                show_error(error)
        conn.rollback()


@session
def prepared_statements(conninfo):
    with psycopg.connect(conninfo, autocommit=True) as conn:
        for n in range(5):
            show(conn.execute("select %s + 1", (n,), prepare=True).fetchone())
        conn.execute("deallocate all")
        show(conn.execute("select %s + 1", (9,)).fetchone())


@session
def pipeline(conninfo):
    with psycopg.connect(conninfo, autocommit=True) as conn:
        conn.execute("create table p (a int primary key)")
        with conn.pipeline() as pipe:
            cursors = [conn.execute("insert into p values (%s)", (n,)) for n in range(20)]
            pipe.sync()
            show([cursor.rowcount for cursor in cursors])
        try:
            with conn.pipeline():
                conn.execute("insert into p values (100)")
                conn.execute("insert into p values (1)")
                conn.execute("insert into p values (101)")
        except psycopg.Error as error:
            show_error(error)
        show(conn.execute("select count(*) from p").fetchone())
        conn.execute("drop table p")


@session
def copy_in_and_out(conninfo):
    with psycopg.connect(conninfo) as conn:
        cursor = conn.cursor()
        cursor.execute("create table c (a int, b text)")
        with cursor.copy("copy c from stdin") as copy:
            for n in range(1000):
                copy.write_row((n, f"row {n}\n\t\\"))
        show(cursor.statusmessage)
        with cursor.copy("copy c to stdout (format binary)") as copy:
            show(sum(len(data) for data in copy))
        try:
            with conn.transaction(), cursor.copy("copy c from stdin") as copy:
                copy.write(b"not a number\tx\n")
        except psycopg.Error as error:
            show_error(error)
        try:
            with conn.transaction(), cursor.copy("copy c from stdin") as copy:
                copy.write(b"1\tx\n")
                raise ValueError("given up")
        except ValueError as error:
            show(error)
        show(cursor.execute("select count(*), sum(a) from c").fetchone())
        cursor.execute("drop table c")


@session
def server_side_cursors(conninfo):
    with psycopg.connect(conninfo) as conn:
        with conn.cursor(name="many", scrollable=True) as cursor:
            cursor.itersize = 100
            cursor.execute("select g, repeat('x', g) from generate_series(1, 1000) g")
            show(sum(len(text) for _, text in cursor))
            cursor.scroll(10, mode="absolute")
            show(cursor.fetchone()[0])


@session
def listen_and_notify(conninfo):
    with psycopg.connect(conninfo, autocommit=True) as conn:
        conn.execute("listen news")
        with psycopg.connect(conninfo, autocommit=True) as other:
            for n in range(3):
                other.execute(sql.SQL("notify news, {}").format(f"item {n}"))
        for notice in conn.notifies(timeout=5, stop_after=3):
            show(notice.channel, notice.payload)


@session
def notices(conninfo):
    with psycopg.connect(conninfo, autocommit=True) as conn:
        conn.add_notice_handler(lambda diag: show(diag.severity, diag.message_primary))
        conn.execute("do $$ begin raise notice 'hello'; raise warning 'careful'; end $$")
        conn.execute("drop table if exists nothing_of_that_name")


@session
def cancellation(conninfo):
    with psycopg.connect(conninfo, autocommit=True) as conn:
        def cancel():
            time.sleep(0.3)
            conn.cancel_safe(timeout=5)

        thread = threading.Thread(target=cancel)
        thread.start()
        try:
            conn.execute("select pg_sleep(30)")
        except psycopg.Error as error:
            show_error(error)
        thread.join()
        show(conn.execute("select 'still there'").fetchone())


@session
def large_values(conninfo):
    with psycopg.connect(conninfo) as conn:
        text = "x" * 3_000_000
        show(len(conn.execute("select %s || repeat('y', 5000000)", (text,)).fetchone()[0]))
        many = conn.execute("select g, md5(g::text) from generate_series(1, 20000) g").fetchall()
        show(len(many), many[-1])


@session
def asynchronous(conninfo):
    async def run():
        async with await psycopg.AsyncConnection.connect(conninfo) as conn:
            async with conn.pipeline():
                cursors = [await conn.execute("select %s::int", (n,)) for n in range(10)]
                show([(await cursor.fetchone())[0] for cursor in cursors])

    asyncio.run(run())


def main():
    conninfo, *names = sys.argv[1:]
    for name in names or SESSIONS:
        print(name)
        SESSIONS[name](conninfo)


if __name__ == "__main__":
    main()
