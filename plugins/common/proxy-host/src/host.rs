//! The host as a trait: the calls of the proxy-wasm ABI 0.2.1 that pgmesh makes.

/// What a callback tells the host to do with the bytes at hand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(i32)]
pub enum Action {
    /// Pass them on.
    Continue = 0,
}

/// A buffer of the host (`WasmBufferType` of the ABI).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(i32)]
pub enum Buffer {
    /// Bytes from the client, in the downstream data callback.
    DownstreamData = 2,
    /// Bytes from the server, in the upstream data callback.
    UpstreamData = 3,
    /// The filter's configuration, in the configure callback.
    PluginConfiguration = 7,
}

/// The kind of a metric (`MetricType` of the ABI).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(i32)]
pub enum MetricKind {
    /// Only goes up.
    Counter = 0,
    /// Goes up and down.
    Gauge = 1,
    /// Takes samples.
    Histogram = 2,
}

/// A metric as the host numbers it, per VM.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct MetricId(pub u32);

/// A host call that did not answer `Ok`: the status as the host gave it (`WasmResult`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HostError(pub i32);

/// The calls a module makes. None of them panics, whatever the host answers.
pub trait Host {
    /// Wall clock in nanoseconds since the Unix epoch; 0 if the host has none.
    fn now(&self) -> u64;

    /// Lends `len` bytes of `buffer` from `start` on to `read`, fewer where the buffer is shorter.
    ///
    /// # Errors
    /// The host has no such buffer in this callback. `read` was not called.
    fn with_buffer<R>(
        &self,
        buffer: Buffer,
        start: usize,
        len: usize,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, HostError>;

    /// Defines a metric, or finds the one that already has this name.
    ///
    /// # Errors
    /// The host refused the name.
    fn define_metric(&self, kind: MetricKind, name: &str) -> Result<MetricId, HostError>;

    /// Adds to a counter or gauge.
    ///
    /// # Errors
    /// The metric is not known, or `offset` does not fit its kind.
    fn increment_metric(&self, metric: MetricId, offset: i64) -> Result<(), HostError>;

    /// Gives a histogram one sample.
    ///
    /// # Errors
    /// The metric is not known or is no histogram.
    fn record_metric(&self, metric: MetricId, value: u64) -> Result<(), HostError>;

    /// Asks for a tick every `milliseconds`.
    ///
    /// # Errors
    /// The host has no timers.
    fn set_tick_period(&self, milliseconds: u32) -> Result<(), HostError>;
}
