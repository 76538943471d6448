//! Client encodings whose characters may hold ASCII bytes behind the first one.
//!
//! The server converts a text to its own encoding before it lexes it, so that such a byte never is
//! a quote or a backslash. Whoever reads the client's bytes must step over whole characters
//! (`PG_ENCODING_IS_CLIENT_ONLY`, `src/include/mb/pg_wchar.h`).

/// How the bytes of a text make up characters.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Encoding {
    /// UTF-8.
    #[default]
    Utf8,
    /// Any other encoding a server may have: bytes from 0x80 on are never part of anything else.
    AsciiSafe,
    /// Shift JIS, and SHIFT_JIS_2004.
    Sjis,
    /// Big5.
    Big5,
    /// GBK.
    Gbk,
    /// Unified Hangul Code.
    Uhc,
    /// GB 18030.
    Gb18030,
    /// JOHAB.
    Johab,
}

/// PostgreSQL's names of the encodings that are not ASCII-safe (`src/common/encnames.c`), cleaned
/// as `pg_char_to_encoding` does: lower case, letters and digits only.
const UNSAFE_NAMES: &[(&str, Encoding)] = &[
    ("sjis", Encoding::Sjis),
    ("shiftjis", Encoding::Sjis),
    ("mskanji", Encoding::Sjis),
    ("win932", Encoding::Sjis),
    ("windows932", Encoding::Sjis),
    ("shiftjis2004", Encoding::Sjis),
    ("big5", Encoding::Big5),
    ("win950", Encoding::Big5),
    ("windows950", Encoding::Big5),
    ("gbk", Encoding::Gbk),
    ("win936", Encoding::Gbk),
    ("windows936", Encoding::Gbk),
    ("uhc", Encoding::Uhc),
    ("win949", Encoding::Uhc),
    ("windows949", Encoding::Uhc),
    ("gb18030", Encoding::Gb18030),
    ("johab", Encoding::Johab),
];

impl Encoding {
    /// By a value of `client_encoding`; a name that is not known is taken for ASCII-safe.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        let clean = || {
            name.bytes()
                .filter(u8::is_ascii_alphanumeric)
                .map(|byte| byte.to_ascii_lowercase())
        };
        if clean().eq(*b"utf8") || clean().eq(*b"unicode") {
            return Self::Utf8;
        }
        UNSAFE_NAMES
            .iter()
            .find(|(known, _)| clean().eq(known.bytes()))
            .map_or(Self::AsciiSafe, |(_, encoding)| *encoding)
    }

    /// Whether no byte below 0x80 is ever a part of a longer character.
    #[must_use]
    pub const fn is_ascii_safe(self) -> bool {
        matches!(self, Self::Utf8 | Self::AsciiSafe)
    }

    /// Whether a text can be in this encoding, as far as its longer characters tell: no byte of one
    /// is below 0x30, or below 0x40 in those whose characters have two bytes. A server that takes the
    /// text to be in it finds no such character in its conversion maps, and refuses the text.
    #[must_use]
    pub fn admits(self, text: &[u8]) -> bool {
        self.admitted(text) == text.len()
    }

    /// How many bytes from the front of a text on can be in this encoding.
    pub(crate) fn admitted(self, text: &[u8]) -> usize {
        let least = match self {
            Self::AsciiSafe => return text.len(),
            Self::Utf8 => {
                let valid = |error: std::str::Utf8Error| error.valid_up_to();
                return std::str::from_utf8(text).map_or_else(valid, str::len);
            }
            Self::Gb18030 | Self::Johab => 0x30,
            _ => 0x40,
        };
        let mut rest = text;
        while let Some(first) = rest.first() {
            let length = self.length(*first, rest.get(1).copied());
            let Some((character, after)) = rest.split_at_checked(length) else {
                break;
            };
            if character.iter().skip(1).any(|byte| *byte < least) {
                break;
            }
            rest = after;
        }
        text.len().saturating_sub(rest.len())
    }

    /// Bytes of the character that starts with `first`, by the rules of `pg_mblen`
    /// (`src/common/wchar.c`). Encodings that are ASCII-safe are read byte by byte.
    pub(crate) const fn length(self, first: u8, second: Option<u8>) -> usize {
        if first < 0x80 {
            return 1;
        }
        match (self, first) {
            (Self::Utf8 | Self::AsciiSafe, _) | (Self::Sjis, 0xa1..=0xdf) => 1,
            (Self::Johab, 0x8f) => 3,
            (Self::Gb18030, _) => match second {
                Some(b'0'..=b'9') => 4,
                _ => 2,
            },
            _ => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_only_in_the_encodings_that_have_its_characters() {
        let quoted = "select '\u{65e5}'".as_bytes();
        assert!(Encoding::Utf8.admits(quoted) && Encoding::AsciiSafe.admits(quoted));
        assert!(Encoding::Sjis.admits(quoted));
        assert!(
            !Encoding::Gbk.admits(quoted),
            "its last byte would take the quote along"
        );
        assert!(!Encoding::Utf8.admits(b"select '\x95\\'"));
        assert!(Encoding::Sjis.admits(b"select '\x95\\'"));
        assert!(!Encoding::Big5.admits(b"select '\xa4"));
    }

    #[test]
    fn names_are_read_as_the_server_reads_them() {
        for (name, encoding) in [
            ("UTF8", Encoding::Utf8),
            ("utf-8", Encoding::Utf8),
            ("SHIFT_JIS_2004", Encoding::Sjis),
            ("Windows-936", Encoding::Gbk),
            ("LATIN1", Encoding::AsciiSafe),
        ] {
            assert_eq!(Encoding::from_name(name), encoding, "{name}");
        }
    }
}
