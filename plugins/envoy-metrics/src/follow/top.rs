//! The top statements: what each fingerprint, user and database has cost, in a bounded table.
//!
//! A worker counts in a [`Table`] of its own and hands it over to one that all workers of the
//! process share (`shared`), from which the report is written. A table of the `top` n keeps
//! [`KEPT_PER_ROW`] times as many, and grows to twice that before the half with the least total time
//! is dropped: what is worth reporting stays, what was dropped is counted.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use pg_wire::{Nanos, Outcome, Statement};

use super::SpanContext;
use super::json::{Fields, Object, hex};
use super::query_log::duration;
use super::sketch::Sketch;
use super::texts::Known;
use crate::config::TopStatements;

/// Rows that are kept for each row that is reported.
const KEPT_PER_ROW: usize = 5;

/// Whose row it is.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Key {
    pub(crate) fingerprint: u64,
    pub(crate) user: Rc<str>,
    pub(crate) database: Rc<str>,
}

impl Key {
    /// The same in every worker.
    pub(crate) fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        Hash::hash(self, &mut hasher);
        hasher.finish()
    }
}

/// What a fingerprint has cost a user in a database. Times are nanoseconds.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Row {
    pub(crate) calls: u64,
    pub(crate) errors: u64,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) total: Nanos,
    pub(crate) min: Nanos,
    pub(crate) max: Nanos,
    /// Since the epoch.
    pub(crate) first_seen: Nanos,
    pub(crate) sketch: Sketch,
    /// Redacted.
    pub(crate) text: Rc<str>,
    /// The slowest of its runs since the last report that are in a trace.
    pub(crate) example: Option<Example>,
}

/// A run of a row that a trace shows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Example {
    pub(crate) context: SpanContext,
    pub(crate) took: Nanos,
    /// Since the epoch.
    pub(crate) at: Nanos,
    /// It counts among the errors.
    pub(crate) failed: bool,
}

impl Row {
    fn add(&mut self, statement: &Statement, bytes: u64, context: Option<SpanContext>) {
        let took = duration(statement);
        // As in pg_stat_statements, a call is one that ran to its end.
        let completed = statement.outcome == Outcome::Completed;
        self.take_example(context.map(|context| Example {
            context,
            took,
            at: statement.finished,
            failed: !completed,
        }));
        if self.calls == 0 && self.errors == 0 {
            self.first_seen = statement.received;
            self.min = took;
        }
        let count = if completed {
            &mut self.calls
        } else {
            &mut self.errors
        };
        *count = count.saturating_add(1);
        self.rows = self.rows.saturating_add(statement.rows);
        self.bytes = self.bytes.saturating_add(bytes);
        self.total = self.total.saturating_add(took);
        self.min = self.min.min(took);
        self.max = self.max.max(took);
        self.sketch.add(took);
    }

    fn take_example(&mut self, other: Option<Example>) {
        let slower = |mine: Example| other.is_some_and(|other| other.took >= mine.took);
        if self.example.is_none_or(slower) {
            self.example = other;
        }
    }

    /// Runs, however they ended.
    pub(crate) fn runs(&self) -> u64 {
        self.calls.saturating_add(self.errors)
    }

    fn merge(&mut self, other: Self) {
        if self.calls == 0 && self.errors == 0 {
            *self = other;
            return;
        }
        self.calls = self.calls.saturating_add(other.calls);
        self.errors = self.errors.saturating_add(other.errors);
        self.rows = self.rows.saturating_add(other.rows);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.total = self.total.saturating_add(other.total);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.first_seen = self.first_seen.min(other.first_seen);
        self.sketch.merge(&other.sketch);
        self.take_example(other.example);
    }
}

/// Rows by key, the most expensive of them.
#[derive(Debug)]
pub(crate) struct Table {
    rows: HashMap<Key, Row>,
    /// Rows kept when there are twice as many.
    kept: usize,
    dropped: u64,
}

impl Table {
    pub(crate) fn new(config: &TopStatements) -> Self {
        Self {
            rows: HashMap::new(),
            kept: (config.top as usize).saturating_mul(KEPT_PER_ROW),
            dropped: 0,
        }
    }

    /// Counts a statement; `context` is where a trace shows it.
    pub(crate) fn add(
        &mut self,
        key: &Key,
        known: &Known,
        statement: &Statement,
        bytes: u64,
        context: Option<SpanContext>,
    ) {
        let row = match self.rows.get_mut(key) {
            Some(row) => row,
            None => {
                self.make_room();
                let row = self.rows.entry(key.clone()).or_default();
                row.text = Rc::from(&*known.shown().text);
                row
            }
        };
        row.add(statement, bytes, context);
    }

    /// Adds a row that was counted elsewhere.
    pub(crate) fn merge(&mut self, key: Key, row: Row) {
        if !self.rows.contains_key(&key) {
            self.make_room();
        }
        self.rows.entry(key).or_default().merge(row);
    }

    /// Every row, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Key, &Row)> {
        self.rows.iter()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Rows dropped so far to stay within the bound.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    pub(crate) fn add_dropped(&mut self, dropped: u64) {
        self.dropped = self.dropped.saturating_add(dropped);
    }

    /// Drops what is not worth keeping, for a table that is handed over.
    pub(crate) fn prune(&mut self) {
        if self.rows.len() <= self.kept {
            return;
        }
        let mut totals: Vec<Nanos> = self.rows.values().map(|row| row.total).collect();
        totals.sort_unstable_by(|a, b| b.cmp(a));
        let limit = totals.get(self.kept).copied().unwrap_or(0);
        let above = totals.iter().take_while(|total| **total > limit).count();
        let mut room = self.kept.saturating_sub(above);
        let before = self.rows.len();
        self.rows.retain(|_, row| {
            let tie = row.total == limit && room > 0;
            room = room.saturating_sub(usize::from(tie));
            tie || row.total > limit
        });
        let dropped = before.saturating_sub(self.rows.len());
        self.add_dropped(dropped as u64);
    }

    fn make_room(&mut self) {
        if self.rows.len() >= self.kept.saturating_mul(2) {
            self.prune();
        }
    }

    /// The rows with the largest total time, that first.
    pub(crate) fn top(&self, count: usize) -> Vec<(&Key, &Row)> {
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_unstable_by(|(a, x), (b, y)| {
            let order = (y.total, a.fingerprint, &a.user, &a.database);
            order.cmp(&(x.total, b.fingerprint, &b.user, &b.database))
        });
        rows.truncate(count);
        rows
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let table = self.rows.capacity().saturating_mul(size_of::<(Key, Row)>());
        let heap = |row: &Row| row.text.len().saturating_add(row.sketch.heap_bytes());
        self.rows
            .values()
            .map(heap)
            .fold(table, usize::saturating_add)
    }
}

/// One line of JSON: the top statements of the process since it began to count.
pub(crate) fn report(top: Vec<(&Key, &Row)>, dropped: u64, since: Nanos, now: Nanos) -> String {
    let mut line = String::new();
    Object::write(&mut line, |object| {
        object.text("pgmesh.event", "top_statements");
        object.duration("since_unix_microseconds", since);
        object.duration("until_unix_microseconds", now);
        object.number("dropped", dropped);
        object.list("statements", top, |object, (key, row)| {
            fill(object, key, row)
        });
    });
    line
}

fn fill(object: &mut Object<'_>, key: &Key, row: &Row) {
    object.text("fingerprint", &format!("{:016x}", key.fingerprint));
    object.text("user", &key.user);
    object.text("database", &key.database);
    object.text("text", &row.text);
    object.number("calls", row.calls);
    object.number("errors", row.errors);
    object.number("rows", row.rows);
    object.number("bytes", row.bytes);
    for (name, nanoseconds) in [
        ("total_microseconds", row.total),
        (
            "mean_microseconds",
            row.total.checked_div(row.runs()).unwrap_or(0),
        ),
        ("min_microseconds", row.min),
        ("max_microseconds", row.max),
        ("p50_microseconds", row.sketch.percentile(50)),
        ("p95_microseconds", row.sketch.percentile(95)),
        ("p99_microseconds", row.sketch.percentile(99)),
        ("first_seen_unix_microseconds", row.first_seen),
    ] {
        object.duration(name, nanoseconds);
    }
    if let Some(example) = &row.example {
        object.text("trace_id", &hex(&example.context.trace_id));
        object.text("span_id", &hex(&example.context.span_id));
    }
}
