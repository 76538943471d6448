//! Nothing that was typed as data gets out.

mod common;

use common::{any_options, noisy_text};
use pg_sql::{Comments, RedactOptions, redact};
use proptest::prelude::*;

fn redacted(text: &[u8]) -> Vec<u8> {
    redact(text, &RedactOptions::default()).text
}

/// Texts and what is left of them.
const TABLE: &[(&str, &str)] = &[
    (
        "select 'a', 1.5, -2, $1, b from t1 where x is true",
        "select ?, ?, -?, $1, b from t1 where x is true",
    ),
    (
        "update t set a = true, b = null, c = FALSE where d is /* so */ true and e is not false",
        "update t set a = ?, b = null, c = ? where d is  true and e is not false",
    ),
    (
        "explain (analyze false) select \"true\", not true, is_true, (a is) true",
        "explain (analyze ?) select \"true\", not ?, is_true, (a is) ?",
    ),
    (r"select '\' , 'secret'", "select ? , ?"),
    (
        "select E'\\'secret', U&'s' uescape '!', N's', B'1', x'ff', $$s$$, $q$s$q$",
        "select ?, ? uescape ?, ?, ?, ?, ?, ?",
    ),
    ("select 'a'\n'b' -- c\n, c", "select ? \n, c"),
    ("/* a */ select/* b */1 -- c", " select ? "),
    (
        "select a->>'k' from t where b @> '{}' and c ?| array['x']",
        "select a->>? from t where b @> ? and c ?| array[?]",
    ),
    (
        "create role r login password 'secret' valid until '2030-01-01'",
        "create role r login password ? valid until ?",
    ),
    (
        "alter user u with encrypted password secret",
        "alter user u with encrypted password ?",
    ),
    (
        "alter user u with password \"secret\"",
        "alter user u with password ?",
    ),
    ("alter role u password null", "alter role u password null"),
    ("SET app.key = secret", "SET app.key = ?"),
    ("set app.key to secret words here", "set app.key to ?"),
    (
        "set app.token = 1f-secret/$(secret).\"secret\"; select a",
        "set app.token = ?; select a",
    ),
    (
        "alter role r in database d set app.token = 1f-secret (secret)",
        "alter role r in database d set app.token = ?",
    ),
    (
        "alter system set a.token to 1f-secret",
        "alter system set a.token to ?",
    ),
    (
        "alter database d rename to e; alter database d set tablespace f",
        "alter database d rename to e; alter database d set tablespace f",
    ),
    (
        "set local role secret; select a",
        "set local role ?; select a",
    ),
    ("set x to default", "set x to default"),
    (
        "alter system set primary_conninfo = 'password=secret'",
        "alter system set primary_conninfo = ?",
    ),
    (
        "alter database d set x to secret, \"secret\"",
        "alter database d set x to ?",
    ),
    (
        "alter role r in database d set x=secret",
        "alter role r in database d set x=?",
    ),
    (
        "update t set a = b where c = 1",
        "update t set a = b where c = ?",
    ),
    (
        "create subscription s connection 'password=secret' publication p",
        "create subscription s connection ? publication p",
    ),
    (
        "create server s foreign data wrapper w options (host 'h', password 's')",
        "create server s foreign data wrapper w options (host ?, password ?)",
    ),
    (
        "create user mapping for u server s options (user 'b', password 's')",
        "create user mapping for u server s options (user ?, password ?)",
    ),
    ("notify ch, 'secret'", "notify ch, ?"),
    ("do $$ begin secret(); end $$", "do ?"),
    (
        "create function f() returns int language sql as $b$ select 'secret' $b$",
        "create function f() returns int language sql as ?",
    ),
    ("copy (select 'secret') to '/tmp/x'", "copy (select ?) to ?"),
    (
        "create table t (a numeric(10,2) default 5 check (a <> 7))",
        "create table t (a numeric(?,?) default ? check (a <> ?))",
    ),
    (
        "create role password password 'secret'; alter role set set a.b = secret",
        "create role password password ?; alter role set set a.b = ?",
    ),
    (
        "alter user u password secret valid until secret; select a",
        "alter user u password ?; select a",
    ),
    (
        "create user u identified by secret; set password for u = secret; set a.b secret",
        "create user u identified by ?; set password ?; set a.b ?",
    ),
    (
        "create user mapping for u server s options (password secret, add \"b\" secret)",
        "create user mapping for u server s options (password ?, add \"b\" ?)",
    ),
    (
        "alter server s version 'v' options (set host secret, drop port)",
        "alter server s version ? options (set host ?, drop port)",
    ),
    (
        "create foreign table f (a int options (b secret)) server s options (c secret)",
        "create foreign table f (a int options (b ?)) server s options (c ?)",
    ),
    (
        "create subscription s connection host=h password=secret publication p, q",
        "create subscription s connection ? publication p, q",
    ),
    (
        "alter subscription connection connection \"password=secret\"",
        "alter subscription connection connection ?",
    ),
    (
        "notify ch, secret; notify ch secret; notify ch",
        "notify ch, ?; notify ch ?; notify ch",
    ),
    (
        "alter database set set a.b = secret",
        "alter database set set a.b = ?",
    ),
    (
        "alter user u password 'a'secret'b' valid until 'c'; select a",
        "alter user u password ??; select a",
    ),
    (
        "create user u password 'a' login in role b connection limit 5 valid until 'c'",
        "create user u password ? login in role b connection limit ? valid until ?",
    ),
    (
        "create subscription s connection 'host=h password='secret'' publication p with (enabled)",
        "create subscription s connection ? publication p with (enabled)",
    ),
    (
        "create server s foreign data wrapper w options (host 'a'secret'b', port 'c')",
        "create server s foreign data wrapper w options (host ???, port ?)",
    ),
    (
        "notify ch 'a'secret'b'; set a.b = 'a'secret'b'; alter database d set a.b = 'a'secret'b'",
        "notify ch ?; set a.b = ?; alter database d set a.b = ?",
    ),
    (
        "alter user u password $1secret; select $1from, a$1b",
        "alter user u password ?; select $1from, a$1b",
    ),
    (
        "do 'begin perform 'secret'; end'; do language plpgsql $$secret$$; do $$a$$ language plpgsql",
        "do ??; do language plpgsql ?; do ? language plpgsql",
    ),
    (
        "alter function f() set a.b = abc-secret.secret; create function f() returns int set a.b = c as 'd'",
        "alter function f() set a.b = ?; create function f() returns int set a.b = ? as ?",
    ),
    (
        "select 0x5EC2E7, 0b1011, 0o17, 1_000, 1e5, .5e-3, 0x5ecretz, 0b1secret, 1_000secret, 1.5e",
        "select ?, ?, ?, ?, ?, ?, ?, ?, ?, ?",
    ),
    (
        "select U&'d\\0061t\\+000061' uescape '!', u&\"n\\0061me\", n'secret', b'1011', x'5EC2E7'",
        "select ? uescape ?, u&\"n\\0061me\", ?, ?, ?",
    ),
    (
        r"select E'\x73\145cret\'secret', e'\\', E'\u0073ecret'",
        "select ?, ?, ?",
    ),
    (
        "select $secret$ $secre $$ '$secret$, $$secret$$, $1, /* /* secret */ secret */ a --secret",
        "select ?, ?, $1,  a ",
    ),
    ("select 'open", "select ?"),
    (r"select a, 'it\'s secret and more'", "select a, ?"),
    ("select a, 'O'Brien secret', b", "select a, ?"),
    (r"select 'C:\', 'closed'", "select ?, ?"),
    (r"select 1; \connect password=secret", "select ?;?"),
    (
        "select a; copy t from stdin;\n1\tsecret\t\\N",
        "select a; copy t from stdin;?",
    ),
    ("select 1 /* open secret", "select ? ?"),
    ("select a, 12secret, 'b', c", "select a, ?, ?, c"),
    ("select \"open secret", "select ?"),
    (
        "select t1.\"Na'me\", a1b2 from _3",
        "select t1.\"Na'me\", a1b2 from _3",
    ),
    ("  ", "  "),
];

#[test]
fn every_place_where_a_value_can_stand_is_redacted() {
    let found = TABLE.iter().map(|(text, _)| redacted(text.as_bytes()));
    let found: Vec<_> = found
        .map(|found| String::from_utf8(found).unwrap())
        .collect();
    let expected: Vec<_> = TABLE.iter().map(|(_, expected)| *expected).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_text_ends_at_its_first_nul_and_the_rest_is_not_shown() {
    assert_eq!(redacted(b"select a\0 secret"), b"select a?");
    assert_eq!(redact(b"select a\0", &RedactOptions::default()).lexed_to, 8);
}

#[test]
fn comments_stay_when_they_are_asked_to() {
    let options = RedactOptions {
        comments: Comments::Keep,
        ..RedactOptions::default()
    };
    assert_eq!(
        redact(b"select 1 /* c */ -- d", &options).text,
        b"select ? /* c */ -- d"
    );
}

/// Statements with `%` where a secret goes, in a form that may hold it.
const HOLES: &[&str] = &[
    "select '%' from t where a = '%' and b in ('%', E'%', '%'::text)",
    "insert into t values ('%', $$%$$), (N'%', $q$%$q$) -- %\n returning /* % */ a",
    "create role r password '%'; alter role r set a.b = %, \"%\"",
    "set a.b to %; set session authorization \"%\"; notify c, '%'",
    "do $f$ begin perform '%'; end $f$; copy (select '%') to program '%'",
    "create user mapping for u server s options (password '%', x U&'%')",
    "alter user u password %; alter system set a = '%'; select '%'\n'%', \"n\", '%'",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// No four letters of a secret in a row, wherever the text is cut off.
    #[test]
    fn nothing_of_a_literal_is_left_wherever_the_text_is_cut(
        hole in prop::sample::select(HOLES),
        secret in "[qzjkQZ]{4,12}",
    ) {
        let text = hole.replace('%', &secret);
        for cut in 0..=text.len() {
            let found = redacted(&text.as_bytes()[..cut]);
            for run in secret.as_bytes().windows(4) {
                let leaked = found.windows(4).any(|window| window == run);
                prop_assert!(!leaked, "{}\n{}", &text, String::from_utf8_lossy(&found));
            }
        }
    }

    #[test]
    fn redaction_is_idempotent_and_never_longer(text in noisy_text(), lexer in any_options()) {
        let options = RedactOptions { lexer, ..RedactOptions::default() };
        let once = redact(text.as_bytes(), &options).text;
        prop_assert!(once.len() <= text.len());
        let twice = redact(&once, &options);
        prop_assert_eq!(twice.lexed_to, once.len(), "it lexes: {:?}", String::from_utf8_lossy(&once));
        prop_assert_eq!(String::from_utf8_lossy(&twice.text), String::from_utf8_lossy(&once));
    }

    #[test]
    fn any_bytes_are_redacted(text: Vec<u8>, lexer in any_options()) {
        let options = RedactOptions { lexer, ..RedactOptions::default() };
        let once = redact(&text, &options).text;
        prop_assert!(once.len() <= text.len());
        prop_assert_eq!(&redact(&once, &options).text, &once);
    }
}
