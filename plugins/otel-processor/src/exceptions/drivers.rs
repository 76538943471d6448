//! What tells of an error on somebody else's span, or in an application's log record, that PostgreSQL has
//! raised it: the driver's type, or a mapper's over it, the form that one gives its text, or the server's
//! own wording. Its text may quote the statement, its parameters and the row.

use super::parting::split_once;
use super::{Texts, all_starts, written_sqlstate};
use crate::lists::begins_with_any;
use crate::suspects::holds_sql;

/// Bytes that are read of a text: a stack trace has the cause of all at its end.
const BYTES: usize = 262_144;

/// How types of such errors begin, in `exception.type` and at the beginning of a line.
const TYPES: [&str; 16] = [
    "*pgconn.",
    "*pq.Error",
    "Npgsql.",
    "PG::",
    "PostgresError",
    "Postgrex.Error",
    "asyncpg.exceptions.",
    // sqlx.
    "error returned from database: ",
    "io.r2dbc.postgresql.",
    "io.vertx.pgclient.",
    "org.postgresql.",
    "pg8000.",
    "psycopg.",
    "psycopg2.",
    "sqlalchemy.exc.",
    "tokio_postgres::",
];

/// What stands before a type on its line.
const BEFORE: [&str; 5] = ["Caused by: ", "(", "---> ", "** (", "! "];

/// How lines begin in which SQLAlchemy quotes a statement and its parameters.
const QUOTES: [&str; 2] = ["[SQL: ", "[parameters: "];

/// What is PostgreSQL's wherever in a line it stands, for loggers write it behind words of their own: such
/// a word, and a mark behind it.
const MARKS: [(&[u8], u8); 7] = [
    (b"PSQLException", b':'),
    (b"PgDatabaseError ", b'{'),
    (b"error returned from database", b':'),
    (b"org.postgresql.util", b'.'),
    (b"pq", b':'),
    (b"psycopg.errors", b'.'),
    (b"psycopg2.errors", b'.'),
];

/// How drivers begin a DETAIL, before the colon.
const DETAILS: [&[u8]; 2] = [b"DETAIL", b"Detail"];

/// Where node's drivers and mappers have the code that makes an error of the server's message.
const FRAMES: [&str; 5] = [
    "/node_modules/pg-protocol/",
    "/node_modules/pg/",
    "/node_modules/postgres/",
    "/node_modules/sequelize/lib/dialects/postgres/",
    "/node_modules/typeorm/driver/postgres/",
];

/// Whether an `exception.type` is a driver's.
#[inline(never)]
pub(crate) fn is_type(name: &str) -> bool {
    begins_with_any(name.as_bytes(), &TYPES)
}

/// What is found in a text at a glance.
#[derive(Clone, Copy, Debug, Default)]
struct Glance {
    /// A driver's mark.
    is_marked: bool,
    has_detail: bool,
    /// It may quote something.
    has_quotes: bool,
}

impl Texts {
    /// Whether a message or a stack trace is of an error that PostgreSQL has raised.
    #[inline(never)]
    pub(crate) fn is_drivers(&self, text: &[u8]) -> bool {
        let text = text.get(..BYTES).unwrap_or(text);
        let glance = glance(text);
        glance.is_marked || has_form(text) || self.has_wording(text, glance)
    }

    /// Whether the server's message is in a text, and data in it, beside it or below.
    fn has_wording(&self, text: &[u8], glance: Glance) -> bool {
        if !(glance.has_detail || glance.has_quotes) {
            return false;
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

fn glance(text: &[u8]) -> Glance {
    let mut seen = Glance::default();
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b':' | b'.' | b'{' => {
                let before = text.get(..at).unwrap_or_default();
                let mut marks = MARKS.iter();
                seen.is_marked |= marks.any(|(word, mark)| mark == byte && ends(before, word));
                seen.has_detail |= *byte == b':' && DETAILS.iter().any(|word| ends(before, word));
            }
            b'(' => {
                let (before, behind) = text.split_at(at);
                seen.is_marked |= is_sqlstate(behind) || quotes_a_key(before, behind);
            }
            b'"' | b'\'' | b'$' => seen.has_quotes = true,
            _ => {}
        }
    }
    seen
}

/// Whether a text ends with a word, which is no part of a longer one.
#[inline(never)]
fn ends(text: &[u8], word: &[u8]) -> bool {
    let before = text.strip_suffix(word);
    before.is_some_and(|before| !before.last().is_some_and(u8::is_ascii_alphanumeric))
}

/// pgx: `ERROR: text (SQLSTATE 23505)`, and what others write behind it.
#[inline(never)]
fn is_sqlstate(text: &[u8]) -> bool {
    let rest = text.strip_prefix(b"(SQLSTATE ");
    let code = rest.and_then(|rest| rest.split_at_checked(5));
    code.is_some_and(|(code, rest)| {
        rest.starts_with(b")") && crate::traces::sqlstate(code).is_some()
    })
}

/// `Key (card)=(4111) already exists.`, as only the server says it.
#[inline(never)]
fn quotes_a_key(before: &[u8], behind: &[u8]) -> bool {
    const BETWEEN: &[u8] = b")=(";
    ends(before, b"Key ") && behind.windows(BETWEEN.len()).any(|part| part == BETWEEN)
}

/// Whether a driver gives its errors such a form: by the beginning of a line, or by the first frame.
fn has_form(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    let mut framed = false;
    text.split('\n').any(|line| {
        let line = line.trim();
        if line.starts_with("at ") {
            return !std::mem::replace(&mut framed, true)
                && FRAMES.iter().any(|path| split_once(line, path).is_some());
        }
        let bare = BEFORE.iter().find_map(|before| line.strip_prefix(before));
        is_type(bare.unwrap_or(line)) || begins_with_any(line.as_bytes(), &QUOTES)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
            "TypeError: \"x\"\n    at /app/a.js:1:2\n    at Client.x (/app/node_modules/pg/lib/client.js:1:2)",
            "",
        ] {
            assert!(!texts.is_drivers(text.as_bytes()), "{text}");
        }
    }
}
