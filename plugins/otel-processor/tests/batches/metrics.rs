//! Metrics through the processor, judged by OpenTelemetry's own messages: what was meant to change has
//! changed, and nothing else.

use std::borrow::Cow;
use std::collections::BTreeMap;

use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, Gauge, Histogram, HistogramDataPoint, Metric, MetricsData, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use otel_processor::Processor;
use prost::Message;

use crate::otlp::{SECRET, fingerprint, get, processor, text};

pub(crate) const SECOND: u64 = 1_000_000_000;
pub(crate) const CUMULATIVE: i32 = 2;
/// Without gauges of the processor's own.
const PLAIN: &str = r#"{"metrics":{"derive":false}}"#;
pub(crate) const RENAME: &str = r#"{"metrics":{"derive":false,"unify":"rename"}}"#;

pub(crate) fn point(attributes: &[(&str, &str)], value: f64) -> NumberDataPoint {
    NumberDataPoint {
        time_unix_nano: 60 * SECOND,
        attributes: attributes
            .iter()
            .map(|(key, value)| text(key, value))
            .collect(),
        value: Some(Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

pub(crate) fn metric(name: &str, data: Data) -> Metric {
    Metric {
        name: name.to_owned(),
        description: "as the exporter has it".to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

pub(crate) fn gauge(name: &str, data_points: Vec<NumberDataPoint>) -> Metric {
    metric(name, Data::Gauge(Gauge { data_points }))
}

pub(crate) fn counter(name: &str, data_points: Vec<NumberDataPoint>) -> Metric {
    let sum = Sum {
        data_points,
        aggregation_temporality: CUMULATIVE,
        is_monotonic: true,
    };
    metric(name, Data::Sum(sum))
}

pub(crate) fn batch(metrics: Vec<Metric>) -> MetricsData {
    MetricsData {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(Resource {
                attributes: vec![text("service.instance.id", "db1:9187")],
                ..Resource::default()
            }),
            scope_metrics: vec![ScopeMetrics {
                metrics,
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }],
    }
}

pub(crate) fn processed(config: &str, batch: &MetricsData) -> MetricsData {
    let bytes = batch.encode_to_vec();
    let out = processor(config).process_metrics(&bytes).expect("OTLP");
    MetricsData::decode(&*out).expect("OTLP")
}

/// The metrics of the first scope.
pub(crate) fn metrics(batch: &MetricsData) -> &[Metric] {
    &batch.resource_metrics[0].scope_metrics[0].metrics
}

pub(crate) fn points(metric: &Metric) -> &[NumberDataPoint] {
    match metric.data.as_ref().expect("some") {
        Data::Gauge(gauge) => &gauge.data_points,
        Data::Sum(sum) => &sum.data_points,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn number(point: &NumberDataPoint) -> f64 {
    match point.value.expect("a value") {
        Value::AsDouble(value) => value,
        Value::AsInt(value) => value as f64,
    }
}

#[test]
fn query_texts_of_every_family_lose_their_data_and_get_a_fingerprint() {
    let statement = format!("SELECT * FROM t WHERE card = '{SECRET}' -- {SECRET}");
    for (name, key) in [
        ("pg_stat_statements_calls", "query"),
        ("pg_stat_statements_query_id", "query"),
        ("cnpg_pg_stat_statements_calls", "query"),
        ("ccp_pg_stat_statements_top_total_exec_time_ms", "query"),
        ("postgresql.query.calls", "db.query.text"),
    ] {
        let point = point(&[("datname", "shop"), (key, &statement)], 7.0);
        let out = processed(PLAIN, &batch(vec![counter(name, vec![point])]));
        let point = &points(&metrics(&out)[0])[0];
        let attributes = &point.attributes;
        assert_eq!(
            get(attributes, key),
            Some("SELECT * FROM t WHERE card = ? ")
        );
        assert_eq!(
            get(attributes, "pgmesh.fingerprint"),
            Some(fingerprint(&statement).as_str())
        );
        assert_eq!(get(attributes, "datname"), Some("shop"));
        assert_eq!(number(point), 7.0);
        assert!(!format!("{out:?}").contains(SECRET));
    }
}

#[test]
fn points_that_only_data_told_apart_become_their_sum() {
    let statement = |value: &str| format!("SET search_path = '{value}'");
    let point = |value: &str, calls| {
        let mut point = point(&[("query", &statement(value))], 0.0);
        point.value = Some(Value::AsInt(calls));
        point.exemplars.push(Exemplar::default());
        point
    };
    let calls = vec![point("a", 3), point("b", 4), point("c", 5)];
    let mean = vec![point("a", 3), point("b", 5), point("c", 4)];
    let out = processed(
        PLAIN,
        &batch(vec![
            counter("pg_stat_statements_calls", calls),
            gauge("pg_stat_statements_mean_exec_time", mean.clone()),
            gauge("pg_stat_statements_min_exec_time", mean),
        ]),
    );
    let values = metrics(&out).iter().map(|metric| {
        let [point] = points(metric) else {
            panic!("{metric:?}")
        };
        assert_eq!(point.exemplars.len(), 1);
        point.value
    });
    let expected = [12, 5, 3].map(|value| Some(Value::AsInt(value)));
    assert_eq!(values.collect::<Vec<_>>(), expected);
}

#[test]
fn statements_beyond_the_cap_are_one_point_with_their_sum() {
    let calls = |range: std::ops::Range<i32>| {
        let point = |number: i32| {
            let query = format!("SELECT a{number} FROM t");
            let id = number.to_string();
            point(
                &[("datname", "shop"), ("queryid", &id), ("query", &query)],
                f64::from(number),
            )
        };
        batch(vec![counter(
            "pg_stat_statements_calls_total",
            range.map(point).collect(),
        )])
    };
    let mut processor = processor(r#"{"metrics":{"derive":false,"max_queries":2}}"#);
    let mut process = |batch: &MetricsData| {
        let bytes = batch.encode_to_vec();
        let out = processor.process_metrics(&bytes).expect("OTLP");
        let out = MetricsData::decode(&*out).expect("OTLP");
        points(&metrics(&out)[0]).to_vec()
    };
    let shown = |point: &NumberDataPoint| {
        let get = |key| get(&point.attributes, key).map(str::to_owned);
        (get("query"), get("queryid"), number(point))
    };
    let text = |text: &str| Some(text.to_owned());
    let out = process(&calls(1..6));
    assert_eq!(
        out.iter().map(shown).collect::<Vec<_>>(),
        [
            (text("SELECT a1 FROM t"), text("1"), 1.0),
            (text("SELECT a2 FROM t"), text("2"), 2.0),
            (text("other"), None, 3.0 + 4.0 + 5.0),
        ]
    );
    assert_eq!(get(&out[2].attributes, "pgmesh.fingerprint"), Some("other"));
    assert_eq!(get(&out[2].attributes, "datname"), Some("shop"));
    // Who was told apart stays so, whatever comes first.
    let mut later = calls(1..6);
    let ScopeMetrics { metrics, .. } = &mut later.resource_metrics[0].scope_metrics[0];
    if let Some(Data::Sum(sum)) = &mut metrics[0].data {
        sum.data_points.reverse();
    }
    let again = process(&later);
    let first = again.iter().map(shown).collect::<Vec<_>>();
    assert_eq!(first[0], (text("other"), None, 12.0));
    assert_eq!(first[1].2 + first[2].2, 3.0);
    // Another server has its own.
    let mut elsewhere = calls(7..9);
    elsewhere.resource_metrics[0].resource = None;
    assert_eq!(process(&elsewhere).len(), 2);
}

/// An hour without points.
#[test]
fn a_statement_that_has_gone_makes_room() {
    let mut processor = processor(r#"{"metrics":{"derive":false,"max_queries":1}}"#);
    let mut query = |seconds: u64, query: &str| {
        let mut point = point(&[("query", query)], 1.0);
        point.time_unix_nano = seconds * SECOND;
        let bytes = batch(vec![counter("pg_stat_statements_calls_total", vec![point])]);
        let bytes = bytes.encode_to_vec();
        let out = processor.process_metrics(&bytes).expect("OTLP");
        let out = MetricsData::decode(&*out).expect("OTLP");
        let attributes = points(&metrics(&out)[0])[0].attributes.clone();
        get(&attributes, "query").expect("some").to_owned()
    };
    let (first, second) = ("SELECT a", "SELECT b");
    assert_eq!(query(100, first), first);
    assert_eq!(query(200, second), "other");
    assert_eq!(query(3000, first), first);
    assert_eq!(query(3000 + 3600, second), "other");
    assert_eq!(query(3000 + 3601, second), second);
    assert_eq!(query(3000 + 3602, first), "other");
}

#[test]
fn exporters_names_become_the_receivers() {
    let table = [
        ("datname", "shop"),
        ("schemaname", "public"),
        ("relname", "t"),
    ];
    let out = processed(
        RENAME,
        &batch(vec![
            counter(
                "pg_stat_database_blks_hit",
                vec![point(&[("datid", "5"), ("datname", "shop")], 1.0)],
            ),
            gauge(
                "ccp_stat_database_xact_commit",
                vec![point(&[("dbname", "shop")], 2.0)],
            ),
            gauge(
                "cnpg_pg_database_size_bytes",
                vec![point(&[("datname", "shop")], 3.0)],
            ),
            counter(
                "pg_stat_bgwriter_checkpoints_req_total",
                vec![point(&[], 4.0)],
            ),
            gauge("pg_stat_user_tables_n_dead_tup", vec![point(&table, 5.0)]),
            gauge("pg_settings_max_connections", vec![point(&[], 6.0)]),
        ]),
    );
    let shown = metrics(&out).iter().map(|metric| {
        let kind = match metric.data.as_ref().expect("some") {
            Data::Gauge(_) => "gauge",
            Data::Sum(sum) => {
                assert_eq!(sum.aggregation_temporality, CUMULATIVE);
                if sum.is_monotonic { "counter" } else { "sum" }
            }
            other => panic!("{other:?}"),
        };
        let point = &points(metric)[0];
        let attributes = point.attributes.iter().map(|attribute| {
            let value = get(&point.attributes, &attribute.key).expect("a text");
            format!("{}={value}", attribute.key)
        });
        let attributes = attributes.collect::<Vec<_>>().join(" ");
        assert_eq!(metric.description, "as the exporter has it");
        format!(
            "{} {} {kind} {attributes} {}",
            metric.name,
            metric.unit,
            number(point)
        )
    });
    assert_eq!(
        shown.collect::<Vec<_>>(),
        [
            "postgresql.blks_hit {blks_hit} counter datid=5 db.namespace=shop 1",
            "postgresql.commits 1 counter db.namespace=shop 2",
            "postgresql.db_size By sum db.namespace=shop 3",
            "postgresql.bgwriter.checkpoint.count {checkpoints} counter type=requested 4",
            "postgresql.rows 1 sum db.namespace=shop|public db.collection.name=t state=dead 5",
            "postgresql.connection.max {connections} gauge  6",
        ]
    );
}

/// The receiver's metrics as they come out of a Prometheus that the Collector has written to.
#[test]
fn the_receivers_names_as_prometheus_spells_them_become_its_own() {
    let labels = |state| {
        [
            ("state", state),
            ("db_namespace", "a|public"),
            ("db_collection_name", "t"),
        ]
    };
    let index = [
        ("postgresql_database_name", "a"),
        ("postgresql_schema_name", "public"),
        ("postgresql_table_name", "t"),
        ("postgresql_index_name", "i"),
    ];
    let before = batch(vec![
        counter(
            "postgresql_commits_total",
            vec![point(&[("db_namespace", "a")], 1.0)],
        ),
        gauge(
            "postgresql_rows",
            vec![point(&labels("dead"), 1.0), point(&labels("live"), 3.0)],
        ),
        gauge(
            "postgresql_wal_lag_seconds",
            vec![point(&[("operation", "replay")], 2.0)],
        ),
        counter("postgresql_index_scans_total", vec![point(&index, 1.0)]),
        gauge("postgresql_mine_bytes", vec![point(&[], 1.0)]),
    ]);
    let shown = |metrics: &[Metric]| {
        let points = metrics.iter().flat_map(|metric| {
            points(metric).iter().map(move |point| {
                let labels = point.attributes.iter().map(|label| {
                    let value = get(&point.attributes, &label.key).unwrap_or_default();
                    format!("{}={value}", label.key)
                });
                let labels = labels.collect::<Vec<_>>().join(" ");
                format!("{} {} {labels}", metric.name, metric.unit)
            })
        });
        points.collect::<Vec<_>>()
    };
    let out = processed(RENAME, &before);
    assert_eq!(
        shown(metrics(&out)),
        [
            "postgresql.commits 1 db.namespace=a",
            "postgresql.rows 1 state=dead db.namespace=a|public db.collection.name=t",
            "postgresql.rows 1 state=live db.namespace=a|public db.collection.name=t",
            "postgresql.wal.lag s operation=replay",
            "postgresql.index.scans {scans} db.namespace=a|public db.collection.name=t \
             postgresql.index.name=i",
            "postgresql_mine_bytes  ",
        ]
    );
    assert!(matches!(&metrics(&out)[1].data, Some(Data::Sum(sum)) if !sum.is_monotonic));
    let config = r#"{"metrics":{"derive":false,"unify":"duplicate"}}"#;
    let twice = processed(config, &processed(config, &before));
    assert_eq!(metrics(&twice)[..5], *metrics(&before));
    assert_eq!(metrics(&twice)[5..], metrics(&out)[..4]);
    expect(
        &derived(&processed("", &before)),
        &[
            ("replication.lag", 2.0),
            ("table.dead_row_ratio a|public t", 0.25),
        ],
    );
}

#[test]
fn blocks_and_index_scans_of_tables_become_the_receivers() {
    let table = [
        ("datname", "shop"),
        ("schemaname", "public"),
        ("relname", "t"),
        // The operator's own.
        ("source", "prometheus"),
    ];
    let index = [
        ("schemaname", "public"),
        ("relname", "t"),
        ("indexrelname", "i"),
    ];
    let out = processed(
        RENAME,
        &batch(vec![
            counter(
                "pg_statio_user_tables_heap_blocks_read",
                vec![point(&table, 1.0)],
            ),
            counter(
                "pg_statio_user_tables_tidx_blks_hit_total",
                vec![point(&table, 2.0)],
            ),
            counter("pg_stat_user_indexes_idx_scan", vec![point(&index, 3.0)]),
        ]),
    );
    let names = metrics(&out).iter().map(|metric| metric.name.as_str());
    assert_eq!(
        names.collect::<Vec<_>>(),
        [
            "postgresql.blocks_read",
            "postgresql.blocks_read",
            "postgresql.index.scans"
        ]
    );
    let attributes = |metric: usize| points(&metrics(&out)[metric])[0].attributes.clone();
    let table = |source| {
        vec![
            text("db.namespace", "shop|public"),
            text("db.collection.name", "t"),
            text("source", source),
        ]
    };
    assert_eq!(attributes(0), table("heap_read"));
    assert_eq!(attributes(1), table("tidx_hit"));
    assert_eq!(
        attributes(2),
        [
            text("db.namespace", "public"),
            text("db.collection.name", "t"),
            text("postgresql.index.name", "i")
        ]
    );
}

#[test]
fn duplicates_stand_beside_what_they_are_made_of() {
    let before = batch(vec![gauge(
        "pg_stat_database_deadlocks",
        vec![point(&[("datname", "shop")], 1.0)],
    )]);
    let config = r#"{"metrics":{"derive":false,"unify":"duplicate"}}"#;
    let out = processed(config, &before);
    let [original, copy] = metrics(&out) else {
        panic!("{out:?}")
    };
    assert_eq!(original, &metrics(&before)[0]);
    assert_eq!(copy, &metrics(&processed(RENAME, &before))[0]);
    // What was copied already is not copied again, and what another has under the name is no copy.
    assert_eq!(metrics(&processed(config, &out)).len(), 2);
    let others = vec![point(&[("postgresql.database.name", "crm")], 4.0)];
    let mut both = before.clone();
    let scope = &mut both.resource_metrics[0].scope_metrics[0];
    scope.metrics.push(counter("postgresql.deadlocks", others));
    assert_eq!(metrics(&processed(config, &both)).len(), 3);
}

/// Both in one scope, as a collector in front may have put them.
#[test]
fn of_what_the_receiver_has_already_no_duplicate_is_made() {
    let point = |attributes: &[(&str, &str)]| point(attributes, 1.0);
    let table = |relname| {
        [
            ("datname", "a"),
            ("schemaname", "public"),
            ("relname", relname),
        ]
    };
    let before = batch(vec![
        counter(
            "postgresql.deadlocks",
            vec![point(&[("db.namespace", "a")])],
        ),
        gauge(
            "pg_stat_database_deadlocks",
            vec![
                point(&[("datid", "5"), ("datname", "a")]),
                point(&[("datid", "6"), ("datname", "b")]),
                point(&[("datname", "a"), ("server", "other:5432")]),
            ],
        ),
        counter(
            "postgresql.rows",
            vec![point(&[
                ("state", "dead"),
                ("db.collection.name", "t"),
                ("db.namespace", "a|public"),
            ])],
        ),
        gauge("pg_stat_user_tables_n_dead_tup", vec![point(&table("t"))]),
        gauge("pg_stat_user_tables_n_live_tup", vec![point(&table("t"))]),
    ]);
    let config = r#"{"metrics":{"derive":false,"unify":"duplicate"}}"#;
    let out = processed(config, &before);
    let (originals, copies) = metrics(&out).split_at(5);
    assert_eq!(originals, metrics(&before));
    let shown = copies.iter().flat_map(|copy| {
        points(copy).iter().map(|point| {
            let get = |key| get(&point.attributes, key).unwrap_or_default();
            let place = ["db.namespace", "server", "state"].map(get).join(" ");
            format!("{} {place}", copy.name)
        })
    });
    assert_eq!(
        shown.collect::<Vec<_>>(),
        [
            "postgresql.deadlocks b  ",
            "postgresql.deadlocks a other:5432 ",
            "postgresql.rows a|public  live",
        ]
    );
    // Another server has nothing yet.
    let mut two = before;
    let mut other = two.resource_metrics[0].clone();
    other.scope_metrics[0].metrics.truncate(2);
    let receivers = other.scope_metrics[0].metrics.remove(0);
    two.resource_metrics[0].scope_metrics[0].metrics = vec![receivers];
    two.resource_metrics.push(other);
    let out = processed(config, &two);
    let copies = &out.resource_metrics[1].scope_metrics[0].metrics[1..];
    assert_eq!(
        copies.iter().map(|copy| points(copy).len()).sum::<usize>(),
        3
    );
}

#[test]
fn what_is_not_meant_comes_back_as_the_slice_that_came() {
    let statement = format!("SELECT '{SECRET}'");
    let histogram = Histogram {
        data_points: vec![HistogramDataPoint {
            attributes: vec![text("datname", "shop")],
            exemplars: vec![Exemplar::default()],
            ..HistogramDataPoint::default()
        }],
        aggregation_temporality: CUMULATIVE,
    };
    let bytes = batch(vec![
        gauge("http_requests", vec![point(&[("query", &statement)], 1.0)]),
        metric("pg_stat_database_blks_hit", Data::Histogram(histogram)),
        gauge("pg_settings_work_mem_bytes", vec![point(&[], 1.0)]),
        gauge("pg_up", Vec::new()),
    ])
    .encode_to_vec();
    for config in ["", RENAME, PLAIN, r#"{"metrics":{"enabled":false}}"#] {
        let mut processor = processor(config);
        let out = processor.process_metrics(&bytes).expect("OTLP");
        assert!(
            matches!(out, Cow::Borrowed(same) if same.as_ptr() == bytes.as_ptr()),
            "{config}"
        );
    }
}

#[test]
fn a_metric_that_cannot_be_read_goes_on_without_what_may_be_sensitive() {
    let statement = format!("SELECT '{SECRET}'");
    let whole = point(&[("datname", "shop"), ("query", &statement)], 7.0).encode_to_vec();
    // An attribute whose text is said to be a number.
    let broken = [&whole[..], b"\x3a\x08\x0a\x02up\x12\x02\x08\x01"].concat();
    let wrap = |tag: u8, bytes: &[u8]| {
        let mut out = vec![tag << 3 | 2];
        prost::encoding::encode_varint(bytes.len() as u64, &mut out);
        out.extend(bytes);
        out
    };
    let metric = [
        wrap(1, b"pg_stat_statements_calls"),
        wrap(5, &[wrap(1, &whole), wrap(1, &broken)].concat()),
    ];
    let bytes = wrap(1, &wrap(2, &wrap(2, &metric.concat())));
    let out = processor(PLAIN).process_metrics(&bytes).expect("OTLP");
    let out = MetricsData::decode(&*out).expect("OTLP");
    let points = points(&metrics(&out)[0]);
    assert_eq!(points.len(), 2);
    for point in points {
        let get = |key| get(&point.attributes, key);
        assert_eq!((get("datname"), get("query")), (Some("shop"), None));
        assert!(get("pgmesh.error").is_some_and(|error| error.contains("another type")));
        assert_eq!(number(point), 7.0);
    }
}

/// The gauges that the processor has put behind a batch: `name{namespace|collection}` and the value.
fn derived(out: &MetricsData) -> BTreeMap<String, f64> {
    let mut found = BTreeMap::new();
    for resource in &out.resource_metrics {
        for scope in &resource.scope_metrics {
            if scope
                .scope
                .as_ref()
                .is_none_or(|scope| scope.name != "pgmesh-otel-processor")
            {
                continue;
            }
            for metric in &scope.metrics {
                for point in points(metric) {
                    let get = |key| get(&point.attributes, key).unwrap_or_default();
                    let name = metric
                        .name
                        .strip_prefix("pgmesh.postgresql.")
                        .expect("ours");
                    let place = [get("db.namespace"), get("db.collection.name")].join(" ");
                    let twice =
                        found.insert(format!("{name} {place}").trim().to_owned(), number(point));
                    assert_eq!(twice, None, "{name} {place}");
                }
            }
        }
    }
    found
}

/// Sends a metric at so many seconds; what is derived.
fn at(processor: &mut Processor, seconds: u64, mut batch: MetricsData) -> BTreeMap<String, f64> {
    for resource in &mut batch.resource_metrics {
        for metric in &mut resource.scope_metrics[0].metrics {
            if let Some(Data::Gauge(Gauge { data_points }) | Data::Sum(Sum { data_points, .. })) =
                &mut metric.data
            {
                for point in data_points {
                    point.time_unix_nano = seconds * SECOND;
                }
            }
        }
    }
    let bytes = batch.encode_to_vec();
    let out = processor.process_metrics(&bytes).expect("OTLP");
    let out = MetricsData::decode(&*out).expect("OTLP");
    assert_eq!(
        out.resource_metrics[..batch.resource_metrics.len()],
        batch.resource_metrics
    );
    derived(&out)
}

fn expect(found: &BTreeMap<String, f64>, expected: &[(&str, f64)]) {
    let expected = expected
        .iter()
        .map(|(name, value)| ((*name).to_owned(), *value));
    assert_eq!(found, &expected.collect());
}

#[test]
fn every_family_gives_the_same_gauges() {
    // Before, after ten seconds, and after the counters began anew.
    let scrapes = [
        [1000.0, 400.0, 7.0],
        [1090.0, 410.0, 9.0],
        [30.0, 10.0, 1.0],
    ];
    let databases = |column: &'static str, label: &'static str, value: f64| {
        let point = |name: &str| point(&[(label, name)], value);
        counter(column, ["shop", "template1", ""].map(point).to_vec())
    };
    type Family = (&'static str, &'static str, [&'static str; 3]);
    let families: [Family; 4] = [
        (
            "pg_stat_database_",
            "datname",
            ["blks_hit", "blks_read", "deadlocks"],
        ),
        (
            "cnpg_pg_stat_database_",
            "datname",
            ["blks_hit", "blks_read", "deadlocks"],
        ),
        (
            "ccp_stat_database_",
            "dbname",
            ["blks_hit", "blks_read", "deadlocks"],
        ),
        (
            "postgresql.",
            "db.namespace",
            ["blks_hit", "blks_read", "deadlocks"],
        ),
    ];
    for (prefix, label, columns) in families {
        let mut processor = processor("");
        let mut scrape = |seconds, values: [f64; 3]| {
            let metrics = columns.iter().zip(values);
            let metrics = metrics.map(|(column, value)| {
                let name: &'static str = format!("{prefix}{column}").leak();
                databases(name, label, value)
            });
            at(&mut processor, seconds, batch(metrics.collect()))
        };
        expect(&scrape(100, scrapes[0]), &[]);
        expect(
            &scrape(110, scrapes[1]),
            &[("cache.hit_ratio shop", 0.9), ("deadlock.rate shop", 12.0)],
        );
        expect(
            &scrape(120, scrapes[2]),
            &[("cache.hit_ratio shop", 0.75), ("deadlock.rate shop", 6.0)],
        );
    }
}

#[test]
fn what_a_server_has_but_once_is_computed_over_all_its_databases() {
    let activity = [
        ("active", "client backend", 3.0),
        ("", "walsender", 50.0),
        ("idle", "", 7.0),
    ];
    let activity = |name: &str, factor: f64| {
        let points = activity.iter().map(|(state, backend, value)| {
            point(
                &[("state", state), ("backend_type", backend)],
                value * factor,
            )
        });
        gauge(name, points.collect())
    };
    let setting = |name, value| point(&[("name", name)], value);
    let backends = |database: &str, value| point(&[("datname", database)], value);
    for metrics in [
        vec![
            activity("pg_stat_activity_count", 1.0),
            activity("pg_stat_activity_max_tx_duration", 2.0),
            gauge("pg_settings_max_connections", vec![point(&[], 40.0)]),
            gauge("pg_replication_lag_seconds", vec![point(&[], 2.5)]),
        ],
        vec![
            gauge(
                "cnpg_backends_total",
                vec![backends("a", 4.0), backends("b", 6.0), backends("", 9.0)],
            ),
            gauge(
                "cnpg_backends_max_tx_duration_seconds",
                vec![backends("a", 14.0), backends("b", 6.0), backends("", 99.0)],
            ),
            gauge(
                "cnpg_pg_settings_setting",
                vec![
                    setting("work_mem", 4096.0),
                    setting("max_connections", 40.0),
                ],
            ),
            gauge("cnpg_pg_replication_lag", vec![point(&[], 2.5)]),
        ],
        vec![
            gauge("ccp_connection_stats_total", vec![point(&[], 10.0)]),
            gauge(
                "ccp_connection_stats_max_query_time",
                vec![point(&[], 14.0)],
            ),
            gauge(
                "ccp_connection_stats_max_connections",
                vec![point(&[], 40.0)],
            ),
            gauge("ccp_replication_lag_replay_time", vec![point(&[], 2.5)]),
        ],
    ] {
        expect(
            &at(&mut processor(""), 100, batch(metrics)),
            &[
                ("connection.utilization", 0.25),
                ("replication.lag", 2.5),
                ("transaction.max_duration", 14.0),
            ],
        );
    }
}

#[test]
fn the_receivers_resources_are_one_server() {
    let resource = |parts: &[(&str, &str)], metrics| {
        let mut batch = batch(metrics);
        let resource = batch.resource_metrics[0]
            .resource
            .as_mut()
            .expect("it is there");
        resource
            .attributes
            .extend(parts.iter().map(|(key, value)| text(key, value)));
        batch.resource_metrics.remove(0)
    };
    let mut processor = processor("");
    let mut scrape = |seconds, commits: f64| {
        let database = |name, factor| {
            let metrics = vec![
                counter("postgresql.commits", vec![point(&[], commits * factor)]),
                counter("postgresql.rollbacks", vec![point(&[], commits)]),
                counter("postgresql.backends", vec![point(&[], 5.0)]),
            ];
            resource(&[("postgresql.database.name", name)], metrics)
        };
        let row = |state, value| point(&[("state", state)], value);
        let table = [
            ("postgresql.database.name", "a"),
            ("postgresql.schema.name", "public"),
            ("postgresql.table.name", "orders"),
        ];
        let max = vec![gauge("postgresql.connection.max", vec![point(&[], 100.0)])];
        let rows = vec![counter(
            "postgresql.rows",
            vec![row("dead", 1.0), row("live", 3.0)],
        )];
        let resource_metrics = vec![
            database("a", 1.0),
            resource(&table, rows),
            resource(&[], max),
            database("b", 3.0),
        ];
        at(&mut processor, seconds, MetricsData { resource_metrics })
    };
    let always = [
        ("connection.utilization", 0.1),
        ("table.dead_row_ratio a|public orders", 0.25),
    ];
    expect(&scrape(100, 10.0), &always);
    let rates = [
        ("transaction.rate a", 2.0),
        ("transaction.rate b", 4.0),
        ("transaction.rollback_ratio a", 0.5),
        ("transaction.rollback_ratio b", 0.25),
    ];
    expect(&scrape(110, 20.0), &[&always[..], &rates].concat());
}

#[test]
fn gauges_come_with_the_resource_of_their_server() {
    let mut before = batch(vec![gauge("pg_replication_lag", vec![point(&[], 1.0)])]);
    before.resource_metrics[0].schema_url = "https://opentelemetry.io/schemas/1.37.0".to_owned();
    let mut other = before.resource_metrics[0].clone();
    other.resource = None;
    before.resource_metrics.push(other);
    let out = processed("", &before);
    assert_eq!(out.resource_metrics[..2], before.resource_metrics);
    assert_eq!(out.resource_metrics.len(), 4);
    for (made, source) in out.resource_metrics[2..]
        .iter()
        .zip(&before.resource_metrics)
    {
        assert_eq!(made.resource, source.resource);
        assert_eq!(made.schema_url, source.schema_url);
        let [metric] = &made.scope_metrics[0].metrics[..] else {
            panic!("{made:?}")
        };
        assert_eq!(metric.name, "pgmesh.postgresql.replication.lag");
        assert_eq!(metric.unit, "s");
        assert_eq!(points(metric)[0].time_unix_nano, 60 * SECOND);
    }
}

#[test]
fn deltas_are_rates_at_once_and_ended_series_say_nothing() {
    let mut written = point(&[("datname", "shop")], 500.0);
    written.start_time_unix_nano = 90 * SECOND;
    let mut delta = counter("pg_stat_database_temp_bytes", vec![written]);
    if let Some(Data::Sum(sum)) = &mut delta.data {
        sum.aggregation_temporality = 1;
    }
    let mut ended = point(&[], 0.0);
    ended.flags = 1;
    let ended = gauge("pg_replication_lag", vec![ended]);
    expect(
        &at(&mut processor(""), 100, batch(vec![delta, ended])),
        &[("temp.io.rate shop", 50.0)],
    );
}

/// `Gauge` has no fields 2 and 3; `Sum` has.
#[test]
fn what_a_gauge_has_besides_does_not_break_the_sum_that_it_becomes() {
    let mut bytes = Vec::new();
    otlp_wire::Writer::new(&mut bytes).message(1, |resource| {
        resource.message(2, |scope| {
            scope.message(2, |metric| {
                metric.text(1, "pg_stat_database_blks_hit");
                metric.message(5, |gauge| {
                    gauge.message(1, |point| point.double(4, 1.0));
                    gauge.text(2, "cumulative");
                    gauge.fixed64(3, 1);
                });
            });
        });
    });
    let out = processor(RENAME).process_metrics(&bytes).expect("OTLP");
    let out = MetricsData::decode(&*out).expect("OTLP");
    let [metric] = metrics(&out) else {
        panic!("{out:?}");
    };
    assert_eq!(metric.name, "postgresql.blks_hit");
    assert!(matches!(&metric.data, Some(Data::Sum(sum)) if sum.is_monotonic));
}
