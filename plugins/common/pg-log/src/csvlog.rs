//! `log_destination = csvlog`: one row per entry, newlines and all inside quotes.
//!
//! Source: `write_csvlog` of `src/backend/utils/error/csvlog.c` (`elog.c` before 15) and the
//! documentation (19.8.4). 23 columns up to PostgreSQL 12, 24 in 13, 26 since 14.

use crate::event::{Event, Faults, Format, Level};
use crate::field::{Field, Fields};
use crate::scan::{before, behind, find_byte};
use crate::severity::Severity;
use crate::stderr::set_location;
use crate::text::{Form, Text};
use crate::time;

/// What a column holds.
#[derive(Clone, Copy)]
enum Column {
    Is(Field),
    /// `host:port`, or `[local]`.
    Connection,
    Severity,
    Location,
}

const COLUMNS: [Column; 26] = [
    Column::Is(Field::LogTime),
    Column::Is(Field::UserName),
    Column::Is(Field::DatabaseName),
    Column::Is(Field::ProcessId),
    Column::Connection,
    Column::Is(Field::SessionId),
    Column::Is(Field::SessionLine),
    Column::Is(Field::CommandTag),
    Column::Is(Field::SessionStart),
    Column::Is(Field::VirtualTransactionId),
    Column::Is(Field::TransactionId),
    Column::Severity,
    Column::Is(Field::Sqlstate),
    Column::Is(Field::Message),
    Column::Is(Field::Detail),
    Column::Is(Field::Hint),
    Column::Is(Field::InternalQuery),
    Column::Is(Field::InternalPosition),
    Column::Is(Field::Context),
    Column::Is(Field::Statement),
    Column::Is(Field::Position),
    Column::Location,
    Column::Is(Field::Application),
    Column::Is(Field::BackendType),
    Column::Is(Field::LeaderPid),
    Column::Is(Field::QueryId),
];

/// Columns that PostgreSQL 12, 13 and 14 write.
const KNOWN_WIDTHS: [usize; 3] = [23, 24, 26];

/// Whether a text may be a row: it begins with a time and a comma.
pub(crate) fn looks_like(text: &[u8]) -> bool {
    // Nothing but a time zone comes between a time and its comma: most lines of text have none there.
    find_byte(before(behind(text, 20), 24), b',').is_some()
        && time::shape(text).is_some_and(|(length, _)| text.get(length) == Some(&b','))
}

/// Whether a text begins a row, and cannot be a part of a column in quotes: there the first quote that
/// is not doubled closes the column, and a row's first opens one. A message is always in quotes, and is
/// not made of quotes alone.
pub(crate) fn begins(text: &[u8]) -> bool {
    const MESSAGE: usize = 13;
    if !looks_like(text) || !opens_first(text) {
        return false;
    }
    let mut rest = text;
    for _ in 0..MESSAGE {
        let Some(behind) = value(rest).rest.strip_prefix(b",") else {
            return false;
        };
        rest = behind;
    }
    let message = value(rest).text.raw;
    rest.starts_with(b"\"") && message.iter().any(|byte| *byte != b'"')
}

/// Whether the first quote that is not doubled has something of its column behind it.
fn opens_first(text: &[u8]) -> bool {
    let mut rest = text;
    while let Some(quote) = find_byte(rest, b'"') {
        let quotes = behind(rest, quote);
        let length = quotes.iter().take_while(|byte| **byte == b'"').count();
        rest = behind(quotes, length);
        if length % 2 == 1 {
            return !matches!(rest.first(), None | Some(b',' | b'\r' | b'\n'));
        }
    }
    false
}

/// Whether a text ends as a row of 14 and later does: an application and a backend type in quotes, the
/// leader's process id or nothing, a query id.
pub(crate) fn ends(text: &[u8]) -> bool {
    let mut columns = text.trim_ascii_end().rsplitn(4, |byte| *byte == b',');
    let mut next = || columns.next().unwrap_or(b"-");
    let query_id = next();
    let query_id = query_id.strip_prefix(b"-").unwrap_or(query_id);
    let (leader, backend_type, before) = (next(), next(), next());
    let is_number = |text: &[u8]| text.iter().all(u8::is_ascii_digit);
    let quoted = backend_type.len() > 2 && backend_type.starts_with(b"\"");
    let fits = !query_id.is_empty() && is_number(query_id) && is_number(leader);
    fits && quoted && backend_type.ends_with(b"\"") && before.ends_with(b"\"")
}

/// Reads the row that `text` begins with, and returns what follows it. `None` if it has neither a
/// severity where one must be nor the columns of one.
pub(crate) fn parse(text: &[u8]) -> Option<(Event<'_>, &[u8])> {
    let mut event = Event {
        format: Format::Csvlog,
        level: Level::Severity(Severity::Log),
        fields: Fields::default(),
        names_user: true,
        faults: Faults::default(),
    };
    let mut severity = None;
    let mut rest = text;
    let mut width = 0_usize;
    loop {
        let value = value(rest);
        if value.unclosed {
            event.faults.insert(Faults::TRUNCATED);
        }
        match COLUMNS.get(width) {
            Some(Column::Is(field)) => event.fields.set(*field, value.text),
            Some(Column::Connection) => set_connection(&mut event.fields, value.text),
            Some(Column::Severity) => severity = Severity::from_word(value.text.raw),
            Some(Column::Location) => set_location(&mut event.fields, value.text),
            None => {}
        }
        width = width.saturating_add(1);
        rest = value.rest;
        match rest.split_first() {
            Some((b',', behind)) => rest = behind,
            _ => break,
        }
    }
    match severity {
        Some(severity) => event.level = Level::Severity(severity),
        // As many columns as only the server writes: its language is not known.
        None if KNOWN_WIDTHS.contains(&width) => {
            event.level = Level::Severity(Severity::of_sqlstate(event.fields.get(Field::Sqlstate)));
            event.faults.insert(Faults::SEVERITY_UNKNOWN);
        }
        None => return None,
    }
    let rest = rest.strip_prefix(b"\r").unwrap_or(rest);
    let rest = rest.strip_prefix(b"\n").unwrap_or(rest);
    if !KNOWN_WIDTHS.contains(&width) {
        event.faults.insert(Faults::COLUMNS);
    }
    if !rest.is_empty() {
        event.faults.insert(Faults::MORE_FOLLOW);
    }
    Some((event, rest))
}

/// One column, and what follows it.
struct Value<'t> {
    text: Text<'t>,
    rest: &'t [u8],
    /// The closing quote is missing.
    unclosed: bool,
}

#[inline]
fn value(text: &[u8]) -> Value<'_> {
    let Some(inside) = text.strip_prefix(b"\"") else {
        let end = text
            .iter()
            .position(|byte| matches!(byte, b',' | b'\n'))
            .unwrap_or(text.len());
        return Value {
            text: Text::plain(before(text, end)),
            rest: behind(text, end),
            unclosed: false,
        };
    };
    let mut end = 0_usize;
    let mut form = Form::Plain;
    loop {
        let Some(quote) = find_byte(behind(inside, end), b'"') else {
            return Value {
                text: Text::new(inside, form),
                rest: b"",
                unclosed: true,
            };
        };
        end = end.saturating_add(quote);
        if inside.get(end.saturating_add(1)) != Some(&b'"') {
            break;
        }
        form = Form::Csv;
        end = end.saturating_add(2);
    }
    Value {
        text: Text::new(before(inside, end), form),
        rest: behind(inside, end.saturating_add(1)),
        unclosed: false,
    }
}

/// `host:port` at the last colon; over a Unix socket `[local]`, before 13 also `[local]:port`.
pub(crate) fn set_connection<'t>(fields: &mut Fields<'t>, connection: Text<'t>) {
    let raw = connection.raw;
    let port = raw.iter().rposition(|byte| *byte == b':');
    match port {
        Some(colon) => {
            fields.set(Field::ClientAddress, Text::plain(before(raw, colon)));
            let port = behind(raw, colon.saturating_add(1));
            fields.set(Field::ClientPort, Text::plain(port));
        }
        None => fields.set(Field::ClientAddress, Text::plain(raw)),
    }
}
