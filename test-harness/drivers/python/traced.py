"""An application with OpenTelemetry's own psycopg instrumentation and sqlcommenter turned on.

usage: traced.py CONNINFO COLLECTOR_URL

It does some work under a span of its own, in a transaction and outside of one, exports its spans to the
collector, and prints the trace's id.
"""

import sys

import psycopg
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

conninfo, collector = sys.argv[1:]
provider = TracerProvider(resource=Resource.create({"service.name": "till"}))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{collector}/v1/traces")))
trace.set_tracer_provider(provider)
PsycopgInstrumentor().instrument(enable_commenter=True)
tracer = trace.get_tracer("till")

with tracer.start_as_current_span("pay") as span:
    trace_id = span.get_span_context().trace_id
    with psycopg.connect(conninfo, autocommit=True) as connection:
        cursor = connection.cursor()
        cursor.execute("select 'visa ' || %s", ("4111-1111-1111-1111",))
        with connection.transaction():
            cursor.execute("create temporary table payments (card text)")
            cursor.execute("insert into payments values (%s)", ("4111-1111-1111-1111",))
        try:
            cursor.execute("select 1/0")
        except psycopg.errors.DivisionByZero:
            pass
provider.shutdown()
print(f"{trace_id:032x}")
