"""Lets libpq write down an exchange as it sees it: PQtrace.

    libpq_trace.py CONNINFO FILE

The sessions are chosen to show every message of the simple and extended protocol, pipelines, COPY
both ways, errors and notices. Time stamps are left out, and the trace begins behind the start-up.
"""

import sys

from psycopg import pq

SYNC = pq.ExecStatus.PIPELINE_SYNC


def finish(conn):
    while conn.get_result() is not None:
        pass


def simple(conn):
    for text in (b"select 1; select 'two', null", b"", b"selec", b"begin", b"select 1/0", b"rollback"):
        conn.exec_(text)
    conn.exec_(b"do $$ begin raise notice 'seen'; end $$")
    conn.exec_(b"listen n")
    conn.exec_(b"notify n, 'payload'")
    conn.exec_(b"set application_name = 'renamed'")


def extended(conn):
    conn.exec_params(b"select $1::text, $2::int", [b"a", None])
    conn.prepare(b"p1", b"select generate_series(1, $1::int)")
    conn.describe_prepared(b"p1")
    conn.exec_prepared(b"p1", [b"3"])
    conn.prepare(b"p1", b"select 1")
    conn.exec_(b"begin")
    conn.exec_(b"declare c cursor for select generate_series(1, 5)")
    conn.describe_portal(b"c")
    conn.exec_(b"commit")


def pipeline(conn):
    conn.enter_pipeline_mode()
    for text in (b"select 1", b"select 1/0", b"select 3"):
        conn.send_query_params(text, None)
    conn.pipeline_sync()
    conn.send_query_params(b"select 4", None)
    conn.pipeline_sync()
    syncs = 0
    while syncs < 2:
        result = conn.get_result()
        if result is not None and result.status == SYNC:
            syncs += 1
    conn.exit_pipeline_mode()


def copy(conn):
    conn.exec_(b"create temporary table c (a int, b text)")
    conn.exec_(b"copy c from stdin")
    for n in range(3):
        conn.put_copy_data(b"%d\trow\n" % n)
    conn.put_copy_end()
    finish(conn)
    conn.exec_(b"copy c from stdin")
    conn.put_copy_end(b"given up")
    finish(conn)
    conn.exec_(b"copy c to stdout")
    while conn.get_copy_data(0)[0] > 0:
        pass
    finish(conn)


def main():
    conninfo, path = sys.argv[1:]
    conn = pq.PGconn.connect(conninfo.encode())
    assert conn.status == pq.ConnStatus.OK, conn.error_message
    with open(path, "w") as trace:
        conn.trace(trace.fileno())
        conn.set_trace_flags(pq.Trace.SUPPRESS_TIMESTAMPS)
        for session in (simple, extended, pipeline, copy):
            session(conn)
        conn.untrace()
    conn.finish()


if __name__ == "__main__":
    main()
