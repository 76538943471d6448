//! The host as a trait: the calls of the proxy-wasm ABI 0.2.1 that pgmesh makes.

use crate::ContextId;

/// What a callback tells the host to do with the bytes at hand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(i32)]
pub enum Action {
    /// Pass them on.
    Continue = 0,
    /// Keep them: the next callback of this direction holds them and what came since. Envoy stops
    /// reading once it holds `per_connection_buffer_limit_bytes` (1 MiB by default).
    Pause = 1,
}

/// One side of a connection (`WasmStreamType` of the ABI).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(i32)]
pub enum Side {
    /// The client's.
    Downstream = 2,
    /// The server's.
    Upstream = 3,
}

/// A buffer of the host (`WasmBufferType` of the ABI).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(i32)]
pub enum Buffer {
    /// Bytes from the client, in the downstream data callback.
    DownstreamData = 2,
    /// Bytes from the server, in the upstream data callback.
    UpstreamData = 3,
    /// The body of the answer to an HTTP call, in its callback.
    HttpCallResponseBody = 4,
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

/// An HTTP call under way, as the host numbers it, per VM.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct HttpCallId(pub u32);

/// An HTTP request that the host shall make.
#[derive(Clone, Copy, Debug)]
pub struct HttpRequest<'a> {
    /// The name of one of the host's clusters.
    pub cluster: &'a str,
    /// `:method`, `:path` and `:authority` among them.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body; empty for none.
    pub body: &'a [u8],
    /// How long the answer may take.
    pub timeout_ms: u32,
}

/// The answer to an HTTP call, in its callback.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HttpResponse {
    /// The call it answers.
    pub call: HttpCallId,
    /// How many headers came; 0 if there was no answer: no connection, a time-out, a reset.
    pub headers: usize,
    /// Bytes of [`Buffer::HttpCallResponseBody`].
    pub body_size: usize,
}

/// The version of an entry of the shared data, for a compare-and-swap; 0 asks for no comparison.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Version(pub u32);

/// A host call that did not answer `Ok`: the status as the host gave it (`WasmResult`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HostError(pub i32);

impl HostError {
    /// There is no such property, key, cluster or function.
    pub const NOT_FOUND: Self = Self(1);
    /// Somebody else has written the entry of the shared data since it was read.
    pub const CAS_MISMATCH: Self = Self(8);
}

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

    /// Puts `bytes` in the place of `len` bytes of `buffer` from `start` on. Envoy takes `start` 0
    /// (a prefix, or all of it, or nothing: prepends) and `start` at the end (appends).
    ///
    /// # Errors
    /// The host has no such buffer in this callback, or the place is none that it can write to.
    fn set_buffer(
        &self,
        buffer: Buffer,
        start: usize,
        len: usize,
        bytes: &[u8],
    ) -> Result<(), HostError>;

    /// Lends the value of a property (Envoy's attributes: `["source", "address"]`) to `read`.
    ///
    /// # Errors
    /// The host has no such property here. `read` was not called.
    fn with_property<R>(
        &self,
        path: &[&str],
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, HostError>;

    /// Sets a property of the connection; in Envoy it becomes the filter state `wasm.<name>`.
    ///
    /// # Errors
    /// The host refused it.
    fn set_property(&self, name: &str, value: &[u8]) -> Result<(), HostError>;

    /// Calls a function that only this host has, and drops what it answers.
    ///
    /// # Errors
    /// The host does not have it, or it failed.
    fn call_foreign_function(&self, name: &str, argument: &[u8]) -> Result<(), HostError>;

    /// Closes one side of the connection that is in effect. Envoy drops what it was given for that
    /// side in the same callback.
    ///
    /// # Errors
    /// There is no such connection.
    fn close(&self, side: Side) -> Result<(), HostError>;

    /// Lets the paused bytes of one side go on.
    ///
    /// # Errors
    /// There is no such connection; Envoy cannot do it for [`Side::Upstream`].
    fn resume(&self, side: Side) -> Result<(), HostError>;

    /// Makes the calls of this callback from here on act on `context`, a connection or a root.
    ///
    /// # Errors
    /// The host does not know it.
    fn set_effective_context(&self, context: ContextId) -> Result<(), HostError>;

    /// Lends the value of an entry of the data that all VMs of the process share.
    ///
    /// # Errors
    /// There is none. `read` was not called.
    fn with_shared_data<R>(
        &self,
        key: &str,
        read: impl FnOnce(&[u8], Version) -> R,
    ) -> Result<R, HostError>;

    /// Writes an entry of the data that all VMs of the process share.
    ///
    /// # Errors
    /// [`HostError::CAS_MISMATCH`] if the entry no longer has the version given.
    fn set_shared_data(&self, key: &str, value: &[u8], version: Version) -> Result<(), HostError>;

    /// Makes an HTTP request; the answer comes as [`Plugin::http_response`](crate::Plugin) of the
    /// root context.
    ///
    /// # Errors
    /// The host does not know the cluster, or it has no host that is up.
    fn http_call(&self, request: HttpRequest<'_>) -> Result<HttpCallId, HostError>;

    /// Lends a header of the answer to an HTTP call, in its callback.
    ///
    /// # Errors
    /// There is none of that name. `read` was not called.
    fn with_response_header<R>(
        &self,
        name: &str,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, HostError>;
}
