//! No run of four characters of anything a user typed as data comes out of redaction or goes into a
//! fingerprint, wherever the text is cut.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    reason = "helpers of tests may panic"
)]

mod common;

use common::invariants::{any_bytes, redaction_settles, statements_are_in_order};
use common::{adversarial_texts, any_options, noisy_text};
use pg_sql::{
    ClassifyOptions, Encoding, LexerOptions, RedactOptions, canonical_text, classify, redact,
};
use proptest::prelude::*;

/// Statements with a literal wherever one may stand: `@` is where it goes.
const STATEMENTS: &[&str] = &[
    "SELECT @, a FROM t WHERE b = @ AND c IN (@, @) -- @\nORDER BY @",
    "SELECT /* @ */ f(@) /* /* @ */ @ */ LIMIT @",
    "SELECT jsonb ? @, a @> @, a->@, date @, @::text, CAST(@ AS varchar(9))",
    "INSERT INTO t VALUES (@, @), (@, DEFAULT) ON CONFLICT DO UPDATE SET a = @",
    "UPDATE t SET a=@, b=-@ WHERE c LIKE @ ESCAPE @",
    "ALTER ROLE r PASSWORD @ VALID UNTIL @",
    "CREATE USER u ENCRYPTED PASSWORD @",
    "SET app.secret = @",
    "SET LOCAL app.secret TO @, @",
    "ALTER SYSTEM SET primary_conninfo = @",
    "ALTER ROLE r IN DATABASE d SET app.secret TO @",
    "ALTER DATABASE d SET a.b = @",
    "CREATE SUBSCRIPTION s CONNECTION @ PUBLICATION p",
    "CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (host @, password @)",
    "CREATE USER MAPPING FOR u SERVER s OPTIONS (ADD password @)",
    "NOTIFY c, @",
    "DO @",
    "DO LANGUAGE plpgsql @",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET a.b = @ AS @",
    "CREATE FUNCTION f() RETURNS text BEGIN ATOMIC SELECT @; RETURN @; END",
    "COPY (SELECT * FROM t WHERE a = @) TO PROGRAM @ WITH (DELIMITER @)",
    "COPY t FROM @ WITH (NULL @)",
    "CREATE TABLE t (a text DEFAULT @ CHECK (a <> @)) PARTITION BY LIST (a)",
    "CREATE VIEW v AS SELECT @ AS a",
    "COMMENT ON TABLE t IS @",
    "SECURITY LABEL ON TABLE t IS @",
    "PREPARE p AS SELECT @; EXECUTE p(@, @)",
    "CREATE RULE r AS ON INSERT TO t DO INSTEAD (SELECT @; NOTIFY x)",
    "EXPLAIN SELECT U&@ UESCAPE @",
    "PREPARE TRANSACTION @; COMMIT PREPARED @",
    "ALTER SUBSCRIPTION s CONNECTION @",
    "ALTER SERVER s VERSION @ OPTIONS (SET host @, DROP port)",
    "ALTER USER MAPPING FOR u SERVER s OPTIONS (SET password @)",
    "CREATE FOREIGN TABLE f (a int OPTIONS (b @) DEFAULT @) SERVER s OPTIONS (c @)",
    "CREATE TABLE t (a int GENERATED ALWAYS AS (@ || b) STORED, CHECK (a IN (@, @)))",
    "ALTER TABLE t ALTER a SET DEFAULT @, ADD CHECK (b ~ @)",
    "CREATE DOMAIN d AS text DEFAULT @ CHECK (VALUE <> @)",
    "CREATE TYPE e AS ENUM (@, @); ALTER TYPE e RENAME VALUE @ TO @",
    "CREATE INDEX i ON t ((a || @)) WHERE b = @",
    "CREATE POLICY p ON t USING (a = @) WITH CHECK (a = @)",
    "CREATE TRIGGER g BEFORE INSERT ON t WHEN (NEW.a = @) EXECUTE FUNCTION f(@, @)",
    "CREATE EXTENSION x VERSION @; CREATE TABLESPACE s LOCATION @; LOAD @",
    "CREATE PUBLICATION p FOR TABLE t WHERE (a = @)",
    "CREATE MATERIALIZED VIEW v AS VALUES (@, @)",
    "EXPLAIN (ANALYZE, FORMAT @) MERGE INTO t USING u ON t.a = @ WHEN MATCHED THEN UPDATE SET b = @",
    "DECLARE c CURSOR FOR SELECT @; CALL f(a => @, b := @)",
    "SET SESSION AUTHORIZATION @; SET ROLE @; SET TIME ZONE @; SET NAMES @",
    "SET TRANSACTION SNAPSHOT @; RESET app.secret",
    "SELECT a IS DISTINCT FROM @, b IS NOT NULL, EXTRACT(@ FROM c), d::varchar(9) COLLATE \"C\" = @",
    "WITH x AS (DELETE FROM t WHERE a = @ RETURNING @) SELECT XMLPARSE(DOCUMENT @), f.* FROM g(@) f",
    "SELECT JSON_VALUE(a, @ DEFAULT @ ON EMPTY), OVERLAY(a PLACING @ FROM 1), a AT TIME ZONE @",
];

/// A secret of letters that no statement above has in a row.
fn secret() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(b"QXZJqxzj0729".to_vec()), 8..16)
        .prop_map(|letters| letters.into_iter().map(char::from).collect())
}

/// A literal that holds a secret.
fn literal(form: usize, secret: &str) -> String {
    let digits: String = secret
        .bytes()
        .map(|byte| char::from(b'0' + byte % 10))
        .collect();
    match form {
        0 => format!("'{secret}'"),
        1 => format!("'{secret}''{secret}'"),
        2 => format!("'\\' || '{secret}'"),
        3 => format!("E'\\'{secret}\\\\'"),
        4 => format!("'{secret}'\n  '{secret}'"),
        5 => format!("'{secret}' -- {secret}\n  '{secret}'"),
        6 => format!("$${secret}$$"),
        7 => format!("$q${secret}'$$\"$q$"),
        8 => format!("N'{secret}'"),
        9 => format!("X'{secret}'"),
        10 => format!("B'{secret}'"),
        11 => format!("U&'{secret}'"),
        12 => format!("1{digits}"),
        13 => format!("{digits}.{digits}e5"),
        14 => format!("0x1{digits}"),
        15 => format!("1_{digits}"),
        16 => format!("U&'{secret}' UESCAPE '!'"),
        17 => format!("0b1{digits}"),
        18 => format!("0o1_{digits}"),
        19 => format!("{digits}{secret}"),
        20 => format!("E'\\x41{secret}\\u0041{secret}'"),
        21 => format!("'{secret}' /* {secret} /* {secret} */ {secret} */"),
        22 => format!("'{secret}'--{secret}\n\t'{secret}'"),
        23 => format!("n'{secret}'\n'{secret}'"),
        24 => format!("'\\'||'{secret}\\'"),
        _ => format!("'{secret}\u{fffd}\"--/*'"),
    }
}

fn filled(statement: &str, forms: &[usize], secret: &str) -> String {
    let mut forms = forms.iter().cycle();
    let mut text = String::new();
    for (index, piece) in statement.split('@').enumerate() {
        if index > 0 {
            text.push_str(&literal(*forms.next().unwrap(), secret));
        }
        text.push_str(piece);
    }
    text
}

fn assert_no_leak(text: &[u8], secret: &str) {
    let digits: String = secret
        .bytes()
        .map(|byte| char::from(b'0' + byte % 10))
        .collect();
    let redacted = redact(text, &RedactOptions::default()).text;
    let canonical = canonical_text(text, &LexerOptions::default());
    let said = classify(text, ClassifyOptions::default());
    let summary = said.summary().into_bytes();
    let facts = format!("{said:?}").into_bytes();
    for out in [redacted, canonical, summary, facts] {
        for window in secret
            .as_bytes()
            .windows(4)
            .chain(digits.as_bytes().windows(4))
        {
            assert!(
                !out.windows(4).any(|run| run.eq_ignore_ascii_case(window)),
                "{} leaks from {}",
                String::from_utf8_lossy(&out),
                String::from_utf8_lossy(text)
            );
        }
    }
}

proptest! {
    #[test]
    fn no_literal_comes_out_wherever_the_text_is_cut(
        statement in prop::sample::select(STATEMENTS.to_vec()),
        forms in prop::collection::vec(0_usize..26, 1..4),
        secret in secret(),
    ) {
        let text = filled(statement, &forms, &secret);
        for cut in 0..=text.len() {
            assert_no_leak(&text.as_bytes()[..cut], &secret);
        }
        redaction_settles(text.as_bytes(), LexerOptions::default());
    }

    #[test]
    fn redaction_settles_on_what_is_made_of_pieces_of_sql(
        text in noisy_text(),
        options in any_options(),
    ) {
        redaction_settles(text.as_bytes(), options);
        statements_are_in_order(text.as_bytes(), options);
    }

    #[test]
    fn redaction_settles_on_any_bytes(text: Vec<u8>) {
        any_bytes(&text);
    }
}

#[test]
fn words_and_names_in_the_place_of_a_setting_are_values() {
    for text in [
        "SET app.secret TO hunter2",
        "set session app.secret = \"hunter2\" , hunter2 ; select 1",
        "ALTER ROLE r SET app.secret = hunter2",
        "alter system set x to hunter2",
    ] {
        let redacted = redact(text.as_bytes(), &RedactOptions::default()).text;
        assert!(
            !String::from_utf8_lossy(&redacted).contains("hunter2"),
            "{text}"
        );
    }
}

#[test]
fn what_cannot_be_read_is_one_question_mark() {
    for (text, redacted) in [
        (&b"select 1, 'secret"[..], &b"select ?, ?"[..]),
        (b"select a /* secret", b"select a ?"),
        (b"select \"secret", b"select ?"),
        (b"select a, \xff, secret", b"select a, ?"),
        (b"select $q$ secret $q", b"select ?"),
    ] {
        let found = redact(text, &RedactOptions::default());
        assert_eq!(found.text, redacted);
        assert!(found.lexed_to < text.len());
    }
}

#[test]
fn adversarial_texts_settle_too() {
    for text in adversarial_texts(20_000) {
        any_bytes(&text);
    }
}

/// Quotes that do not mean what they seem to: what they leave outside is neither shown nor told as a name.
#[test]
fn a_literal_that_was_closed_too_early_tells_nothing() {
    for text in [
        r"select 'it\'s from secret, secret.secret where', x from t",
        r"insert into t values ('O'Brien', secret(secret), 'x",
        r"select 'a\'b from secret join secret on secret.secret = 'x",
        "update t set a = 'it's', secret = secret.secret where b = 'c' and d = 'e",
        "select E'a'secret from secret where b = $$open",
        "select U&'O'secret, x from secret /* secret",
        "select $$a$$secret from secret where \"open",
        "insert into t values ($q$it$q$secret) returning secret, 'open",
    ] {
        assert_no_leak(text.as_bytes(), "secret");
    }
}

/// A byte that takes a quote along into a character that the encoding does not have.
#[test]
fn characters_that_no_encoding_has_end_what_is_shown() {
    for (encoding, text) in [
        (Encoding::Sjis, &b"select '\x81', 'secret', 'a'"[..]),
        (Encoding::Big5, b"select '\xa1', 'secret', 'a'"),
        (Encoding::Gbk, b"select '\x81', 'secret', 'a'"),
        (Encoding::Uhc, b"select '\x81', 'secret', 'a'"),
        (Encoding::Gb18030, b"select '\x81', 'secret', 'a'"),
        (Encoding::Johab, b"select '\x88', 'secret', 'a'"),
        (Encoding::Johab, b"select '\x8f\x40', 'secret', 'a'"),
        (Encoding::Utf8, b"select '\x81', 'secret', 'a'"),
    ] {
        let lexer = LexerOptions {
            encoding,
            ..LexerOptions::default()
        };
        let options = RedactOptions {
            lexer,
            ..RedactOptions::default()
        };
        let found = redact(text, &options).text;
        assert_eq!(found, b"select ?", "{encoding:?}");
        redaction_settles(text, lexer);
    }
}

/// Quotes and backslashes in the second byte of a character are none, wherever the text is cut.
#[test]
fn characters_that_hold_a_quote_or_backslash_are_whole() {
    for (encoding, character) in [
        (Encoding::Sjis, &b"\x95\\"[..]),
        (Encoding::Big5, b"\xa4\\"),
        (Encoding::Gbk, b"\x81\\"),
        (Encoding::Uhc, b"\x81a"),
        (Encoding::Gb18030, b"\x81\\"),
        (Encoding::Gb18030, b"\x810\x810"),
        (Encoding::Johab, b"\x88\\"),
    ] {
        for standard_conforming_strings in [true, false] {
            let lexer = LexerOptions {
                standard_conforming_strings,
                encoding,
                ..LexerOptions::default()
            };
            let options = RedactOptions {
                lexer,
                ..RedactOptions::default()
            };
            let text = [
                b"select '",
                character,
                b"secret",
                character,
                b"', 'secret', E'",
                character,
                b"', a, $$secret",
                character,
                b"$$ -- ",
                character,
                b"secret\n; set a.b = secret",
                character,
            ]
            .concat();
            assert_eq!(
                redact(&text, &options).text,
                b"select ?, ?, ?, a, ? \n; set a.b = ?"
            );
            for cut in 0..=text.len() {
                let found = redact(&text[..cut], &options).text;
                let leaks = found
                    .windows(4)
                    .any(|run| b"secret".windows(4).any(|part| part == run));
                assert!(!leaks, "{encoding:?}: {}", String::from_utf8_lossy(&found));
                redaction_settles(&text[..cut], lexer);
            }
        }
    }
}
