//! What must not leave a module: data in messages, and in what stands below them.
//!
//! A text whose pattern is known loses the values that the table marks; its SQL goes through `pg-sql`.
//! Of any other text of the server's all goes that may be data (`unknown`), and all of one that a
//! function of a user's may have written (`author`).

use std::borrow::Cow;
use std::cell::RefCell;

use pg_sql::{Comments, RedactOptions, Redacted};

use crate::author::{Author, is_servers_context};
use crate::classes::{Classes, Fuel, Recognized, Sensitivity, Value};
use crate::field::Field;
use crate::plan::Plan;
use crate::scan::{before, behind, find_byte};
use crate::statements::Statements;
use crate::text::{Form, Text};
use crate::unknown;

/// Lines of a companion whose values are told: a name comes once.
const MOST_LINES: usize = 64;

/// How much is taken out.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Redaction {
    /// All data: values in messages, keys, rows and parameters, literals of statements, and whatever
    /// stands in quotes where the text is not known.
    #[default]
    Strict,
    /// Literals of statements and values of parameters only, and passwords wherever they stand.
    Statements,
    /// Nothing.
    Off,
}

/// What else is taken out, on request.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Names {
    /// Names of roles.
    pub users: bool,
    /// Names and addresses of machines.
    pub hosts: bool,
}

/// Takes data out of texts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Redactor<'c> {
    pub(crate) classes: &'c Classes,
    pub(crate) redaction: Redaction,
    pub(crate) names: Names,
    pub(crate) statements: &'c RefCell<Statements>,
    /// The plan in the text at hand, if it was read.
    pub(crate) plan: Option<&'c Plan<'c>>,
}

impl<'c> Redactor<'c> {
    /// Whether a value of this sensitivity goes as a whole.
    pub(crate) fn hides(&self, sensitivity: Sensitivity, name: &str) -> bool {
        match sensitivity {
            Sensitivity::Data => match self.redaction {
                Redaction::Strict => true,
                // An error of another session's has its statement in it, and a token may be a literal.
                Redaction::Statements => {
                    matches!(name, "db.query.parameters" | "cron.error" | "near")
                }
                Redaction::Off => false,
            },
            Sensitivity::User => self.names.users,
            Sensitivity::Host => self.names.hosts,
            _ => false,
        }
    }

    /// Whether nothing is taken out.
    fn takes_nothing(&self) -> bool {
        self.redaction == Redaction::Off && self.names == Names::default()
    }

    /// Whether names that are hidden may stand in a text of no pattern.
    fn hides_names(&self) -> bool {
        self.names != Names::default()
    }

    /// Whether a text whose pattern is known may be seen as it is.
    pub(crate) fn keeps(&self, text: &[u8], found: &Recognized<'_>, several_lines: bool) -> bool {
        if found.is_rewritten() {
            return false;
        }
        if found.is_harmless() && !several_lines && !self.hides_names() {
            return true;
        }
        found.captures(text).all(|capture| {
            let Value {
                sensitivity, name, ..
            } = *capture.value;
            let several = sensitivity == Sensitivity::Lines
                || (several_lines && capture.text.contains(&b'\n'));
            let lines = self.redaction == Redaction::Strict && several;
            !lines && !self.hides(sensitivity, name)
        })
    }

    /// A text without the values of its pattern.
    pub(crate) fn known(&self, text: &[u8], found: &Recognized<'_>, out: &mut Vec<u8>) {
        let mut at = 0_usize;
        for capture in found.captures(text) {
            let (from, to) = capture.span;
            out.extend_from_slice(text.get(at..from).unwrap_or_default());
            self.value(
                capture.value.sensitivity,
                capture.value.name,
                capture.text,
                out,
            );
            at = to;
        }
        out.extend_from_slice(text.get(at..found.end()).unwrap_or_default());
    }

    /// One value as it may be seen.
    pub(crate) fn value(
        &self,
        sensitivity: Sensitivity,
        name: &str,
        text: &[u8],
        out: &mut Vec<u8>,
    ) {
        let strict = self.redaction == Redaction::Strict;
        match sensitivity {
            Sensitivity::Sql => self.sql(name, text, out),
            _ if text.is_empty() => {}
            _ if self.hides(sensitivity, name) => out.push(b'?'),
            Sensitivity::Prose if strict || self.hides_names() => {
                unknown::write(first_line(text), unknown::QUOTES_ONLY, out);
            }
            _ if !strict => out.extend_from_slice(text),
            Sensitivity::Lines => self.report_lines(text, out),
            Sensitivity::Expression => out.extend_from_slice(&statement(text)),
            Sensitivity::Path if !is_the_servers_path(text) => out.push(b'?'),
            _ => {
                let line = first_line(text);
                out.extend_from_slice(line);
                if line.len() < text.len() {
                    out.extend_from_slice(b"\n?");
                }
            }
        }
    }

    /// The lines of a report that have a pattern; others may be another process' that came in between.
    fn report_lines(&self, text: &[u8], out: &mut Vec<u8>) {
        for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
            if number > 0 {
                out.push(b'\n');
            }
            if line.is_empty() || self.classes.report(line).is_some() {
                out.extend_from_slice(line);
            } else {
                out.push(b'?');
            }
        }
    }

    /// SQL as it may be seen.
    pub(crate) fn sql(&self, name: &str, text: &[u8], out: &mut Vec<u8>) {
        if self.redaction == Redaction::Off {
            out.extend_from_slice(text);
        } else if name == "plan" {
            match self.plan {
                Some(plan) => plan.redact(out),
                None => Plan::of(text).redact(out),
            }
        } else if name == "pgaudit.statement" {
            self.audited(text, out);
        } else {
            self.statement(text, out);
        }
    }

    /// A statement without its data, of a shape that is known if it can be.
    fn statement(&self, text: &[u8], out: &mut Vec<u8>) {
        let mut statements = self.statements.try_borrow_mut();
        match statements.as_mut().ok().and_then(|known| known.say(text)) {
            Some(said) => out.extend_from_slice(&said.redacted),
            None => out.extend_from_slice(&statement(text)),
        }
    }

    /// The end of a pgaudit line: `statement,parameters[,rows]`, the first two quoted like csvlog's
    /// columns if need be.
    fn audited(&self, text: &[u8], out: &mut Vec<u8>) {
        let (statement, rest) = column(text);
        let inside = statement
            .strip_prefix(b"\"")
            .map(|inside| inside.strip_suffix(b"\"").unwrap_or(inside));
        if let Some(inside) = inside {
            out.push(b'"');
            doubled(
                &self::statement(&Text::new(inside, Form::Csv).decode()),
                out,
            );
            out.push(b'"');
        } else if statement == b"<not logged>" || statement == b"<previously logged>" {
            out.extend_from_slice(statement);
        } else {
            out.extend_from_slice(&self::statement(statement));
        }
        let Some(rest) = rest.strip_prefix(b",") else {
            return;
        };
        let (parameters, rest) = column(rest);
        out.push(b',');
        if parameters.is_empty() || parameters == b"<not logged>" || parameters == b"<none>" {
            out.extend_from_slice(parameters);
        } else {
            out.push(b'?');
        }
        // Rows, since pgaudit 1.7; a name with commas in it would have shifted all columns.
        let rows = rest.strip_prefix(b",").unwrap_or_default();
        if rows.iter().all(u8::is_ascii_digit) {
            out.extend_from_slice(rest);
        }
    }

    /// A message, of a known pattern or not.
    pub(crate) fn message(
        &self,
        text: &[u8],
        author: Author,
        found: Option<&Recognized<'_>>,
        out: &mut Vec<u8>,
    ) {
        if self.takes_nothing() {
            out.extend_from_slice(text);
        } else if let Some(found) = found {
            self.known(text, found, out);
        } else if self.redaction != Redaction::Strict {
            self.with_quotes(text, out);
        } else if author == Author::Server {
            let line = first_line(text);
            unknown::write(line, unknown::MESSAGE, out);
            if line.len() < text.trim_ascii_end().len() {
                out.extend_from_slice(b"\n?");
            }
        } else {
            out.push(b'?');
        }
    }

    /// A text of no pattern where data may be seen: names that may not stand in its quotes.
    fn with_quotes(&self, text: &[u8], out: &mut Vec<u8>) {
        if self.hides_names() {
            unknown::write(text, unknown::QUOTES_ONLY, out);
        } else {
            out.extend_from_slice(text);
        }
    }

    /// A DETAIL, HINT or CONTEXT: line by line, each by its own pattern. Returns the first of those that
    /// have one, and where they stand.
    pub(crate) fn companion(
        &self,
        field: Field,
        text: &[u8],
        author: Author,
        out: &mut Vec<u8>,
    ) -> Vec<(usize, Recognized<'c>)> {
        let mut lines = Vec::new();
        if self.redaction != Redaction::Off && (author == Author::Function || is_tree(text)) {
            out.push(b'?');
            return lines;
        }
        let mut fuel = Fuel::of(text);
        let mut at = 0_usize;
        // Lines that are not known continue the value of the line before them.
        let mut open = false;
        while at < text.len() {
            let rest = behind(text, at);
            let (end, known) = self.line(rest, &mut fuel);
            let line = before(rest, end);
            let begin = out.len();
            open = match &known {
                Some(found) => self.known_line(line, found, out),
                None if self.redaction != Redaction::Strict => {
                    self.with_quotes(line, out);
                    false
                }
                None => open || self.unknown_line(field, line, author, out),
            };
            if end < rest.len() && (out.len() > begin || line.is_empty()) {
                out.push(b'\n');
            }
            if let Some(known) = known.filter(|_| lines.len() < MOST_LINES) {
                lines.push((at, known));
            }
            at = at.saturating_add(end).saturating_add(1);
        }
        lines
    }

    /// A line of a companion that has a pattern. Returns whether data is in it, which may go on behind it.
    fn known_line(&self, line: &[u8], found: &Recognized<'_>, out: &mut Vec<u8>) -> bool {
        self.open_ended(line, found, out);
        let mut captures = found.captures(line);
        captures.any(|capture| capture.value.sensitivity == Sensitivity::Data)
    }

    /// A line of a companion that has no pattern. Returns whether those behind it go on with it: those
    /// of a CONTEXT stand for themselves, those of a DETAIL do not.
    fn unknown_line(&self, field: Field, line: &[u8], author: Author, out: &mut Vec<u8>) -> bool {
        let context = field == Field::Context;
        if author != Author::Server || (context && !is_servers_context(line)) {
            out.push(b'?');
            return true;
        }
        let closed = unknown::write(line, unknown::COMPANION, out);
        !closed || !context
    }

    /// The length of the first line, with those that continue its last value, and what it is.
    fn line(&self, text: &[u8], fuel: &mut Fuel) -> (usize, Option<Recognized<'c>>) {
        let Some(found) = self.classes.next_companion(text, fuel) else {
            return (find_byte(text, b'\n').unwrap_or(text.len()), None);
        };
        let mut end = found.end();
        let last = found.captures(text).last();
        let open = last.is_some_and(|last| {
            let value = last.value;
            last.span.1 == found.end()
                && matches!(value.sensitivity, Sensitivity::Sql | Sensitivity::Data)
        });
        let is_quoted = last.is_some_and(|last| {
            last.value.sensitivity == Sensitivity::Sql || last.text.starts_with(b"$")
        });
        let quotes_oddly = |text: &[u8]| is_quoted && !quotes(text).is_multiple_of(2);
        let mut in_literal = last.is_some_and(|last| quotes_oddly(last.text));
        while open && end < text.len() {
            let next = behind(text, end.saturating_add(1));
            // In a literal, a line that looks like one of the server's is its text.
            if !in_literal && self.classes.next_companion(next, fuel).is_some() {
                break;
            }
            let length = find_byte(next, b'\n').unwrap_or(next.len());
            in_literal ^= quotes_oddly(before(next, length));
            end = end.saturating_add(1).saturating_add(length);
        }
        (end, Some(found))
    }

    /// A line of a known pattern whose last value goes on to the end of `text`.
    fn open_ended(&self, text: &[u8], found: &Recognized<'_>, out: &mut Vec<u8>) {
        if found.end() >= text.len() {
            self.known(text, found, out);
            return;
        }
        let Some(last) = found.captures(text).last() else {
            return;
        };
        let from = last.span.0;
        let mut at = 0_usize;
        for capture in found.captures(text) {
            out.extend_from_slice(text.get(at..capture.span.0).unwrap_or_default());
            let value = if capture.span.0 == from {
                behind(text, from)
            } else {
                capture.text
            };
            self.value(capture.value.sensitivity, capture.value.name, value, out);
            at = capture.span.1;
        }
    }
}

/// Whether a file is one of the server's own: of the data directory or of the installation. Statements
/// name others.
fn is_the_servers_path(path: &[u8]) -> bool {
    [
        b"base/".as_slice(),
        b"global/",
        b"pg_",
        b"/usr/",
        b"postmaster.",
    ]
    .iter()
    .any(|begin| path.starts_with(begin))
}

/// How many quotes of literals there are: an odd number leaves one open.
fn quotes(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte == b'\'').count()
}

/// A name of the server's or the schema's has one line; what follows came from elsewhere.
pub(crate) fn first_line(text: &[u8]) -> &[u8] {
    before(text, find_byte(text, b'\n').unwrap_or(text.len()))
}

/// A statement without its data and comments, and how much of it could be read.
pub(crate) fn sql(text: &[u8]) -> Redacted {
    let options = RedactOptions {
        comments: Comments::Drop,
        ..RedactOptions::default()
    };
    pg_sql::redact(text, &options)
}

/// A statement without its data and comments.
pub(crate) fn statement(text: &[u8]) -> Vec<u8> {
    sql(text).text
}

/// The first column of a row, quotes and all, and what follows it.
fn column(text: &[u8]) -> (&[u8], &[u8]) {
    let mut end = 0_usize;
    if text.starts_with(b"\"") {
        end = 1;
        loop {
            let Some(quote) = find_byte(behind(text, end), b'"') else {
                return (text, b"");
            };
            end = end.saturating_add(quote).saturating_add(1);
            if text.get(end) != Some(&b'"') {
                break;
            }
            end = end.saturating_add(1);
        }
    } else {
        end = find_byte(text, b',').unwrap_or(text.len()).max(end);
    }
    (before(text, end), behind(text, end))
}

/// The columns of a statement and of its parameters in a line of pgaudit's.
pub(crate) const AUDITED_STATEMENT: usize = 7;
pub(crate) const AUDITED_PARAMETER: usize = 8;

/// A column of a line of pgaudit's, without its quotes; `None` if it says that there is none.
pub(crate) fn audit_column(message: &[u8], number: usize) -> Option<Cow<'_, [u8]>> {
    let mut rest = message.strip_prefix(b"AUDIT: ")?;
    for _ in 0..number {
        rest = column(rest).1.strip_prefix(b",")?;
    }
    let (text, _) = column(rest);
    match text {
        b"" | b"<none>" | b"<not logged>" | b"<previously logged>" => None,
        _ => Some(match text.strip_prefix(b"\"") {
            Some(inside) => {
                let inside = inside.strip_suffix(b"\"").unwrap_or(inside);
                Text::new(inside, Form::Csv).decode()
            }
            None => Cow::Borrowed(text),
        }),
    }
}

/// A text as the inside of a quoted column.
fn doubled(text: &[u8], out: &mut Vec<u8>) {
    for (number, part) in text.split(|byte| *byte == b'"').enumerate() {
        if number > 0 {
            out.extend_from_slice(b"\"\"");
        }
        out.extend_from_slice(part);
    }
}

/// Whether a DETAIL is what `debug_print_parse` and its like write: a tree of nodes, with constants as
/// bytes in decimal (`outfuncs.c`).
fn is_tree(text: &[u8]) -> bool {
    let tree = text.trim_ascii_start();
    let tree = tree.strip_prefix(b"(").unwrap_or(tree).trim_ascii_start();
    let name = tree.strip_prefix(b"{").unwrap_or_default();
    name.first().is_some_and(u8::is_ascii_uppercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn companion(field: Field, text: &str) -> String {
        let classes = Classes::new();
        let redactor = Redactor {
            classes: &classes,
            redaction: Redaction::Strict,
            names: Names::default(),
            statements: &RefCell::default(),
            plan: None,
        };
        let mut out = Vec::new();
        redactor.companion(field, text.as_bytes(), Author::Server, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn companions_keep_what_is_the_schemas_and_lose_what_is_the_users() {
        for (text, expected) in [
            (
                "Key (email)=(a) b) already exists.",
                "Key (email)=(?) already exists.",
            ),
            (
                "Failing row contains (1, x\ny).",
                "Failing row contains (?).",
            ),
            (
                "Process 1 waits for ShareLock on transaction 5; blocked by process 2.\nProcess 1: UPDATE t\nSET a = 'x'\nProcess 2: SELECT 7",
                "Process 1 waits for ShareLock on transaction 5; blocked by process 2.\nProcess 1: UPDATE t\nSET a = ?\nProcess 2: SELECT ?",
            ),
            ("parameters: $1 = 'a\nb', $2 = '7'", "parameters: ?"),
            (
                "SQL statement \"SELECT 'a'\n FROM \"T\"\"\nPL/pgSQL function f(integer) line 3 at EXECUTE",
                "SQL statement \"SELECT ?\n FROM \"T\"\"\nPL/pgSQL function f(integer) line 3 at EXECUTE",
            ),
            (
                "COPY t, line 1, column a: \"abc\"",
                "COPY t, line 1, column a: \"?\"",
            ),
        ] {
            assert_eq!(companion(Field::Context, text), expected);
        }
        let translated = "Schlüssel »(a)=(x)« existiert bereits.";
        let expected = "Schlüssel »?« existiert bereits.";
        assert_eq!(companion(Field::Detail, translated), expected);
        // A function may have written a CONTEXT that is not PL/pgSQL's.
        assert_eq!(companion(Field::Context, translated), "?");
    }
}
