//! A host without a proxy: [`FakeHost`] answers from memory, for native tests of a module's logic.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use crate::{
    Buffer, ContextId, Host, HostError, HttpCallId, HttpRequest, MetricId, MetricKind, Side,
    Version,
};

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

/// An HTTP request as the fake keeps it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FakeRequest {
    /// Where to.
    pub cluster: String,
    /// As given.
    pub headers: Vec<(String, String)>,
    /// As given.
    pub body: Vec<u8>,
    /// As given.
    pub timeout_ms: u32,
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
    /// Properties, their paths joined by dots: given by the test or set by the module.
    pub properties: RefCell<BTreeMap<String, Vec<u8>>>,
    /// What the VMs of the process share.
    pub shared_data: RefCell<BTreeMap<String, (Vec<u8>, u32)>>,
    /// Requests made; a call's id is its place from 1 on.
    pub requests: RefCell<Vec<FakeRequest>>,
    /// Whether HTTP calls are refused, as for a cluster that is not known.
    pub refuse_requests: Cell<bool>,
    /// Headers of the answer that is handed over.
    pub response_headers: RefCell<Vec<(String, String)>>,
    /// Foreign functions called, with their arguments.
    pub foreign_calls: RefCell<Vec<(String, Vec<u8>)>>,
    /// Sides closed, with the context in effect.
    pub closed: RefCell<Vec<(Option<ContextId>, Side)>>,
    /// Sides resumed.
    pub resumed: RefCell<Vec<Side>>,
    effective: Cell<Option<ContextId>>,
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

    fn set_buffer(
        &self,
        _buffer: Buffer,
        start: usize,
        len: usize,
        bytes: &[u8],
    ) -> Result<(), HostError> {
        self.called();
        let mut buffer = self.buffer.borrow_mut();
        let size = buffer.len();
        if start >= size {
            buffer.extend_from_slice(bytes);
        } else if start == 0 {
            buffer.splice(..len.min(size), bytes.iter().copied());
        } else {
            return Err(BAD_ARGUMENT);
        }
        Ok(())
    }

    fn with_property<R>(
        &self,
        path: &[&str],
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, HostError> {
        self.called();
        let properties = self.properties.borrow();
        let value = properties.get(&path.join("."));
        value.map(|value| read(value)).ok_or(HostError::NOT_FOUND)
    }

    fn set_property(&self, name: &str, value: &[u8]) -> Result<(), HostError> {
        self.called();
        let mut properties = self.properties.borrow_mut();
        properties.insert(name.to_owned(), value.to_vec());
        Ok(())
    }

    fn call_foreign_function(&self, name: &str, argument: &[u8]) -> Result<(), HostError> {
        self.called();
        let mut calls = self.foreign_calls.borrow_mut();
        calls.push((name.to_owned(), argument.to_vec()));
        Ok(())
    }

    fn close(&self, side: Side) -> Result<(), HostError> {
        self.called();
        self.closed.borrow_mut().push((self.effective.get(), side));
        Ok(())
    }

    fn resume(&self, side: Side) -> Result<(), HostError> {
        self.called();
        self.resumed.borrow_mut().push(side);
        Ok(())
    }

    fn set_effective_context(&self, context: ContextId) -> Result<(), HostError> {
        self.called();
        self.effective.set(Some(context));
        Ok(())
    }

    fn with_shared_data<R>(
        &self,
        key: &str,
        read: impl FnOnce(&[u8], Version) -> R,
    ) -> Result<R, HostError> {
        self.called();
        let data = self.shared_data.borrow();
        let (value, version) = data.get(key).ok_or(HostError::NOT_FOUND)?;
        Ok(read(value, Version(*version)))
    }

    fn set_shared_data(&self, key: &str, value: &[u8], version: Version) -> Result<(), HostError> {
        self.called();
        let mut data = self.shared_data.borrow_mut();
        let entry = data.entry(key.to_owned()).or_default();
        if version != Version::default() && version.0 != entry.1 {
            return Err(HostError::CAS_MISMATCH);
        }
        *entry = (value.to_vec(), entry.1.saturating_add(1));
        Ok(())
    }

    fn http_call(&self, request: HttpRequest<'_>) -> Result<HttpCallId, HostError> {
        self.called();
        if self.refuse_requests.get() {
            return Err(BAD_ARGUMENT);
        }
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut requests = self.requests.borrow_mut();
        requests.push(FakeRequest {
            cluster: request.cluster.to_owned(),
            headers: request.headers.iter().map(own).collect(),
            body: request.body.to_vec(),
            timeout_ms: request.timeout_ms,
        });
        u32::try_from(requests.len())
            .map(HttpCallId)
            .map_err(|_| BAD_ARGUMENT)
    }

    fn with_response_header<R>(
        &self,
        name: &str,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, HostError> {
        self.called();
        let headers = self.response_headers.borrow();
        let found = headers.iter().find(|(key, _)| key == name);
        found
            .map(|(_, value)| read(value.as_bytes()))
            .ok_or(HostError::NOT_FOUND)
    }
}
