//! The lexer's tokens, numbered as the grammar's terminals. What a token is, [`crate::Lexer`] says; this
//! is what `src/backend/parser/parser.c` and `ScanKeywordLookup` are to the server's.
//!
//! White space and comments are left out, `U&` literals are joined with their UESCAPE clause as
//! `src/backend/parser/parser.c` does, and what the server's lexer would refuse becomes the one
//! token no rule accepts.

use super::tables::{
    BCONST, CARET, CLOSE, CLOSE_BRACKET, COLON, COLON_EQUALS, COMMA, DOT, DOT_DOT, END, EQUAL,
    EQUALS_GREATER, FCONST, FIRST_KEYWORD, GREATER, ICONST, IDENT, KEYWORD_BUCKETS, KEYWORDS, LESS,
    MINUS, NCHAR, OP, OPEN, OPEN_BRACKET, OTHER, PARAM, PERCENT, PLUS, SCONST, SEMICOLON, SLASH,
    STAR, TYPECAST, UESCAPE,
};
use crate::doubt::Doubts;
use crate::lexer::{Fault, Lexer, LexerOptions, TokenKind};
use std::ops::Range;

/// A token: its terminal and where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    pub(crate) terminal: u16,
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// The escape character of a `U&` literal, 0 for all others.
    pub(crate) escape: u8,
}

impl Token {
    pub(crate) fn range(&self) -> Range<usize> {
        self.start..self.end
    }
}

/// Reads a text token by token; past its end it gives `END` for ever.
pub(crate) struct Terminals<'t> {
    text: &'t [u8],
    lexer: Lexer<'t>,
    pushed_back: Option<Token>,
    doubts: Doubts,
    misread: Option<usize>,
}

/// The longest key word: `current_timestamp`.
const LONGEST_KEYWORD: usize = 17;

impl<'t> Terminals<'t> {
    pub(crate) fn new(text: &'t [u8], options: LexerOptions) -> Self {
        Self {
            text,
            lexer: Lexer::new(text, options),
            pushed_back: None,
            doubts: Doubts::default(),
            misread: None,
        }
    }

    /// From where on the tokens given may be the inside of a literal, once that is known.
    pub(crate) fn misread(&self) -> Option<usize> {
        self.misread
    }

    /// The next token, `U&` literals with their UESCAPE clause.
    pub(crate) fn next(&mut self) -> Token {
        let token = self.raw();
        if token.escape == 0 {
            token
        } else {
            self.with_escape(token)
        }
    }

    fn with_escape(&mut self, mut token: Token) -> Token {
        let clause = self.raw();
        if clause.terminal != UESCAPE {
            self.pushed_back = Some(clause);
            return token;
        }
        let character = self.raw();
        match self.text.get(character.range()).unwrap_or_default() {
            [b'\'', escape, b'\''] if is_escape_character(*escape) => token.escape = *escape,
            _ => token.terminal = OTHER,
        }
        token
    }

    fn raw(&mut self) -> Token {
        if let Some(token) = self.pushed_back.take() {
            return token;
        }
        loop {
            let Some(token) = self.lexer.next() else {
                let end = self.text.len();
                return Token {
                    terminal: END,
                    start: end,
                    end,
                    escape: 0,
                };
            };
            if token.kind.is_blank() && token.fault.is_none() {
                continue;
            }
            self.doubts.token(token, self.text);
            if token.fault == Some(Fault::Unterminated) {
                self.misread = self.doubts.misread();
            }
            let escape = match token.kind {
                TokenKind::UnicodeIdentifier | TokenKind::UnicodeString => b'\\',
                _ => 0,
            };
            let terminal = match token.fault {
                Some(_) => OTHER,
                None => terminal(token.kind, token.of(self.text)),
            };
            return Token {
                terminal,
                start: token.start,
                end: token.end,
                escape,
            };
        }
    }
}

fn terminal(kind: TokenKind, text: &[u8]) -> u16 {
    match kind {
        TokenKind::Word => keyword(text).unwrap_or(IDENT),
        TokenKind::Punctuation => punctuation(text),
        TokenKind::Operator => operator(text),
        TokenKind::QuotedIdentifier | TokenKind::UnicodeIdentifier => IDENT,
        TokenKind::String
        | TokenKind::EscapeString
        | TokenKind::UnicodeString
        | TokenKind::DollarString => SCONST,
        TokenKind::BitString | TokenKind::HexString => BCONST,
        TokenKind::Integer => ICONST,
        TokenKind::Decimal => FCONST,
        TokenKind::Parameter => PARAM,
        TokenKind::NationalPrefix => NCHAR,
        _ => OTHER,
    }
}

fn punctuation(text: &[u8]) -> u16 {
    match text {
        b"," => COMMA,
        b"." => DOT,
        b"(" => OPEN,
        b")" => CLOSE,
        b";" => SEMICOLON,
        b"[" => OPEN_BRACKET,
        b"]" => CLOSE_BRACKET,
        b"::" => TYPECAST,
        b":" => COLON,
        b":=" => COLON_EQUALS,
        b".." => DOT_DOT,
        _ => OTHER,
    }
}

fn operator(text: &[u8]) -> u16 {
    match text {
        b"*" => STAR,
        b"=" => EQUAL,
        b"+" => PLUS,
        b"-" => MINUS,
        b"<" => LESS,
        b">" => GREATER,
        b"/" => SLASH,
        b"%" => PERCENT,
        b"^" => CARET,
        b"=>" => EQUALS_GREATER,
        _ => OP,
    }
}

/// A key word's terminal. ASCII letters only are folded, as `ScanKeywordLookup` does.
fn keyword(word: &[u8]) -> Option<u16> {
    if word.len() > LONGEST_KEYWORD {
        return None;
    }
    let hash = word.iter().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0193)
    });
    let mut slot = usize::try_from(hash).unwrap_or(0);
    loop {
        let bucket = slot.checked_rem(KEYWORD_BUCKETS.len())?;
        let index = KEYWORD_BUCKETS.get(bucket)?.checked_sub(1)?;
        if KEYWORDS
            .get(usize::from(index))?
            .as_bytes()
            .eq_ignore_ascii_case(word)
        {
            return FIRST_KEYWORD.checked_add(index);
        }
        slot = slot.wrapping_add(1);
    }
}

/// `check_uescapechar` of `src/backend/parser/parser.c`.
fn is_escape_character(byte: u8) -> bool {
    let space = matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c);
    !(byte.is_ascii_hexdigit() || space || matches!(byte, b'+' | b'\'' | b'"'))
}
