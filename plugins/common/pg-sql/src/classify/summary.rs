//! OpenTelemetry's `db.query.summary`.
//!
//! Semantic conventions for database client spans, "Generating a summary of the query":
//! `{operation} {target} {target} {operation} ...` in the order of the text, as it was typed, cut at
//! 255 characters between words. Operations are commands (`SELECT`, `CREATE TABLE`), targets are
//! relations, functions in FROM and procedures of CALL; common table expressions are no targets.

use super::types::Classification;

/// The longest summary, in characters.
pub const MAX_SUMMARY: usize = 255;

/// A summary while the statement is read.
#[derive(Debug, Default)]
pub(crate) struct SummaryBuilder {
    text: String,
    characters: usize,
    full: bool,
}

impl SummaryBuilder {
    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// A key word as it was typed.
    pub(crate) fn operation(&mut self, word: &[u8]) {
        if let Ok(word) = std::str::from_utf8(word) {
            self.push(word);
        }
    }

    /// A name as it was typed.
    pub(crate) fn target(&mut self, name: &str) {
        self.push(name);
    }

    fn push(&mut self, word: &str) {
        let space = usize::from(!self.text.is_empty());
        let characters = self
            .characters
            .saturating_add(space)
            .saturating_add(word.chars().count());
        self.full |= characters > MAX_SUMMARY;
        if self.full {
            return;
        }
        if space > 0 {
            self.text.push(' ');
        }
        self.text.push_str(word);
        self.characters = characters;
    }

    pub(crate) fn finish(self) -> String {
        self.text
    }
}

impl Classification {
    /// The summary of the whole text: that of its one statement; of several, `BATCH` and the
    /// summary they share, or `BATCH` alone.
    #[must_use]
    pub fn summary(&self) -> String {
        let [first, others @ ..] = self.statements.as_slice() else {
            return String::new();
        };
        if others.is_empty() {
            return first.summary.clone();
        }
        let mut batch = SummaryBuilder::default();
        batch.push("BATCH");
        if others.iter().all(|other| other.summary == first.summary) {
            first.summary.split(' ').for_each(|word| batch.push(word));
        }
        batch.finish()
    }
}
