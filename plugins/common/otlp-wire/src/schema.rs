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
    /// Number of a `Resource`'s attributes that were dropped.
    pub const DROPPED_ATTRIBUTES: u32 = 2;
    /// Text: the version of the conventions that the resource follows.
    pub const SCHEMA_URL: u32 = 3;
}

/// `ScopeSpans`, `ScopeLogs` and `ScopeMetrics`: alike.
pub mod scope {
    /// `InstrumentationScope`; its name is field 1.
    pub const SCOPE: u32 = 1;
    /// `Span`, `LogRecord` or `Metric`.
    pub const ITEMS: u32 = 2;
    /// Name of an `InstrumentationScope`.
    pub const NAME: u32 = 1;
    /// Version of an `InstrumentationScope`.
    pub const VERSION: u32 = 2;
    /// Attributes of an `InstrumentationScope`.
    pub const ATTRIBUTES: u32 = 3;
    /// Number of an `InstrumentationScope`'s attributes that were dropped.
    pub const DROPPED_ATTRIBUTES: u32 = 4;
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
    /// `SpanKind`.
    pub const KIND: u32 = 6;
    /// `fixed64`: nanoseconds since 1970.
    pub const START_TIME: u32 = 7;
    /// `fixed64`: nanoseconds since 1970.
    pub const END_TIME: u32 = 8;
    /// `KeyValue`s.
    pub const ATTRIBUTES: u32 = 9;
    /// `uint32`.
    pub const DROPPED_ATTRIBUTES: u32 = 10;
    /// `Event`s.
    pub const EVENTS: u32 = 11;
    /// `uint32`.
    pub const DROPPED_EVENTS: u32 = 12;
    /// `Link`s.
    pub const LINKS: u32 = 13;
    /// `uint32`.
    pub const DROPPED_LINKS: u32 = 14;
    /// `Status`.
    pub const STATUS: u32 = 15;
    /// `fixed32`.
    pub const FLAGS: u32 = 16;
}

/// `LogRecord`.
pub mod log_record {
    /// `fixed64`: nanoseconds since 1970.
    pub const TIME: u32 = 1;
    /// `SeverityNumber`.
    pub const SEVERITY_NUMBER: u32 = 2;
    /// Text.
    pub const SEVERITY_TEXT: u32 = 3;
    /// `AnyValue`.
    pub const BODY: u32 = 5;
    /// `KeyValue`s.
    pub const ATTRIBUTES: u32 = 6;
    /// `uint32`.
    pub const DROPPED_ATTRIBUTES: u32 = 7;
    /// `fixed32`.
    pub const FLAGS: u32 = 8;
    /// Bytes.
    pub const TRACE_ID: u32 = 9;
    /// Bytes.
    pub const SPAN_ID: u32 = 10;
    /// `fixed64`: nanoseconds since 1970.
    pub const OBSERVED_TIME: u32 = 11;
    /// Text.
    pub const EVENT_NAME: u32 = 12;
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

/// `AnyValue`.
pub mod any {
    /// Text.
    pub const TEXT: u32 = 1;
    /// `int64`.
    pub const INT: u32 = 3;
    /// `double`.
    pub const DOUBLE: u32 = 4;
    /// `ArrayValue`.
    pub const LIST: u32 = 5;
    /// `KeyValueList`.
    pub const MAP: u32 = 6;
    /// Bytes.
    pub const BYTES: u32 = 7;
    /// What lists and maps have: `AnyValue`s or `KeyValue`s.
    pub const MEMBERS: u32 = 1;
}

/// `Metric`.
pub mod metric {
    /// Text.
    pub const NAME: u32 = 1;
    /// Text.
    pub const DESCRIPTION: u32 = 2;
    /// Text, by UCUM.
    pub const UNIT: u32 = 3;
    /// `Gauge`.
    pub const GAUGE: u32 = 5;
    /// `Sum`.
    pub const SUM: u32 = 7;
    /// `Histogram`.
    pub const HISTOGRAM: u32 = 9;
    /// `ExponentialHistogram`.
    pub const EXPONENTIAL_HISTOGRAM: u32 = 10;
    /// `Summary`.
    pub const SUMMARY: u32 = 11;
    /// `KeyValue`s.
    pub const METADATA: u32 = 12;
}

/// `Gauge` and `Sum`; the former has points only.
pub mod numbers {
    /// `NumberDataPoint`s.
    pub const POINTS: u32 = 1;
    /// 1 is delta, 2 cumulative.
    pub const TEMPORALITY: u32 = 2;
    /// Boolean.
    pub const IS_MONOTONIC: u32 = 3;
    /// Values are increases since the point's start.
    pub const DELTA: u64 = 1;
    /// Values are increases since the counter began.
    pub const CUMULATIVE: u64 = 2;
}

/// `NumberDataPoint`.
pub mod number_data_point {
    /// `fixed64`: nanoseconds since the epoch, or 0.
    pub const START_TIME: u32 = 2;
    /// `fixed64`: nanoseconds since the epoch.
    pub const TIME: u32 = 3;
    /// `double`.
    pub const AS_DOUBLE: u32 = 4;
    /// `Exemplar`s.
    pub const EXEMPLARS: u32 = 5;
    /// `sfixed64`.
    pub const AS_INT: u32 = 6;
    /// `KeyValue`s.
    pub const ATTRIBUTES: u32 = 7;
    /// `uint32`.
    pub const FLAGS: u32 = 8;
    /// The flag of a point without a value: its series has ended.
    pub const NO_RECORDED_VALUE: u64 = 1;
}
