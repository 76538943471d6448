//! Changes a batch without encoding it anew.
//!
//! While the batch is read, it is copied: up to the first change nothing, from there on whatever stands
//! between two changes as it is. A message that is entered is written when something in it changes, with
//! room for its length, which is filled in when it is left. [`Editor::finish`] hands out the copy, or the
//! batch itself when nothing has changed.

use std::borrow::Cow;
use std::ops::Range;

use crate::reader::{Error, Field, Message};
use crate::writer::{Writer, put_varint, set_length, varint_length};

/// Changes to one batch, from its beginning to its end.
#[derive(Debug)]
pub struct Editor<'a> {
    batch: &'a [u8],
    out: Vec<u8>,
    /// What is before it in the batch is in `out`, as it was or as it is now.
    copied: usize,
    /// The messages that are entered, outermost first.
    open: Vec<Open>,
    /// The first so many of them are in `out`, up to where something has changed.
    written: usize,
}

/// A message that is entered.
#[derive(Clone, Copy, Debug)]
struct Open {
    /// Offsets in the batch of its length and its first byte.
    length_at: usize,
    value_at: usize,
    /// Offset in `out` of its length, once it is written.
    out_at: usize,
}

/// A state to go back to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Mark {
    out: usize,
    copied: usize,
    written: usize,
}

impl<'a> Editor<'a> {
    /// No changes to `batch` yet.
    #[must_use]
    pub fn new(batch: &'a [u8]) -> Self {
        Self::with_room(batch, Vec::new())
    }

    /// The same, with room for what comes of it; whatever is in it is lost.
    #[must_use]
    pub fn with_room(batch: &'a [u8], mut room: Vec<u8>) -> Self {
        room.clear();
        Self {
            batch,
            out: room,
            copied: 0,
            open: Vec::new(),
            written: 0,
        }
    }

    /// The batch as a message.
    #[must_use]
    pub const fn batch(&self) -> Message<'a> {
        Message::new(self.batch)
    }

    /// Enters the message that `field` is: fields in it may be changed by `edit`, in their order, and
    /// only there.
    ///
    /// # Errors
    /// When it is no message, and those of `edit`.
    #[inline]
    pub fn inside<R, E: From<Error>>(
        &mut self,
        field: &Field<'a>,
        edit: impl FnOnce(&mut Self, Message<'a>) -> Result<R, E>,
    ) -> Result<R, E> {
        let message = field.message()?;
        self.open.push(Open {
            length_at: field.length_at,
            value_at: field.value_at(),
            out_at: 0,
        });
        let result = edit(self, message);
        if let Some(open) = self.open.pop()
            && self.written > self.open.len()
        {
            self.close(open, field.end);
        }
        result
    }

    /// Writes the rest of a message that has changed, and its length.
    fn close(&mut self, open: Open, end: usize) {
        self.written = self.open.len();
        self.copy(end);
        let room = open.value_at.saturating_sub(open.length_at);
        set_length(&mut self.out, open.out_at, room);
    }

    /// Copies the batch up to `end`.
    #[inline]
    fn copy(&mut self, end: usize) {
        let kept = self.batch.get(self.copied..end).unwrap_or_default();
        self.out.extend_from_slice(kept);
        self.copied = end;
    }

    /// Copies all that is before a change at `at`.
    #[inline]
    fn change(&mut self, at: usize) {
        debug_assert!(self.copied <= at, "byte {at} is behind {}", self.copied);
        if self.is_unchanged() {
            self.begin();
        }
        // Their lengths are copied as they were: the room for what they will be.
        let ahead = self.out.len().wrapping_sub(self.copied);
        for open in self.open.iter_mut().skip(self.written) {
            open.out_at = open.length_at.wrapping_add(ahead);
        }
        self.written = self.open.len();
        self.copy(at);
    }

    /// Makes room for about as much as there is in the batch.
    #[cold]
    fn begin(&mut self) {
        let length = self.batch.len();
        self.out.reserve(length.saturating_add(length >> 3));
    }

    /// Takes a field out of the message that is entered.
    #[inline]
    pub fn remove(&mut self, field: &Field<'a>) {
        self.change(field.start);
        self.copied = field.end;
    }

    /// Gives a field another number. What is in it may be changed besides, behind this.
    pub fn renumber(&mut self, field: &Field<'a>, number: u32) {
        self.change(field.start);
        put_varint(&mut self.out, u64::from(number) << 3 | field.wire as u64);
        self.copied = field.length_at;
    }

    /// Puts other fields in the place of one.
    #[inline]
    pub fn replace(&mut self, field: &Field<'a>, fill: impl FnOnce(&mut Writer<'_>)) {
        self.change(field.start);
        fill(&mut Writer::new(&mut self.out));
        self.copied = field.end;
    }

    /// Writes the message that `field` is, but for one field in it, in whose place others bytes stand
    /// behind its tag.
    pub(crate) fn rewrite(
        &mut self,
        field: &Field<'a>,
        message: Range<usize>,
        (replaced, tag): (Range<usize>, u8),
        bytes: &[u8],
    ) {
        let part = |from, to| self.batch.get(from..to).unwrap_or_default();
        let before = part(message.start, replaced.start);
        let behind = part(replaced.end, message.end);
        let kept = before.len().saturating_add(behind.len());
        let new = bytes.len().saturating_add(varint_length(bytes.len()));
        let length = kept.saturating_add(new).saturating_add(1);
        self.change(field.length_at);
        put_varint(&mut self.out, length as u64);
        if !before.is_empty() {
            self.out.extend_from_slice(before);
        }
        self.out.push(tag);
        put_varint(&mut self.out, bytes.len() as u64);
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(behind);
        self.copied = field.end;
    }

    /// Puts fields at the end of the message that is entered, or of the batch.
    #[inline]
    pub fn append(&mut self, message: Message<'a>, fill: impl FnOnce(&mut Writer<'_>)) {
        let mark = self.mark();
        self.change(message.end());
        let before = self.out.len();
        fill(&mut Writer::new(&mut self.out));
        if self.out.len() == before {
            self.roll_back(mark);
        }
    }

    /// The changes so far, to go back to.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark {
            out: self.out.len(),
            copied: self.copied,
            written: self.written,
        }
    }

    /// Forgets the changes since `mark`, which was made inside the same message.
    pub fn roll_back(&mut self, mark: Mark) {
        self.out.truncate(mark.out);
        self.copied = mark.copied;
        self.written = mark.written;
    }

    const fn is_unchanged(&self) -> bool {
        self.copied == 0 && self.out.is_empty()
    }

    /// The batch with its changes; itself, if there are none.
    #[must_use]
    pub fn finish(self) -> Cow<'a, [u8]> {
        self.finish_with_room().0
    }

    /// The same, and the room that was not needed.
    #[must_use]
    pub fn finish_with_room(mut self) -> (Cow<'a, [u8]>, Vec<u8>) {
        if self.is_unchanged() {
            return (Cow::Borrowed(self.batch), self.out);
        }
        self.copy(self.batch.len());
        (Cow::Owned(self.out), Vec::new())
    }
}
