//! The top few statements as counters in the host's stats.
//!
//! The host never forgets a series, and what is on top changes: so a statement gets its counters when
//! it is first among the top few at a report, as long as there are some left to give (`shared`), and
//! keeps them. From then on each worker adds what it has counted when it hands it over. All other
//! statements are counted together, as `other`.

use std::collections::{HashMap, HashSet};

use proxy_host::Host;
use proxy_host::metrics::{Counter, HistogramStore, Label, Metrics};

use super::top::{Key, Row, Table};
use crate::catalog::{self, PREFIX};
use crate::config::{Config, Labels};
use crate::series::OTHER;

/// A counter's name, and what of a row it counts.
type Family = (&'static str, fn(&Row) -> u64);

const FAMILIES: [Family; 4] = [
    (catalog::TOP_CALLS, |row| row.calls),
    (catalog::TOP_ERRORS, |row| row.errors),
    (catalog::TOP_ROWS, |row| row.rows),
    (catalog::TOP_DURATION, |row| {
        row.total.checked_div(1000).unwrap_or(0)
    }),
];

/// The counters of one statement, `None` where they are disabled.
type Counters = [Option<Counter>; FAMILIES.len()];

/// This worker's counters.
pub(crate) struct Stats {
    metrics: Metrics,
    labels: Labels,
    disabled: Vec<String>,
    rows: HashMap<u64, Counters>,
    other: Option<Counters>,
}

impl Stats {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            metrics: Metrics::new(HistogramStore::Vm),
            labels: config.labels.clone(),
            disabled: config.disable.clone(),
            rows: HashMap::new(),
            other: None,
        }
    }

    /// Adds rows that were handed over, and gives them to the host.
    pub(crate) fn count(&mut self, host: &impl Host, own: &Table, admitted: &[u64]) {
        let admitted: HashSet<u64> = admitted.iter().copied().collect();
        for (key, row) in own.iter() {
            let hash = key.hash();
            let counters = match admitted.contains(&hash) {
                true => self.of(host, hash, key),
                false => self.of_others(host),
            };
            for (counter, (_, value)) in counters.iter().zip(FAMILIES) {
                if let Some(counter) = counter {
                    let value = i64::try_from(value(row)).unwrap_or(i64::MAX);
                    self.metrics.add(*counter, value);
                }
            }
        }
        self.metrics.flush(host);
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let rows = self.rows.capacity();
        rows.saturating_mul(size_of::<(u64, Counters)>())
            .saturating_add(self.metrics.bytes())
    }

    fn of(&mut self, host: &impl Host, hash: u64, key: &Key) -> Counters {
        if let Some(counters) = self.rows.get(&hash) {
            return *counters;
        }
        let fingerprint = format!("{:016x}", key.fingerprint);
        let counters = self.define(host, [&key.database, &key.user, &fingerprint]);
        self.rows.insert(hash, counters);
        counters
    }

    fn of_others(&mut self, host: &impl Host) -> Counters {
        if let Some(counters) = self.other {
            return counters;
        }
        let counters = self.define(host, [OTHER; 3]);
        self.other = Some(counters);
        counters
    }

    fn define(&mut self, host: &impl Host, values: [&str; 3]) -> Counters {
        let [database, user, fingerprint] = values;
        let labels: Vec<Label<'_>> = [
            (self.labels.database, "database", database),
            (self.labels.user, "user", user),
            (true, catalog::FINGERPRINT, fingerprint),
        ]
        .into_iter()
        .filter(|(wanted, ..)| *wanted)
        .map(|(_, label, value)| (label, value))
        .collect();
        FAMILIES.map(|(name, _)| {
            let wanted = self.disabled.iter().all(|disabled| disabled != name);
            let name = format!("{PREFIX}{name}");
            wanted.then(|| self.metrics.counter(host, &name, &labels))
        })
    }
}
