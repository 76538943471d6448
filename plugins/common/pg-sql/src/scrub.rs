//! The one pass behind [`crate::redact`] and [`crate::fingerprint`]: what every token is to either.

use crate::canonical::Canonical;
use crate::doubt::Doubts;
use crate::encoding::Encoding;
use crate::lexer::{Fault, Lexer, LexerOptions, Token, TokenKind};
use crate::redact::Redactor;
use crate::settings::{Role, Settings};

/// Reads `text` into either or both of `redactor` and `canonical`, and returns how far it can be told
/// what the bytes are.
pub(crate) fn scrub(
    text: &[u8],
    options: LexerOptions,
    mut redactor: Option<&mut Redactor>,
    mut canonical: Option<&mut Canonical>,
) -> usize {
    let read = pass(
        text,
        options,
        redactor.as_deref_mut(),
        canonical.as_deref_mut(),
        false,
    );
    let doubtful = match read {
        Ok(lexed_to) => return lexed_to,
        Err(Doubtful(start)) => start,
    };
    redactor.iter_mut().for_each(|redactor| redactor.clear());
    canonical.iter_mut().for_each(|canonical| canonical.clear());
    let sure = text.get(..doubtful).unwrap_or_default();
    pass(sure, options, redactor, canonical, true).unwrap_or(doubtful)
}

/// The server refuses the text, and what stands behind this offset was read as if it would not.
struct Doubtful(usize);

/// One pass over a text, behind the end of which is more that cannot be read if it is `cut`.
fn pass(
    text: &[u8],
    options: LexerOptions,
    redactor: Option<&mut Redactor>,
    canonical: Option<&mut Canonical>,
    cut: bool,
) -> Result<usize, Doubtful> {
    let mut scrub = Scrub {
        text,
        settings: Settings::default(),
        behind_is: false,
        redactor,
        canonical,
    };
    let readable = readable(text, options.encoding);
    let mut doubts = Doubts::default();
    for token in Lexer::new(text, options) {
        let lost = matches!(token.fault, Some(Fault::Unterminated | Fault::UnsafeString));
        if lost || token.end > readable {
            if let Some(start) = doubts.misread() {
                return Err(Doubtful(start));
            }
            scrub.lost();
            return Ok(token.start);
        }
        doubts.token(token, text);
        if token.kind == TokenKind::Other && token.of(text) == b"\\" {
            return Err(Doubtful(doubts.statement()));
        }
        scrub.token(token);
    }
    if cut {
        scrub.lost();
    }
    Ok(text.len())
}

/// How many bytes of a text are characters of its encoding, up to a NUL, where it ends for the server.
fn readable(text: &[u8], encoding: Encoding) -> usize {
    let nul = text
        .contains(&0)
        .then(|| text.split(|byte| *byte == 0).next());
    encoding.admitted(nul.flatten().unwrap_or(text))
}

/// The end of the word at the front of `text` that `$` and digits end, and of these: how a constant
/// looks that [`crate::normalize`] replaced right behind a word (`date'2000-01-01'`).
fn glued_parameter(text: &[u8]) -> Option<(usize, usize)> {
    let mut from = 0;
    loop {
        let behind = text.get(from..)?;
        let dollar = from.wrapping_add(behind.iter().position(|byte| *byte == b'$')?);
        let digits = text.get(dollar.wrapping_add(1)..)?;
        let count = digits
            .iter()
            .position(|byte| !byte.is_ascii_digit())
            .unwrap_or(digits.len());
        from = dollar.wrapping_add(1).wrapping_add(count);
        if count > 0 {
            return Some((dollar, from));
        }
    }
}

/// A part of a token that is words and parameters.
#[derive(Clone, Copy)]
enum Part<'t> {
    Parameter,
    Word(&'t [u8]),
}

impl Part<'_> {
    fn role(self, settings: &mut Settings) -> Role {
        match self {
            Self::Parameter => settings.constant(),
            Self::Word(word) => settings.word(word),
        }
    }
}

/// The parts in their order, but for the N of what was `N'...'`: it is dropped like the prefix it was.
fn glued_parts(mut text: &[u8]) -> impl Iterator<Item = Part<'_>> {
    let next = move || {
        loop {
            let (word, behind) = glued_parameter(text).unwrap_or((text.len(), text.len()));
            let is_parameter = word == 0 && behind > 0;
            let end = if is_parameter { behind } else { word };
            let (part, rest) = text.split_at_checked(end).filter(|_| end > 0)?;
            text = rest;
            if is_parameter {
                return Some(Part::Parameter);
            }
            if rest.is_empty() || !part.eq_ignore_ascii_case(b"n") {
                return Some(Part::Word(part));
            }
        }
    };
    std::iter::from_fn(next)
}

fn is_truth(word: &[u8]) -> bool {
    match word.len() {
        4 => word.eq_ignore_ascii_case(b"true"),
        5 => word.eq_ignore_ascii_case(b"false"),
        _ => false,
    }
}

struct Scrub<'t, 'r> {
    text: &'t [u8],
    settings: Settings,
    /// Behind IS or IS NOT, where TRUE and FALSE belong to the operator.
    behind_is: bool,
    redactor: Option<&'r mut Redactor>,
    canonical: Option<&'r mut Canonical>,
}

impl Scrub<'_, '_> {
    fn lost(&mut self) {
        let role = self.settings.constant();
        if let Some(redactor) = &mut self.redactor {
            redactor.constant(role);
        }
        if let Some(canonical) = &mut self.canonical {
            canonical.constant();
        }
    }

    #[inline]
    fn token(&mut self, token: Token) {
        let text = token.of(self.text);
        if !(token.kind.is_blank() || token.kind == TokenKind::Word) {
            self.behind_is = false;
        }
        match token.kind {
            TokenKind::Whitespace => {
                if let Some(redactor) = &mut self.redactor {
                    redactor.blank(text);
                }
            }
            TokenKind::LineComment | TokenKind::BlockComment => {
                if let Some(redactor) = &mut self.redactor {
                    redactor.comment(text);
                }
            }
            TokenKind::NationalPrefix => {}
            TokenKind::Word => self.word(text),
            TokenKind::QuotedIdentifier | TokenKind::UnicodeIdentifier => {
                let role = self.settings.word(text);
                self.keep(text, role);
                match (&mut self.canonical, role) {
                    (Some(canonical), Role::Plain) => canonical.quoted(text),
                    (Some(canonical), _) => canonical.constant(),
                    (None, _) => {}
                }
            }
            TokenKind::Parameter if token.fault.is_some() => self.glued(text),
            TokenKind::Parameter => {
                let role = self.settings.constant();
                self.keep(text, role);
                if let Some(canonical) = &mut self.canonical {
                    canonical.constant();
                }
            }
            TokenKind::Punctuation => self.punctuation(text),
            TokenKind::Operator | TokenKind::Other => self.operator(text),
            _ => {
                let role = self.settings.constant();
                if let Some(redactor) = &mut self.redactor {
                    redactor.constant(role);
                }
                if let Some(canonical) = &mut self.canonical {
                    canonical.constant();
                }
            }
        }
    }

    #[inline]
    fn keep(&mut self, text: &[u8], role: Role) {
        if let Some(redactor) = &mut self.redactor {
            match role {
                Role::Value => redactor.constant(role),
                Role::Plain | Role::PassingName => redactor.keep(text),
            }
        }
    }

    #[inline]
    fn word(&mut self, text: &[u8]) {
        if text.contains(&b'$') && glued_parameter(text).is_some() {
            return self.glued(text);
        }
        if !self.behind_is && is_truth(text) {
            let role = self.settings.constant();
            if let Some(redactor) = &mut self.redactor {
                redactor.constant(role);
            }
            return self.canonical_word(text, role);
        }
        self.behind_word(text);
        let role = self.settings.word(text);
        self.keep(text, role);
        self.canonical_word(text, role);
    }

    #[inline]
    fn behind_word(&mut self, word: &[u8]) {
        self.behind_is = word.eq_ignore_ascii_case(b"is")
            || (self.behind_is && word.eq_ignore_ascii_case(b"not"));
    }

    fn canonical_word(&mut self, text: &[u8], role: Role) {
        match (&mut self.canonical, role) {
            (Some(canonical), Role::Plain) => canonical.word(text),
            (Some(canonical), _) => canonical.constant(),
            (None, _) => {}
        }
    }

    /// `word$1`, `$1word`, and what may follow without a blank. All of it is data if a part of it is.
    #[cold]
    fn glued(&mut self, text: &[u8]) {
        let mut settings = self.settings;
        let roles = glued_parts(text).map(|part| part.role(&mut settings));
        let whole = match roles.fold(false, |value, role| value | (role == Role::Value)) {
            true => Role::Value,
            false => Role::Plain,
        };
        for part in glued_parts(text) {
            let role = part.role(&mut self.settings);
            match part {
                Part::Word(word) => self.behind_word(word),
                Part::Parameter => self.behind_is = false,
            }
            match (&mut self.canonical, part) {
                (Some(canonical), Part::Parameter) => canonical.constant(),
                (Some(_), Part::Word(word)) if whole == Role::Plain => {
                    self.canonical_word(word, role);
                }
                _ => {}
            }
        }
        self.keep(text, whole);
    }

    #[inline]
    fn punctuation(&mut self, text: &[u8]) {
        let character = text.first().copied().unwrap_or(0);
        let role = self.settings.character(character);
        self.keep(text, role);
        match (&mut self.canonical, text, role) {
            (Some(canonical), [_], _) => Self::canonical_character(canonical, character, role),
            (Some(canonical), _, Role::Value) => canonical.constant(),
            (Some(canonical), _, _) => canonical.pair(text),
            (None, _, _) => {}
        }
    }

    #[inline]
    fn canonical_character(canonical: &mut Canonical, character: u8, role: Role) {
        match role {
            Role::Value => canonical.constant(),
            Role::Plain | Role::PassingName => canonical.character(character),
        }
    }

    #[inline]
    fn operator(&mut self, text: &[u8]) {
        if let [character] = text {
            let role = self.settings.character(*character);
            self.keep(text, role);
            if let Some(canonical) = &mut self.canonical {
                Self::canonical_character(canonical, *character, role);
            }
            return;
        }
        self.long_operator(text);
    }

    fn long_operator(&mut self, text: &[u8]) {
        let mut value = true;
        let mut rest = text;
        while let [character, tail @ ..] = rest {
            let (spelled, tail) = match (character, tail) {
                (b'!', [b'=', behind @ ..]) => (&b"<>"[..], behind),
                _ => (std::slice::from_ref(character), tail),
            };
            for character in spelled {
                let role = self.settings.character(*character);
                value &= role == Role::Value;
                if let Some(canonical) = &mut self.canonical {
                    Self::canonical_character(canonical, *character, role);
                }
            }
            rest = tail;
        }
        self.keep(text, if value { Role::Value } else { Role::Plain });
    }
}
