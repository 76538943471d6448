//! Texts and settings that the property tests share.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test crate uses its part, and the fuzz targets another"
)]

pub mod invariants;

use pg_sql::{Encoding, LexerOptions};
use proptest::prelude::*;

/// Pieces that mean something to the lexer, alone or run together.
pub(crate) const PIECES: &[&str] = &[
    "select", "from", "t", "E", "e'", "U&'", "u&\"", "N'", "b'", "x'", "'", "''", "\"", "\"\"",
    "\\", "\\'", "$", "$$", "$a$", "$1", "--", "-", "+", "/*", "*/", "*", "/", "<", "=", "?", "@",
    "|", "(", ")", "[", "]", ",", ";", ".", "..", ":", "::", ":=", "1", "0x", "1e", "_", "1.5",
    " ", "\n", "\t", "\r", "\u{e4}", "in", "values", "array", "null", "true", "is", "set", "to",
    "password", "begin", "end", "atomic", "case", "interval",
];

/// Texts of such pieces.
pub(crate) fn noisy_text() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(PIECES), 0..40).prop_map(|pieces| pieces.concat())
}

/// Any settings of a session.
pub(crate) fn any_options() -> impl Strategy<Value = LexerOptions> {
    let encodings = [
        Encoding::Utf8,
        Encoding::Sjis,
        Encoding::Big5,
        Encoding::Gbk,
        Encoding::Uhc,
        Encoding::Gb18030,
        Encoding::Johab,
        Encoding::AsciiSafe,
    ];
    (
        any::<bool>(),
        any::<bool>(),
        prop::sample::select(encodings.to_vec()),
    )
        .prop_map(
            |(standard_conforming_strings, backslash_quote, encoding)| LexerOptions {
                standard_conforming_strings,
                backslash_quote,
                encoding,
            },
        )
}

/// Texts of about `bytes` bytes that are quadratic for a careless lexer.
pub(crate) fn adversarial_texts(bytes: usize) -> Vec<Vec<u8>> {
    const UNITS: &[&str] = &[
        "(",
        "/*",
        "'",
        "$a$",
        "E'\\",
        "-",
        "+",
        "+-",
        "<+",
        "*+",
        "+/**/",
        "$a",
        "$",
        "''\n",
        "'a' ",
        "\"",
        "0x",
        "1_",
        "?",
        "[",
        "array[",
        "in(",
        "values(1),",
        "1,",
        ";",
        "begin atomic ",
        "/* /",
        "*/",
        "\n",
        "$abcdefgh$ $abcdefg",
    ];
    UNITS
        .iter()
        .map(|unit| unit.as_bytes().repeat(bytes.div_ceil(unit.len())))
        .collect()
}
