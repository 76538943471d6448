//! Attributes of database spans: what each is, and its name in the stable conventions.
//!
//! Sources: OpenTelemetry semantic conventions 1.44, `docs/db/database-spans.md`, and its guide
//! `docs/non-normative/db-migration.md` for the names before; vendors' forms as their
//! instrumentations write them. A name that is not known tells by its words what it holds.

use pg_log::Field;
use pg_sql::sqlcommenter::KEYS;

use crate::places::is_same;
use crate::suspects;

/// What an attribute is to us.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    /// Which system: `db.system.name`.
    System,
    /// SQL as the application wrote it.
    Query,
    /// A name, or SQL-like text that instrumentations may have made of the query.
    Words,
    /// A bind value, or what holds some.
    BindValue,
    /// What a message of the server's quotes.
    Quoted,
    /// May hold a password: a connection string.
    Credentials,
    /// Where something is, and perhaps the password for it.
    Address,
    /// The server's SQLSTATE.
    Sqlstate,
    /// The class of the error.
    ErrorType,
    /// What an error says.
    ExceptionMessage,
    /// Where it was raised.
    Stacktrace,
    /// What EXPLAIN says of a statement.
    Plan,
    /// What the server says below a message, as `pg-log` has named it.
    Companion(Field),
    /// Nothing but its name matters.
    Plain,
    /// A name that says nothing, of a list or map in which other names may.
    Unknown,
}

/// An attribute that the processor adds where it is missing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Slot {
    System,
    /// By its old name, which does not stand in the place of the new one.
    Database,
    Namespace,
    Summary,
    Operation,
    Collection,
    BatchSize,
    StatusCode,
    ErrorType,
    Fingerprint,
    KeepAlive,
    Error,
    /// One of `sqlcommenter.*`.
    Tag,
}

impl Slot {
    /// Its bit in a set of them.
    pub(crate) const fn bit(self) -> u32 {
        1_u32.wrapping_shl(self as u32)
    }
}

/// What a name says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meaning {
    pub(crate) role: Role,
    /// What the stable conventions call it, if it is an old name.
    pub(crate) stable: Option<&'static str>,
    /// Which of the attributes that the processor adds it is, or stands for.
    pub(crate) slot: Option<Slot>,
}

impl Meaning {
    /// It is a name, or another value that is shown.
    pub(crate) const fn is_plain(&self) -> bool {
        matches!(self.role, Role::Plain)
    }

    pub(crate) const fn of(role: Role) -> Self {
        Self {
            role,
            stable: None,
            slot: None,
        }
    }
}

/// A name that is known.
pub(crate) struct Known {
    name: &'static str,
    meaning: Meaning,
}

const fn known(name: &'static str, role: Role) -> Known {
    Known {
        name,
        meaning: Meaning::of(role),
    }
}

/// A name that the processor may add.
const fn ours(name: &'static str, role: Role, slot: Slot) -> Known {
    let mut known = known(name, role);
    known.meaning.slot = Some(slot);
    known
}

const fn legacy(name: &'static str, role: Role, stable: &'static str) -> Known {
    let mut known = known(name, role);
    known.meaning.stable = Some(stable);
    known
}

/// An old name in the place of one that the processor may add.
const fn instead(name: &'static str, role: Role, stable: &'static str, slot: Slot) -> Known {
    let mut known = legacy(name, role, stable);
    known.meaning.slot = Some(slot);
    known
}

pub(crate) const SYSTEM: &str = "db.system.name";
pub(crate) const NAMESPACE: &str = "db.namespace";
pub(crate) const QUERY_TEXT: &str = "db.query.text";
pub(crate) const SUMMARY: &str = "db.query.summary";
pub(crate) const OPERATION: &str = "db.operation.name";
pub(crate) const COLLECTION: &str = "db.collection.name";
pub(crate) const BATCH_SIZE: &str = "db.operation.batch.size";
pub(crate) const STATUS_CODE: &str = "db.response.status_code";
pub(crate) const ERROR_TYPE: &str = "error.type";
pub(crate) const FINGERPRINT: &str = "pgmesh.fingerprint";
pub(crate) const KEEP_ALIVE: &str = "pgmesh.keep_alive";
pub(crate) const ERROR: &str = "pgmesh.error";

static NAMES: [Known; 97] = [
    known("client.address", Role::Plain),
    known("client.port", Role::Plain),
    known("code.function.name", Role::Plain),
    // What `pg-log` makes of a BACKTRACE, too: the server's own frames.
    known("code.stacktrace", Role::Plain),
    // node `pg`'s error, by another name.
    known("context", Role::Companion(Field::Context)),
    known("db.client.connection.pool.name", Role::Plain),
    ours(COLLECTION, Role::Words, Slot::Collection),
    known("db.connection.string", Role::Credentials),
    known("db.connection_string", Role::Credentials),
    known("db.instance", Role::Plain),
    instead("db.name", Role::Plain, NAMESPACE, Slot::Database),
    ours(NAMESPACE, Role::Plain, Slot::Namespace),
    instead("db.operation", Role::Words, OPERATION, Slot::Operation),
    ours(BATCH_SIZE, Role::Plain, Slot::BatchSize),
    ours(OPERATION, Role::Words, Slot::Operation),
    // @opentelemetry/instrumentation-pg with enhancedDatabaseReporting.
    known("db.postgresql.values", Role::BindValue),
    known("db.query.bindings", Role::BindValue),
    known("db.query.parameters", Role::BindValue),
    ours(SUMMARY, Role::Words, Slot::Summary),
    known(QUERY_TEXT, Role::Query),
    known("db.response.returned_rows", Role::Plain),
    ours(STATUS_CODE, Role::Sqlstate, Slot::StatusCode),
    known("db.sql.bindings", Role::BindValue),
    known("db.sql.parameters", Role::BindValue),
    instead("db.sql.table", Role::Words, COLLECTION, Slot::Collection),
    legacy("db.statement", Role::Query, QUERY_TEXT),
    known("db.statement.parameters", Role::BindValue),
    known("db.stored_procedure.name", Role::Words),
    instead("db.system", Role::System, SYSTEM, Slot::System),
    ours(SYSTEM, Role::System, Slot::System),
    // opentelemetry_ecto.
    known("db.url", Role::Credentials),
    known("db.user", Role::Plain),
    // Datadog's receiver: what the agent would have obfuscated.
    known("dd.span.Resource", Role::Query),
    known("error.context", Role::Companion(Field::Context)),
    known("error.msg", Role::ExceptionMessage),
    known("error.stack_trace", Role::Stacktrace),
    ours(ERROR_TYPE, Role::ErrorType, Slot::ErrorType),
    known("exception.escaped", Role::Plain),
    known("exception.message", Role::ExceptionMessage),
    known("exception.stacktrace", Role::Stacktrace),
    known("exception.type", Role::ErrorType),
    known("jdbc.connection_url", Role::Credentials),
    // datasource-micrometer: the keys of rows that an INSERT has made.
    known("jdbc.generated-keys", Role::BindValue),
    known("jdbc.query", Role::Query),
    legacy("net.peer.ip", Role::Plain, "network.peer.address"),
    legacy("net.peer.name", Role::Plain, "server.address"),
    legacy("net.peer.port", Role::Plain, "server.port"),
    legacy("net.sock.peer.addr", Role::Plain, "network.peer.address"),
    legacy("net.sock.peer.port", Role::Plain, "network.peer.port"),
    known("net.transport", Role::Plain),
    known("network.peer.address", Role::Plain),
    known("network.peer.port", Role::Plain),
    known("network.transport", Role::Plain),
    known("network.type", Role::Plain),
    known("otel.status_description", Role::ExceptionMessage),
    known("peer.service", Role::Plain),
    ours(ERROR, Role::Plain, Slot::Error),
    ours(FINGERPRINT, Role::Plain, Slot::Fingerprint),
    ours(KEEP_ALIVE, Role::Plain, Slot::KeepAlive),
    // Envoy's filter writes it without its values.
    known("pgmesh.message", Role::Plain),
    // otelpgx.
    known("pgx.query.parameters", Role::BindValue),
    // As `pg-log` names what it has taken out of an entry, where the words of a name say something else.
    known("postgresql.bytes", Role::Words),
    known("postgresql.checkpoint.reason", Role::Plain),
    known("postgresql.command_tag", Role::Plain),
    known("postgresql.conflicting_values", Role::Quoted),
    known("postgresql.context", Role::Companion(Field::Context)),
    known("postgresql.detail", Role::Companion(Field::Detail)),
    known("postgresql.geometries", Role::Quoted),
    known("postgresql.hba_entry", Role::Quoted),
    known("postgresql.hint", Role::Companion(Field::Hint)),
    known("postgresql.internal_query", Role::Words),
    known("postgresql.lock.advisory", Role::Quoted),
    known("postgresql.near", Role::Quoted),
    known("postgresql.parameter", Role::Plain),
    known("postgresql.parameter_number", Role::Plain),
    known("postgresql.point", Role::Quoted),
    known("postgresql.query_id", Role::Plain),
    // Events of the Collector's postgresqlreceiver.
    known("postgresql.query_plan", Role::Plan),
    known("postgresql.reason", Role::Plain),
    known("postgresql.stand_in", Role::Quoted),
    known("postgresql.statement_name", Role::Plain),
    known("postgresql.toast_value", Role::Plain),
    known("postgresql.value", Role::Quoted),
    known("postgresql.values", Role::Quoted),
    known("postgresql.wal.description", Role::Quoted),
    known("postgresql.window", Role::Quoted),
    known("server.address", Role::Plain),
    known("server.port", Role::Plain),
    // What tracing-opentelemetry makes of sqlx' events.
    known("sql", Role::Query),
    known("sql.parameters", Role::BindValue),
    // OpenCensus' ocsql, and what grew out of it.
    known("sql.query", Role::Query),
    known("sql.text", Role::Query),
    // Logback's and Log4j's encoders.
    known("stack_trace", Role::Stacktrace),
    known("thread.id", Role::Plain),
    known("thread.name", Role::Plain),
    known("user.name", Role::Plain),
    known("user_agent.original", Role::Plain),
];

pub(crate) static PLAIN: Meaning = Meaning::of(Role::Plain);
pub(crate) static QUERY: Meaning = Meaning::of(Role::Query);
pub(crate) static CREDENTIALS: Meaning = Meaning::of(Role::Credentials);
pub(crate) static UNKNOWN: Meaning = Meaning::of(Role::Unknown);
const BIND_VALUE: Meaning = Meaning::of(Role::BindValue);
static TAG: Meaning = Meaning {
    slot: Some(Slot::Tag),
    ..Meaning::of(Role::Plain)
};

/// Names with something behind them: an index or the name of a parameter.
static PREFIXES: [(&str, Meaning); 9] = [
    ("db.operation.parameter.", BIND_VALUE),
    ("db.query.parameter.", BIND_VALUE),
    ("db.query.parameters.", BIND_VALUE),
    ("db.statement.parameters.", BIND_VALUE),
    // datasource-micrometer and r2dbc-proxy.
    ("jdbc.params[", BIND_VALUE),
    ("jdbc.query[", QUERY),
    ("r2dbc.params[", BIND_VALUE),
    ("r2dbc.query[", QUERY),
    ("sql.arg", BIND_VALUE),
];

/// How attributes begin that say what a comment says.
pub(crate) const TAGS: &str = "sqlcommenter.";

/// Words in names that nobody knows, and what such an attribute holds; `true` for words that say so
/// only at the end of a name. What holds values counts before what holds texts.
static WORDS: [(Meaning, bool, &str); 9] = [
    (
        Meaning::of(Role::Credentials),
        false,
        "conninfo credential credentials dsn passphrase passwd password pgpass pwd secret",
    ),
    // `boarding_pass.id` is none.
    (Meaning::of(Role::Credentials), true, "pass"),
    (
        Meaning::of(Role::BindValue),
        false,
        "arg args argument arguments bind binding bindings bindparam bindparams binds bindvar bindvars \
         param parameter parameters params placeholder placeholders replacement replacements val vals \
         value values var variables vars",
    ),
    (Meaning::of(Role::Address), true, "uri url"),
    (
        Meaning::of(Role::Stacktrace),
        true,
        "backtrace stack stacktrace traceback",
    ),
    (Meaning::of(Role::Companion(Field::Context)), true, "where"),
    (Meaning::of(Role::Plan), true, "plan"),
    (
        Meaning::of(Role::ExceptionMessage),
        true,
        "cause description detail details err error exception hint message msg reason",
    ),
    (
        Meaning::of(Role::Words),
        false,
        "command queries query sql statement statements stmt summary",
    ),
];

/// Whether a name is that of the attribute that names the system.
pub(crate) fn is_system(name: &[u8]) -> bool {
    matches!(name, b"db.system" | b"db.system.name")
}

/// Places for names, which are found by their numbers; many more than names, so that most others meet
/// an empty one.
const PLACES: usize = 256;
/// No name is here.
const NONE: u8 = u8::MAX;

/// Where in [`NAMES`] the name of each place is.
static TABLE: [u8; PLACES] = table();

#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // evaluated by the compiler
const fn table() -> [u8; PLACES] {
    let mut table = [NONE; PLACES];
    let mut index = 0;
    while index < NAMES.len() {
        let mut at = place(NAMES[index].name.as_bytes());
        while table[at] != NONE {
            at = (at + 1) % PLACES;
        }
        table[at] = index as u8;
        index += 1;
    }
    table
}

/// The place of a name: its length and a few of its bytes tell nearly all names apart.
#[inline(always)]
const fn place(name: &[u8]) -> usize {
    let length = name.len();
    let (Some(last), Some(middle), Some(third)) = (
        byte(name, length.wrapping_sub(1)),
        byte(name, length >> 1),
        byte(name, length.wrapping_sub(3)),
    ) else {
        return 0;
    };
    let number = length
        .wrapping_mul(59)
        .wrapping_add(last.wrapping_mul(7))
        .wrapping_add(middle.wrapping_mul(31))
        .wrapping_add(third.wrapping_mul(113));
    number & PLACES.wrapping_sub(1)
}

#[inline(always)]
const fn byte(name: &[u8], at: usize) -> Option<usize> {
    match name.split_at_checked(at) {
        Some((_, [byte, ..])) => Some(*byte as usize),
        _ => None,
    }
}

/// What is known of a name as a whole.
#[inline(always)]
fn find(name: &[u8]) -> Option<&'static Known> {
    let mut at = place(name);
    loop {
        // There is an empty place behind every run of others.
        let known = NAMES.get(usize::from(*TABLE.get(at)?))?;
        if is_same(known.name.as_bytes(), name) {
            return Some(known);
        }
        at = at.wrapping_add(1) & PLACES.wrapping_sub(1);
    }
}

/// What a name says: as a whole, by its beginning, or by its words.
#[inline(always)]
pub(crate) fn meaning(name: &[u8]) -> Option<&'static Meaning> {
    match find(name) {
        Some(known) => Some(&known.meaning),
        None => told_by_its_parts(name),
    }
}

/// What a name says, where it is not asked of each attribute.
#[inline(never)]
pub(crate) fn meaning_of(name: &[u8]) -> Option<&'static Meaning> {
    meaning(name)
}

#[inline(never)]
fn told_by_its_parts(name: &[u8]) -> Option<&'static Meaning> {
    let mut prefixes = PREFIXES.iter();
    let known = prefixes.find(|(prefix, _)| name.starts_with(prefix.as_bytes()));
    match known {
        Some((_, meaning)) => Some(meaning),
        None if is_tag(name) => Some(&TAG),
        None => told_by_words(name),
    }
}

/// Whether an attribute is what a comment says under a key that is known.
fn is_tag(name: &[u8]) -> bool {
    let key = name.strip_prefix(TAGS.as_bytes());
    key.is_some_and(|key| KEYS.iter().any(|known| known.as_bytes() == key))
}

/// What the words of a name say: `db.sql.args.0`, `commandText`.
fn told_by_words(name: &[u8]) -> Option<&'static Meaning> {
    let mut words = words(name).peekable();
    let mut best: Option<usize> = None;
    while let Some(word) = words.next() {
        let rank = rank(word, words.peek().is_none());
        best = match (best, rank) {
            (Some(best), Some(rank)) => Some(best.min(rank)),
            (best, rank) => best.or(rank),
        };
    }
    WORDS.get(best?).map(|(meaning, _, _)| meaning)
}

/// Where in [`WORDS`] a word is. Passwords are told by a part of one: `PGPASSWORD`, `dbpassword`.
fn rank(word: &[u8], is_last: bool) -> Option<usize> {
    const PASSWORD: &[u8] = b"password";
    if suspects::find(word, PASSWORD).is_some() {
        return Some(0);
    }
    WORDS
        .iter()
        .position(|(_, at_the_end, words)| (is_last || !at_the_end) && has_word(words, word))
}

/// Whether a word is among others, whatever its letter case.
#[inline(never)]
pub(crate) fn has_word(words: &str, word: &[u8]) -> bool {
    let mut words = words.split(' ');
    words.any(|known| known.as_bytes().eq_ignore_ascii_case(word))
}

/// The runs of letters in a name; a capital behind a small letter begins a new one.
fn words(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    name.chunk_by(|before, next| {
        before.is_ascii_alphabetic() == next.is_ascii_alphabetic()
            && !(before.is_ascii_lowercase() && next.is_ascii_uppercase())
    })
    .filter(|word| word.first().is_some_and(u8::is_ascii_alphabetic))
}

/// Scopes of instrumentations for PostgreSQL and nothing else, and of drivers' loggers.
pub(crate) const SCOPES: [&str; 16] = [
    "@opentelemetry/instrumentation-pg",
    "Npgsql",
    "Npgsql.Command",
    "Npgsql.Connection",
    "OpenTelemetry::Instrumentation::PG",
    "github.com/exaring/otelpgx",
    "opentelemetry.instrumentation.aiopg",
    "opentelemetry.instrumentation.asyncpg",
    "opentelemetry.instrumentation.psycopg",
    "opentelemetry.instrumentation.psycopg2",
    "opentelemetry_postgrex",
    "org.postgresql.core.v3.QueryExecutorImpl",
    "psycopg",
    "psycopg.pool",
    "tokio_postgres",
    "tokio_postgres::query",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_and_its_stable_one_too() {
        for known in &NAMES {
            let found = find(known.name.as_bytes());
            assert_eq!(found.map(|found| found.name), Some(known.name));
            if let Some(stable) = known.meaning.stable {
                let found = find(stable.as_bytes()).unwrap_or_else(|| panic!("{stable}"));
                assert_eq!(found.meaning.role, known.meaning.role, "{stable}");
            }
        }
        let empty = TABLE.iter().filter(|place| **place == NONE).count();
        assert!(empty > PLACES / 2);
    }

    #[test]
    fn of_what_is_taken_out_of_an_entry_data_goes_and_all_else_stays() {
        // In messages of another event the name has what is no data.
        const BOTH: [&str; 3] = [
            "postgresql.bytes",
            "postgresql.command",
            "postgresql.reason",
        ];
        for value in pg_log::Class::all().iter().flat_map(pg_log::Class::values) {
            let name = value.full_name;
            let role = meaning(name.as_bytes()).map(|known| known.role);
            let goes = matches!(
                role,
                Some(Role::Quoted | Role::BindValue | Role::ExceptionMessage)
            );
            match value.sensitivity {
                _ if BOTH.contains(&name) => assert!(!goes, "{name}"),
                pg_log::Sensitivity::Data => assert!(goes, "{name}: {role:?}"),
                pg_log::Sensitivity::Sql => assert_eq!(
                    matches!(role, Some(Role::Query | Role::Words)),
                    name.starts_with("db.query.") || name.contains("statement"),
                    "{name}: {role:?}"
                ),
                _ => assert!(!goes, "{name}: {role:?}"),
            }
        }
    }

    #[test]
    fn a_name_that_is_not_known_tells_by_its_words_what_it_holds() {
        for (name, expected) in [
            ("db.sql.args.1", Some(Role::BindValue)),
            ("db.sql.args.12.value", Some(Role::BindValue)),
            ("r2dbc.params[0]", Some(Role::BindValue)),
            ("db.params", Some(Role::BindValue)),
            ("args", Some(Role::BindValue)),
            ("queryParameters", Some(Role::BindValue)),
            ("jdbc.query[3]", Some(Role::Query)),
            ("commandText", Some(Role::Words)),
            ("db.raw_sql", Some(Role::Words)),
            ("error.message", Some(Role::ExceptionMessage)),
            ("error", Some(Role::ExceptionMessage)),
            ("error.stack", Some(Role::Stacktrace)),
            ("db.dsn", Some(Role::Credentials)),
            ("PGPASSWORD", Some(Role::Credentials)),
            (
                "process.environment_variable.PGPASSWORD",
                Some(Role::Credentials),
            ),
            ("db.userpassword", Some(Role::Credentials)),
            ("db.pass", Some(Role::Credentials)),
            ("db.passed", None),
            ("boarding_pass.id", None),
            ("db.bindvars", Some(Role::BindValue)),
            ("sequelize.replacements", Some(Role::BindValue)),
            ("where", Some(Role::Companion(Field::Context))),
            ("context", Some(Role::Companion(Field::Context))),
            ("error.context", Some(Role::Companion(Field::Context))),
            ("k8s.context", None),
            ("db.plan", Some(Role::Plan)),
            ("db.query_plan", Some(Role::Plan)),
            ("plan.id", None),
            ("spring.datasource.url", Some(Role::Address)),
            ("url.full", None),
            ("pgmesh.message", Some(Role::Plain)),
            ("sqlcommenter.route", Some(Role::Plain)),
            ("sqlcommenter.password", Some(Role::Credentials)),
            ("postgresql.parameters", Some(Role::BindValue)),
            ("postgresql.statement", Some(Role::Words)),
            ("postgresql.xids_left", None),
            ("http.route", None),
            ("db.rows_affected", None),
            ("error.code", None),
            ("", None),
        ] {
            assert_eq!(
                meaning(name.as_bytes()).map(|known| known.role),
                expected,
                "{name}"
            );
        }
    }
}
