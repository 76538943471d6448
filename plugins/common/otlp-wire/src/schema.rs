//! Field numbers of the messages of opentelemetry-proto 1.x that are read or changed. They are the
//! protocol: none is ever given another meaning.

/// The list in `TracesData`, `LogsData` and `MetricsData`, and in the requests of the services.
pub const RESOURCES: u32 = 1;

/// `ResourceSpans`, `ResourceLogs` and `ResourceMetrics`: alike.
pub mod resource {
    /// `Resource`; its attributes are field 1.
    pub const RESOURCE: u32 = 1;
    /// `ScopeSpans`, `ScopeLogs` or `ScopeMetrics`.
    pub const SCOPES: u32 = 2;
    /// Attributes of a `Resource`.
    pub const ATTRIBUTES: u32 = 1;
}

/// `ScopeSpans`, `ScopeLogs` and `ScopeMetrics`: alike.
pub mod scope {
    /// `InstrumentationScope`; its name is field 1.
    pub const SCOPE: u32 = 1;
    /// `Span`, `LogRecord` or `Metric`.
    pub const ITEMS: u32 = 2;
    /// Name of an `InstrumentationScope`.
    pub const NAME: u32 = 1;
}

/// `Span`.
pub mod span {
    /// Bytes.
    pub const TRACE_ID: u32 = 1;
    /// Bytes.
    pub const SPAN_ID: u32 = 2;
    /// Bytes; empty for a root.
    pub const PARENT_SPAN_ID: u32 = 4;
    /// Text.
    pub const NAME: u32 = 5;
    /// `KeyValue`s.
    pub const ATTRIBUTES: u32 = 9;
    /// `Event`s.
    pub const EVENTS: u32 = 11;
    /// `Link`s.
    pub const LINKS: u32 = 13;
    /// `Status`.
    pub const STATUS: u32 = 15;
}

/// `Span.Event`.
pub mod event {
    /// Text.
    pub const NAME: u32 = 2;
    /// `KeyValue`s.
    pub const ATTRIBUTES: u32 = 3;
}

/// `Span.Link`.
pub mod link {
    /// `KeyValue`s.
    pub const ATTRIBUTES: u32 = 4;
}

/// `Status`.
pub mod status {
    /// Text.
    pub const MESSAGE: u32 = 2;
    /// 2 is an error.
    pub const CODE: u32 = 3;
}

/// `KeyValue`.
pub mod key_value {
    /// Text.
    pub const KEY: u32 = 1;
    /// `AnyValue`.
    pub const VALUE: u32 = 2;
}
