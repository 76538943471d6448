"""Runs one statement and prints its rows, a line each, or why there are none.

usage: run.py CONNINFO STATEMENT
"""

import sys

import psycopg

try:
    with psycopg.connect(sys.argv[1], autocommit=True) as connection:
        for row in connection.execute(sys.argv[2]).fetchall():
            print(*row, sep="|")
except psycopg.Error as error:
    print(error)
