//! Shapes: what texts have in common that differ in their data only.

mod common;

use common::invariants::a_shape_tells_all;
use pg_sql::shape;
use proptest::prelude::*;

fn shaped(text: &str) -> Option<String> {
    let mut found = Vec::new();
    let is_plain = shape(text.as_bytes(), true, &mut found);
    String::from_utf8(found).ok().filter(|_| is_plain)
}

#[test]
fn literals_and_comments_are_marks_and_all_else_stays() {
    for (text, expected) in [
        (
            "SELECT a1 FROM t WHERE b = $1",
            "SELECT a1 FROM t WHERE b = $1",
        ),
        ("a = 'x''y' AND b=-1.5", "a = \x01 AND b=-\x02"),
        (
            "a /* x */ -- y\n, \"b 'c' 1\"",
            "a \x03 \x03\n, \"b 'c' 1\"",
        ),
        ("date'2000-01-01'::text", "date\x01::text"),
        (
            "a[1:2] @> '{}' AND ж = 'я'",
            "a[\x02:\x02] @> \x01 AND ж = \x01",
        ),
        ("", ""),
    ] {
        assert_eq!(shaped(text).as_deref(), Some(expected), "{text}");
    }
}

#[test]
fn what_is_written_oddly_has_no_shape() {
    for text in [
        "'open",
        "\"open",
        "/* open",
        "/* a /* b */ c */",
        "/*/**/",
        "'O'Brien'",
        "'it\\'s'",
        "E'x'",
        "n'x'",
        "U&'x'",
        "u&\"x\"",
        "$$x$$",
        "$a$x$a$",
        "$1x",
        "a$1",
        "1e5",
        "0x1f",
        "1_000",
        "12ab",
        ".5",
        "1.",
        "1..2",
        "'a'\n'b'",
        "'a' -- c\n'b'",
        "\"\"",
        "a \\ b",
        "a { b",
        "%(name)s",
        "a\0b",
        "'a\0b'",
        "a\u{1}b",
    ] {
        assert_eq!(shaped(text), None, "{text}");
    }
    assert!(!shape(b"'\xff'", true, &mut Vec::new()));
    assert!(!shape(b"a /* b */", false, &mut Vec::new()));
    assert!(shape(b"a", false, &mut Vec::new()));
}

/// Pieces of SQL in any order.
fn soup() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "SELECT ",
        "a",
        "t1",
        "_b",
        "ж",
        "\"q\"",
        "\"q'\"",
        "'x'",
        "'x''y'",
        "'\\'",
        "'\\\\x'",
        "''",
        "'--'",
        "'/*'",
        "1",
        "1.5",
        "7e1",
        "0x1",
        "$1",
        "$2",
        "$a$",
        "$$",
        "?",
        "%s",
        "%(",
        ":n",
        "@",
        "::",
        "..",
        ".",
        ":=",
        " ",
        "  ",
        "\n",
        "\t",
        ",",
        "(",
        ")",
        "[",
        "]",
        ";",
        "+",
        "-",
        "--",
        "/",
        "/*",
        "*/",
        "*",
        "=",
        "<",
        ">",
        "!",
        "TRUE",
        "null",
        "IS",
        "NOT ",
        "IN (",
        "VALUES (",
        "LIMIT ",
        "E'",
        "e",
        "N'",
        "U&'",
        "U&",
        "SET ",
        "a.b TO ",
        "PASSWORD ",
        "NOTIFY c, ",
        "INTERVAL ",
        "DATE",
        "\\",
        "{",
        "\u{1}",
    ];
    let piece = prop::sample::select(PIECES.to_vec());
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn texts_of_one_shape_are_redacted_to_the_same(text in soup()) {
        a_shape_tells_all(text.as_bytes());
    }
}
