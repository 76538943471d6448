//! What a fingerprint depends on, and what not.

mod common;

use common::{adversarial_texts, noisy_text};
use pg_sql::{
    Fingerprint, LexerOptions, RedactOptions, fingerprint, redact, redact_and_fingerprint,
};
use proptest::prelude::*;

fn of(text: &str) -> Fingerprint {
    fingerprint(text.as_bytes(), &LexerOptions::default())
}

/// Texts that are one statement. Those with `$1` are what `pg_stat_statements` prints.
const SAME: &[&[&str]] = &[
    &[
        "select 1",
        "SELECT  2;",
        "select 'x' -- c",
        "/* c */ select null;;",
        "select $1",
        "select ?",
        "select -5",
        "select true",
    ],
    &[
        "select * from t where a in (1)",
        "select * from t where a in (1,2,3)",
        "select * from t where a in ('x', 'y'::text)",
        "select * from t where a in ($1 /*, ... */)",
        "select * from t where a in ((1), cast(2 as int), -3)",
        "select * from t where a in (date '2020-01-01', interval(3) '1' day)",
    ],
    &[
        "insert into t values (1, 'a')",
        "insert into t values (1, 'a'), (2, 'b'), ($1, $2)",
    ],
    &[
        "insert into t values (1, now()), (2, default)  on conflict do nothing",
        "insert into t values (1, now()), (3, now()), (2, default) on conflict do nothing",
    ],
    &[
        "select array[1,2]",
        "select array[$1 /*, ... */]",
        "select array[3]",
    ],
    &[
        "select array[[1,2],[3,4]]",
        "select array[[$1 /*, ... */],[$2 /*, ... */]]",
    ],
    &["select (a,b) in ((1,2))", "select (a,b) in ((1,2),(3,4))"],
    &["select a-1", "select a - $1", "select a -?", "select a-?"],
    &[
        "select a where b=-1 and c<-1::int",
        "select a where b=$1 and c<-$2::int",
        "select a where b=-? and c<-?::int",
    ],
    &["select'x'from t", "select$1from t", "select ? from t"],
    &["select N'x'", "select N$1"],
    &["select 'a'\n'b'", "select $1"],
    &["select U&'a' uescape '!'", "select $1 uescape $2"],
    &["select interval '1 day'", "select interval $1"],
    &[
        "select extract(year from x)",
        "select extract($1 from x)",
        "select extract('month' from x)",
    ],
    &[
        "select a from t limit all",
        "select a from t limit $1",
        "select a from t limit 5",
    ],
    &[
        "select normalize(x, NFC), x is nfkd normalized",
        "select normalize(x, $1), x is $2 normalized",
    ],
    &[
        "set work_mem = '1MB'",
        "SET work_mem = 64",
        "set work_mem = on",
        "SET work_mem = $1",
        "set work_mem =?",
    ],
    &[
        "set search_path to a, b",
        "SET search_path TO $1, b",
        "set search_path to ?, ?",
    ],
    &["set role alice", "set role $1", "set role 'bob'"],
    &[
        "set time zone interval '-08:00' hour to minute",
        "set time zone ?",
    ],
    &["alter role r set x to a", "alter role r set x to 'b'"],
    &[
        "select distinct on (a) -1 from t",
        "select distinct on (a) $1 from t",
    ],
    &["savepoint a", "SAVEPOINT $1", "savepoint \"B\""],
    &["rollback to a", "ROLLBACK TO $1"],
    &["rollback to savepoint a", "ROLLBACK TO SAVEPOINT $1"],
    &["deallocate a", "deallocate $1"],
    &[
        "alter role r password 'x'",
        "alter role r password oops",
        "alter role r password ?",
    ],
];

/// Texts each of which is a statement of its own.
const DIFFERENT: &[&str] = &[
    "",
    "select 1",
    "select 1, 2",
    "select a",
    "select \"a\"",
    "select \"A\"",
    "select A.b",
    "select f(1)",
    "select f(1, 2)",
    "select a is null",
    "select a is true",
    "select a is not null",
    "select a in (1)",
    "select a in (b)",
    "select a in (b, c)",
    "select a in (select 1)",
    "select a in (select 1, 2)",
    "select a not in (1)",
    "select array[1]",
    "select a[1]",
    "select a + 1",
    "select a - 1",
    "select 1; select 2",
    "values (1)",
    "values (1, 2)",
    "values (a), (b)",
    "select a <= b",
    "select a < b",
    "select 1::int",
    "set a = 1",
    "set b = 1",
    "set a to default",
    "set a to 1",
    "set local a = 1",
    "deallocate all",
    "deallocate a",
    "savepoint a",
    "rollback",
    "rollback to a",
    "alter role r set a = 1",
    "alter role r password 'x'",
];

#[test]
fn one_statement_has_one_fingerprint() {
    for same in SAME {
        for text in *same {
            assert_eq!(of(text), of(same[0]), "{text}\n{}", same[0]);
        }
    }
}

#[test]
fn two_statements_have_two() {
    for (index, one) in DIFFERENT.iter().enumerate() {
        for other in &DIFFERENT[..index] {
            assert_ne!(of(one), of(other), "{one}\n{other}");
        }
    }
}

/// The file may grow; a line of it may never change.
#[test]
fn fingerprints_are_what_they_have_always_been() {
    for line in include_str!("golden/fingerprints.txt").lines() {
        let (expected, text) = line.split_once(' ').unwrap();
        assert_eq!(of(text).to_string(), expected, "{text}");
    }
}

#[test]
fn a_redacted_statement_keeps_its_fingerprint() {
    for text in SAME.iter().flat_map(|same| same.iter()).chain(DIFFERENT) {
        let redacted = redact(text.as_bytes(), &RedactOptions::default()).text;
        assert_eq!(
            fingerprint(&redacted, &LexerOptions::default()),
            of(text),
            "{text}"
        );
    }
}

proptest! {
    #[test]
    fn whatever_the_text_redaction_keeps_its_fingerprint(text in noisy_text()) {
        let (redacted, print) = redact_and_fingerprint(text.as_bytes(), &RedactOptions::default());
        let again = fingerprint(&redacted.text, &LexerOptions::default());
        prop_assert_eq!(again, print, "{}\n{}", text, String::from_utf8_lossy(&redacted.text));
        prop_assert_eq!(print, of(&text));
    }
}

#[test]
fn a_hostile_text_costs_no_stack_and_no_time() {
    for text in adversarial_texts(1_000_000) {
        let again = fingerprint(
            &redact(&text, &RedactOptions::default()).text,
            &LexerOptions::default(),
        );
        let start = String::from_utf8_lossy(&text[..12]);
        assert_eq!(
            again,
            fingerprint(&text, &LexerOptions::default()),
            "{start}"
        );
    }
}

#[test]
fn the_readme_shows_the_fingerprint_that_both_texts_have() {
    let readme = include_str!("../../../../README.md");
    for text in [
        "SELECT * FROM t WHERE a IN (-1, 2) -- mine",
        "SELECT * FROM t WHERE a IN ($1 /*, ... */) -- mine",
    ] {
        let behind = readme.rsplit(text).next().unwrap();
        let shown = behind.split("fingerprint   ").nth(1).unwrap();
        assert_eq!(
            shown.lines().next(),
            Some(of(text).to_string().as_str()),
            "{text}"
        );
    }
}
