//! The Collectors that the processor module is tested in: what a guest sees of them, the real otelwasm
//! and our own host alike.

use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, LogsData, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Gauge, Metric, MetricsData, NumberDataPoint};
use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, TracesData};
use serde_json::json;
use test_harness::fakes::otlp_sink::OtlpSink;
use test_harness::hosts::Collector;
use test_harness::hosts::collector::{Build, Mode, Pipeline};

const PROBE: &str = include_str!("collector_probe.wat");

// The Collector drops a batch without records, and writes the empty messages that are not there.

fn logs() -> LogsData {
    let record = LogRecord {
        time_unix_nano: 1,
        body: Some(AnyValue::default()),
        ..LogRecord::default()
    };
    LogsData {
        resource_logs: vec![ResourceLogs {
            scope_logs: vec![ScopeLogs {
                scope: Some(InstrumentationScope::default()),
                log_records: vec![record],
                ..ScopeLogs::default()
            }],
            resource: Some(Resource::default()),
            ..ResourceLogs::default()
        }],
    }
}

fn traces() -> TracesData {
    let span = Span {
        name: "checkout".to_owned(),
        status: Some(Status::default()),
        ..Span::default()
    };
    TracesData {
        resource_spans: vec![ResourceSpans {
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope::default()),
                spans: vec![span],
                ..ScopeSpans::default()
            }],
            resource: Some(Resource::default()),
            ..ResourceSpans::default()
        }],
    }
}

fn metrics() -> MetricsData {
    let gauge = Gauge {
        data_points: vec![NumberDataPoint::default()],
    };
    let metric = Metric {
        data: Some(Data::Gauge(gauge)),
        ..Metric::default()
    };
    MetricsData {
        resource_metrics: vec![ResourceMetrics {
            scope_metrics: vec![ScopeMetrics {
                metrics: vec![metric],
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }],
    }
}

#[test]
fn without_a_processor_what_goes_in_comes_out() {
    for build in Build::all() {
        let sink = OtlpSink::keeping();
        let collector = Collector::start(build, &Pipeline::to(sink.address()));
        collector.send(&traces()).expect("a batch of spans");
        collector.send(&logs()).expect("a batch of log records");
        assert_eq!(sink.batches::<TracesData>(), [traces()], "{build:?}");
        assert_eq!(sink.batches::<LogsData>(), [logs()], "{build:?}");
    }
}

/// What the probe says of its host, for this `plugin_config`.
#[track_caller]
fn probed(build: Build, mode: Mode, plugin_config: serde_json::Value) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    let module = directory.path().join("probe.wasm");
    std::fs::write(&module, wat::parse_str(PROBE).expect("a module")).expect("it is written");
    let sink = OtlpSink::keeping();
    let pipeline = Pipeline::to(sink.address()).module_at(&module, mode, plugin_config);
    let collector = Collector::start(build, &pipeline);
    let refused = collector.send(&logs()).expect_err("the probe refuses it");
    let unknown = collector
        .send(&metrics())
        .expect_err("the probe refuses it");
    assert!(unknown.contains("error processing"), "{unknown}");
    let trapped = collector.send(&traces()).expect_err("the probe traps");
    assert!(trapped.contains("wasm error: unreachable"), "{trapped}");
    assert!(sink.bodies().is_empty(), "{build:?} sent on what failed");
    refused
}

#[test]
fn the_hosts_give_nothing_that_does_not_fit_and_no_configuration_before_the_first_batch() {
    for build in Build::all() {
        for mode in Mode::ALL {
            let said = probed(build, mode, json!({"migrate": "off"}));
            let expected = r#"0010: {"migrate":"off"}"#;
            assert!(said.contains(expected), "{build:?} {mode:?}: {said}");
            assert!(said.contains("error processing"), "{build:?}: {said}");
        }
    }
}

#[test]
fn no_configuration_is_null() {
    for build in Build::all() {
        let said = probed(build, Mode::Interpreter, serde_json::Value::Null);
        assert!(said.contains("0010: null"), "{build:?}: {said}");
    }
}
