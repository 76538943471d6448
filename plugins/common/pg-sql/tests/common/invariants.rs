//! What holds for any bytes: the property tests and the fuzz targets call these.

use pg_sql::classify::MAX_SUMMARY;
use pg_sql::placeholders::as_parameters;
use pg_sql::shape::{COMMENT, NUMBER, STRING};
use pg_sql::{
    ClassifyOptions, Comments, Lexer, LexerOptions, RedactOptions, ServerVersion, canonical_text,
    classify, fingerprint, normalize, redact, redact_and_fingerprint, shape, split,
};

/// The tokens of a text tile it.
pub fn tokens_tile(text: &[u8], options: LexerOptions) {
    let mut at = 0;
    for token in Lexer::new(text, options) {
        assert_eq!(token.start, at, "a gap or an overlap");
        assert!(token.end > token.start, "an empty token");
        at = token.end;
    }
    assert_eq!(at, text.len(), "the text ends elsewhere");
}

/// What is redacted lexes to its end; redacting it again changes nothing, adds no more than a byte, and
/// leaves the fingerprint alone.
pub fn redaction_settles(text: &[u8], lexer: LexerOptions) {
    for comments in [Comments::Drop, Comments::Keep, Comments::Sqlcommenter] {
        let options = RedactOptions { lexer, comments };
        let (once, of_text) = redact_and_fingerprint(text, &options);
        assert_eq!(once, redact(text, &options), "one pass for both differs");
        assert_eq!(
            of_text,
            fingerprint(text, &lexer),
            "one pass for both differs"
        );
        assert!(once.lexed_to <= text.len());
        assert!(once.text.len() <= text.len().saturating_add(1), "longer");
        let shown = || String::from_utf8_lossy(&once.text).into_owned();
        let twice = redact(&once.text, &options);
        assert_eq!(twice.text, once.text, "not settled: {}", shown());
        assert_eq!(twice.lexed_to, once.text.len(), "open: {}", shown());
        assert_eq!(
            String::from_utf8_lossy(&canonical_text(&once.text, &lexer)),
            String::from_utf8_lossy(&canonical_text(text, &lexer)),
            "another fingerprint: {}",
            shown()
        );
    }
}

/// Statements lie in the text, in order, and none holds only blanks.
pub fn statements_are_in_order(text: &[u8], options: LexerOptions) {
    let mut at = 0;
    for statement in split(text, &options) {
        assert!(statement.start >= at && statement.end > statement.start);
        assert!(statement.end <= text.len());
        at = statement.end;
    }
}

/// All of it.
pub fn any_bytes(text: &[u8]) {
    for standard_conforming_strings in [true, false] {
        let options = LexerOptions {
            standard_conforming_strings,
            ..LexerOptions::default()
        };
        tokens_tile(text, options);
        redaction_settles(text, options);
        statements_are_in_order(text, options);
    }
    normalizing_ends(text);
    a_shape_tells_all(text);
}

/// Another text of the same shape is redacted to the same, and has the same fingerprint.
pub fn a_shape_tells_all(text: &[u8]) {
    let mut found = Vec::new();
    if !shape(text, true, &mut found) {
        return;
    }
    let options = RedactOptions::default();
    let said = redact_and_fingerprint(text, &options);
    let parameters = as_parameters(text).map(|text| fingerprint(&text, &options.lexer));
    for (string, number, comment) in [
        (&b"'x'"[..], &b"7"[..], &b"/**/"[..]),
        (b"'y''z'", b"42.0", b"/*a b*/"),
    ] {
        let other = filled(&found, string, number, comment);
        let told = redact_and_fingerprint(&other, &options);
        let shown = || String::from_utf8_lossy(&other).into_owned();
        assert_eq!(
            String::from_utf8_lossy(&told.0.text),
            String::from_utf8_lossy(&said.0.text),
            "{}",
            shown()
        );
        assert_eq!(told.1, said.1, "{}", shown());
        let other = as_parameters(&other).map(|text| fingerprint(&text, &options.lexer));
        assert_eq!(other, parameters, "{}", shown());
    }
}

/// A text of this shape; in quotes the marks are themselves.
fn filled(shape: &[u8], string: &[u8], number: &[u8], comment: &[u8]) -> Vec<u8> {
    let mut in_quotes = false;
    let mut text = Vec::new();
    for byte in shape {
        in_quotes ^= *byte == b'"';
        match *byte {
            STRING if !in_quotes => text.extend_from_slice(string),
            NUMBER if !in_quotes => text.extend_from_slice(number),
            COMMENT if !in_quotes => text.extend_from_slice(comment),
            byte => text.push(byte),
        }
    }
    text
}

/// Any text has a normal form, of a bounded size.
pub fn normalizing_ends(text: &[u8]) {
    for version in [ServerVersion::V15, ServerVersion::V18] {
        let once = normalize(text, version);
        assert!(once.len() <= text.len().saturating_mul(16), "much longer");
    }
}

/// Whatever a text is, its classification ends, its statements lie in it, in order, and its summary is
/// no longer than OpenTelemetry allows.
pub fn classification_stays_in_the_text(text: &[u8]) {
    let said = classify(text, ClassifyOptions::default());
    assert!(said.summary().chars().count() <= MAX_SUMMARY);
    let mut at = 0;
    for statement in said.statements {
        assert!(statement.range.start >= at && statement.range.end <= text.len());
        at = statement.range.end;
    }
}
