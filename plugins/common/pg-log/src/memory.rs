//! What was said lately, by stream and process: so that a companion line that a host hands over on its own can be
//! given the severity, SQLSTATE, class and id of the message it belongs to.
//!
//! Bounded in processes and in age; an entry is of fixed size.

use crate::author::Author;
use crate::classes::Class;
use crate::event::{Event, Level};
use crate::field::Field;
use crate::scan::{hexadecimal, number};
use crate::severity::Severity;

/// Processes remembered: some in each of several sets, so that few are looked at.
const SETS: usize = 32;
const PER_SET: usize = 4;
/// Lines after which a message is forgotten: its companions come right behind it, with at most lines
/// of other processes in between.
const MOST_LINES: u32 = 4096;

/// Of milder messages the id is not told.
pub(crate) const LEAST_WITH_ID: Severity = Severity::Warning;

/// A message, as far as its companions need it.
#[derive(Clone, Copy, Debug)]
pub struct Remembered {
    stream: u64,
    process: u64,
    line: u32,
    id: u64,
    code: [u8; 5],
    /// Its severity.
    pub severity: Severity,
    /// Its class.
    pub class: Option<&'static Class>,
    /// Who wrote its companions.
    pub(crate) author: Author,
}

impl Remembered {
    fn is_of(&self, stream: u64, process: u64) -> bool {
        self.process == process && self.stream == stream
    }

    /// The SQLSTATE, if it was said.
    #[must_use]
    pub fn sqlstate(&self) -> Option<&[u8]> {
        (self.code != [0; 5]).then_some(&self.code)
    }

    /// The id that a message and its companions share: 16 hex digits.
    #[must_use]
    pub fn id(&self) -> [u8; 16] {
        hexadecimal(self.id)
    }
}

/// The last message of each process.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Made when there is something to remember.
    sets: Vec<[Option<Remembered>; PER_SET]>,
    /// Which log the lines are of: processes of two servers may have the same id.
    stream: u64,
    lines: u32,
}

impl Memory {
    /// The lines that follow are of this stream, of several that come through each other.
    pub fn in_stream(&mut self, stream: u64) {
        self.stream = stream;
    }

    /// Remembers a message, and returns how its companions will know it; for a companion, returns the
    /// message it belongs to. `None` if the line does not say its process.
    pub(crate) fn note(
        &mut self,
        event: &Event<'_>,
        class: Option<&'static Class>,
        author: Author,
    ) -> Option<&Remembered> {
        self.lines = self.lines.wrapping_add(1);
        let process = number(event.fields.get(Field::ProcessId)?.raw)?;
        let Level::Severity(severity) = event.level else {
            return self.message_of(process);
        };
        let mut code = [0; 5];
        if let Some(text) = event.fields.get(Field::Sqlstate)
            && let Ok(known) = text.raw.try_into()
        {
            code = known;
        }
        let message = Remembered {
            stream: self.stream,
            process,
            line: self.lines,
            id: if severity >= LEAST_WITH_ID {
                self.id(event)
            } else {
                0
            },
            code,
            severity,
            class,
            author,
        };
        self.put(message)
    }

    /// The last message of a process, unless it is forgotten.
    fn message_of(&self, process: u64) -> Option<&Remembered> {
        let mut known = self.sets.get(self.set(process))?.iter().flatten();
        let found = known.find(|known| known.is_of(self.stream, process))?;
        (self.lines.wrapping_sub(found.line) <= MOST_LINES).then_some(found)
    }

    /// In the place of the last message of the process, a free one, or that of the oldest.
    fn put(&mut self, message: Remembered) -> Option<&Remembered> {
        if self.sets.is_empty() {
            self.sets.resize(SETS, [None; PER_SET]);
        }
        let (lines, number) = (self.lines, self.set(message.process));
        let set = self.sets.get_mut(number)?;
        // They are filled in their order.
        let fits = |known: &Remembered| known.is_of(message.stream, message.process);
        let fitting = |place: &Option<Remembered>| place.as_ref().is_none_or(fits);
        let age = |place: &Option<Remembered>| place.map(|known| lines.wrapping_sub(known.line));
        let place = match set.iter().position(fitting) {
            Some(fitting) => set.get_mut(fitting),
            None => set.iter_mut().max_by_key(|place| age(place)),
        };
        Some(place?.insert(message))
    }

    /// The set of a process.
    fn set(&self, process: u64) -> usize {
        let mixed = (process ^ self.stream).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 32) as usize % SETS
    }

    /// FNV-1a of the time, the process and the number of the line.
    fn id(&self, event: &Event<'_>) -> u64 {
        let time = event.fields.get(Field::LogTime).unwrap_or_default();
        let process = event.fields.get(Field::ProcessId).unwrap_or_default();
        let bytes = time.raw.iter().chain(process.raw).copied();
        let bytes = bytes.chain(self.lines.to_le_bytes());
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }
}
