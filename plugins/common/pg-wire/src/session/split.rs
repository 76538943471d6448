//! A Query's text, statement by statement.

use pg_sql::{Lexer, LexerOptions, TokenKind};

/// The significant tokens of a text, with what of the text begins at each. A session that has
/// turned `standard_conforming_strings` off is read as if it had not.
pub(super) fn tokens(text: &[u8]) -> impl Iterator<Item = (TokenKind, &[u8], &[u8])> {
    Lexer::new(text, LexerOptions::default())
        .filter(|token| !token.kind.is_blank())
        .map(move |token| {
            (
                token.kind,
                token.of(text),
                text.get(token.start..).unwrap_or_default(),
            )
        })
}

/// The statements of a text, without those that are empty. The last may be cut.
pub(super) struct Statements<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Iterator for Statements<'a> {
    type Item = &'a [u8];

    /// A `;` ends a statement unless it stands in parentheses (CREATE RULE) or in the body of a
    /// SQL function (`BEGIN ATOMIC ... END`), which is how psql parts them too
    /// (`src/fe_utils/psqlscan.l`).
    fn next(&mut self) -> Option<&'a [u8]> {
        let mut nesting = Nesting::default();
        let mut start: Option<&[u8]> = None;
        for (kind, token, here) in tokens(self.rest) {
            if token == b";" && kind == TokenKind::Punctuation && nesting.is_flat() {
                let Some(start) = start else { continue };
                self.rest = here.get(1..).unwrap_or_default();
                let length = start.len().saturating_sub(here.len());
                return Some(start.get(..length).unwrap_or(start));
            }
            start = start.or(Some(here));
            nesting.enter(kind, token);
        }
        self.rest = &[];
        start
    }
}

/// How deep a token stands in parentheses and function bodies.
#[derive(Default)]
struct Nesting<'a> {
    parentheses: usize,
    bodies: usize,
    word: &'a [u8],
}

impl<'a> Nesting<'a> {
    fn is_flat(&self) -> bool {
        self.parentheses == 0 && self.bodies == 0
    }

    fn enter(&mut self, kind: TokenKind, token: &'a [u8]) {
        let is = |word: &[u8]| kind == TokenKind::Word && token.eq_ignore_ascii_case(word);
        if token == b"(" {
            self.parentheses = self.parentheses.saturating_add(1);
        } else if token == b")" {
            self.parentheses = self.parentheses.saturating_sub(1);
        } else if is(b"ATOMIC") && self.word.eq_ignore_ascii_case(b"BEGIN")
            || is(b"CASE") && self.bodies > 0
        {
            self.bodies = self.bodies.saturating_add(1);
        } else if is(b"END") {
            self.bodies = self.bodies.saturating_sub(1);
        }
        self.word = token;
    }
}

#[cfg(test)]
mod tests {
    use super::Statements;

    #[track_caller]
    fn parts(text: &str, expected: &[&str]) {
        let found: Vec<_> = Statements {
            rest: text.as_bytes(),
        }
        .map(|statement| std::str::from_utf8(statement).unwrap().trim_end())
        .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn statements_end_at_semicolons_and_empty_ones_do_not_count() {
        parts("", &[]);
        parts(" ; ;", &[]);
        parts("select 1; ;select 2", &["select 1", "select 2"]);
        parts("/* one; */ begin; -- two;\ncommit;", &["begin", "commit"]);
    }

    #[test]
    fn a_semicolon_in_a_literal_ends_nothing() {
        parts(
            "select ';', E'\\';', \";\", $a$;$a$; x",
            &["select ';', E'\\';', \";\", $a$;$a$", "x"],
        );
    }

    #[test]
    fn a_semicolon_in_a_rule_or_a_function_body_ends_nothing() {
        let rule = "create rule r as on insert to t do (select 1; select 2)";
        parts(&format!("{rule}; x"), &[rule, "x"]);
        let function = "create function f() returns int begin atomic select case 1 when 1 then 2 end; select 3; end";
        parts(&format!("{function}; x"), &[function, "x"]);
    }
}
