//! Each row of the tables of names and inputs, through the processor; and what the README says of inputs.

use std::collections::BTreeSet;

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, MetricsData, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
};
use prost::Message;

use super::derived::{Formula, GAUGES};
use super::inputs::{Input, Level, ROWS, Row, When, rows};
use super::names::{Kind, SEMANTICS, Semantic};
use crate::Processor;

/// What families put in front of a view and its column, and Prometheus behind a counter.
const AROUND: [(&str, &str); 4] = [
    ("pg_", ""),
    ("pg_", "_total"),
    ("cnpg_pg_", ""),
    ("ccp_", ""),
];

const RENAME: &str = r#"{"metrics":{"derive":false,"unify":"rename"}}"#;
const SECOND: u64 = 1_000_000_000;

fn label((key, value): (&str, &str)) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(any_value::Value::StringValue(value.to_owned())),
        }),
        ..KeyValue::default()
    }
}

/// A metric with one point.
fn metric(name: &str, kind: Kind, labels: &[(&str, &str)], (seconds, value): (u64, f64)) -> Metric {
    let data_points = vec![NumberDataPoint {
        attributes: labels.iter().copied().map(label).collect(),
        time_unix_nano: seconds.saturating_mul(SECOND),
        value: Some(Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }];
    let data = match kind {
        Kind::Gauge => Data::Gauge(Gauge { data_points }),
        Kind::Counter | Kind::UpDown => Data::Sum(Sum {
            data_points,
            aggregation_temporality: 2,
            is_monotonic: kind == Kind::Counter,
        }),
    };
    Metric {
        name: name.to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn processed(processor: &mut Processor, metrics: Vec<Metric>) -> Vec<Metric> {
    let batch = MetricsData {
        resource_metrics: vec![ResourceMetrics {
            scope_metrics: vec![ScopeMetrics {
                metrics,
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }],
    };
    let bytes = batch.encode_to_vec();
    let out = processor.process_metrics(&bytes).expect("OTLP");
    let out = MetricsData::decode(&*out).expect("OTLP");
    let scopes = out.resource_metrics.into_iter().map(|it| it.scope_metrics);
    scopes.flatten().flat_map(|scope| scope.metrics).collect()
}

fn processor(config: &str) -> Processor {
    Processor::configure(config.as_bytes()).expect("a configuration")
}

/// Asserts that a metric with some labels is what the receiver would have said.
fn assert_renamed(
    name: &str,
    semantic: &Semantic,
    (kind, labels): (Kind, &[(&str, &str)]),
    expected: &[(&str, &str)],
) {
    let before = metric(name, kind, labels, (60, 7.0));
    let mut expected = metric(semantic.name, semantic.kind, expected, (60, 7.0));
    semantic.unit.clone_into(&mut expected.unit);
    let out = processed(&mut processor(RENAME), vec![before]);
    assert_eq!(out, [expected], "{name}");
}

#[test]
fn each_column_gets_the_receivers_name_unit_kind_and_attributes() {
    let mut columns = BTreeSet::new();
    for semantic in &SEMANTICS {
        let added = semantic.adds.into_iter();
        let expected: Vec<_> = [("db.namespace", "shop")]
            .into_iter()
            .chain(added)
            .collect();
        for column in semantic.columns.split(' ').filter(|it| !it.is_empty()) {
            assert!(columns.insert(column), "{column} stands twice");
            for (family, total) in AROUND {
                let name = format!("{family}{column}{total}");
                for kind in [Kind::Gauge, semantic.kind] {
                    let labels = [("datname", "shop")];
                    assert_renamed(&name, semantic, (kind, &labels), &expected);
                }
            }
        }
    }
}

/// By the rules for Prometheus names.
fn spelled(semantic: &Semantic) -> String {
    let unit = match semantic.unit {
        "By" => "_bytes",
        "s" => "_seconds",
        "ms" => "_milliseconds",
        "1" => "",
        annotation => {
            assert!(annotation.starts_with('{'), "{semantic:?}");
            ""
        }
    };
    let total = match semantic.kind {
        Kind::Counter => "_total",
        Kind::Gauge | Kind::UpDown => "",
    };
    format!("{}{unit}{total}", semantic.name.replace('.', "_"))
}

#[test]
fn each_name_of_the_receivers_is_known_as_prometheus_spells_it() {
    for semantic in &SEMANTICS {
        let kind = match semantic.kind {
            Kind::Counter => Kind::Counter,
            Kind::Gauge | Kind::UpDown => Kind::Gauge,
        };
        let told = semantic.adds.into_iter();
        let with = |name| told.clone().chain([(name, "shop")]).collect::<Vec<_>>();
        let (labels, expected) = (with("db_namespace"), with("db.namespace"));
        assert_renamed(&spelled(semantic), semantic, (kind, &labels), &expected);
        let alike = SEMANTICS.iter().filter(|it| it.name == semantic.name);
        for other in alike {
            assert_eq!((other.unit, other.kind), (semantic.unit, semantic.kind));
        }
    }
}

/// The input that comes first in a formula, and the other one.
fn inputs(formula: Formula) -> (Input, Option<Input>) {
    match formula {
        Formula::Itself(one) | Formula::Times(one, _) | Formula::Left(_, one) => (one, None),
        Formula::Sum(one, other) | Formula::Ratio(one, other) | Formula::Share(one, other) => {
            (one, Some(other))
        }
    }
}

/// Of 9 and 1.
fn expected(formula: Formula) -> f64 {
    match formula {
        Formula::Itself(_) | Formula::Ratio(..) => 9.0,
        Formula::Times(_, factor) => 9.0 * factor,
        Formula::Left(whole, _) => whole - 9.0,
        Formula::Sum(..) => 10.0,
        Formula::Share(..) => 0.9,
    }
}

/// The names of a row's metric.
fn names(row: &Row) -> Vec<String> {
    match row.metric {
        name if name.starts_with("postgresql.") => vec![name.to_owned(), name.replace('.', "_")],
        name if name.starts_with("cnpg_") => vec![name.to_owned()],
        column => AROUND
            .map(|(family, total)| format!("{family}{column}{total}"))
            .to_vec(),
    }
}

type Labels = Vec<(&'static str, &'static str)>;

/// Labels of points that count, and of some that do not.
fn labels(row: &Row) -> (Vec<Labels>, Vec<Labels>) {
    let place: &[_] = match row.level {
        Level::Server => &[],
        Level::Database => &[("datname", "shop")],
        Level::Table => &[
            ("datname", "shop"),
            ("schemaname", "public"),
            ("relname", "t"),
        ],
    };
    let with = |key, value| [place, &[(key, value)]].concat();
    match row.when {
        When::Always => (vec![place.to_vec()], Vec::new()),
        When::Is(key, values) => {
            let mut counting: Vec<_> = values.iter().map(|value| with(key, value)).collect();
            let mut others = vec![with(key, "another")];
            match values.contains(&"") {
                true => &mut counting,
                false => &mut others,
            }
            .push(place.to_vec());
            (counting, others)
        }
        When::HasDatabase => (
            vec![with("datname", "shop")],
            vec![with("datname", ""), place.to_vec()],
        ),
    }
}

/// What a gauge is after two scrapes, each with these metrics: name, labels, and the value or increase
/// per second.
fn gauge(name: &str, metrics: &[(&str, &Row, &Labels, f64)]) -> Option<Metric> {
    let mut processor = processor("");
    let mut scrape = |seconds: u64| {
        let metrics = metrics.iter().map(|(name, row, labels, value)| {
            let value = match row.input.is_counter() {
                true => value * seconds as f64,
                false => *value,
            };
            metric(name, Kind::Gauge, labels, (seconds, value))
        });
        processed(&mut processor, metrics.collect())
    };
    scrape(100);
    scrape(110).into_iter().find(|metric| metric.name == name)
}

#[test]
fn each_input_gives_its_gauges_in_each_family() {
    for row in &ROWS {
        let gauges = GAUGES.iter().map(|gauge| (gauge, inputs(gauge.formula)));
        let gauges = gauges.filter(|(_, (one, other))| {
            *one == row.input || other.is_some_and(|other| other == row.input)
        });
        let mut some = false;
        for (made, (one, other)) in gauges {
            some = true;
            let (value, partner) = match one == row.input {
                true => (9.0, other.map(|other| (other, 1.0))),
                false => (1.0, Some((one, 9.0))),
            };
            let partner = partner.map(|(input, value)| {
                let mut rows = ROWS.iter();
                let row = rows.find(|it| it.input == input && it.level == row.level);
                let row = row.expect("each input is of one level");
                (row, names(row).remove(0), labels(row).0.remove(0), value)
            });
            let made_of = |name: &str, labels: &Labels| {
                let partner = partner.as_ref();
                let partner =
                    partner.map(|(row, name, labels, value)| (&**name, *row, labels, *value));
                let both = [(name, row, labels, value)].into_iter().chain(partner);
                gauge(made.name, &both.collect::<Vec<_>>())
            };
            let (counting, others) = labels(row);
            for name in names(row) {
                for labels in &counting {
                    let found =
                        made_of(&name, labels).unwrap_or_else(|| panic!("{name} {labels:?}"));
                    assert_gauge(&found, row.level, expected(made.formula));
                }
                for labels in &others {
                    assert_eq!(made_of(&name, labels), None, "{name} {labels:?}");
                }
            }
        }
        assert!(some, "{row:?} goes into no gauge");
    }
}

fn assert_gauge(found: &Metric, level: Level, expected: f64) {
    let Some(Data::Gauge(Gauge { data_points })) = &found.data else {
        panic!("{found:?}");
    };
    let [point] = data_points.as_slice() else {
        panic!("{found:?}");
    };
    let Some(Value::AsDouble(value)) = point.value else {
        panic!("{found:?}");
    };
    assert!((value - expected).abs() < 1e-9 * expected, "{found:?}");
    let place: &[_] = match level {
        Level::Server => &[],
        Level::Database => &[("db.namespace", "shop")],
        Level::Table => &[("db.namespace", "shop|public"), ("db.collection.name", "t")],
    };
    let place: Vec<_> = place.iter().copied().map(label).collect();
    assert_eq!(point.attributes, place, "{found:?}");
}

#[test]
fn where_a_server_says_one_thing_twice_the_first_row_counts() {
    for made in &GAUGES {
        let Formula::Itself(input) = made.formula else {
            continue;
        };
        let rows: Vec<_> = ROWS.iter().filter(|row| row.input == input).collect();
        let pairs = rows.windows(2).filter(|_| !input.is_counter());
        for pair in pairs {
            let with = |row: &'static Row, value| {
                (names(row).remove(0), row, labels(row).0.remove(0), value)
            };
            let (one, other) = (with(pair[0], 3.0), with(pair[1], 5.0));
            for both in [[&one, &other], [&other, &one]] {
                let both = both.map(|(name, row, labels, value)| (&**name, *row, labels, *value));
                let found = gauge(made.name, &both).expect("a gauge");
                assert_gauge(&found, pair[0].level, 3.0);
            }
        }
    }
}

/// The cells of the README's table of what gauges are computed from, its head first.
fn cells() -> Vec<Vec<String>> {
    let readme = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = std::fs::read_to_string(readme).expect("the README");
    let mut lines = readme.lines();
    let is_head = |line: &&str| line.starts_with("| `pgmesh.postgresql.` | postgres_exporter");
    let head = lines.find(is_head).expect("a table");
    let body = lines.skip(1).take_while(|line| line.starts_with('|'));
    let cells = |line: &str| {
        line.trim_matches('|')
            .split('|')
            .map(str::to_owned)
            .collect()
    };
    [head].into_iter().chain(body).map(cells).collect()
}

/// What stands between backquotes.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_readme_says_what_each_gauge_is_computed_from_in_each_family() {
    let cells = cells();
    let (head, body) = cells.split_first().expect("a head");
    let mut said = BTreeSet::new();
    let mut gauges = BTreeSet::new();
    for line in body {
        let gauge = format!("pgmesh.postgresql.{}", quoted(&line[0])[0]);
        let made = GAUGES.iter().find(|it| it.name == gauge).expect(&gauge);
        let (one, other) = inputs(made.formula);
        gauges.insert(gauge.clone());
        for (family, cell) in head.iter().zip(line).skip(1) {
            let family = quoted(family)[0];
            let mut found = Vec::new();
            for name in quoted(cell) {
                let name = format!("{family}{name}");
                if name.ends_with("blocks_read") {
                    assert_eq!(rows(name.as_bytes()).count(), 0, "no input");
                    continue;
                }
                let before = found.len();
                for (place, row) in rows(name.as_bytes()) {
                    said.insert(place);
                    found.push(row.input);
                }
                assert!(found.len() > before, "{name} is no input");
            }
            let none = cell.trim() == "none";
            assert_eq!(found.is_empty(), none, "{family}: {cell}");
            let is_in = |input: &Input| *input == one || other == Some(*input);
            assert!(found.iter().all(is_in), "{gauge} of {cell}");
            let has_all = found.contains(&one) && other.is_none_or(|it| found.contains(&it));
            assert!(none || has_all, "{gauge} of {cell}");
            // Of views nobody knows which family has them; of the receiver's own metrics one does.
            let is_receivers =
                |row: &&Row| row.metric.starts_with("postgresql.") && is_in(&row.input);
            assert!(!none || family != "postgresql." || !ROWS.iter().any(|row| is_receivers(&row)));
        }
    }
    assert_eq!(gauges.len(), GAUGES.len());
    let unsaid = ROWS
        .iter()
        .enumerate()
        .filter(|(place, _)| !said.contains(place));
    assert_eq!(
        unsaid.map(|(_, row)| row.metric).collect::<Vec<_>>(),
        [""; 0]
    );
}
