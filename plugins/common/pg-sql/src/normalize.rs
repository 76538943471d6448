//! The text `pg_stat_statements` prints for a statement, byte for byte.
//!
//! The server replaces the constants of a statement's *parse tree* by `$n`; this reads tokens, and
//! knows where in PostgreSQL's grammar a token that looks like a constant is none (`marks`), which
//! constants the analyser drops because their expression stands in the target list already (`items`),
//! and which statements are left as they are (`scope`). Sources: `contrib/pg_stat_statements`,
//! `src/backend/nodes/queryjumblefuncs.c`, `src/backend/parser/gram.y` and `parse_clause.c`. The judges
//! are servers: `tests/normalized` holds statements and what they printed for each.
//!
//! What only a running server knows, it cannot tell: whether a role is the session's already (18 prints
//! `SET ROLE $1` then, and the text as typed otherwise), whether a list has elements of a type without
//! an array type or with a cast of the user's own (18 leaves such lists alone), that EXECUTE is counted
//! as what was prepared, and what a rule makes of a statement.

mod grouped;
mod items;
mod marks;
mod scope;
mod tokens;
mod walk;

use crate::lexer::{LexerOptions, TokenKind};
use crate::redact::{RedactOptions, redact};
use crate::split::split;
use tokens::Statement;

/// Tokens of one statement that are read, in some 60 bytes each.
pub const MAX_TOKENS: usize = 1 << 20;

/// Whose rules to follow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ServerVersion {
    /// PostgreSQL 15: utility statements stay as they are.
    V15,
    /// PostgreSQL 18: lists of constants become `$1 /*, ... */`, and some utility statements have
    /// constants too.
    V18,
}

/// What `pg_stat_statements` of that version prints for a statement. Of a text of several statements,
/// each is treated by itself, with `;` in between. A statement of more than [`MAX_TOKENS`] is redacted
/// instead.
///
/// ```
/// use pg_sql::{ServerVersion, normalize};
/// let text = b"SELECT a + 1 FROM t WHERE b IN (2, 3) ORDER BY 1;";
/// assert_eq!(normalize(text, ServerVersion::V15), b"SELECT a + $1 FROM t WHERE b IN ($2, $3) ORDER BY 1");
/// assert_eq!(normalize(text, ServerVersion::V18), b"SELECT a + $1 FROM t WHERE b IN ($2 /*, ... */) ORDER BY 1");
/// ```
#[must_use]
pub fn normalize(text: &[u8], version: ServerVersion) -> Vec<u8> {
    normalize_with(text, version, &LexerOptions::default())
}

/// [`normalize`] for a session with other settings than the server's defaults.
///
/// ```
/// use pg_sql::{LexerOptions, ServerVersion, normalize_with};
/// let old = LexerOptions { standard_conforming_strings: false, ..LexerOptions::default() };
/// let text = br"SELECT 'it\'s', a FROM t";
/// assert_eq!(normalize_with(text, ServerVersion::V18, &old), b"SELECT $1, a FROM t");
/// ```
#[must_use]
pub fn normalize_with(text: &[u8], version: ServerVersion, options: &LexerOptions) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for (index, range) in split(text, options).into_iter().enumerate() {
        if index > 0 {
            out.push(b';');
        }
        let text = text.get(range).unwrap_or_default();
        statement(text, version, *options, &mut out);
    }
    out
}

fn statement(text: &[u8], version: ServerVersion, lexer: LexerOptions, out: &mut Vec<u8>) {
    let Some(mut statement) = Statement::read(text, lexer, MAX_TOKENS) else {
        let options = RedactOptions {
            lexer,
            ..RedactOptions::default()
        };
        out.extend(redact(text, &options).text);
        return;
    };
    // 18 counts a statement from its first token on, 15 from behind the `;` before it.
    let start = match version {
        ServerVersion::V15 => 0,
        ServerVersion::V18 => statement.start(0),
    };
    let replaced = match scope::of(&statement, version) {
        scope::Scope::Nothing | scope::Scope::Inner(_) => Vec::new(),
        scope::Scope::Tokens(indexes) => indexes
            .into_iter()
            .map(|index| Replaced::token(&statement, index))
            .collect(),
        scope::Scope::From(first) => {
            let lists = walk::walk(&mut statement, first, version);
            match version {
                ServerVersion::V15 => constants(&statement, first, &[]),
                ServerVersion::V18 => constants(&statement, first, &lists),
            }
        }
    };
    write(text, start, &statement, &replaced, out);
}

/// A stretch of text that becomes `$n`.
#[derive(Clone, Copy, Debug)]
struct Replaced {
    start: usize,
    end: usize,
    kind: ReplacedKind,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum ReplacedKind {
    Constant,
    List,
    Parameter,
}

impl Replaced {
    /// From the token at `index`; a sign takes the token behind it along
    /// (`fill_in_constant_lengths`).
    fn token(statement: &Statement<'_>, index: usize) -> Self {
        let last = if statement.is(index, b"-") {
            index.saturating_add(1)
        } else {
            index
        };
        Self {
            start: statement.start(index),
            end: statement.end(last),
            kind: ReplacedKind::Constant,
        }
    }
}

/// Every constant from the token `first` on, in the order of the text.
fn constants(
    statement: &Statement<'_>,
    first: usize,
    lists: &[std::ops::Range<usize>],
) -> Vec<Replaced> {
    let mut found: Vec<Replaced> = Vec::new();
    let mut lists = lists.iter().peekable();
    let mut index = first;
    while index < statement.len() {
        while lists.next_if(|list| list.end < index).is_some() {}
        if let Some(list) = lists.next_if(|list| list.start == index) {
            found.push(Replaced {
                start: statement.end(list.start),
                end: statement.start(list.end),
                kind: ReplacedKind::List,
            });
            index = list.end;
            continue;
        }
        if statement.kind(index) == TokenKind::Parameter {
            found.push(Replaced {
                kind: ReplacedKind::Parameter,
                ..Replaced::token(statement, index)
            });
        } else if statement.is_constant(index) {
            let sign = outermost_sign(statement, index);
            let replaced = Replaced::token(statement, sign.unwrap_or(index));
            if found.last().is_none_or(|last| replaced.start >= last.end) {
                found.push(replaced);
            }
        }
        index = index.saturating_add(1);
    }
    found
}

/// The sign that `doNegate` makes the location of the constant at `index`: the outermost of those
/// before it, parentheses in between notwithstanding. A cast binds tighter than a sign.
fn outermost_sign(statement: &Statement<'_>, index: usize) -> Option<usize> {
    let mut sign = None;
    let (mut before, mut behind) = (index.checked_sub(1)?, index.saturating_add(1));
    loop {
        if statement.is_unary_minus(before) && !statement.is(behind, b"::") {
            sign = Some(before);
        } else if statement.is(before, b"(") && statement.is(behind, b")") {
            behind = behind.saturating_add(1);
        } else {
            return sign;
        }
        match before.checked_sub(1) {
            Some(next) => before = next,
            None => return sign,
        }
    }
}

fn write(
    text: &[u8],
    start: usize,
    statement: &Statement<'_>,
    replaced: &[Replaced],
    out: &mut Vec<u8>,
) {
    let squashed = replaced.iter().any(|one| one.kind == ReplacedKind::List);
    let constants = replaced
        .iter()
        .any(|one| one.kind != ReplacedKind::Parameter);
    // With a list squashed, external parameters are numbered anew with all else.
    let mut number = if squashed {
        0
    } else {
        statement.highest_parameter()
    };
    let mut at = start;
    for one in replaced {
        if !constants || (one.kind == ReplacedKind::Parameter && !squashed) {
            continue;
        }
        number = number.wrapping_add(1);
        out.extend_from_slice(text.get(at..one.start).unwrap_or_default());
        out.extend_from_slice(format!("${number}").as_bytes());
        if one.kind == ReplacedKind::List {
            out.extend_from_slice(b" /*, ... */");
        }
        at = one.end;
    }
    out.extend_from_slice(text.get(at..).unwrap_or_default());
}
