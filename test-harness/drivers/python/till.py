"""An application as one meets it: psycopg with OpenTelemetry's instrumentation and sqlcommenter.

usage: till.py CONNINFO COLLECTOR_URL

Under a span of its own each, it runs a statement that is slow and one that nobody may run, exports its
spans to the collector, and prints the two traces' ids.
"""

import sys

import psycopg
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

CARD = "4111-1111-1111-1111"
SLOW = f"select pg_sleep(0.4), count(*) from payments where card = '{CARD}'"
DENIED = f"drop table payments /* {CARD} */"

conninfo, collector = sys.argv[1:]
provider = TracerProvider(resource=Resource.create({"service.name": "till"}))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{collector}/v1/traces")))
trace.set_tracer_provider(provider)
PsycopgInstrumentor().instrument(enable_commenter=True)
tracer = trace.get_tracer("till")

with psycopg.connect(conninfo, autocommit=True) as connection:
    cursor = connection.cursor()
    for name, statement in (("pay", SLOW), ("clean up", DENIED)):
        with tracer.start_as_current_span(name) as span:
            print(f"{span.get_span_context().trace_id:032x}")
            try:
                cursor.execute(statement)
            except psycopg.errors.InsufficientPrivilege:
                pass
provider.shutdown()
