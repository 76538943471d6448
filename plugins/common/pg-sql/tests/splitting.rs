//! Statements are split where the server splits them, and nothing is lost between them.

mod common;

use common::noisy_text;
use pg_sql::{LexerOptions, split};
use proptest::prelude::*;

fn pieces(text: &str) -> Vec<&str> {
    let ranges = split(text.as_bytes(), &LexerOptions::default());
    ranges
        .into_iter()
        .filter_map(|range| text.get(range))
        .collect()
}

/// Texts, their statements between bars.
const TABLE: &[(&str, &str)] = &[
    ("", ""),
    (" ; ;; -- nothing\n; /* ; */", ""),
    ("select 1", "select 1"),
    (" select 1 ; select 2;", "select 1|select 2"),
    (
        "select ';' , $$;$$, \";\", /* ; */ 1 -- ;\n; x",
        "select ';' , $$;$$, \";\", /* ; */ 1 -- ;|x",
    ),
    (
        "create rule r as on insert to t do (select 1; select 2); x",
        "create rule r as on insert to t do (select 1; select 2)|x",
    ),
    (
        "create function f() returns int begin atomic select 1; select case when a then 1 end; end; x",
        "create function f() returns int begin atomic select 1; select case when a then 1 end; end|x",
    ),
    (
        "create or replace procedure p() language sql BEGIN ATOMIC; end; x",
        "create or replace procedure p() language sql BEGIN ATOMIC; end|x",
    ),
    ("begin; select 1; end; x", "begin|select 1|end|x"),
    (
        "create table t (a int); begin; end",
        "create table t (a int)|begin|end",
    ),
    ("select 'open; x", "select 'open; x"),
];

#[test]
fn statements_end_where_the_server_ends_them() {
    for (text, expected) in TABLE {
        assert_eq!(pieces(text).join("|"), *expected, "{text}");
    }
}

proptest! {
    #[test]
    fn pieces_are_in_order_and_only_what_the_grammar_never_sees_is_between(text in noisy_text()) {
        let ranges = split(text.as_bytes(), &LexerOptions::default());
        let mut at = 0;
        for range in &ranges {
            prop_assert!(at <= range.start && range.start < range.end);
            let between = text.get(at..range.start).unwrap();
            prop_assert!(pieces(between).is_empty(), "lost: {between:?}");
            at = range.end;
        }
        prop_assert!(pieces(text.get(at..).unwrap()).is_empty());
    }

    #[test]
    fn a_piece_is_one_statement(text in noisy_text()) {
        for piece in pieces(&text) {
            prop_assert_eq!(pieces(piece), vec![piece]);
        }
    }
}
