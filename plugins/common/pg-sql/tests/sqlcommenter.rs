//! Comments are read as their authors meant them, and nobody else can write one.

mod common;

use common::noisy_text;
use pg_sql::sqlcommenter::{TraceParent, tags};
use pg_sql::{Comments, LexerOptions, RedactOptions, redact};
use proptest::prelude::*;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Pairs of a text, as `key=value` with blanks between.
fn pairs(text: &str) -> String {
    let tags = tags(text.as_bytes(), &LexerOptions::default());
    let shown = tags
        .pairs
        .iter()
        .map(|pair| format!("{}={}", pair.key, pair.value));
    shown.collect::<Vec<_>>().join(" ")
}

#[test]
fn the_comment_at_the_end_counts_or_else_the_one_at_the_start() {
    for (text, expected) in [
        ("select 1 /*a='1',b='2'*/", "a=1 b=2"),
        ("select 1 /*a='1'*/;", "a=1"),
        ("select 1 /*a='1'*/ -- and more\n", "a=1"),
        ("/*a='1'*/ select 1", "a=1"),
        ("/*a='1'*/ select 1 /*b='2'*/", "b=2"),
        ("select 1 /* a = '1' , b = '2' */", "a=1 b=2"),
        ("select /*a='1'*/ 1", ""),
        ("select 1 /* hello */", ""),
        ("select 1 /*a='1', hello*/", ""),
        // As OpenTelemetry's Python writes numbers.
        (
            "select 1 /*a='1',libpq_version=180006,b='2'*/",
            "a=1 libpq_version=180006 b=2",
        ),
        ("select 1 /*a=b*/", ""),
        ("select 1 /*a=1b*/", ""),
        ("select 1 /*a=*/", ""),
        ("select 1 /**/", ""),
        ("select 1", ""),
        ("", ""),
    ] {
        assert_eq!(pairs(text), expected, "{text}");
    }
}

#[test]
fn keys_and_values_are_decoded() {
    for (text, expected) in [
        (r"/*route='%2Fpolls%201'*/", "route=/polls 1"),
        (r"/*name='DROP TABLE F\'OO'*/", "name=DROP TABLE F'OO"),
        ("/*na%20me='%C3%A4'*/", "na me=\u{e4}"),
        ("/*a='1%'*/", "a=1%"),
        ("/*a='%2a%2F'*/", "a=*/"),
        ("/*a='%ff'*/", ""),
        ("/*a=''*/", "a="),
    ] {
        assert_eq!(pairs(&format!("select 1 {text}")), expected, "{text}");
    }
}

#[test]
fn what_only_looks_like_a_comment_says_nothing() {
    for text in [
        "select '/*a=''1''*/'",
        "select $$ /*a='1'*/ $$",
        "select \"/*a='1'*/\"",
        "select 1 -- /*a='1'*/",
        "select 1 /* /*a='1'*/ */",
        "select 1 /*a='1'*/ /* open",
        "select 1 /*a='1",
        "select 'open /*a='1'*/",
    ] {
        assert_eq!(pairs(text), "", "{text}");
    }
}

#[test]
fn a_trace_context_is_taken_only_when_it_is_valid() {
    let parent = |value: &str| {
        let text = format!("select 1 /*traceparent='{value}'*/");
        tags(text.as_bytes(), &LexerOptions::default()).trace_parent()
    };
    let found = parent(PARENT).unwrap();
    assert_eq!(found.trace_id[..2], [0x0a, 0xf7]);
    assert_eq!(found.span_id[..2], [0xb7, 0xad]);
    assert_eq!(found.flags, 1);
    for invalid in [
        "",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
    ] {
        assert_eq!(parent(invalid), None, "{invalid}");
    }
}

#[test]
fn a_trace_state_counts_only_beside_a_trace_parent() {
    let state = |comment: &str| {
        let text = format!("select 1 /*{comment}*/");
        let tags = tags(text.as_bytes(), &LexerOptions::default());
        tags.trace_state().map(str::to_owned)
    };
    let good = format!("traceparent='{PARENT}',tracestate='congo%3Dt61rcWkgMzE%2Crojo%3D00'");
    assert_eq!(state(&good).as_deref(), Some("congo=t61rcWkgMzE,rojo=00"));
    assert_eq!(state("tracestate='congo%3D1'"), None);
    assert_eq!(
        state(&format!("traceparent='{PARENT}',tracestate='Congo'")),
        None
    );
}

#[test]
fn an_application_name_may_hold_a_trace_parent() {
    let in_name = |name: &str| TraceParent::in_application_name(name).is_some();
    assert!(in_name(PARENT));
    assert!(in_name(&format!("shop traceparent={PARENT} v2")));
    assert!(!in_name(&format!("a{PARENT}")));
    assert!(!in_name("shop"));
}

#[test]
fn only_the_pairs_of_known_keys_are_kept_when_asked_for() {
    let options = RedactOptions {
        comments: Comments::Sqlcommenter,
        ..RedactOptions::default()
    };
    let text = format!("select 'x' /*secret='s',traceparent='{PARENT}'*/ /* s */");
    let expected = format!("select ? /*traceparent='{PARENT}'*/ ");
    assert_eq!(
        String::from_utf8(redact(text.as_bytes(), &options).text).unwrap(),
        expected
    );
}

#[test]
fn a_value_with_half_of_a_nested_comment_is_not_kept() {
    let options = RedactOptions {
        comments: Comments::Sqlcommenter,
        ..RedactOptions::default()
    };
    for text in [
        "select a /*x='/*',route='*/', secret --'*/",
        "select a /*route='/*',x='*/'*/, b",
    ] {
        let once = redact(text.as_bytes(), &options).text;
        assert!(!once.contains(&b'\''), "{}", String::from_utf8_lossy(&once));
        assert_eq!(redact(&once, &options).text, once);
    }
}

proptest! {
    #[test]
    fn any_text_has_tags_and_what_is_kept_of_them_is_kept_again(text in noisy_text(), pairs in "[a-z%'\\\\,=*/]{0,12}") {
        let text = format!("{text} /*{pairs}route='{pairs}'*/");
        let _ = tags(text.as_bytes(), &LexerOptions::default());
        let options = RedactOptions { comments: Comments::Sqlcommenter, ..RedactOptions::default() };
        let once = redact(text.as_bytes(), &options).text;
        prop_assert!(once.len() <= text.len().saturating_add(1));
        let twice = redact(&once, &options).text;
        prop_assert_eq!(String::from_utf8_lossy(&twice), String::from_utf8_lossy(&once));
    }
}
