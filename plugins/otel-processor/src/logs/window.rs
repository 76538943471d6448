//! Lines of one batch that are still looked at: companion lines and continuations come a little behind
//! their message, with lines of other processes in between.

use std::collections::VecDeque;

use otlp_wire::Field;
use pg_log::{Event, Field as LogField, Level, Text as LogText};

use super::entry::{Entry, Members, Place};
use crate::Error;

/// Records of their own between a message and a line of its own at most.
const MOST_OWN: usize = 128;
/// Bytes that are joined to one message at most.
const MOST_JOINED: usize = 1 << 20;

/// A record.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) record: Field<'a>,
    /// The key of the source.
    pub(super) source: u64,
    pub(super) what: What<'a>,
}

/// What a record is.
#[derive(Debug)]
pub(super) enum What<'a> {
    /// A message or companion of its own.
    Event(Box<Text<'a>>),
    /// A line of another's, so many places in front of it.
    Joined(usize),
    /// A text that may not be seen, and why: it continues a line that is not there, or cannot be read.
    Withheld(&'a [u8], &'static str),
    /// The same, if its source turns out to be PostgreSQL's.
    Doubtful(&'a [u8], &'static str),
    /// Perhaps an entry that somebody has taken apart.
    Members(Members<'a>),
    /// No entry.
    Other,
    /// Not to be read.
    Malformed(Error),
}

/// A text that is an entry, and what was joined to it.
#[derive(Debug)]
pub(super) struct Text<'a> {
    pub(super) event: Event<'a>,
    pub(super) text: &'a [u8],
    /// The text without what carried it, if it is no part of a longer one.
    pub(super) whole: Option<&'a [u8]>,
    /// Where its members are, if somebody has taken it apart as well.
    pub(super) members: Option<Place>,
    pub(super) joined: Joined<'a>,
}

/// What companion lines say.
const COMPANIONS: [LogField; 9] = [
    LogField::Detail,
    LogField::Hint,
    LogField::InternalQuery,
    LogField::Context,
    LogField::Statement,
    LogField::Function,
    LogField::File,
    LogField::Line,
    LogField::Backtrace,
];

impl<'a> Text<'a> {
    /// Takes what a companion line says into the event, as if it had been read with the message.
    fn take(&mut self, companion: &Event<'a>) {
        self.joined.is_unread |= !(self.event.faults.is_empty() && companion.faults.is_empty());
        let fields = &mut self.event.fields;
        for field in COMPANIONS {
            if let Some(text) = companion.fields.get(field) {
                fields.set(field, text);
            }
        }
        if let Some(position) = fields.get(LogField::Position)
            && fields.get(LogField::InternalQuery).is_some()
        {
            // The server prints one position: that in the internal query, if there is one.
            fields.set(LogField::InternalPosition, position);
            fields.set(LogField::Position, LogText::default());
        }
    }

    pub(super) fn entry(&self) -> Entry<'a> {
        Entry {
            text: self.text,
            members: self.members,
        }
    }
}

/// Lines that were joined, with what parts them from what is before.
#[derive(Debug, Default)]
pub(super) struct Joined<'a> {
    pub(super) parts: Vec<&'a [u8]>,
    bytes: usize,
    /// The event does not have all that they say: the whole is to be read.
    pub(super) is_unread: bool,
}

/// What a text can be joined to.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Of {
    /// A message, not a companion line on its own.
    Message,
    Anything,
}

/// The last lines, in their order.
#[derive(Debug, Default)]
pub(super) struct Window<'a> {
    lines: VecDeque<Line<'a>>,
    /// How many of them are joined to no other.
    own: usize,
}

impl<'a> Window<'a> {
    /// Adds a line.
    pub(super) fn push(&mut self, line: Line<'a>) {
        if !matches!(line.what, What::Joined(_)) {
            self.own = self.own.saturating_add(1);
        }
        self.lines.push_back(line);
    }

    /// Withholds what is doubtful of a source that is PostgreSQL's.
    pub(super) fn withhold(&mut self, source: u64) {
        for line in self.lines.iter_mut().filter(|line| line.source == source) {
            if let What::Doubtful(text, fault) = line.what {
                line.what = What::Withheld(text, fault);
            }
        }
    }

    /// The first line, if there are too many.
    pub(super) fn overflow(&mut self) -> Option<Line<'a>> {
        (self.own > MOST_OWN).then(|| self.pop())?
    }

    /// The first line.
    pub(super) fn pop(&mut self) -> Option<Line<'a>> {
        let line = self.lines.pop_front()?;
        if !matches!(line.what, What::Joined(_)) {
            self.own = self.own.saturating_sub(1);
        }
        Some(line)
    }

    /// Joins a companion line to the last message of its process. How far in front of it that is, if
    /// it is there; the line is to be pushed next.
    pub(super) fn join_companion(
        &mut self,
        source: u64,
        event: &Event<'a>,
        text: &'a [u8],
    ) -> Option<usize> {
        let same = |known: &Event<'a>, field: LogField| {
            let (known, new) = (known.fields.get(field), event.fields.get(field));
            known.map(|text| text.raw) == new.map(|text| text.raw)
        };
        let place = self.lines.iter().rposition(|line| match &line.what {
            What::Event(known) => {
                line.source == source
                    && same(&known.event, LogField::ProcessId)
                    && same(&known.event, LogField::SessionId)
            }
            _ => false,
        });
        let (back, message) = self.join(place?, [b"\n", text], Of::Message)?;
        message.take(event);
        Some(back)
    }

    /// Joins a continuation to what the line before it belongs to, likewise.
    pub(super) fn join_continuation(&mut self, source: u64, text: &'a [u8]) -> Option<usize> {
        let mut lines = self.lines.iter();
        let last = lines.rposition(|line| line.source == source)?;
        let back = match self.lines.get(last)?.what {
            What::Joined(back) => back,
            _ => 0,
        };
        let parting: &[u8] = match text.starts_with(b"\t") {
            true => b"\n",
            false => b"\n\t",
        };
        let place = last.checked_sub(back)?;
        let (back, message) = self.join(place, [parting, text], Of::Anything)?;
        message.joined.is_unread = true;
        Some(back)
    }

    fn join(
        &mut self,
        place: usize,
        parts: [&'a [u8]; 2],
        of: Of,
    ) -> Option<(usize, &mut Text<'a>)> {
        let back = self.lines.len().checked_sub(place)?;
        let line = self.lines.get_mut(place)?;
        let What::Event(message) = &mut line.what else {
            return None;
        };
        message.whole?;
        let joined = &mut message.joined;
        let lengths = parts.iter().map(|part| part.len());
        let bytes = lengths.fold(joined.bytes, usize::saturating_add);
        let takes = of == Of::Anything || matches!(message.event.level, Level::Severity(_));
        if !takes || bytes > MOST_JOINED {
            return None;
        }
        joined.parts.extend(parts);
        joined.bytes = bytes;
        Some((back, message))
    }
}
