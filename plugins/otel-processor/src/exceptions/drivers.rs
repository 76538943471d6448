//! What tells of an error on somebody else's span, or in an application's log record, that PostgreSQL has
//! raised it: the driver's type, or a mapper's over it, the form that one gives its text, or the server's
//! own wording. Its text may quote the statement, its parameters and the row.

use super::marks::Glance;
use super::{Texts, all_starts, written_sqlstate};
use crate::lists::begins_with_any;
use crate::suspects::{find, holds_password, holds_sql};

/// Bytes that are read of a text: a stack trace has the cause of all at its end.
const BYTES: usize = 262_144;

/// How types of such errors begin, in `exception.type`.
const TYPES: [&str; 15] = [
    "*pgconn.",
    "*pq.Error",
    "Npgsql.",
    "PG::",
    "PostgresError",
    "Postgrex.Error",
    "asyncpg.exceptions.",
    "io.r2dbc.postgresql.",
    "io.vertx.pgclient.",
    "org.postgresql.",
    "pg8000.",
    "psycopg.",
    "psycopg2.",
    "sqlalchemy.exc.",
    "tokio_postgres::",
];

/// How lines begin in which SQLAlchemy quotes a statement and its parameters.
const QUOTES: [&str; 2] = ["[SQL: ", "[parameters: "];

/// Where node's drivers and mappers have the code that makes an error of the server's message.
const FRAMES: [&[u8]; 5] = [
    b"/driver/postgres/PostgresQueryRunner.",
    b"/node_modules/pg-protocol/",
    b"/node_modules/pg/",
    b"/node_modules/postgres/",
    b"/node_modules/sequelize/lib/dialects/postgres/",
];

/// Whether an `exception.type` is a driver's.
#[inline(never)]
pub(crate) fn is_type(name: &str) -> bool {
    begins_with_any(name.as_bytes(), &TYPES)
}

impl Texts {
    /// Whether a message or a stack trace is of an error that PostgreSQL has raised.
    #[inline(never)]
    pub(crate) fn is_drivers(&self, text: &[u8]) -> bool {
        let text = text.get(..BYTES).unwrap_or(text);
        let glance = Glance::of(text);
        glance.is_drivers(text)
            || has_form(text)
            || (glance.has_at && is_of_postgres(text))
            || self.has_wording(text, glance)
    }

    /// Whether the server's message is in a text, and data in it, beside it or below.
    fn has_wording(&self, text: &[u8], glance: Glance) -> bool {
        if !(glance.has_detail || glance.has_quotes) {
            return false;
        }
        if glance.is_worded && (glance.has_detail || holds_sql(text)) {
            return true;
        }
        // In JSON a quote stands behind most colons.
        let mut starts =
            all_starts(text).filter(|start| start.first().is_some_and(u8::is_ascii_alphabetic));
        let Some(primary) = starts.find(|start| self.is_servers(start)) else {
            return false;
        };
        let line = text.split(|byte| *byte == b'\n').next();
        glance.has_detail
            || self.has_data(primary)
            || line.is_some_and(|line| written_sqlstate(line).is_some())
            || holds_sql(text)
    }
}

/// Whether there is an address of PostgreSQL's with a password in a text.
fn is_of_postgres(text: &[u8]) -> bool {
    holds_password(text) && find(text, b"postgres").is_some()
}

/// Whether a driver gives its errors such a form: by the beginning of a line, or by the first frame.
fn has_form(text: &[u8]) -> bool {
    let mut framed = false;
    // In JSON a line ends with `\n`.
    let mut lines = text.split(|byte| matches!(byte, b'\n' | b'\\'));
    lines.any(|line| {
        let line = line.strip_prefix(b"n").unwrap_or(line).trim_ascii();
        if line.starts_with(b"at ") {
            return !std::mem::replace(&mut framed, true)
                && FRAMES.iter().any(|path| find(line, path).is_some());
        }
        begins_with_any(line, &QUOTES)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// To look through the whole text for each would take minutes.
    #[test]
    fn marks_that_come_again_and_again_are_looked_at_once() {
        let texts = Texts::default();
        for mark in [
            "SQLSTATE[",
            "Key (",
            "://",
            "Batch entry ",
            "password = $1 ",
            "\nLINE 1",
            "set a ",
            "SQL [",
            "\\n",
        ] {
            let text = mark.repeat(BYTES / mark.len());
            assert!(
                !texts.is_drivers(text.as_bytes()) || mark.len() == 3,
                "{mark}"
            );
        }
    }

    #[test]
    fn a_drivers_text_is_told_from_others() {
        let texts = Texts::default();
        for text in [
            "(psycopg.errors.UniqueViolation) duplicate key\n[SQL: INSERT INTO t]\n[parameters: (1,)]",
            "Traceback (most recent call last):\nsqlalchemy.exc.IntegrityError: x",
            "java.lang.RuntimeException: x\n\tat a.b(C.java:1)\nCaused by: org.postgresql.util.PSQLException: y",
            "insert failed: ERROR: duplicate key (SQLSTATE 23505)",
            "PG::UniqueViolation: ERROR:  duplicate key",
            " ---> Npgsql.PostgresException (0x80004005): 23505: duplicate key",
            "** (Postgrex.Error) ERROR 23505 (unique_violation)",
            "invalid input syntax for type integer: \"4111\"",
            "insert: pq: invalid input syntax for type integer: \"4111\"",
            "ERROR: duplicate key value violates unique constraint \"x\"\n  Detail: y",
            "insert into \"t\" values ('4111') - duplicate key value violates unique constraint \"x\"",
            "rollback failed [ERROR: x (SQLSTATE 22P02)]: y",
            "failed org.postgresql.util.PSQLException: ERROR: x",
            "Message: `x`. Key (card)=(4111) already exists.",
            r#"{"err":"sqlalchemy.exc.DBAPIError: x [SQL: select $1] [parameters: ('4111',)]"}"#,
            "failed: x [SQL: select $1] [parameters: ('4111',)]",
            r#"level=error err="Npgsql.PostgresException (0x80004005): 22P02: x""#,
            r#"{"err":"PG::NotNullViolation: ERROR:  null value"}"#,
            r#"{"err":"psycopg2.OperationalError: x"}"#,
            "request failed: asyncpg.exceptions.DataError: x",
            "request failed: Postgrex.Error ERROR 23502 x",
            "%Postgrex.Error{postgres: x}",
            "Postgrex expected an integer, got \"4111\". Please make sure the value you are passing matches",
            "request failed: io.vertx.pgclient.PgException: x",
            "invalid input for query argument $1: '4111' (an integer is required)",
            "unable to encode \"4111\" into binary format for int4 (OID 23)",
            "Failed query: insert into \"t\" values ($1)\nparams: 4111",
            "ConnectorError(ConnectorError { kind: QueryError(PostgresError { code: \"22P02\" })",
            "Error { kind: Db, cause: Some(DbError { code: SqlState(E22P02), message: \"x\" })",
            "DatabaseError(Unknown, \"invalid input syntax for type integer: \\\"4111\\\"\")",
            "column \"x\" does not exist\nLINE 1: ...HERE card = 4111\n            ^",
            r#"{"err":"column \"x\" does not exist\nLINE 1: insert into t (4111)"}"#,
            r#"{"err":"integer out of range\nCONTEXT:  unnamed portal parameter $1 = '4111'"}"#,
            "insert failed; Failing row contains (4111, null).",
            "Batch entry 0 insert into t values ('4111') was aborted.  Call getNextException",
            "executeMany; SQL [INSERT INTO t VALUES ('4111')]; duplicate key violates unique constraint \"x\"",
            "SQLSTATE[42P01]: Undefined table: 7 ERROR:  x (Connection: x, SQL: select 4111)",
            "SQLSTATE[08006] [7] x",
            "integer out of range\nCONTEXT:  unnamed portal parameter $1 = '4111'",
            "ERROR: integer out of range\n  Where: unnamed portal parameter $1 = '4111'",
            "{'S': 'ERROR', 'V': 'ERROR', 'C': '22P02', 'M': 'x'}",
            "SqlError {sqlState = \"22P02\", sqlErrorMsg = \"x\"}",
            "QueryError \"insert\" [\"4111\"] (ResultError (ServerError \"22001\" \"x\"))",
            "cannot parse `postgres://bob:4111@db:x/s`: failed to parse as URL",
            "missing \"=\" after \"4111\" in connection info string",
            r#"{"err":"value \"41111111111\" is out of range for type integer"}"#,
            r#"{"err":"insert into \"t\" values ('4111') - relation \"t\" does not exist"}"#,
            "failed: [SQL: INSERT INTO t VALUES ('4111')]",
            r#"{"err":"x\n[SQL: INSERT INTO t VALUES (%s)]\n(Background)"}"#,
            r#"{"stack":"error: x\n    at Parser.parse (/app/node_modules/pg-protocol/dist/parser.js:1:2)\n    at /app/a.js:1:2"}"#,
            "QueryFailedError: x\n    at PostgresQueryRunner.query (/app/src/driver/postgres/PostgresQueryRunner.ts:1:2)",
            "StatementCallback; bad SQL grammar [INSERT INTO t VALUES ('4111')]",
            "uncategorized SQLException for SQL [INSERT INTO t VALUES ('4111')]; SQL state [22P02]",
            "SQL [insert into t values (?)]; ERROR: card 4111 refused",
            "could not execute statement [ERROR: card 4111 refused] [insert into t values (?)]",
            "JDBC exception executing SQL [select a from t where card = ?] [ERROR: card 4111 refused]",
            "could not execute statement [x] [insert into t values ('4111')]",
            "Failed query: select a from t where card = '4111'\nparams: ",
            "Raw query failed. Code: `P0001`. Message: `card 4111`",
            "DbError { severity: \"ERROR\", message: \"card 4111\" }",
            "DbError {\n    severity: \"ERROR\",\n    message: \"card 4111\" }",
            "failed to encode args[1]: 41111111111 is greater than maximum value for int4",
            "ERROR: card 4111 refused\n  Hint: zwei",
            r#"{"err":"ERROR: card 4111 refused\n  Detail: zwei"}"#,
            "card 4111 refused\nHINT:  zwei",
            "card 4111 refused\nDETAIL:  zwei",
            "{ length: 98, severity: 'ERROR', detail: 'card 4111', routine: 'exec_stmt_raise' }",
            r#"{"severity":"ERROR","detail":"card 4111","routine":"exec_stmt_raise"}"#,
            "P0001: card 4111 refused",
            "ERROR P0001 (raise_exception) card 4111 refused",
            "error: x\n    at Parser.parse (/app/node_modules/pg-protocol/dist/parser.js:1:2)\n    at /app/a.js:1:2",
        ] {
            assert!(texts.is_drivers(text.as_bytes()), "{text}");
        }
        for text in [
            "card 4111 refused",
            "see [SQL: x]",
            "psycopg is a driver",
            "(SQLSTATE unknown)",
            "relation \"t\" does not exist",
            "Key (card) is missing, see \"keys\"",
            "psycopg.pool: connection \"x\" returned",
            "written with psycopg2. See \"x\"",
            "SQLSTATE[23000]: Integrity constraint violation: 1062 Duplicate entry '4111'",
            "Failed query: insert into t values (?)",
            "the file \"x\" does not exist",
            "Object 'x' does not exist: SELECT * FROM x WHERE a = '4111'",
            "LINE 4: x",
            "certificate has an unknown extension (OID 2.5.29.37), see \"format\"",
            "When: now\n Where: \"here\"",
            "invalid connection option timeout",
            "connect ECONNREFUSED 10.0.0.1:6379",
            "docker://postgres:18: \"x\"",
            "http://bob:4111@proxy refused",
            "see [parameters: x]",
            "see \"SQL [x]\" and 'params: 4111'",
            "could not execute statement [4111]",
            "Failed query: \"4111\"",
            "Raw query failed. Code: `1062`. Message: `Duplicate entry '4111'`",
            "see DbError { kind: 4111 }",
            "ERROR: job failed\n Hint: 4111",
            "Title: x\n  Detail: 4111",
            "routine: '4111'",
            "E1001: card 4111",
            "P0001 is a code",
            "ERROR 4111 (x) refused",
            "django.db is a package",
            "certificate at C:\\names \\nat (/app/a.js:1:2)",
            "TypeError: \"x\"\n    at /app/a.js:1:2\n    at Client.x (/app/node_modules/pg/lib/client.js:1:2)",
            "",
        ] {
            assert!(!texts.is_drivers(text.as_bytes()), "{text}");
        }
    }
}
