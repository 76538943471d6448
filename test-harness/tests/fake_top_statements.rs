//! The top statements as the built filter gives them out in the fake host beside its line in the log:
//! OTLP metrics, read by OpenTelemetry's own messages, and counters in the host's stats.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, ExponentialHistogramDataPoint, Metric, NumberDataPoint, exemplar,
    metric, number_data_point,
};
use prost::Message;
use test_harness::fakes::proxy_wasm::{ClosedBy, Connection, Host, HttpCall, LogLevel};
use test_harness::hosts::places::built_module;
use test_harness::net::messages::{
    PROTOCOL_3_0, authentication_ok, command_complete, data_row, error_response, query,
    ready_for_query, row_description, startup,
};

const EXPORTED: &str =
    r#"{"top_statements": {"interval_s": 10, "export": true}, "export": {"cluster": "otel"}}"#;
const START: u64 = 1_800_000_000_000_000_000;
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";
const OK: &[(&str, &str)] = &[(":status", "200")];

fn filter(configuration: &str) -> Host {
    let host = Host::load(&built_module("envoy-metrics"))
        .configuration(configuration)
        .log_level(LogLevel::Trace)
        .start();
    host.set_clock(START);
    host.tick();
    host
}

fn open(host: &Host) -> Connection {
    let connection = host.connect();
    let session = [("user", "alice"), ("database", "app")];
    connection.client_sends(&startup(PROTOCOL_3_0, &session));
    connection.server_sends(&[authentication_ok(), ready_for_query(b'I')].concat());
    connection
}

fn ask(host: &Host, connection: &Connection, text: &str, microseconds: u64) {
    connection.client_sends(&query(text));
    host.advance(Duration::from_micros(microseconds));
    let answer = [
        row_description("value"),
        data_row(b"1"),
        command_complete("SELECT 1"),
        ready_for_query(b'I'),
    ];
    connection.server_sends(&answer.concat());
}

/// Lets the interval pass and answers each request well; those for metrics.
fn reported(host: &Host) -> Vec<HttpCall> {
    let before = host.http_calls().len();
    host.advance(Duration::from_secs(11));
    host.tick();
    let mut answered = before;
    while let Some(call) = host.http_calls().get(answered) {
        answered += 1;
        host.answer_http_call(call.token, OK, b"");
    }
    let calls = host.http_calls().split_off(before);
    let path = (":path".to_owned(), "/v1/metrics".to_owned());
    let for_metrics = |call: &HttpCall| call.headers.contains(&path);
    calls.into_iter().filter(for_metrics).collect()
}

fn read(call: &HttpCall) -> Vec<Metric> {
    let request = ExportMetricsServiceRequest::decode(&*call.body).expect("OTLP");
    let [of_resource] = request.resource_metrics.as_slice() else {
        panic!("{request:?}")
    };
    assert!(of_resource.resource.is_some());
    let [of_scope] = of_resource.scope_metrics.as_slice() else {
        panic!("{request:?}")
    };
    assert_eq!(of_scope.scope.as_ref().expect("a scope").name, "pgmesh");
    of_scope.metrics.clone()
}

fn attribute<'a>(attributes: &'a [KeyValue], key: &str) -> &'a str {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    let value = found.and_then(|found| found.value.as_ref()?.value.as_ref());
    match value {
        Some(any_value::Value::StringValue(value)) => value,
        other => panic!("{key}: {other:?} among {attributes:?}"),
    }
}

/// The data points of a sum by the text of their statement.
fn sum(metrics: &[Metric], name: &str) -> BTreeMap<String, (i64, NumberDataPoint)> {
    let found = metrics.iter().find(|metric| metric.name == name);
    let Some(metric::Data::Sum(sum)) = found.and_then(|found| found.data.clone()) else {
        panic!("no sum {name} in {metrics:?}")
    };
    assert!(sum.is_monotonic);
    assert_eq!(
        sum.aggregation_temporality(),
        AggregationTemporality::Cumulative
    );
    let points = sum.data_points.into_iter().map(|point| {
        let Some(number_data_point::Value::AsInt(value)) = point.value else {
            panic!("{point:?}")
        };
        let text = attribute(&point.attributes, "db.query.text").to_owned();
        (text, (value, point))
    });
    points.collect()
}

fn durations(metrics: &[Metric]) -> BTreeMap<String, ExponentialHistogramDataPoint> {
    let found = metrics
        .iter()
        .find(|metric| metric.name == "pgmesh.statement.duration")
        .expect("durations");
    assert_eq!(found.unit, "us");
    let Some(metric::Data::ExponentialHistogram(histogram)) = found.data.clone() else {
        panic!("{found:?}")
    };
    assert_eq!(
        histogram.aggregation_temporality(),
        AggregationTemporality::Cumulative
    );
    let by_text = histogram.data_points.into_iter().map(|point| {
        let text = attribute(&point.attributes, "db.query.text").to_owned();
        (text, point)
    });
    by_text.collect()
}

/// The value that `share` of the samples are not above, as far as the buckets tell.
fn percentile(point: &ExponentialHistogramDataPoint, share: f64) -> (f64, f64) {
    let base = 2_f64.powf(2_f64.powi(-point.scale));
    let buckets = point.positive.as_ref().expect("buckets");
    let rank = (point.count as f64 * share).ceil() as u64;
    let mut seen = 0;
    for (index, count) in (buckets.offset..).zip(&buckets.bucket_counts) {
        seen += count;
        if seen >= rank {
            return (base.powi(index), base.powi(index + 1));
        }
    }
    panic!("{point:?} has less than it counts")
}

#[test]
fn every_interval_the_top_statements_are_otlp_metrics() {
    let host = filter(EXPORTED);
    let connection = open(&host);
    for n in 1..=100 {
        ask(&host, &connection, &format!("select {n} from t"), n * 100);
    }
    connection.client_sends(&query("select 1/0"));
    let error = error_response("ERROR", "22012", "division by zero");
    connection.server_sends(&[error, ready_for_query(b'I')].concat());
    let calls = reported(&host);
    let [call] = calls.as_slice() else {
        panic!("{calls:?}")
    };
    let metrics = read(call);
    let names: Vec<&str> = metrics.iter().map(|metric| metric.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "pgmesh.statement.calls",
            "pgmesh.statement.errors",
            "pgmesh.statement.rows",
            "pgmesh.statement.bytes",
            "pgmesh.statement.duration"
        ]
    );
    let text = "select ? from t";
    for (name, expected) in [
        ("calls", 100),
        ("errors", 0),
        ("rows", 100),
        ("bytes", 100 * data_row(b"1").len() as i64),
    ] {
        let points = sum(&metrics, &format!("pgmesh.statement.{name}"));
        assert_eq!(points[text].0, expected, "{name}");
        let point = &points[text].1;
        assert_eq!(point.start_time_unix_nano, START, "{name}");
        assert!(
            point.time_unix_nano >= START + 11_000_000_000,
            "{name}: {point:?}"
        );
    }
    assert_eq!(
        sum(&metrics, "pgmesh.statement.errors")["select ?/?"].0,
        1,
        "a statement that only failed"
    );
    let point = &durations(&metrics)[text];
    for (key, value) in [
        ("db.system.name", "postgresql"),
        ("db.namespace", "app"),
        ("db.query.summary", "select t"),
        ("pgmesh.user", "alice"),
    ] {
        assert_eq!(attribute(&point.attributes, key), value);
    }
    assert_eq!(attribute(&point.attributes, "pgmesh.fingerprint").len(), 16);
    let buckets = point.positive.as_ref().expect("buckets");
    assert_eq!(
        (point.count, buckets.bucket_counts.iter().sum::<u64>()),
        (100, 100)
    );
    assert_eq!(
        (point.sum, point.min, point.max),
        (Some(505_000.0), Some(100.0), Some(10_000.0))
    );
    for (share, truth) in [(0.5, 5000.0), (0.95, 9500.0), (0.99, 9900.0)] {
        let (low, high) = percentile(point, share);
        assert!(low <= truth && truth < high, "{share}: {low} to {high}");
    }
    assert_eq!(point.exemplars, []);
}

#[test]
fn the_slowest_traced_run_of_an_interval_is_the_exemplar() {
    let host = filter(EXPORTED);
    let connection = open(&host);
    let traced = |span: &str, flags: &str, microseconds| {
        let text = format!("select 1 from t /*traceparent='00-{TRACE}-{span}-{flags}'*/");
        ask(&host, &connection, &text, microseconds);
    };
    traced("1111111111111111", "01", 10);
    traced(SPAN, "01", 700);
    traced("2222222222222222", "01", 20);
    // Nobody keeps this one's trace.
    traced("3333333333333333", "00", 9000);
    let metrics = read(&reported(&host)[0]);
    let point = durations(&metrics)["select ? from t"].clone();
    let [exemplar] = point.exemplars.as_slice() else {
        panic!("{point:?}")
    };
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|b| format!("{b:02x}")).collect() };
    assert_eq!(
        (hex(&exemplar.trace_id), hex(&exemplar.span_id)),
        (TRACE.to_owned(), SPAN.to_owned())
    );
    assert_eq!(exemplar.value, Some(exemplar::Value::AsDouble(700.0)));
    assert_eq!(exemplar.time_unix_nano, START + 710_000);
    // It ended well, so that it is one of the calls and none of the errors.
    let calls = sum(&metrics, "pgmesh.statement.calls");
    let [run] = calls["select ? from t"].1.exemplars.as_slice() else {
        panic!("{calls:?}")
    };
    assert_eq!(hex(&run.span_id), SPAN);
    assert_eq!(run.value, Some(exemplar::Value::AsInt(1)));
    let errors = sum(&metrics, "pgmesh.statement.errors");
    assert_eq!(errors["select ? from t"].1.exemplars, []);
    // The next interval has none of its own, and goes on counting.
    ask(&host, &connection, "select 1 from t", 5);
    let point = durations(&read(&reported(&host)[0]))["select ? from t"].clone();
    assert_eq!((point.exemplars.len(), point.count), (0, 5));
    assert_eq!(point.start_time_unix_nano, START);
}

#[test]
fn our_own_span_is_the_exemplar_where_there_is_one() {
    let host = filter(
        r#"{"top_statements": {"interval_s": 10, "export": true}, "traces": {"root_one_in": 1},
            "export": {"cluster": "otel"}}"#,
    );
    let connection = open(&host);
    ask(&host, &connection, "select 1 from t", 100);
    let point = durations(&read(&reported(&host)[0]))["select ? from t"].clone();
    let span = host
        .http_calls()
        .iter()
        .flat_map(
            |call| match call.headers.iter().any(|(_, path)| path == "/v1/traces") {
                true => test_harness::otlp::Request::read(&call.body).spans,
                false => vec![],
            },
        )
        .next()
        .expect("a span");
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|b| format!("{b:02x}")).collect() };
    assert_eq!(hex(&point.exemplars[0].span_id), span.span_id);
    assert_eq!(hex(&point.exemplars[0].trace_id), span.trace_id);
}

#[test]
fn no_literal_is_in_a_data_point_and_long_texts_are_cut() {
    let host = filter(EXPORTED);
    let connection = open(&host);
    let long = format!("select 's3cr3t', {} from t -- s3cr3t", "\u{e9}".repeat(400));
    ask(&host, &connection, &long, 5);
    let calls = reported(&host);
    let points = durations(&read(&calls[0]));
    let text = points.keys().next().expect("a point");
    assert!((254..=256).contains(&text.len()), "{text}");
    let body = String::from_utf8_lossy(&calls[0].body).into_owned();
    assert!(!body.contains("s3cr3t"));
}

#[test]
fn a_thousand_rows_come_in_requests_of_bounded_size() {
    let host = filter(
        r#"{"top_statements": {"top": 1000, "interval_s": 10, "export": true}, "export": {"cluster": "otel"}}"#,
    );
    let connection = open(&host);
    for n in 0..1000 {
        let columns = format!("column_{n}, ").repeat(30);
        ask(
            &host,
            &connection,
            &format!("select {columns} 1 from t"),
            50,
        );
    }
    let calls = reported(&host);
    let mut seen = BTreeMap::<String, usize>::new();
    for call in &calls {
        assert!(call.body.len() <= 1 << 20, "{} bytes", call.body.len());
        for metric in read(call) {
            let points = match metric.data.expect("data") {
                metric::Data::Sum(sum) => sum.data_points.len(),
                metric::Data::ExponentialHistogram(histogram) => histogram.data_points.len(),
                other => panic!("{other:?}"),
            };
            *seen.entry(metric.name).or_default() += points;
        }
    }
    assert_eq!(seen.len(), 5);
    assert!(seen.values().all(|points| *points == 1000), "{seen:?}");
    (0..5).for_each(|_| host.tick());
    let sent = host.samples().sum("pgmesh_export_sent_total", &[]);
    assert_eq!(sent, 5000.0, "data points are what is counted");
}

#[test]
fn without_being_asked_nothing_is_sent_and_no_counter_is_made() {
    let host = filter(r#"{"top_statements": {"interval_s": 10}, "export": {"cluster": "otel"}}"#);
    let connection = open(&host);
    ask(&host, &connection, "select 1 from t", 5);
    assert_eq!(reported(&host).len(), 0);
    let samples = host.samples().to_string();
    assert!(!samples.contains("pgmesh_top_statement_"), "{samples}");
}

#[test]
fn the_top_few_are_counters_and_there_is_a_bound_to_how_many() {
    let host = filter(r#"{"top_statements": {"interval_s": 10, "stats": 2}}"#);
    let connection = open(&host);
    // Each interval has a new statement on top.
    for round in 0..20 {
        let top = format!("select a{round} from t");
        for _ in 0..2 {
            ask(&host, &connection, &top, 1000 * (round + 1));
            ask(&host, &connection, "select small from t", 1);
            host.advance(Duration::from_secs(11));
            host.tick();
        }
    }
    let samples = host.samples();
    let calls: BTreeSet<String> = samples
        .to_string()
        .lines()
        .filter(|line| line.starts_with("pgmesh_top_statement_calls_total"))
        .map(str::to_owned)
        .collect();
    assert_eq!(calls.len(), 9, "four times two, and the others: {calls:?}");
    let others = [
        ("fingerprint", "other"),
        ("user", "other"),
        ("database", "other"),
    ];
    let name = |what: &str| format!("pgmesh_top_statement_{what}_total");
    assert!(samples.sum(&name("calls"), &others) > 20.0, "{calls:?}");
    // Every run is counted once.
    assert_eq!(samples.sum(&name("calls"), &[]), 80.0);
    assert_eq!(samples.sum(&name("rows"), &[]), 80.0);
    assert_eq!(samples.sum(&name("errors"), &[]), 0.0);
    let time: f64 = (1..=20).map(|round| 2000.0 * f64::from(round)).sum();
    let found = samples.sum(&name("duration_microseconds"), &[]);
    assert_eq!(found, time + 40.0);
}

#[test]
fn a_statement_that_runs_once_between_two_reports_is_not_lost_among_the_others() {
    let host = filter(r#"{"top_statements": {"interval_s": 10, "stats": 5}}"#);
    host.advance(Duration::from_secs(11));
    host.tick();
    let connection = open(&host);
    ask(&host, &connection, "select 1 from once", 250);
    // The last connection's end hands over what there is, and no report is due.
    connection.close(ClosedBy::Remote);
    let name = "pgmesh_top_statement_calls_total";
    assert_eq!(host.samples().sum(name, &[]), 0.0);
    host.advance(Duration::from_secs(11));
    host.tick();
    let options = pg_sql::LexerOptions::default();
    let fingerprint = pg_sql::fingerprint(b"select 1 from once", &options).to_string();
    let samples = host.samples();
    let of_it = [("fingerprint", fingerprint.as_str())];
    assert_eq!(samples.sum(name, &of_it), 1.0, "{samples}");
    assert_eq!(samples.sum(name, &[]), 1.0, "{samples}");
}

#[test]
fn counters_of_the_top_few_have_the_labels_that_are_wanted() {
    let host = filter(
        r#"{"top_statements": {"interval_s": 10, "stats": 5}, "labels": {"user": false},
            "disable": ["top_statement_rows_total"]}"#,
    );
    let connection = open(&host);
    ask(&host, &connection, "select 1 from t", 250);
    host.advance(Duration::from_secs(11));
    host.tick();
    let samples = host.samples().to_string();
    let line = samples
        .lines()
        .find(|line| line.starts_with("pgmesh_top_statement_duration_microseconds_total"))
        .expect(&samples);
    assert!(
        line.contains("database=\"app\"") && line.contains("fingerprint=\""),
        "{line}"
    );
    assert!(!line.contains("user=") && line.ends_with(" 250"), "{line}");
    assert!(
        !samples.contains("pgmesh_top_statement_rows_total"),
        "{samples}"
    );
}
