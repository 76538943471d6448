//! What a statement's text says that no answer does.
//!
//! The command tag says what ran, so the text is asked only where the tag is silent: for the
//! operation of a statement that fails, for the name in PREPARE and DEALLOCATE, and whether a
//! `ROLLBACK` was one of a whole transaction or to a savepoint.

use pg_sql::Operation;

use super::names::key;
use super::queue::Key;
use super::scan::{Statements, Token, Tokens};

/// Statements of one Query whose operations are kept.
const MEMBERS: usize = 8;

/// Digest of a Query's or Parse's text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Text {
    /// One statement.
    One(Operation),
    /// `ROLLBACK TO SAVEPOINT`: its tag is that of ROLLBACK.
    RollbackTo,
    /// `PREPARE name AS`.
    Prepare(Key),
    /// `DEALLOCATE name`.
    Deallocate(Key),
    /// Several statements in a Query, by [`Member`]; those beyond are unknown.
    Many([Member; MEMBERS]),
}

/// One statement of several: the operation's discriminant, or one of the two below.
pub(super) type Member = u8;
/// No such statement, or not seen.
const UNKNOWN: Member = u8::MAX;
/// A `ROLLBACK TO`.
const ROLLBACK_TO: Member = u8::MAX - 1;

impl Text {
    /// Reads a Query's text, which can hold several statements, or its beginning.
    pub(super) fn of_query(text: &[u8]) -> Self {
        if is_single(text) {
            return Self::of_statement(text);
        }
        let mut members = [UNKNOWN; MEMBERS];
        for (member, statement) in members.iter_mut().zip(Statements { rest: text }) {
            *member = match Self::of_statement(statement) {
                Self::RollbackTo => ROLLBACK_TO,
                text => text.operation(0) as Member,
            };
        }
        Self::Many(members)
    }

    /// Reads the text of one statement.
    pub(super) fn of_statement(text: &[u8]) -> Self {
        let operation = Operation::from_text(text);
        match operation {
            Operation::Rollback | Operation::Prepare | Operation::Deallocate => {
                Self::in_detail(text, operation)
            }
            _ => Self::One(operation),
        }
    }

    fn in_detail(text: &[u8], operation: Operation) -> Self {
        let mut words = words(text);
        match (operation, words.next(), words.next()) {
            (Operation::Rollback, Some(word), _) if is(word, b"TO") => Self::RollbackTo,
            (Operation::Rollback, Some(noise), Some(word))
                if is(word, b"TO") && (is(noise, b"WORK") || is(noise, b"TRANSACTION")) =>
            {
                Self::RollbackTo
            }
            (Operation::Prepare, Some(name), _) if !is(name, b"TRANSACTION") => {
                Self::Prepare(identifier(name))
            }
            (Operation::Deallocate, Some(noise), Some(name)) if is(noise, b"PREPARE") => {
                Self::Deallocate(identifier(name))
            }
            (Operation::Deallocate, Some(name), _) => Self::Deallocate(identifier(name)),
            _ => Self::One(operation),
        }
    }

    /// The operation of the statement with this index.
    pub(super) fn operation(self, index: u32) -> Operation {
        match self {
            Self::One(operation) => operation,
            Self::RollbackTo => Operation::Rollback,
            Self::Prepare(_) => Operation::Prepare,
            Self::Deallocate(_) => Operation::Deallocate,
            Self::Many(members) => match members.get(index as usize) {
                Some(&ROLLBACK_TO) => Operation::Rollback,
                Some(&member) => Operation::ALL
                    .get(usize::from(member))
                    .copied()
                    .unwrap_or(Operation::Other),
                None => Operation::Other,
            },
        }
    }

    /// Whether the statement with this index rolls back to a savepoint.
    pub(super) fn is_rollback_to(self, index: u32) -> bool {
        match self {
            Self::RollbackTo => true,
            Self::Many(members) => members.get(index as usize) == Some(&ROLLBACK_TO),
            _ => false,
        }
    }
}

/// The words behind a statement's first one, up to anything that is no word.
fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    Tokens { rest: text }
        .skip_while(|token| matches!(token, Token::Open | Token::Semicolon))
        .map_while(|token| match token {
            Token::Word(word) => Some(word),
            _ => None,
        })
        .skip(1)
}

fn is(word: &[u8], keyword: &[u8]) -> bool {
    word.eq_ignore_ascii_case(keyword)
}

/// The key of a name as SQL writes it: folded to lower case, or quoted.
fn identifier(word: &[u8]) -> Key {
    let name: Vec<u8> = match word {
        [b'"', quoted @ .., b'"'] => {
            let mut name = quoted.to_vec();
            name.dedup_by(|second, first| *second == b'"' && *first == b'"');
            name
        }
        word => word.to_ascii_lowercase(),
    };
    key(&name)
}

/// Whether a text is known at a glance to hold one statement: no `;`, or none but the last byte.
fn is_single(text: &[u8]) -> bool {
    text.iter()
        .position(|byte| *byte == b';')
        .is_none_or(|at| at.saturating_add(1) >= text.len())
}
