//! What the server says of each log entry, under the names OpenTelemetry has for it.

use crate::text::Text;

/// A field of a log entry. The names follow `csvlog` (PostgreSQL documentation, 19.8.4).
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Field {
    /// When it was written.
    LogTime,
    /// Session user.
    UserName,
    /// Database of the session.
    DatabaseName,
    /// Process id.
    ProcessId,
    /// Host of the client; `[local]` over a Unix socket.
    ClientAddress,
    /// TCP port of the client.
    ClientPort,
    /// Address of the server the client connected to (`%L`, 18).
    ServerAddress,
    /// Session id (`%c`): start time and process id in hexadecimal.
    SessionId,
    /// Number of the line within the session.
    SessionLine,
    /// Command tag of the session's current command, or what its process title says.
    CommandTag,
    /// When the process started.
    SessionStart,
    /// Virtual transaction id.
    VirtualTransactionId,
    /// Transaction id, if one is assigned.
    TransactionId,
    /// SQLSTATE.
    Sqlstate,
    /// The primary message.
    Message,
    /// DETAIL.
    Detail,
    /// HINT.
    Hint,
    /// QUERY: the internal query that led to the error.
    InternalQuery,
    /// Position of the error in it, in characters from 1.
    InternalPosition,
    /// CONTEXT.
    Context,
    /// STATEMENT: what the client sent.
    Statement,
    /// Position of the error in it, in characters from 1.
    Position,
    /// Function of the server's source.
    Function,
    /// Its file.
    File,
    /// Line in the file.
    Line,
    /// BACKTRACE.
    Backtrace,
    /// `application_name`.
    Application,
    /// Backend type, such as `client backend`.
    BackendType,
    /// Process id of the leader of a parallel group.
    LeaderPid,
    /// Query id, as in `pg_stat_activity`.
    QueryId,
    /// pgaudit behind CloudNativePG: SESSION or OBJECT.
    AuditType,
    /// pgaudit: number of the statement in the session.
    AuditStatementId,
    /// pgaudit: number of the sub-statement.
    AuditSubstatementId,
    /// pgaudit: READ, WRITE, FUNCTION, ROLE, DDL, MISC or MISC_SET.
    AuditClass,
    /// pgaudit: command.
    AuditCommand,
    /// pgaudit: type of the object.
    AuditObjectType,
    /// pgaudit: name of the object.
    AuditObjectName,
    /// pgaudit: text of the statement.
    AuditStatement,
    /// pgaudit: values of the parameters.
    AuditParameter,
}

/// How many there are.
const COUNT: usize = Field::AuditParameter as usize + 1;

impl Field {
    /// All fields, in the order of their declaration.
    pub const ALL: [Self; COUNT] = [
        Self::LogTime,
        Self::UserName,
        Self::DatabaseName,
        Self::ProcessId,
        Self::ClientAddress,
        Self::ClientPort,
        Self::ServerAddress,
        Self::SessionId,
        Self::SessionLine,
        Self::CommandTag,
        Self::SessionStart,
        Self::VirtualTransactionId,
        Self::TransactionId,
        Self::Sqlstate,
        Self::Message,
        Self::Detail,
        Self::Hint,
        Self::InternalQuery,
        Self::InternalPosition,
        Self::Context,
        Self::Statement,
        Self::Position,
        Self::Function,
        Self::File,
        Self::Line,
        Self::Backtrace,
        Self::Application,
        Self::BackendType,
        Self::LeaderPid,
        Self::QueryId,
        Self::AuditType,
        Self::AuditStatementId,
        Self::AuditSubstatementId,
        Self::AuditClass,
        Self::AuditCommand,
        Self::AuditObjectType,
        Self::AuditObjectName,
        Self::AuditStatement,
        Self::AuditParameter,
    ];

    /// The name it leaves a module under: OpenTelemetry's where there is one.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LogTime => "timestamp",
            Self::UserName => "user.name",
            Self::DatabaseName => "db.namespace",
            Self::ProcessId => "process.pid",
            Self::ClientAddress => "client.address",
            Self::ClientPort => "client.port",
            Self::ServerAddress => "server.address",
            Self::SessionId => "session.id",
            Self::SessionLine => "postgresql.session.line",
            Self::CommandTag => "postgresql.command_tag",
            Self::SessionStart => "postgresql.session.start",
            Self::VirtualTransactionId => "postgresql.virtual_transaction_id",
            Self::TransactionId => "postgresql.transaction_id",
            Self::Sqlstate => "db.response.status_code",
            Self::Message => "message",
            Self::Detail => "postgresql.detail",
            Self::Hint => "postgresql.hint",
            Self::InternalQuery => "postgresql.internal_query",
            Self::InternalPosition => "postgresql.internal_position",
            Self::Context => "postgresql.context",
            Self::Statement => "db.query.text",
            Self::Position => "postgresql.position",
            Self::Function => "code.function.name",
            Self::File => "code.file.path",
            Self::Line => "code.line.number",
            Self::Backtrace => "code.stacktrace",
            Self::Application => "postgresql.application_name",
            Self::BackendType => "postgresql.backend_type",
            Self::LeaderPid => "postgresql.leader_pid",
            Self::QueryId => "postgresql.query_id",
            Self::AuditType => "pgaudit.type",
            Self::AuditStatementId => "pgaudit.statement_id",
            Self::AuditSubstatementId => "pgaudit.substatement_id",
            Self::AuditClass => "pgaudit.class",
            Self::AuditCommand => "pgaudit.command",
            Self::AuditObjectType => "pgaudit.object_type",
            Self::AuditObjectName => "pgaudit.object_name",
            Self::AuditStatement => "pgaudit.statement",
            Self::AuditParameter => "pgaudit.parameter",
        }
    }

    /// Whether its value is a whole number.
    #[must_use]
    pub const fn is_number(self) -> bool {
        matches!(
            self,
            Self::ProcessId
                | Self::ClientPort
                | Self::SessionLine
                | Self::InternalPosition
                | Self::Position
                | Self::Line
                | Self::LeaderPid
                | Self::AuditStatementId
                | Self::AuditSubstatementId
        )
    }

    /// Whether `value` says that there is none: `[unknown]` before authentication (`elog.c`), 0 for
    /// a transaction or query id not assigned, empty columns.
    #[must_use]
    fn is_absent(self, value: &[u8]) -> bool {
        match self {
            Self::UserName | Self::DatabaseName | Self::Application => {
                value.is_empty()
                    || (value.starts_with(b"[")
                        && UNKNOWN.iter().any(|word| word.as_bytes() == value))
            }
            Self::TransactionId | Self::QueryId => value.is_empty() || value == b"0",
            // Successful completion, which jsonlog leaves out.
            Self::Sqlstate => value.is_empty() || value == b"00000",
            Self::ServerAddress => value.is_empty() || value == b"[none]",
            _ => value.is_empty(),
        }
    }
}

/// What text logs have for a user, database or application not known yet, in every language
/// (`src/backend/po`).
const UNKNOWN: [&str; 15] = [
    "[bilinmeyen]",
    "[desconhecido]",
    "[desconocido]",
    "[inconnu]",
    "[nieznany]",
    "[okänd]",
    "[sconosciuto]",
    "[tidak diketahui]",
    "[unbekannt]",
    "[unknown]",
    "[н/д]",
    "[უცნობი]",
    "[不明]",
    "[未知]",
    "[알수없음]",
];

/// A field among others.
#[inline]
const fn bit(field: Field) -> u64 {
    1_u64.wrapping_shl(field as u32)
}

/// Some fields, a bit for each.
pub(crate) const fn bits(mut fields: &[Field]) -> u64 {
    let mut bits = 0;
    while let [first, rest @ ..] = fields {
        bits |= bit(*first);
        fields = rest;
    }
    bits
}

/// The fields of one entry. They are moved about.
#[derive(Clone, Debug)]
pub struct Fields<'t> {
    /// Which have a value, a bit for each.
    set: u64,
    values: Box<[Option<Text<'t>>; COUNT]>,
    /// Tells the fields that a prefix of text logs has, but for the time, if they were seen before; or 0.
    pub(crate) session: u64,
}

impl Default for Fields<'_> {
    fn default() -> Self {
        Self {
            set: 0,
            values: Box::new([None; COUNT]),
            session: 0,
        }
    }
}

impl<'t> Fields<'t> {
    /// The text of a field, if the log has it.
    #[inline]
    #[must_use]
    pub fn get(&self, field: Field) -> Option<Text<'t>> {
        match self.set & bit(field) {
            0 => None,
            _ => *self.values.get(field as usize)?,
        }
    }

    /// Whether the log has one of these.
    #[inline]
    pub(crate) fn has(&self, fields: &[Field]) -> bool {
        self.set & bits(fields) != 0
    }

    /// Which of some the log has, a bit for each; `None` if it has others too.
    #[inline]
    pub(crate) fn only(&self, some: u64) -> Option<u64> {
        (self.set & !some == 0).then_some(self.set)
    }

    /// Sets a field; a value that says there is none leaves it unset.
    #[inline]
    pub fn set(&mut self, field: Field, text: Text<'t>) {
        if field.is_absent(text.raw) {
            self.set &= !bit(field);
        } else {
            self.set_known(field, text);
        }
    }

    /// Sets a field to a value that is known to be one.
    #[inline]
    pub(crate) fn set_known(&mut self, field: Field, text: Text<'t>) {
        if let Some(value) = self.values.get_mut(field as usize) {
            *value = Some(text);
            self.set |= bit(field);
        }
    }

    /// As if none had been set.
    pub(crate) fn clear(&mut self) {
        self.set = 0;
        self.session = 0;
    }

    /// Those that are set, in the order of [`Field::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Field, Text<'t>)> {
        Field::ALL
            .into_iter()
            .filter_map(|field| Some((field, self.get(field)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_stands_in_its_own_place() {
        for (place, field) in Field::ALL.into_iter().enumerate() {
            assert_eq!(field as usize, place);
        }
    }

    #[test]
    fn what_the_server_writes_for_nothing_is_nothing() {
        let mut fields = Fields::default();
        fields.set(Field::UserName, Text::plain(b"[unknown]"));
        fields.set(Field::TransactionId, Text::plain(b"0"));
        fields.set(Field::ProcessId, Text::plain(b"7"));
        let set: Vec<_> = fields.iter().map(|(field, _)| field).collect();
        assert_eq!(set, [Field::ProcessId]);
    }
}
