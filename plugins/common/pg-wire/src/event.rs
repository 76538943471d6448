//! What a [`Session`](crate::Session) tells its [`Observer`]: the contract between the protocol and
//! whoever counts, logs or judges.
//!
//! Times are nanoseconds of whatever clock the caller passes in; durations are nanoseconds too.

use pg_sql::Operation;

use crate::MessageName;

/// Nanoseconds on the caller's clock.
pub type Nanos = u64;

/// Who sends.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Direction {
    /// Client to server.
    Frontend,
    /// Server to client.
    Backend,
}

/// Receives everything a session sees. Both methods are on the path of every message.
pub trait Observer {
    /// The header of one whole message was seen; `bytes` counts the message as it stands on the
    /// wire, tag and length included.
    fn message(&mut self, name: MessageName, bytes: u64);

    /// Something happened that is worth more than a count.
    fn event(&mut self, event: Event<'_>);

    /// The text of a Query or Parse has arrived. What this answers comes back in
    /// [`Statement::text`] with each statement that runs it, which is all that a session keeps of a
    /// text; whoever wants none of them leaves this out.
    #[inline]
    fn text(&mut self, _text: StatementText<'_>) -> TextId {
        TextId::UNTOLD
    }
}

/// What an observer calls a text that it was shown.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct TextId(pub u32);

impl TextId {
    /// A text that nobody was shown: that of a FunctionCall, or of a statement beyond the limits.
    pub const UNTOLD: Self = Self(0);
}

/// The text of a Query or Parse. It is data: it holds whatever the user has typed.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct StatementText<'a> {
    /// Simple or extended.
    pub protocol: SubProtocol,
    /// What a Parse calls its statement; empty for the unnamed one and for a Query.
    pub name: &'a [u8],
    /// In the session's `client_encoding`, cut at [`crate::Limits::statement_text`].
    pub text: &'a [u8],
    /// Whether it was cut; a text as long as the limit may be taken for cut.
    pub truncated: bool,
}

impl std::fmt::Debug for StatementText<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StatementText")
            .field("protocol", &self.protocol)
            .field("bytes", &self.text.len())
            .field("truncated", &self.truncated)
            .finish_non_exhaustive()
    }
}

/// One thing that happened on a connection, in the order in which the wire shows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event<'a> {
    /// A StartupMessage was read; authentication follows.
    Startup(StartupMessage<'a>),
    /// The server process of this session, by its BackendKeyData.
    ServerProcess {
        /// As the server's log and `pg_stat_activity` have it.
        process_id: u32,
    },
    /// The first ReadyForQuery: the session is open.
    Ready {
        /// From the StartupMessage to here, authentication included.
        duration: Nanos,
    },
    /// The server refused the session with an ErrorResponse before the first ReadyForQuery, or
    /// the encryption it was asked for. Nothing follows.
    ConnectionFailed(Report<'a>),
    /// A CancelRequest: this connection carries nothing else.
    CancelRequest(CancelRequest<'a>),
    /// From here on nothing can be decoded, and nothing is told any more: how what is open ends is
    /// not known. Sent at most once per connection.
    Opaque(OpaqueReason),
    /// A statement has ended.
    Statement(Statement),
    /// A transaction has ended.
    Transaction(Transaction),
    /// The client's next message arrived in an open transaction.
    IdleInTransaction {
        /// Since the ReadyForQuery that left the server waiting.
        duration: Nanos,
    },
    /// An ErrorResponse, inside or outside of a statement, after the session was opened.
    Error(Report<'a>),
    /// A NoticeResponse.
    Notice(Report<'a>),
    /// A NotificationResponse (LISTEN / NOTIFY).
    Notification,
    /// A ParameterStatus.
    ParameterStatus {
        /// Of the run-time parameter, as the server spells it.
        name: &'a [u8],
        /// From now on; cut at the head limit.
        value: &'a [u8],
    },
    /// CopyData was announced: what one call of `frontend` or `backend` saw the headers of, or a
    /// part of it if other events came in between.
    CopyData {
        /// Who sends it.
        direction: Direction,
        /// Of the bodies, without tags and length words.
        bytes: u64,
    },
    /// A COPY over this connection has completed.
    CopyDone {
        /// Who sent the data.
        direction: Direction,
        /// The count of its command tag.
        rows: u64,
    },
    /// `START_REPLICATION` was answered by CopyBothResponse.
    ReplicationStarted(ReplicationKind),
    /// As [`Event::CopyData`], on a connection that is streaming.
    ReplicationData {
        /// Who sends it.
        direction: Direction,
        /// Of the bodies, without tags and length words.
        bytes: u64,
    },
    /// A statement was parsed: ParseComplete.
    Parsed,
    /// The number of named prepared statements of this session changed. The end of the connection,
    /// or of decoding, brings it to 0.
    PreparedStatements {
        /// How many there are now, up to [`crate::Limits::prepared`].
        count: u32,
    },
    /// A Sync or Query was received, and statements were waiting for their answer.
    Pipeline {
        /// How many, the Query included.
        depth: u32,
    },
}

/// The start-up packet of a session (PostgreSQL docs: "Message Formats", StartupMessage).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StartupMessage<'a> {
    /// What the client asks for; the server may settle for less.
    pub version: ProtocolVersion,
    /// Empty when the client sent none, which the server refuses.
    pub user: &'a [u8],
    /// Defaults to `user`, as in the server.
    pub database: &'a [u8],
    /// Empty when the client sent none.
    pub application_name: &'a [u8],
    /// `replication=true|database`, if asked for.
    pub replication: Option<ReplicationKind>,
}

/// `major.minor` as it stands in the start-up packet.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ProtocolVersion {
    /// 3
    pub major: u16,
    /// 0, or 2 since PostgreSQL 18.
    pub minor: u16,
}

/// What a connection in replication mode carries.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ReplicationKind {
    /// `replication=true`: physical replication, pg_basebackup, pg_receivewal.
    Physical,
    /// `replication=database`: logical replication, and SQL beside it.
    Logical,
}

/// Process id and secret key that name the session to cancel. The key is a secret: never print it.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct CancelRequest<'a> {
    /// Of the server process.
    pub process_id: u32,
    /// 4 bytes in protocol 3.0, up to 256 in 3.2.
    pub secret_key: &'a [u8],
}

impl std::fmt::Debug for CancelRequest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CancelRequest")
            .field("process_id", &self.process_id)
            .finish_non_exhaustive()
    }
}

/// What an ErrorResponse or NoticeResponse says, without anything that can hold a value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Report<'a> {
    /// Field `V`.
    pub severity: Severity,
    /// Five characters, or [`SqlState::UNKNOWN`] if the report carried none or a malformed one.
    pub sqlstate: SqlState,
    /// Field `M`, cut at the head limit. It can hold values that a user typed.
    pub message: &'a [u8],
}

/// Five bytes of `[0-9A-Z]` (PostgreSQL docs: "PostgreSQL Error Codes").
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SqlState(pub [u8; 5]);

impl SqlState {
    /// Stands for a report without a usable code.
    pub const UNKNOWN: Self = Self(*b"?????");
    /// No prepared statement of that name.
    pub const INVALID_SQL_STATEMENT_NAME: Self = Self(*b"26000");
}

/// Field `V` (untranslated severity) of a report.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Severity {
    /// `ERROR`
    Error,
    /// `FATAL`
    Fatal,
    /// `PANIC`
    Panic,
    /// `WARNING`
    Warning,
    /// `NOTICE`
    Notice,
    /// `DEBUG`
    Debug,
    /// `INFO`
    Info,
    /// `LOG`
    Log,
    /// Absent or not one of the server's words.
    Unknown,
}

/// How a statement came over the wire.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum SubProtocol {
    /// Query.
    Simple,
    /// Parse, Bind, Execute.
    Extended,
    /// FunctionCall.
    Function,
}

/// How a statement ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Outcome {
    /// CommandComplete, EmptyQueryResponse or FunctionCallResponse.
    Completed,
    /// ErrorResponse.
    Failed(SqlState),
    /// The connection ended first.
    Disconnected,
}

/// A statement that has ended: one command tag, one error, or one function call. A portal that the
/// client leaves at its row limit ends, completed, with its Close, its replacement or its
/// transaction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Statement {
    /// By command tag; by the first keyword of the text where no tag came.
    pub operation: Operation,
    /// How it was asked for.
    pub protocol: SubProtocol,
    /// How it ended.
    pub outcome: Outcome,
    /// The count of the command tag, 0 where the tag has none; for a portal run in pieces, of all
    /// pieces together.
    pub rows: u64,
    /// DataRow messages sent to the client, for a portal run in pieces in all of them.
    pub data_rows: u64,
    /// When its first message (Parse, Bind or Query) arrived.
    pub received: Nanos,
    /// When the server could begin on it: `received`, or the end of the answer before it.
    pub started: Nanos,
    /// When the first DataRow was seen.
    pub first_row: Option<Nanos>,
    /// When its end was seen.
    pub finished: Nanos,
    /// Where its text came from: what [`Observer::text`] answered.
    pub text: TextId,
    /// Its place among the statements of that text, from 0 on: only a Query can hold several.
    pub index: u32,
    /// The transaction it ran in.
    pub block: Block,
}

/// Whether a statement ran in a transaction block.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Block {
    /// In a transaction of its own, or in that of its Query or pipeline; BEGIN too.
    #[default]
    Outside,
    /// Behind a BEGIN, up to COMMIT or ROLLBACK, this included.
    Inside,
    /// The same, after an error.
    Failed,
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum TransactionOutcome {
    /// The server made it last.
    Commit,
    /// The server undid it: ROLLBACK, an error outside of a block, or the COMMIT of a failed one.
    Rollback,
    /// The connection ended inside of it.
    Disconnected,
}

/// A transaction that has ended, counted as the server counts them (`pg_stat_database`): a block
/// from BEGIN to COMMIT or ROLLBACK, or the implicit one around a Query or up to a Sync. A prepared
/// transaction ends when somebody ends it, with duration 0.
///
/// The server counts some that no message shows: one when a session starts, one when it drops its
/// temporary tables, one when it wakes up to notifications, and those that procedures, VACUUM and
/// `CONCURRENTLY` commit inside of a statement.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Transaction {
    /// How it ended.
    pub outcome: TransactionOutcome,
    /// Opened by BEGIN or START TRANSACTION.
    pub explicit: bool,
    /// When its first message arrived; its end where that was not seen here.
    pub started: Nanos,
    /// From the arrival of its first message to the end of its last answer.
    pub duration: Nanos,
}

/// Why a connection cannot be decoded.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum OpaqueReason {
    /// The server accepted an SSLRequest.
    Tls,
    /// The server accepted a GSSENCRequest.
    Gss,
    /// The client began with a TLS record (PostgreSQL 17's direct TLS).
    DirectTls,
    /// The first bytes are no PostgreSQL start-up packet.
    NotPostgresql,
    /// The first byte that cannot stand where it stood.
    Desync(Direction, DesyncReason),
}

/// What was impossible about a message.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum DesyncReason {
    /// A tag that this direction does not have.
    UnknownTag,
    /// A length below 4, or beyond what this message can have.
    BadLength,
    /// A body that does not parse.
    BadBody,
    /// A message that cannot come in this state (a server that speaks first, say).
    Unexpected,
    /// More statements in flight, or more state, than a session may hold.
    TooMuchState,
    /// Bytes that the caller could not show ([`Session::missed`](crate::Session::missed)).
    Missed,
}
