//! What is said of a statement.

use super::tables::COMMANDS;
use std::fmt;
use std::ops::Range;

/// What a whole Query text does, statement by statement.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Classification {
    /// In the order of the text; empty statements are left out.
    pub statements: Vec<Statement>,
    /// Everything said of every statement is right and nothing is missing. When false, what is
    /// said may be wrong, and more may be there than is said.
    pub complete: bool,
}

/// What one statement says. It is about the text: what a view, a rule, a trigger, a function, an
/// operator or a cast hides cannot be seen in it, nor a relation named in a literal (`'t'::regclass`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Statement {
    /// Where it stands in the text, from its first token to the end of its last.
    pub range: Range<usize>,
    /// As the server's command tag calls it.
    pub command: Command,
    /// Other commands it holds, each once: in common table expressions, behind EXPLAIN ANALYZE,
    /// PREPARE or COPY, in the elements of a schema, the actions of a rule, or the body of a
    /// routine; UPDATE and DELETE of a MERGE, UPDATE of an INSERT. SELECT is not among them: what is
    /// read is told by effects and relations. A plain EXPLAIN holds none, since it runs nothing.
    pub inner: Vec<Command>,
    /// pgaudit's class of it; a query that writes in a common table expression is a WRITE.
    pub class: AuditClass,
    /// What running it does.
    pub effects: Effects,
    /// What clauses it has.
    pub traits: Traits,
    /// Every relation it names, once, in the order first named.
    pub relations: Vec<Relation>,
    /// Every function it calls, once, in the order first called.
    pub functions: Vec<QualifiedName>,
    /// Every name that stands behind a dot in an expression, once: columns, or functions, since the
    /// server reads `x.f` as `f(x)` where x has no column f (documentation 8.16.5 "Using Composite
    /// Types in Queries"; it does so for any type: `('/etc/passwd').pg_read_file` is a call). Who
    /// forbids a function must look here too.
    pub attributes: Vec<QualifiedName>,
    /// Every change of a setting in it, those by `set_config` included.
    pub settings: Vec<SettingChange>,
    /// OpenTelemetry's `{operation} {target} ...` of it, see [`crate::summary`].
    pub summary: String,
    /// All of the above is right.
    pub complete: bool,
}

/// A relation and what the statement does with it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Relation {
    /// Its name.
    pub name: QualifiedName,
    /// How it is used, all uses together.
    pub access: Access,
}

/// The name of a relation or function, as the server reads it and as it was typed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct QualifiedName {
    /// The database, where one is named.
    pub catalog: Option<String>,
    /// The schema, where one is named.
    pub schema: Option<String>,
    /// The name: quotes and Unicode escapes undone, unquoted letters folded to lower case, cut to
    /// 63 bytes as the server does.
    pub name: String,
    /// As typed, case and quotes kept; blanks and comments between the parts left out.
    pub typed: String,
}

impl QualifiedName {
    /// Whether both name the same object in the server's reading.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        self.name == other.name && self.schema == other.schema && self.catalog == other.catalog
    }
}

impl fmt::Display for QualifiedName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in [&self.catalog, &self.schema].into_iter().flatten() {
            write!(out, "{part}.")?;
        }
        out.write_str(&self.name)
    }
}

/// A change of settings.
///
/// Not told: what unseen code does, and an UPDATE of a view over `pg_settings`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SettingChange {
    /// Which.
    pub settings: Settings,
    /// How.
    pub kind: ChangeKind,
    /// The new value, where it is written as one word, number or plain string that the server reads
    /// as a boolean (`parse_bool`, `src/backend/utils/adt/bool.c`); `READ ONLY` is on.
    pub boolean: Option<bool>,
}

/// The settings that are changed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Settings {
    /// This one: ASCII letters folded to lower case, since the server compares names without regard
    /// to case, quoted or not; a name of old as the one it has now (`sort_mem`: `work_mem`).
    /// Clauses of their own are the setting they stand for: SET NAMES is `client_encoding`, SET ROLE
    /// `role`, `READ WRITE` `transaction_read_only` or `default_transaction_read_only`.
    Named(String),
    /// Every one that RESET ALL knows; DISCARD ALL resets `session_authorization` and `role` too.
    All,
    /// It cannot be told: `set_config` of anything but a plain literal, UPDATE of `pg_settings`.
    Unknown,
}

/// How a setting is changed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ChangeKind {
    /// For the session: SET, SET SESSION CHARACTERISTICS.
    Session,
    /// For the transaction: SET LOCAL, SET TRANSACTION, BEGIN, START TRANSACTION.
    Transaction,
    /// To what it was when the session began, its start-up packet included: RESET, SET TO DEFAULT,
    /// DISCARD ALL.
    Reset,
    /// For sessions to come: ALTER ROLE, DATABASE or SYSTEM.
    Stored,
    /// While a function runs: CREATE or ALTER FUNCTION, PROCEDURE or ROUTINE.
    Routine,
    /// By a query: `set_config`, UPDATE of `pg_settings`.
    Query,
}

/// A command, by the tag the server completes it with (`src/include/tcop/cmdtaglist.h`).
///
/// `CREATE TABLE AS` and `SELECT INTO` are named as the statement, not as the `SELECT n` they
/// complete with; `SET ROLE` and `SET TRANSACTION` are told from `SET`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Command(pub(crate) &'static str);

impl Command {
    /// A statement that was not recognised from its first token.
    pub const UNKNOWN: Self = Self("UNKNOWN");

    /// The tag.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }

    /// pgaudit's class of it, by itself.
    #[must_use]
    pub fn class(self) -> AuditClass {
        let row = COMMANDS.iter().find(|(command, _, _)| *command == self);
        row.map_or(AuditClass::Misc, |(_, class, _)| *class)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.0)
    }
}

/// Classes of statements, as pgaudit's `pgaudit.log` names them.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum AuditClass {
    /// SELECT, COPY from a relation or a query.
    Read,
    /// INSERT, UPDATE, DELETE, MERGE, TRUNCATE, COPY to a relation, anywhere in the statement.
    Write,
    /// DO and CALL.
    Function,
    /// GRANT, REVOKE, CREATE, ALTER and DROP ROLE.
    Role,
    /// All other definitions.
    Ddl,
    /// DISCARD, FETCH, CHECKPOINT, VACUUM and the like.
    Misc,
    /// SET and RESET.
    MiscSet,
}

impl AuditClass {
    /// As in pgaudit's settings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "READ",
            Self::Write => "WRITE",
            Self::Function => "FUNCTION",
            Self::Role => "ROLE",
            Self::Ddl => "DDL",
            Self::Misc => "MISC",
            Self::MiscSet => "MISC_SET",
        }
    }
}

macro_rules! flags {
    ($(#[$about:meta])* $name:ident: $kind:ty; $($(#[$doc:meta])* $flag:ident = $bit:literal $word:literal,)*) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
        pub struct $name($kind);

        impl $name {
            /// The empty set.
            pub const NONE: Self = Self(0);
            $($(#[$doc])* pub const $flag: Self = Self(1 << $bit);)*

            /// Every member and its name.
            pub const ALL: &'static [(Self, &'static str)] = &[$((Self::$flag, $word),)*];

            /// Whether all of `other` is in it.
            #[must_use]
            pub const fn has(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// With all of `other` in it.
            #[must_use]
            pub const fn and(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            /// With nothing of `other` in it.
            #[must_use]
            pub const fn without(self, other: Self) -> Self {
                Self(self.0 & !other.0)
            }

            /// The names of its members.
            pub fn names(self) -> impl Iterator<Item = &'static str> {
                Self::ALL.iter().filter(move |(flag, _)| self.has(*flag)).map(|(_, name)| *name)
            }
        }
    };
}

flags! {
    /// What running a statement does. A plain EXPLAIN does nothing; what a view, rule or function
    /// holds is not done when it is created; PREPARE and DECLARE count as what they will run.
    Effects: u16;
    /// Reads rows of relations.
    READS_ROWS = 0 "reads_rows",
    /// Inserts, changes or removes rows, moves a sequence, or writes large objects.
    WRITES_ROWS = 1 "writes_rows",
    /// Creates, alters or drops anything but roles.
    CHANGES_SCHEMA = 2 "changes_schema",
    /// Creates, alters or drops roles, grants or revokes, or takes on another role.
    CHANGES_ROLES = 3 "changes_roles",
    /// Changes settings, of the session, a role, a database or the server.
    CHANGES_SETTINGS = 4 "changes_settings",
    /// Takes locks that others wait for: row locks, LOCK, advisory locks.
    LOCKS = 5 "locks",
    /// Runs or stores code that is not in the text as SQL: DO, CALL, EXECUTE, function bodies.
    RUNS_UNSEEN_CODE = 6 "runs_unseen_code",
    /// Reads or writes files of the server, or runs programs there.
    TOUCHES_SERVER_FILES = 7 "touches_server_files",
    /// Begins, ends or marks transactions.
    CONTROLS_TRANSACTION = 8 "controls_transaction",
}

flags! {
    /// How a statement uses a relation.
    Access: u8;
    /// Its rows are read by a query.
    READ = 0 "read",
    /// Its rows are inserted, changed or removed.
    WRITE = 1 "write",
    /// It is what a command other than a query is about: defined, changed, dropped, referenced,
    /// granted on, locked, vacuumed.
    OBJECT = 2 "object",
}

flags! {
    /// Clauses of a statement.
    Traits: u8;
    /// An UPDATE or DELETE in it has no WHERE, or one that chooses no rows: it names no column and
    /// no sub-query, or one side of an OR does not (`WHERE true`, `WHERE id = 5 OR 1 = 1`). So has
    /// a MERGE that updates or deletes where neither ON nor AND chooses rows.
    UNFILTERED = 0 "unfiltered",
    /// The outermost query has LIMIT or FETCH FIRST.
    LIMIT = 1 "limit",
    /// RETURNING, anywhere in it.
    RETURNING = 2 "returning",
    /// FOR UPDATE, FOR NO KEY UPDATE, FOR SHARE or FOR KEY SHARE, anywhere in it.
    LOCKING = 3 "locking",
    /// A constant in an expression, anywhere in it.
    LITERAL = 4 "literal",
    /// A parameter (`$1`), anywhere in it.
    PARAMETER = 5 "parameter",
    /// An UPDATE or DELETE in it has a WHERE that chooses rows.
    FILTERED = 6 "filtered",
    /// CASCADE of TRUNCATE or DROP, all tables of a publication: it reaches what is not named.
    CASCADE = 7 "cascade",
}
