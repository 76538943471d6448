//! Entries that a host hands over in parts: which text continues one that began before it, and which
//! looks like the server's though it cannot be read. Neither may leave as it came.

use crate::event::{Event, Faults, Format};
use crate::json::Nesting;
use crate::scan::{before, behind, find, find_byte};
use crate::severity::ends_with_word;
use crate::time;
use crate::wrapper::{Chunk, Unwrapped};
use crate::{csvlog, jsonlog};

/// Bytes of a line in which its prefix ends.
const LONGEST_PREFIX: usize = 1024;
/// Colons looked at per text; one with more of them is taken for the server's.
const MOST_COLONS: usize = 4096;

/// What a stream of texts, such as a file or a container, is in the middle of.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Stream {
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Open {
    /// A quoted column of csvlog: the host hands over lines, and the column has newlines.
    Row,
    /// A JSON object that was cut.
    Object(Nesting),
    /// A line that a container runtime cut.
    Line,
}

/// Why there is no entry in a text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unread {
    /// It is another program's.
    Foreign,
    /// It continues an entry whose beginning is not in it.
    Continuation,
    /// It is the server's by all signs, but of no form that is known.
    Unreadable,
}

impl Stream {
    /// Whether an entry is not finished.
    #[inline]
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Whether a text continues the entry that is open, and what is open behind it. An entry that the
    /// open one cannot contain closes it: in quotes of csvlog every quote is doubled, in a JSON string
    /// it has a backslash before it.
    pub(crate) fn goes_on(&mut self, unwrapped: &Unwrapped<'_>) -> bool {
        let text = unwrapped.text;
        let (goes_on, ends) = match self.open {
            None => (false, true),
            Some(Open::Row) => (!csvlog::begins(text) && !is_object(text), in_quotes(text)),
            Some(Open::Object(nesting)) if !is_object(text) => {
                let behind = nesting.behind(text);
                self.open = Some(Open::Object(behind));
                (true, behind.is_closed())
            }
            Some(Open::Object(_)) => (false, true),
            Some(Open::Line) => (
                unwrapped.partial.is_some(),
                unwrapped.partial == Some(false),
            ),
        };
        if !goes_on || ends {
            self.open = None;
        }
        goes_on
    }

    /// Notes what an entry leaves open.
    #[inline]
    pub(crate) fn after(&mut self, event: &Event<'_>, unwrapped: &Unwrapped<'_>) {
        let unfinished = event.faults.contains(Faults::TRUNCATED)
            || event.faults.contains(Faults::MORE_FOLLOW)
            || unwrapped.partial == Some(true);
        if unfinished {
            self.open = open_behind(event, unwrapped);
        }
    }

    /// Notes what a text leaves open that cannot be read, and says what it is.
    pub(crate) fn judge(&mut self, unwrapped: &Unwrapped<'_>) -> Unread {
        let text = unwrapped.text;
        let later = unwrapped.chunk.is_some_and(Chunk::may_be_later);
        // A tab, or what a syslog daemon may write in its place.
        if text.starts_with(b"\t") || text.starts_with(b"#011") || later {
            return Unread::Continuation;
        }
        let row = csvlog::looks_like(text);
        if row && in_quotes(text) {
            self.open = Some(Open::Row);
        }
        if !row && !is_part_of_entry(text) && !looks_like_the_servers(text) {
            return Unread::Foreign;
        }
        if unwrapped.partial == Some(true) {
            self.open = Some(Open::Line);
        }
        Unread::Unreadable
    }
}

fn open_behind(event: &Event<'_>, unwrapped: &Unwrapped<'_>) -> Option<Open> {
    match event.format {
        _ if unwrapped.partial == Some(true) => Some(Open::Line),
        Format::Csvlog => in_quotes(unwrapped.text).then_some(Open::Row),
        Format::Jsonlog | Format::CloudNativePg => {
            let behind = Nesting::default().behind(unwrapped.text);
            (!behind.is_closed()).then_some(Open::Object(behind))
        }
        Format::Stderr => None,
    }
}

fn is_object(text: &[u8]) -> bool {
    text.starts_with(b"{") && jsonlog::parse(text).is_some()
}

/// Whether a text of csvlog that begins outside of quotes ends in them; or, if it begins inside, ends
/// outside. A doubled quote changes nothing, as two changes do.
fn in_quotes(text: &[u8]) -> bool {
    text.iter().filter(|byte| **byte == b'"').count() & 1 == 1
}

/// Whether a text is a part of a JSON entry, or the end of a row: what its beginning said is not known.
fn is_part_of_entry(text: &[u8]) -> bool {
    const KEYS: [&[u8]; 3] = [
        b"\"error_severity\":\"",
        b"\"backend_type\":\"",
        b"\"state_code\":\"",
    ];
    let has_key = || KEYS.iter().any(|key| find(text, key).is_some());
    csvlog::ends(text) || (!text.starts_with(b"{") && has_key())
}

/// Whether a line of a text has a word of the server's with its colon: two blanks follow it in the
/// server's lines and in few others, or the line begins with a time as the server writes it.
fn looks_like_the_servers(text: &[u8]) -> bool {
    let mut seen = 0_usize;
    let mut rest = text;
    while !rest.is_empty() {
        let end = find_byte(rest, b'\n').unwrap_or(rest.len());
        let line = before(rest, end);
        let head = before(line, LONGEST_PREFIX);
        let timed = begins_with_a_time(line);
        let mut at = 0_usize;
        while let Some(colon) = find_byte(behind(head, at), b':') {
            at = at.saturating_add(colon);
            seen = seen.saturating_add(1);
            if seen > MOST_COLONS || ends_with_word(before(head, at), behind(line, at), timed) {
                return true;
            }
            at = at.saturating_add(1);
        }
        rest = behind(rest, end.saturating_add(1));
    }
    false
}

fn begins_with_a_time(line: &[u8]) -> bool {
    time::shape(line).is_some_and(|(length, _)| {
        line.get(length)
            .is_none_or(|byte| !byte.is_ascii_alphanumeric())
    })
}
