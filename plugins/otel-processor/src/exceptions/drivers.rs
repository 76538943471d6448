//! What tells of an error on somebody else's span, or in an application's log record, that PostgreSQL has
//! raised it: the driver's type, or a mapper's over it, the form that one gives its text, or the server's
//! own wording. Its text may quote the statement, its parameters and the row.

use super::parting::split_once;
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

/// What a mark tells of the text that it is in.
#[derive(Clone, Copy)]
enum Tells {
    /// A driver's.
    Driver,
    /// The same, if a capital follows: modules and loggers are called so, too.
    Type,
    /// The same, where this is in the text as well.
    With(Other),
    /// A message of the server's, in which there may be no data.
    Wording,
}

/// What tells together with a mark.
#[derive(Clone, Copy)]
enum Other {
    Aborted,
    Connection,
    Format,
    Libpq,
    LibpqsError,
    Numbered,
    Sql,
}

const OTHERS: [(Other, &[u8]); 7] = [
    (Other::Aborted, b" was aborted"),
    (Other::Connection, b"pgsql"),
    (Other::Format, b" format "),
    // PDO's number of an error; 7 is libpq's.
    (Other::Libpq, b"[7] "),
    (Other::LibpqsError, b" 7 ERROR:"),
    (Other::Numbered, b"$1"),
    (Other::Sql, b"[SQL: "),
];

impl Other {
    const fn bit(self) -> u8 {
        1_u8.wrapping_shl(self as u32)
    }
}

/// What is PostgreSQL's wherever in a text it stands, for loggers write it behind words of their own, in JSON
/// perhaps; and where in it the byte is by which it is found.
type Mark = (&'static [u8], usize, Tells);

const COLONS: [Mark; 11] = [
    (b"CONTEXT:  ", 7, Tells::Driver),
    (b"Failed query:", 12, Tells::With(Other::Numbered)),
    (b"PG::", 2, Tells::Type),
    (b"PSQLException:", 13, Tells::Driver),
    (b"PostgresError:", 13, Tells::Driver),
    (b"\n  Where: ", 8, Tells::Driver),
    (b"\\n  Where: ", 9, Tells::Driver),
    (b"error returned from database:", 28, Tells::Driver),
    (b"pq:", 2, Tells::Driver),
    (b"tokio_postgres::error::Error", 14, Tells::Driver),
    (b"{'S': '", 4, Tells::Driver),
];

const DOTS: [Mark; 16] = [
    // Postgrex'.
    (
        b"\". Please make sure the value you are passing",
        1,
        Tells::Driver,
    ),
    (b"Npgsql.NpgsqlException", 6, Tells::Driver),
    (b"Npgsql.PostgresException", 6, Tells::Driver),
    (b"Postgrex.Error", 8, Tells::Driver),
    (b"asyncpg.exceptions.", 18, Tells::Type),
    (b"io.r2dbc.postgresql.", 19, Tells::Type),
    (b"io.vertx.pgclient.", 17, Tells::Type),
    (b"org.postgresql.util.", 19, Tells::Type),
    (b"pg8000.exceptions.", 17, Tells::Type),
    (b"pgconn.", 6, Tells::Type),
    (b"pq.Error", 2, Tells::Driver),
    (b"psycopg.", 7, Tells::Type),
    (b"psycopg.errors.", 14, Tells::Driver),
    (b"psycopg2.", 8, Tells::Type),
    (b"psycopg2.errors.", 15, Tells::Driver),
    (b"sqlalchemy.exc.", 14, Tells::Type),
];

const BRACES: [Mark; 3] = [
    (b"PgDatabaseError {", 16, Tells::Driver),
    (b"PostgresError {", 14, Tells::Driver),
    (b"SqlError {sqlState", 9, Tells::Driver),
];

const PARENTHESES: [Mark; 4] = [
    // pgx'.
    (b"(OID ", 0, Tells::With(Other::Format)),
    (b"(ServerError \"", 0, Tells::Driver),
    (b"Failing row contains (", 21, Tells::Driver),
    (b"SqlState(", 8, Tells::Driver),
];

const BRACKETS: [Mark; 4] = [
    (b"SQLSTATE[", 8, Tells::With(Other::Connection)),
    (b"SQLSTATE[", 8, Tells::With(Other::Libpq)),
    (b"SQLSTATE[", 8, Tells::With(Other::LibpqsError)),
    (b"[parameters: ", 0, Tells::With(Other::Sql)),
];

/// Words of the server's, of libpq's and of drivers', most with a value behind them.
const BLANKS: [Mark; 16] = [
    (b" is out of range for type ", 3, Tells::Driver),
    (b"Batch entry ", 5, Tells::With(Other::Aborted)),
    (b"at or near ", 2, Tells::Wording),
    (b"connection info string", 10, Tells::Driver),
    (b"date/time field value out of range", 9, Tells::Driver),
    (b"does not exist", 4, Tells::Wording),
    (b"invalid connection option \"", 7, Tells::Driver),
    (b"invalid input for query argument $", 7, Tells::Driver),
    (b"invalid input syntax for type ", 7, Tells::Driver),
    (b"invalid input value for enum ", 7, Tells::Driver),
    (b"malformed array literal", 9, Tells::Driver),
    (b"value too long for type ", 5, Tells::Wording),
    (b"violates check constraint", 8, Tells::Wording),
    (b"violates foreign key constraint", 8, Tells::Wording),
    (b"violates not-null constraint", 8, Tells::Wording),
    (b"violates unique constraint", 8, Tells::Wording),
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
    /// The server's words.
    is_worded: bool,
    has_detail: bool,
    /// The beginning of a key's columns.
    has_key: bool,
    /// It may quote something.
    has_quotes: bool,
    /// It may have an address.
    has_at: bool,
    /// Bits of what would make it a driver's.
    wanted: u8,
}

impl Texts {
    /// Whether a message or a stack trace is of an error that PostgreSQL has raised.
    #[inline(never)]
    pub(crate) fn is_drivers(&self, text: &[u8]) -> bool {
        let text = text.get(..BYTES).unwrap_or(text);
        let glance = glance(text);
        glance.is_marked
            || glance.has_wanted(text)
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

fn glance(text: &[u8]) -> Glance {
    let mut seen = Glance::default();
    for (at, byte) in text.iter().enumerate() {
        let marks: &[Mark] = match byte {
            b' ' if is_likely(text, at) => &BLANKS,
            b'.' if is_behind(&BEFORE_DOTS, text, at) => &DOTS,
            b'{' => &BRACES,
            b':' => &COLONS,
            b'(' => &PARENTHESES,
            b'[' => &BRACKETS,
            b'"' | b'\'' | b'$' => {
                seen.has_quotes = true;
                continue;
            }
            b'@' => {
                seen.has_at = true;
                continue;
            }
            _ => continue,
        };
        let before = at.checked_sub(1).and_then(|at| text.get(at));
        for mark in marks {
            // Of most the byte before is another.
            let may_be = mark
                .1
                .checked_sub(1)
                .is_none_or(|at| mark.0.get(at) == before);
            if may_be && is_at(mark, text, at) {
                seen.note(mark.2, text, at);
            }
        }
        seen.note_byte(*byte, text, at);
    }
    seen
}

impl Glance {
    fn note(&mut self, tells: Tells, text: &[u8], at: usize) {
        match tells {
            Tells::Driver => self.is_marked = true,
            Tells::Type => {
                let behind = text.get(at.saturating_add(1)..).unwrap_or_default();
                let mut letters = behind.iter().filter(|byte| **byte != b':');
                self.is_marked |= letters.next().is_some_and(u8::is_ascii_uppercase);
            }
            Tells::With(other) => self.wanted |= other.bit(),
            Tells::Wording => self.is_worded = true,
        }
    }

    /// What a byte tells that is of no mark, or of one with something between its words.
    fn note_byte(&mut self, byte: u8, text: &[u8], at: usize) {
        match byte {
            b':' => {
                let before = text.get(..at).unwrap_or_default();
                self.has_detail |= DETAILS.iter().any(|word| ends(before, word));
                self.is_marked |= is_line(before);
            }
            b'(' => {
                let (before, behind) = text.split_at(at);
                // `Key (card)=(4111) already exists.`, as only the server says it.
                self.has_key |= ends(before, b"Key ");
                self.is_marked |= is_sqlstate(behind) || (self.has_key && before.ends_with(b")="));
            }
            _ => {}
        }
    }

    /// Looked for once, however often it is wanted.
    fn has_wanted(&self, text: &[u8]) -> bool {
        let mut others = OTHERS.iter();
        others.any(|(other, word)| self.wanted & other.bit() != 0 && find(text, word).is_some())
    }
}

/// A set of bytes, one bit for each.
type Bytes = [u64; 4];

/// Bytes around blanks, two as one.
static AROUND_BLANKS: Bytes = around(&BLANKS);
static BEFORE_DOTS: Bytes = before(&DOTS);

#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // evaluated by the compiler
const fn around(marks: &[Mark]) -> Bytes {
    let mut bytes = [0; 4];
    let mut index = 0;
    while index < marks.len() {
        let (word, at, _) = marks[index];
        let both = both(word[at - 1], word[at + 1]);
        bytes[(both >> 6) as usize] |= 1 << (both & 63);
        index += 1;
    }
    bytes
}

#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // evaluated by the compiler
const fn before(marks: &[Mark]) -> Bytes {
    let mut bytes = [0; 4];
    let mut index = 0;
    while index < marks.len() {
        let byte = marks[index].0[marks[index].1 - 1];
        bytes[(byte >> 6) as usize] |= 1 << (byte & 63);
        index += 1;
    }
    bytes
}

const fn both(before: u8, behind: u8) -> u8 {
    before ^ behind.rotate_left(3)
}

fn has(bytes: &Bytes, byte: u8) -> bool {
    let bits = bytes.get(usize::from(byte >> 6)).copied().unwrap_or(0);
    bits.wrapping_shr(byte.into()) & 1 == 1
}

fn is_behind(bytes: &Bytes, text: &[u8], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|at| text.get(at));
    before.is_some_and(|before| has(bytes, *before))
}

/// Whether the bytes around a blank may be those of a mark.
fn is_likely(text: &[u8], at: usize) -> bool {
    let around = at.checked_sub(1).and_then(|before| text.get(before..));
    matches!(around, Some([before, _, behind, ..]) if has(&AROUND_BLANKS, both(*before, *behind)))
}

/// Whether a mark is there, and no part of a longer word.
#[inline(never)]
fn is_at((word, offset, _): &Mark, text: &[u8], at: usize) -> bool {
    let Some((before, found)) = at
        .checked_sub(*offset)
        .and_then(|at| text.split_at_checked(at))
    else {
        return false;
    };
    let is_word = word.first().is_some_and(u8::is_ascii_alphanumeric);
    found.starts_with(word) && !(is_word && is_joined(before))
}

/// Whether a text ends within a word, and not with the mark of an end of a line in JSON.
fn is_joined(before: &[u8]) -> bool {
    before.last().is_some_and(u8::is_ascii_alphanumeric) && !before.ends_with(b"\\n")
}

/// libpq: `LINE 1: INSERT INTO ...` below a message, before the colon.
fn is_line(before: &[u8]) -> bool {
    let digits = before
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let number = before.len().saturating_sub(digits);
    let before = before
        .get(..number)
        .and_then(|before| before.strip_suffix(b"LINE "));
    digits > 0 && before.is_some_and(|before| before.ends_with(b"\n") || before.ends_with(b"\\n"))
}

/// Whether there is an address of PostgreSQL's with a password in a text.
fn is_of_postgres(text: &[u8]) -> bool {
    holds_password(text) && find(text, b"postgres").is_some()
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
        begins_with_any(line.as_bytes(), &QUOTES)
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
            "LINE 4: x",
            "certificate has an unknown extension (OID 2.5.29.37), see \"format\"",
            "When: now\n Where: \"here\"",
            "invalid connection option timeout",
            "connect ECONNREFUSED 10.0.0.1:6379",
            "docker://postgres:18: \"x\"",
            "http://bob:4111@proxy refused",
            "see [parameters: x]",
            "TypeError: \"x\"\n    at /app/a.js:1:2\n    at Client.x (/app/node_modules/pg/lib/client.js:1:2)",
            "",
        ] {
            assert!(!texts.is_drivers(text.as_bytes()), "{text}");
        }
    }
}
