//! PostgreSQL 18 puts a variable in the place of every expression of a grouped query that GROUP BY has
//! (`substitute_grouped_columns` in `parse_agg.c`), so that only one of them keeps its constants: the first
//! item of the target list or of ORDER BY that is the expression, or else the item of GROUP BY.

use std::ops::Range;

use super::items::{Clause, Item, bare, spelled};
use super::tokens::{Mark, Statement};
use crate::lexer::TokenKind;

/// Expressions of one GROUP BY that are looked for.
const MOST: usize = 8;
/// Tokens of such an expression.
const LONGEST: usize = 64;
/// Tokens of an item in which they are looked for.
const LARGEST: usize = 1024;

/// Functions whose arguments are computed before grouping.
const AGGREGATES: &[&str] = &[
    "array_agg",
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "every",
    "json_agg",
    "json_object_agg",
    "jsonb_agg",
    "jsonb_object_agg",
    "max",
    "min",
    "range_agg",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "string_agg",
    "sum",
    "var_pop",
    "var_samp",
    "variance",
    "xmlagg",
];

/// Marks the constants of expressions in `items`, all of one SELECT, that GROUP BY has too.
pub(super) fn resolve(statement: &mut Statement<'_>, items: &[Item]) {
    let grouped: Vec<Range<usize>> = items
        .iter()
        .filter(|item| item.clause == Clause::GroupBy)
        .map(|item| bare(statement, item.tokens.clone(), false))
        .filter(|tokens| tokens.len() > 1 && tokens.len() <= LONGEST)
        .filter(|tokens| tokens.clone().any(|index| statement.looks_constant(index)))
        .take(MOST)
        .collect();
    for expression in grouped {
        keep_others(statement, items, expression);
    }
}

fn keep_others(statement: &mut Statement<'_>, items: &[Item], expression: Range<usize>) {
    let wanted = spelled(statement, expression.clone(), false);
    let mut seen = false;
    for item in items {
        let whole = match item.clause {
            Clause::Targets => bare(statement, item.tokens.clone(), true),
            Clause::OrderBy | Clause::Having | Clause::DistinctOn => {
                bare(statement, item.tokens.clone(), false)
            }
            _ => continue,
        };
        if whole.len() > LARGEST {
            continue;
        }
        let is_expression = whole.len() == expression.len()
            && item.clause != Clause::Having
            && spelled(statement, whole.clone(), false) == wanted;
        if is_expression && !std::mem::replace(&mut seen, true) {
            continue;
        }
        keep_inside(statement, whole, &expression, &wanted);
    }
}

fn keep_inside(
    statement: &mut Statement<'_>,
    region: Range<usize>,
    expression: &Range<usize>,
    wanted: &[u8],
) {
    let mut index = region.start;
    while index < region.end {
        if statement.is(index, b"(") && is_aggregate(statement, index) {
            index = statement.behind_bracket(index);
            continue;
        }
        let end = index.saturating_add(expression.len());
        let fits = end <= region.end
            && statement.is(index, statement.bytes(expression.start))
            && spelled(statement, index..end, false) == wanted
            && stands_alone(statement, &region, index..end);
        if !fits {
            index = index.saturating_add(1);
            continue;
        }
        for inside in index..end {
            if statement.looks_constant(inside) {
                statement.mark(inside, Mark::Kept);
            }
        }
        index = end;
    }
}

fn is_aggregate(statement: &Statement<'_>, open: usize) -> bool {
    open.checked_sub(1).is_some_and(|name| {
        AGGREGATES
            .iter()
            .any(|known| statement.is(name, known.as_bytes()))
    })
}

/// Whether no operator that binds as tightly pulls at either end of the expression.
fn stands_alone(statement: &Statement<'_>, region: &Range<usize>, tokens: Range<usize>) -> bool {
    let loose = |index: usize| match statement.kind(index) {
        TokenKind::Punctuation => {
            matches!(statement.bytes(index), b"(" | b")" | b"[" | b"]" | b",")
        }
        TokenKind::Operator => {
            matches!(
                statement.bytes(index),
                b"=" | b"<" | b">" | b"<=" | b">=" | b"<>" | b"!="
            )
        }
        TokenKind::Word => {
            !statement.is_name(index)
                && !statement.is(index, b"collate")
                && !statement.is(index, b"at")
        }
        _ => false,
    };
    let before = tokens
        .start
        .checked_sub(1)
        .filter(|before| *before >= region.start);
    before.is_none_or(loose) && (tokens.end >= region.end || loose(tokens.end))
}
