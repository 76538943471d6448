//! A Query text, cut into statements where the server cuts it.

use std::ops::Range;

use crate::lexer::{Lexer, LexerOptions, Token, TokenKind};

/// The statements of a text, each without its `;` and without blanks around it, comments kept.
///
/// A `;` does not end a statement inside parentheses (a rule with several actions) or inside the
/// `BEGIN ATOMIC` ... `END` of a routine. An empty statement is left out, as the server leaves it out.
#[must_use]
pub fn split(text: &[u8], options: &LexerOptions) -> Vec<Range<usize>> {
    let mut splitter = Splitter::default();
    let mut statements = Vec::new();
    let mut start = 0;
    for token in Lexer::new(text, *options) {
        if splitter.ends_at(token, text) {
            statements.extend(splitter.take().then(|| trimmed(text, start..token.start)));
            start = token.end;
        }
    }
    statements.extend(splitter.take().then(|| trimmed(text, start..text.len())));
    statements
}

/// Without the blanks around it (`CleanQuerytext` in `queryjumblefuncs.c`).
fn trimmed(text: &[u8], range: Range<usize>) -> Range<usize> {
    let inside = text.get(range.clone()).unwrap_or_default();
    let is_blank = |byte: &&u8| matches!(**byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c);
    let before = inside.iter().take_while(is_blank).count();
    let behind = inside.iter().rev().take_while(is_blank).count();
    let start = range.start.saturating_add(before);
    start..range.end.saturating_sub(behind).max(start)
}

/// What the statement that is being read is known to be.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Verb {
    #[default]
    Unread,
    Create,
    Other,
}

#[derive(Debug, Default)]
struct Splitter {
    verb: Verb,
    parentheses: usize,
    /// BEGIN ATOMIC and CASE that no END has closed.
    blocks: usize,
    /// The token before was `BEGIN` of a CREATE.
    begin: bool,
    /// The token before was AS or a dot: what follows is a name.
    name_follows: bool,
}

impl Splitter {
    /// Whether a statement ends at this token.
    fn ends_at(&mut self, token: Token, text: &[u8]) -> bool {
        let bytes = token.of(text);
        match (token.kind, bytes) {
            (kind, _) if kind.is_blank() => return false,
            (TokenKind::Punctuation, b";") if self.parentheses == 0 && self.blocks == 0 => {
                return true;
            }
            (TokenKind::Punctuation, b"(") => self.parentheses = self.parentheses.saturating_add(1),
            (TokenKind::Punctuation, b")") => self.parentheses = self.parentheses.saturating_sub(1),
            (TokenKind::Word, word) if self.verb == Verb::Create && !self.name_follows => {
                self.word(word);
            }
            _ => {}
        }
        let is = |known: &str| bytes.eq_ignore_ascii_case(known.as_bytes());
        if self.verb == Verb::Unread {
            self.verb = if is("create") {
                Verb::Create
            } else {
                Verb::Other
            };
        }
        self.begin = self.verb == Verb::Create && is("begin");
        self.name_follows = is("as") || bytes == b".";
        false
    }

    /// A word of a CREATE.
    fn word(&mut self, word: &[u8]) {
        let is = |known: &str| word.eq_ignore_ascii_case(known.as_bytes());
        if (self.begin && is("atomic")) || (self.blocks > 0 && is("case")) {
            self.blocks = self.blocks.saturating_add(1);
        } else if is("end") {
            self.blocks = self.blocks.saturating_sub(1);
        }
    }

    /// Starts anew; whether there was a statement.
    fn take(&mut self) -> bool {
        std::mem::take(self).verb != Verb::Unread
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_where_the_server_ends_them() {
        for (text, statements) in [
            ("", &[][..]),
            (" ; /* c */ ;", &[]),
            ("a;b", &["a", "b"]),
            (
                "-- c\n a /* d */ ;; b -- e",
                &["-- c\n a /* d */", "b -- e"],
            ),
            ("';' ; \";\"; $$;$$", &["';'", "\";\"", "$$;$$"]),
            (
                "create rule r as on insert to t do (select 1; select 2); x",
                &[
                    "create rule r as on insert to t do (select 1; select 2)",
                    "x",
                ],
            ),
            (
                "create function f() returns int begin atomic select case when a then 1 end; \
                 select 1 as end; end; x",
                &[
                    "create function f() returns int begin atomic select case when a then 1 end; \
                     select 1 as end; end",
                    "x",
                ],
            ),
            ("begin; x; end; y", &["begin", "x", "end", "y"]),
        ] {
            let options = LexerOptions::default();
            let found: Vec<_> = split(text.as_bytes(), &options)
                .into_iter()
                .map(|range| text.get(range).expect("ranges of the text"))
                .collect();
            assert_eq!(found, statements, "{text}");
        }
    }
}
