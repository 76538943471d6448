//! What stands before a line of the server when a container runtime or syslog carried it and the host
//! left it there: `2026-11-23T03:34:37.123456789+00:00 stdout F `, and `postgres[123]: [5-1] ` with all
//! before it.
//!
//! Heroku's drains put `app[postgres.123]: [DATABASE] ` before the chunk's mark.
//!
//! Source: the container runtime interface's log format; `write_syslog` of
//! `src/backend/utils/error/elog.c`, which gives each line of an entry, and each 900 bytes of a longer
//! one, a call of its own: `[entry-chunk] text`.

use crate::json::{self, Kind, Members};
use crate::scan::{before, behind, digits, find, find_byte, number};
use crate::time;

/// Bytes in which syslog's header ends.
const LONGEST_HEADER: usize = 256;
/// Bytes of a chunk (`PG_SYSLOG_LIMIT`), less a character that did not fit.
const FULL_CHUNK: usize = 897;

/// A text, and what was said of it by what carried it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unwrapped<'t> {
    pub(crate) text: &'t [u8],
    /// Whether the line goes on in the next text, if a container runtime said so.
    pub(crate) partial: Option<bool>,
    /// Which part of an entry it is, if syslog carried it.
    pub(crate) chunk: Option<Chunk>,
}

/// `[entry-number]`, the number from 1. With `syslog_sequence_numbers` off there is a number only, with
/// `syslog_split_messages` off an entry only.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Chunk {
    entry: Option<u64>,
    number: u64,
}

impl Chunk {
    /// Whether it cannot be the first of its entry.
    pub(crate) fn is_later(self) -> bool {
        self.entry.is_some() && self.number > 1
    }

    /// Whether it can be another than the first.
    pub(crate) fn may_be_later(self) -> bool {
        self.number > 1
    }

    fn follows(self, last: Self) -> bool {
        self.entry == last.entry && self.number == last.number.saturating_add(1)
    }
}

impl<'t> Unwrapped<'t> {
    /// A text as it is.
    pub(crate) fn bare(text: &'t [u8]) -> Self {
        Self {
            text,
            partial: None,
            chunk: None,
        }
    }
}

/// Takes the wrapper off a text.
#[inline]
pub(crate) fn unwrapped(text: &[u8]) -> Unwrapped<'_> {
    let bare = Unwrapped::bare(behind_blanks_of_json(text));
    match may_be_carried(text) {
        true => carried(bare),
        false => bare,
    }
}

/// A JSON object without blanks and a mark of its encoding before it; any other text as it is.
#[inline]
fn behind_blanks_of_json(text: &[u8]) -> &[u8] {
    match text.first() {
        Some(b' ' | b'\t' | b'\n' | b'\r' | 0xef) => {
            let unmarked = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
            let trimmed = unmarked.trim_ascii_start();
            if trimmed.starts_with(b"{\"") {
                trimmed
            } else {
                text
            }
        }
        _ => text,
    }
}

/// Whether a text may have a wrapper, as few have.
#[inline]
fn may_be_carried(text: &[u8]) -> bool {
    match text.first() {
        // A time of the server's own has a blank there.
        Some(b'0'..=b'9') => text.get(10) == Some(&b'T'),
        Some(first) => matches!(first, b'A'..=b'Z' | b'a' | b's' | b'w' | b'<' | b'['),
        None => false,
    }
}

/// A text without its wrapper. `None` if that says that the text is a part of a longer one.
#[must_use]
pub fn whole(text: &[u8]) -> Option<&[u8]> {
    let found = unwrapped(text);
    (found.partial != Some(true) && found.chunk.is_none()).then_some(found.text)
}

fn carried(bare: Unwrapped<'_>) -> Unwrapped<'_> {
    let mut found = bare;
    found.text = behind_pg_ctl(found.text);
    if let Some((partial, text)) = container(found.text) {
        found.text = text;
        found.partial = Some(partial);
    }
    if let Some((chunk, text)) = syslog(found.text) {
        found.text = text;
        found.chunk = Some(chunk);
    }
    found
}

/// Behind `waiting for server to start...`, whose line pg_ctl does not end before the server begins its own.
fn behind_pg_ctl(text: &[u8]) -> &[u8] {
    let waiting = text.strip_prefix(b"waiting for server to ");
    let dots = waiting.and_then(|text| Some(behind(text, find(before(text, 16), b"...")?)));
    let line = dots.map(|text| {
        let dots = text.iter().take_while(|byte| **byte == b'.').count();
        behind(text, dots)
    });
    line.filter(|line| line.first().is_some_and(u8::is_ascii_digit))
        .unwrap_or(text)
}

/// The text in the JSON around a line of the server's: Docker's `{"log":"...","stream":"stderr"}`, or
/// CloudNativePG's for what the server writes before its collector does. `None` if there is none.
#[inline]
pub fn inside<'t>(text: &[u8], buffer: &'t mut Vec<u8>) -> Option<&'t [u8]> {
    match text.first() {
        Some(b'{') => inside_json(text, buffer),
        _ => None,
    }
}

fn inside_json<'t>(text: &[u8], buffer: &'t mut Vec<u8>) -> Option<&'t [u8]> {
    let begins = |with: &[u8]| text.starts_with(with);
    if !begins(b"{\"log\":") && !begins(b"{\"level\":") {
        return None;
    }
    let mut line = None;
    let mut is_carried = false;
    for member in Members::of(text) {
        match member.key {
            b"log" | b"msg" if member.kind == Kind::String => line = Some(member.value),
            b"stream" => is_carried = true,
            b"logger" => is_carried |= member.value == b"postgres",
            _ => {}
        }
        if is_carried && line.is_some() {
            break;
        }
    }
    // What CloudNativePG says of a record is beside it.
    let line = line.filter(|line| is_carried && *line != b"record")?;
    buffer.clear();
    json::unescape(line, buffer);
    Some(buffer.strip_suffix(b"\n").unwrap_or(buffer))
}

/// Behind the mark of a container runtime: whether the line goes on, and its text.
fn container(text: &[u8]) -> Option<(bool, &[u8])> {
    let stamped = match text.first()? {
        b'0'..=b'9' => behind(text, find_byte(before(text, 40), b' ')?.saturating_add(1)),
        _ => text,
    };
    [b"stdout ", b"stderr "].iter().find_map(|stream| {
        let (tag, text) = stamped.strip_prefix(*stream)?.split_at_checked(2)?;
        match tag {
            b"F " => Some((false, text)),
            b"P " => Some((true, text)),
            _ => None,
        }
    })
}

/// Behind syslog's header, or behind the chunk's mark alone where the host took the header off.
fn syslog(text: &[u8]) -> Option<(Chunk, &[u8])> {
    let text = behind_database(text);
    if text.starts_with(b"[") {
        // `[4711] ` is a prefix that has the process id in it.
        return mark(text).filter(|(chunk, _)| chunk.entry.is_some());
    }
    if !is_header(text) {
        return None;
    }
    let head = before(text, LONGEST_HEADER);
    let mut at = 0_usize;
    loop {
        at = at.saturating_add(find_byte(behind(head, at), b'[')?);
        // The process id is not one: `postgres[4711]: [5-1] `.
        if let Some(found) = mark(behind(text, at)) {
            return Some(found);
        }
        at = at.saturating_add(1);
    }
}

/// Behind `app[postgres.4711]: [DATABASE] `, or what of it a host has left.
fn behind_database(text: &[u8]) -> &[u8] {
    let app = || {
        let number = text.strip_prefix(b"app[postgres.")?;
        behind(number, digits(number)).strip_prefix(b"]: ")
    };
    let text = app().unwrap_or(text);
    let database = || {
        let name = text.strip_prefix(b"[")?;
        let is_upper = |byte: &&u8| byte.is_ascii_uppercase() || **byte == b'_';
        let length = name.iter().take_while(is_upper).count();
        let rest = behind(name, length).strip_prefix(b"] ")?;
        (length > 0 && rest.starts_with(b"[")).then_some(rest)
    };
    database().unwrap_or(text)
}

/// Whether a text begins as syslog's lines do: `<134>`, `Nov 23 03:34:37 `, or a time of RFC 5424.
fn is_header(text: &[u8]) -> bool {
    let rest = match text.strip_prefix(b"<") {
        None => text,
        Some(rest) => {
            let length = digits(rest);
            let Some(rest) = behind(rest, length).strip_prefix(b">") else {
                return false;
            };
            if !(1..=3).contains(&length) {
                return false;
            }
            rest.strip_prefix(b"1 ").unwrap_or(rest)
        }
    };
    let letters = before(rest, 3).iter().all(u8::is_ascii_alphabetic);
    let traditional = letters && rest.get(3) == Some(&b' ') && rest.get(6) == Some(&b' ');
    traditional || (rest.get(10) == Some(&b'T') && time::clock(rest))
}

/// `[5-1] `, `[5] ` and what follows it.
fn mark(text: &[u8]) -> Option<(Chunk, &[u8])> {
    let inside = text.strip_prefix(b"[")?;
    let length = digits(inside);
    let first = number(before(inside, length))?;
    let rest = behind(inside, length);
    if let Some(rest) = rest.strip_prefix(b"] ") {
        let chunk = Chunk {
            entry: None,
            number: first,
        };
        return Some((chunk, rest));
    }
    let rest = rest.strip_prefix(b"-")?;
    let length = digits(rest);
    let chunk = Chunk {
        entry: Some(first),
        number: number(before(rest, length))?,
    };
    Some((chunk, behind(rest, length).strip_prefix(b"] ")?))
}

/// What stands for chunks that are missing, and all behind them.
const LOST: &[u8] = b"\n\t?";

/// An entry of several chunks in one text, as it was before syslog took it apart; `None` if the text is
/// not one. From a chunk that is missing on there is a question mark: what is behind it could be the inside
/// of a string.
#[inline]
pub fn joined<'t>(text: &[u8], buffer: &'t mut Vec<u8>) -> Option<&'t [u8]> {
    match may_be_carried(text) {
        true => joined_chunks(text, buffer),
        false => None,
    }
}

fn joined_chunks<'t>(text: &[u8], buffer: &'t mut Vec<u8>) -> Option<&'t [u8]> {
    // The first line says whether syslog carried it.
    unwrapped(text).chunk?;
    let mut lines = text.split(|byte| *byte == b'\n');
    let first = unwrapped(lines.next()?);
    let mut last = first.chunk.filter(|chunk| chunk.number == 1)?;
    let mut length = first.text.len();
    buffer.clear();
    buffer.extend_from_slice(first.text);
    for line in lines {
        if line.is_empty() {
            continue;
        }
        let next = unwrapped(line);
        let chunk = next.chunk?;
        if !chunk.follows(last) {
            buffer.extend_from_slice(LOST);
            break;
        }
        // A daemon may write the tab as its number.
        let (tab, rest) = match next.text.strip_prefix(b"#011") {
            Some(rest) => (true, rest),
            None => (false, next.text),
        };
        // A long line is taken apart before a blank if it has one; newlines are left out.
        let same_line = !tab && (length >= FULL_CHUNK || rest.starts_with(b" "));
        if !same_line {
            buffer.push(b'\n');
        }
        if tab {
            buffer.push(b'\t');
        }
        buffer.extend_from_slice(rest);
        length = next.text.len();
        last = chunk;
    }
    Some(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_carrier_is_taken_off_and_says_what_it_knows() {
        for (before, partial, chunk) in [
            ("", None, None),
            ("stdout F ", Some(false), None),
            ("2026-11-23T03:34:37.123456789Z stderr P ", Some(true), None),
            (
                "Nov 23 03:34:37 db1 postgres[4711]: [5-1] ",
                None,
                Some((Some(5), 1)),
            ),
            (
                "<134>Nov  3 03:34:37 db1 postgres[4711]: [5-2] ",
                None,
                Some((Some(5), 2)),
            ),
            (
                "<134>1 2026-11-23T03:34:37Z db1 postgres 4711 - - [5-3] ",
                None,
                Some((Some(5), 3)),
            ),
            (
                "2026-11-23T03:34:37.123456+00:00 db1 postgres[4711]: [6] ",
                None,
                Some((None, 6)),
            ),
            ("[5-12] ", None, Some((Some(5), 12))),
            ("[DATABASE] [5-1] ", None, Some((Some(5), 1))),
            (
                "app[postgres.4711]: [HEROKU_POSTGRESQL_RED] [5-1] ",
                None,
                Some((Some(5), 1)),
            ),
            (
                "2026-11-23T03:34:37+00:00 app[postgres.4711]: [DATABASE] [5-2] ",
                None,
                Some((Some(5), 2)),
            ),
        ] {
            let text = format!("{before}2026-11-23 03:34:37.123 UTC [4711] [9-9] LOG:  x");
            let found = unwrapped(text.as_bytes());
            assert!(found.text.starts_with(b"2026-11-23 03"), "{before}");
            assert_eq!(found.partial, partial, "{before}");
            let chunk = chunk.map(|(entry, number)| Chunk { entry, number });
            assert_eq!(found.chunk, chunk, "{before}");
        }
    }

    #[test]
    fn chunks_in_their_order_are_the_entry_again() {
        let long = "a".repeat(FULL_CHUNK);
        for (chunks, expected) in [
            (
                vec!["P LOG:  x", "#011y", "\tz"],
                Some("P LOG:  x\n\ty\n\tz".to_owned()),
            ),
            (
                vec!["P LOG:  x", " y", "P DETAIL:  z"],
                Some("P LOG:  x y\nP DETAIL:  z".to_owned()),
            ),
            (vec![&long, "b"], Some(format!("{long}b"))),
        ] {
            let numbered = |(number, chunk): (usize, &&str)| {
                format!(
                    "Nov 23 03:34:37 db1 postgres[1]: [5-{}] {chunk}",
                    number + 1
                )
            };
            let lines: Vec<String> = chunks.iter().enumerate().map(numbered).collect();
            let mut buffer = Vec::new();
            let text = lines.join("\n");
            let found = joined(text.as_bytes(), &mut buffer);
            let found = found.map(|text| String::from_utf8(text.to_vec()).unwrap());
            assert_eq!(found, expected);
            // One is missing.
            if let [first, _, third] = lines.as_slice() {
                let text = format!("{first}\n{third}");
                let found = joined(text.as_bytes(), &mut buffer);
                let expected = [chunks[0].as_bytes(), LOST].concat();
                assert_eq!(found, Some(expected.as_slice()));
            }
        }
    }
}
