//! Any metrics through the processor, against a model of it that works on decoded messages.

use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, Gauge, Metric, MetricsData, NumberDataPoint, Sum,
};
use proptest::prelude::*;
use prost::Message;

use crate::metrics::{CUMULATIVE, RENAME, batch, counter, gauge, point, processed};
use crate::otlp::{SECRET, processor, text};

/// A name, what it becomes, the unit, an attribute that comes with it, and for a sum, whether it only grows.
type Renamed = (
    &'static str,
    &'static str,
    &'static str,
    Option<(&'static str, &'static str)>,
    Option<bool>,
);

/// What a rename makes of some metrics, without the processor's table.
const RENAMED: &[Renamed] = &[
    (
        "pg_stat_database_xact_rollback",
        "postgresql.rollbacks",
        "1",
        None,
        Some(true),
    ),
    (
        "cnpg_pg_stat_database_temp_bytes",
        "postgresql.temp.io",
        "By",
        None,
        Some(true),
    ),
    (
        "ccp_database_size_bytes",
        "postgresql.db_size",
        "By",
        None,
        Some(false),
    ),
    (
        "pg_stat_bgwriter_buffers_clean_total",
        "postgresql.bgwriter.buffers.writes",
        "{buffers}",
        Some(("source", "bgwriter")),
        Some(true),
    ),
    (
        "pg_settings_max_connections",
        "postgresql.connection.max",
        "{connections}",
        None,
        None,
    ),
];

/// Statements with data in them.
const WITH_DATA: [&str; 3] = [
    "SELECT 'x'",
    "SELECT a FROM t WHERE b = 1 OR c = $2",
    "INSERT INTO t VALUES (1, 'Ж')",
];

/// Whether an attribute holds a query text, by its name or by itself.
fn is_text(attribute: &KeyValue) -> bool {
    let value = attribute.value.as_ref().and_then(|any| any.value.as_ref());
    let has_data = |value: &any_value::Value| matches!(value, any_value::Value::StringValue(text) if WITH_DATA.contains(&&**text));
    attribute.key == "query" || value.is_some_and(has_data)
}

/// What the processor should make of a metric, on decoded messages.
fn model(metric: &mut Metric) {
    let row = RENAMED.iter().find(|row| row.0 == metric.name);
    let is_ours = metric.name.starts_with("pg_") || row.is_some();
    let edit = |point: &mut NumberDataPoint| {
        let mut fingerprint = None;
        for attribute in &mut point.attributes {
            if is_text(attribute) {
                let value = attribute.value.as_mut().expect("a value");
                if let Some(any_value::Value::StringValue(text)) = &mut value.value {
                    let options = pg_sql::RedactOptions::default();
                    let (redacted, found) =
                        pg_sql::redact_and_fingerprint(text.as_bytes(), &options);
                    // That of the first.
                    fingerprint.get_or_insert((!text.is_empty()).then(|| found.to_string()));
                    *text = String::from_utf8(redacted.text).expect("UTF-8");
                }
            } else if row.is_some() && matches!(&*attribute.key, "datname" | "dbname") {
                "db.namespace".clone_into(&mut attribute.key);
            }
        }
        let fingerprint = fingerprint
            .flatten()
            .map(|found| text("pgmesh.fingerprint", &found));
        point.attributes.extend(fingerprint);
        let added = row.and_then(|row| row.3);
        point
            .attributes
            .extend(added.map(|(key, value)| text(key, value)));
    };
    if is_ours {
        match &mut metric.data {
            Some(Data::Gauge(Gauge { data_points }) | Data::Sum(Sum { data_points, .. })) => {
                data_points.iter_mut().for_each(edit);
                if data_points.is_empty() {
                    return;
                }
            }
            _ => return,
        }
    }
    if let Some((_, name, unit, _, monotonic)) = row {
        (*name).clone_into(&mut metric.name);
        (*unit).clone_into(&mut metric.unit);
        if let (Some(Data::Gauge(gauge)), Some(is_monotonic)) = (&mut metric.data, monotonic) {
            metric.data = Some(Data::Sum(Sum {
                data_points: std::mem::take(&mut gauge.data_points),
                aggregation_temporality: CUMULATIVE,
                is_monotonic: *is_monotonic,
            }));
        }
    }
}

fn any_point() -> impl Strategy<Value = NumberDataPoint> {
    let key = prop::sample::select(vec!["datname", "dbname", "query", "state", "Ж"]);
    let value = prop::sample::select([&["", "shop"], &WITH_DATA[..]].concat());
    let attributes = prop::collection::btree_map(key, value, 0..4);
    (attributes, any::<u64>(), any::<Option<i64>>(), 0..3_usize).prop_map(
        |(attributes, time, value, exemplars)| {
            let mut attributes = attributes;
            if attributes.contains_key("datname") {
                attributes.remove("dbname");
            }
            NumberDataPoint {
                attributes: attributes
                    .iter()
                    .map(|(key, value)| text(key, value))
                    .collect(),
                start_time_unix_nano: time / 2,
                time_unix_nano: time,
                value: value.map(Value::AsInt),
                exemplars: vec![Exemplar::default(); exemplars],
                ..NumberDataPoint::default()
            }
        },
    )
}

fn any_metric() -> impl Strategy<Value = Metric> {
    let mut names = RENAMED.iter().map(|row| row.0).collect::<Vec<_>>();
    names.extend(["pg_stat_statements_calls", "pg_up", "node_load1", ""]);
    let points = prop::collection::vec(any_point(), 0..4);
    (
        prop::sample::select(names),
        points,
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(name, mut points, is_sum, has_unit)| {
            // Points of one metric differ in time, so that none becomes like another.
            for (place, point) in points.iter_mut().enumerate() {
                point.time_unix_nano = point.time_unix_nano / 8 * 8 + place as u64;
            }
            let mut metric = if is_sum {
                counter(name, points)
            } else {
                gauge(name, points)
            };
            if has_unit {
                "x".clone_into(&mut metric.unit);
            }
            metric
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_decoded_after_the_edit_is_the_edit_of_what_is_decoded(
        metrics in prop::collection::vec(any_metric(), 0..5)
    ) {
        let before = batch(metrics);
        let mut bytes = before.encode_to_vec();
        // The field 1000 is in no version of OTLP.
        let unknown = [0xc2, 0x3e, 3, b'n', b'e', b'w'];
        bytes.extend(unknown);
        let out = processor(RENAME).process_metrics(&bytes).expect("OTLP").into_owned();
        prop_assert!(out.ends_with(&unknown));
        let mut expected = before;
        expected.resource_metrics[0].scope_metrics[0].metrics.iter_mut().for_each(model);
        prop_assert_eq!(MetricsData::decode(&*out).expect("OTLP"), expected);
    }

    #[test]
    fn any_bytes_are_handled_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = processor("").process_metrics(&bytes);
    }

    #[test]
    fn a_batch_with_one_byte_changed_is_handled_or_refused(
        at in 0_usize..800,
        byte: u8,
        unify in prop::sample::select(vec!["off", "rename", "duplicate"])
    ) {
        let query = format!("SELECT '{SECRET}'");
        let attributes = [("datname", "shop"), ("queryid", "1"), ("query", &query)];
        let whole = batch(vec![
            gauge("pg_stat_database_blks_hit", vec![point(&attributes, 1.0), point(&attributes, 2.0)]),
            counter("pg_stat_database_blks_read", vec![point(&attributes, 1.0)]),
        ]);
        let mut bytes = whole.encode_to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        let mut processor = processor(&format!(r#"{{"metrics":{{"unify":"{unify}"}}}}"#));
        for _ in 0..2 {
            if let Ok(out) = processor.process_metrics(&bytes) {
                // What prost could read before, it can read now.
                if MetricsData::decode(bytes.as_slice()).is_ok() {
                    prop_assert!(MetricsData::decode(&*out).is_ok());
                }
            }
        }
    }

    #[test]
    fn no_literal_is_seen_wherever_a_point_has_it(
        key in prop::sample::select(vec!["query", "query_text", "statement", "db.query.text", "db.statement", "mine"]),
        unify in prop::sample::select(vec!["off", "rename", "duplicate"]),
        most in 0..2
    ) {
        let query = format!("SELECT * FROM t WHERE a = '{SECRET}' /* {SECRET} */");
        let config = format!(
            r#"{{"metrics":{{"unify":"{unify}","max_queries":{most},"query_attributes":["mine"]}}}}"#
        );
        for name in ["pg_stat_statements_calls", "pg_stat_database_blks_hit", "ccp_x", "cnpg_x", "postgresql.x"] {
            let out = processed(&config, &batch(vec![counter(name, vec![point(&[(key, &query), ("query", &query)], 1.0)])]));
            prop_assert!(!format!("{out:?}").contains(SECRET), "{:?}", out);
        }
    }
}
