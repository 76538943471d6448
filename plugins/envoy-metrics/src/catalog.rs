//! Every metric of the module in one table: name, kind, own labels, meaning. The recorder counts by
//! it, and the README's table is checked against it.

use pg_sql::Operation;
use pg_wire::{DesyncReason, Direction, MessageName, OpaqueReason, Severity};
use pg_wire::{ProtocolVersion, ReplicationKind, SubProtocol, TransactionOutcome};

/// Stands in front of every name.
pub const PREFIX: &str = "pgmesh_";

/// What a metric is, and for histograms what its buckets are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Only goes up.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Histogram of microseconds.
    Duration,
    /// Histogram of a number of statements.
    Depth,
}

/// A label whose values are known beforehand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dimension {
    Operation,
    Protocol,
    ProtocolVersion,
    Direction,
    Message,
    Severity,
    Outcome,
    ReplicationKind,
    OpaqueReason,
}

/// Values of `direction`, by [`Direction`].
const DIRECTIONS: &[&str] = &["frontend", "backend"];
/// Values of `protocol`, by [`SubProtocol`].
const PROTOCOLS: &[&str] = &["simple", "extended", "function"];
/// Values of `protocol_version`: what servers of today accept; a client can send any number.
const VERSIONS: &[&str] = &["3.0", "3.1", "3.2", "other"];
/// Values of `severity`, by [`Severity`].
const SEVERITIES: &[&str] = &[
    "ERROR", "FATAL", "PANIC", "WARNING", "NOTICE", "DEBUG", "INFO", "LOG", "unknown",
];
/// Values of `outcome`, by [`TransactionOutcome`].
const OUTCOMES: &[&str] = &["commit", "rollback", "disconnected"];
/// Values of `kind`, by [`ReplicationKind`].
const REPLICATION_KINDS: &[&str] = &["physical", "logical"];
/// Values of `reason`, by [`opaque_reason`].
const OPAQUE_REASONS: &[&str] = &[
    "tls",
    "gss",
    "direct_tls",
    "not_postgresql",
    "frontend_unknown_tag",
    "frontend_bad_length",
    "frontend_bad_body",
    "frontend_unexpected",
    "frontend_too_much_state",
    "frontend_missed",
    "backend_unknown_tag",
    "backend_bad_length",
    "backend_bad_body",
    "backend_unexpected",
    "backend_too_much_state",
    "backend_missed",
];

impl Dimension {
    /// The label's name.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Operation => "operation",
            Self::Protocol => "protocol",
            Self::ProtocolVersion => "protocol_version",
            Self::Direction => "direction",
            Self::Message => "message",
            Self::Severity => "severity",
            Self::Outcome => "outcome",
            Self::ReplicationKind => "kind",
            Self::OpaqueReason => "reason",
        }
    }

    /// How many values it has.
    #[must_use]
    pub const fn count(self) -> usize {
        match self {
            Self::Operation => Operation::COUNT,
            Self::Message => MessageName::COUNT,
            _ => self.words().len(),
        }
    }

    /// Value number `index`; empty beyond the last.
    #[must_use]
    pub fn value(self, index: usize) -> &'static str {
        match self {
            Self::Operation => Operation::ALL.get(index).map_or("", |o| o.as_str()),
            Self::Message => MessageName::ALL.get(index).map_or("", |m| m.as_str()),
            _ => self.words().get(index).copied().unwrap_or(""),
        }
    }

    const fn words(self) -> &'static [&'static str] {
        match self {
            Self::Operation | Self::Message => &[],
            Self::Protocol => PROTOCOLS,
            Self::ProtocolVersion => VERSIONS,
            Self::Direction => DIRECTIONS,
            Self::Severity => SEVERITIES,
            Self::Outcome => OUTCOMES,
            Self::ReplicationKind => REPLICATION_KINDS,
            Self::OpaqueReason => OPAQUE_REASONS,
        }
    }
}

/// Place of a direction among the values of [`Dimension::Direction`].
#[must_use]
pub const fn direction(direction: Direction) -> usize {
    match direction {
        Direction::Frontend => 0,
        Direction::Backend => 1,
    }
}

/// Place of a protocol among the values of [`Dimension::Protocol`].
#[must_use]
pub const fn protocol(protocol: SubProtocol) -> usize {
    match protocol {
        SubProtocol::Simple => 0,
        SubProtocol::Extended => 1,
        SubProtocol::Function => 2,
    }
}

/// Place of a version among the values of [`Dimension::ProtocolVersion`].
#[must_use]
pub const fn protocol_version(version: ProtocolVersion) -> usize {
    match (version.major, version.minor) {
        (3, 0) => 0,
        (3, 1) => 1,
        (3, 2) => 2,
        _ => 3,
    }
}

/// Place of a severity among the values of [`Dimension::Severity`].
#[must_use]
pub const fn severity(severity: Severity) -> usize {
    match severity {
        Severity::Error => 0,
        Severity::Fatal => 1,
        Severity::Panic => 2,
        Severity::Warning => 3,
        Severity::Notice => 4,
        Severity::Debug => 5,
        Severity::Info => 6,
        Severity::Log => 7,
        Severity::Unknown => 8,
    }
}

/// Place of an outcome among the values of [`Dimension::Outcome`].
#[must_use]
pub const fn outcome(outcome: TransactionOutcome) -> usize {
    match outcome {
        TransactionOutcome::Commit => 0,
        TransactionOutcome::Rollback => 1,
        TransactionOutcome::Disconnected => 2,
    }
}

/// Place of a kind among the values of [`Dimension::ReplicationKind`].
#[must_use]
pub const fn replication_kind(kind: ReplicationKind) -> usize {
    match kind {
        ReplicationKind::Physical => 0,
        ReplicationKind::Logical => 1,
    }
}

/// Place of a reason among the values of [`Dimension::OpaqueReason`].
#[must_use]
pub const fn opaque_reason(reason: OpaqueReason) -> usize {
    match reason {
        OpaqueReason::Tls => 0,
        OpaqueReason::Gss => 1,
        OpaqueReason::DirectTls => 2,
        OpaqueReason::NotPostgresql => 3,
        OpaqueReason::Desync(Direction::Frontend, reason) => desync_reason(4, reason),
        OpaqueReason::Desync(Direction::Backend, reason) => desync_reason(10, reason),
    }
}

const fn desync_reason(first: usize, reason: DesyncReason) -> usize {
    first.saturating_add(match reason {
        DesyncReason::UnknownTag => 0,
        DesyncReason::BadLength => 1,
        DesyncReason::BadBody => 2,
        DesyncReason::Unexpected => 3,
        DesyncReason::TooMuchState => 4,
        DesyncReason::Missed => 5,
    })
}

macro_rules! families {
    ($($family:ident $name:literal $kind:ident [$($dimension:ident),*] $meaning:literal;)*) => {
        /// A metric, and its place in [`SPECS`].
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        #[repr(usize)]
        pub enum Family { $($family,)* }

        /// The table.
        pub const SPECS: &[Spec] = &[$(Spec {
            family: Family::$family,
            name: $name,
            kind: Kind::$kind,
            own: &[$(Dimension::$dimension),*],
            meaning: $meaning,
        },)*];
    };
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Which.
    pub family: Family,
    /// Without the prefix.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The labels it has besides those of the session.
    pub own: &'static [Dimension],
    /// One sentence for the README.
    pub meaning: &'static str,
}

families! {
    Connections "connections_total" Counter [ProtocolVersion]
        "Sessions that sent a StartupMessage, whether the server let them in or not.";
    ConnectionsActive "connections_active" Gauge [ProtocolVersion]
        "Sessions that are open: from the first ReadyForQuery to the end of the connection.";
    OpaqueConnections "connections_opaque_total" Counter [OpaqueReason]
        "Connections that cannot be decoded, or no longer; their bytes pass and are counted.";
    StartupDuration "startup_duration_microseconds" Duration []
        "From the StartupMessage to the first ReadyForQuery, authentication included.";
    Statements "statements_total" Counter [Operation, Protocol]
        "Statements that have ended: one per command tag, error or function call.";
    StatementDuration "statement_duration_microseconds" Duration [Operation, Protocol]
        "From when the server could begin on the statement to the end of its answer.";
    FirstRowDuration "first_row_duration_microseconds" Duration [Operation, Protocol]
        "From when the server could begin on the statement to its first DataRow.";
    Rows "rows_total" Counter [Operation]
        "Rows returned or changed, by the count in the command tag.";
    Notices "notices_total" Counter [Severity]
        "NoticeResponse messages.";
    Transactions "transactions_total" Counter [Outcome]
        "Transactions that have ended, implicit ones included, as `pg_stat_database` counts them.";
    TransactionDuration "transaction_duration_microseconds" Duration [Outcome]
        "From the arrival of a transaction's first message to the end of its last answer.";
    IdleInTransaction "idle_in_transaction_microseconds" Duration []
        "Pauses of the client inside a transaction: from ReadyForQuery to its next message.";
    Bytes "bytes_total" Counter [Direction]
        "Bytes as they passed, of opaque connections too.";
    Messages "messages_total" Counter [Message]
        "Messages by name.";
    PreparedStatements "prepared_statements_active" Gauge []
        "Named prepared statements that are held open.";
    Parses "parses_total" Counter []
        "Parse messages that the server has completed.";
    PipelineDepth "pipeline_depth" Depth []
        "Statements that wait for their answer when a Query or Sync arrives, itself included.";
    CopyBytes "copy_bytes_total" Counter [Direction]
        "Bytes of CopyData, without the headers.";
    CopyRows "copy_rows_total" Counter [Direction]
        "Rows copied, by the count in the command tag.";
    ReplicationConnections "replication_connections_active" Gauge [ReplicationKind]
        "Open sessions that asked for replication in their StartupMessage.";
    ReplicationBytes "replication_bytes_total" Counter [ReplicationKind]
        "Bytes of CopyData, both ways, on connections in replication.";
    CancelRequests "cancel_requests_total" Counter []
        "CancelRequest packets.";
    Notifications "notifications_total" Counter []
        "NotificationResponse messages (LISTEN / NOTIFY).";
    FunctionCalls "function_calls_total" Counter []
        "FunctionCall messages: functions run by OID, without SQL text.";
    BackendDisconnects "backend_disconnects_total" Counter []
        "Connections that the server closed while a statement was running.";
}

impl Family {
    /// Its row.
    #[must_use]
    pub fn spec(self) -> Option<&'static Spec> {
        SPECS.get(self as usize)
    }
}

/// The metrics with labels that are not known beforehand, or with none at all: name, kind, labels,
/// meaning, for the README.
pub const OTHERS: &[(&str, Kind, &[&str], &str)] = &[
    (
        CONNECTION_FAILURES,
        Kind::Counter,
        &["sqlstate"],
        "Sessions that the server refused, by the SQLSTATE of its ErrorResponse.",
    ),
    (
        ERRORS,
        Kind::Counter,
        &["sqlstate", "severity"],
        "ErrorResponse messages in open sessions.",
    ),
    (
        LABEL_SETS_DROPPED,
        Kind::Counter,
        &[],
        "Sessions or errors counted as `other` because `max_label_sets` was reached.",
    ),
    (
        STATE_BYTES,
        Kind::Gauge,
        &[],
        "Memory that the filter holds for connections and metrics.",
    ),
    (
        METRICS_REFUSED,
        Kind::Counter,
        &[],
        "Metrics or changes that the host refused; each is a figure that is missing.",
    ),
    (
        TEXTS_FORGOTTEN,
        Kind::Counter,
        &[],
        "Statement texts that made room for others; what still runs of them is followed without text.",
    ),
    (
        QUERY_LOG_SUPPRESSED,
        Kind::Counter,
        &[],
        "Statements chosen for the query log whose fingerprint had used up its lines of the minute.",
    ),
    (
        EXPORT_SENT,
        Kind::Counter,
        &[],
        "Spans, log records and data points that the collector has accepted.",
    ),
    (
        EXPORT_DROPPED,
        Kind::Counter,
        &[],
        "Spans, log records and data points dropped because the queue was full, the oldest first.",
    ),
    (
        EXPORT_FAILED,
        Kind::Counter,
        &[],
        "Spans, log records and data points that the collector has refused.",
    ),
    (
        EXPORT_RETRIED,
        Kind::Counter,
        &[],
        "Requests to the collector that are made once more.",
    ),
    (
        TOP_CALLS,
        Kind::Counter,
        TOP_LABELS,
        "Calls of the top statements that ran to their end.",
    ),
    (
        TOP_ERRORS,
        Kind::Counter,
        TOP_LABELS,
        "Calls of the top statements that failed, or were cut off.",
    ),
    (
        TOP_ROWS,
        Kind::Counter,
        TOP_LABELS,
        "Rows that the top statements returned or changed.",
    ),
    (
        TOP_DURATION,
        Kind::Counter,
        TOP_LABELS,
        "Time that the server had the top statements for.",
    ),
];

/// The label of a statement.
pub const FINGERPRINT: &str = "fingerprint";
/// Whose statement it is.
const TOP_LABELS: &[&str] = &["database", "user", FINGERPRINT];

/// Connections refused by the server.
pub const CONNECTION_FAILURES: &str = "connection_failures_total";
/// Errors.
pub const ERRORS: &str = "errors_total";
/// Sessions and errors without labels of their own.
pub const LABEL_SETS_DROPPED: &str = "label_sets_dropped_total";
/// Memory held.
pub const STATE_BYTES: &str = "state_bytes";
/// Calls the host refused.
pub const METRICS_REFUSED: &str = "metrics_refused_total";
/// Texts that are no longer known.
pub const TEXTS_FORGOTTEN: &str = "statement_texts_forgotten_total";
/// Lines that were not written.
pub const QUERY_LOG_SUPPRESSED: &str = "query_log_suppressed_total";
/// Taken by the collector.
pub const EXPORT_SENT: &str = "export_sent_total";
/// Fallen off the queue.
pub const EXPORT_DROPPED: &str = "export_dropped_total";
/// Refused by the collector.
pub const EXPORT_FAILED: &str = "export_failed_total";
/// Asked again.
pub const EXPORT_RETRIED: &str = "export_retried_total";
/// Runs of a top statement.
pub const TOP_CALLS: &str = "top_statement_calls_total";
/// Runs of it that went wrong.
pub const TOP_ERRORS: &str = "top_statement_errors_total";
/// What it gave.
pub const TOP_ROWS: &str = "top_statement_rows_total";
/// What it took.
pub const TOP_DURATION: &str = "top_statement_duration_microseconds_total";

/// Every metric's name, without the prefix.
pub fn names() -> impl Iterator<Item = &'static str> {
    SPECS
        .iter()
        .map(|spec| spec.name)
        .chain(OTHERS.iter().map(|(name, ..)| *name))
}
