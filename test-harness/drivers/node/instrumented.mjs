// The application of drivers/python/instrumented.py with node-postgres and its instrumentation.
// usage: instrumented.mjs PORT COLLECTOR_URL
import { createRequire } from 'node:module';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { registerInstrumentations } from '@opentelemetry/instrumentation';
import { PgInstrumentation } from '@opentelemetry/instrumentation-pg';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node';

const [port, collector] = process.argv.slice(2);
const exporter = new OTLPTraceExporter({ url: `${collector}/v1/traces` });
const provider = new NodeTracerProvider({
  resource: resourceFromAttributes({ 'service.name': 'node-postgres' }),
  spanProcessors: [new BatchSpanProcessor(exporter)],
});
provider.register();
registerInstrumentations({ instrumentations: [new PgInstrumentation({ enhancedDatabaseReporting: true })] });

// Only what is required after it is instrumented.
const { Client } = createRequire(import.meta.url)('pg');
const CARD = '4111-1111-1111-1111';
const client = new Client({ host: '127.0.0.1', port, user: 'postgres', database: 'postgres' });
await client.connect();
await client.query('create table if not exists payments (card text primary key)');
await client.query(`delete from payments where card = '${CARD}' /* card ${CARD} */`);
await client.query('insert into payments values ($1)', [CARD]);
await client.query(`select card from payments where card = '${CARD}'`);
await client.query('insert into payments values ($1)', [CARD]).catch(() => {});
await client.end();
await provider.shutdown();
