//! One JSON line on the host's log for each denial, would-be denial, and match of a `log` rule.
//!
//! The text in it is redacted; what the client typed never is.

use pg_sql::classify::{Classification, Statement, classify};
use pg_sql::{ClassifyOptions, Comments, LexerOptions, RedactOptions, redact_and_fingerprint};

use crate::catalog::Outcome;
use crate::policy::Client;

/// Bytes of redacted text in a record.
const MAX_TEXT: usize = 2048;
/// Statements and relations that a record names; of more it says `...`.
const MAX_LISTED: usize = 32;
/// Bytes of what the client calls itself.
const MAX_APPLICATION: usize = 256;

/// What a record is about.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Nanoseconds since the Unix epoch.
    pub time: u64,
    /// As metrics name it.
    pub rule: &'a str,
    /// What happened.
    pub outcome: Outcome,
    /// Who.
    pub client: &'a Client,
    /// What, if it is about a statement.
    pub statement: Option<Text<'a>>,
}

/// The text of a statement.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    /// All of it, or as much as is there.
    pub text: &'a [u8],
    /// There was more.
    pub truncated: bool,
    /// How the server reads it.
    pub lexer: LexerOptions,
}

/// A JSON object that is being written.
struct Line(String);

impl Line {
    fn raw(&mut self, name: &str, value: &str) {
        self.0.push_str(if self.0.is_empty() { "{" } else { "," });
        self.0.push_str(&quoted(name));
        self.0.push(':');
        self.0.push_str(value);
    }

    fn put(&mut self, name: &str, value: &str) {
        self.raw(name, &quoted(value));
    }

    /// Left out where it is empty.
    fn put_some(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.put(name, value);
        }
    }

    fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// A JSON string. Writing to memory cannot fail.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

/// The line.
#[must_use]
pub fn line(record: &Record<'_>) -> String {
    let client = record.client;
    let source = client.source.map(|source| source.to_string());
    let mut line = Line(String::new());
    line.put("time", &rfc3339(record.time));
    line.put("event", "pgmesh.policy");
    line.put("rule", record.rule);
    line.put("action", record.outcome.action());
    line.put("mode", record.outcome.mode());
    line.put_some("principal", client.principal.as_deref().unwrap_or_default());
    line.put_some("source", source.as_deref().unwrap_or_default());
    line.put_some("user", &client.user);
    line.put_some("database", &client.database);
    let application = client.application.as_str();
    let shown = application.floor_char_boundary(MAX_APPLICATION);
    line.put_some("application", application.get(..shown).unwrap_or_default());
    if let Some(statement) = record.statement {
        describe(statement, &mut line);
    }
    line.end()
}

fn describe(statement: Text<'_>, line: &mut Line) {
    let Text {
        text,
        truncated,
        lexer,
    } = statement;
    let options = RedactOptions {
        lexer,
        comments: Comments::Drop,
    };
    let (redacted, fingerprint) = redact_and_fingerprint(text, &options);
    let seen = classify(text, ClassifyOptions { lexer, truncated });
    let each = |word: fn(&Statement) -> &'static str| {
        listed(seen.statements.iter().map(word), "...").join("; ")
    };
    line.put("command", &each(|one| one.command.as_str()));
    line.put("class", &each(|one| one.class.as_str()));
    line.raw("relations", &format!("[{}]", relations(&seen)));
    line.raw("complete", if seen.complete { "true" } else { "false" });
    line.put("fingerprint", &fingerprint.to_string());
    line.put("query", &cut(&redacted.text));
    if let Some(parent) = pg_sql::sqlcommenter::tags(text, &lexer).trace_parent() {
        let id = u128::from_be_bytes(parent.trace_id);
        line.put("trace_id", &format!("{id:032x}"));
    }
}

fn relations(seen: &Classification) -> String {
    let relations = seen
        .statements
        .iter()
        .flat_map(|statement| &statement.relations);
    let names = relations.map(|relation| quoted(&relation.name.to_string()));
    listed(names, quoted("...")).join(",")
}

/// The first of them, and `more` if there are more.
fn listed<T>(all: impl Iterator<Item = T>, more: T) -> Vec<T> {
    let mut listed: Vec<T> = all.take(MAX_LISTED.saturating_add(1)).collect();
    if let Some(last) = listed.get_mut(MAX_LISTED) {
        *last = more;
    }
    listed
}

fn cut(text: &[u8]) -> String {
    let text = text.get(..MAX_TEXT).unwrap_or(text);
    String::from_utf8_lossy(text).into_owned()
}

/// A moment in UTC, to the millisecond.
fn rfc3339(nanoseconds: u64) -> String {
    let milliseconds = nanoseconds / 1_000_000;
    let (seconds, milliseconds) = (milliseconds / 1000, milliseconds % 1000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z")
}

/// The date so many days after 1970-01-01, by the Gregorian calendar.
fn civil(mut days: u64) -> (u64, u64, u64) {
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970_u64;
    loop {
        let length = if leap(year) { 366 } else { 365 };
        match days.checked_sub(length) {
            Some(left) => days = left,
            None => break,
        }
        year = year.saturating_add(1);
    }
    let february = if leap(year) { 29 } else { 28 };
    let mut month = 1_u64;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        match days.checked_sub(length) {
            Some(left) => days = left,
            None => break,
        }
        month = month.saturating_add(1);
    }
    (year, month, days.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_printed_in_utc() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_795_305_599, "2026-11-21T23:59:59.000Z"),
        ] {
            assert_eq!(rfc3339(seconds * 1_000_000_000), expected);
        }
    }

    #[test]
    fn a_record_is_short_whatever_the_client_sends() {
        let client = Client {
            application: "\u{e9}".repeat(5_000),
            ..Client::default()
        };
        let text = "select * from a, b;".repeat(10_000);
        let more: Vec<_> = (0..500).map(|number| format!("t{number}")).collect();
        let text = format!("select * from {};{text}", more.join(","));
        let statement = Text {
            text: text.as_bytes(),
            truncated: false,
            lexer: LexerOptions::default(),
        };
        let line = line(&Record {
            time: 0,
            rule: "a",
            outcome: Outcome::Denied,
            client: &client,
            statement: Some(statement),
        });
        assert!(line.len() < 4096, "{}", line.len());
        assert!(line.contains(r#""t31","..."]"#), "{line}");
        assert!(line.contains(r#"SELECT; ...","#), "{line}");
    }

    #[test]
    fn a_record_has_no_value_that_a_user_typed() {
        let client = Client {
            user: "app".to_owned(),
            ..Client::default()
        };
        let record = Record {
            time: 0,
            rule: "no drop",
            outcome: Outcome::Denied,
            client: &client,
            statement: Some(Text {
                text: b"drop table a.b; alter role x password 'geheim'",
                truncated: false,
                lexer: LexerOptions::default(),
            }),
        };
        let line = line(&record);
        assert!(!line.contains("geheim"), "{line}");
        for part in [
            r#""rule":"no drop""#,
            r#""action":"deny""#,
            r#""user":"app""#,
            r#""command":"DROP TABLE; ALTER ROLE""#,
            r#""relations":["a.b"]"#,
        ] {
            assert!(line.contains(part), "{part} {line}");
        }
        assert_eq!(line.lines().count(), 1);
    }
}
