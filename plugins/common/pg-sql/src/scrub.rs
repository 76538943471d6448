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
            if let Some(start) = doubts.misread(token) {
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
            TokenKind::Parameter => {
                let role = self.settings.constant();
                self.keep(text, role);
                if let Some(canonical) = &mut self.canonical {
                    canonical.constant();
                }
                if token.fault.is_some() {
                    self.behind_parameter(text);
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
        if text.contains(&b'$')
            && let Some((word, behind)) = glued_parameter(text)
        {
            self.glued_word(text, word, behind);
            return;
        }
        let role = self.settings.word(text);
        let is_value = !self.behind_is && is_truth(text);
        self.behind_is = text.eq_ignore_ascii_case(b"is")
            || (self.behind_is && text.eq_ignore_ascii_case(b"not"));
        match &mut self.redactor {
            Some(redactor) if is_value => redactor.constant(role),
            _ => self.keep(text, role),
        }
        self.canonical_word(text, role);
    }

    fn canonical_word(&mut self, text: &[u8], role: Role) {
        match (&mut self.canonical, role) {
            (Some(canonical), Role::Plain) => canonical.word(text),
            (Some(canonical), _) => canonical.constant(),
            (None, _) => {}
        }
    }

    /// `word$1`, and what may follow without a blank.
    #[cold]
    fn glued_word(&mut self, text: &[u8], mut word: usize, mut behind: usize) {
        self.behind_is = false;
        let mut rest = text;
        let mut value = false;
        loop {
            let (head, tail) = rest.split_at_checked(word).unwrap_or((rest, b""));
            // The N of what was `N'...'` is dropped like the prefix it was.
            let prefix = !tail.is_empty() && head.eq_ignore_ascii_case(b"n");
            if !head.is_empty() && !prefix {
                let role = self.settings.word(head);
                value |= role == Role::Value;
                self.canonical_word(head, role);
            }
            if tail.is_empty() {
                break;
            }
            value |= self.settings.constant() == Role::Value;
            if let Some(canonical) = &mut self.canonical {
                canonical.constant();
            }
            rest = rest.get(behind..).unwrap_or_default();
            (word, behind) = glued_parameter(rest).unwrap_or((rest.len(), rest.len()));
        }
        self.keep(text, if value { Role::Value } else { Role::Plain });
    }

    /// The word that runs into a parameter: `$1from`.
    #[cold]
    fn behind_parameter(&mut self, text: &[u8]) {
        let word = text
            .iter()
            .skip(1)
            .position(|byte| !byte.is_ascii_digit())
            .map(|digits| digits.wrapping_add(1));
        let word = word.and_then(|start| text.get(start..)).unwrap_or_default();
        let redactor = self.redactor.take();
        self.word(word);
        self.redactor = redactor;
    }

    #[inline]
    fn punctuation(&mut self, text: &[u8]) {
        let character = text.first().copied().unwrap_or(0);
        let role = self.settings.character(character);
        self.keep(text, role);
        if let Some(canonical) = &mut self.canonical
            && role == Role::Plain
        {
            match text {
                [_] => canonical.character(character),
                _ => canonical.pair(text),
            }
        }
    }

    #[inline]
    fn operator(&mut self, text: &[u8]) {
        if let [character] = text {
            let role = self.settings.character(*character);
            self.keep(text, role);
            if let Some(canonical) = &mut self.canonical
                && (role == Role::Plain || *character == b'?')
            {
                canonical.character(*character);
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
                if let Some(canonical) = &mut self.canonical
                    && (role == Role::Plain || *character == b'?')
                {
                    canonical.character(*character);
                }
            }
            rest = tail;
        }
        self.keep(text, if value { Role::Value } else { Role::Plain });
    }
}
