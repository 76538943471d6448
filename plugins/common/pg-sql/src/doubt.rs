//! Texts that the server refuses although their tokens look well: where one may have been misread.
//!
//! A quote that was closed too early turns what follows inside out: the data stands outside of quotes.
//! [`crate::redact`] and [`crate::classify()`] trust nothing from there on.

use crate::lexer::{Token, TokenKind};

/// Follows one text, token by token.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Doubts {
    /// The first string that ends in a backslash or runs into a word: `'it\'s'`, `'O'Brien'`.
    string: Option<usize>,
    statement: usize,
}

impl Doubts {
    #[inline]
    pub(crate) fn token(&mut self, token: Token, text: &[u8]) {
        match token.kind {
            kind if kind.is_string() => self.string(token, text),
            TokenKind::Punctuation if token.of(text) == b";" => self.statement = token.end,
            _ => {}
        }
    }

    fn string(&mut self, string: Token, text: &[u8]) {
        let runs_on = text
            .get(string.end)
            .is_some_and(|next| next.is_ascii_alphanumeric() || *next >= 0x80 || *next == b'_');
        if self.string.is_none() && (runs_on || string.of(text).ends_with(b"\\'")) {
            self.string = Some(string.start);
        }
    }

    /// Where the text may have been misread, once a quote or comment is never closed or bytes are met that
    /// are not the encoding's: from there on, what looks like names may be the inside of a literal.
    pub(crate) fn misread(&self) -> Option<usize> {
        self.string
    }

    /// Where the statement begins. A backslash outside of quotes means nothing to the server: such a
    /// statement is one of psql's commands (`\connect password=...`), or the data of a COPY.
    pub(crate) fn statement(&self) -> usize {
        self.statement
    }
}
