//! What users read of the processor says what it does: options and their defaults, the schema of the
//! configuration, and the examples.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test code: a panic is how it reports"
)]

use std::collections::BTreeSet;
use std::path::Path;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, LogsData, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, MetricsData, NumberDataPoint, ResourceMetrics, ScopeMetrics, number_data_point,
};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
use otel_processor::{Config, Processor};
use prost::Message;
use serde_json::Value as Json;

fn shipped(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join(path)).expect(path)
}

/// The README's part about the processor.
fn section() -> String {
    let readme = shipped("README.md");
    let behind = readme.split("\n## OTLP in the Collector\n").nth(1);
    let section = behind.and_then(|rest| rest.split("\n## ").next());
    section.expect("a section").to_owned()
}

/// The `plugin_config` of a Collector's configuration.
fn plugin_config(yaml: &str) -> Json {
    let configuration: Json = serde_saphyr::from_str(yaml).expect("YAML");
    configuration["processors"]["wasm"]["plugin_config"].clone()
}

/// The sample with every option.
fn sample() -> Json {
    let section = section();
    let yaml = section.split("```yaml\n").nth(1);
    plugin_config(
        yaml.and_then(|rest| rest.split("```").next())
            .expect("a sample"),
    )
}

fn schema() -> Json {
    serde_json::from_str(&shipped(
        "envoy-configs/collector/otel-processor.schema.json",
    ))
    .expect("JSON")
}

#[test]
fn the_readmes_full_sample_is_the_default_configuration() {
    let read = Config::parse(sample().to_string().as_bytes());
    assert_eq!(read, Ok(Config::default()));
}

/// As a table shows a default.
fn shown(value: &Json) -> String {
    match value {
        Json::Array(items) if !items.is_empty() => {
            let items = items
                .iter()
                .map(|item| format!("`{}`", item.as_str().expect("a text")));
            items.collect::<Vec<_>>().join(", ")
        }
        other => format!("`{other}`"),
    }
}

/// The options of a signal, with their defaults, as the README's table has them.
fn table(signal: &str) -> BTreeSet<(String, String)> {
    let section = section();
    let head = format!("| option of `{signal}` | default | meaning |");
    let table = section.split(&head).nth(1).expect(signal);
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let cells = rows.map(|row| row.split(" | ").map(str::to_owned).collect::<Vec<_>>());
    cells
        .flat_map(|cells| {
            let options = cells[0].trim_start_matches("| ").split(", ");
            let options = options.map(|option| option.trim_matches('`').to_owned());
            options
                .map(|option| (option, cells[1].clone()))
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn each_option_has_a_row_in_the_readme_with_its_default() {
    let (sample, schema) = (sample(), schema());
    for signal in ["traces", "logs", "metrics"] {
        let sampled = sample[signal].as_object().expect(signal);
        let expected: BTreeSet<_> = sampled
            .iter()
            .map(|(option, value)| (option.clone(), shown(value)))
            .collect();
        assert_eq!(table(signal), expected, "{signal}");
        let pointer = schema["properties"][signal]["$ref"].as_str().expect(signal);
        let options = schema
            .pointer(pointer.trim_start_matches('#'))
            .expect(pointer);
        let options: BTreeSet<_> = options["properties"]
            .as_object()
            .expect(signal)
            .keys()
            .collect();
        assert_eq!(options, sampled.keys().collect(), "{signal}");
    }
}

#[test]
fn the_shipped_schema_is_the_one_of_the_types() {
    let made = serde_json::to_value(schemars::schema_for!(Config)).expect("a schema is JSON");
    assert_eq!(schema(), made, "make it anew: see examples/schema.rs");
}

#[test]
fn the_schema_accepts_what_we_ship_and_refuses_what_the_module_refuses() {
    let schema = jsonschema::validator_for(&schema()).expect("a schema");
    let shipped = plugin_config(&shipped("envoy-configs/collector/collector.yaml"));
    let whole = r#"{"traces":{"systems":[],"keep_parameters":["a*"],"migrate":"replace",
        "comments":"promote","exceptions":"drop","keep_alive":"mark","span_names":false},
        "logs":{"prefix":"%m [%p] ","resources":{"a":["b"]},"time_zones":{"XST":"+03:00"},
        "redaction":"statements"},"metrics":{"unify":"rename","max_queries":0}}"#;
    for accepted in [&shipped.to_string(), &sample().to_string(), "{}", whole] {
        let document = serde_json::from_str(accepted).expect("JSON");
        assert!(schema.is_valid(&document), "{accepted}");
        let read = Config::parse(accepted.as_bytes());
        assert!(read.is_ok(), "{accepted}: {read:?}");
    }
    for refused in [
        r#"{"trace":{}}"#,
        r#"{"traces":[]}"#,
        r#"{"traces":null}"#,
        r#"{"traces":{"migrate":"on"}}"#,
        r#"{"traces":{"migrate":false}}"#,
        r#"{"traces":{"comments":null}}"#,
        r#"{"traces":{"systems":"postgresql"}}"#,
        r#"{"traces":{"scopes":[1]}}"#,
        r#"{"traces":{"keep_alive":"none"}}"#,
        r#"{"logs":{"resources":{"a":"b"}}}"#,
        r#"{"logs":{"prefix":7}}"#,
        r#"{"logs":{"join":"yes"}}"#,
        r#"{"metrics":{"max_queries":-1}}"#,
        r#"{"metrics":{"max_queries":1.5}}"#,
        r#"{"metrics":{"max_queries":4294967296}}"#,
        r#"{"metrics":{"unify":"yes"}}"#,
        "[]",
    ] {
        let document = serde_json::from_str(refused).expect("JSON");
        assert!(!schema.is_valid(&document), "{refused}");
        assert!(Config::parse(refused.as_bytes()).is_err(), "{refused}");
    }
}

/// The text blocks of a part of the section: before, and after.
fn examples(part: &str) -> Vec<String> {
    let section = section();
    let part = section
        .split(&format!("\n### {part}\n"))
        .nth(1)
        .expect(part);
    let part = part.split("\n### ").next().expect("something");
    let blocks = part.split("\n```\n");
    blocks.skip(1).step_by(2).map(str::to_owned).collect()
}

fn text(value: &str) -> AnyValue {
    AnyValue {
        value: Some(Value::StringValue(value.to_owned())),
    }
}

/// `key: "value"`, as JSON quotes.
fn line(line: &str) -> (&str, String) {
    let (key, value) = line.split_once(": ").expect(line);
    (key, serde_json::from_str(value).expect(line))
}

fn attribute((key, value): (&str, String)) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(text(&value)),
        ..KeyValue::default()
    }
}

fn written(pair: &KeyValue) -> String {
    let value = pair.value.as_ref().and_then(|value| value.value.as_ref());
    match value {
        Some(Value::StringValue(text)) => format!("{}: {}", pair.key, Json::from(text.as_str())),
        Some(Value::IntValue(number)) => format!("{}: {number}", pair.key),
        other => panic!("{}: {other:?}", pair.key),
    }
}

fn sorted(lines: impl IntoIterator<Item = String>) -> BTreeSet<String> {
    lines.into_iter().collect()
}

#[test]
fn the_span_becomes_what_the_readme_says() {
    let [before, after] = examples("Traces").try_into().expect("before and after");
    let mut lines = before.lines().map(line);
    let (_, name) = lines.next().expect("a name");
    let span = Span {
        name,
        attributes: lines.map(attribute).collect(),
        ..Span::default()
    };
    let scope = ScopeSpans {
        spans: vec![span],
        ..ScopeSpans::default()
    };
    let resource = ResourceSpans {
        scope_spans: vec![scope],
        ..ResourceSpans::default()
    };
    let batch = TracesData {
        resource_spans: vec![resource],
    };
    let config = r#"{"traces":{"migrate":"replace"}}"#;
    let mut processor = Processor::configure(config.as_bytes()).expect("a configuration");
    let bytes = batch.encode_to_vec();
    let out = processor.process_traces(&bytes).expect("OTLP");
    let out = TracesData::decode(&*out).expect("OTLP");
    let span = &out.resource_spans[0].scope_spans[0].spans[0];
    let name = format!("name: {}", Json::from(span.name.as_str()));
    let lines = span.attributes.iter().map(written).chain([name]);
    assert_eq!(sorted(lines), sorted(after.lines().map(str::to_owned)));
}

#[test]
fn the_lines_of_a_log_become_the_record_that_the_readme_says() {
    let [before, after] = examples("Logs").try_into().expect("before and after");
    let records = before.lines().map(|body| LogRecord {
        body: Some(text(&line(body).1)),
        ..LogRecord::default()
    });
    let scope = ScopeLogs {
        log_records: records.collect(),
        ..ScopeLogs::default()
    };
    let resource = ResourceLogs {
        scope_logs: vec![scope],
        ..ResourceLogs::default()
    };
    let batch = LogsData {
        resource_logs: vec![resource],
    };
    let bytes = batch.encode_to_vec();
    let mut processor = Processor::configure(b"").expect("a configuration");
    let out = processor.process_logs(&bytes).expect("OTLP");
    let out = LogsData::decode(&*out).expect("OTLP");
    let [record] = out.resource_logs[0].scope_logs[0].log_records.as_slice() else {
        panic!("more than one record: {out:?}");
    };
    let hex = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let mut body = KeyValue::default();
    "body".clone_into(&mut body.key);
    body.value.clone_from(&record.body);
    let others = [
        written(&body),
        // 2026-11-23T03:34:37.123Z, of the line.
        format!(
            "time: {}    severity: {} ({})    event name: {}",
            if record.time_unix_nano == 1_795_404_877_123_000_000 {
                "2026-11-23T03:34:37.123Z"
            } else {
                "another"
            },
            record.severity_text,
            record.severity_number,
            record.event_name
        ),
        format!(
            "trace id: {}    span id: {}",
            hex(&record.trace_id),
            hex(&record.span_id)
        ),
    ];
    let lines = record.attributes.iter().map(written).chain(others);
    assert_eq!(sorted(lines), sorted(after.lines().map(str::to_owned)));
}

/// `name{key="value"} 12    gauge`, and its labels.
fn metric(line: &str) -> (String, Vec<(String, String)>, String) {
    let (name, rest) = line.split_once('{').expect(line);
    let (labels, rest) = rest.split_once("} ").expect(line);
    let labels = labels.split(',').map(|label| {
        let (key, value) = label.split_once('=').expect(label);
        (key.to_owned(), value.trim_matches('"').to_owned())
    });
    let kind = rest.split_whitespace().nth(1).expect(line);
    (name.to_owned(), labels.collect(), kind.to_owned())
}

#[test]
fn the_metric_becomes_what_the_readme_says() {
    let [example] = examples("Metrics").try_into().expect("one block");
    let lines: Vec<&str> = example.lines().collect();
    let [before, after] = lines.try_into().expect("before and after");
    let (name, labels, kind) = metric(before);
    assert_eq!(kind, "gauge");
    let point = NumberDataPoint {
        attributes: labels
            .iter()
            .map(|(key, value)| attribute((key, value.clone())))
            .collect(),
        value: Some(number_data_point::Value::AsInt(12)),
        ..NumberDataPoint::default()
    };
    let gauge = Gauge {
        data_points: vec![point],
    };
    let metrics = vec![Metric {
        name,
        data: Some(Data::Gauge(gauge)),
        ..Metric::default()
    }];
    let scope = ScopeMetrics {
        metrics,
        ..ScopeMetrics::default()
    };
    let resource = ResourceMetrics {
        scope_metrics: vec![scope],
        ..ResourceMetrics::default()
    };
    let bytes = MetricsData {
        resource_metrics: vec![resource],
    }
    .encode_to_vec();
    let config = r#"{"metrics":{"unify":"rename"}}"#;
    let mut processor = Processor::configure(config.as_bytes()).expect("a configuration");
    let out = processor.process_metrics(&bytes).expect("OTLP");
    let out = MetricsData::decode(&*out).expect("OTLP");
    let found = &out.resource_metrics[0].scope_metrics[0].metrics[0];
    let Some(Data::Sum(sum)) = &found.data else {
        panic!("{found:?}");
    };
    let (name, mut labels, kind) = metric(after);
    assert_eq!((found.name.as_str(), kind.as_str()), (name.as_str(), "sum"));
    let point = &sum.data_points[0];
    assert_eq!(point.value, Some(number_data_point::Value::AsInt(12)));
    let mut told: Vec<_> = point.attributes.iter().map(written).collect();
    told.sort();
    labels.sort();
    let expected: Vec<_> = labels
        .iter()
        .map(|(key, value)| format!("{key}: {}", Json::from(value.as_str())))
        .collect();
    assert_eq!(told, expected);
}
