//! `db.query.summary` as OpenTelemetry's conventions word it.

use pg_sql::classify::MAX_SUMMARY;
use pg_sql::placeholders::as_parameters;
use pg_sql::{ClassifyOptions, RedactOptions, redact, summary};

fn said(text: &str) -> String {
    summary(text.as_bytes(), ClassifyOptions::default())
}

#[test]
fn operations_and_targets_stand_in_the_order_of_the_text_as_they_were_typed() {
    for (text, expected) in [
        (
            "SELECT * FROM wuser_table WHERE username = ?",
            "SELECT wuser_table",
        ),
        ("select * from Users u where u.id = $1", "select Users"),
        (
            "INSERT INTO shipping_details (order_id, address) SELECT order_id, address FROM orders",
            "INSERT shipping_details SELECT orders",
        ),
        (
            "SELECT * FROM songs, artists WHERE songs.artist_id = artists.id",
            "SELECT songs artists",
        ),
        (
            "SELECT order_date FROM (SELECT * FROM orders o JOIN customers c ON o.customer_id = c.customer_id)",
            "SELECT SELECT orders customers",
        ),
        (
            "SELECT * FROM \"song list\", app . \"T\"",
            "SELECT \"song list\" app.\"T\"",
        ),
        (
            "with x as (select * from a) select * from x join b using (id)",
            "select a select b",
        ),
        (
            "UPDATE t SET a = (SELECT max(b) FROM u)",
            "UPDATE t SELECT u",
        ),
        ("DELETE FROM t USING u WHERE t.a = u.a", "DELETE t u"),
        ("call some_procedure(1)", "call some_procedure"),
        (
            "SELECT * FROM generate_series(1, 3)",
            "SELECT generate_series",
        ),
        ("CREATE TABLE IF NOT EXISTS s.t (a int)", "CREATE TABLE s.t"),
        ("create unique index i on t (a)", "create index t"),
        ("DROP MATERIALIZED VIEW v", "DROP MATERIALIZED VIEW v"),
        ("EXPLAIN ANALYZE SELECT 1 FROM t", "EXPLAIN SELECT t"),
        ("insert into t values (1)", "insert t"),
        ("VALUES (1)", "VALUES"),
        ("TABLE t", "TABLE t"),
        ("begin", "begin"),
        ("set x = 'secret'", "set"),
        ("/* hint */ (select 1 from t) -- trace", "select t"),
        ("", ""),
    ] {
        assert_eq!(said(text), expected, "{text}");
    }
}

#[test]
fn several_statements_are_a_batch() {
    assert_eq!(
        said("insert into t values (1); insert into t values (2)"),
        "BATCH insert t"
    );
    assert_eq!(said("select 1; delete from t"), "BATCH");
}

#[test]
fn a_long_summary_is_cut_between_names() {
    let names: Vec<String> = (0..60).map(|number| format!("relation_{number}")).collect();
    let short = said(&format!("SELECT * FROM {}", names.join(", ")));
    assert!(short.chars().count() <= MAX_SUMMARY);
    let words: Vec<&str> = short.split(' ').skip(1).collect();
    assert!(words.len() > 15 && words.iter().zip(&names).all(|(word, name)| word == name));
    let name = format!("\"{}\"", "x y ".repeat(80));
    assert_eq!(said(&format!("SELECT * FROM {name}, t")), "SELECT");
}

#[test]
fn what_is_not_understood_is_summarized_as_far_as_it_was_read() {
    assert_eq!(said("SELECT * FROM t WHERE = 'secret'"), "SELECT t");
    assert_eq!(said("selct 'secret'"), "");
}

/// The statements of the corpus, and its templates with each literal in turn.
fn corpus() -> Vec<String> {
    let listed = include_str!("corpus/statements.sql").split_inclusive(";\n");
    let literals = include_str!("corpus/literals.txt").replace("\\n", "\n ");
    let templates = include_str!("corpus/templates.txt");
    let filled = literals.lines().flat_map(|literal| {
        let filled = move |template: &str| template.replace('%', literal);
        templates.lines().map(filled).collect::<Vec<_>>()
    });
    listed.map(str::to_owned).chain(filled).collect()
}

/// Forms that need a literal of their own kind, which no placeholder can stand for.
const LITERALS_ONLY: [&str; 2] = ["UESCAPE", "interval("];

#[test]
fn a_redacted_text_has_the_summary_of_the_text() {
    for text in corpus() {
        if LITERALS_ONLY.iter().any(|form| text.contains(form)) {
            continue;
        }
        let redacted = redact(text.as_bytes(), &RedactOptions::default()).text;
        let readable = as_parameters(&redacted).unwrap_or(redacted);
        let readable = String::from_utf8(readable).expect("of UTF-8");
        assert_eq!(said(&readable), said(&text), "{text}\n{readable}");
    }
}
