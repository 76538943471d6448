//! Metrics added up in the VM and handed to the host by [`Metrics::flush`].
//!
//! A host call costs as much as decoding a message, so a sample makes none: counters, gauges and
//! histograms are interned once per set of labels, and what has changed since the last flush is
//! sent as one increment each.
//!
//! # Names
//! Envoy has no labels for a filter's metrics. They are encoded in the name
//! (`family.label=.=value;.;label=.=value;.;`) and taken out again by the `stats_tags` of
//! `envoy-configs/envoy`. [`clean`] keeps values from imitating the encoding.
//!
//! # Histograms
//! By default kept as cumulative `_bucket` (with the label `le`), `_sum` and `_count` counters,
//! which is what Prometheus makes of a histogram, so that `histogram_quantile` answers as ever.
//! [`HistogramStore::Host`] uses the host's own instead, at one host call per sample.

use std::rc::Rc;

use crate::{Host, MetricId, MetricKind};

/// Bytes of a label value that are kept: PostgreSQL's `NAMEDATALEN` less one.
pub const MAX_VALUE: usize = 63;

/// A label's name and value. The value is cleaned when the metric is interned.
pub type Label<'a> = (&'static str, &'a str);

/// A counter or gauge, by its place in [`Metrics`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Counter(u32);

/// A histogram, by its place in [`Metrics`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Histogram(u32);

/// Who keeps the buckets of histograms.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum HistogramStore {
    /// This VM, as counters.
    #[default]
    Vm,
    /// The host: one call per sample, its own buckets.
    Host,
}

/// What one counter or gauge has gathered since the last flush.
struct Pending {
    id: Option<MetricId>,
    delta: i64,
    dirty: bool,
}

/// Where the samples of one histogram go.
enum Samples {
    Host(Option<MetricId>),
    Vm(Buckets),
}

/// What one histogram has gathered since the last flush.
struct Buckets {
    /// Upper bounds, ascending; the bucket above them all is implied.
    bounds: Rc<[u64]>,
    /// The `_bucket` counters, one per bound and one for `+Inf`, one after the other.
    first_bucket: u32,
    sum: Counter,
    count: Counter,
    /// Samples per bucket, not cumulated.
    samples: Box<[u32]>,
    total: u64,
    dirty: bool,
}

/// All metrics of one root context.
#[derive(Default)]
pub struct Metrics {
    store: HistogramStore,
    counters: Vec<Pending>,
    dirty_counters: Vec<u32>,
    histograms: Vec<Samples>,
    dirty_histograms: Vec<u32>,
    refused: u64,
}

impl Metrics {
    /// No metric yet.
    #[must_use]
    pub fn new(store: HistogramStore) -> Self {
        Self {
            store,
            ..Self::default()
        }
    }

    /// Defines a counter in the host, from where on it shows there with 0.
    pub fn counter(&mut self, host: &impl Host, family: &str, labels: &[Label<'_>]) -> Counter {
        self.define(host, MetricKind::Counter, &encode(family, labels))
    }

    /// Defines a gauge in the host. Several VMs share it: each adds and takes away its own part.
    pub fn gauge(&mut self, host: &impl Host, family: &str, labels: &[Label<'_>]) -> Counter {
        self.define(host, MetricKind::Gauge, &encode(family, labels))
    }

    /// Defines a histogram; `bounds` are the upper bounds of its buckets, ascending.
    pub fn histogram(
        &mut self,
        host: &impl Host,
        family: &str,
        labels: &[Label<'_>],
        bounds: &Rc<[u64]>,
    ) -> Histogram {
        let samples = match self.store {
            HistogramStore::Vm => Samples::Vm(self.buckets(host, family, labels, bounds)),
            HistogramStore::Host => {
                let name = encode(family, labels);
                Samples::Host(self.define_in_host(host, MetricKind::Histogram, &name))
            }
        };
        let index = next_index(&self.histograms);
        self.histograms.push(samples);
        Histogram(index)
    }

    fn buckets(
        &mut self,
        host: &impl Host,
        family: &str,
        labels: &[Label<'_>],
        bounds: &Rc<[u64]>,
    ) -> Buckets {
        let first_bucket = next_index(&self.counters);
        let base = encode(&format!("{family}_bucket"), labels);
        let bounds_as_text = bounds.iter().map(u64::to_string).chain(["+Inf".to_owned()]);
        for le in bounds_as_text {
            let mut name = base.clone();
            push_label(&mut name, "le", &le);
            self.define(host, MetricKind::Counter, &name);
        }
        Buckets {
            bounds: Rc::clone(bounds),
            first_bucket,
            sum: self.counter(host, &format!("{family}_sum"), labels),
            count: self.counter(host, &format!("{family}_count"), labels),
            samples: vec![0; bounds.len().saturating_add(1)].into_boxed_slice(),
            total: 0,
            dirty: false,
        }
    }

    fn define(&mut self, host: &impl Host, kind: MetricKind, name: &str) -> Counter {
        let id = self.define_in_host(host, kind, name);
        let index = next_index(&self.counters);
        self.counters.push(Pending {
            id,
            delta: 0,
            dirty: false,
        });
        Counter(index)
    }

    fn define_in_host(
        &mut self,
        host: &impl Host,
        kind: MetricKind,
        name: &str,
    ) -> Option<MetricId> {
        let id = host.define_metric(kind, name).ok();
        if id.is_none() {
            self.refused = self.refused.saturating_add(1);
        }
        id
    }

    /// Adds to a counter or gauge, in the VM.
    #[inline]
    pub fn add(&mut self, counter: Counter, delta: i64) {
        let Some(pending) = self.counters.get_mut(counter.0 as usize) else {
            return;
        };
        pending.delta = pending.delta.saturating_add(delta);
        if !pending.dirty {
            pending.dirty = true;
            self.dirty_counters.push(counter.0);
        }
    }

    /// Gives a histogram one sample.
    #[inline]
    pub fn observe(&mut self, host: &impl Host, histogram: Histogram, value: u64) {
        match self.histograms.get_mut(histogram.0 as usize) {
            Some(Samples::Vm(buckets)) => {
                let bucket = buckets.bounds.partition_point(|bound| *bound < value);
                if let Some(samples) = buckets.samples.get_mut(bucket) {
                    *samples = samples.saturating_add(1);
                }
                buckets.total = buckets.total.saturating_add(value);
                if !buckets.dirty {
                    buckets.dirty = true;
                    self.dirty_histograms.push(histogram.0);
                }
            }
            Some(Samples::Host(Some(id))) if host.record_metric(*id, value).is_err() => {
                self.refused = self.refused.saturating_add(1);
            }
            _ => {}
        }
    }

    /// Hands everything that has changed to the host.
    pub fn flush(&mut self, host: &impl Host) {
        let mut histograms = std::mem::take(&mut self.dirty_histograms);
        for index in histograms.drain(..) {
            self.cumulate(index);
        }
        self.dirty_histograms = histograms;
        for index in self.dirty_counters.drain(..) {
            let Some(pending) = self.counters.get_mut(index as usize) else {
                continue;
            };
            pending.dirty = false;
            let delta = std::mem::take(&mut pending.delta);
            let (Some(id), true) = (pending.id, delta != 0) else {
                continue;
            };
            if host.increment_metric(id, delta).is_err() {
                self.refused = self.refused.saturating_add(1);
            }
        }
    }

    /// Turns the samples of one histogram into deltas of its counters.
    fn cumulate(&mut self, index: u32) {
        let Some(Samples::Vm(buckets)) = self.histograms.get_mut(index as usize) else {
            return;
        };
        buckets.dirty = false;
        let (first, sum, count) = (buckets.first_bucket, buckets.sum, buckets.count);
        let total = std::mem::take(&mut buckets.total);
        let samples: Vec<u32> = buckets.samples.iter_mut().map(std::mem::take).collect();
        let mut cumulated: i64 = 0;
        for (bucket, samples) in (first..).zip(samples) {
            cumulated = cumulated.saturating_add(i64::from(samples));
            self.add(Counter(bucket), cumulated);
        }
        self.add(sum, i64::try_from(total).unwrap_or(i64::MAX));
        self.add(count, cumulated);
    }

    /// How often the host has refused a metric or a change: each is a figure that is missing.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Bytes held, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let per_bucket = size_of::<u32>();
        let buckets = self.histograms.iter().map(|samples| match samples {
            Samples::Vm(buckets) => buckets.samples.len().saturating_mul(per_bucket),
            Samples::Host(_) => 0,
        });
        let counters = self
            .counters
            .capacity()
            .saturating_mul(size_of::<Pending>());
        let histograms = self
            .histograms
            .capacity()
            .saturating_mul(size_of::<Samples>());
        buckets.fold(counters.saturating_add(histograms), usize::saturating_add)
    }
}

fn next_index<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).unwrap_or(u32::MAX)
}

/// `family.label=.=value;.;label=.=value;.;`: the end is not a dot, which Envoy would cut off.
fn encode(family: &str, labels: &[Label<'_>]) -> String {
    let mut name = String::from(family);
    for (label, value) in labels {
        push_label(&mut name, label, value);
    }
    name
}

fn push_label(name: &mut String, label: &str, value: &str) {
    let separator = if name.ends_with(';') { "" } else { "." };
    for part in [separator, label, "=.=", &clean(value), ";.;"] {
        name.push_str(part);
    }
}

/// A value as it can stand in a name: at most [`MAX_VALUE`] bytes, `;`, `=`, `"`, `\` and control
/// characters replaced by `_`. Other characters are the database's own.
#[must_use]
pub fn clean(value: &str) -> String {
    let replaced = |c: char| {
        if c.is_control() || ";=\"\\".contains(c) {
            '_'
        } else {
            c
        }
    };
    let mut cleaned = String::with_capacity(value.len().min(MAX_VALUE));
    for c in value.chars().map(replaced) {
        if cleaned.len().saturating_add(c.len_utf8()) > MAX_VALUE {
            break;
        }
        cleaned.push(c);
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeHost;

    fn bounds() -> Rc<[u64]> {
        Rc::from([10, 100].as_slice())
    }

    #[test]
    fn labels_are_encoded_in_the_name() {
        let host = FakeHost::default();
        let mut metrics = Metrics::default();
        let counter = metrics.counter(&host, "errors", &[("user", "bob"), ("sqlstate", "42601")]);
        metrics.add(counter, 2);
        metrics.flush(&host);
        assert_eq!(
            host.value("errors.user=.=bob;.;sqlstate=.=42601;.;"),
            Some(2)
        );
    }

    #[test]
    fn a_value_cannot_imitate_another_label() {
        assert_eq!(clean("x;.user=.=root;."), "x_.user_._root_.");
        assert_eq!(clean("line\nfeed \"quoted\""), "line_feed _quoted_");
        assert_eq!(clean(&"\u{e9}".repeat(60)).len(), 62);
    }

    #[test]
    fn nothing_reaches_the_host_before_the_flush_and_nothing_twice() {
        let host = FakeHost::default();
        let mut metrics = Metrics::default();
        let counter = metrics.counter(&host, "c", &[]);
        metrics.add(counter, 5);
        assert_eq!(host.value("c"), Some(0));
        metrics.flush(&host);
        metrics.flush(&host);
        assert_eq!(host.value("c"), Some(5));
    }

    #[test]
    fn a_gauge_that_came_back_makes_no_host_call() {
        let host = FakeHost::default();
        let mut metrics = Metrics::default();
        let gauge = metrics.gauge(&host, "g", &[]);
        for _ in 0..1000 {
            metrics.add(gauge, 1);
            metrics.add(gauge, -1);
        }
        assert_eq!(metrics.dirty_counters, [gauge.0]);
        let before = host.calls.get();
        metrics.flush(&host);
        assert_eq!(host.calls.get(), before);
    }

    #[test]
    fn histogram_buckets_are_cumulative() {
        let host = FakeHost::default();
        let mut metrics = Metrics::default();
        let histogram = metrics.histogram(&host, "h", &[("op", "SELECT")], &bounds());
        for value in [1, 10, 11, 5000] {
            metrics.observe(&host, histogram, value);
        }
        metrics.flush(&host);
        let value = |name: &str| host.value(name);
        assert_eq!(value("h_bucket.op=.=SELECT;.;le=.=10;.;"), Some(2));
        assert_eq!(value("h_bucket.op=.=SELECT;.;le=.=100;.;"), Some(3));
        assert_eq!(value("h_bucket.op=.=SELECT;.;le=.=+Inf;.;"), Some(4));
        assert_eq!(value("h_sum.op=.=SELECT;.;"), Some(5022));
        assert_eq!(value("h_count.op=.=SELECT;.;"), Some(4));
    }

    #[test]
    fn the_hosts_own_histograms_take_each_sample_at_once() {
        let host = FakeHost::default();
        let mut metrics = Metrics::new(HistogramStore::Host);
        let histogram = metrics.histogram(&host, "h", &[], &bounds());
        metrics.observe(&host, histogram, 7);
        assert_eq!(host.value("h"), Some(7));
    }

    #[test]
    fn a_refusing_host_is_counted_and_breaks_nothing() {
        let host = FakeHost::default();
        host.refuse_metrics.set(true);
        let mut metrics = Metrics::default();
        let counter = metrics.counter(&host, "c", &[]);
        metrics.add(counter, 1);
        metrics.flush(&host);
        assert_eq!(metrics.refused(), 1);
    }
}
