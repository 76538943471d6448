//! Marks by which a text is known for a driver's, or a mapper's, of PostgreSQL: names of types, the form that
//! one gives its text, words of the server's and of libpq's. All are looked for in one pass, each by one
//! of its bytes that is rare in texts.

use crate::suspects::{find, holds_sql};

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
    Error,
    Format,
    Libpq,
    LibpqsError,
    Numbered,
    Pgjdbc,
    Severity,
    Sql,
    /// SQL with a value in it.
    Value,
}

const OTHERS: [(Other, &[u8]); 11] = [
    (Other::Aborted, b" was aborted"),
    (Other::Connection, b"pgsql"),
    (Other::Error, b"ERROR: "),
    (Other::Format, b" format "),
    // PDO's number of an error; 7 is libpq's.
    (Other::Libpq, b"[7] "),
    (Other::LibpqsError, b" 7 ERROR:"),
    (Other::Numbered, b"$1"),
    // Behind a statement that Spring, jOOQ or Hibernate quotes.
    (Other::Pgjdbc, b"]; ERROR: "),
    (Other::Pgjdbc, b"] [ERROR: "),
    (Other::Severity, b"severity"),
    (Other::Sql, b"[SQL: "),
];

impl Other {
    const fn bit(self) -> u16 {
        1_u16.wrapping_shl(self as u32)
    }
}

/// What is PostgreSQL's wherever in a text it stands, for loggers write it behind words of their own, in JSON
/// perhaps.
#[derive(Clone, Copy)]
struct Mark {
    word: &'static [u8],
    /// Where in the word the byte is by which it is found.
    at: usize,
    tells: Tells,
}

/// A mark that is found by the first such byte in it.
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // evaluated by the compiler
const fn mark(byte: u8, word: &'static [u8], tells: Tells) -> Mark {
    let mut at = 0;
    while word[at] != byte {
        at += 1;
    }
    Mark { word, at, tells }
}

const COLONS: [Mark; 22] = [
    mark(b':', b"CONTEXT:  ", Tells::Driver),
    // Prisma's, of what a function has raised.
    mark(b':', b"Code: `P0001`", Tells::Driver),
    mark(b':', b"DETAIL:  ", Tells::Driver),
    mark(b':', b"Failed query:", Tells::With(Other::Numbered)),
    mark(b':', b"Failed query:", Tells::With(Other::Value)),
    mark(b':', b"HINT:  ", Tells::Driver),
    // Npgsql's.
    mark(b':', b"P0001:", Tells::Driver),
    mark(b':', b"PG::", Tells::Type),
    mark(b':', b"PSQLException:", Tells::Driver),
    mark(b':', b"PostgresError:", Tells::Driver),
    mark(b':', b"\n  Detail: ", Tells::With(Other::Error)),
    mark(b':', b"\n  Hint: ", Tells::With(Other::Error)),
    mark(b':', b"\\n  Detail: ", Tells::With(Other::Error)),
    mark(b':', b"\\n  Hint: ", Tells::With(Other::Error)),
    mark(b':', b"\n  Where: ", Tells::Driver),
    mark(b':', b"\\n  Where: ", Tells::Driver),
    mark(b':', b"error returned from database:", Tells::Driver),
    mark(b':', b"pq:", Tells::Driver),
    // Fields of an error that node shows, or pino.
    mark(b':', b"routine: '", Tells::With(Other::Severity)),
    mark(b':', b"routine\":\"", Tells::With(Other::Severity)),
    mark(b':', b"tokio_postgres::error::Error", Tells::Driver),
    mark(b':', b"{'S': '", Tells::Driver),
];

const DOTS: [Mark; 16] = [
    // Postgrex'.
    mark(
        b'.',
        b"\". Please make sure the value you are passing",
        Tells::Driver,
    ),
    mark(b'.', b"Npgsql.NpgsqlException", Tells::Driver),
    mark(b'.', b"Npgsql.PostgresException", Tells::Driver),
    mark(b'.', b"Postgrex.Error", Tells::Driver),
    mark(b'.', b"asyncpg.exceptions.", Tells::Type),
    mark(b'.', b"io.r2dbc.postgresql.", Tells::Type),
    mark(b'.', b"io.vertx.pgclient.", Tells::Type),
    mark(b'.', b"org.postgresql.util.", Tells::Type),
    mark(b'.', b"pg8000.exceptions.", Tells::Type),
    mark(b'.', b"pgconn.", Tells::Type),
    mark(b'.', b"pq.Error", Tells::Driver),
    mark(b'.', b"psycopg.", Tells::Type),
    mark(b'.', b"psycopg.errors.", Tells::Driver),
    mark(b'.', b"psycopg2.", Tells::Type),
    mark(b'.', b"psycopg2.errors.", Tells::Driver),
    mark(b'.', b"sqlalchemy.exc.", Tells::Type),
];

const BRACES: [Mark; 5] = [
    mark(b'{', b"DbError {\n    severity:", Tells::Driver),
    mark(b'{', b"DbError { severity:", Tells::Driver),
    mark(b'{', b"PgDatabaseError {", Tells::Driver),
    mark(b'{', b"PostgresError {", Tells::Driver),
    mark(b'{', b"SqlError {sqlState", Tells::Driver),
];

const PARENTHESES: [Mark; 5] = [
    // pgx'.
    mark(b'(', b"(OID ", Tells::With(Other::Format)),
    mark(b'(', b"(ServerError \"", Tells::Driver),
    mark(b'(', b"Failing row contains (", Tells::Driver),
    // Postgrex'.
    mark(b'(', b"P0001 (raise_exception)", Tells::Driver),
    mark(b'(', b"SqlState(", Tells::Driver),
];

const BRACKETS: [Mark; 14] = [
    mark(b'[', b"SQL [", Tells::With(Other::Pgjdbc)),
    mark(b'[', b"SQL [", Tells::With(Other::Value)),
    mark(b'[', b"SQL grammar [", Tells::With(Other::Value)),
    mark(b'[', b"SQLSTATE[", Tells::With(Other::Connection)),
    mark(b'[', b"SQLSTATE[", Tells::With(Other::Libpq)),
    mark(b'[', b"SQLSTATE[", Tells::With(Other::LibpqsError)),
    mark(b'[', b"[SQL: ", Tells::With(Other::Value)),
    mark(b'[', b"[parameters: ", Tells::With(Other::Sql)),
    // Hibernate's.
    mark(
        b'[',
        b"could not execute batch [",
        Tells::With(Other::Value),
    ),
    mark(
        b'[',
        b"could not execute query [",
        Tells::With(Other::Value),
    ),
    mark(
        b'[',
        b"could not execute statement [",
        Tells::With(Other::Value),
    ),
    mark(b'[', b"could not execute query [ERROR: ", Tells::Driver),
    mark(b'[', b"could not execute statement [ERROR: ", Tells::Driver),
    // pgx'.
    mark(b'[', b"failed to encode args[", Tells::Driver),
];

/// Words of the server's, of libpq's and of drivers', most with a value behind them.
const BLANKS: [Mark; 17] = [
    mark(b' ', b"is out of range for type ", Tells::Driver),
    mark(b' ', b"Batch entry ", Tells::With(Other::Aborted)),
    // Of a name, and of a function.
    mark(b' ', b"\" does not exist", Tells::Wording),
    mark(b' ', b") does not exist", Tells::Wording),
    mark(b' ', b"at or near ", Tells::Wording),
    mark(b' ', b"connection info string", Tells::Driver),
    mark(b' ', b"date/time field value out of range", Tells::Driver),
    mark(b' ', b"invalid connection option \"", Tells::Driver),
    mark(b' ', b"invalid input for query argument $", Tells::Driver),
    mark(b' ', b"invalid input syntax for type ", Tells::Driver),
    mark(b' ', b"invalid input value for enum ", Tells::Driver),
    mark(b' ', b"malformed array literal", Tells::Driver),
    mark(b' ', b"value too long for type ", Tells::Wording),
    mark(b' ', b"violates check constraint", Tells::Wording),
    mark(b' ', b"violates foreign key constraint", Tells::Wording),
    mark(b' ', b"violates not-null constraint", Tells::Wording),
    mark(b' ', b"violates unique constraint", Tells::Wording),
];

/// How drivers begin a DETAIL, before the colon.
const DETAILS: [&[u8]; 2] = [b"DETAIL", b"Detail"];

/// What is found in a text at a glance.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Glance {
    /// A driver's mark.
    is_marked: bool,
    /// The server's words.
    pub(super) is_worded: bool,
    pub(super) has_detail: bool,
    /// The beginning of a key's columns.
    has_key: bool,
    /// It may quote something.
    pub(super) has_quotes: bool,
    /// It may have an address.
    pub(super) has_at: bool,
    /// Bits of what would make it a driver's.
    wanted: u16,
}

impl Glance {
    /// One pass over a text.
    pub(super) fn of(text: &[u8]) -> Self {
        let mut seen = Self::default();
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
            for mark in marks.iter().filter(|mark| mark.is_at(text, at)) {
                seen.note(mark, text, at);
            }
            seen.note_byte(*byte, text, at);
        }
        seen
    }

    fn note(&mut self, mark: &Mark, text: &[u8], at: usize) {
        match mark.tells {
            Tells::Driver => self.is_marked = true,
            Tells::Type => {
                let end = at.saturating_sub(mark.at).saturating_add(mark.word.len());
                self.is_marked |= text.get(end).is_some_and(u8::is_ascii_uppercase);
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

    /// Whether it is a driver's. What is wanted together with a mark is looked for once, however often.
    pub(super) fn is_drivers(&self, text: &[u8]) -> bool {
        self.is_marked || self.has_wanted(text)
    }

    fn has_wanted(&self, text: &[u8]) -> bool {
        let mut others = OTHERS.iter();
        let wants = |other: Other| self.wanted & other.bit() != 0;
        others.any(|(other, word)| wants(*other) && find(text, word).is_some())
            || (wants(Other::Value) && holds_sql(text))
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
        let Mark { word, at, .. } = marks[index];
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
        let byte = marks[index].word[marks[index].at - 1];
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

impl Mark {
    /// Whether it is in a text, its byte in this place.
    #[inline(always)]
    fn is_at(&self, text: &[u8], at: usize) -> bool {
        let before = at.checked_sub(1).and_then(|at| text.get(at));
        // Of most the byte before is another.
        let fits = |place| self.word.get(place) == before;
        self.at.checked_sub(1).is_none_or(fits) && self.is_whole(text, at)
    }

    /// The same, with all of it, and no part of a longer word.
    #[inline(never)]
    fn is_whole(&self, text: &[u8], at: usize) -> bool {
        let begin = at.checked_sub(self.at);
        let Some((before, found)) = begin.and_then(|begin| text.split_at_checked(begin)) else {
            return false;
        };
        let is_word = self.word.first().is_some_and(u8::is_ascii_alphanumeric);
        found.starts_with(self.word) && !(is_word && is_joined(before))
    }
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
