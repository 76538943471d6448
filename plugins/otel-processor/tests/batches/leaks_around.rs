//! Secrets in what stands around spans, log records and metrics, `Resource` and `InstrumentationScope`,
//! of each signal, and in items that are PostgreSQL's by nothing but that: none comes out.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue,
};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use crate::order::reversed;
use crate::otlp::{SECRET, map, pair, processor, string, text};
use crate::{logs, metrics, traces};

/// Attributes that tell by themselves that they are a database's, or PostgreSQL's, and hold a secret.
fn telling() -> Vec<KeyValue> {
    [
        (
            "db.connection_string",
            "postgres://bob:hunter2-4111@db/shop",
        ),
        ("db.connection.string", "host=db password=hunter2-4111"),
        ("db.dsn", "host=db user=bob password=hunter2-4111"),
        ("db.password", SECRET),
        ("db.statement", "SELECT 'hunter2-4111'"),
        ("db.query.text", "SELECT 'hunter2-4111'"),
        ("db.query.summary", "SELECT 'hunter2-4111'"),
        ("db.query.parameter.0", SECRET),
        ("db.operation.name", "SELECT /*hunter2-4111*/"),
        ("app.database.url", "postgres://bob:hunter2-4111@db/shop"),
        (
            "spring.datasource.url",
            "jdbc:postgresql://db/shop?user=bob&password=hunter2-4111",
        ),
        ("POSTGRES_DSN", "postgresql://bob:hunter2-4111@db/shop"),
    ]
    .map(|(key, value)| text(key, value))
    .into_iter()
    .chain([
        text("PGPASSWORD", SECRET),
        text("process.environment_variable.PGPASSWORD", SECRET),
        text(
            "process.command_line",
            "psql postgresql://bob:hunter2-4111@db/shop",
        ),
        text(
            "process.command_line",
            "sh -c 'PGPASSWORD=hunter2-4111 psql'",
        ),
        pair(
            "process.command_args",
            list(&["psql", "postgresql://bob:hunter2-4111@db/shop"]),
        ),
        pair(
            "app",
            map(vec![text("url", "postgresql://bob:hunter2-4111@db/shop")]),
        ),
        pair("hosts", list(&["postgresql://bob:hunter2-4111@db/shop"])),
    ])
    .collect()
}

fn list(texts: &[&str]) -> AnyValue {
    let values = texts.iter().map(|text| string(text)).collect();
    AnyValue {
        value: Some(Value::ArrayValue(ArrayValue { values })),
    }
}

/// Attributes that hold a secret where PostgreSQL is named beside them.
fn named() -> Vec<KeyValue> {
    vec![
        text("pg.dsn", "host=db password=hunter2-4111"),
        text("command", "migrate --dsn 'host=db password=hunter2-4111'"),
        text("peer.password", SECRET),
        text("sql.query", "SELECT 'hunter2-4111'"),
        text("app.uri", "pg://bob:hunter2-4111@db/shop"),
        pair("pg", map(vec![text("password", SECRET)])),
        pair("pg", map(vec![text("text", "SELECT 'hunter2-4111'")])),
    ]
}

fn system(name: &str) -> KeyValue {
    text("db.system.name", name)
}

/// Where attributes stand.
#[derive(Clone, Copy, Debug)]
enum Place {
    Resource,
    Scope,
}

const PLACES: [Place; 2] = [Place::Resource, Place::Scope];

/// A `Resource` and a scope, one of which has the attributes.
fn around(place: Place, attributes: &[KeyValue]) -> (Resource, InstrumentationScope) {
    let of = |wanted: bool| if wanted { attributes.to_vec() } else { vec![] };
    let resource = Resource {
        attributes: of(matches!(place, Place::Resource)),
        ..Resource::default()
    };
    let scope = InstrumentationScope {
        name: "some.library".to_owned(),
        attributes: of(matches!(place, Place::Scope)),
        ..InstrumentationScope::default()
    };
    (resource, scope)
}

/// What comes of a batch of each signal with one item in it, in both orders of fields.
fn processed(
    (place, attributes): (Place, &[KeyValue]),
    (span, record, metric): (Span, LogRecord, Metric),
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let (resource, scope) = around(place, attributes);
    let mut spans = traces::batch(vec![span]);
    spans.resource_spans[0].resource = Some(resource.clone());
    spans.resource_spans[0].scope_spans[0].scope = Some(scope.clone());
    let mut records = logs::batch(vec![record]);
    records.resource_logs[0].resource = Some(resource.clone());
    records.resource_logs[0].scope_logs[0].scope = Some(scope.clone());
    let mut points = metrics::batch(vec![metric]);
    points.resource_metrics[0].resource = Some(resource);
    points.resource_metrics[0].scope_metrics[0].scope = Some(scope);
    let batches = [
        spans.encode_to_vec(),
        records.encode_to_vec(),
        points.encode_to_vec(),
    ];
    let mut found = Vec::new();
    for (signal, whole) in batches.into_iter().enumerate() {
        for bytes in [reversed(&whole, 8), whole] {
            let mut processor = processor("");
            let out = match signal {
                0 => processor.process_traces(&bytes),
                1 => processor.process_logs(&bytes),
                _ => processor.process_metrics(&bytes),
            };
            let out = out.expect("OTLP").into_owned();
            found.push((bytes, out));
        }
    }
    found
}

/// Items of nobody's, and a metric of which a gauge is derived, with a resource of its own.
fn items() -> (Span, LogRecord, Metric) {
    let points = |value| vec![metrics::point(&[("datname", "shop")], value)];
    (
        traces::span("GET /pay", &[("http.route", "/pay")]),
        LogRecord::default(),
        metrics::gauge("pg_stat_activity_max_tx_duration", points(7.0)),
    )
}

#[track_caller]
fn assert_clean(found: &[(Vec<u8>, Vec<u8>)], what: &dyn std::fmt::Debug) {
    for (before, after) in found {
        let shown = String::from_utf8_lossy(after);
        assert!(String::from_utf8_lossy(before).contains(SECRET));
        assert!(!shown.contains(SECRET), "{what:?}: {shown}");
    }
}

#[test]
fn no_attribute_around_an_item_shows_the_data() {
    for place in PLACES {
        for secret in telling() {
            let alone = [text("service.name", "shop"), secret.clone()];
            assert_clean(&processed((place, &alone), items()), &(place, &secret));
        }
        for secret in named().into_iter().chain(telling()) {
            for attributes in [
                [system("postgresql"), secret.clone()],
                [secret.clone(), system("PostgreSQL")],
            ] {
                assert_clean(&processed((place, &attributes), items()), &(place, &secret));
            }
        }
    }
}

#[test]
fn what_another_system_is_named_around_stays() {
    let kept = [
        system("mysql"),
        text("db.statement", "SELECT 'hunter2-4111'"),
        text("db.connection_string", "mysql://bob:hunter2-4111@db/shop"),
    ];
    let plain = [
        text("service.name", "shop"),
        text("process.command_args", "--port 4111 hunter2"),
        text("app.queue.url", "amqp://bob:pw@queue/7"),
    ];
    let (span, record, _) = items();
    let metric = metrics::gauge("node_load1", vec![metrics::point(&[], 1.0)]);
    for place in PLACES {
        for attributes in [&kept[..], &plain[..]] {
            let items = (span.clone(), record.clone(), metric.clone());
            for (before, after) in processed((place, attributes), items) {
                assert_eq!(before, after, "{attributes:?}");
            }
        }
    }
}

/// What all records and points have in common has been moved to their resource.
#[test]
fn what_is_named_around_an_item_tells_whose_it_is() {
    let statement = "SELECT a FROM t WHERE b = 'hunter2-4111'";
    let about = LogRecord {
        attributes: vec![text("db.query.text", statement)],
        ..logs::line("executed")
    };
    let points = vec![metrics::point(&[("db.query.text", statement)], 1.0)];
    let of_a_client = metrics::gauge("db.client.operation.duration", points);
    let span = traces::span("q", &[("db.statement", statement)]);
    let slow = logs::line(&format!("slow: {statement}"));
    for place in PLACES {
        for record in [about.clone(), slow.clone()] {
            let items = (span.clone(), record, of_a_client.clone());
            let found = processed((place, &[system("postgresql")]), items);
            assert_clean(&found, &place);
            for (_, after) in &found {
                assert!(String::from_utf8_lossy(after).contains("b = ?"));
            }
        }
        let items = (span.clone(), about.clone(), of_a_client.clone());
        for (before, after) in processed((place, &[system("mysql")]), items) {
            assert_eq!(before, after);
        }
    }
}
