//! Just enough of SQL's lexical structure to find words and the ends of statements (PostgreSQL
//! docs: "Lexical Structure"). A text may be cut anywhere.

/// One piece of SQL text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Token<'a> {
    /// An identifier or keyword; a quoted identifier with its quotes.
    Word(&'a [u8]),
    /// `;`
    Semicolon,
    Open,
    Close,
    /// Anything else that is not blank: a literal, a number, an operator.
    Other,
}

/// The tokens of a text, blanks and comments left out.
pub(super) struct Tokens<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.skip_blanks();
        let first = *self.rest.first()?;
        let second = self.rest.get(1).copied();
        Some(match first {
            b';' => self.single(Token::Semicolon),
            b'(' => self.single(Token::Open),
            b')' => self.single(Token::Close),
            b'\'' => {
                self.quoted(1, b'\'', false);
                Token::Other
            }
            b'e' | b'E' if second == Some(b'\'') => {
                self.quoted(2, b'\'', true);
                Token::Other
            }
            b'"' => Token::Word(self.quoted(1, b'"', false)),
            b'$' => {
                self.dollar();
                Token::Other
            }
            byte if is_word(byte) => {
                let end = self
                    .rest
                    .iter()
                    .position(|byte| !is_word(*byte) && *byte != b'$');
                Token::Word(self.take(end.unwrap_or(self.rest.len())))
            }
            _ => self.single(Token::Other),
        })
    }
}

impl<'a> Tokens<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .unwrap_or((self.rest, &[]));
        self.rest = rest;
        taken
    }

    fn single(&mut self, token: Token<'a>) -> Token<'a> {
        self.take(1);
        token
    }

    fn skip_blanks(&mut self) {
        loop {
            match self.rest {
                [b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c, rest @ ..] => self.rest = rest,
                [b'-', b'-', ..] => {
                    let end = self
                        .rest
                        .iter()
                        .position(|byte| matches!(byte, b'\n' | b'\r'));
                    self.take(end.unwrap_or(self.rest.len()));
                }
                [b'/', b'*', ..] => self.skip_comment(),
                _ => return,
            }
        }
    }

    /// Comments nest.
    fn skip_comment(&mut self) {
        let mut depth: usize = 0;
        loop {
            match self.rest {
                [b'/', b'*', rest @ ..] => {
                    depth = depth.saturating_add(1);
                    self.rest = rest;
                }
                [b'*', b'/', rest @ ..] => {
                    depth = depth.saturating_sub(1);
                    self.rest = rest;
                    if depth == 0 {
                        return;
                    }
                }
                [_, rest @ ..] => self.rest = rest,
                [] => return,
            }
        }
    }

    /// Up to the closing quote; a doubled one stands for itself.
    fn quoted(&mut self, prefix: usize, quote: u8, backslash: bool) -> &'a [u8] {
        let whole = self.rest;
        self.take(prefix);
        loop {
            match self.rest {
                [b'\\', _, rest @ ..] if backslash => self.rest = rest,
                [first, second, rest @ ..] if *first == quote && *second == quote => {
                    self.rest = rest;
                }
                [first, rest @ ..] if *first == quote => {
                    self.rest = rest;
                    break;
                }
                [_, rest @ ..] => self.rest = rest,
                [] => break,
            }
        }
        whole
            .get(..whole.len().saturating_sub(self.rest.len()))
            .unwrap_or(whole)
    }

    /// `$tag$ ... $tag$`, or a parameter.
    fn dollar(&mut self) {
        let tag = self.rest.get(1..).unwrap_or_default();
        let end = tag
            .iter()
            .position(|byte| !is_word(*byte))
            .unwrap_or(tag.len());
        let starts_with_digit = tag.first().is_some_and(u8::is_ascii_digit);
        if starts_with_digit || tag.get(end) != Some(&b'$') {
            self.take(end.saturating_add(1));
            return;
        }
        let delimiter = self.take(end.saturating_add(2));
        let close = self
            .rest
            .windows(delimiter.len())
            .position(|window| window == delimiter);
        let length = close.map_or(self.rest.len(), |at| at.saturating_add(delimiter.len()));
        self.take(length);
    }
}

/// Letters, digits, `_` and whatever is not ASCII.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// The statements of a text, without those that are empty.
pub(super) struct Statements<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Iterator for Statements<'a> {
    type Item = &'a [u8];

    /// A `;` ends a statement unless it stands in parentheses (CREATE RULE) or in the body of a
    /// SQL function (`BEGIN ATOMIC ... END`), as in psql's own splitting.
    fn next(&mut self) -> Option<&'a [u8]> {
        let mut tokens = Tokens { rest: self.rest };
        let (mut parentheses, mut bodies): (usize, usize) = (0, 0);
        let mut before: &[u8] = &[];
        let mut start = None;
        loop {
            let here = tokens.rest;
            let Some(token) = tokens.next() else { break };
            if token == Token::Semicolon && parentheses == 0 && bodies == 0 {
                match start {
                    None => continue,
                    Some(start) => {
                        self.rest = tokens.rest;
                        return Some(until(start, here));
                    }
                }
            }
            start = start.or(Some(here));
            match token {
                Token::Open => parentheses = parentheses.saturating_add(1),
                Token::Close => parentheses = parentheses.saturating_sub(1),
                Token::Word(word) if bodies > 0 && word.eq_ignore_ascii_case(b"CASE") => {
                    bodies = bodies.saturating_add(1);
                }
                Token::Word(word) if bodies > 0 && word.eq_ignore_ascii_case(b"END") => {
                    bodies = bodies.saturating_sub(1);
                }
                Token::Word(word)
                    if word.eq_ignore_ascii_case(b"ATOMIC")
                        && before.eq_ignore_ascii_case(b"BEGIN") =>
                {
                    bodies = bodies.saturating_add(1);
                }
                _ => {}
            }
            before = if let Token::Word(word) = token {
                word
            } else {
                &[]
            };
        }
        self.rest = &[];
        start
    }
}

/// What of `text` stands before `rest`, its own end.
fn until<'a>(text: &'a [u8], rest: &[u8]) -> &'a [u8] {
    text.get(..text.len().saturating_sub(rest.len()))
        .unwrap_or(text)
}
