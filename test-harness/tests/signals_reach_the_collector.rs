//! Everything that the metrics filter exports is read by a real Collector, sent on by it, and agrees:
//! one statement has one fingerprint and one trace in its span, its log record and its metrics.
//! And a token that Envoy puts in reaches the Collector without the filter ever seeing it.

use std::fs;
use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, LogsData};
use opentelemetry_proto::tonic::metrics::v1::{Metric, MetricsData, metric};
use opentelemetry_proto::tonic::trace::v1::{Span, TracesData};
use serde_json::json;
use test_harness::fakes::otlp_sink::OtlpSink;
use test_harness::hosts::collector::{Build, Collector, Pipeline};
use test_harness::hosts::{Envoy, Postgres, Version, wait_for};
use test_harness::net::client::{Client, tags};

const LIMIT: Duration = Duration::from_secs(30);
const SECRET: &str = "4111-1111-1111-1111";
const STATEMENT: &str = "WITH paid AS (SELECT '4111-1111-1111-1111'::text AS card) SELECT card FROM paid, pg_class LIMIT 3";
const SUMMARY: &str = "SELECT SELECT pg_class";
const CONFIGURATION: &str = r#"{
  "traces": {"root_one_in": 1},
  "query_log": {"one_in": 1, "export": true},
  "top_statements": {"interval_s": 1, "export": true},
  "export": {"cluster": "otel"},
  "resource": {"service.name": "shop-db"}
}"#;

fn attribute(attributes: &[KeyValue], name: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == name);
    let value = found.and_then(|found| found.value.as_ref()?.value.as_ref());
    match value {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        other => panic!("{name} is {other:?} in {attributes:?}"),
    }
}

fn spans(sink: &OtlpSink) -> Vec<Span> {
    let batches = sink.batches::<TracesData>().into_iter();
    let resources = batches.flat_map(|batch| batch.resource_spans);
    let scopes = resources.flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).collect()
}

fn records(sink: &OtlpSink) -> Vec<LogRecord> {
    let batches = sink.batches::<LogsData>().into_iter();
    let resources = batches.flat_map(|batch| batch.resource_logs);
    let scopes = resources.flat_map(|resource| resource.scope_logs);
    scopes.flat_map(|scope| scope.log_records).collect()
}

fn metrics(sink: &OtlpSink) -> Vec<Metric> {
    let batches = sink.batches::<MetricsData>().into_iter();
    let resources = batches.flat_map(|batch| batch.resource_metrics);
    let scopes = resources.flat_map(|resource| resource.scope_metrics);
    scopes.flat_map(|scope| scope.metrics).collect()
}

/// The fingerprints that a sum has a data point for.
fn counted(metrics: &[Metric], name: &str) -> Vec<String> {
    let named = metrics.iter().filter(|metric| metric.name == name);
    let points = named.flat_map(|found| match &found.data {
        Some(metric::Data::Sum(sum)) => sum.data_points.clone(),
        other => panic!("{name} is {other:?}"),
    });
    points
        .map(|point| attribute(&point.attributes, "pgmesh.fingerprint"))
        .collect()
}

#[test]
fn a_statement_is_one_in_its_span_its_log_record_and_its_metrics() {
    let sink = OtlpSink::keeping();
    let collector = Collector::start(Build::Ours, &Pipeline::to(sink.address()));
    let server = Postgres::start(Version::V18);
    let envoy = Envoy::in_front_of(server.address())
        .module("envoy-metrics", CONFIGURATION)
        .cluster("otel", collector.otlp())
        .start();
    let address = ([127, 0, 0, 1], envoy.port()).into();
    let mut client = Client::session(address, "postgres");
    assert_eq!(tags(&client.query(STATEMENT)), "TDDDCZ");

    let all = wait_for(LIMIT, || {
        let all = (spans(&sink), records(&sink), metrics(&sink));
        (!all.0.is_empty() && !all.1.is_empty() && !all.2.is_empty()).then_some(all)
    });
    let (spans, records, metrics) = all.expect("all three signals");
    let ([span], [record]) = (spans.as_slice(), records.as_slice()) else {
        panic!("{spans:?}\n{records:?}");
    };
    let fingerprint = pg_sql::fingerprint(STATEMENT.as_bytes(), &Default::default()).to_string();
    assert_eq!(span.name, SUMMARY);
    assert_eq!(
        attribute(&span.attributes, "pgmesh.fingerprint"),
        fingerprint
    );
    assert_eq!(
        attribute(&record.attributes, "pgmesh.fingerprint"),
        fingerprint
    );
    assert_eq!(counted(&metrics, "pgmesh.statement.calls")[0], fingerprint);
    assert_eq!(
        (&record.trace_id, &record.span_id),
        (&span.trace_id, &span.span_id)
    );
    for body in sink.bodies() {
        assert!(!String::from_utf8_lossy(&body).contains(SECRET));
    }
    assert_eq!(envoy.scrape().sum("pgmesh_export_failed_total", &[]), 0.0);
}

#[test]
fn a_token_from_a_file_reaches_the_collector_and_nobody_else() {
    const TOKEN: &str = "Bearer kept-in-a-file-1f0c";
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    fs::write(path("token"), TOKEN).expect("written");
    let secret = json!({"resources": [{
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
        "name": "collector-token",
        "generic_secret": {"secret": {"filename": path("token")}},
    }]});
    fs::write(path("secret.yaml"), secret.to_string()).expect("written");
    let injector = json!({
        "name": "envoy.filters.http.credential_injector",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.credential_injector.v3.CredentialInjector",
            "credential": {
                "name": "envoy.http.injected_credentials.generic",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.http.injected_credentials.generic.v3.Generic",
                    "credential": {
                        "name": "collector-token",
                        "sds_config": {"path_config_source": {"path": path("secret.yaml")}},
                    },
                },
            },
        },
    });
    let codec = json!({
        "name": "envoy.filters.http.upstream_codec",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec",
        },
    });
    let options = json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http_protocol_options": {}},
        "http_filters": [injector, codec],
    }});

    let sink = OtlpSink::keeping();
    let server = Postgres::start(Version::V18);
    let envoy = Envoy::in_front_of(server.address())
        .module("envoy-metrics", CONFIGURATION)
        .cluster("otel", sink.address())
        .edit(|bootstrap| {
            // Envoy watches no secret without a name of its own.
            bootstrap["node"] = json!({"id": "shop-db-0", "cluster": "shop-db"});
            let clusters = bootstrap["static_resources"]["clusters"].as_array_mut();
            let cluster = clusters.and_then(|clusters| clusters.last_mut());
            cluster.expect("the one just added")["typed_extension_protocol_options"] = options;
        })
        .start();
    let mut client = Client::session(([127, 0, 0, 1], envoy.port()).into(), "postgres");
    client.query("select 1");

    let requests = wait_for(LIMIT, || {
        Some(sink.received()).filter(|all| !all.is_empty())
    });
    for request in requests.expect("a request") {
        assert_eq!(request.header("authorization"), Some(TOKEN), "{request:?}");
    }
    for shown in [
        envoy.log(),
        envoy.admin("/config_dump"),
        envoy.admin("/stats"),
    ] {
        assert!(!shown.contains("kept-in-a-file"), "{shown}");
    }
}
