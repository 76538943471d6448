//! The time series: which labels a session counts under, and one slot per metric and combination
//! of own labels, defined in the host when it is first counted.
//!
//! A session's labels are chosen by whoever connects, so a set of them is made only for sessions
//! that the server has let in, and no more than `max_label_sets` of them; what comes beyond is
//! counted under `other`.

use std::collections::HashMap;
use std::rc::Rc;

use pg_wire::{Severity, SqlState};
use proxy_host::Host;
use proxy_host::metrics::{Counter, Histogram, Label, Metrics};

use crate::catalog::{self, Family, Kind, PREFIX, SPECS, Spec};
use crate::config::{Config, Labels};

/// Stands for the labels of a connection that has not told them, as `%u` does in the server's log.
pub const UNKNOWN: &str = "[unknown]";

/// Stands for the labels of whoever came after `max_label_sets`.
pub const OTHER: &str = "other";

/// Pairs of SQLSTATE and severity kept apart per set of session labels.
const MAX_SQLSTATES: usize = 64;

/// Bounds of [`Kind::Depth`].
const DEPTH_BUCKETS: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

/// What a slot holds.
#[derive(Clone, Copy, Default)]
enum Slot {
    #[default]
    Undefined,
    Disabled,
    Counter(Counter),
    Histogram(Histogram),
}

/// A set of session labels, by its place in [`Series`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SetId(u32);

/// The labels that a session has told, as they are shown.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct SessionLabels {
    pub database: Box<str>,
    pub user: Box<str>,
    pub application: Box<str>,
}

impl SessionLabels {
    fn all(value: &str) -> Self {
        Self {
            database: value.into(),
            user: value.into(),
            application: value.into(),
        }
    }

    /// Bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        [&self.database, &self.user, &self.application]
            .into_iter()
            .fold(0, |sum, value| sum.saturating_add(value.len()))
    }

    /// What of it the configuration wants, so that sets differ only in labels that are shown.
    fn wanted(mut self, labels: &Labels) -> Self {
        for (wanted, value) in [
            (labels.database, &mut self.database),
            (labels.user, &mut self.user),
            (labels.application, &mut self.application),
        ] {
            if !wanted {
                *value = Box::default();
            }
        }
        self
    }
}

/// Series that have SQLSTATEs as labels.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
enum ByState {
    Failure(SqlState),
    Error(SqlState, Severity),
}

struct Set {
    labels: SessionLabels,
    slots: Box<[Slot]>,
    by_state: HashMap<ByState, Option<Counter>>,
}

impl Set {
    /// Bytes held, about; the labels twice, since sets are found by them.
    fn bytes(&self) -> usize {
        let slots = self.slots.len().saturating_mul(size_of::<Slot>());
        let by_state = self.by_state.capacity();
        let by_state = by_state.saturating_mul(size_of::<(ByState, Option<Counter>)>());
        let labels = size_of::<Self>().saturating_add(self.labels.heap_bytes());
        labels
            .saturating_mul(2)
            .saturating_add(slots)
            .saturating_add(by_state)
    }
}

/// All time series of one root context.
pub struct Series {
    metrics: Metrics,
    config: Config,
    duration_bounds: Rc<[u64]>,
    depth_bounds: Rc<[u64]>,
    sets: Vec<Set>,
    by_labels: HashMap<SessionLabels, SetId>,
    dropped: Option<Counter>,
    refused: Option<Counter>,
    state_bytes: Option<Counter>,
    published_bytes: i64,
    published_refused: u64,
    /// Counters that others keep: name, and how much of it has been published.
    published: Vec<(&'static str, Counter, u64)>,
}

/// Where each family's slots begin in a set.
const OFFSETS: [usize; SPECS.len()] = offsets().0;

/// Slots of a set: one for each metric and combination of its own labels.
const SLOTS: usize = offsets().1;

#[expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, which refuses both"
)]
const fn offsets() -> ([usize; SPECS.len()], usize) {
    let mut offsets = [0; SPECS.len()];
    let mut next = 0;
    let mut family = 0;
    while family < SPECS.len() {
        offsets[family] = next;
        let mut combinations = 1;
        let mut own = 0;
        while own < SPECS[family].own.len() {
            combinations *= SPECS[family].own[own].count();
            own += 1;
        }
        next += combinations;
        family += 1;
    }
    (offsets, next)
}

/// Connections whose labels are not known.
pub const UNKNOWN_SET: SetId = SetId(0);
/// Sessions beyond `max_label_sets`.
pub const OTHER_SET: SetId = SetId(1);

impl Series {
    /// No series yet, but for the two sets that always are.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let mut series = Self {
            metrics: Metrics::new(config.histograms.into()),
            duration_bounds: config.duration_buckets_microseconds.as_slice().into(),
            depth_bounds: DEPTH_BUCKETS.into(),
            config,
            sets: Vec::new(),
            by_labels: HashMap::new(),
            dropped: None,
            refused: None,
            state_bytes: None,
            published_bytes: 0,
            published_refused: 0,
            published: Vec::new(),
        };
        for always in [UNKNOWN, OTHER] {
            series.push(SessionLabels::all(always));
        }
        series
    }

    fn push(&mut self, labels: SessionLabels) -> SetId {
        let id = SetId(u32::try_from(self.sets.len()).unwrap_or(u32::MAX));
        let slots = vec![Slot::default(); SLOTS].into_boxed_slice();
        self.sets.push(Set {
            labels,
            slots,
            by_state: HashMap::new(),
        });
        id
    }

    /// Whether sessions are told apart by `application_name`.
    #[must_use]
    pub fn by_application(&self) -> bool {
        self.config.labels.application
    }

    /// The set of a session that the server has let in; [`OTHER_SET`] where there are too many.
    pub fn admit(&mut self, host: &impl Host, labels: SessionLabels) -> SetId {
        let labels = labels.wanted(&self.config.labels);
        if let Some(set) = self.by_labels.get(&labels) {
            return *set;
        }
        if self.by_labels.len() >= self.config.max_label_sets as usize {
            self.count_dropped(host);
            return OTHER_SET;
        }
        let set = self.push(labels.clone());
        self.by_labels.insert(labels, set);
        set
    }

    /// The set of a session that the server has refused: only one that is already there.
    #[must_use]
    pub fn find(&self, labels: SessionLabels) -> SetId {
        let labels = labels.wanted(&self.config.labels);
        self.by_labels.get(&labels).copied().unwrap_or(OTHER_SET)
    }

    /// The labels of a set.
    #[must_use]
    pub fn labels(&self, set: SetId) -> Option<SessionLabels> {
        self.sets.get(set.0 as usize).map(|set| set.labels.clone())
    }

    /// Adds to a counter or gauge; `own` is the place among the combinations of its own labels.
    #[inline]
    pub fn add(&mut self, host: &impl Host, set: SetId, family: Family, own: usize, delta: i64) {
        match self.slot(host, set, family, own) {
            Slot::Counter(counter) => self.metrics.add(counter, delta),
            Slot::Histogram(_) | Slot::Disabled | Slot::Undefined => {}
        }
    }

    /// Gives a histogram one sample.
    #[inline]
    pub fn observe(
        &mut self,
        host: &impl Host,
        set: SetId,
        family: Family,
        own: usize,
        value: u64,
    ) {
        match self.slot(host, set, family, own) {
            Slot::Histogram(histogram) => self.metrics.observe(host, histogram, value),
            Slot::Counter(_) | Slot::Disabled | Slot::Undefined => {}
        }
    }

    #[inline]
    fn slot(&mut self, host: &impl Host, set: SetId, family: Family, own: usize) -> Slot {
        let index = OFFSETS
            .get(family as usize)
            .map_or(SLOTS, |offset| offset.saturating_add(own));
        let slots = self.sets.get(set.0 as usize).map(|set| &set.slots);
        match slots.and_then(|slots| slots.get(index)).copied() {
            None => Slot::Undefined,
            Some(Slot::Undefined) => self.define(host, set, family, own, index),
            Some(slot) => slot,
        }
    }

    #[cold]
    fn define(
        &mut self,
        host: &impl Host,
        set: SetId,
        family: Family,
        own: usize,
        index: usize,
    ) -> Slot {
        let (Some(spec), Some(of)) = (family.spec(), self.sets.get_mut(set.0 as usize)) else {
            return Slot::Undefined;
        };
        let mut labels = session_labels(&self.config.labels, &of.labels);
        labels.extend(own_labels(spec, own));
        let name = format!("{PREFIX}{}", spec.name);
        let slot = match spec.kind {
            _ if self
                .config
                .disable
                .iter()
                .any(|disabled| disabled == spec.name) =>
            {
                Slot::Disabled
            }
            Kind::Counter => Slot::Counter(self.metrics.counter(host, &name, &labels)),
            Kind::Gauge => Slot::Counter(self.metrics.gauge(host, &name, &labels)),
            Kind::Duration => {
                let bounds = &self.duration_bounds;
                Slot::Histogram(self.metrics.histogram(host, &name, &labels, bounds))
            }
            Kind::Depth => {
                Slot::Histogram(
                    self.metrics
                        .histogram(host, &name, &labels, &self.depth_bounds),
                )
            }
        };
        if let Some(place) = of.slots.get_mut(index) {
            *place = slot;
        }
        slot
    }

    /// Counts a session that the server has refused.
    pub fn connection_failed(&mut self, host: &impl Host, set: SetId, sqlstate: SqlState) {
        self.by_state(host, set, ByState::Failure(sqlstate));
    }

    /// Counts an ErrorResponse.
    pub fn error(&mut self, host: &impl Host, set: SetId, sqlstate: SqlState, severity: Severity) {
        self.by_state(host, set, ByState::Error(sqlstate, severity));
    }

    fn by_state(&mut self, host: &impl Host, set: SetId, key: ByState) {
        let Some(of) = self.sets.get_mut(set.0 as usize) else {
            return;
        };
        let full = of.by_state.len() >= MAX_SQLSTATES && !of.by_state.contains_key(&key);
        let key = if full { key.other() } else { key };
        let (metrics, config, labels) = (&mut self.metrics, &self.config, &of.labels);
        let counter = *of.by_state.entry(key).or_insert_with(|| {
            let labels = session_labels(&config.labels, labels);
            key.define(host, metrics, &config.disable, labels)
        });
        if let Some(counter) = counter {
            self.metrics.add(counter, 1);
        }
        if full {
            self.count_dropped(host);
        }
    }

    fn count_dropped(&mut self, host: &impl Host) {
        let counter = plain(
            &mut self.metrics,
            &mut self.dropped,
            host,
            catalog::LABEL_SETS_DROPPED,
        );
        self.metrics.add(counter, 1);
    }

    /// Hands everything to the host. `connections` is what they hold, in bytes.
    pub fn flush(&mut self, host: &impl Host, connections: usize) {
        self.publish_refused(host);
        self.publish_bytes(host, self.bytes().saturating_add(connections));
        self.metrics.flush(host);
    }

    /// Hands everything to the host for the last time, and takes this root's part out of the gauge
    /// of memory held, which all roots and workers share.
    pub fn retire(&mut self, host: &impl Host) {
        self.publish_refused(host);
        self.publish_bytes(host, 0);
        self.metrics.flush(host);
    }

    /// Publishes what a counter that others keep has come to; it is not defined before it counts.
    pub fn publish(&mut self, host: &impl Host, name: &'static str, total: u64) {
        let known = self.published.iter().position(|(known, ..)| *known == name);
        let place = match known {
            Some(place) => place,
            None if total == 0 => return,
            None => {
                let counter = self.metrics.counter(host, &format!("{PREFIX}{name}"), &[]);
                self.published.push((name, counter, 0));
                self.published.len().saturating_sub(1)
            }
        };
        if let Some((_, counter, published)) = self.published.get_mut(place) {
            let since = total.saturating_sub(*published);
            *published = total;
            self.metrics
                .add(*counter, i64::try_from(since).unwrap_or(i64::MAX));
        }
    }

    fn publish_refused(&mut self, host: &impl Host) {
        let refused = self.metrics.refused();
        if refused > self.published_refused {
            let counter = plain(
                &mut self.metrics,
                &mut self.refused,
                host,
                catalog::METRICS_REFUSED,
            );
            let since = refused.saturating_sub(self.published_refused);
            self.metrics
                .add(counter, i64::try_from(since).unwrap_or(i64::MAX));
            self.published_refused = refused;
        }
    }

    fn publish_bytes(&mut self, host: &impl Host, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let gauge = *self.state_bytes.get_or_insert_with(|| {
            self.metrics
                .gauge(host, &format!("{PREFIX}{}", catalog::STATE_BYTES), &[])
        });
        self.metrics
            .add(gauge, bytes.saturating_sub(self.published_bytes));
        self.published_bytes = bytes;
    }

    fn bytes(&self) -> usize {
        self.sets
            .iter()
            .map(Set::bytes)
            .fold(self.metrics.bytes(), usize::saturating_add)
    }
}

/// A counter without labels, defined when it is first needed.
fn plain(
    metrics: &mut Metrics,
    slot: &mut Option<Counter>,
    host: &impl Host,
    name: &str,
) -> Counter {
    *slot.get_or_insert_with(|| metrics.counter(host, &format!("{PREFIX}{name}"), &[]))
}

impl ByState {
    /// Where it is counted when the set has no room for its own.
    fn other(self) -> Self {
        match self {
            Self::Failure(_) => Self::Failure(SqlState::UNKNOWN),
            Self::Error(_, severity) => Self::Error(SqlState::UNKNOWN, severity),
        }
    }

    fn define<'a>(
        &'a self,
        host: &impl Host,
        metrics: &mut Metrics,
        disabled: &[String],
        mut labels: Vec<Label<'a>>,
    ) -> Option<Counter> {
        let (family, sqlstate) = match self {
            Self::Failure(sqlstate) => (catalog::CONNECTION_FAILURES, sqlstate),
            Self::Error(sqlstate, _) => (catalog::ERRORS, sqlstate),
        };
        if disabled.iter().any(|name| name == family) {
            return None;
        }
        let sqlstate = match sqlstate {
            &SqlState::UNKNOWN => OTHER,
            SqlState(code) => std::str::from_utf8(code).unwrap_or(OTHER),
        };
        labels.push(("sqlstate", sqlstate));
        if let Self::Error(_, severity) = self {
            let severity_label = catalog::Dimension::Severity;
            labels.push((
                severity_label.label(),
                severity_label.value(catalog::severity(*severity)),
            ));
        }
        Some(metrics.counter(host, &format!("{PREFIX}{family}"), &labels))
    }
}

fn session_labels<'a>(wanted: &Labels, session: &'a SessionLabels) -> Vec<Label<'a>> {
    [
        (wanted.database, "database", &session.database),
        (wanted.user, "user", &session.user),
        (wanted.application, "application", &session.application),
    ]
    .into_iter()
    .filter(|(wanted, ..)| *wanted)
    .map(|(_, label, value)| (label, &**value))
    .collect()
}

/// The own labels of combination number `own`, the last label counting fastest.
fn own_labels(spec: &Spec, own: usize) -> Vec<Label<'static>> {
    let mut rest = own;
    let mut labels: Vec<_> = spec
        .own
        .iter()
        .rev()
        .map(|dimension| {
            let value = rest.checked_rem(dimension.count()).unwrap_or(0);
            rest = rest.checked_div(dimension.count()).unwrap_or(0);
            (dimension.label(), dimension.value(value))
        })
        .collect();
    labels.reverse();
    labels
}
