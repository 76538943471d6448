//! A host without a proxy: [`FakeHost`] answers from memory, for native tests of a module's logic.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use crate::{Buffer, Host, HostError, MetricId, MetricKind};

/// `WasmResult::BadArgument` of the ABI.
const BAD_ARGUMENT: HostError = HostError(2);

/// A metric as the fake keeps it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FakeMetric {
    /// As defined.
    pub kind: MetricKind,
    /// Sum of all increments, or of all samples of a histogram.
    pub value: i64,
}

/// Answers every call from what a test has put in.
#[derive(Debug, Default)]
pub struct FakeHost {
    /// What the clock says, in nanoseconds.
    pub time: Cell<u64>,
    /// What is in the buffer, whichever is asked for.
    pub buffer: RefCell<Vec<u8>>,
    /// Whether `define_metric` is refused.
    pub refuse_metrics: Cell<bool>,
    /// Host calls made, of any kind.
    pub calls: Cell<u64>,
    names: RefCell<Vec<String>>,
    metrics: RefCell<BTreeMap<String, FakeMetric>>,
}

impl FakeHost {
    /// The metrics that were defined, by full name.
    #[must_use]
    pub fn metrics(&self) -> BTreeMap<String, FakeMetric> {
        self.metrics.borrow().clone()
    }

    /// The value of one metric; `None` if it was never defined.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<i64> {
        self.metrics.borrow().get(name).map(|metric| metric.value)
    }

    fn called(&self) {
        self.calls.set(self.calls.get().saturating_add(1));
    }

    fn update(&self, metric: MetricId, delta: i64) -> Result<(), HostError> {
        self.called();
        let names = self.names.borrow();
        let name = names.get(metric.0 as usize).ok_or(BAD_ARGUMENT)?;
        let mut metrics = self.metrics.borrow_mut();
        let metric = metrics.get_mut(name).ok_or(BAD_ARGUMENT)?;
        if metric.kind == MetricKind::Counter && delta <= 0 {
            return Err(BAD_ARGUMENT);
        }
        metric.value = metric.value.saturating_add(delta);
        Ok(())
    }
}

impl Host for FakeHost {
    fn now(&self) -> u64 {
        self.called();
        self.time.get()
    }

    fn with_buffer<R>(
        &self,
        _buffer: Buffer,
        start: usize,
        len: usize,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, HostError> {
        self.called();
        let buffer = self.buffer.borrow();
        let rest = buffer.get(start..).unwrap_or_default();
        Ok(read(rest.get(..len).unwrap_or(rest)))
    }

    fn define_metric(&self, kind: MetricKind, name: &str) -> Result<MetricId, HostError> {
        self.called();
        if self.refuse_metrics.get() {
            return Err(BAD_ARGUMENT);
        }
        self.metrics
            .borrow_mut()
            .entry(name.to_owned())
            .or_insert(FakeMetric { kind, value: 0 });
        let mut names = self.names.borrow_mut();
        names.push(name.to_owned());
        u32::try_from(names.len().saturating_sub(1))
            .map(MetricId)
            .map_err(|_| BAD_ARGUMENT)
    }

    fn increment_metric(&self, metric: MetricId, offset: i64) -> Result<(), HostError> {
        self.update(metric, offset)
    }

    fn record_metric(&self, metric: MetricId, value: u64) -> Result<(), HostError> {
        self.update(metric, i64::try_from(value).map_err(|_| BAD_ARGUMENT)?)
    }

    fn set_tick_period(&self, _milliseconds: u32) -> Result<(), HostError> {
        self.called();
        Ok(())
    }
}
