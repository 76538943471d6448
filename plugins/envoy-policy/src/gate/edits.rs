//! What is to change in the bytes of one callback: noted while they are read, done at the end.
//!
//! A host shows the bytes of a callback in one buffer, of which this module reads a window at a
//! time. Most callbacks change nothing and cost nothing here.

/// Changes to one buffer, in ascending order of place.
#[derive(Debug, Default)]
pub struct Edits {
    edits: Vec<Edit>,
}

#[derive(Debug)]
struct Edit {
    /// Offset in the buffer as it came.
    at: usize,
    /// Bytes that go.
    dropped: usize,
    /// Bytes that stand in front of what follows.
    inserted: Vec<u8>,
}

impl Edits {
    /// Whether the buffer can stay as it is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.edits.clear();
    }

    /// `len` bytes from `at` on go.
    pub fn drop_bytes(&mut self, at: usize, len: usize) {
        if len == 0 {
            return;
        }
        if let Some(last) = self.edits.last_mut()
            && last.inserted.is_empty()
            && last.at.saturating_add(last.dropped) == at
        {
            last.dropped = last.dropped.saturating_add(len);
            return;
        }
        self.edits.push(Edit {
            at,
            dropped: len,
            inserted: Vec::new(),
        });
    }

    /// `bytes` come, in front of what stands at `at` and behind what has gone or come there before.
    pub fn insert(&mut self, at: usize, bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        if let Some(last) = self.edits.last_mut()
            && last.at.saturating_add(last.dropped) == at
        {
            if last.inserted.is_empty() {
                last.inserted = bytes;
            } else {
                last.inserted.extend_from_slice(&bytes);
            }
            return;
        }
        self.edits.push(Edit {
            at,
            dropped: 0,
            inserted: bytes,
        });
    }

    /// If all that changes stands at the beginning: how many bytes go there, and which come.
    #[must_use]
    pub fn as_prefix(&self) -> Option<(usize, &[u8])> {
        match self.edits.as_slice() {
            [edit] if edit.at == 0 && edit.dropped > 0 => Some((edit.dropped, &edit.inserted)),
            _ => None,
        }
    }

    /// The buffer as it shall be.
    #[must_use]
    pub fn apply(&self, buffer: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(buffer.len());
        let mut done = 0;
        for edit in &self.edits {
            out.extend_from_slice(buffer.get(done..edit.at).unwrap_or_default());
            out.extend_from_slice(&edit.inserted);
            done = edit.at.saturating_add(edit.dropped);
        }
        out.extend_from_slice(buffer.get(done..).unwrap_or_default());
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_go_and_come_where_they_were_noted() {
        let mut edits = Edits::default();
        edits.drop_bytes(0, 2);
        edits.drop_bytes(2, 1);
        edits.insert(3, b"X".to_vec());
        edits.insert(3, b"Y".to_vec());
        edits.insert(5, b"Z".to_vec());
        edits.drop_bytes(7, 3);
        assert_eq!(edits.apply(b"0123456789"), b"XY34Z56");
    }

    #[test]
    fn only_a_change_of_the_beginning_is_a_prefix() {
        let mut edits = Edits::default();
        edits.drop_bytes(0, 3);
        edits.insert(3, b"abc".to_vec());
        assert_eq!(edits.as_prefix(), Some((3, b"abc".as_slice())));
        edits.drop_bytes(5, 1);
        assert_eq!(edits.as_prefix(), None);
    }
}
