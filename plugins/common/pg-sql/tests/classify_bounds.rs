//! `classify` on hostile texts: bounded stack, bounded memory, no leak, total on any bytes.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::string_slice,
    reason = "tests say what they expect by panicking"
)]

mod common;

use common::{any_options, noisy_text};
use pg_sql::classify::{Classification, MAX_NAMES, MAX_STATEMENTS, MAX_SUMMARY};
use pg_sql::{ClassifyOptions, classify};
use proptest::prelude::*;

/// Less than any host gives a module.
const SMALL_STACK: usize = 16 * 1024;

/// Classifies on a thread with a small stack, as the hosts' are.
fn on_small_stack(text: Vec<u8>) -> Classification {
    let thread = std::thread::Builder::new().stack_size(SMALL_STACK);
    let run = move || classify(&text, ClassifyOptions::default());
    thread
        .spawn(run)
        .expect("a thread")
        .join()
        .expect("no overflow, no panic")
}

#[test]
fn nesting_a_million_deep_ends_incomplete_in_a_small_stack() {
    for (start, unit) in [
        ("", "("),
        ("select ", "("),
        ("select", "(select"),
        ("select ", "case when "),
        ("select * from ", "("),
        ("select * from a", " join (b"),
        ("select ", "array["),
        ("select ", "f("),
        ("select a", "[b"),
        ("", "with a as ("),
        ("", "explain "),
        ("values ", "(("),
        ("select 1 where ", "exists (select 1 where "),
        ("", "create schema s create schema s "),
        ("copy ", "(copy "),
        ("insert into t ", "(select "),
        ("create rule r as on update to t do also ", "("),
        ("grant ", "("),
        ("set x = ", "("),
        (
            "select * from json_table(a, '$' columns (",
            "nested '$' columns (",
        ),
        ("select xmlelement(name a, ", "xmlelement(name a, "),
        ("select ", "cast("),
        ("select a::t(", "b::t("),
        ("select * from rows from(", "f("),
        ("select /*", "/*"),
    ] {
        let text = format!("{start}{}", unit.repeat(1_000_000));
        assert!(
            !on_small_stack(text.into_bytes()).complete,
            "{start}{unit}..."
        );
    }
}

#[test]
fn nesting_within_the_bound_is_complete() {
    let text = format!("select {}1{}", "(".repeat(1_000), ")".repeat(1_000));
    assert!(on_small_stack(text.into_bytes()).complete);
    let text = format!("select {}1{}", "(select ".repeat(400), ")".repeat(400));
    assert!(on_small_stack(text.into_bytes()).complete);
}

#[test]
fn long_flat_texts_are_complete() {
    let rows = ",(1,'a')".repeat(200_000);
    assert!(on_small_stack(format!("insert into t values (1,'a'){rows}").into_bytes()).complete);
    let terms = "+1".repeat(1_000_000);
    assert!(on_small_stack(format!("select 1{terms}").into_bytes()).complete);
}

#[test]
fn more_names_or_statements_than_are_kept_are_incomplete() {
    let tables = |count: usize| {
        let names: Vec<String> = (0..count).map(|number| format!("t{number}")).collect();
        classify(
            format!("select from {}", names.join(",")).as_bytes(),
            ClassifyOptions::default(),
        )
    };
    assert!(tables(MAX_NAMES).complete);
    assert!(!tables(MAX_NAMES + 1).complete);
    let many = |count: usize| {
        classify(
            "select 1;".repeat(count).as_bytes(),
            ClassifyOptions::default(),
        )
    };
    assert!(many(MAX_STATEMENTS).complete);
    assert!(!many(MAX_STATEMENTS + 1).complete);
}

/// What of a classification could carry text: everything printed.
fn printed(said: &Classification) -> String {
    format!("{said:?} {}", said.summary())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_classified(text in prop::collection::vec(any::<u8>(), 0..300), lexer in any_options()) {
        let said = classify(&text, ClassifyOptions { lexer, truncated: false });
        for statement in &said.statements {
            prop_assert!(text.get(statement.range.clone()).is_some());
            prop_assert!(statement.complete || !said.complete);
        }
    }

    #[test]
    fn any_pieces_of_sql_are_classified(text in noisy_text(), lexer in any_options()) {
        let said = classify(text.as_bytes(), ClassifyOptions { lexer, truncated: false });
        prop_assert!(said.summary().chars().count() <= MAX_SUMMARY);
        let truncated = ClassifyOptions { lexer, truncated: true };
        prop_assert!(!classify(text.as_bytes(), truncated).complete);
    }

    #[test]
    fn nothing_of_a_literal_or_comment_is_in_what_is_said(
        secrets in prop::collection::vec("Q[QJZ]{7}", 6),
        cut in any::<prop::sample::Index>(),
        shape in 0..8_usize,
    ) {
        let [a, b, c, d, e, f] = <[String; 6]>::try_from(secrets.clone()).expect("six");
        let text = match shape {
            0 => format!("select '{a}', E'\\'{b}', $${c}$$, $x${d}$x$ from t /* {e} */ where n = '{f}' -- {a}"),
            1 => format!("insert into t values ('{a}', N'{b}', U&'{c}', '{d}'\n'{e}') returning '{f}'"),
            2 => format!("create role r password '{a}'; alter role r password '{b}'; notify c, '{c}'; do '{d}'; set x = '{e}'; comment on table t is '{f}'"),
            3 => format!("copy t from '/{a}' with (delimiter '{b}'); explain (analyze '{c}') select 1; prepare transaction '{d}'; load '{e}' /* {f} */"),
            4 => format!("select * from t /* {a} */ . /* {b} */ u join v on w = '{c}' limit '{d}'; listen l; call p('{e}', '{f}')"),
            5 => format!("create server s foreign data wrapper w options (password '{a}'); create subscription s connection '{b}' publication p; create user mapping for u server s options (x '{c}'); select '{d}'{e}'{f}'"),
            6 => format!("create function f(a text default '{a}') returns text language sql as '{b}'; create table t (a text default '{c}' check (a <> '{d}')); grant select on t to r /* {e}{f} */"),
            _ => format!("selct '{a}'; '{b}'; $q${c}$q$ '{d}' x; update t set a = '{e}' where b = '{f}"),
        };
        let whole = text.as_bytes();
        for text in [whole, &whole[..cut.index(whole.len())]] {
            let said = printed(&classify(text, ClassifyOptions::default()));
            for secret in &secrets {
                for start in 0..secret.len() - 3 {
                    prop_assert!(!said.contains(&secret[start..start + 4]), "{said}");
                }
            }
        }
    }
}
