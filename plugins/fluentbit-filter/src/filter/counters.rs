//! What the filter has done so far, which it says now and then.

use pg_log::Sink;

use crate::output::Output;

/// What the filter has done so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    /// Records that came.
    pub records: u64,
    /// Of these, entries of PostgreSQL.
    pub events: u64,
    /// Of these, dropped by name, severity or sampling.
    pub dropped: u64,
    /// Entries of no class.
    pub unclassified: u64,
    /// Records too large to be looked at.
    pub oversize: u64,
}

impl Counters {
    pub(super) fn write(&self, output: &mut Output<'_, '_>) {
        for (name, count) in [
            ("pgmesh.records_total", self.records),
            ("pgmesh.events_total", self.events),
            ("pgmesh.dropped_total", self.dropped),
            ("pgmesh.unclassified_total", self.unclassified),
            ("pgmesh.oversize_total", self.oversize),
        ] {
            output.number(name, count.to_string().as_bytes());
        }
    }
}

/// Counts one.
pub(super) fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}
