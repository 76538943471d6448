//! From the text of a record to an event, in whatever format it is.

use crate::detect::Detector;
use crate::event::Event;
use crate::prefix::Prefix;
use crate::scan::{behind, find_byte};
use crate::{csvlog, jsonlog, stderr, time};

/// Reads entries of one log. Keeps what it has learned of `log_line_prefix` between them.
#[derive(Clone, Debug)]
pub struct Parser {
    prefix: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Given(Box<Prefix>),
    Detected(Box<Detector>),
}

impl Default for Parser {
    fn default() -> Self {
        Self::new()
    }
}

impl Parser {
    /// A parser that finds `log_line_prefix` out.
    #[must_use]
    pub fn new() -> Self {
        Self {
            prefix: Source::Detected(Box::default()),
        }
    }

    /// A parser of a log whose `log_line_prefix` is known.
    #[must_use]
    pub fn with_prefix(prefix: Prefix) -> Self {
        Self {
            prefix: Source::Given(Box::new(prefix)),
        }
    }

    /// The prefix that lines of text are read with, if one is given or found.
    #[must_use]
    pub fn prefix(&self) -> Option<&Prefix> {
        match &self.prefix {
            Source::Given(prefix) => Some(prefix),
            Source::Detected(detector) => detector.current(),
        }
    }

    /// Whether an object is an entry of jsonlog or CloudNativePG.
    #[must_use]
    pub fn is_entry(object: &[u8]) -> bool {
        jsonlog::parse(object).is_some()
    }

    /// Reads the entry that `text` begins with, and returns what follows it. `None` if it is not
    /// PostgreSQL's.
    pub fn parse<'t>(&mut self, text: &'t [u8]) -> Option<(Event<'t>, &'t [u8])> {
        let text = without_wrapper(text);
        match text.first()? {
            b'{' => {
                if let Some(found) = jsonlog::parse(text) {
                    return Some(found);
                }
            }
            b'0'..=b'9' if csvlog::looks_like(text) => {
                if let Some(found) = csvlog::parse(text) {
                    return Some(found);
                }
            }
            _ => {}
        }
        match &mut self.prefix {
            Source::Given(prefix) => stderr::parse(prefix, text),
            Source::Detected(detector) => {
                let current = detector.current();
                if let Some(found) = current.and_then(|prefix| stderr::parse(prefix, text)) {
                    return Some(found);
                }
                stderr::parse(detector.search(text)?, text)
            }
        }
    }
}

/// Takes off what container runtimes and syslog put before a line and hosts left there:
/// `2026-11-23T03:34:37.123456789+00:00 stdout F `, and `postgres[123]: [5-1] ` with all before it.
fn without_wrapper(text: &[u8]) -> &[u8] {
    let text = container(text).unwrap_or(text);
    syslog(text).unwrap_or(text)
}

fn container(text: &[u8]) -> Option<&[u8]> {
    let stamped = match text.first()? {
        b'0'..=b'9' if text.get(10) == Some(&b'T') => behind(
            text,
            find_byte(crate::scan::before(text, 40), b' ')?.saturating_add(1),
        ),
        b's' => text,
        _ => return None,
    };
    [b"stdout ", b"stderr "].iter().find_map(|stream| {
        let tagged = stamped.strip_prefix(*stream)?;
        tagged
            .strip_prefix(b"F ")
            .or_else(|| tagged.strip_prefix(b"P "))
    })
}

/// Behind `postgres[123]: [5-1] `: syslog's own process id and the chunk number of `write_syslog`
/// (`elog.c`). Only a line that begins as syslog's do is looked at.
fn syslog(text: &[u8]) -> Option<&[u8]> {
    const LONGEST_HEADER: usize = 256;
    let first = text.first()?;
    if !(first.is_ascii_uppercase() || *first == b'<' || time_of_rfc5424(text)) {
        return None;
    }
    let head = crate::scan::before(text, LONGEST_HEADER);
    let end = crate::scan::find(head, b"]: [")?;
    let chunk = behind(text, end.saturating_add(4));
    let message = crate::scan::digits(chunk);
    let part = behind(chunk, message).strip_prefix(b"-")?;
    let digits = crate::scan::digits(part);
    let rest = behind(part, digits).strip_prefix(b"] ")?;
    (message > 0 && digits > 0).then_some(rest)
}

fn time_of_rfc5424(text: &[u8]) -> bool {
    text.get(10) == Some(&b'T') && time::clock(text)
}
