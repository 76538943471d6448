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
