//! Expressions that stand twice.
//!
//! An item of ORDER BY, GROUP BY, DISTINCT ON or a window that equals an item of the target list, or one
//! of those before it, is taken for it (`findTargetlistEntrySQL99` in `parse_clause.c`): its own constants
//! are dropped. A bare integer there is a position, but not in a window or an aggregate.

use std::collections::HashSet;
use std::ops::Range;

use super::tokens::{Mark, Statement};
use super::{ServerVersion, grouped};
use crate::lexer::TokenKind;

/// Items of more tokens are not looked for.
const LONGEST: usize = 256;

/// Where an item stands, in the order in which the analyser reads the clauses of a SELECT.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Clause {
    /// All of a window that WINDOW names, or that OVER defines: one that is defined already is not
    /// defined anew.
    NamedWindow,
    Window,
    Targets,
    OrderBy,
    GroupBy,
    DistinctOn,
    /// The whole of it; it is compared with no other item.
    Having,
    /// Of windows and aggregates; of each window, ORDER BY goes before PARTITION BY.
    Inner(usize, u8),
}

/// One item of a clause.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// The SELECT or call it belongs to.
    pub(super) block: usize,
    pub(super) clause: Clause,
    pub(super) tokens: Range<usize>,
}

/// Marks positions, and constants of items that stand there already.
pub(super) fn resolve(statement: &mut Statement<'_>, mut items: Vec<Item>, version: ServerVersion) {
    items.sort_by_key(|item| (item.block, item.clause));
    if version == ServerVersion::V18 {
        for block in items.chunk_by(|one, other| one.block == other.block) {
            grouped::resolve(statement, block);
        }
    }
    let mut block = None;
    let mut known = Known::default();
    for item in items {
        if block != Some(item.block) {
            block = Some(item.block);
            known = Known::default();
        }
        let tokens = bare(statement, item.tokens, item.clause == Clause::Targets);
        let position = tokens.len() == 1 && statement.kind(tokens.start) == TokenKind::Integer;
        let positions = matches!(
            item.clause,
            Clause::OrderBy | Clause::GroupBy | Clause::DistinctOn
        );
        if position && positions {
            statement.mark(tokens.start, Mark::Kept);
            continue;
        }
        if tokens.is_empty() || tokens.len() > LONGEST || item.clause == Clause::Having {
            continue;
        }
        let new = known.insert(statement, tokens.clone());
        if !new && item.clause != Clause::Targets {
            for index in tokens {
                if statement.is_constant(index) {
                    statement.mark(index, Mark::Kept);
                }
            }
        }
    }
}

/// The items of a SELECT that were read.
#[derive(Default)]
struct Known {
    spelled: HashSet<Vec<u8>>,
    /// Without the names of relations before those of columns.
    unqualified: HashSet<Vec<u8>>,
}

impl Known {
    /// Whether it is new.
    fn insert(&mut self, statement: &Statement<'_>, tokens: Range<usize>) -> bool {
        let full = spelled(statement, tokens.clone(), false);
        let short = spelled(statement, tokens, true);
        let known = self.spelled.contains(&full)
            || self.spelled.contains(&short)
            || (full == short && self.unqualified.contains(&short));
        self.spelled.insert(full);
        self.unqualified.insert(short);
        !known
    }
}

/// Without its alias and the parentheses around it.
pub(super) fn bare(
    statement: &Statement<'_>,
    mut tokens: Range<usize>,
    target: bool,
) -> Range<usize> {
    if target {
        tokens = without_alias(statement, tokens);
    }
    while tokens.len() > 2
        && statement.is(tokens.start, b"(")
        && statement.partner(tokens.start) == tokens.end.saturating_sub(1)
    {
        tokens = tokens.start.saturating_add(1)..tokens.end.saturating_sub(1);
    }
    tokens
}

fn without_alias(statement: &Statement<'_>, tokens: Range<usize>) -> Range<usize> {
    let Some(last) = tokens.end.checked_sub(1) else {
        return tokens;
    };
    let Some(before) = last.checked_sub(1).filter(|before| *before >= tokens.start) else {
        return tokens;
    };
    let is_word = !matches!(
        statement.kind(last),
        TokenKind::Punctuation | TokenKind::Operator
    );
    if is_word && statement.is(before, b"as") {
        return tokens.start..before;
    }
    if statement.is_name(last) && statement.ends_operand(before) {
        return tokens.start..last;
    }
    tokens
}

/// The tokens, spelled as the analyser would see them.
pub(super) fn spelled(
    statement: &Statement<'_>,
    tokens: Range<usize>,
    unqualified: bool,
) -> Vec<u8> {
    let mut text = Vec::new();
    let mut index = tokens.start;
    while index < tokens.end {
        let next = index.saturating_add(1);
        let column = next.saturating_add(1);
        let qualifies = statement.is_name(index)
            && statement.is(next, b".")
            && statement.is_name(column)
            && !statement.is(column.saturating_add(1), b"(");
        if unqualified && qualifies {
            index = column;
            continue;
        }
        let bytes = statement.bytes(index);
        match statement.kind(index) {
            TokenKind::Word => text.extend(bytes.iter().map(u8::to_ascii_lowercase)),
            _ => text.extend_from_slice(bytes),
        }
        text.push(0);
        index = next;
    }
    text
}
