//! Which part of a statement has constants at all.

use super::ServerVersion;
use super::tokens::{Keyword, Statement};

/// Where to look for constants.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Scope {
    /// Nowhere: a utility statement that is not analysed.
    Nothing,
    /// From this token on.
    From(usize),
    /// These tokens are the constants.
    Tokens(Vec<usize>),
    /// Where the statement inside that begins with this token says.
    Inner(usize),
}

/// EXPLAIN DECLARE c CURSOR FOR SELECT, and one to spare.
const DEEPEST: usize = 4;

/// Never [`Scope::Inner`].
pub(super) fn of(statement: &Statement<'_>, version: ServerVersion) -> Scope {
    let mut first = 0;
    for _ in 0..DEEPEST {
        match at(statement, version, first) {
            Scope::Inner(inner) => first = inner,
            scope => return scope,
        }
    }
    Scope::Nothing
}

fn at(statement: &Statement<'_>, version: ServerVersion, first: usize) -> Scope {
    let next = first.saturating_add(1);
    match (statement.keyword(first), version) {
        (
            Keyword::Select | Keyword::With | Keyword::Values | Keyword::Insert | Keyword::Query,
            _,
        ) => query(statement, version, first),
        (Keyword::None, _) if statement.is(first, b"(") => query(statement, version, first),
        (Keyword::Prepare, ServerVersion::V15) => prepared(statement, next),
        (_, ServerVersion::V15) => Scope::Nothing,
        (Keyword::Prepare, _) if statement.is(next, b"transaction") => string(statement, first, 2),
        (Keyword::Prepare, _) => prepared(statement, next),
        (Keyword::Explain, _) => explained(statement, next),
        (Keyword::Create, _) => created(statement, next),
        _ if statement.is(first, b"alter") => clauses(statement, next),
        (Keyword::Declare, _) => declared(statement, next),
        (Keyword::Call, _) => Scope::From(next),
        (Keyword::Set, _) => setting(statement, next),
        (Keyword::Savepoint, _) => Scope::Tokens(vec![next]),
        (Keyword::Release, _) => name(statement, next),
        (Keyword::Rollback, _) => rollback(statement, next),
        (Keyword::Deallocate, _) => deallocated(statement, next),
        _ if statement.is(first, b"commit") && statement.is(next, b"prepared") => {
            string(statement, first, 2)
        }
        _ => Scope::Nothing,
    }
}

fn string(statement: &Statement<'_>, first: usize, words: usize) -> Scope {
    let index = first.saturating_add(words);
    if statement.kind(index).is_string() {
        Scope::Tokens(vec![index])
    } else {
        Scope::Nothing
    }
}

/// SELECT INTO is a utility statement (`transformOptionalSelectInto`).
fn query(statement: &Statement<'_>, version: ServerVersion, first: usize) -> Scope {
    if version == ServerVersion::V15 && selects_into(statement, first) {
        return Scope::Nothing;
    }
    Scope::From(first)
}

fn selects_into(statement: &Statement<'_>, first: usize) -> bool {
    let mut depth = 0_usize;
    let mut selects = false;
    for index in first..statement.len() {
        match statement.bytes(index) {
            b"(" => depth = depth.saturating_add(1),
            b")" => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            _ => match statement.keyword(index) {
                Keyword::Select => selects = true,
                Keyword::Insert | Keyword::Query => return false,
                Keyword::Into => return selects,
                _ => {}
            },
        }
    }
    false
}

/// Behind the first AS outside of parentheses.
fn behind_as(statement: &Statement<'_>, first: usize) -> Option<usize> {
    let mut index = first;
    while index < statement.len() {
        if statement.is(index, b"(") {
            index = statement.behind_bracket(index);
            continue;
        }
        let next = index.saturating_add(1);
        if statement.keyword(index) == Keyword::As {
            return Some(next);
        }
        index = next;
    }
    None
}

fn prepared(statement: &Statement<'_>, first: usize) -> Scope {
    behind_as(statement, first).map_or(Scope::Nothing, Scope::Inner)
}

/// Past the options of EXPLAIN.
fn explained(statement: &Statement<'_>, mut at_token: usize) -> Scope {
    if statement.is(at_token, b"(") && !statement.begins_query(at_token) {
        at_token = statement.behind_bracket(at_token);
    }
    while ["analyze", "analyse", "verbose"]
        .iter()
        .any(|word| statement.is(at_token, word.as_bytes()))
    {
        at_token = at_token.saturating_add(1);
    }
    Scope::Inner(at_token)
}

/// CREATE TABLE AS and CREATE MATERIALIZED VIEW.
fn created(statement: &Statement<'_>, first: usize) -> Scope {
    let is_word = |index: usize, words: &[&str]| {
        words
            .iter()
            .any(|word| statement.is(index, word.as_bytes()))
    };
    let mut kind = first;
    while is_word(kind, &["global", "local", "temp", "temporary", "unlogged"]) {
        kind = kind.saturating_add(1);
    }
    let next = kind.saturating_add(1);
    if is_word(kind, &["table"]) || (is_word(kind, &["materialized"]) && is_word(next, &["view"])) {
        return behind_as(statement, next)
            .filter(|body| statement.begins_query(*body))
            .map_or(Scope::Nothing, Scope::Inner);
    }
    while is_word(kind, &["or", "replace"]) {
        kind = kind.saturating_add(1);
    }
    clauses(statement, kind)
}

/// What may have SET clauses.
const WITH_SETTINGS: &[&str] = &[
    "database",
    "function",
    "procedure",
    "role",
    "routine",
    "system",
    "user",
];

/// The first token of the value in each SET clause.
fn clauses(statement: &Statement<'_>, kind: usize) -> Scope {
    if !WITH_SETTINGS
        .iter()
        .any(|word| statement.is(kind, word.as_bytes()))
    {
        return Scope::Nothing;
    }
    let mut values = Vec::new();
    let mut index = kind.saturating_add(1);
    while index < statement.len() && !statement.is(index, b"begin") {
        if statement.is(index, b"(") {
            index = statement.behind_bracket(index);
            continue;
        }
        if statement.keyword(index) == Keyword::Set
            && !statement.is(index.saturating_add(1), b"schema")
            && let Scope::Tokens(value) = setting(statement, index.saturating_add(1))
        {
            values.extend(value);
        }
        index = index.saturating_add(1);
    }
    if values.is_empty() {
        return Scope::Nothing;
    }
    Scope::Tokens(values)
}

fn declared(statement: &Statement<'_>, first: usize) -> Scope {
    (first..statement.len())
        .find(|index| statement.keyword(*index) == Keyword::For)
        .map_or(Scope::Nothing, |index| {
            Scope::Inner(index.saturating_add(1))
        })
}

fn name(statement: &Statement<'_>, index: usize) -> Scope {
    if statement.keyword(index) == Keyword::Savepoint && statement.len() > index.saturating_add(1) {
        return Scope::Tokens(vec![index.saturating_add(1)]);
    }
    Scope::Tokens(vec![index])
}

fn rollback(statement: &Statement<'_>, mut index: usize) -> Scope {
    if statement.is(index, b"prepared") {
        return string(statement, index, 1);
    }
    if statement.is(index, b"work") || statement.is(index, b"transaction") {
        index = index.saturating_add(1);
    }
    match statement.keyword(index) {
        Keyword::To => name(statement, index.saturating_add(1)),
        _ => Scope::Nothing,
    }
}

fn deallocated(statement: &Statement<'_>, mut index: usize) -> Scope {
    if statement.keyword(index) == Keyword::Prepare {
        index = index.saturating_add(1);
    }
    match statement.keyword(index) {
        Keyword::All => Scope::Nothing,
        _ => Scope::Tokens(vec![index]),
    }
}

/// Of `SET`, the first token of the value.
fn setting(statement: &Statement<'_>, mut index: usize) -> Scope {
    let is = |index: usize, word: &str| statement.is(index, word.as_bytes());
    let next = |index: usize| index.saturating_add(1);
    if (is(index, "session") || is(index, "local"))
        && !is(next(index), "to")
        && !is(next(index), "=")
    {
        index = next(index);
    }
    // The line of SET ROLE and SET SESSION AUTHORIZATION is the new role's, who gets the text as typed.
    let value = if ["names", "schema", "catalog"]
        .iter()
        .any(|word| is(index, word))
    {
        next(index)
    } else if [
        "transaction",
        "characteristics",
        "constraints",
        "role",
        "authorization",
    ]
    .iter()
    .any(|word| is(index, word))
    {
        return Scope::Nothing;
    } else {
        while is(next(index), ".") {
            index = next(next(index));
        }
        match (statement.keyword(next(index)), statement.bytes(next(index))) {
            (Keyword::To, _) | (_, b"=") => next(next(index)),
            _ => return Scope::Nothing,
        }
    };
    match statement.keyword(value) {
        Keyword::Default => Scope::Nothing,
        _ if value >= statement.len() => Scope::Nothing,
        _ => Scope::Tokens(vec![value]),
    }
}
