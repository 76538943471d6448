//! `envoy-configs/collector` as it is shipped, with a test's addresses in it: the logs of a real server in
//! each of its formats, a span and the metrics of a real postgres_exporter, which the Collector asks, go in;
//! one fingerprint, the gauges that are computed and no data come out.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogsData;
use opentelemetry_proto::tonic::metrics::v1::MetricsData;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
use pg_sql::LexerOptions;
use serde_json::Value as Json;
use test_harness::fakes::otlp_sink::OtlpSink;
use test_harness::hosts::collector::{Batch, Build};
use test_harness::hosts::places::built_module;
use test_harness::hosts::{Collector, Postgres, PostgresExporter, Version, wait_for};
use test_harness::{rules, shipped};

const LIMIT: Duration = Duration::from_secs(60);
const SECRET: &str = "4111-1111-1111-1111";
const STATEMENT: &str = "SELECT card / 0 FROM cards WHERE card = '4111-1111-1111-1111'";

#[track_caller]
fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "no {from:?}");
    text.replace(from, to)
}

/// What a test puts into the file.
struct Places<'a> {
    otlp: SocketAddr,
    sink: SocketAddr,
    exporter: SocketAddr,
    logs: &'a Path,
}

fn configuration(places: &Places<'_>) -> String {
    let otlp = places.otlp.to_string();
    let [sink, exporter] = [places.sink, places.exporter].map(|address| address.to_string());
    let (module, logs) = (
        built_module("otel-processor"),
        places.logs.to_string_lossy(),
    );
    let mut text = shipped::file("collector/collector.yaml");
    for (from, to) in [
        ("0.0.0.0:4317", "127.0.0.1:0"),
        ("0.0.0.0:4318", &otlp),
        ("backend:4318 }", &format!("{sink}, compression: none }}")),
        ("localhost:9187", &exporter),
        ("scrape_interval: 15s", "scrape_interval: 1s"),
        ("/var/log/postgresql", &logs),
        (
            "/etc/otelcol/pgmesh-otel-processor.wasm",
            &module.to_string_lossy(),
        ),
        // It reads what was written before it started.
        (".log]\n", ".log]\n    start_at: beginning\n"),
        (".csv]\n", ".csv]\n    start_at: beginning\n"),
        (".json]\n", ".json]\n    start_at: beginning\n"),
        (
            "\nservice:\n",
            "\nservice:\n  telemetry: { metrics: { level: none } }\n",
        ),
    ] {
        text = replaced(&text, from, to);
    }
    text
}

fn attribute(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Value::StringValue(value.to_owned())),
        }),
        ..KeyValue::default()
    }
}

fn span() -> TracesData {
    let span = Span {
        attributes: vec![
            attribute("db.system.name", "postgresql"),
            attribute("db.query.text", STATEMENT),
        ],
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans {
        spans: vec![span],
        ..ScopeSpans::default()
    }];
    TracesData {
        resource_spans: vec![ResourceSpans {
            scope_spans,
            ..ResourceSpans::default()
        }],
    }
}

/// Asks for the statement's text too, as newer exporters do.
const QUERIES: &str = r#"{"pg_stat_statements": {
  "query": "SELECT query, calls FROM pg_stat_statements WHERE query LIKE 'SELECT card%'",
  "metrics": [{"query": {"usage": "LABEL", "description": "-"}},
              {"calls": {"usage": "COUNTER", "description": "-"}}]}}"#;

/// A server with all three logs that has run the statement, which fails.
fn server() -> Postgres {
    let server = Postgres::builder(Version::V18)
        .preload("pg_stat_statements")
        .setting("logging_collector", "on")
        .setting("log_destination", "stderr,csvlog,jsonlog")
        .setting("log_directory", "log")
        .setting("log_filename", "postgresql.log")
        .start();
    server.sql(
        "CREATE EXTENSION pg_stat_statements;
         CREATE TABLE cards (card numeric); SELECT card / 1 FROM cards WHERE card = 4",
    );
    let mut psql = server.client("psql");
    let failed = psql.args(["-Xc", STATEMENT]).output();
    assert!(!failed.expect("psql runs").status.success());
    server
}

/// All that came of a signal, if the fingerprint is in it as often as this.
fn came<T: Batch + Debug + Default>(
    sink: &OtlpSink,
    fingerprint: &str,
    times: usize,
) -> Option<String> {
    let came = format!("{:?}", sink.batches::<T>());
    (came.matches(fingerprint).count() >= times).then_some(came)
}

/// The last value of each gauge that was computed, by its name and database.
fn gauges(batches: &[MetricsData]) -> BTreeMap<String, f64> {
    let mut found = BTreeMap::new();
    let resources = batches.iter().flat_map(|batch| &batch.resource_metrics);
    let scopes = resources.flat_map(|resource| &resource.scope_metrics);
    for metric in scopes.flat_map(|scope| &scope.metrics) {
        let Some(name) = metric.name.strip_prefix("pgmesh.postgresql.") else {
            continue;
        };
        let Some(Data::Gauge(gauge)) = &metric.data else {
            panic!("{metric:?}");
        };
        for point in &gauge.data_points {
            let database = point.attributes.iter().find(|it| it.key == "db.namespace");
            let database = format!("{:?}", database.map(|it| &it.value));
            let database = database.split('"').nth(1).unwrap_or_default().to_owned();
            let Some(Number::AsDouble(value)) = point.value else {
                panic!("{point:?}");
            };
            found.insert(format!("{name} {database}").trim().to_owned(), value);
        }
    }
    found
}

/// Whether there are gauges of each kind, rates among them, and each is what it can be.
fn are_sound(gauges: &BTreeMap<String, f64>) -> Option<()> {
    for (name, least, most) in [
        ("connection.utilization", 0.0, 1.0),
        // The exporter's own queries are transactions.
        ("transaction.rate postgres", 0.01, 1e6),
        ("transaction.rollback_ratio postgres", 0.0, 1.0),
        ("deadlock.rate postgres", 0.0, 0.0),
    ] {
        let value = gauges.get(name)?;
        (least..=most).contains(value).then_some(())?;
    }
    Some(())
}

#[test]
fn three_signals_go_through_the_shipped_configuration_with_one_fingerprint_and_no_data() {
    let server = server();
    let exporter = PostgresExporter::with_queries(&server, QUERIES);
    let logs = server.data_directory().join("log");
    let fingerprint =
        pg_sql::fingerprint(STATEMENT.as_bytes(), &LexerOptions::default()).to_string();
    for build in Build::all() {
        let sink = OtlpSink::keeping();
        let collector = Collector::with_configuration(build, |otlp| {
            let places = Places {
                otlp,
                sink: sink.address(),
                exporter: exporter.address(),
                logs: &logs,
            };
            configuration(&places)
        });
        collector.send(&span()).expect("it is taken");
        let all = || {
            Some([
                came::<TracesData>(&sink, &fingerprint, 1)?,
                // One of each format.
                came::<LogsData>(&sink, &fingerprint, 3)?,
                came::<MetricsData>(&sink, &fingerprint, 1)?,
            ])
        };
        let Some(signals) = wait_for(LIMIT, all) else {
            panic!("{build:?}: {}", collector.log());
        };
        for signal in signals {
            assert!(!signal.contains(SECRET), "{build:?}: {signal}");
        }
        let Some(()) = wait_for(LIMIT, || are_sound(&gauges(&sink.batches()))) else {
            panic!("{build:?}: {:?}", gauges(&sink.batches()));
        };
    }
}

/// The modules that a Collector is built of: name of the component, and version.
fn modules(builder: &Json, kind: &str) -> BTreeMap<String, String> {
    let listed = builder[kind].as_array().expect(kind).iter();
    let read = listed.map(|module| {
        let module = module["gomod"].as_str().expect("a module");
        let (path, version) = module.split_once(' ').expect("a version behind it");
        let name = path.rsplit('/').next().expect("a path has parts");
        (name.to_owned(), version.to_owned())
    });
    read.collect()
}

#[test]
fn the_collector_that_is_built_has_what_the_configuration_names() {
    let builder = rules::parse(&shipped::file("collector/builder-config.yaml"));
    let configuration = rules::parse(&shipped::file("collector/collector.yaml"));
    let mut named = 0;
    for kind in ["receiver", "processor", "exporter"] {
        let kinds = format!("{kind}s");
        let built = modules(&builder, &kinds);
        for component in configuration[&kinds].as_object().expect("a map").keys() {
            let (name, _) = component.split_once('/').unwrap_or((component, ""));
            let module = format!("{}{kind}", name.replace('_', ""));
            assert!(built.contains_key(&module), "{component}: no {module}");
            named += 1;
        }
        for (module, version) in built {
            let is_ours = module == "wasmprocessor";
            assert_eq!(is_ours, version == "v0.0.0", "{module} {version}");
            assert!(is_ours || version == "v0.150.0", "{module} {version}");
        }
    }
    assert!(named >= 8, "{named}");
    let replaces = builder["replaces"].as_array().expect("a list");
    let replaces: Vec<_> = replaces.iter().filter_map(Json::as_str).collect();
    for module in ["wasmprocessor", "wasmplugin"] {
        let replaced = format!("github.com/otelwasm/otelwasm/{module} => ../otelwasm/{module}");
        assert!(replaces.contains(&replaced.as_str()), "{replaces:?}");
    }
}
