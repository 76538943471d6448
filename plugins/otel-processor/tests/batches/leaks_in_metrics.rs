//! Secrets in labels of metrics of every kind, and in what exemplars keep of a measurement: none comes out.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, Metric, MetricsData, NumberDataPoint, Sum, Summary, SummaryDataPoint,
    number_data_point,
};
use prost::Message;

use crate::metrics::batch;
use crate::order::reversed;
use crate::otlp::{map, pair, processor, text};

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
    processed_with(r#"{"metrics":{"derive":false}}"#, name, data)
}

fn processed_with(config: &str, name: &str, data: Vec<Data>) -> Vec<(Metric, Metric)> {
    let metric = |data| Metric {
        name: name.to_owned(),
        data: Some(data),
        ..Metric::default()
    };
    let metrics: Vec<_> = data.into_iter().map(metric).collect();
    let whole = batch(metrics.clone()).encode_to_vec();
    let mut found = Vec::new();
    for bytes in [reversed(&whole, 8), whole] {
        let mut processor = processor(config);
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

/// No exporter's label is a list or a map.
#[test]
fn labels_that_are_lists_or_maps_show_nothing() {
    for value in [
        map(vec![text("password", "hunter2")]),
        map(vec![text("name", STATEMENT)]),
    ] {
        for (_, after) in processed("pg_locks_count", kinds(&[pair("datname", value)], &[])) {
            let shown = format!("{after:?}");
            assert!(
                !shown.contains("hunter2") && !shown.contains("password"),
                "{shown}"
            );
        }
    }
}

/// Whose they are says the option of spans, too.
#[test]
fn clients_are_of_the_systems_that_are_configured() {
    let config = r#"{"traces":{"systems":["cockroachdb"]}}"#;
    let labels = |system| [text("db.system.name", system), text("query", STATEMENT)];
    for (system, is_ours) in [("CockroachDB", true), ("postgresql", false)] {
        let data = kinds(&labels(system), &labels(system));
        for (before, after) in processed_with(config, "db.client.operation.duration", data) {
            assert_eq!(format!("{after:?}").contains("4111"), !is_ours, "{after:?}");
            assert_eq!(before == after, !is_ours);
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

/// Labels that hold statements, by whoever names them: the wiki's queries for locks, exporters of one's
/// own, and what Prometheus makes of the conventions' names.
const STATEMENTS: [&str; 16] = [
    "blocked_statement",
    "blocking_query",
    "current_query",
    "current_statement_in_blocking_process",
    "db_query_text",
    "db_statement",
    "last_query",
    "normalized_query",
    "q",
    "query",
    "query_sample",
    "short_query",
    "sql",
    "sql_text",
    "stmt",
    "text",
];

/// Labels that hold other data.
const DATA: [(&str, &str); 11] = [
    ("command", "psql 'host=db password=hunter2-4111'"),
    ("conninfo", "host=db user=bob password=hunter2-4111"),
    ("detail", "Key (card)=(4111) already exists."),
    ("dsn", "hunter2"),
    ("error", "card 4111 of hunter2"),
    ("params", "hunter2"),
    ("password", "hunter2"),
    ("plan", "Filter: (card = 4111)"),
    ("relname", r#"{"password":"hunter2-4111"}"#),
    ("setting", "host=db user=bob password=hunter2-4111"),
    ("value", "hunter2 4111"),
];

#[test]
fn whatever_a_label_is_called_its_data_is_not_shown() {
    let labels = STATEMENTS.map(|name| (name, STATEMENT));
    for (name, value) in labels.into_iter().chain(DATA) {
        for family in ["pg_", "cnpg_", "ccp_", "postgresql."] {
            let metric = format!("{family}blocked_queries");
            for (_, after) in processed(&metric, kinds(&[text(name, value)], &[])) {
                let shown = format!("{after:?}");
                for secret in ["4111", "hunter2"] {
                    assert!(!shown.contains(secret), "{secret} of {name} in {shown}");
                }
                let number = matches!(after.data, Some(Data::Gauge(_) | Data::Sum(_)));
                let is_statement = value == STATEMENT;
                assert_eq!(
                    shown.contains("pgmesh.fingerprint"),
                    number && is_statement,
                    "{shown}"
                );
                assert_eq!(shown.contains("card = ?"), is_statement, "{shown}");
                if number {
                    assert!(
                        shown.contains(name),
                        "no label may go from a series: {shown}"
                    );
                }
            }
        }
    }
}

#[test]
fn no_address_shows_its_password_whatever_the_label_is_called() {
    let names = [
        "command",
        "operation",
        "query",
        "reason",
        "setting",
        "sql",
        "state",
        "text",
        "url",
    ];
    let addresses = [
        "postgres://u:zwei@db",
        "postgres://u:zwei@db/select",
        "select failed: postgres://u:zwei@db/shop",
        "host=db password=zwei",
    ];
    let labels = names
        .into_iter()
        .flat_map(|name| addresses.map(|it| (name, it)));
    for (name, address) in labels {
        for (_, after) in processed("pg_calls", kinds(&[text(name, address)], &[])) {
            let shown = format!("{after:?}");
            assert!(!shown.contains("zwei"), "{name} in {shown}");
            let number = matches!(after.data, Some(Data::Gauge(_) | Data::Sum(_)));
            assert!(!number || shown.contains(name), "{shown}");
        }
    }
    // A statement is no address.
    let statement = "UPDATE u SET password='zwei', home='postgres://u:zwei@db'";
    for (_, after) in processed("pg_calls", kinds(&[text("sql", statement)], &[])) {
        let shown = format!("{after:?}");
        assert!(shown.contains("UPDATE u SET password=?, home=?"), "{shown}");
    }
}

#[test]
fn labels_that_tell_series_apart_stay() {
    let labels = [
        text("application_name", "psql"),
        text("backend_type", "client backend"),
        text("command", "CREATE INDEX CONCURRENTLY"),
        text("context", "bulkread"),
        text("datname", "shop"),
        text("db.collection.name", "public.orders"),
        text("invalidation_reason", "wal_removed"),
        text("mode", "accesssharelock"),
        text("operation", "ins"),
        text("parameter", "work_mem"),
        text("replication_client", "10.0.0.1"),
        text("server", "db.shop.svc:5432"),
        text("short_version", "18.1"),
        text("usename", "bob@example.com"),
        text("value", "ready"),
        text(
            "version",
            "PostgreSQL 18.1 on x86_64-pc-linux-gnu, compiled by gcc 14.2",
        ),
        text("wait_event", "ClientRead"),
    ];
    for name in [
        "pg_stat_activity_count",
        "cnpg_collector_pg_wal_archive_status",
    ] {
        for (before, after) in processed(name, kinds(&labels, &[])) {
            assert_eq!(before, after, "{name}");
        }
    }
}

#[test]
fn points_that_only_data_told_apart_become_one() {
    let point = |secret: &str, value| NumberDataPoint {
        attributes: vec![text("datname", "shop"), text("params", secret)],
        value: Some(number_data_point::Value::AsInt(value)),
        ..NumberDataPoint::default()
    };
    let data_points = vec![point("4111", 2), point("hunter2", 3)];
    let found = processed("pg_calls", vec![Data::Gauge(Gauge { data_points })]);
    let expected = NumberDataPoint {
        attributes: vec![text("datname", "shop"), text("params", "?")],
        ..point("", 5)
    };
    assert_eq!(
        found[0].1.data,
        Some(Data::Gauge(Gauge {
            data_points: vec![expected]
        }))
    );
}
