//! Where a string ends is what the server says, with `standard_conforming_strings` on and off.
//!
//! Random texts of quotes, backslashes and comments are handed to real servers as the elements of
//! an array. What a server takes the lexer must take, with as many strings as the server counts and
//! each as long as the server says; what it refuses must not lex as a list of strings.

use std::fmt::Write as _;

use pg_sql::{Lexer, LexerOptions, TokenKind};
use test_harness::hosts::{Postgres, Version};

const PIECES: &[&str] = &[
    "'", "'", "'", "''", "\\", "\\\\", "\\'", "a", "c", "\n", " ", "--", "E'", "e'", "$$", "$q$",
    "$", ",", "','", "/*", "*/", "U&'", "'\n'", "\t", "\u{e4}", "\"",
];
const TEXTS: usize = 20_000;

/// Runs a text as the elements of an array; their lengths in bytes, or NULL.
const TRIAL: &str = "
CREATE FUNCTION lengths(elements text) RETURNS text LANGUAGE plpgsql AS $f$
DECLARE found text;
BEGIN
  EXECUTE 'SELECT string_agg(octet_length(x)::text, '','') FROM unnest(ARRAY[' || elements || E'\\n]::text[]) x'
    INTO found;
  RETURN found;
EXCEPTION WHEN OTHERS THEN RETURN NULL;
END $f$";

/// Pseudo-random numbers (xorshift64): the same texts in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

fn texts() -> Vec<String> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let text = |_| {
        let length = 2 + random.below(10);
        let inside: String = (0..length)
            .map(|_| PIECES[random.below(PIECES.len())])
            .collect();
        // Half of them begin and end as a string does, or hardly any would be taken.
        let opening = ["", "'", "E'", "'"][random.below(4)];
        format!(
            "{opening}{inside}{}",
            if opening.is_empty() { "" } else { "'" }
        )
    };
    (0..TEXTS).map(text).collect()
}

/// The lengths of the strings of a list of strings; nothing when it is no such list.
fn lengths(text: &str, standard_conforming_strings: bool) -> Option<String> {
    let options = LexerOptions {
        standard_conforming_strings,
        ..LexerOptions::default()
    };
    let text = format!("{text}\n");
    let tokens: Vec<_> = Lexer::new(text.as_bytes(), options).collect();
    if tokens.iter().any(|token| token.fault.is_some()) {
        return None;
    }
    let seen = tokens.iter().filter(|token| !token.kind.is_blank());
    let mut lengths = Vec::new();
    for (index, token) in seen.enumerate() {
        let bytes = token.of(text.as_bytes());
        match (index % 2, token.kind) {
            (0, kind) if kind.is_string() => {
                let escapes = kind == TokenKind::EscapeString
                    || (kind == TokenKind::String && !standard_conforming_strings);
                lengths.push(decoded_length(bytes, kind, escapes)?.to_string());
            }
            (1, TokenKind::Punctuation) if bytes == b"," => lengths.push(String::new()),
            _ => return None,
        }
    }
    if lengths.len() % 2 == 0 {
        return None;
    }
    lengths.retain(|length| !length.is_empty());
    Some(lengths.join(","))
}

/// Bytes of a string's value.
fn decoded_length(token: &[u8], kind: TokenKind, escapes: bool) -> Option<usize> {
    if kind == TokenKind::DollarString {
        let tag = token.iter().skip(1).position(|byte| *byte == b'$')? + 2;
        return Some(token.len() - 2 * tag);
    }
    let mut rest = &token[token.iter().position(|byte| *byte == b'\'')? + 1..];
    let mut length = 0;
    loop {
        rest = match rest {
            [b'\'', b'\'', behind @ ..] => {
                length += 1;
                behind
            }
            // The end of a part: the next one begins behind white space and comments.
            [b'\'', behind @ ..] => match next_part(behind) {
                Some(part) => part,
                None => return Some(length),
            },
            // A backslash takes one byte; the rest of a long character stands for itself.
            [b'\\', _, behind @ ..] if escapes => {
                length += 1;
                behind
            }
            // `U&'\a'` is no code point: what the server says of these is not where a string ends.
            [b'\\', ..] if kind == TokenKind::UnicodeString => return None,
            [_, behind @ ..] => {
                length += 1;
                behind
            }
            [] => return None,
        };
    }
}

fn next_part(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        rest = match rest {
            [b'\'', behind @ ..] => return Some(behind),
            [b'-', b'-', ..] => {
                let end = rest.iter().position(|byte| *byte == b'\n')?;
                &rest[end..]
            }
            [_, behind @ ..] => behind,
            [] => return None,
        };
    }
}

#[test]
fn strings_end_where_the_server_ends_them() {
    let texts = texts();
    for version in Version::ALL {
        let server = Postgres::start(version);
        server.sql(TRIAL);
        for conforming in [true, false] {
            let mut script = format!(
                "SET standard_conforming_strings = {conforming}; SET escape_string_warning = off;"
            );
            for text in &texts {
                let hex = text.bytes().fold(String::new(), |mut hex, byte| {
                    let _ = write!(hex, "{byte:02x}");
                    hex
                });
                let _ = write!(
                    script,
                    "SELECT lengths(convert_from(decode('{hex}', 'hex'), 'UTF8'));"
                );
            }
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("texts.sql");
            std::fs::write(&path, script.replace(';', ";\n")).unwrap();
            let mut psql = server.client("psql");
            psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-P", "null=refused", "-f"])
                .arg(&path);
            let output = test_harness::hosts::postgres::output_of(&mut psql);
            let answers = String::from_utf8(output.stdout).unwrap();
            assert_eq!(answers.lines().count(), texts.len());
            let mut taken = 0;
            for (text, answer) in texts.iter().zip(answers.lines()) {
                let expected = (answer != "refused").then(|| answer.to_owned());
                taken += usize::from(expected.is_some());
                let unicode = text.to_ascii_lowercase().contains("u&'") && text.contains('\\');
                if !unicode {
                    assert_eq!(
                        lengths(text, conforming),
                        expected,
                        "{version:?} {conforming}\n{text}"
                    );
                }
            }
            println!(
                "{}: {taken} of {} texts taken",
                version.number(),
                texts.len()
            );
            assert!(taken > texts.len() / 50);
        }
    }
}
