//! What a statement's text says that no answer does.
//!
//! The command tag says what ran, so the text is asked only where the tag is silent: for the
//! operation of a statement that fails, for the name in PREPARE and DEALLOCATE, and whether a
//! `ROLLBACK` was one of a whole transaction or to a savepoint.
//!
//! Limits: names are read only where the Query holds one statement. What lies behind the beginning
//! of the text that a session looks at ([`crate::Limits::statement_text`]), or behind the eighth
//! statement of a Query, is not known: a failing one is [`Operation::Other`], and a `ROLLBACK TO`
//! in the middle of such a Query is taken for a ROLLBACK.

use pg_sql::{Operation, TokenKind};

use super::names::key;
use super::queue::Key;
use super::split::{Statements, tokens};
use crate::TextId;

/// Statements of one Query whose operations are kept.
const MEMBERS: usize = 8;

/// Where a statement comes from: the digest of its text, and what the observer calls it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Source {
    pub(super) id: TextId,
    pub(super) text: Text,
}

impl Source {
    /// Of a statement whose text is not known.
    pub(super) const fn unknown(operation: Operation) -> Self {
        Self {
            id: TextId::UNTOLD,
            text: Text::One(operation),
        }
    }
}

/// A [`Key`] that asks for no alignment, so that a [`Source`] is no larger than it must be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct PackedKey([u8; size_of::<Key>()]);

impl From<Key> for PackedKey {
    fn from(key: Key) -> Self {
        Self(key.to_ne_bytes())
    }
}

impl From<PackedKey> for Key {
    fn from(key: PackedKey) -> Self {
        Self::from_ne_bytes(key.0)
    }
}

/// Digest of a Query's or Parse's text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Text {
    /// One statement.
    One(Operation),
    /// `ROLLBACK TO SAVEPOINT`: its tag is that of ROLLBACK.
    RollbackTo,
    /// `PREPARE name AS`.
    Prepare(PackedKey),
    /// `DEALLOCATE name`.
    Deallocate(PackedKey),
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
                Self::Prepare(identifier(name).into())
            }
            (Operation::Deallocate, Some(noise), Some(name)) if is(noise, b"PREPARE") => {
                Self::Deallocate(identifier(name).into())
            }
            (Operation::Deallocate, Some(name), _) => Self::Deallocate(identifier(name).into()),
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
    tokens(text)
        .skip_while(|(kind, _, _)| *kind == TokenKind::Punctuation)
        .map_while(|(kind, token, _)| {
            matches!(kind, TokenKind::Word | TokenKind::QuotedIdentifier).then_some(token)
        })
        .skip(1)
}

fn is(word: &[u8], keyword: &[u8]) -> bool {
    word.eq_ignore_ascii_case(keyword)
}

/// The key of a name as SQL writes it: folded to lower case, or in quotes, where a doubled quote
/// stands for one.
fn identifier(word: &[u8]) -> Key {
    let [b'"', quoted @ .., b'"'] = word else {
        return key(&word.to_ascii_lowercase());
    };
    let mut second = false;
    let name: Vec<u8> = quoted
        .iter()
        .copied()
        .filter(|byte| {
            second = *byte == b'"' && !second;
            !second
        })
        .collect();
    key(&name)
}

/// Whether a text is known at a glance to hold one statement: no `;`, or none but the last byte.
fn is_single(text: &[u8]) -> bool {
    text.iter()
        .position(|byte| *byte == b';')
        .is_none_or(|at| at.saturating_add(1) >= text.len())
}

#[cfg(test)]
mod tests {
    use super::{Source, Text, key};
    use pg_sql::Operation;

    #[test]
    fn a_statement_is_known_by_its_first_word_past_comments() {
        let text = Text::of_query(b"/* app */ -- x\n (select 1);");
        assert_eq!(text, Text::One(Operation::Select));
    }

    #[test]
    fn a_rollback_to_a_savepoint_is_told_from_a_rollback() {
        for text in [
            "rollback to s",
            "ROLLBACK WORK TO s",
            "rollback transaction to s",
        ] {
            assert!(Text::of_query(text.as_bytes()).is_rollback_to(0), "{text}");
        }
        for text in [
            "rollback",
            "rollback work",
            "rollback and chain",
            "select 'rollback to s'",
        ] {
            assert!(!Text::of_query(text.as_bytes()).is_rollback_to(0), "{text}");
        }
    }

    #[test]
    fn each_of_several_statements_has_its_operation() {
        let text = Text::of_query(b"begin; insert into t values (';'); rollback to s; commit");
        let operations: Vec<_> = (0..5).map(|index| text.operation(index)).collect();
        let expected = ["BEGIN", "INSERT", "ROLLBACK", "COMMIT", "OTHER"];
        assert_eq!(
            operations.iter().map(|it| it.as_str()).collect::<Vec<_>>(),
            expected
        );
        assert_eq!(
            (0..4)
                .filter(|index| text.is_rollback_to(*index))
                .collect::<Vec<_>>(),
            [2]
        );
    }

    #[test]
    fn what_an_observer_calls_a_text_takes_no_room_of_its_own() {
        assert_eq!(size_of::<Source>(), 16);
        assert_eq!(crate::IN_FLIGHT_BYTES, 32);
    }

    #[test]
    fn sql_names_are_the_protocols_names() {
        let prepared = |text: &str| Text::of_statement(text.as_bytes());
        assert_eq!(
            prepared("prepare Foo as select 1"),
            Text::Prepare(key(b"foo").into())
        );
        assert_eq!(
            prepared("PREPARE \"Foo\" (int) as select 1"),
            Text::Prepare(key(b"Foo").into())
        );
        assert_eq!(
            prepared("prepare \"a\"\"\"\"b\" as x"),
            Text::Prepare(key(b"a\"\"b").into())
        );
        assert_eq!(
            prepared("prepare transaction 'x'"),
            Text::One(Operation::Prepare)
        );
        assert_eq!(
            prepared("deallocate foo"),
            Text::Deallocate(key(b"foo").into())
        );
        assert_eq!(
            prepared("deallocate prepare foo"),
            Text::Deallocate(key(b"foo").into())
        );
        let long = "n".repeat(70);
        let cut = key(&long.as_bytes()[..63]);
        assert_eq!(
            prepared(&format!("deallocate {long}")),
            Text::Deallocate(cut.into())
        );
    }
}
