//! One attempt to read the beginning of a line by the parts of a prefix. Where a value without a shape ends is
//! tried, place by place.

use super::shape::{Shape, is_host};
use super::{Escape, Part};
use crate::field::{Field, Fields};
use crate::scan::{before, begins, behind, find};
use crate::severity::{Word, word};
use crate::text::Text;

/// Values without a shape a prefix may have.
pub(super) const MOST_CHOICES: usize = 8;
/// Longest value without a shape: a name is 63 bytes of at most four characters each when the server
/// prints what is not ASCII as `\xNN` (`pg_clean_ascii`), a host name 255.
const LONGEST_VALUE: usize = 256;
/// Places tried per line at most; a line on which they run out does not match.
const FUEL: u32 = 2048;

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

/// A place where a value without a shape may end later than it was taken to.
#[derive(Clone, Copy, Default)]
struct Choice {
    part: usize,
    start: usize,
    end: usize,
}

/// One attempt at one line.
pub(super) struct Match<'p, 't> {
    parts: &'p [Part],
    line: &'t [u8],
    choices: [Choice; MOST_CHOICES],
    open: usize,
    fuel: u32,
}

impl<'p, 't> Match<'p, 't> {
    pub(super) fn new(parts: &'p [Part], line: &'t [u8]) -> Self {
        Self {
            parts,
            line,
            choices: [Choice::default(); MOST_CHOICES],
            open: 0,
            fuel: FUEL,
        }
    }

    pub(super) fn run(&mut self, fields: &mut Fields<'t>) -> Option<Matched> {
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
    let Some(field) = escape.field else {
        return;
    };
    if escape.shape != Shape::HostAndPort {
        fields.set(field, Text::plain(value));
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
