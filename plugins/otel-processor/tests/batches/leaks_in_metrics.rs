//! Secrets in labels of metrics of every kind, and in what exemplars keep of a measurement: none comes out.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, Metric, MetricsData, NumberDataPoint, Sum, Summary, SummaryDataPoint,
};
use prost::Message;

use crate::metrics::batch;
use crate::order::reversed;
use crate::otlp::{processor, text};

const STATEMENT: &str = "SELECT a FROM t WHERE card = 4111 AND word = 'hunter2'";

/// Each kind of metric with one point that has these labels, and an exemplar with those.
fn kinds(attributes: &[KeyValue], filtered_attributes: &[KeyValue]) -> Vec<Data> {
    let attributes = || attributes.to_vec();
    let exemplars = || {
        vec![Exemplar {
            filtered_attributes: filtered_attributes.to_vec(),
            trace_id: vec![7; 16],
            ..Exemplar::default()
        }]
    };
    let number = || NumberDataPoint {
        attributes: attributes(),
        exemplars: exemplars(),
        ..NumberDataPoint::default()
    };
    vec![
        Data::Gauge(Gauge {
            data_points: vec![number()],
        }),
        Data::Sum(Sum {
            data_points: vec![number()],
            ..Sum::default()
        }),
        Data::Histogram(Histogram {
            data_points: vec![HistogramDataPoint {
                attributes: attributes(),
                exemplars: exemplars(),
                count: 3,
                bucket_counts: vec![1, 2],
                explicit_bounds: vec![0.5],
                ..HistogramDataPoint::default()
            }],
            ..Histogram::default()
        }),
        Data::ExponentialHistogram(ExponentialHistogram {
            data_points: vec![ExponentialHistogramDataPoint {
                attributes: attributes(),
                exemplars: exemplars(),
                ..ExponentialHistogramDataPoint::default()
            }],
            ..ExponentialHistogram::default()
        }),
        Data::Summary(Summary {
            data_points: vec![SummaryDataPoint {
                attributes: attributes(),
                ..SummaryDataPoint::default()
            }],
        }),
    ]
}

/// What comes of metrics with this name, one of each kind.
fn processed(name: &str, data: Vec<Data>) -> Vec<(Metric, Metric)> {
    let metric = |data| Metric {
        name: name.to_owned(),
        data: Some(data),
        ..Metric::default()
    };
    let metrics: Vec<_> = data.into_iter().map(metric).collect();
    let whole = batch(metrics.clone()).encode_to_vec();
    let mut found = Vec::new();
    for bytes in [reversed(&whole, 8), whole] {
        let mut processor = processor(r#"{"metrics":{"derive":false}}"#);
        let out = processor.process_metrics(&bytes).expect("OTLP");
        let mut out = MetricsData::decode(&*out).expect("OTLP");
        found.push(
            out.resource_metrics
                .remove(0)
                .scope_metrics
                .remove(0)
                .metrics,
        );
    }
    assert_eq!(found[0], found[1]);
    metrics.into_iter().zip(found.remove(0)).collect()
}

#[test]
fn no_label_of_any_kind_of_point_shows_the_data() {
    let filtered = [
        text("db.query.text", STATEMENT),
        text("db.query.parameter.0", "hunter2 4111"),
        text("exception.message", "card 4111 of hunter2"),
        text("http.route", "/pay"),
    ];
    for (name, labels) in [
        ("pg_stat_statements_seconds", vec![text("query", STATEMENT)]),
        (
            "postgresql.query.duration",
            vec![text("db.query.text", STATEMENT)],
        ),
        (
            "db.client.operation.duration",
            vec![
                text("db.query.text", STATEMENT),
                text("db.system.name", "postgresql"),
            ],
        ),
        (
            "db_client_operation_duration_seconds",
            vec![
                text("db.system", "postgresql"),
                text("db.statement", STATEMENT),
            ],
        ),
    ] {
        for (before, after) in processed(name, kinds(&labels, &filtered)) {
            let shown = format!("{after:?}");
            for secret in ["4111", "hunter2"] {
                assert!(!shown.contains(secret), "{secret} of {before:?} in {shown}");
            }
            assert!(shown.contains("card = ?"), "{shown}");
            if format!("{before:?}").contains("/pay") {
                assert!(shown.contains("/pay"), "{shown}");
            }
        }
    }
}

#[test]
fn of_points_that_are_no_numbers_nothing_but_data_changes() {
    let labels = [text("state", "active"), text("db.system", "postgresql")];
    let exemplar = [text("http.route", "/pay")];
    for name in ["pg_seconds", "db.client.operation.duration", "node_load1"] {
        for (before, after) in processed(name, kinds(&labels, &exemplar)) {
            assert_eq!(before, after, "{name}");
        }
    }
    let others = [text("db.system", "mysql"), text("db.statement", STATEMENT)];
    for (before, after) in processed("db.client.operation.duration", kinds(&others, &others)) {
        assert_eq!(before, after);
    }
}
