//! Gauges that are computed from what exporters count: what dashboards and alerts are made of, under one
//! name whoever the exporter is.
//!
//! While a batch is walked, the points of `inputs` are gathered, by server, time, and database or table.
//! At its end each server's gauges are written as a `ResourceMetrics` of their own, behind the others.
//! Nothing is made of template databases, nor of what has no value (the share of nothing).

use otlp_wire::{Editor, KeyValue, Message, Writer, schema};
use schema::number_data_point as point;

use super::counters::{Counters, rate_of_delta};
use super::inputs::{INPUTS, Input, Level, Row, rows};
use super::names::{COLLECTION, NAMESPACE, Names, names};
use super::point::Point;
use super::source::{Source, is_part};
use crate::bounded::{Bounded, hash};
use crate::traces::Traces;

/// The instrumentation scope of what is written.
pub(super) const SCOPE: &str = "pgmesh-otel-processor";

/// How a gauge is computed; of counters the rate.
#[derive(Clone, Copy, Debug)]
enum Formula {
    Itself(Input),
    Times(Input, f64),
    /// What is left of so many.
    Left(f64, Input),
    Sum(Input, Input),
    Ratio(Input, Input),
    /// Of the first in both.
    Share(Input, Input),
}

/// A gauge.
struct Gauge {
    name: &'static str,
    /// By UCUM.
    unit: &'static str,
    description: &'static str,
    formula: Formula,
}

/// The age at which transaction ids wrap around (PostgreSQL documentation, 24.1.5).
const WRAPAROUND: f64 = 2_147_483_647.0;
const SECONDS_PER_MINUTE: f64 = 60.0;

const GAUGES: [Gauge; 12] = [
    Gauge {
        name: "pgmesh.postgresql.cache.hit_ratio",
        unit: "1",
        description: "Share of blocks asked for that were in shared buffers.",
        formula: Formula::Share(Input::BlocksHit, Input::BlocksRead),
    },
    Gauge {
        name: "pgmesh.postgresql.checkpoint.requested_ratio",
        unit: "1",
        description: "Share of checkpoints that were requested before their time.",
        formula: Formula::Share(Input::CheckpointsRequested, Input::CheckpointsTimed),
    },
    Gauge {
        name: "pgmesh.postgresql.connection.utilization",
        unit: "1",
        description: "Connections in use, of max_connections.",
        formula: Formula::Ratio(Input::Connections, Input::MaxConnections),
    },
    Gauge {
        name: "pgmesh.postgresql.deadlock.rate",
        unit: "{deadlock}/min",
        description: "Deadlocks per minute.",
        formula: Formula::Times(Input::Deadlocks, SECONDS_PER_MINUTE),
    },
    Gauge {
        name: "pgmesh.postgresql.replication.lag",
        unit: "s",
        description: "How far replay is behind the primary.",
        formula: Formula::Itself(Input::Lag),
    },
    Gauge {
        name: "pgmesh.postgresql.table.dead_row_ratio",
        unit: "1",
        description: "Share of a table's rows that are dead.",
        formula: Formula::Share(Input::DeadRows, Input::LiveRows),
    },
    Gauge {
        name: "pgmesh.postgresql.table.wasted_ratio",
        unit: "1",
        description: "Bytes of a table or index that hold nothing, of its size.",
        formula: Formula::Ratio(Input::WastedBytes, Input::Bytes),
    },
    Gauge {
        name: "pgmesh.postgresql.temp.io.rate",
        unit: "By/s",
        description: "Bytes per second written to temporary files.",
        formula: Formula::Itself(Input::TempBytes),
    },
    Gauge {
        name: "pgmesh.postgresql.transaction.max_duration",
        unit: "s",
        description: "How long the longest transaction has been open.",
        formula: Formula::Itself(Input::LongestTransaction),
    },
    Gauge {
        name: "pgmesh.postgresql.transaction.rate",
        unit: "{transaction}/s",
        description: "Transactions per second, committed or rolled back.",
        formula: Formula::Sum(Input::Commits, Input::Rollbacks),
    },
    Gauge {
        name: "pgmesh.postgresql.transaction.rollback_ratio",
        unit: "1",
        description: "Share of transactions that were rolled back.",
        formula: Formula::Share(Input::Rollbacks, Input::Commits),
    },
    Gauge {
        name: "pgmesh.postgresql.wraparound.headroom",
        unit: "{transaction}",
        description: "Transactions until transaction ids wrap around.",
        formula: Formula::Left(WRAPAROUND, Input::FrozenAge),
    },
];

impl Formula {
    /// None where an input is missing or the result is no number.
    fn value(self, group: &Group<'_>) -> Option<f64> {
        let input = |input| group.value(input);
        let value = match self {
            Self::Itself(one) => input(one)?,
            Self::Times(one, factor) => input(one)? * factor,
            Self::Left(whole, one) => whole - input(one)?,
            Self::Sum(one, other) => input(one)? + input(other)?,
            Self::Ratio(one, other) => input(one)? / input(other)?,
            Self::Share(one, other) => {
                let one = input(one)?;
                one / (one + input(other)?)
            }
        };
        value.is_finite().then_some(value)
    }
}

/// What points tell of.
#[derive(Clone, Copy, Debug, Default)]
struct Place<'a> {
    /// Where one exporter asks several servers.
    server: Option<&'a str>,
    database: Option<&'a str>,
    schema: Option<&'a str>,
    table: Option<&'a str>,
}

impl<'a> Place<'a> {
    /// Of a point at this level; None if it does not say, or of a template database.
    fn of(level: Level, point: &Point<'a>, source: &Source<'a>) -> Option<Self> {
        let mut all = source.place();
        for attribute in &point.attributes {
            let text = attribute.value.text();
            match names(attribute.key) {
                Some(Names::Server) => all.server = text,
                Some(Names::Database) => all.database = text,
                Some(Names::Schema) => all.schema = text,
                Some(Names::Table) => all.table = text,
                _ => {}
            }
        }
        let server = Self {
            server: all.server,
            ..Self::default()
        };
        let database = all.database.filter(|name| is_of_users(name));
        match level {
            Level::Server => Some(server),
            Level::Database => Some(Self {
                database: Some(database?),
                ..server
            }),
            Level::Table => Some(Self {
                database: Some(database?),
                schema: all.schema,
                table: Some(all.table?),
                ..server
            }),
        }
    }

    /// The attributes of the semantic conventions that say so.
    fn attributes(&self) -> [(&'static str, Option<String>); 3] {
        let namespace = match (self.database, self.schema) {
            (Some(database), Some(schema)) => Some(format!("{database}|{schema}")),
            (one, other) => one.or(other).map(str::to_owned),
        };
        [
            ("server", self.server.map(str::to_owned)),
            (NAMESPACE, namespace),
            (COLLECTION, self.table.map(str::to_owned)),
        ]
    }

    fn identity(&self) -> u64 {
        let parts = [self.server, self.database, self.schema, self.table];
        parts.iter().fold(0, |before, part| {
            let part = part.map_or(0, |part| hash(1, part.as_bytes()));
            hash(before, &part.to_le_bytes())
        })
    }
}

/// Whether a database is no template, and no word for what belongs to none.
fn is_of_users(database: &str) -> bool {
    let database = database.split('|').next().unwrap_or_default();
    !matches!(database, "" | "template0" | "template1")
}

impl<'a> Source<'a> {
    fn place(&self) -> Place<'a> {
        Place {
            server: None,
            database: self.database,
            schema: self.schema,
            table: self.table,
        }
    }
}

/// What is known of one place at one time.
#[derive(Debug)]
struct Group<'a> {
    /// Where in [`Gathered::servers`].
    server: usize,
    time: u64,
    place: Place<'a>,
    /// By input: the value, and which row of the table it is of.
    values: [Option<(usize, f64)>; INPUTS],
}

impl Group<'_> {
    fn value(&self, input: Input) -> Option<f64> {
        let value = self.values.get(input as usize)?.as_ref()?;
        Some(value.1)
    }

    /// Takes in another value: to those of the same metric, or in the place of one further down the
    /// table.
    fn add(&mut self, input: Input, row: usize, value: f64) {
        let Some(place) = self.values.get_mut(input as usize) else {
            return;
        };
        *place = match *place {
            Some((known, _)) if known < row => return,
            Some((known, before)) if known == row => {
                let both = if input.is_summed() {
                    before + value
                } else {
                    before.max(value)
                };
                Some((row, both))
            }
            _ => Some((row, value)),
        };
    }
}

/// What a batch says, as far as gauges are computed from it.
#[derive(Debug)]
pub(crate) struct Gathered<'a> {
    servers: Vec<Source<'a>>,
    server_places: Bounded<u64>,
    groups: Vec<Group<'a>>,
    group_places: Bounded<u64>,
}

impl<'a> Gathered<'a> {
    pub(crate) const fn new() -> Self {
        Self {
            servers: Vec::new(),
            server_places: Bounded::new(usize::MAX),
            groups: Vec::new(),
            group_places: Bounded::new(usize::MAX),
        }
    }

    /// Takes in the points of a metric.
    pub(crate) fn metric(
        &mut self,
        name: &[u8],
        points: &[Point<'a>],
        source: &Source<'a>,
        counters: &mut Counters,
    ) {
        for (place, row) in rows(name) {
            for point in points.iter().filter(|point| row.counts(point)) {
                self.point((place, row, name), point, source, counters);
            }
        }
    }

    fn point(
        &mut self,
        (row_place, row, name): (usize, &Row, &[u8]),
        point: &Point<'a>,
        source: &Source<'a>,
        counters: &mut Counters,
    ) {
        let Some(value) = point.value.map(|value| value.as_f64()) else {
            return;
        };
        let Some(place) = Place::of(row.level, point, source) else {
            return;
        };
        let value = match (row.input.is_counter(), point.is_delta) {
            (false, false) => Some(value),
            // A change of what is no counter.
            (false, true) => None,
            (true, true) => rate_of_delta(point, value),
            (true, false) => counters.rate(identity(name, point, source), point, value),
        };
        if let Some(value) = value.filter(|value| value.is_finite())
            && let Some(group) = self.group(source, point.time, place)
        {
            group.add(row.input, row_place, value);
        }
    }

    fn group(
        &mut self,
        source: &Source<'a>,
        time: u64,
        place: Place<'a>,
    ) -> Option<&mut Group<'a>> {
        let key = hash(place.identity(), &time.to_le_bytes());
        let key = hash(key, &source.server.to_le_bytes());
        let known = self.group_places.get(key).map(|place| place as usize);
        let known = known.unwrap_or_else(|| {
            let server = self.server(source);
            self.group_places.set(key, self.groups.len() as u64);
            self.groups.push(Group {
                server,
                time,
                place,
                values: [None; INPUTS],
            });
            self.groups.len().saturating_sub(1)
        });
        self.groups.get_mut(known)
    }

    fn server(&mut self, source: &Source<'a>) -> usize {
        if let Some(known) = self.server_places.get(source.server) {
            return known as usize;
        }
        let place = self.servers.len();
        self.server_places.set(source.server, place as u64);
        self.servers.push(*source);
        place
    }

    /// Puts the gauges of all servers that `wants` behind everything else in the batch.
    pub(crate) fn write(
        &self,
        editor: &mut Editor<'a>,
        wants: impl Fn(u64) -> bool,
        traces: &mut Traces,
    ) {
        let servers = self.servers.iter().enumerate();
        for (place, source) in servers.filter(|(_, source)| wants(source.server)) {
            let groups = self.groups.iter().filter(|group| group.server == place);
            let groups = groups.collect::<Vec<_>>();
            let mut metrics = Vec::new();
            let mut new = Writer::new(&mut metrics);
            for gauge in &GAUGES {
                gauge.write(&groups, &mut new);
            }
            if !metrics.is_empty() {
                editor.append(editor.batch(), |new| {
                    new.message(schema::RESOURCES, |new| {
                        write_resource(new, source, (&metrics, traces))
                    });
                });
            }
        }
    }
}

/// A `ResourceMetrics` with these `Metric`s.
fn write_resource(
    new: &mut Writer<'_>,
    source: &Source<'_>,
    (metrics, traces): (&[u8], &mut Traces),
) {
    if let Some(resource) = source.resource {
        new.fields(&traces.resource(&without_parts(resource)));
    }
    new.message(schema::resource::SCOPES, |new| {
        new.message(schema::scope::SCOPE, |new| {
            new.text(schema::scope::NAME, SCOPE);
            new.text(schema::scope::VERSION, env!("CARGO_PKG_VERSION"));
        });
        new.fields(metrics);
    });
    if let Some(url) = source.schema_url {
        new.bytes(schema::resource::SCHEMA_URL, url);
    }
}

/// A `Resource` that tells of the server as a whole.
fn without_parts(resource: Message<'_>) -> Vec<u8> {
    let mut editor = Editor::new(resource.bytes());
    let attributes = editor.batch().all(schema::resource::ATTRIBUTES);
    for field in attributes.flatten() {
        let read = field.message().and_then(KeyValue::read);
        if read.is_ok_and(|read| is_part(read.key)) {
            editor.remove(&field);
        }
    }
    editor.finish().into_owned()
}

impl Gauge {
    /// A `Metric` in a `ScopeMetrics`, if there is a value.
    fn write(&self, groups: &[&Group<'_>], new: &mut Writer<'_>) {
        let mut points = Vec::new();
        let mut written = Writer::new(&mut points);
        for group in groups {
            if let Some(value) = self.formula.value(group) {
                written.message(schema::numbers::POINTS, |new| {
                    write_point(new, group, value)
                });
            }
        }
        if !points.is_empty() {
            new.message(schema::scope::ITEMS, |new| {
                new.text(schema::metric::NAME, self.name);
                new.text(schema::metric::DESCRIPTION, self.description);
                new.text(schema::metric::UNIT, self.unit);
                new.bytes(schema::metric::GAUGE, &points);
            });
        }
    }
}

fn write_point(new: &mut Writer<'_>, group: &Group<'_>, value: f64) {
    new.fixed64(point::TIME, group.time);
    new.double(point::AS_DOUBLE, value);
    for (key, value) in group.place.attributes() {
        if let Some(value) = value {
            new.text_attribute(point::ATTRIBUTES, key, &value);
        }
    }
}

/// A number for a counter: its server, name and attributes, in whatever order.
fn identity(name: &[u8], point: &Point<'_>, source: &Source<'_>) -> u64 {
    let attributes = point
        .attributes
        .iter()
        .map(|attribute| hash(hash(0, attribute.key), attribute.any));
    let attributes = attributes.fold(0, u64::wrapping_add);
    let server = hash(attributes, &source.server.to_le_bytes());
    // The receiver tells databases apart by their resources.
    let part = hash(server, &source.place().identity().to_le_bytes());
    hash(part, name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::inputs::{ROWS, When};
    use opentelemetry_proto::tonic::common::v1::any_value::Value as Text;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue as Pair};
    use opentelemetry_proto::tonic::metrics::v1::metric::Data;
    use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
    use opentelemetry_proto::tonic::metrics::v1::{
        Gauge as GaugeData, Metric, MetricsData, NumberDataPoint, ResourceMetrics, ScopeMetrics,
    };
    use prost::Message as _;

    fn inputs(formula: Formula) -> Vec<Input> {
        match formula {
            Formula::Itself(one) | Formula::Times(one, _) | Formula::Left(_, one) => vec![one],
            Formula::Sum(one, other) | Formula::Ratio(one, other) | Formula::Share(one, other) => {
                vec![one, other]
            }
        }
    }

    /// What comes of a formula all of whose inputs have this value.
    fn of_equals(formula: Formula, value: f64) -> f64 {
        match formula {
            Formula::Itself(_) => value,
            Formula::Times(_, factor) => value * factor,
            Formula::Left(whole, _) => whole - value,
            Formula::Sum(..) => value + value,
            Formula::Ratio(..) => 1.0,
            Formula::Share(..) => 0.5,
        }
    }

    fn pair(key: &str, text: &str) -> Pair {
        Pair {
            key: key.to_owned(),
            value: Some(AnyValue {
                value: Some(Text::StringValue(text.to_owned())),
            }),
            ..Pair::default()
        }
    }

    /// A metric of a row, with a point that counts, or does not.
    fn metric(row: &Row, (time, value): (u64, f64), counts: bool) -> Metric {
        let mut attributes = ["datname", "schemaname", "relname"]
            .map(|key| pair(key, "x"))
            .to_vec();
        match row.when {
            When::Is(key, values) => {
                let value = if counts { values[0] } else { "another" };
                attributes.push(pair(key, value));
            }
            When::HasDatabase if !counts => attributes.remove(0).value = None,
            When::HasDatabase | When::Always => {}
        }
        let own = row.metric.starts_with("postgresql.") || row.metric.starts_with("cnpg_");
        Metric {
            name: format!("{}{}", if own { "" } else { "pg_" }, row.metric),
            data: Some(Data::Gauge(GaugeData {
                data_points: vec![NumberDataPoint {
                    time_unix_nano: time,
                    attributes,
                    value: Some(Value::AsDouble(value)),
                    ..NumberDataPoint::default()
                }],
            })),
            ..Metric::default()
        }
    }

    /// What is derived of these rows, ten seconds after each other; of one no point counts.
    fn derived(rows: &[&Row], without: Option<&Row>) -> Vec<(String, f64)> {
        let mut processor = crate::Processor::configure(b"").unwrap();
        let mut last = Vec::new();
        for scrape in [(10_000_000_000, 10.0), (20_000_000_000, 30.0)] {
            let metrics = rows.iter().map(|row| {
                let counts = without.is_none_or(|without| !std::ptr::eq(*row, without));
                metric(row, scrape, counts)
            });
            let batch = MetricsData {
                resource_metrics: vec![ResourceMetrics {
                    scope_metrics: vec![ScopeMetrics {
                        metrics: metrics.collect(),
                        ..ScopeMetrics::default()
                    }],
                    ..ResourceMetrics::default()
                }],
            };
            let bytes = batch.encode_to_vec();
            let out = processor.process_metrics(&bytes).unwrap();
            let out = MetricsData::decode(&*out).unwrap();
            let behind = out.resource_metrics.iter().skip(1);
            let metrics = behind.flat_map(|resource| &resource.scope_metrics[0].metrics);
            last = metrics
                .map(|metric| match metric.data.as_ref().unwrap() {
                    Data::Gauge(gauge) => match gauge.data_points[0].value.unwrap() {
                        Value::AsDouble(value) => (metric.name.clone(), value),
                        Value::AsInt(_) => panic!("{metric:?}"),
                    },
                    other => panic!("{other:?}"),
                })
                .collect();
        }
        last
    }

    /// The rows that a gauge needs, with this one among them.
    fn needed<'r>(gauge: &Gauge, row: &'r Row) -> Vec<&'r Row> {
        let all = inputs(gauge.formula)
            .into_iter()
            .map(|input| match input == row.input {
                true => row,
                false => {
                    let mut rows = ROWS.iter();
                    let other = rows.find(|other| other.input == input && other.level == row.level);
                    other.unwrap()
                }
            });
        all.collect()
    }

    #[test]
    fn every_row_goes_into_its_gauges() {
        for row in &ROWS {
            let of_row = |gauge: &&Gauge| inputs(gauge.formula).contains(&row.input);
            let gauges: Vec<_> = GAUGES.iter().filter(of_row).collect();
            assert!(!gauges.is_empty(), "{row:?}");
            for gauge in gauges {
                let rows = needed(gauge, row);
                let value = if row.input.is_counter() { 2.0 } else { 30.0 };
                let found = derived(&rows, None);
                let expected = (gauge.name.to_owned(), of_equals(gauge.formula, value));
                assert!(found.contains(&expected), "{row:?}: {found:?}");
                let has_any = derived(&rows, Some(row))
                    .iter()
                    .any(|found| found.0 == gauge.name);
                assert_eq!(has_any, matches!(row.when, When::Always), "{row:?}");
            }
        }
    }

    /// A dash is in the README's table where the family lacks an input.
    #[test]
    fn the_readme_says_which_gauges_the_receiver_has() {
        let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
        let readme = std::fs::read_to_string(readme).unwrap();
        let table = readme
            .split("| gauge | `postgresqlreceiver` |")
            .nth(1)
            .unwrap();
        let table = table.split("\n\n").next().unwrap();
        for gauge in &GAUGES {
            let short = gauge.name.strip_prefix("pgmesh.postgresql.").unwrap();
            let line = table
                .lines()
                .find(|line| line.starts_with(&format!("| `{short}` |")));
            let cell = line
                .unwrap_or_else(|| panic!("{short}"))
                .split('|')
                .nth(2)
                .unwrap();
            let has = inputs(gauge.formula).iter().all(|input| {
                let mut rows = ROWS.iter();
                rows.any(|row| row.input == *input && row.metric.starts_with("postgresql."))
            });
            assert_eq!(cell.trim() != "-", has, "{short}");
        }
    }
}
