//! Changes a batch without encoding it anew.
//!
//! While the batch is read, changes are noted: where, and what stands there instead. A message that
//! is entered notes the place of its length; when it is left, the new length is known, or nothing in
//! it has changed and the note is dropped. [`Editor::finish`] copies the batch once, with the changes
//! in their places, or hands out the batch itself when there are none.

use std::borrow::Cow;

use crate::reader::{Error, Field, Message, Value};
use crate::writer::{Writer, put_varint};

/// Changes to one batch, in any order.
#[derive(Debug)]
pub struct Editor<'a> {
    batch: &'a [u8],
    edits: Vec<Edit>,
    /// What the edits put in, one behind the other.
    fresh: Vec<u8>,
    /// Bytes put in, less bytes taken out.
    growth: i64,
    /// How many messages are entered.
    depth: u32,
    in_order: bool,
}

/// `batch[start..end]` becomes `fresh[from..to]`.
#[derive(Clone, Copy, Debug)]
struct Edit {
    start: usize,
    end: usize,
    from: usize,
    to: usize,
    depth: u32,
}

impl Edit {
    /// The order of edits. What is put in at the end of a message stands before what comes at the
    /// same place in the message around it.
    fn key(&self) -> (usize, std::cmp::Reverse<u32>) {
        (self.start, std::cmp::Reverse(self.depth))
    }
}

/// A state to go back to.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    edits: usize,
    fresh: usize,
    growth: i64,
}

impl<'a> Editor<'a> {
    /// No changes to `batch` yet.
    #[must_use]
    pub const fn new(batch: &'a [u8]) -> Self {
        Self {
            batch,
            edits: Vec::new(),
            fresh: Vec::new(),
            growth: 0,
            depth: 0,
            in_order: true,
        }
    }

    /// The batch as a message.
    #[must_use]
    pub const fn batch(&self) -> Message<'a> {
        Message::new(self.batch)
    }

    /// Enters the message that `field` is: fields in it may be changed by `edit`, and only there.
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
        let note = self.edits.len();
        let before = self.growth;
        self.push(field.length_at, field.value_at, self.fresh.len());
        self.depth = self.depth.saturating_add(1);
        let result = edit(self, message);
        self.depth = self.depth.saturating_sub(1);
        if self.edits.len() == note.saturating_add(1) {
            // Without anything put in, the note took the length's own bytes out.
            self.growth = before;
            self.edits.truncate(note);
        } else {
            self.set_length(note, before, message.bytes().len());
        }
        result
    }

    /// Fills in the note of a message that was `length` bytes long.
    fn set_length(&mut self, note: usize, before: i64, length: usize) {
        let Some(edit) = self.edits.get_mut(note) else {
            return;
        };
        let removed = signed(edit.end.saturating_sub(edit.start));
        let inside = self.growth.saturating_sub(before).saturating_add(removed);
        let length = signed(length).saturating_add(inside);
        edit.from = self.fresh.len();
        put_varint(&mut self.fresh, u64::try_from(length).unwrap_or(0));
        edit.to = self.fresh.len();
        let put_in = signed(edit.to.saturating_sub(edit.from));
        self.growth = self.growth.saturating_add(put_in);
    }

    /// Takes a field out of the message that is entered.
    pub fn remove(&mut self, field: &Field<'a>) {
        self.push(field.start, field.end, self.fresh.len());
    }

    /// Gives a field another number. What is in it may be changed besides, behind this.
    pub fn renumber(&mut self, field: &Field<'a>, number: u32) {
        let from = self.fresh.len();
        let wire_type = match field.value {
            Value::Varint(_) => 0,
            Value::Fixed64(_) => 1,
            Value::Bytes(_) => 2,
            Value::Fixed32(_) => 5,
        };
        put_varint(&mut self.fresh, u64::from(number) << 3 | wire_type);
        self.push(field.start, field.length_at, from);
    }

    /// Puts other fields in the place of one.
    pub fn replace(&mut self, field: &Field<'a>, fill: impl FnOnce(&mut Writer<'_>)) {
        let from = self.write(fill);
        self.push(field.start, field.end, from);
    }

    /// Puts fields at the end of the message that is entered.
    pub fn append(&mut self, message: Message<'a>, fill: impl FnOnce(&mut Writer<'_>)) {
        let from = self.write(fill);
        self.push(message.end(), message.end(), from);
    }

    fn write(&mut self, fill: impl FnOnce(&mut Writer<'_>)) -> usize {
        let from = self.fresh.len();
        fill(&mut Writer::new(&mut self.fresh));
        from
    }

    /// Notes that `batch[start..end]` becomes all that is fresh since `from`.
    fn push(&mut self, start: usize, end: usize, from: usize) {
        let to = self.fresh.len();
        let edit = Edit {
            start,
            end,
            from,
            to,
            depth: self.depth,
        };
        let last = self.edits.last();
        self.in_order &= last.is_none_or(|last| last.key() <= edit.key());
        let put_in = signed(to.saturating_sub(from));
        let taken_out = signed(end.saturating_sub(start));
        self.growth = self.growth.saturating_add(put_in).saturating_sub(taken_out);
        self.edits.push(edit);
    }

    /// The changes so far, to go back to.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark {
            edits: self.edits.len(),
            fresh: self.fresh.len(),
            growth: self.growth,
        }
    }

    /// Forgets the changes since `mark`, which was made inside the same message.
    pub fn roll_back(&mut self, mark: Mark) {
        self.edits.truncate(mark.edits);
        self.fresh.truncate(mark.fresh);
        self.growth = mark.growth;
    }

    /// Whether something has changed since `mark`.
    #[must_use]
    pub fn changed_since(&self, mark: Mark) -> bool {
        self.edits.len() > mark.edits
    }

    /// The batch with its changes; itself, if there are none.
    #[must_use]
    pub fn finish(mut self) -> Cow<'a, [u8]> {
        if self.edits.is_empty() {
            return Cow::Borrowed(self.batch);
        }
        if !self.in_order {
            self.edits.sort_by_key(Edit::key);
        }
        let length = signed(self.batch.len()).saturating_add(self.growth);
        let mut out = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
        let mut at = 0;
        for edit in &self.edits {
            debug_assert!(at <= edit.start, "edits overlap at {}", edit.start);
            out.extend_from_slice(self.batch.get(at..edit.start).unwrap_or_default());
            out.extend_from_slice(self.fresh.get(edit.from..edit.to).unwrap_or_default());
            at = edit.end;
        }
        out.extend_from_slice(self.batch.get(at..).unwrap_or_default());
        Cow::Owned(out)
    }
}

/// No slice is longer than `isize::MAX`.
fn signed(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
