//! What looks like a constant and is none, and the other way round, as far as the tokens around it
//! tell.

use super::tokens::{Keyword, Mark, Statement};
use crate::lexer::TokenKind;

/// Tokens of a CYCLE clause that are read.
const LONGEST_CYCLE: usize = 256;

/// Applies every rule to the token at `index`.
pub(super) fn mark(statement: &mut Statement<'_>, index: usize) {
    let next = index.saturating_add(1);
    match statement.keyword(index) {
        Keyword::Null | Keyword::Truth => test(statement, index),
        Keyword::CurrentTime if statement.is(next, b"(") => statement.keep_inside(next),
        Keyword::NormalForm => normal_form(statement, index),
        Keyword::All if statement.keyword_before(index, 1) == Keyword::Limit => {
            statement.mark(index, Mark::Constant);
        }
        Keyword::Unjumbled if statement.is(next, b"(") => statement.keep_inside(next),
        Keyword::Extract if statement.is(next, b"(") => extract(statement, next),
        Keyword::Cycle if statement.is_before(index, b")") && statement.is_name(next) => {
            cycle(statement, index);
        }
        _ => {}
    }
    match statement.kind(index) {
        TokenKind::Punctuation if statement.is(index, b"::") => {
            type_name(statement, next);
        }
        TokenKind::Punctuation if statement.is(index, b"(") => column_definitions(statement, index),
        kind if kind.is_string() => string(statement, index),
        _ => {}
    }
}

/// `IS [NOT] NULL`, `IS [NOT] DISTINCT FROM NULL` and `NULL ON NULL` are no constants.
fn test(statement: &mut Statement<'_>, index: usize) {
    let before = |count| statement.keyword_before(index, count);
    let next = index.saturating_add(1);
    let is_test =
        before(1) == Keyword::Is || (before(1) == Keyword::Not && before(2) == Keyword::Is);
    let behaviour = statement.keyword(next) == Keyword::On
        && statement.keyword(next.saturating_add(1)) == Keyword::Null;
    let input = before(1) == Keyword::On && matches!(before(2), Keyword::Null | Keyword::Absent);
    if is_test || behaviour || input || is_distinct_from(statement, index) {
        statement.mark(index, Mark::Kept);
    }
}

/// `transformAExprDistinct`: a test against a bare NULL, the right one first, is a NULL test.
fn is_distinct_from(statement: &Statement<'_>, index: usize) -> bool {
    if statement.keyword(index) != Keyword::Null {
        return false;
    }
    let next = index.saturating_add(1);
    let binds =
        |index: usize| statement.kind(index) == TokenKind::Operator || statement.is(index, b"::");
    let right = |index: usize| {
        statement.keyword_before(index, 1) == Keyword::From
            && statement.keyword_before(index, 2) == Keyword::Distinct
            && matches!(
                statement.keyword_before(index, 3),
                Keyword::Is | Keyword::Not
            )
            && !binds(index.saturating_add(1))
    };
    if right(index) {
        return true;
    }
    let not = usize::from(statement.keyword(next.saturating_add(1)) == Keyword::Not);
    let distinct = next.saturating_add(1).saturating_add(not);
    let operand = distinct.saturating_add(2);
    statement.keyword(next) == Keyword::Is
        && statement.keyword(distinct) == Keyword::Distinct
        && !index.checked_sub(1).is_some_and(binds)
        && !(statement.keyword(operand) == Keyword::Null && right(operand))
}

/// `normalize(x, NFC)` and `x IS NFC NORMALIZED`.
fn normal_form(statement: &mut Statement<'_>, index: usize) {
    let next = index.saturating_add(1);
    let call = statement
        .partner(next)
        .checked_sub(1)
        .map_or(Keyword::None, |name| statement.keyword(name));
    let argument =
        statement.is_before(index, b",") && statement.is(next, b")") && call == Keyword::Normalize;
    if argument || statement.keyword(next) == Keyword::Normalized {
        statement.mark(index, Mark::Constant);
    }
}

/// `extract(year FROM x)`.
fn extract(statement: &mut Statement<'_>, open: usize) {
    let field = open.saturating_add(1);
    if statement.keyword(field.saturating_add(1)) == Keyword::From {
        statement.mark(field, Mark::Constant);
    }
}

/// `CYCLE ... SET mark TO 'Y' DEFAULT 'N'`: the jumble leaves the clause out.
fn cycle(statement: &mut Statement<'_>, index: usize) {
    for inside in index..index.saturating_add(LONGEST_CYCLE) {
        if statement.keyword(inside) == Keyword::Using {
            return;
        }
        if statement.looks_constant(inside) {
            statement.mark(inside, Mark::Kept);
        }
    }
}

/// A string, with its type before it and its fields behind it.
fn string(statement: &mut Statement<'_>, index: usize) {
    let Some(before) = index.checked_sub(1) else {
        return;
    };
    if statement.keyword(before) == Keyword::Uescape {
        statement.mark(index, Mark::Kept);
        return;
    }
    // `numeric(10, 2) '1.5'`, `timestamp(3) with time zone '...'`.
    let zoned = statement.keyword(before) == Keyword::Zone
        && statement.keyword_before(index, 3) == Keyword::With;
    let bracket = if zoned {
        index.checked_sub(4)
    } else {
        Some(before)
    };
    let bracket = bracket.filter(|bracket| statement.is(*bracket, b")"));
    if let Some(bracket) = bracket {
        statement.keep_inside(statement.partner(bracket));
    }
    let type_end = bracket.map_or(Some(before), |bracket| {
        statement.partner(bracket).checked_sub(1)
    });
    if type_end.is_some_and(|word| statement.keyword(word) == Keyword::Interval) {
        fields(statement, index.saturating_add(1));
    }
}

/// The fields of an interval; gives the token behind them.
fn fields(statement: &mut Statement<'_>, mut index: usize) -> usize {
    if statement.keyword(index) != Keyword::Field {
        return index;
    }
    while matches!(statement.keyword(index), Keyword::Field | Keyword::To) {
        index = index.saturating_add(1);
    }
    modifiers(statement, index)
}

/// `(10, 2)` behind a type; gives the token behind it.
fn modifiers(statement: &mut Statement<'_>, index: usize) -> usize {
    if !statement.is(index, b"(") {
        return index;
    }
    statement.keep_inside(index);
    statement.behind_bracket(index)
}

/// The name of a type, from its first token; gives the token behind it.
pub(super) fn type_name(statement: &mut Statement<'_>, mut index: usize) -> usize {
    let next = |index: usize| index.saturating_add(1);
    if statement.is(index, b"setof") {
        index = next(index);
    }
    let first = statement.keyword(index);
    let words: &[&[u8]] = match statement.bytes(index).to_ascii_lowercase().as_slice() {
        b"double" => &[b"precision"],
        b"national" => &[b"character", b"char", b"varying"],
        b"character" | b"char" | b"bit" | b"nchar" => &[b"varying"],
        _ => &[],
    };
    index = next(index);
    while words.iter().any(|word| statement.is(index, word)) {
        index = next(index);
    }
    while statement.is(index, b".") {
        index = next(next(index));
    }
    if first == Keyword::Interval {
        index = fields(statement, index);
    }
    index = modifiers(statement, index);
    if first == Keyword::Timestamp && statement.keyword(index) == Keyword::With {
        index = index.saturating_add(3);
    }
    if statement.is(index, b"array") {
        index = next(index);
    }
    while statement.is(index, b"[") && index < statement.len() {
        statement.keep_inside(index);
        index = statement.behind_bracket(index);
    }
    index
}

/// `f() AS t(a int, b numeric(10, 2))`: the parentheses behind an alias of a function hold types.
fn column_definitions(statement: &mut Statement<'_>, open: usize) {
    let first = open.saturating_add(1);
    let Some(before) = open.checked_sub(1) else {
        return;
    };
    let alias = statement.keyword(before) == Keyword::As
        || (statement.is_name(before)
            && !matches!(
                statement.keyword(before),
                Keyword::Over | Keyword::Filter | Keyword::Within
            ));
    let before_alias = if statement.keyword(before) == Keyword::As {
        Some(before)
    } else if statement.keyword_before(before, 1) == Keyword::As {
        before.checked_sub(1)
    } else {
        Some(before)
    };
    let behind_call = before_alias.is_some_and(|index| statement.is_before(index, b")"));
    let typed = statement.is_name(first) && statement.is_name(first.saturating_add(1));
    if alias && behind_call && typed && !statement.begins_query(first) {
        statement.keep_inside(open);
    }
}
