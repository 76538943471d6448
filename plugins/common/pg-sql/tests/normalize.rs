//! `normalize` prints what real servers printed for the statements of the corpus, and the server's text
//! has the fingerprint of the statement it came from. `test-harness` asks the servers themselves.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "helpers of tests may panic"
)]

#[allow(
    dead_code,
    unreachable_pub,
    reason = "the test that has servers uses the rest"
)]
#[path = "normalized/mod.rs"]
mod normalized;

use normalized::{cases, escaped};
use pg_sql::{
    LexerOptions, RedactOptions, ServerVersion, fingerprint, normalize, normalize_with, redact,
};

const GOLDEN: &[(ServerVersion, &str)] = &[
    (
        ServerVersion::V15,
        include_str!("normalized/printed-by-15.txt"),
    ),
    (
        ServerVersion::V18,
        include_str!("normalized/printed-by-18.txt"),
    ),
];

#[test]
fn the_text_is_what_the_servers_printed() {
    for (version, golden) in GOLDEN {
        let cases = cases();
        assert_eq!(cases.len(), golden.lines().count(), "golden files are old");
        for (case, seen) in cases.iter().zip(golden.lines()) {
            if seen != "-" {
                let made = normalize(case.text.as_bytes(), *version);
                assert_eq!(escaped(&made), seen, "{version:?}: {}", case.text);
            }
        }
    }
}

#[test]
fn a_statement_its_redaction_and_its_normal_forms_have_one_fingerprint() {
    for case in cases() {
        // The server prints `-(5)` as `$1)`, which is not SQL any more.
        if case.text.contains("-(") || case.text.contains("- (") {
            continue;
        }
        let text = case.text.as_bytes();
        let of = |text: &[u8]| fingerprint(text, &LexerOptions::default());
        for other in [
            normalize(text, ServerVersion::V15),
            normalize(text, ServerVersion::V18),
            redact(text, &RedactOptions::default()).text,
        ] {
            assert_eq!(of(&other), of(text), "{}: {}", case.text, escaped(&other));
        }
    }
}

#[test]
fn without_standard_conforming_strings_a_backslash_escapes() {
    let old = LexerOptions {
        standard_conforming_strings: false,
        ..LexerOptions::default()
    };
    let text = br"SELECT 'it\'s', a FROM t WHERE b IN ('\\', 'c''\'')";
    for (version, expected) in [
        (
            ServerVersion::V15,
            "SELECT $1, a FROM t WHERE b IN ($2, $3)",
        ),
        (
            ServerVersion::V18,
            "SELECT $1, a FROM t WHERE b IN ($2 /*, ... */)",
        ),
    ] {
        let printed = normalize_with(text, version, &old);
        assert_eq!(String::from_utf8_lossy(&printed), expected);
        let seen = fingerprint(&printed, &LexerOptions::default());
        assert_eq!(fingerprint(text, &old), seen);
    }
}
