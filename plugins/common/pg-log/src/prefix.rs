//! `log_line_prefix`: compiled once, then matched against the beginning of each line.
//!
//! Source: `log_status_format` of `src/backend/utils/error/elog.c` and the documentation of
//! `log_line_prefix` (19.8.3). Some escapes print values of a shape of their own (a time, a number);
//! others print whatever a client chose, so where they end is found by what must follow: the rest of
//! the prefix, and behind all of it the word that names the severity or the companion line.

use std::fmt;

use crate::field::{Field, Fields};
use crate::scan::{before, begins, behind, digits, find, find_byte};
use crate::severity::{Word, word};
use crate::text::Text;
use crate::time;

/// Escapes a prefix may have; the documentation's all together are 23.
const MOST_PARTS: usize = 64;
/// Values without a shape a prefix may have.
const MOST_CHOICES: usize = 8;
/// Longest value without a shape: a name is 63 bytes of at most four characters each when the server
/// prints what is not ASCII as `\xNN` (`pg_clean_ascii`), a host name 255.
const LONGEST_VALUE: usize = 256;
/// Bytes in which a prefix must end.
const LONGEST_PREFIX: usize = 4096;
/// Places tried per line at most; a line on which they run out does not match.
const FUEL: u32 = 2048;

/// Why a `log_line_prefix` cannot be compiled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PrefixError {
    /// The server prints nothing for an escape it does not know; a prefix that has one is most
    /// likely not the one that wrote the log.
    UnknownEscape(u8),
    /// More escapes than there are, many times over.
    TooLong,
}

impl fmt::Display for PrefixError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownEscape(byte) => {
                write!(out, "no escape of log_line_prefix: %{}", char::from(*byte))
            }
            Self::TooLong => write!(out, "too many escapes in log_line_prefix"),
        }
    }
}

impl std::error::Error for PrefixError {}

/// What an escape prints.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Shape {
    /// `2026-11-23 03:34:37 UTC`; whether with milliseconds.
    Time { milliseconds: bool },
    /// `1763868877.123`
    Epoch,
    /// Digits.
    Number,
    /// Digits, or nothing (`%P`).
    NumberOrNothing,
    /// Digits behind a sign, maybe.
    SignedNumber,
    /// `65a1b2c3.1f4`
    SessionId,
    /// `3/17`, or nothing.
    VirtualTransactionId,
    /// Five of `0-9A-Z`.
    Sqlstate,
    /// An address or host name, or nothing.
    Host,
    /// The same with a port in parentheses, or `[local]`.
    HostAndPort,
    /// Anything.
    Free,
}

/// An escape with its padding.
#[derive(Clone, Copy, Debug)]
struct Escape {
    shape: Shape,
    field: Field,
    /// Width it is filled up to; behind the value if negative (`%-10u`).
    padding: i16,
}

#[derive(Clone, Debug)]
enum Part {
    Literal(Box<[u8]>),
    Escape(Escape),
}

/// A compiled `log_line_prefix`.
#[derive(Clone, Debug)]
pub struct Prefix {
    parts: Vec<Part>,
    /// Parts that background processes print: those before `%q`.
    background: Option<usize>,
    names_user: bool,
    source: Box<str>,
}

/// What a line begins with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matched {
    /// The word behind the prefix.
    pub(crate) word: Word,
    /// Length of the prefix.
    pub(crate) length: usize,
    /// The prefix could have ended elsewhere.
    pub(crate) ambiguous: bool,
}

impl Prefix {
    /// Compiles a prefix as `postgresql.conf` has it, such as `%m [%p] %q%u@%d `.
    pub fn compile(source: &str) -> Result<Self, PrefixError> {
        let mut prefix = Self {
            parts: Vec::new(),
            background: None,
            names_user: false,
            source: source.into(),
        };
        let mut literal = Vec::new();
        let mut rest = source.as_bytes();
        let mut choices = 0_usize;
        while let Some((byte, behind)) = rest.split_first() {
            rest = behind;
            if *byte != b'%' {
                literal.push(*byte);
                continue;
            }
            let (padding, behind) = padding(rest);
            // A prefix that ends in the middle of an escape ends before it, as in the server.
            let Some((kind, behind)) = behind.split_first() else {
                break;
            };
            rest = behind;
            match kind {
                b'%' => literal.push(b'%'),
                b'q' => {
                    prefix.end_literal(&mut literal);
                    prefix.background.get_or_insert(prefix.parts.len());
                }
                kind => {
                    let (shape, field) = meaning(*kind)?;
                    prefix.end_literal(&mut literal);
                    prefix.names_user |= field == Field::UserName;
                    choices = choices.saturating_add(usize::from(shape.is_open()));
                    prefix.parts.push(Part::Escape(Escape {
                        shape,
                        field,
                        padding,
                    }));
                }
            }
            if prefix.parts.len() > MOST_PARTS || choices > MOST_CHOICES {
                return Err(PrefixError::TooLong);
            }
        }
        prefix.end_literal(&mut literal);
        Ok(prefix)
    }

    /// The prefix as it was given.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Escapes it has: the more, the more a line that fits it says.
    #[must_use]
    pub fn escapes(&self) -> usize {
        let escapes = self.parts.iter();
        escapes
            .filter(|part| matches!(part, Part::Escape(_)))
            .count()
    }

    /// Whether it says the user of a process that has one.
    pub(crate) fn names_user(&self) -> bool {
        self.names_user
    }

    /// Whether what stands behind its time is the same for many lines.
    pub(crate) fn repeats(&self) -> bool {
        let each = |part: &Part| match part {
            Part::Literal(_) => false,
            Part::Escape(escape) => matches!(
                escape.field,
                Field::SessionLine
                    | Field::SessionStart
                    | Field::VirtualTransactionId
                    | Field::TransactionId
                    | Field::QueryId
            ),
        };
        let timed = |escape: &Escape| matches!(escape.shape, Shape::Time { .. });
        let begins = match self.parts.first() {
            Some(Part::Escape(escape)) => timed(escape) && escape.padding == 0,
            _ => false,
        };
        begins && !self.parts.iter().any(each)
    }

    /// Whether a line fits, prefix and word.
    #[must_use]
    pub fn fits(&self, line: &[u8]) -> bool {
        self.matches(line, &mut Fields::default()).is_some()
    }

    fn end_literal(&mut self, literal: &mut Vec<u8>) {
        if !literal.is_empty() {
            let bytes = std::mem::take(literal).into_boxed_slice();
            self.parts.push(Part::Literal(bytes));
        }
    }

    /// Matches the beginning of a line and sets what the prefix says. A line that may be a background
    /// process' is one: its message could go on like the rest of the prefix, but hardly anyone's name
    /// begins with a word of the server's.
    pub(crate) fn matches<'t>(&self, text: &'t [u8], fields: &mut Fields<'t>) -> Option<Matched> {
        let head = before(text, LONGEST_PREFIX);
        let line = before(text, find_byte(head, b'\n').unwrap_or(text.len()));
        let background = self.background.and_then(|end| self.parts.get(..end));
        let found = background.and_then(|parts| Match::new(parts, line).run(fields));
        let Some(found) = found else {
            fields.clear();
            return Match::new(&self.parts, line).run(fields);
        };
        let other = Match::new(&self.parts, line).run(&mut Fields::default());
        Some(Matched {
            ambiguous: found.ambiguous || other.is_some(),
            ..found
        })
    }
}

/// Optional `-` and digits behind `%`.
fn padding(text: &[u8]) -> (i16, &[u8]) {
    let (sign, rest) = match text.strip_prefix(b"-") {
        Some(rest) => (-1_i16, rest),
        None => (1, text),
    };
    let length = digits(rest);
    let width = crate::scan::number(before(rest, length)).unwrap_or(0);
    let width = i16::try_from(width).unwrap_or(i16::MAX);
    (width.saturating_mul(sign), behind(rest, length))
}

/// What an escape prints, and the field it fills.
fn meaning(kind: u8) -> Result<(Shape, Field), PrefixError> {
    const ESCAPES: [(u8, Shape, Field); 20] = [
        (b'a', Shape::Free, Field::Application),
        (b'u', Shape::Free, Field::UserName),
        (b'd', Shape::Free, Field::DatabaseName),
        (b'r', Shape::HostAndPort, Field::ClientAddress),
        (b'h', Shape::Host, Field::ClientAddress),
        (b'L', Shape::Host, Field::ServerAddress),
        (b'b', Shape::Free, Field::BackendType),
        (b'p', Shape::Number, Field::ProcessId),
        (b'P', Shape::NumberOrNothing, Field::LeaderPid),
        (
            b't',
            Shape::Time {
                milliseconds: false,
            },
            Field::LogTime,
        ),
        (b'm', Shape::Time { milliseconds: true }, Field::LogTime),
        (b'n', Shape::Epoch, Field::LogTime),
        (b'i', Shape::Free, Field::CommandTag),
        (b'e', Shape::Sqlstate, Field::Sqlstate),
        (b'c', Shape::SessionId, Field::SessionId),
        (b'l', Shape::Number, Field::SessionLine),
        (
            b's',
            Shape::Time {
                milliseconds: false,
            },
            Field::SessionStart,
        ),
        (
            b'v',
            Shape::VirtualTransactionId,
            Field::VirtualTransactionId,
        ),
        (b'x', Shape::Number, Field::TransactionId),
        (b'Q', Shape::SignedNumber, Field::QueryId),
    ];
    ESCAPES
        .iter()
        .find(|(known, _, _)| *known == kind)
        .map(|(_, shape, field)| (*shape, *field))
        .ok_or(PrefixError::UnknownEscape(kind))
}

impl Shape {
    /// Whether what follows decides where it ends.
    fn is_open(self) -> bool {
        matches!(self, Self::Free | Self::Host)
    }

    /// The length of a value of this shape at the beginning of `text`.
    fn length(self, text: &[u8]) -> Option<usize> {
        match self {
            Self::Time { milliseconds } => {
                let (length, fraction) = time::shape(text)?;
                (fraction == milliseconds).then_some(length)
            }
            Self::Epoch => {
                let whole = digits(text);
                let fraction = behind(text, whole).strip_prefix(b".").map(digits)?;
                (whole > 0 && fraction == 3).then_some(whole.saturating_add(4))
            }
            Self::Number => Some(digits(text)).filter(|length| *length > 0),
            Self::NumberOrNothing => Some(digits(text)),
            Self::SignedNumber => {
                let sign = usize::from(text.first() == Some(&b'-'));
                let length = digits(behind(text, sign));
                (length > 0).then_some(length.saturating_add(sign))
            }
            Self::SessionId => {
                let start = hexadecimal(text);
                let process = behind(text, start).strip_prefix(b".").map(hexadecimal)?;
                let length = start.saturating_add(process).saturating_add(1);
                (start > 0 && process > 0).then_some(length)
            }
            Self::VirtualTransactionId => {
                let backend = digits(text);
                let local = behind(text, backend).strip_prefix(b"/").map(digits);
                match (backend, local) {
                    (1.., Some(local @ 1..)) => {
                        Some(backend.saturating_add(local).saturating_add(1))
                    }
                    _ => Some(0),
                }
            }
            Self::Sqlstate => {
                let code = text.get(..5)?;
                let fits = |byte: &u8| byte.is_ascii_digit() || byte.is_ascii_uppercase();
                code.iter().all(fits).then_some(5)
            }
            Self::HostAndPort => {
                if text.starts_with(b"[local]") {
                    return Some(7);
                }
                let host = text.iter().take_while(|byte| is_host(**byte)).count();
                let port = behind(text, host).strip_prefix(b"(").map(digits);
                match port {
                    Some(port @ 1..)
                        if behind(text, host).get(port.saturating_add(1)) == Some(&b')') =>
                    {
                        Some(host.saturating_add(port).saturating_add(2))
                    }
                    _ => Some(0),
                }
            }
            Self::Host | Self::Free => None,
        }
    }
}

fn hexadecimal(text: &[u8]) -> usize {
    text.iter()
        .take_while(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        .count()
}

fn is_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".:-_%/[]?".contains(&byte)
}

/// A place where a value without a shape may end later than it was taken to.
#[derive(Clone, Copy, Default)]
struct Choice {
    part: usize,
    start: usize,
    end: usize,
}

/// One attempt at one line.
struct Match<'p, 't> {
    parts: &'p [Part],
    line: &'t [u8],
    choices: [Choice; MOST_CHOICES],
    open: usize,
    fuel: u32,
}

impl<'p, 't> Match<'p, 't> {
    fn new(parts: &'p [Part], line: &'t [u8]) -> Self {
        Self {
            parts,
            line,
            choices: [Choice::default(); MOST_CHOICES],
            open: 0,
            fuel: FUEL,
        }
    }

    fn run(&mut self, fields: &mut Fields<'t>) -> Option<Matched> {
        let found = self.next(fields, Some((0, 0)))?;
        // The first reading is kept; whether there is a second one is all that is asked here. All
        // words but a few of the companions end alike.
        let room = before(behind(self.line, found.length), LONGEST_VALUE);
        let again = self.open > 0 && find(behind(room, 12), b":  ").is_some();
        let ambiguous = again && self.next(&mut Fields::default(), None).is_some();
        Some(Matched { ambiguous, ..found })
    }

    /// Goes on from `place` (part and offset), or else from the last choice.
    fn next(
        &mut self,
        fields: &mut Fields<'t>,
        mut place: Option<(usize, usize)>,
    ) -> Option<Matched> {
        loop {
            let (part, at) = match place.take() {
                Some(place) => place,
                None => self.retry(fields)?,
            };
            self.fuel = self.fuel.checked_sub(1)?;
            match self.parts.get(part) {
                None => {
                    if let Some(word) = word(behind(self.line, at)) {
                        return Some(Matched {
                            word,
                            length: at,
                            ambiguous: false,
                        });
                    }
                }
                Some(Part::Literal(literal)) => {
                    if begins(behind(self.line, at), literal) {
                        place = Some((part.saturating_add(1), at.saturating_add(literal.len())));
                    }
                }
                Some(Part::Escape(escape)) if escape.shape.is_open() => {
                    place = self.open(*escape, part, at, at, fields);
                }
                Some(Part::Escape(escape)) => {
                    if let Some(end) = self.shaped(*escape, at, fields) {
                        place = Some((part.saturating_add(1), end));
                    }
                }
            }
        }
    }

    /// Takes the last choice a step further.
    fn retry(&mut self, fields: &mut Fields<'t>) -> Option<(usize, usize)> {
        loop {
            self.open = self.open.checked_sub(1)?;
            let choice = *self.choices.get(self.open)?;
            let Some(Part::Escape(escape)) = self.parts.get(choice.part) else {
                return None;
            };
            let from = choice.end.saturating_add(1);
            if let Some(place) = self.open(*escape, choice.part, choice.start, from, fields) {
                return Some(place);
            }
        }
    }

    /// A value of its own shape, with its padding.
    fn shaped(&self, escape: Escape, at: usize, fields: &mut Fields<'t>) -> Option<usize> {
        let text = behind(self.line, at);
        let width = usize::from(escape.padding.unsigned_abs());
        let blanks = if escape.padding > 0 {
            text.iter()
                .take_while(|byte| **byte == b' ')
                .count()
                .min(width)
        } else {
            0
        };
        let length = escape.shape.length(behind(text, blanks))?;
        let value = before(behind(text, blanks), length);
        let mut end = at.saturating_add(blanks).saturating_add(length);
        let filled = blanks.saturating_add(length);
        if escape.padding < 0 {
            let fill = width.saturating_sub(length);
            let blanks = self.line.get(end..end.saturating_add(fill))?;
            if blanks.iter().any(|byte| *byte != b' ') {
                return None;
            }
            end = end.saturating_add(fill);
        } else if filled < width {
            return None;
        }
        set(fields, escape, value);
        Some(end)
    }

    /// A value that ends where what follows may begin, at `from` or later; remembers the choice.
    fn open(
        &mut self,
        escape: Escape,
        part: usize,
        start: usize,
        from: usize,
        fields: &mut Fields<'t>,
    ) -> Option<(usize, usize)> {
        let width = usize::from(escape.padding.unsigned_abs());
        let from = from.max(start.saturating_add(width));
        let limit = start.saturating_add(LONGEST_VALUE.max(width));
        let next = part.saturating_add(1);
        let room = before(self.line, limit.saturating_add(64));
        let end = match self.parts.get(next) {
            Some(Part::Literal(literal)) => from.saturating_add(find(behind(room, from), literal)?),
            // What follows decides: the next escape, or the word behind the prefix.
            Some(Part::Escape(_)) => from,
            None => from.saturating_add(word_at(behind(room, from))?),
        };
        if end > limit || end > self.line.len() {
            return None;
        }
        let padded = before(behind(self.line, start), end.saturating_sub(start));
        let value = match escape.padding {
            0 => padded,
            1.. => padded.trim_ascii_start(),
            _ => padded.trim_ascii_end(),
        };
        if escape.shape == Shape::Host && !value.iter().all(|byte| is_host(*byte)) {
            return None;
        }
        set(fields, escape, value);
        let choice = Choice { part, start, end };
        if let Some(place) = self.choices.get_mut(self.open) {
            *place = choice;
            self.open = self.open.saturating_add(1);
        }
        Some((next, end))
    }
}

/// Where the first word stands that may end a prefix whose last value has no shape.
fn word_at(text: &[u8]) -> Option<usize> {
    (0..text.len()).find(|at| word(behind(text, *at)).is_some())
}

fn set<'t>(fields: &mut Fields<'t>, escape: Escape, value: &'t [u8]) {
    if escape.shape != Shape::HostAndPort {
        fields.set(escape.field, Text::plain(value));
        return;
    }
    match value.strip_suffix(b")").and_then(|rest| {
        let open = rest.iter().rposition(|byte| *byte == b'(')?;
        rest.split_at_checked(open)
    }) {
        Some((host, port)) => {
            fields.set(Field::ClientAddress, Text::plain(host));
            fields.set(Field::ClientPort, Text::plain(behind(port, 1)));
        }
        None => fields.set(Field::ClientAddress, Text::plain(value)),
    }
}
