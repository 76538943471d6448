//! Attributes of database spans: what each is, and its name in the stable conventions.
//!
//! Sources: OpenTelemetry semantic conventions 1.44, `docs/db/database-spans.md`, and its guide
//! `docs/non-normative/db-migration.md` for the names before; vendors' forms as their
//! instrumentations write them.

/// What an attribute is to us.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    /// Which system: `db.system.name`.
    System,
    /// SQL as the application wrote it.
    Query,
    /// SQL-like text that instrumentations may have made of the query.
    Words,
    /// A bind value, or what holds some.
    BindValue,
    /// May hold a password: a connection string.
    Credentials,
    /// The server's SQLSTATE.
    Sqlstate,
    /// The class of the error.
    ErrorType,
    /// `exception.message`.
    ExceptionMessage,
    /// `exception.stacktrace`.
    Stacktrace,
    /// What EXPLAIN says of a statement.
    Plan,
    /// Nothing but its name matters.
    Plain,
}

/// A name that is known: what it is, and what the stable conventions call it if it is an old one.
pub(crate) struct Known {
    pub(crate) name: &'static str,
    pub(crate) role: Role,
    pub(crate) stable: Option<&'static str>,
}

const fn known(name: &'static str, role: Role) -> Known {
    Known {
        name,
        role,
        stable: None,
    }
}

const fn legacy(name: &'static str, role: Role, stable: &'static str) -> Known {
    Known {
        name,
        role,
        stable: Some(stable),
    }
}

pub(crate) const SYSTEM: &str = "db.system.name";
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

/// In byte order.
pub(crate) const NAMES: [Known; 42] = [
    known(COLLECTION, Role::Plain),
    known("db.connection.string", Role::Credentials),
    known("db.connection_string", Role::Credentials),
    known("db.instance", Role::Plain),
    legacy("db.name", Role::Plain, "db.namespace"),
    known("db.namespace", Role::Plain),
    legacy("db.operation", Role::Plain, OPERATION),
    known(BATCH_SIZE, Role::Plain),
    known(OPERATION, Role::Plain),
    // @opentelemetry/instrumentation-pg with enhancedDatabaseReporting.
    known("db.postgresql.values", Role::BindValue),
    known("db.query.bindings", Role::BindValue),
    known("db.query.parameters", Role::BindValue),
    known(SUMMARY, Role::Words),
    known(QUERY_TEXT, Role::Query),
    known(STATUS_CODE, Role::Sqlstate),
    known("db.sql.bindings", Role::BindValue),
    known("db.sql.parameters", Role::BindValue),
    legacy("db.sql.table", Role::Plain, COLLECTION),
    legacy("db.statement", Role::Query, QUERY_TEXT),
    known("db.statement.parameters", Role::BindValue),
    legacy("db.system", Role::System, SYSTEM),
    known(SYSTEM, Role::System),
    // opentelemetry_ecto.
    known("db.url", Role::Credentials),
    known(ERROR_TYPE, Role::ErrorType),
    known("exception.message", Role::ExceptionMessage),
    known("exception.stacktrace", Role::Stacktrace),
    known("jdbc.connection_url", Role::Credentials),
    known("jdbc.query", Role::Query),
    legacy("net.peer.ip", Role::Plain, "network.peer.address"),
    legacy("net.peer.name", Role::Plain, "server.address"),
    legacy("net.peer.port", Role::Plain, "server.port"),
    legacy("net.sock.peer.addr", Role::Plain, "network.peer.address"),
    legacy("net.sock.peer.port", Role::Plain, "network.peer.port"),
    known("network.peer.address", Role::Plain),
    known("network.peer.port", Role::Plain),
    // otelpgx.
    known("pgx.query.parameters", Role::BindValue),
    // Events of the Collector's postgresqlreceiver.
    known("postgresql.query_plan", Role::Plan),
    known("server.address", Role::Plain),
    known("server.port", Role::Plain),
    known("sql.parameters", Role::BindValue),
    // OpenCensus' ocsql, and what grew out of it.
    known("sql.query", Role::Query),
    known("sql.text", Role::Query),
];

/// Names with something behind them: an index or the name of a parameter.
const PREFIXES: [(&str, Role); 8] = [
    ("db.operation.parameter.", Role::BindValue),
    ("db.query.parameter.", Role::BindValue),
    ("db.query.parameters.", Role::BindValue),
    ("db.statement.parameters.", Role::BindValue),
    // datasource-micrometer.
    ("jdbc.params[", Role::BindValue),
    ("jdbc.query[", Role::Query),
    ("sql.args", Role::BindValue),
    ("sql.arg.", Role::BindValue),
];

/// What is known of a name.
fn find(name: &[u8]) -> Option<&'static Known> {
    // All names begin with one of few letters.
    if !matches!(name.first()?, b'd' | b'e' | b'j' | b'n' | b'p' | b's') {
        return None;
    }
    let place = NAMES.binary_search_by(|known| known.name.as_bytes().cmp(name));
    NAMES.get(place.ok()?)
}

/// What a name is, known as a whole or by its beginning, and what the stable conventions call it if it
/// is an old one.
pub(crate) fn role(name: &[u8]) -> Option<(Role, Option<&'static str>)> {
    let whole = find(name).map(|known| (known.role, known.stable));
    whole.or_else(|| {
        let mut prefixes = PREFIXES.iter();
        let known = prefixes.find(|(prefix, _)| name.starts_with(prefix.as_bytes()))?;
        Some((known.1, None))
    })
}

/// Scopes of instrumentations for PostgreSQL and nothing else.
pub(crate) const SCOPES: [&str; 9] = [
    "@opentelemetry/instrumentation-pg",
    "Npgsql",
    "OpenTelemetry::Instrumentation::PG",
    "github.com/exaring/otelpgx",
    "opentelemetry.instrumentation.aiopg",
    "opentelemetry.instrumentation.asyncpg",
    "opentelemetry.instrumentation.psycopg",
    "opentelemetry.instrumentation.psycopg2",
    "opentelemetry_postgrex",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_in_order_so_that_they_are_found() {
        assert!(NAMES.is_sorted_by(|one, other| one.name < other.name));
        for known in &NAMES {
            assert!(find(known.name.as_bytes()).is_some(), "{}", known.name);
            if let Some(stable) = known.stable {
                assert!(find(stable.as_bytes()).is_some(), "{stable}");
            }
        }
    }
}
