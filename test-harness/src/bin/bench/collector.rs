//! The processor in a real Collector beside the Collector's own redaction of SQL and beside no processor
//! at all, on the same spans; and what its memory comes to.

use std::time::Instant;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
use prost::Message;
use serde_json::json;
use test_harness::fakes::otelwasm::{Otelwasm, Signal};
use test_harness::fakes::otlp_sink::OtlpSink;
use test_harness::hosts::Collector;
use test_harness::hosts::collector::{Build, Mode, Pipeline};
use test_harness::hosts::places;

use crate::Options;
use crate::load::{in_rounds, ratios};
use crate::report::{done, figure, median, progress};

/// Spans in a batch: what the Collector's batch processor makes by default.
const SPANS: usize = 8192;
const BATCHES: usize = 16;
const MEMORY_BATCHES: u64 = 1_000_000;
/// By then it has learned what it can keep.
const WARM: u64 = 100_000;

/// What applications send: an ORM's text is the same each time, another has its values in it.
const STATEMENTS: &[&str] = &[
    "SELECT id, name, email, created_at FROM customers WHERE id = $1",
    "SELECT o.id, o.total FROM orders o JOIN customers c ON c.id = o.customer_id WHERE c.email = 'user{}@example.com' ORDER BY o.id DESC LIMIT 20",
    "INSERT INTO order_lines (order_id, sku, quantity, price) VALUES ($1, $2, $3, $4) RETURNING id",
    "UPDATE accounts SET balance = balance - {}.50, updated_at = now() WHERE id = {} AND balance > 0",
    "SELECT count(*) FROM events WHERE kind = ANY($1) AND at > now() - interval '{} minutes'",
    "DELETE FROM sessions WHERE token = 'tok_{}' /* card 4111-1111-1111-1111 */",
];

fn text(key: &str, value: String) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Value::StringValue(value)),
        }),
        ..KeyValue::default()
    }
}

fn span(number: usize, name: &str, kind: SpanKind, attributes: Vec<KeyValue>) -> Span {
    Span {
        trace_id: (number as u128 + 1).to_be_bytes().to_vec(),
        span_id: (number as u64 + 1).to_be_bytes().to_vec(),
        name: name.to_owned(),
        kind: kind.into(),
        start_time_unix_nano: 1_767_000_000_000_000_000 + number as u64,
        end_time_unix_nano: 1_767_000_000_001_000_000 + number as u64,
        attributes,
        ..Span::default()
    }
}

fn of_postgres(number: usize) -> Span {
    let statement = STATEMENTS[number % STATEMENTS.len()].replace("{}", &number.to_string());
    let attributes = vec![
        text("db.system", "postgresql".to_owned()),
        text("db.name", "shop".to_owned()),
        text("db.user", "shop_app".to_owned()),
        text("db.statement", statement),
        text("net.peer.name", "postgres.shop.svc".to_owned()),
        text("thread.name", format!("worker-{}", number % 16)),
    ];
    span(number, "shop", SpanKind::Client, attributes)
}

fn of_http(number: usize) -> Span {
    let attributes = vec![
        text("http.request.method", "GET".to_owned()),
        text("http.route", "/orders/{id}".to_owned()),
        text("url.path", format!("/orders/{number}")),
        text("server.address", "shop.example.com".to_owned()),
        text(
            "user_agent.original",
            "Mozilla/5.0 (X11; Linux x86_64)".to_owned(),
        ),
        text("thread.name", format!("worker-{}", number % 16)),
    ];
    span(number, "GET /orders/{id}", SpanKind::Server, attributes)
}

fn batch(spans: Vec<Span>) -> Vec<u8> {
    let scope = InstrumentationScope {
        name: "io.opentelemetry.jdbc".to_owned(),
        ..InstrumentationScope::default()
    };
    let scope_spans = ScopeSpans {
        scope: Some(scope),
        spans,
        ..ScopeSpans::default()
    };
    let resource = ResourceSpans {
        scope_spans: vec![scope_spans],
        ..ResourceSpans::default()
    };
    TracesData {
        resource_spans: vec![resource],
    }
    .encode_to_vec()
}

/// A batch in which one span in `one_in` is PostgreSQL's.
fn batch_with(one_in: usize, first: usize) -> Vec<u8> {
    let spans = (first..first + SPANS).map(|number| match number % one_in {
        0 => of_postgres(number / one_in),
        _ => of_http(number),
    });
    batch(spans.collect())
}

/// A Collector with a processor or without.
struct Variant {
    name: &'static str,
    collector: Collector,
}

fn variants(sink: &OtlpSink) -> Vec<Variant> {
    let plain = || Pipeline::to(sink.address());
    let redaction = json!({
        "allow_all_keys": true,
        "db_sanitizer": {"sql": {"enabled": true, "attributes": ["db.statement", "db.query.text"]}},
    });
    [
        ("no processor", plain()),
        (
            "pgmesh, compiled",
            plain().module(Mode::Compiled, json!({})),
        ),
        (
            "the Collector's redaction",
            plain().processor("redaction", redaction),
        ),
        (
            "pgmesh, switched off",
            plain().module(Mode::Compiled, json!({"traces": {"enabled": false}})),
        ),
    ]
    .map(|(name, pipeline)| Variant {
        name,
        collector: Collector::start(Build::Ours, &pipeline),
    })
    .into()
}

struct Run {
    spans_per_second: f64,
    cpu: f64,
}

fn send(collector: &Collector, batches: &[Vec<u8>]) -> Run {
    let (begin, before) = (Instant::now(), collector.process().cpu_time());
    for batch in batches {
        let sent = collector.send_bytes("/v1/traces", batch.clone());
        sent.expect("the Collector takes it");
    }
    let seconds = begin.elapsed().as_secs_f64();
    Run {
        spans_per_second: (batches.len() * SPANS) as f64 / seconds,
        cpu: collector
            .process()
            .cpu_time()
            .saturating_sub(before)
            .as_secs_f64(),
    }
}

/// Spans per second through the Collector, and its CPU.
pub fn spans(options: &Options) {
    let sink = OtlpSink::start();
    let variants = variants(&sink);
    for (share, one_in) in [("20 % PostgreSQL", 5), ("PostgreSQL only", 1)] {
        // The same for each variant, and other values each round: nothing is remembered but what would be.
        let mut calls = 0;
        let rounds = in_rounds(options.rounds, &variants, share, |variant| {
            let batches: Vec<_> = (0..BATCHES)
                .map(|number| calls / variants.len() * BATCHES + number)
                .map(|number| batch_with(one_in, number * SPANS))
                .collect();
            calls += 1;
            send(&variant.collector, &batches)
        });
        for (index, variant) in variants.iter().enumerate() {
            let name = format!("{share}: {}", variant.name);
            let speed: Vec<f64> = rounds
                .iter()
                .map(|round| round[index].spans_per_second)
                .collect();
            figure(&format!("{name}: spans/s"), median(&speed), "");
            let cpu = median(&ratios(&rounds, index, |run| run.cpu));
            let bound = if index == 1 { "<= 2" } else { "" };
            figure(&format!("{name}: CPU ratio to none"), cpu, bound);
        }
        let to_redaction: Vec<f64> = rounds
            .iter()
            .map(|round| round[1].spans_per_second / round[2].spans_per_second)
            .collect();
        let name = format!("{share}: pgmesh to redaction: spans/s ratio");
        figure(&name, median(&to_redaction), ">= 1");
    }
}

/// The module's memory after a million batches, none of whose texts comes twice.
pub fn memory(_options: &Options) {
    let mut host = Otelwasm::load(&places::built_module("otel-processor"), "{}");
    let mut warm = 0;
    for number in 0..MEMORY_BATCHES {
        if number == WARM {
            warm = host.memory_bytes();
        }
        if number.is_multiple_of(50_000) {
            progress(&format!("{number} of {MEMORY_BATCHES} batches"));
        }
        let spans = vec![of_postgres(number as usize), of_http(number as usize)];
        host.process(Signal::Traces, &batch(spans))
            .expect("it is OTLP");
    }
    done();
    let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    figure("memory after 100,000 batches: MiB", mib(warm), "");
    figure(
        "memory after 1,000,000 batches: MiB",
        mib(host.memory_bytes()),
        "the same",
    );
}
