//! What was said of statements. Most differ from others in their data only, and what is left of one without
//! it, and its fingerprint, hold for all of its shape.

use pg_sql::shape::COMMENT;
use pg_sql::{RedactOptions, redact_and_fingerprint};

use crate::scan::{hexadecimal, is_plain, is_same};

/// Shapes remembered. One that is new takes the place of another.
const PLACES: usize = 64;
/// The longest statement that is remembered, in bytes.
const LONGEST: usize = 1024;

/// What was said of statements, by their shapes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Statements {
    /// Made when there is something to remember.
    places: Vec<Option<Said>>,
    /// The text asked for last, of which more than one thing is said, and where its shape is remembered.
    last: Vec<u8>,
    place: usize,
    /// Room for a shape.
    shape: Vec<u8>,
}

/// What there is to say of a statement.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    shape: Box<[u8]>,
    /// Without its data.
    pub(crate) redacted: Vec<u8>,
    /// 16 hex digits.
    pub(crate) fingerprint: [u8; 16],
    /// It may have a comment.
    pub(crate) commented: bool,
    /// JSON writes what is left of it as it is.
    pub(crate) plain: bool,
}

impl Said {
    /// What there is to say of a text of any shape.
    pub(crate) fn of(text: &[u8]) -> Self {
        let (redacted, fingerprint) = redact_and_fingerprint(text, &RedactOptions::default());
        Self {
            shape: Box::default(),
            plain: is_plain(&redacted.text),
            redacted: redacted.text,
            fingerprint: hexadecimal(fingerprint.0),
            commented: true,
        }
    }
}

impl Statements {
    /// What there is to say of a statement; `None` if it has no shape, so that nothing is remembered.
    pub(crate) fn say(&mut self, text: &[u8]) -> Option<&Said> {
        if text.len() > LONGEST {
            return None;
        }
        if text.is_empty() || !is_same(&self.last, text) {
            self.last.clear();
            if !pg_sql::shape(text, true, &mut self.shape) {
                return None;
            }
            self.remember(text)?;
            self.last.extend_from_slice(text);
        }
        self.places.get(self.place)?.as_ref()
    }

    /// Has the shape at hand, which is that of `text`, in its place.
    fn remember(&mut self, text: &[u8]) -> Option<()> {
        if self.places.is_empty() {
            self.places.resize(PLACES, None);
        }
        self.place = place(&self.shape);
        let place = self.places.get_mut(self.place)?;
        let known = place.as_ref();
        if known.is_none_or(|known| !is_same(&known.shape, &self.shape)) {
            *place = Some(Said {
                shape: self.shape.as_slice().into(),
                commented: self.shape.contains(&COMMENT),
                ..Said::of(text)
            });
        }
        Some(())
    }
}

/// Where a shape is remembered: its length, its beginning, its middle and its end tell.
fn place(shape: &[u8]) -> usize {
    let words = shape.as_chunks::<8>().0;
    let middle = words.get(words.len() / 2);
    let telling = [words.first(), middle, words.last()];
    let hash = telling
        .into_iter()
        .flatten()
        .fold(shape.len() as u64, |hash, word| {
            let mixed = hash.rotate_left(5) ^ u64::from_le_bytes(*word);
            mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        });
    (hash >> 32) as usize % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_differ_in_their_values_are_told_as_if_each_were_the_first() {
        let mut statements = Statements::default();
        for text in [
            "SELECT a FROM t WHERE b = 1",
            "SELECT a FROM t WHERE b = 22",
            "SELECT a FROM t WHERE b = 22",
            "SELECT a FROM t WHERE b = 'x'",
            "SELECT a FROM t WHERE b = 'yy' /* z */",
            "ALTER ROLE r PASSWORD 'x'",
            "ALTER ROLE r PASSWORD 'yy'",
            "SELECT 1",
            "",
        ] {
            for _ in 0..2 {
                let alone = Said::of(text.as_bytes());
                if let Some(said) = statements.say(text.as_bytes()) {
                    assert_eq!(said.redacted, alone.redacted, "{text}");
                    assert_eq!(said.fingerprint, alone.fingerprint, "{text}");
                }
            }
        }
    }
}
