//! The top statements as OTLP metrics: of each metric, a data point for each row of the report.
//!
//! They count from the row's `first_seen` on (cumulative temporality), so that a row that was dropped
//! and has come back begins anew, as the data model wants it. Durations are an exponential histogram,
//! whose buckets at scale 2 are those of the [sketch](super::sketch); the slowest traced run since
//! the last report is its exemplar, and that of the calls or errors among which it counts, for stores that
//! keep no exemplars of histograms without bounds.

use otlp_wire::Writer;
use pg_wire::Nanos;

use super::export::Exporter;
use super::texts::summary;
use super::top::{Example, Key, Row};

/// Rows in a request at most: with texts of [`MAX_TEXT`] they stay below half a megabyte.
const ROWS: usize = 200;
/// Bytes of the text that a data point shows.
const MAX_TEXT: usize = 256;
/// `AGGREGATION_TEMPORALITY_CUMULATIVE`
const CUMULATIVE: u64 = 2;
/// Buckets grow by 2^(2^-2).
const SCALE: i32 = 2;

/// A metric that is a sum of what each run adds.
struct Sum {
    name: &'static str,
    unit: &'static str,
    description: &'static str,
    value: fn(&Row) -> u64,
    /// Whether a run is one of those that it counts.
    counts: fn(&Example) -> bool,
}

const SUMS: &[Sum] = &[
    Sum {
        name: "pgmesh.statement.calls",
        unit: "{call}",
        description: "Runs that ended well",
        value: |row| row.calls,
        counts: |run| !run.failed,
    },
    Sum {
        name: "pgmesh.statement.errors",
        unit: "{error}",
        description: "Runs that failed, or were cut off",
        value: |row| row.errors,
        counts: |run| run.failed,
    },
    Sum {
        name: "pgmesh.statement.rows",
        unit: "{row}",
        description: "Rows returned or changed",
        value: |row| row.rows,
        counts: |_| false,
    },
    Sum {
        name: "pgmesh.statement.bytes",
        unit: "By",
        description: "Bytes of rows and COPY data",
        value: |row| row.bytes,
        counts: |_| false,
    },
];

/// Adds the rows of a report.
pub(crate) fn add(exporter: &mut Exporter, rows: &[(&Key, &Row)], now: Nanos) {
    for rows in rows.chunks(ROWS) {
        let points = rows
            .iter()
            .map(|(key, row)| Point::of(key, row, now))
            .collect::<Vec<_>>();
        for sum in SUMS {
            exporter.add_metric(points.len(), |metric| write_sum(metric, sum, &points));
        }
        exporter.add_metric(points.len(), |metric| write_durations(metric, &points));
    }
}

/// A row, and what all its data points say.
struct Point<'a> {
    key: &'a Key,
    row: &'a Row,
    summary: Box<str>,
    started: Nanos,
    now: Nanos,
}

impl<'a> Point<'a> {
    fn of(key: &'a Key, row: &'a Row, now: Nanos) -> Self {
        Self {
            key,
            row,
            summary: summary(&row.text),
            started: row.first_seen.min(now),
            now,
        }
    }

    fn write_attributes(&self, point: &mut Writer<'_>, field: u32) {
        let fingerprint = format!("{:016x}", self.key.fingerprint);
        let text = self.row.text.floor_char_boundary(MAX_TEXT);
        let text = self.row.text.get(..text).unwrap_or_default();
        for (key, value) in [
            ("db.system.name", "postgresql"),
            ("db.namespace", &self.key.database),
            ("db.query.summary", &self.summary),
            ("db.query.text", text),
            ("pgmesh.fingerprint", &fingerprint),
            ("pgmesh.user", &self.key.user),
        ] {
            if !value.is_empty() {
                point.text_attribute(field, key, value);
            }
        }
    }
}

/// `Metric` with a `Sum` of `NumberDataPoint`s.
fn write_sum(metric: &mut Writer<'_>, sum: &Sum, points: &[Point<'_>]) {
    write_head(metric, sum.name, sum.unit, sum.description);
    metric.message(7, |out| {
        for point in points {
            out.message(1, |out| write_count(out, sum, point));
        }
        out.uint(2, CUMULATIVE);
        // is_monotonic
        out.uint(3, 1);
    });
}

/// `NumberDataPoint`
fn write_count(out: &mut Writer<'_>, sum: &Sum, point: &Point<'_>) {
    point.write_attributes(out, 7);
    out.fixed64(2, point.started);
    out.fixed64(3, point.now);
    if let Some(example) = point.row.example.filter(sum.counts) {
        out.message(5, |out| {
            write_run(out, &example);
            out.fixed64(6, 1);
        });
    }
    out.fixed64(6, (sum.value)(point.row));
}

/// `Metric` with an `ExponentialHistogram`.
fn write_durations(metric: &mut Writer<'_>, points: &[Point<'_>]) {
    let description = "Time that the server had the statement for";
    write_head(metric, "pgmesh.statement.duration", "us", description);
    metric.message(10, |histogram| {
        for point in points {
            histogram.message(1, |out| write_duration(out, point));
        }
        histogram.uint(2, CUMULATIVE);
    });
}

/// `ExponentialHistogramDataPoint`
fn write_duration(out: &mut Writer<'_>, point: &Point<'_>) {
    let row = point.row;
    let (first, counts) = row.sketch.dense();
    let count = counts.iter().map(|count| u64::from(*count));
    point.write_attributes(out, 1);
    out.fixed64(2, point.started);
    out.fixed64(3, point.now);
    out.fixed64(4, count.clone().sum());
    out.double(5, microseconds(row.total));
    out.sint32(6, SCALE);
    out.message(8, |buckets| {
        buckets.sint32(1, i32::from(first));
        buckets.packed(2, count);
    });
    if let Some(example) = &row.example {
        out.message(11, |out| {
            write_run(out, example);
            out.double(3, microseconds(example.took));
        });
    }
    out.double(12, microseconds(row.min));
    out.double(13, microseconds(row.max));
}

/// `Exemplar`, all but its value.
fn write_run(out: &mut Writer<'_>, example: &Example) {
    out.fixed64(2, example.at);
    out.bytes(4, &example.context.span_id);
    out.bytes(5, &example.context.trace_id);
}

fn write_head(metric: &mut Writer<'_>, name: &str, unit: &str, description: &str) {
    metric.text(1, name);
    metric.text(2, description);
    metric.text(3, unit);
}

fn microseconds(nanoseconds: Nanos) -> f64 {
    nanoseconds as f64 / 1000.0
}
