//! `log_line_prefix`: compiled once, then matched against the beginning of each line.
//!
//! Source: `log_status_format` of `src/backend/utils/error/elog.c` and the documentation of
//! `log_line_prefix` (19.8.3). Some escapes print values of a shape of their own (a time, a number);
//! others print whatever a client chose, so where they end is found by what must follow: the rest of
//! the prefix, and behind all of it the word that names the severity or the companion line.

mod attempt;
mod shape;

pub(crate) use attempt::Matched;

use std::fmt;

use crate::field::{Field, Fields};
use crate::scan::{before, behind, digits, find_byte};
use attempt::{MOST_CHOICES, Match};
use shape::{Meaning, Shape, guessed_meaning, meaning};

/// Escapes a prefix may have; the documentation's all together are 23.
const MOST_PARTS: usize = 64;
/// Bytes in which a prefix must end.
const LONGEST_PREFIX: usize = 4096;

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

/// An escape with its padding.
#[derive(Clone, Copy, Debug)]
struct Escape {
    shape: Shape,
    /// None if nobody can tell what it says.
    field: Option<Field>,
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

impl Prefix {
    /// Compiles a prefix as `postgresql.conf` has it, such as `%m [%p] %q%u@%d `.
    pub fn compile(source: &str) -> Result<Self, PrefixError> {
        Self::read(source, meaning)
    }

    /// One that was guessed.
    pub(crate) fn guessed(source: &str) -> Result<Self, PrefixError> {
        Self::read(source, guessed_meaning)
    }

    fn read(source: &str, meaning: Meaning) -> Result<Self, PrefixError> {
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
                    prefix.names_user |= field == Some(Field::UserName);
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
                None | Some(
                    Field::SessionLine
                        | Field::SessionStart
                        | Field::VirtualTransactionId
                        | Field::TransactionId
                        | Field::QueryId
                )
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
