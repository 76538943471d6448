//! What may be seen of an error's text.
//!
//! An error of PostgreSQL reaches a span through a driver, an object mapper and an instrumentation,
//! each of which may quote the statement, its parameters, or the row that was refused. What is known to
//! be the server's own wording keeps all but its values (`pg-log` has the patterns); of everything else
//! nothing is seen. Of a stack trace the frames and the types of the errors stay (`stacktrace`).

pub(crate) mod drivers;
mod marks;
mod parting;
mod stacktrace;

use pg_log::{
    Event, Faults, Field, Fields, Format, Level, Memory, Reporter, Sensitivity, Severity, Sink,
    Text,
};

use crate::suspects::holds_sql;
use crate::traces::sqlstate;

/// Places in a line at which the server's own text is looked for.
const ATTEMPTS: usize = 8;
/// Lines that are read of a text.
const LINES: usize = 256;

/// Reads and redacts texts of errors.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    reporter: Reporter,
}

impl Texts {
    /// A message without its data: the server's primary message, or `?`.
    pub(crate) fn message(&self, text: &[u8]) -> String {
        let primary = self.primary(text).map(|primary| self.ended(primary));
        let seen = primary.map(|primary| self.report(primary));
        // A statement may follow with nothing between.
        seen.filter(|seen| !holds_sql(seen.as_bytes()))
            .unwrap_or_else(|| String::from("?"))
    }

    /// A message of the server's without what others write behind it, where it ends with a value that
    /// goes as far as the text does: a type, a name, a reason.
    fn ended<'t>(&self, message: &'t [u8]) -> &'t [u8] {
        let found = self.reporter.classes().of_message(message);
        let last = found.and_then(|found| found.captures(message).last());
        let Some((from, to)) = last.map(|last| last.span) else {
            return message;
        };
        let value = message.get(from..).unwrap_or_default();
        match end_of_value(value).and_then(|end| from.checked_add(end)) {
            Some(end) if to == message.len() => message.get(..end).unwrap_or(message),
            _ => message,
        }
    }

    /// The server's primary message, wherever a driver puts it.
    fn primary<'t>(&self, text: &'t [u8]) -> Option<&'t [u8]> {
        let mut starts = all_starts(text);
        starts.find(|start| self.is_servers(start))
    }

    fn report(&self, message: &[u8]) -> String {
        self.reported(Field::Message, Severity::Error, message)
    }

    /// What somebody else wrote about a statement: as the server's message where it is one, else without
    /// what stands in quotes.
    pub(crate) fn prose(&self, text: &[u8]) -> String {
        // What is said at this level is the server's own.
        self.reported(Field::Message, Severity::Fatal, text)
    }

    /// Whether a text is one of the server's messages.
    #[inline(never)]
    pub(crate) fn is_servers(&self, text: &[u8]) -> bool {
        self.reporter.classes().of_message(text).is_some()
    }

    /// Whether there is data in one of the server's messages.
    #[inline(never)]
    fn has_data(&self, message: &[u8]) -> bool {
        let found = self.reporter.classes().of_message(message);
        found.is_some_and(|found| {
            let mut captures = found.captures(message);
            captures.any(|capture| capture.value.sensitivity == Sensitivity::Data)
        })
    }

    /// A DETAIL, HINT or CONTEXT that `pg-log` has named so, without its data.
    pub(crate) fn companion(&self, field: Field, text: &[u8]) -> String {
        self.reported(field, Severity::Fatal, text)
    }

    fn reported(&self, field: Field, severity: Severity, text: &[u8]) -> String {
        let mut fields = Fields::default();
        fields.set(field, Text::plain(text));
        let event = Event {
            format: Format::Stderr,
            level: Level::Severity(severity),
            fields,
            names_user: false,
            faults: Faults::default(),
        };
        let mut seen = Seen(field, String::from("?"));
        self.reporter
            .report(&event, &mut Memory::default(), &mut seen);
        seen.1
    }

    /// A stack trace without anything but frames and types.
    pub(crate) fn stacktrace(&self, text: &[u8]) -> String {
        let mut out = String::new();
        for line in text.split(|byte| *byte == b'\n').take(LINES) {
            let Ok(line) = std::str::from_utf8(line) else {
                continue;
            };
            if stacktrace::is_frame(line) {
                out.push_str(line);
                out.push('\n');
            } else if let Some((kind, said)) = stacktrace::error_line(line) {
                out.push_str(kind);
                out.push_str(": ");
                out.push_str(&self.message(said.as_bytes()));
                out.push('\n');
            }
        }
        out
    }

    /// The SQLSTATE that a text says, in so many letters or by the server's wording.
    pub(crate) fn sqlstate(&self, text: &[u8]) -> Option<[u8; 5]> {
        let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        written_sqlstate(line).or_else(|| {
            let found = self.reporter.classes().of_message(self.primary(text)?)?;
            match found.class.sqlstates {
                [code] => code.as_bytes().try_into().ok(),
                _ => None,
            }
        })
    }
}

/// How drivers write an SQLSTATE: pgx behind the message, Npgsql before it, node-postgres'
/// instrumentation in words.
const WRITTEN: [(&[u8], &[u8]); 4] = [
    (b"(SQLSTATE ", b")"),
    (b"SQLSTATE: ", b""),
    (b"SQLState: ", b""),
    (b"(code: ", b")"),
];

fn written_sqlstate(line: &[u8]) -> Option<[u8; 5]> {
    let npgsql = line.split_at_checked(5);
    if let Some((code, rest)) = npgsql
        && rest.starts_with(b": ")
        && let Some(code) = sqlstate(code)
    {
        return Some(code);
    }
    WRITTEN.iter().find_map(|(before, behind)| {
        let found = line
            .windows(before.len())
            .position(|part| part == *before)?;
        let rest = line.get(found.checked_add(before.len())?..)?;
        let (code, rest) = rest.split_at_checked(5)?;
        rest.starts_with(behind).then(|| sqlstate(code))?
    })
}

/// Where in a text the server's message may begin.
fn all_starts(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = text.split(|byte| *byte == b'\n');
    lines.take(LINES).flat_map(starts)
}

/// Where in a line the server's message may begin: at its beginning, behind a `: `, a `) ` or a `- `. What
/// drivers write behind it is cut off.
fn starts(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let line = line.trim_ascii();
    let behind = |mark: &'static [u8]| line.windows(mark.len()).position(|part| part == mark);
    let end = behind(b" (SQLSTATE ").unwrap_or(line.len());
    let line = line.get(..end).unwrap_or(line);
    let marks = line.windows(2).enumerate();
    let behind = marks.filter(|(_, mark)| matches!(*mark, b": " | b") " | b"- "));
    let places = std::iter::once(0).chain(behind.map(|(at, _)| at.saturating_add(2)));
    places
        .take(ATTEMPTS)
        .filter_map(move |at| Some(line.get(at..)?.trim_ascii()))
}

/// Where what others write begins, behind a value with which the server ends a message: an escaped end of
/// a line, the end of a string or of what is in brackets, or a mapper's words.
fn end_of_value(value: &[u8]) -> Option<usize> {
    const WORDS: [&[u8]; 2] = [b" (Connection: ", b" (SQL: "];
    (0..value.len()).find(|at| {
        let rest = value.get(*at..).unwrap_or_default();
        matches!(
            rest,
            [b'\\', ..]
                | [b'"' | b'\'', b',' | b' ' | b')' | b']' | b'}', ..]
                | [b' ', b'[' | b'{', ..]
                | [b']' | b';', b' ', ..]
        ) || WORDS.iter().any(|word| rest.starts_with(word))
    })
}

/// Whether a text is the class of an error, as `error.type` has it: a type's name, or a code.
pub(crate) fn is_class(text: &[u8]) -> bool {
    const LONGEST_CODE: usize = 5;
    let named = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.$:/*&<>()[]-,+`#@".contains(byte);
    let begins = |byte: &u8| byte.is_ascii_alphabetic() || b"_*&(<".contains(byte);
    let is_code = text.len() <= LONGEST_CODE && text.iter().all(u8::is_ascii_alphanumeric);
    is_code || (text.iter().all(named) && text.first().is_some_and(begins))
}

/// The text of one field of a report.
struct Seen(Field, String);

impl Sink for Seen {
    fn text(&mut self, name: &str, value: &[u8]) {
        if name == self.0.name() {
            self.1 = String::from_utf8_lossy(value).into_owned();
        }
    }

    fn number(&mut self, _: &str, _: &[u8]) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVERS: &str = "duplicate key value violates unique constraint \"payments_pkey\"";

    #[test]
    fn of_a_drivers_text_the_servers_message_is_seen() {
        let texts = Texts::default();
        for text in [
            format!("{SERVERS}\nDETAIL:  Key (card)=(4111) already exists."),
            format!("ERROR: {SERVERS}\n  Detail: Key (card)=(4111) already exists."),
            format!("ERROR: {SERVERS} (SQLSTATE 23505)"),
            format!("23505: {SERVERS}"),
            format!("(psycopg.errors.UniqueViolation) {SERVERS}\n[SQL: INSERT 4111]"),
            format!("org.postgresql.util.PSQLException: ERROR: {SERVERS}"),
            format!("insert 4111 failed: {SERVERS}"),
        ] {
            assert_eq!(texts.message(text.as_bytes()), SERVERS, "{text}");
            assert_eq!(texts.sqlstate(text.as_bytes()), Some(*b"23505"), "{text}");
        }
    }

    #[test]
    fn of_anything_else_nothing_is_seen() {
        let texts = Texts::default();
        for text in [
            "card 4111 refused",
            "",
            "[parameters: ('4111',)]",
            "a: b: c) d",
        ] {
            assert_eq!(texts.message(text.as_bytes()), "?");
            assert_eq!(texts.sqlstate(text.as_bytes()), None);
        }
        let told = b"PostgreSQL error of type 'error' occurred (code: 22P02)";
        assert_eq!(texts.sqlstate(told), Some(*b"22P02"));
    }

    #[test]
    fn what_stands_behind_the_servers_words_is_not_seen() {
        let texts = Texts::default();
        for message in [
            "value too long for type character varying(3)",
            "permission denied for table t",
            "operator does not exist: point + text",
            "aggregate functions are not allowed in WHERE",
            "value \"1\" is out of range for type integer",
        ] {
            for behind in [
                r#"\n[SQL: INSERT INTO t VALUES ('zwei4111')]"}"#,
                r#"\nDETAIL:  Key (card)=(zwei4111) already exists.","x":1}"#,
                r#"\n  Where: zwei4111"#,
                r#"","sql":"INSERT INTO t VALUES (zwei4111)"}"#,
                r#"", "params": ["zwei4111"]}"#,
                "', 'params': ['zwei4111']}",
                r#"" card=zwei4111"#,
                r#"", detail: Some("zwei4111") }"#,
                " [SQL: INSERT INTO t VALUES ('zwei4111')]",
                " (Connection: pgsql, SQL: insert into t values (zwei4111))",
                " (SQL: insert into t values (zwei4111))",
                "] [insert into t values (zwei4111)]",
                "; nested exception is x: zwei4111",
                " : INSERT INTO t VALUES (zwei4111, 1)",
                ": INSERT INTO t VALUES ('zwei4111')",
            ] {
                for before in ["x: ", "{\"error\":\"(a.B) "] {
                    let seen = texts.message(format!("{before}{message}{behind}").as_bytes());
                    assert!(!seen.contains("zwei4111"), "{behind}: {seen}");
                }
            }
            let seen = texts.message(message.as_bytes());
            assert_eq!(seen.replace('?', "1"), message);
        }
    }

    #[test]
    fn a_message_keeps_no_value() {
        let texts = Texts::default();
        let text = b"invalid input syntax for type integer: \"hunter2\"";
        let seen = texts.message(text);
        assert!(seen.starts_with("invalid input syntax"), "{seen}");
        assert!(!seen.contains("hunter2"));
    }

    #[test]
    fn a_stack_trace_keeps_its_frames() {
        let texts = Texts::default();
        let python = "Traceback (most recent call last):\n  File \"/a/b.py\", line 7, in run\n    \
            cur.execute(\"INSERT '4111'\")\npsycopg.errors.UniqueViolation: key 4111\nDETAIL: 4111\n";
        assert_eq!(
            texts.stacktrace(python.as_bytes()),
            "Traceback (most recent call last):\n  File \"/a/b.py\", line 7, in run\n\
             psycopg.errors.UniqueViolation: ?\n"
        );
        let java = format!(
            "org.postgresql.util.PSQLException: ERROR: {SERVERS}\n  Detail: Key (card)=(4111)\n\
             \tat org.postgresql.A.b(A.java:1)\nCaused by: java.io.IOException: 4111\n at '4111'\n\
             \tat 4111\n"
        );
        assert_eq!(
            texts.stacktrace(java.as_bytes()),
            format!(
                "org.postgresql.util.PSQLException: {SERVERS}\n\tat org.postgresql.A.b(A.java:1)\n\
                 java.io.IOException: ?\n"
            )
        );
        let go = "main.run(...)\n\t/src/main.go:12 +0x1d\n4111\n";
        assert_eq!(texts.stacktrace(go.as_bytes()), "\t/src/main.go:12 +0x1d\n");
    }
}
