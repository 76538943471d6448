//! Tokens of a SQL text, exactly as the server's `src/backend/parser/scan.l` sees them: the ground
//! all else in this crate stands on.
//!
//! Total: any bytes are tokens, the tokens tile the text, and what the server would refuse says so in
//! [`Token::fault`]. One pass, no recursion, nothing allocated. Numbers are read by the rules of
//! PostgreSQL 16 and up; whatever 15 reads differently, it refuses.

use crate::encoding::Encoding;

/// Settings of the session that decide how its texts are read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LexerOptions {
    /// `standard_conforming_strings`: whether a backslash in `'...'` is an ordinary character.
    pub standard_conforming_strings: bool,
    /// Whether `\'` may stand in a string that knows escapes: `backslash_quote` is `on`, or it is
    /// `safe_encoding` and `client_encoding` is ASCII-safe. Otherwise the server refuses the text.
    pub backslash_quote: bool,
    /// `client_encoding`.
    pub encoding: Encoding,
}

impl Default for LexerOptions {
    /// The server's defaults.
    fn default() -> Self {
        Self {
            standard_conforming_strings: true,
            backslash_quote: true,
            encoding: Encoding::Utf8,
        }
    }
}

/// What a token is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum TokenKind {
    /// Blanks, tabs, newlines, form feeds, vertical tabs.
    Whitespace,
    /// `-- ...`, without its newline.
    LineComment,
    /// `/* ... */`; they nest.
    BlockComment,
    /// A key word or an unquoted identifier.
    Word,
    /// `"..."`.
    QuotedIdentifier,
    /// `U&"..."`, without a `UESCAPE` behind it.
    UnicodeIdentifier,
    /// `'...'`; escapes count in it when `standard_conforming_strings` is off. As all quoted
    /// literals but the dollar-quoted, it goes on behind a newline: `'a'<newline>'b'` is one.
    String,
    /// `E'...'`.
    EscapeString,
    /// `U&'...'`, without a `UESCAPE` behind it.
    UnicodeString,
    /// `B'...'`.
    BitString,
    /// `X'...'`.
    HexString,
    /// `$tag$...$tag$`.
    DollarString,
    /// The `N` of `N'...'`, which the server reads as the word NCHAR; the string follows.
    NationalPrefix,
    /// `42`, `0x2A`, `1_000`.
    Integer,
    /// `1.5`, `.5`, `1e3`.
    Decimal,
    /// `$1`.
    Parameter,
    /// One or more of ``~!@#^&|`?+-*/%<>=``.
    Operator,
    /// `, ( ) [ ] . ; :` and `:: .. :=`.
    Punctuation,
    /// Any other byte; no rule of the grammar takes it.
    Other,
}

impl TokenKind {
    /// Whether the grammar never sees it.
    #[must_use]
    pub const fn is_blank(self) -> bool {
        matches!(
            self,
            Self::Whitespace | Self::LineComment | Self::BlockComment
        )
    }

    /// Whether it is a string of any form: what it says is data.
    #[must_use]
    pub const fn is_string(self) -> bool {
        matches!(
            self,
            Self::String
                | Self::EscapeString
                | Self::UnicodeString
                | Self::BitString
                | Self::HexString
                | Self::DollarString
        )
    }

    /// Whether it is a string or a number.
    #[must_use]
    pub const fn is_literal(self) -> bool {
        self.is_string() || matches!(self, Self::Integer | Self::Decimal)
    }
}

/// Why the server would refuse a text at a token.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Fault {
    /// A quote or comment is never closed; the token reaches to the end of the text.
    Unterminated,
    /// A number or parameter runs into letters: `12ab`, `0xZ`, `1e+`, `$1x`.
    Junk,
    /// `\'` although `backslash_quote` forbids it, or `U&'...'` without
    /// `standard_conforming_strings`.
    UnsafeString,
    /// `""`.
    EmptyIdentifier,
    /// An operator of 64 bytes or more (`NAMEDATALEN`).
    LongOperator,
}

/// One token: `text[start..end]`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Set where the server refuses it.
    pub fault: Option<Fault>,
    /// Offset of its first byte.
    pub start: usize,
    /// Offset behind its last byte.
    pub end: usize,
}

impl Token {
    /// Its bytes, given the text it was read from.
    #[must_use]
    pub fn of<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        text.get(self.start..self.end).unwrap_or_default()
    }
}

const SPACE: u8 = 1;
const WORD_START: u8 = 1 << 1;
const DIGIT: u8 = 1 << 2;
const WORD: u8 = 1 << 3;
const OPERATOR: u8 = 1 << 4;
/// Operator characters that standard SQL does not use: they allow `+` and `-` at the end.
const UNCOMMON: u8 = 1 << 5;
const HEX: u8 = 1 << 6;
const TAG: u8 = 1 << 7;

static CLASSES: [u8; 256] = classes();

#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // evaluated by the compiler
const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => SPACE,
            b'a'..=b'f' | b'A'..=b'F' => WORD_START | WORD | HEX | TAG,
            b'g'..=b'z' | b'G'..=b'Z' | b'_' | 0x80..=0xff => WORD_START | WORD | TAG,
            b'0'..=b'9' => DIGIT | WORD | HEX | TAG,
            b'$' => WORD,
            b'~' | b'!' | b'@' | b'#' | b'^' | b'&' | b'|' | b'`' | b'?' | b'%' => {
                OPERATOR | UNCOMMON
            }
            b'+' | b'-' | b'*' | b'/' | b'<' | b'>' | b'=' => OPERATOR,
            _ => 0,
        };
        byte += 1;
    }
    classes
}

#[inline(always)]
fn class(byte: u8) -> u8 {
    CLASSES.get(usize::from(byte)).copied().unwrap_or(0)
}

#[inline(always)]
fn is(byte: u8, wanted: u8) -> bool {
    class(byte) & wanted != 0
}

/// The shortest operator the server refuses (`NAMEDATALEN`).
const LONG_OPERATOR: usize = 64;

/// Reads a text token by token.
#[derive(Clone, Debug)]
pub struct Lexer<'t> {
    text: &'t [u8],
    options: LexerOptions,
    at: usize,
    /// Up to here, a run of operator characters is known to be single signs: what keeps a long run
    /// of `+` linear.
    signs_until: usize,
}

/// What was read behind the first byte of a token.
type Shape = (TokenKind, Option<Fault>, usize);

impl<'t> Lexer<'t> {
    /// Starts at the first byte.
    #[must_use]
    pub const fn new(text: &'t [u8], options: LexerOptions) -> Self {
        Self {
            text,
            options,
            at: 0,
            signs_until: 0,
        }
    }

    #[inline(always)]
    fn byte(&self, at: usize) -> Option<u8> {
        self.text.get(at).copied()
    }

    /// The first offset from `at` on whose character does not satisfy `class`.
    #[inline(always)]
    fn past(&self, mut at: usize, class: impl Fn(u8) -> bool) -> usize {
        if self.options.encoding.is_ascii_safe() {
            while let Some(&byte) = self.text.get(at) {
                if !class(byte) {
                    break;
                }
                at = at.wrapping_add(1);
            }
            return at;
        }
        self.past_characters(at, &class)
    }

    #[cold]
    fn past_characters(&self, mut at: usize, class: &dyn Fn(u8) -> bool) -> usize {
        while let Some(byte) = self.byte(at)
            && class(byte)
        {
            at = self.behind_character(at);
        }
        at
    }

    /// Behind the character at `at`, at most the end of the text.
    fn behind_character(&self, at: usize) -> usize {
        let first = self.byte(at).unwrap_or(0);
        let second = self.byte(at.wrapping_add(1));
        let length = self.options.encoding.length(first, second);
        at.wrapping_add(length).min(self.text.len())
    }

    #[inline(always)]
    fn read(&mut self, first: u8) -> Shape {
        let start = self.at;
        let next = start.wrapping_add(1);
        let second = self.byte(next);
        match first {
            b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => {
                let end = self.past(next, |byte| is(byte, SPACE));
                (TokenKind::Whitespace, None, end)
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => self.word(first, second),
            b',' | b'(' | b')' | b'[' | b']' | b';' => (TokenKind::Punctuation, None, next),
            b'0'..=b'9' => self.number(start),
            b'\'' if self.options.standard_conforming_strings => {
                self.quoted(TokenKind::String, next)
            }
            b'\'' => self.escaped(TokenKind::String, next),
            b'"' => self.delimited(TokenKind::QuotedIdentifier, next),
            b'.' => match second {
                Some(b'0'..=b'9') => self.fraction(start),
                Some(b'.') => (TokenKind::Punctuation, None, next.wrapping_add(1)),
                _ => (TokenKind::Punctuation, None, next),
            },
            b':' => match second {
                Some(b':' | b'=') => (TokenKind::Punctuation, None, next.wrapping_add(1)),
                _ => (TokenKind::Punctuation, None, next),
            },
            b'$' => self.dollar(next),
            b'+' | b'-' if start < self.signs_until => (TokenKind::Operator, None, next),
            b'-' if second == Some(b'-') => {
                let end = self.past(next, |byte| !matches!(byte, b'\n' | b'\r'));
                (TokenKind::LineComment, None, end)
            }
            b'/' if second == Some(b'*') => self.block_comment(next.wrapping_add(1)),
            _ if is(first, OPERATOR) => self.operator(),
            _ => (TokenKind::Other, None, next),
        }
    }

    #[inline(always)]
    fn word(&self, first: u8, second: Option<u8>) -> Shape {
        let next = self.at.wrapping_add(1);
        match (first, second) {
            (_, Some(b'\'')) => {
                if let Some(shape) = self.prefixed(first, next.wrapping_add(1)) {
                    return shape;
                }
            }
            (b'u' | b'U', Some(b'&')) => {
                if let Some(shape) = self.unicode(next.wrapping_add(2)) {
                    return shape;
                }
            }
            _ => {}
        }
        // From the first byte on, which may begin a character of several.
        let end = self.past(self.at, |byte| is(byte, WORD));
        (TokenKind::Word, None, end)
    }

    /// `E'`, `B'`, `X'`, `N'`; `at` is behind the quote.
    #[inline(never)]
    fn prefixed(&self, prefix: u8, at: usize) -> Option<Shape> {
        match prefix {
            b'e' | b'E' => Some(self.escaped(TokenKind::EscapeString, at)),
            b'b' | b'B' => Some(self.digits_in_quotes(TokenKind::BitString, at)),
            b'x' | b'X' => Some(self.digits_in_quotes(TokenKind::HexString, at)),
            b'n' | b'N' => Some((TokenKind::NationalPrefix, None, at.wrapping_sub(1))),
            _ => None,
        }
    }

    /// `U&'` and `U&"`; `at` is behind the quote. `U&` alone is a word and an operator.
    #[inline(never)]
    fn unicode(&self, at: usize) -> Option<Shape> {
        match self.byte(at.wrapping_sub(1))? {
            b'\'' => {
                let (kind, fault, end) = self.quoted(TokenKind::UnicodeString, at);
                let refused = !self.options.standard_conforming_strings;
                let fault = fault.or(refused.then_some(Fault::UnsafeString));
                Some((kind, fault, end))
            }
            b'"' => Some(self.delimited(TokenKind::UnicodeIdentifier, at)),
            _ => None,
        }
    }

    /// A string without escapes, from behind its opening quote.
    #[inline(always)]
    fn quoted(&self, kind: TokenKind, mut at: usize) -> Shape {
        loop {
            at = self.past(at, |byte| byte != b'\'').wrapping_add(1);
            if at > self.text.len() {
                return (kind, Some(Fault::Unterminated), self.text.len());
            }
            match self.behind_quote(at) {
                Some(inside) => at = inside,
                None => return (kind, None, at),
            }
        }
    }

    /// A string with escapes, from behind its opening quote.
    #[inline(never)]
    fn escaped(&self, kind: TokenKind, mut at: usize) -> Shape {
        let mut fault = None;
        loop {
            at = self.past(at, |byte| !matches!(byte, b'\'' | b'\\'));
            let found = self.byte(at);
            at = at.wrapping_add(1);
            match found {
                None => return (kind, Some(Fault::Unterminated), self.text.len()),
                Some(b'\\') => {
                    if self.byte(at) == Some(b'\'') && !self.options.backslash_quote {
                        fault = fault.or(Some(Fault::UnsafeString));
                    }
                    at = self.behind_character(at);
                }
                Some(_) => match self.behind_quote(at) {
                    Some(inside) => at = inside,
                    None => return (kind, fault, at),
                },
            }
        }
    }

    /// `B'...'` and `X'...'`, in which a quote cannot be doubled.
    #[inline(never)]
    fn digits_in_quotes(&self, kind: TokenKind, mut at: usize) -> Shape {
        loop {
            at = self.past(at, |byte| byte != b'\'').wrapping_add(1);
            if at > self.text.len() {
                return (kind, Some(Fault::Unterminated), self.text.len());
            }
            match self.continuation(at) {
                Some(inside) => at = inside,
                None => return (kind, None, at),
            }
        }
    }

    /// Behind a quote inside a string: where the string goes on, or None when the quote closed it.
    #[inline(always)]
    fn behind_quote(&self, at: usize) -> Option<usize> {
        match self.byte(at)? {
            b'\'' => Some(at.wrapping_add(1)),
            b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c | b'-' => self.continuation(at),
            _ => None,
        }
    }

    /// `{quotecontinue}`: white space with a newline in it (`--` comments count as such), then a
    /// quote. Gives the offset behind that quote.
    #[inline(never)]
    fn continuation(&self, mut at: usize) -> Option<usize> {
        let mut newline = false;
        loop {
            match self.byte(at)? {
                b'\n' | b'\r' => newline = true,
                b' ' | b'\t' | 0x0b | 0x0c => {}
                b'-' if self.byte(at.wrapping_add(1)) == Some(b'-') => {
                    at = self.past(at, |byte| !matches!(byte, b'\n' | b'\r'));
                    continue;
                }
                b'\'' if newline => return Some(at.wrapping_add(1)),
                _ => return None,
            }
            at = at.wrapping_add(1);
        }
    }

    /// `"..."`, from behind its opening quote.
    #[inline(never)]
    fn delimited(&self, kind: TokenKind, start: usize) -> Shape {
        let mut at = start;
        loop {
            at = self.past(at, |byte| byte != b'"').wrapping_add(1);
            if at > self.text.len() {
                return (kind, Some(Fault::Unterminated), self.text.len());
            }
            if self.byte(at) != Some(b'"') {
                let empty = at == start.wrapping_add(1);
                return (kind, empty.then_some(Fault::EmptyIdentifier), at);
            }
            at = at.wrapping_add(1);
        }
    }

    /// `$1`, `$tag$...$tag$`, or a `$` that means nothing; `at` is behind the `$`.
    #[inline(never)]
    fn dollar(&self, at: usize) -> Shape {
        match self.byte(at) {
            Some(b'0'..=b'9') => {
                let end = self.past(at, |byte| is(byte, DIGIT));
                self.or_junk(TokenKind::Parameter, end)
            }
            Some(byte) if byte == b'$' || is(byte, WORD_START) => {
                let tag_end = self.past(at, |byte| is(byte, TAG));
                if self.byte(tag_end) != Some(b'$') {
                    return (TokenKind::Other, None, at);
                }
                let tag = self.text.get(at..tag_end).unwrap_or_default();
                self.dollar_quoted(tag, tag_end.wrapping_add(1))
            }
            _ => (TokenKind::Other, None, at),
        }
    }

    /// A dollar-quoted string, from behind its opening tag.
    fn dollar_quoted(&self, tag: &[u8], mut at: usize) -> Shape {
        const KIND: TokenKind = TokenKind::DollarString;
        loop {
            at = self.past(at, |byte| byte != b'$').wrapping_add(1);
            let Some(rest) = self.text.get(at..) else {
                return (KIND, Some(Fault::Unterminated), self.text.len());
            };
            if let Some([b'$', ..]) = rest.strip_prefix(tag) {
                return (KIND, None, at.wrapping_add(tag.len()).wrapping_add(1));
            }
        }
    }

    /// A comment, from behind its `/*`.
    #[inline(never)]
    fn block_comment(&self, mut at: usize) -> Shape {
        const KIND: TokenKind = TokenKind::BlockComment;
        let mut depth: usize = 1;
        loop {
            at = self.past(at, |byte| !matches!(byte, b'*' | b'/'));
            let found = self.byte(at);
            at = at.wrapping_add(1);
            match (found, self.byte(at)) {
                (None, _) => return (KIND, Some(Fault::Unterminated), self.text.len()),
                (Some(b'*'), Some(b'/')) => {
                    at = at.wrapping_add(1);
                    depth = depth.wrapping_sub(1);
                    if depth == 0 {
                        return (KIND, None, at);
                    }
                }
                (Some(b'/'), Some(b'*')) => {
                    at = at.wrapping_add(1);
                    depth = depth.wrapping_add(1);
                }
                _ => {}
            }
        }
    }

    #[inline(never)]
    fn operator(&mut self) -> Shape {
        const KIND: TokenKind = TokenKind::Operator;
        let start = self.at;
        let mut end = start;
        // Behind the last byte that is no sign, or behind the first byte.
        let mut unsigned_end = start.wrapping_add(1);
        let mut seen = 0;
        while let Some(byte) = self.byte(end) {
            let following = self.byte(end.wrapping_add(1));
            let comment = matches!((byte, following), (b'/', Some(b'*')) | (b'-', Some(b'-')));
            if comment || !is(byte, OPERATOR) {
                break;
            }
            seen |= class(byte);
            end = end.wrapping_add(1);
            if !matches!(byte, b'+' | b'-') {
                unsigned_end = end;
            }
        }
        if seen & UNCOMMON == 0 {
            self.signs_until = end;
            end = unsigned_end;
        }
        let long = end.wrapping_sub(start) >= LONG_OPERATOR;
        (KIND, long.then_some(Fault::LongOperator), end)
    }

    /// A number that starts with a digit.
    #[inline(always)]
    fn number(&self, start: usize) -> Shape {
        let next = start.wrapping_add(1);
        if self.byte(start) == Some(b'0')
            && let Some(b'x' | b'X' | b'o' | b'O' | b'b' | b'B') = self.byte(next)
        {
            return self.radix(next);
        }
        let end = self.digits(start, |byte| is(byte, DIGIT));
        match (self.byte(end), self.byte(end.wrapping_add(1))) {
            // `1..2` is an integer, two dots and an integer.
            (Some(b'.'), following) if following != Some(b'.') => self.fraction(end),
            (Some(b'e' | b'E'), _) => self.exponent(TokenKind::Integer, end),
            _ => self.or_junk(TokenKind::Integer, end),
        }
    }

    /// From the decimal point on.
    #[inline(never)]
    fn fraction(&self, point: usize) -> Shape {
        let mut end = point.wrapping_add(1);
        if self.byte(end).is_some_and(|byte| is(byte, DIGIT)) {
            end = self.digits(end, |byte| is(byte, DIGIT));
        }
        match self.byte(end) {
            Some(b'e' | b'E') => self.exponent(TokenKind::Decimal, end),
            _ => self.or_junk(TokenKind::Decimal, end),
        }
    }

    /// From an `e` on, which is junk unless digits follow.
    #[inline(never)]
    fn exponent(&self, kind: TokenKind, at: usize) -> Shape {
        let mut digits = at.wrapping_add(1);
        let signed = matches!(self.byte(digits), Some(b'+' | b'-'));
        if signed {
            digits = digits.wrapping_add(1);
        }
        if self.byte(digits).is_some_and(|byte| is(byte, DIGIT)) {
            let end = self.digits(digits, |byte| is(byte, DIGIT));
            return self.or_junk(TokenKind::Decimal, end);
        }
        if signed {
            return (TokenKind::Decimal, Some(Fault::Junk), digits);
        }
        self.or_junk(kind, at)
    }

    /// `0x..`, `0o..`, `0b..`; `at` is at the letter.
    #[inline(never)]
    fn radix(&self, at: usize) -> Shape {
        let digit = match self.byte(at) {
            Some(b'x' | b'X') => |byte| is(byte, HEX),
            Some(b'o' | b'O') => |byte| matches!(byte, b'0'..=b'7'),
            _ => |byte| matches!(byte, b'0' | b'1'),
        };
        let end = self.digits(at, digit);
        // Junk is a zero and a word, when that is longer than the number.
        let word = self.past(at, |byte| is(byte, WORD));
        let junk = word > end || end == at.wrapping_add(1);
        (
            TokenKind::Integer,
            junk.then_some(Fault::Junk),
            word.max(end),
        )
    }

    /// `(_?{digit})*` behind the byte at `at`.
    #[inline(always)]
    fn digits(&self, at: usize, digit: impl Fn(u8) -> bool) -> usize {
        let mut end = at.wrapping_add(1);
        while let Some(byte) = self.byte(end) {
            if digit(byte) {
                end = end.wrapping_add(1);
            } else if byte == b'_' && self.byte(end.wrapping_add(1)).is_some_and(&digit) {
                end = end.wrapping_add(2);
            } else {
                break;
            }
        }
        end
    }

    /// Ends a number or parameter at `end`, or behind the word that follows without a blank.
    #[inline(always)]
    fn or_junk(&self, kind: TokenKind, end: usize) -> Shape {
        if !self.byte(end).is_some_and(|byte| is(byte, WORD_START)) {
            return (kind, None, end);
        }
        let end = self.past(end, |byte| is(byte, WORD));
        (kind, Some(Fault::Junk), end)
    }
}

impl Iterator for Lexer<'_> {
    type Item = Token;

    #[inline]
    fn next(&mut self) -> Option<Token> {
        let start = self.at;
        let first = self.byte(start)?;
        let (kind, fault, end) = self.read(first);
        self.at = end;
        Some(Token {
            kind,
            fault,
            start,
            end,
        })
    }
}

#[cfg(test)]
mod tests;
