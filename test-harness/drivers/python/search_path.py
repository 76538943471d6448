"""What a rule about schemas means for statements that name none, simple and prepared.

Prints one line per step: what came back, or the SQLSTATE.
"""

import sys

import psycopg


def step(connection, text, **how):
    try:
        cursor = connection.execute(text, **how)
        rows = cursor.fetchall() if cursor.description else None
        print(text, rows, sep="|")
    except psycopg.Error as error:
        print(text, error.sqlstate, sep="|")


def session(conninfo, texts):
    with psycopg.connect(conninfo, autocommit=True, prepare_threshold=0) as connection:
        for text in texts:
            step(connection, text)
        # As pools do: in a Query, after which nothing prepared is left.
        with psycopg.ClientCursor(connection) as cursor:
            print(cursor.execute("discard all").statusmessage)
    print("--")


def main():
    conninfo = sys.argv[1]
    # Prepared for the path as it is: allowed, and the path stays.
    session(
        conninfo,
        [
            "select a from orders",
            "select a from payments.cards",
            "set search_path = payments, public",
            "select a from orders",
            "set role postgres",
        ],
    )
    # With the protected schema in the path a name may be in it.
    with psycopg.connect(
        conninfo + " options='-c search_path=payments,public'", autocommit=True
    ) as connection:
        step(connection, "select a from cards")
        step(connection, "select a from cards", prepare=True)
    print("--")
    # In one pipeline: nothing has been answered when the second comes.
    with psycopg.connect(conninfo, autocommit=True) as connection:
        try:
            with connection.pipeline():
                connection.execute("set search_path = payments")
                connection.execute("select a from cards")
        except psycopg.Error as error:
            print("pipelined", error.sqlstate, sep="|")
        connection.execute("set search_path = public")
        with connection.transaction():
            connection.execute("select 1")
            connection.execute("set local search_path = public, pg_temp")
            step(connection, "select 2")


main()
