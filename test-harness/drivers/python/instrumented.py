"""Applications with OpenTelemetry's own instrumentation, and secrets wherever an application has them.

usage: instrumented.py psycopg|sqlalchemy|asyncpg PORT COLLECTOR_URL

Each runs the same statements through one client library, and exports its spans to the collector: a card
number in a statement's text, in a bind value, in a comment, and in what the server says of an error.
"""

import asyncio
import sys

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

CARD = "4111-1111-1111-1111"
CREATE = "create table if not exists payments (card text primary key)"
DELETE = f"delete from payments where card = '{CARD}' /* card {CARD} */"
SELECT = f"select card from payments where card = '{CARD}'"


def psycopg(port):
    import psycopg
    from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor

    PsycopgInstrumentor().instrument(capture_parameters=True)
    conninfo = f"host=127.0.0.1 port={port} user=postgres dbname=postgres"
    with psycopg.connect(conninfo, autocommit=True) as connection:
        cursor = connection.cursor()
        cursor.execute(CREATE)
        cursor.execute(DELETE)
        cursor.execute("insert into payments values (%s)", (CARD,))
        cursor.execute(SELECT)
        try:
            cursor.execute("insert into payments values (%s)", (CARD,))
        except psycopg.errors.UniqueViolation:
            pass


def sqlalchemy(port):
    from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import IntegrityError

    url = f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    SQLAlchemyInstrumentor().instrument(engine=engine)
    with engine.connect() as connection:
        connection.execute(text(CREATE))
        connection.execute(text(DELETE))
        insert = text("insert into payments values (:card)")
        connection.execute(insert, {"card": CARD})
        connection.execute(text(SELECT))
        try:
            connection.execute(insert, {"card": CARD})
        except IntegrityError:
            pass


def asyncpg(port):
    import asyncpg
    from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor

    AsyncPGInstrumentor(capture_parameters=True).instrument()

    async def work():
        connection = await asyncpg.connect(
            host="127.0.0.1", port=port, user="postgres", database="postgres"
        )
        await connection.execute(CREATE)
        await connection.execute(DELETE)
        await connection.execute("insert into payments values ($1)", CARD)
        await connection.fetch(SELECT)
        try:
            await connection.execute("insert into payments values ($1)", CARD)
        except asyncpg.UniqueViolationError:
            pass
        await connection.close()

    asyncio.run(work())


client, port, collector = sys.argv[1:]
provider = TracerProvider(resource=Resource.create({"service.name": client}))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{collector}/v1/traces")))
trace.set_tracer_provider(provider)
{"psycopg": psycopg, "sqlalchemy": sqlalchemy, "asyncpg": asyncpg}[client](int(port))
provider.shutdown()
