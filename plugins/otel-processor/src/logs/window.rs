//! Lines of one batch that are still looked at: companion lines and continuations come a little behind
//! their message, with lines of other processes in between.

use std::collections::VecDeque;

use otlp_wire::Field;
use pg_log::{Event, Field as LogField, Level};

/// Records between a message and a line of its own at most.
const MOST_RECORDS: usize = 128;
/// Lines that are joined to one message at most, and their bytes.
const MOST_JOINED: (usize, usize) = (256, 1 << 20);

/// A record whose text is a line of the log.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) record: Field<'a>,
    pub(super) text: &'a [u8],
    /// The text without what carried it, if it is no part of a longer one.
    pub(super) whole: Option<&'a [u8]>,
    pub(super) source: usize,
    pub(super) what: What<'a>,
}

/// What a line is.
#[derive(Debug)]
pub(super) enum What<'a> {
    /// A message or companion of its own, with the lines that were joined to it.
    Event(Box<Event<'a>>, Vec<&'a [u8]>),
    /// The line of another, so many places in front of it.
    Joined(usize),
    /// A text that may not be seen, and why: it continues a line that is not there, or cannot be read.
    Withheld(&'static str),
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
}

impl<'a> Window<'a> {
    /// Adds a line, and returns the one that is complete by it.
    pub(super) fn push(&mut self, line: Line<'a>) -> Option<Line<'a>> {
        self.lines.push_back(line);
        (self.lines.len() > MOST_RECORDS).then(|| self.lines.pop_front())?
    }

    /// The next line when no more will come.
    pub(super) fn pop(&mut self) -> Option<Line<'a>> {
        self.lines.pop_front()
    }

    /// Joins a companion line to the last message of its process. How far in front of it that is, if
    /// it is there; the line is to be pushed next.
    pub(super) fn join_companion(
        &mut self,
        source: usize,
        event: &Event<'a>,
        text: &'a [u8],
    ) -> Option<usize> {
        let same = |known: &Event<'a>, field: LogField| {
            let (known, new) = (known.fields.get(field), event.fields.get(field));
            known.map(|text| text.raw) == new.map(|text| text.raw)
        };
        let place = self.lines.iter().rposition(|line| match &line.what {
            What::Event(known, _) => {
                line.source == source
                    && same(known, LogField::ProcessId)
                    && same(known, LogField::SessionId)
            }
            What::Joined(_) | What::Withheld(_) => false,
        });
        self.join(place?, text, Of::Message)
    }

    /// Joins a continuation to what the line before it belongs to, likewise.
    pub(super) fn join_continuation(&mut self, source: usize, text: &'a [u8]) -> Option<usize> {
        let mut lines = self.lines.iter();
        let last = lines.rposition(|line| line.source == source)?;
        let back = match self.lines.get(last)?.what {
            What::Joined(back) => back,
            What::Event(..) | What::Withheld(_) => 0,
        };
        self.join(last.checked_sub(back)?, text, Of::Anything)
    }

    fn join(&mut self, place: usize, text: &'a [u8], of: Of) -> Option<usize> {
        let back = self.lines.len().checked_sub(place)?;
        let line = self.lines.get_mut(place)?;
        let (Some(_), What::Event(event, joined)) = (line.whole, &mut line.what) else {
            return None;
        };
        let lengths = joined.iter().map(|text| text.len());
        let bytes = lengths.fold(text.len(), usize::saturating_add);
        let fits = joined.len() < MOST_JOINED.0 && bytes <= MOST_JOINED.1;
        let takes = of == Of::Anything || matches!(event.level, Level::Severity(_));
        (fits && takes).then(|| {
            joined.push(text);
            back
        })
    }
}
