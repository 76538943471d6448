//! The top few statements as counters in the host's stats.
//!
//! The host never forgets a series, and what is on top changes: so a statement gets its counters when
//! it is first among the top few at a report, as long as there are some left to give (`shared`), and
//! keeps them. From then on each worker adds what it has counted when it hands it over. What is counted
//! between two reports waits for the next one to say whose it is, so that a statement that runs once
//! is not lost among the others. All other statements are counted together, as `other`.

use std::collections::{HashMap, HashSet};

use pg_wire::Nanos;
use proxy_host::Host;
use proxy_host::metrics::{Counter, HistogramStore, Label, Metrics};

use super::shared::HandedOver;
use super::top::{Key, Row};
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

/// Statements that wait for a report at most; beyond them they count as `other` at once.
const MAX_WAITING: usize = 1024;

/// What is to be added to the counters of one statement.
type Values = [u64; FAMILIES.len()];

/// The counters of one statement, `None` where they are disabled.
type Counters = [Option<Counter>; FAMILIES.len()];

/// This worker's counters.
pub(crate) struct Stats {
    metrics: Metrics,
    labels: Labels,
    disabled: Vec<String>,
    rows: HashMap<u64, Counters>,
    other: Option<Counters>,
    /// Handed over after the report of `judged_by`.
    waiting: HashMap<Key, Values>,
    judged_by: Nanos,
}

impl Stats {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            metrics: Metrics::new(HistogramStore::Vm),
            labels: config.labels.clone(),
            disabled: config.disable.clone(),
            rows: HashMap::new(),
            other: None,
            waiting: HashMap::new(),
            judged_by: 0,
        }
    }

    /// Takes what was handed over, and gives to the host what is known to be whose. `due` says that these
    /// rows were in time for a report, and had their chance to be admitted.
    pub(crate) fn count(&mut self, host: &impl Host, handed: &HandedOver) {
        let HandedOver { own, shared, due } = handed;
        let admitted: HashSet<u64> = shared.admitted.iter().copied().collect();
        if shared.reported != self.judged_by {
            self.judged_by = shared.reported;
            for (key, values) in std::mem::take(&mut self.waiting) {
                self.add(host, &key, values, &admitted);
            }
        }
        for (key, row) in own.iter() {
            let values = FAMILIES.map(|(_, value)| value(row));
            let known = *due || admitted.contains(&key.hash());
            if known || !self.wait(key, values) {
                self.add(host, key, values, &admitted);
            }
        }
        self.metrics.flush(host);
    }

    /// Whether there is room to wait.
    fn wait(&mut self, key: &Key, values: Values) -> bool {
        if self.waiting.len() >= MAX_WAITING && !self.waiting.contains_key(key) {
            return false;
        }
        let waiting = self.waiting.entry(key.clone()).or_default();
        for (sum, value) in waiting.iter_mut().zip(values) {
            *sum = sum.saturating_add(value);
        }
        true
    }

    fn add(&mut self, host: &impl Host, key: &Key, values: Values, admitted: &HashSet<u64>) {
        let hash = key.hash();
        let counters = match admitted.contains(&hash) {
            true => self.of(host, hash, key),
            false => self.of_others(host),
        };
        for (counter, value) in counters.iter().zip(values) {
            if let Some(counter) = counter {
                let value = i64::try_from(value).unwrap_or(i64::MAX);
                self.metrics.add(*counter, value);
            }
        }
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let rows = self.rows.capacity();
        let waiting = self.waiting.capacity();
        rows.saturating_mul(size_of::<(u64, Counters)>())
            .saturating_add(waiting.saturating_mul(size_of::<(Key, Values)>()))
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
