//! What was said lately, by stream and process: so that a companion line that a host hands over on its own can be
//! given the severity, SQLSTATE, class and id of the message it belongs to.
//!
//! Bounded in processes and in age; an entry is of fixed size.

use crate::classes::Class;
use crate::event::{Event, Level};
use crate::field::Field;
use crate::scan::{number, write_hexadecimal};
use crate::severity::Severity;

/// Processes remembered.
const MOST_PROCESSES: usize = 64;
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
}

impl Remembered {
    /// The SQLSTATE, if it was said.
    #[must_use]
    pub fn sqlstate(&self) -> Option<&[u8]> {
        (self.code != [0; 5]).then_some(&self.code)
    }

    /// Writes the id that a message and its companions share: 16 hex digits.
    pub fn write_id(&self, out: &mut Vec<u8>) {
        write_hexadecimal(&self.id.to_be_bytes(), out);
    }
}

/// The last message of each process.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    messages: Vec<Remembered>,
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
    pub fn note(&mut self, event: &Event<'_>, class: Option<&'static Class>) -> Option<Remembered> {
        self.lines = self.lines.wrapping_add(1);
        let process = number(event.fields.get(Field::ProcessId)?.raw)?;
        let Level::Severity(severity) = event.level else {
            let mut messages = self.messages.iter();
            let found = messages
                .find(|message| message.process == process && message.stream == self.stream)
                .copied()?;
            let age = self.lines.wrapping_sub(found.line);
            return (age <= MOST_LINES).then_some(found);
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
        };
        self.put(message);
        Some(message)
    }

    /// In the place of the last message of the process, of a forgotten one, or of the oldest.
    fn put(&mut self, message: Remembered) {
        let lines = self.lines;
        let place = self
            .messages
            .iter()
            .position(|known| known.process == message.process && known.stream == message.stream)
            .or_else(|| (self.messages.len() >= MOST_PROCESSES).then(|| self.oldest(lines)));
        match place.and_then(|place| self.messages.get_mut(place)) {
            Some(place) => *place = message,
            None => self.messages.push(message),
        }
    }

    fn oldest(&self, lines: u32) -> usize {
        let ages = self.messages.iter().enumerate();
        ages.max_by_key(|(_, message)| lines.wrapping_sub(message.line))
            .map_or(0, |(place, _)| place)
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
