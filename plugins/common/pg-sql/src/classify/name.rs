//! Names as the server reads them: `scan.l`'s identifiers, `downcase_truncate_identifier`, and the
//! Unicode escapes of `parser.c`.

use super::terminals::Token;
use super::types::QualifiedName;
use crate::encoding::Encoding;

/// `NAMEDATALEN - 1`: longer names are cut by the server, with a notice.
const MAX_NAME_BYTES: usize = 63;

/// The parts of one name while they are read: at most catalog, schema and name.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Parts {
    tokens: [Option<Token>; 3],
    count: usize,
}

impl Parts {
    pub(crate) fn push(&mut self, token: Token) {
        if let Some(slot) = self.tokens.get_mut(self.count) {
            *slot = Some(token);
        }
        self.count = self.count.saturating_add(1);
    }

    /// Takes the last part away: a column's relation.
    pub(crate) fn pop(&mut self) {
        self.count = self.count.saturating_sub(1);
    }

    /// Whether there is more than one part.
    pub(crate) fn has_dot(&self) -> bool {
        self.count > 1
    }

    /// Whether there are more parts than any name has.
    pub(crate) fn is_overlong(&self) -> bool {
        self.count > self.tokens.len()
    }

    /// As typed, with a dot between the parts.
    pub(crate) fn typed<'t>(&self, text: &'t [u8]) -> impl Iterator<Item = u8> + 't {
        let parts = self
            .tokens
            .into_iter()
            .take(self.count)
            .flatten()
            .enumerate();
        parts.flat_map(move |(index, token)| {
            let dot = (index > 0).then_some(b'.');
            let bytes = text.get(token.range()).unwrap_or_default();
            // What U&"" says depends on its UESCAPE too: it never equals another by its text.
            dot.into_iter()
                .chain(bytes.iter().copied())
                .chain((token.escape != 0).then_some(0))
        })
    }

    /// The name; `None` where the server has no reading for it, or what it says is not known: it
    /// is not UTF-8, or has more than ASCII in another encoding.
    pub(crate) fn resolve(&self, text: &[u8], encoding: Encoding) -> Option<QualifiedName> {
        let tokens = self.tokens.get(..self.count)?;
        let mut typed = String::new();
        let mut names = Vec::with_capacity(self.count);
        for token in tokens.iter().flatten() {
            let raw = std::str::from_utf8(text.get(token.range())?).ok()?;
            if encoding != Encoding::Utf8 && !raw.is_ascii() {
                return None;
            }
            if !typed.is_empty() {
                typed.push('.');
            }
            typed.push_str(raw);
            names.push(identifier(raw, token.escape)?);
        }
        let name = names.pop()?;
        Some(QualifiedName {
            schema: names.pop(),
            catalog: names.pop(),
            name,
            typed,
        })
    }
}

/// What stands between the quotes of a name, where each quote is doubled.
fn with_single_quotes(inner: &str) -> String {
    let mut is_second = false;
    let keeps = |next: &char| {
        is_second = *next == '"' && !is_second;
        *next != '"' || is_second
    };
    inner.chars().filter(keeps).collect()
}

/// One identifier as the server reads it.
pub(crate) fn identifier(typed: &str, escape: u8) -> Option<String> {
    let quoted = typed
        .trim_start_matches(['u', 'U'])
        .strip_prefix('&')
        .filter(|_| escape != 0);
    let quoted = quoted
        .unwrap_or(typed)
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let mut name = match quoted {
        None => typed.to_ascii_lowercase(),
        Some(inner) if escape == 0 => with_single_quotes(inner),
        Some(inner) => unescape(&with_single_quotes(inner), char::from(escape))?,
    };
    if name.len() > MAX_NAME_BYTES {
        name.truncate(name.floor_char_boundary(MAX_NAME_BYTES));
    }
    Some(name)
}

/// `str_udeescape`: `\XXXX`, `\+XXXXXX`, surrogate pairs, and the escape character doubled.
fn unescape(inner: &str, escape: char) -> Option<String> {
    let mut out = String::with_capacity(inner.len());
    let mut high: Option<u32> = None;
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        let code = if character != escape {
            u32::from(character)
        } else if characters.as_str().starts_with(escape) {
            characters.next();
            u32::from(escape)
        } else {
            let long = characters.as_str().starts_with('+');
            if long {
                characters.next();
            }
            let digits = characters.as_str().get(..if long { 6 } else { 4 })?;
            if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return None;
            }
            characters = characters.as_str().get(digits.len()..)?.chars();
            u32::from_str_radix(digits, 16).ok()?
        };
        let code = match (high.take(), code) {
            (None, 0xd800..=0xdbff) => {
                high = Some(code);
                continue;
            }
            (None, _) => code,
            (Some(first), 0xdc00..=0xdfff) => {
                let upper = (first & 0x3ff) << 10;
                (upper | (code & 0x3ff)).checked_add(0x1_0000)?
            }
            (Some(_), _) => return None,
        };
        out.push(char::from_u32(code).filter(|code| *code != '\0')?);
    }
    high.is_none().then_some(out)
}
