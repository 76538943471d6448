//! The contract of `wit/` is the same in two hosts that share no code, wasmtime and jco on Node, and
//! the component does there what the library does natively.

mod node;

use std::fmt::Debug;
use std::path::{Path, PathBuf};

use component_host::{Error, Processor, Signals};
use node::Node;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, LogsData, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Metric, MetricsData, NumberDataPoint, Sum, number_data_point,
};
use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
use prost::Message;
use test_harness::hosts::places;
use wasmtime::Engine;
use wasmtime::component::Component;

const CARD: &str = "4111-1111-1111-1111";

/// The largest component that is shipped.
const SIZE_LIMIT: u64 = 750_000;

fn component() -> PathBuf {
    places::built_module("otel-processor.component")
}

fn text(value: &str) -> Option<AnyValue> {
    Some(AnyValue {
        value: Some(Value::StringValue(value.to_owned())),
    })
}

fn attribute(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: text(value),
        ..KeyValue::default()
    }
}

/// A PostgreSQL span with a card number in it, and one that is not PostgreSQL's.
fn traces() -> Vec<u8> {
    let query = format!("SELECT id FROM payments WHERE card = '{CARD}'");
    let span = |name: &str, attributes| Span {
        name: name.to_owned(),
        attributes,
        ..Span::default()
    };
    let postgres = vec![
        attribute("db.system", "postgresql"),
        attribute("db.statement", &query),
    ];
    let spans = vec![
        span("shop", postgres),
        span("GET", vec![attribute("url.path", "/pay")]),
    ];
    TracesData {
        resource_spans: vec![ResourceSpans {
            scope_spans: vec![ScopeSpans {
                spans,
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
    .encode_to_vec()
}

/// A line of PostgreSQL's log, as jsonlog writes it.
fn logs() -> Vec<u8> {
    let line = format!(
        r#"{{"timestamp":"2026-01-02 03:04:05.678 UTC","pid":7,"error_severity":"ERROR","state_code":"42P01","message":"relation \"p\" does not exist","statement":"select '{CARD}' from p"}}"#
    );
    let record = LogRecord {
        body: text(&line),
        ..LogRecord::default()
    };
    LogsData {
        resource_logs: vec![ResourceLogs {
            scope_logs: vec![ScopeLogs {
                log_records: vec![record],
                ..ScopeLogs::default()
            }],
            ..ResourceLogs::default()
        }],
    }
    .encode_to_vec()
}

/// What pg_stat_statements has of a statement that was run with its values in it.
fn metrics() -> Vec<u8> {
    let query = format!("SET card = '{CARD}'");
    let gauge = Gauge {
        data_points: vec![NumberDataPoint {
            attributes: vec![attribute("query", &query)],
            ..NumberDataPoint::default()
        }],
    };
    batch(vec![metric("pg_stat_statements_calls", Data::Gauge(gauge))])
}

/// How many transactions postgres_exporter has counted by a time.
fn transactions(seconds: u64, count: i64) -> Vec<u8> {
    let counter = |name: &str| {
        let sum = Sum {
            aggregation_temporality: AggregationTemporality::Cumulative.into(),
            is_monotonic: true,
            data_points: vec![NumberDataPoint {
                attributes: vec![attribute("datname", "shop")],
                time_unix_nano: seconds * 1_000_000_000,
                value: Some(number_data_point::Value::AsInt(count)),
                ..NumberDataPoint::default()
            }],
        };
        metric(name, Data::Sum(sum))
    };
    batch(vec![
        counter("pg_stat_database_xact_commit"),
        counter("pg_stat_database_xact_rollback"),
    ])
}

fn metric(name: &str, data: Data) -> Metric {
    Metric {
        name: name.to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn batch(metrics: Vec<Metric>) -> Vec<u8> {
    MetricsData {
        resource_metrics: vec![ResourceMetrics {
            scope_metrics: vec![ScopeMetrics {
                metrics,
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }],
    }
    .encode_to_vec()
}

/// What a host says, with errors as `tag: text`, the same for both.
type Said<T> = Result<T, String>;

fn said<T>(result: Result<T, Error>) -> Said<T> {
    result.map_err(|error| match error {
        Error::Configuration(text) => format!("configuration: {text}"),
        Error::Malformed(text) => format!("malformed: {text}"),
    })
}

/// Runs both hosts through the same calls.
struct Both {
    wasmtime: Processor,
    node: Node,
}

impl Both {
    fn load() -> Self {
        Self {
            wasmtime: Processor::load(&component(), "").expect("it loads in wasmtime"),
            node: Node::load(&component()),
        }
    }

    #[track_caller]
    fn agreed<T: PartialEq + Debug>(wasmtime: Said<T>, node: Said<T>) -> Said<T> {
        assert_eq!(wasmtime, node, "wasmtime on the left, Node on the right");
        wasmtime
    }

    #[track_caller]
    fn configure(&mut self, document: &str) -> Said<()> {
        let wasmtime = self.wasmtime.configure(document).expect("no trap");
        Self::agreed(said(wasmtime), self.node.configure(document))
    }

    #[track_caller]
    fn traces(&mut self, batch: &[u8]) -> Said<Vec<u8>> {
        let wasmtime = self.wasmtime.traces(batch).expect("no trap");
        Self::agreed(said(wasmtime), self.node.process("processTraces", batch))
    }

    #[track_caller]
    fn logs(&mut self, batch: &[u8]) -> Said<Vec<u8>> {
        let wasmtime = self.wasmtime.logs(batch).expect("no trap");
        Self::agreed(said(wasmtime), self.node.process("processLogs", batch))
    }

    #[track_caller]
    fn metrics(&mut self, batch: &[u8]) -> Said<Vec<u8>> {
        let wasmtime = self.wasmtime.metrics(batch).expect("no trap");
        Self::agreed(said(wasmtime), self.node.process("processMetrics", batch))
    }
}

fn native(document: &str) -> otel_processor::Processor {
    otel_processor::Processor::configure(document.as_bytes()).expect("it is right")
}

#[test]
fn a_component_imports_nothing_and_is_small() {
    let size = std::fs::metadata(component()).expect("it is there").len();
    assert!(size <= SIZE_LIMIT, "{size} bytes");
    let engine = Engine::default();
    let component = Component::from_file(&engine, component()).expect("it is a component");
    let world = component.component_type();
    assert_eq!(world.imports(&engine).count(), 0);
    let exports: Vec<_> = world.exports(&engine).map(|(name, _)| name).collect();
    assert_eq!(exports, ["pgmesh:processor/processor@0.1.0"]);
}

#[test]
fn each_signal_comes_out_as_from_the_library_and_without_its_secrets() {
    let mut both = Both::load();
    for document in ["", r#"{"traces":{"migrate":"replace"}}"#] {
        both.configure(document).expect("it is right");
        let mut native = native(document);
        let (traces, logs, metrics) = (traces(), logs(), metrics());
        let results = [
            (both.traces(&traces), native.process_traces(&traces)),
            (both.logs(&logs), native.process_logs(&logs)),
            (both.metrics(&metrics), native.process_metrics(&metrics)),
        ];
        for (component, library) in results {
            let component = component.expect("it is OTLP");
            assert_eq!(component, *library.expect("it is OTLP"), "{document}");
            let shown = String::from_utf8_lossy(&component);
            assert!(shown.contains('?'), "{document}: {shown}");
            assert!(!shown.contains(CARD), "{document}: {shown}");
        }
    }
}

#[test]
fn a_batch_that_is_not_postgresqls_comes_back_byte_for_byte() {
    let mut both = Both::load();
    // The field 1000 is in no version of OTLP.
    let unknown = [0xc2, 0x3e, 3, b'n', b'e', b'w'];
    for batch in [&b""[..], &unknown] {
        assert_eq!(both.traces(batch), Ok(batch.to_vec()));
        assert_eq!(both.logs(batch), Ok(batch.to_vec()));
        assert_eq!(both.metrics(batch), Ok(batch.to_vec()));
    }
}

#[test]
fn a_wrong_configuration_fails_every_batch_until_a_good_one_is_set() {
    let mut both = Both::load();
    let error = both.configure(r#"{"traces":{"migrate":"on"}}"#);
    let error = error.expect_err("there is no such value");
    assert!(error.starts_with("configuration: "), "{error}");
    assert!(error.contains("traces.migrate"), "{error}");
    assert_eq!(both.traces(&traces()), Err(error.clone()));
    assert_eq!(both.logs(&logs()), Err(error.clone()));
    assert_eq!(both.metrics(&metrics()), Err(error));
    both.configure("{}").expect("it is right");
    both.traces(&traces()).expect("it is configured");
}

#[test]
fn what_is_no_otlp_is_refused_with_the_place() {
    let mut both = Both::load();
    let mut cut = traces();
    cut.pop();
    let error = both.traces(&cut).expect_err("its end is missing");
    assert!(error.starts_with("malformed: "), "{error}");
    assert!(error.contains("byte"), "{error}");
    both.traces(&traces()).expect("the next one is whole");
}

#[test]
fn what_was_learned_lasts_from_batch_to_batch_until_it_is_configured_anew() {
    let mut both = Both::load();
    let has_rate = |both: &mut Both, seconds, commits| {
        let handled = both
            .metrics(&transactions(seconds, commits))
            .expect("it is OTLP");
        String::from_utf8_lossy(&handled).contains("pgmesh.postgresql.transaction.rate")
    };
    assert!(!has_rate(&mut both, 10, 1000));
    assert!(has_rate(&mut both, 20, 1500));
    both.configure("").expect("it is right");
    assert!(!has_rate(&mut both, 30, 2000));
    assert!(has_rate(&mut both, 40, 2500));
}

#[test]
fn a_batch_that_is_too_large_is_refused() {
    let mut processor = Processor::load(&component(), "").expect("it loads");
    let refused = said(processor.traces(&vec![0; (64 << 20) + 1]).expect("no trap"));
    let reason = refused.expect_err("it is too large");
    assert!(
        reason.starts_with("malformed: the batch has 67108865 bytes"),
        "{reason}"
    );
    said(processor.traces(&traces()).expect("no trap")).expect("the next one fits");
}

#[test]
fn no_cut_of_a_batch_traps() {
    let mut processor = Processor::load(&component(), "").expect("it loads");
    for (batch, process) in [
        (
            traces(),
            Processor::traces as fn(&mut Processor, &[u8]) -> _,
        ),
        (logs(), Processor::logs),
        (metrics(), Processor::metrics),
    ] {
        for end in 0..batch.len() {
            process(&mut processor, &batch[..end])
                .expect("no trap")
                .ok();
        }
        for at in 0..batch.len() {
            let mut changed = batch.clone();
            changed[at] ^= 0x81;
            process(&mut processor, &changed).expect("no trap").ok();
        }
    }
}

#[test]
fn it_says_what_it_is() {
    let mut both = Both::load();
    let said = both.wasmtime.describe().expect("no trap");
    assert_eq!(said.name, "pgmesh-otel-processor");
    assert_eq!(said.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(
        said.signals,
        Signals::TRACES | Signals::LOGS | Signals::METRICS
    );
    let expected = serde_json::json!({
        "name": said.name, "version": said.version,
        "signals": {"traces": true, "logs": true, "metrics": true}
    });
    assert_eq!(both.node.describe(), expected);
}

#[test]
fn the_documentation_shows_the_hosts_that_ran_here() {
    let readme =
        std::fs::read_to_string(places::tree().join("wit/README.md")).expect("it is there");
    for host in ["src/lib.rs", "host.mjs"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(host);
        let code = std::fs::read_to_string(path).expect("it is there");
        assert!(
            readme.contains(code.trim()),
            "wit/README.md and {host} differ"
        );
    }
}
