//! What drivers, and [`redact`](crate::redact), write where the server has parameters: `?` (JDBC),
//! `%s` and `%(name)s` (psycopg), `:name` (SQLAlchemy, R2DBC), `@name` (Npgsql).
//!
//! They are no SQL of PostgreSQL's, and some of them are something else there: `?` is an operator of
//! `jsonb`, `%` the remainder, `@` the absolute value, `:` part of a slice. They are parameters where
//! an operand is missing; `?` also behind a type (`date ?`), where no operand follows.

use crate::{Lexer, LexerOptions, Token, TokenKind};

/// The text with `''` in the place of every parameter that a driver would put in; `None` if there is
/// none. [`classify`](crate::classify()) and [`summary`](crate::summary()) read it then: unlike
/// `$1`, a string may stand behind the name of a type and in DDL.
#[must_use]
pub fn as_parameters(text: &[u8]) -> Option<Vec<u8>> {
    let marked = text
        .iter()
        .any(|byte| matches!(byte, b'?' | b'%' | b':' | b'@'));
    if !marked {
        return None;
    }
    let tokens = Lexer::new(text, LexerOptions::default());
    let mut reader = Reader {
        text,
        tokens: tokens.peekable(),
        operand: false,
        brackets: 0,
    };
    let mut out = Vec::new();
    let mut kept = 0;
    while let Some((start, end)) = reader.next_parameter() {
        out.extend_from_slice(text.get(kept..start).unwrap_or_default());
        // Blanks keep it from running into what stands beside it.
        out.extend_from_slice(b" '' ");
        kept = end;
    }
    if kept == 0 {
        return None;
    }
    out.extend_from_slice(text.get(kept..).unwrap_or_default());
    Some(out)
}

struct Reader<'t> {
    text: &'t [u8],
    tokens: std::iter::Peekable<Lexer<'t>>,
    /// The token before is an operand, so an operator must follow.
    operand: bool,
    /// Inside so many `[`.
    brackets: usize,
}

impl Reader<'_> {
    /// Where the next parameter stands.
    fn next_parameter(&mut self) -> Option<(usize, usize)> {
        loop {
            let token = self.tokens.next()?;
            if token.kind.is_blank() {
                continue;
            }
            if let Some(found) = self.parameter(token) {
                self.operand = true;
                return Some(found);
            }
            self.operand = self.is_operand(token);
        }
    }

    fn parameter(&mut self, token: Token) -> Option<(usize, usize)> {
        let text = token.of(self.text);
        let mark = token.end.checked_sub(1)?;
        // Behind another operator (`=%`) an operand is missing in any case.
        let missing = !self.operand || text.len() > 1;
        match (token.kind, text.last()?) {
            (TokenKind::Operator, b'?') if missing || !self.operand_follows() => {
                Some((mark, token.end))
            }
            (TokenKind::Operator, b'%') => self.percent(mark, token.end, missing),
            (TokenKind::Operator, b'@') if missing => self.word(mark, token.end),
            (TokenKind::Punctuation, b':') if text.len() == 1 && missing && self.brackets == 0 => {
                self.word(mark, token.end)
            }
            _ => None,
        }
    }

    /// Whether what comes next may be the right side of an operator.
    fn operand_follows(&self) -> bool {
        let next = self.tokens.clone().find(|token| !token.kind.is_blank());
        let Some(next) = next else { return false };
        let text = next.of(self.text);
        match next.kind {
            TokenKind::Word => !one_of(text, &FOLLOW),
            TokenKind::Punctuation => text == b"(",
            TokenKind::Operator => matches!(text, b"?" | b"%" | b"@"),
            _ => true,
        }
    }

    /// A word right behind `at`.
    fn word(&mut self, start: usize, at: usize) -> Option<(usize, usize)> {
        let is_word = |next: &Token| next.kind == TokenKind::Word && next.start == at;
        let word = self.tokens.next_if(is_word)?;
        Some((start, word.end))
    }

    /// `%s`, `%(name)s`; `b` and `t` are psycopg's for other formats.
    fn percent(&mut self, start: usize, at: usize, missing: bool) -> Option<(usize, usize)> {
        let rest = self.text.get(at..)?;
        let name = match rest.strip_prefix(b"(") {
            Some(inside) => inside
                .iter()
                .position(|byte| *byte == b')')?
                .checked_add(2)?,
            None if missing => 0,
            None => return None,
        };
        let format = *rest.get(name)?;
        let behind = rest.get(name.checked_add(1)?);
        let ends = behind.is_none_or(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'_'));
        if !matches!(format, b's' | b'b' | b't') || !ends {
            return None;
        }
        let end = at.checked_add(name)?.checked_add(1)?;
        while self.tokens.next_if(|next| next.start < end).is_some() {}
        Some((start, end))
    }

    fn is_operand(&mut self, token: Token) -> bool {
        let text = token.of(self.text);
        match token.kind {
            TokenKind::Word => !one_of(text, &INTRODUCE),
            TokenKind::Punctuation => {
                match text {
                    b"[" => self.brackets = self.brackets.saturating_add(1),
                    b"]" => self.brackets = self.brackets.saturating_sub(1),
                    _ => {}
                }
                matches!(text, b")" | b"]")
            }
            TokenKind::Operator => false,
            _ => true,
        }
    }
}

fn one_of(text: &[u8], words: &[&str]) -> bool {
    words
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word.as_bytes()))
}

/// Key words that may follow an expression and begin none.
const FOLLOW: [&str; 22] = [
    "AND",
    "AS",
    "ASC",
    "BETWEEN",
    "COLLATE",
    "DESC",
    "ELSE",
    "END",
    "EXCEPT",
    "FROM",
    "GROUP",
    "HAVING",
    "IN",
    "INTERSECT",
    "IS",
    "LIMIT",
    "OR",
    "ORDER",
    "THEN",
    "UNION",
    "WHEN",
    "WHERE",
];

/// Key words behind which an expression may begin.
const INTRODUCE: [&str; 34] = [
    "ALL",
    "AND",
    "ANY",
    "ARRAY",
    "AS",
    "BETWEEN",
    "BY",
    "CALL",
    "CASE",
    "DEFAULT",
    "DISTINCT",
    "ELSE",
    "EXCEPT",
    "FROM",
    "HAVING",
    "ILIKE",
    "IN",
    "INTERVAL",
    "LIKE",
    "LIMIT",
    "NOT",
    "OFFSET",
    "ON",
    "OR",
    "RETURNING",
    "SELECT",
    "SET",
    "SIMILAR",
    "THEN",
    "TO",
    "VALUES",
    "WHEN",
    "WHERE",
    "ZONE",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(text: &str) -> String {
        let found = as_parameters(text.as_bytes());
        found.map_or_else(
            || text.to_owned(),
            |found| String::from_utf8(found).unwrap(),
        )
    }

    #[test]
    fn what_drivers_write_becomes_a_parameter() {
        for (text, expected) in [
            ("a = ?", "a =  '' "),
            ("a=?", "a= '' "),
            ("date ?, interval ? AS x", "date  '' , interval  ''  AS x"),
            ("LIMIT ?", "LIMIT  '' "),
            ("a = %s AND b IN (%s,%s)", "a =  ''  AND b IN ( '' , '' )"),
            ("a=%(some name)s)", "a= '' )"),
            ("a % %(x)s", "a %  '' "),
            ("a = :name::text", "a =  '' ::text"),
            ("a = @name", "a =  '' "),
        ] {
            assert_eq!(replaced(text), expected);
        }
    }

    #[test]
    fn what_is_sql_stays() {
        for text in [
            "data ? 'key'",
            "data ? lower(key)",
            "data ? $1",
            "data->'a' ?| array['b']",
            "a %s",
            "a % s",
            "(a)%b",
            "a[1:n]",
            "a::text",
            "'? %s :x'",
            "f(x := 1)",
            "@ -5",
            "a LIKE '%s'",
        ] {
            assert_eq!(replaced(text), text);
        }
    }
}
