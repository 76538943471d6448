//! What rules are held against: one statement of a text ([`Unit`]), and what is around it
//! ([`Scene`]).

use std::cell::OnceCell;

use pg_sql::LexerOptions;
use pg_sql::classify::{AuditClass, Command, Effects, QualifiedName, Relation, Statement, Traits};

use super::rule::{Match, no_command};

/// A set of pgaudit's classes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Classes(u8);

impl Classes {
    pub(super) fn add(&mut self, class: AuditClass) {
        self.0 |= 1_u8.wrapping_shl(class as u32);
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn holds(self, class: AuditClass) -> bool {
        self.0 & 1_u8.wrapping_shl(class as u32) != 0
    }
}

/// One thing that would be run.
#[derive(Clone, Copy, Debug)]
pub struct Unit<'a> {
    /// Its command tag.
    pub command: &'a str,
    /// Commands inside it.
    pub inner: &'a [Command],
    /// pgaudit's class.
    pub class: AuditClass,
    /// What it does.
    pub effects: Effects,
    /// Its clauses.
    pub traits: Traits,
    /// What it names.
    pub relations: &'a [Relation],
    /// What it calls.
    pub functions: &'a [QualifiedName],
    /// What it may call, behind a dot.
    pub attributes: &'a [QualifiedName],
    /// It is a FunctionCall message.
    pub function_call: bool,
    /// Command and class are right, and the text holds nothing else.
    pub certain: bool,
    /// So are effects, clauses and names: no code runs that is not in the text.
    pub deep: bool,
}

impl<'a> Unit<'a> {
    /// A statement. EXECUTE runs what was judged when it was prepared, in this very session.
    #[must_use]
    pub fn of(statement: &'a Statement, text_complete: bool) -> Self {
        let certain = statement.complete && text_complete;
        let command = statement.command.as_str();
        let seen = command == "EXECUTE" || !statement.effects.has(Effects::RUNS_UNSEEN_CODE);
        Self {
            command,
            inner: &statement.inner,
            class: statement.class,
            effects: statement.effects,
            traits: statement.traits,
            relations: &statement.relations,
            functions: &statement.functions,
            attributes: &statement.attributes,
            function_call: false,
            certain,
            deep: certain && seen,
        }
    }

    const NOTHING: Self = Self {
        command: no_command(),
        inner: &[],
        class: AuditClass::Misc,
        effects: Effects::NONE,
        traits: Traits::NONE,
        relations: &[],
        functions: &[],
        attributes: &[],
        function_call: false,
        certain: true,
        deep: true,
    };

    /// What is left of a text that could not be read to its end.
    pub const UNREAD: Self = Self {
        certain: false,
        deep: false,
        ..Self::NOTHING
    };

    /// A FunctionCall: some function, by a number.
    pub const FUNCTION_CALL: Self = Self {
        class: AuditClass::Function,
        effects: Effects::RUNS_UNSEEN_CODE,
        function_call: true,
        deep: false,
        ..Self::NOTHING
    };

    /// A text without a statement.
    pub const EMPTY: Self = Self::NOTHING;

    /// A command of the replication protocol. Two of them send the rows of all relations; of one that is
    /// not known nobody can tell.
    #[must_use]
    pub fn replication(command: &'a str) -> Self {
        let effects = match command {
            "BASE_BACKUP" => Effects::READS_ROWS.and(Effects::TOUCHES_SERVER_FILES),
            "START_REPLICATION" => Effects::READS_ROWS,
            _ => Effects::NONE,
        };
        let known = command != no_command();
        Self {
            command,
            effects,
            certain: known,
            deep: known,
            ..Self::NOTHING
        }
    }

    pub(super) fn sure(&self, known: bool) -> Match {
        if self.certain {
            Match::from(known)
        } else {
            Match::Maybe
        }
    }

    pub(super) fn deeply_sure(&self, known: bool) -> Match {
        self.deeply(Match::from(known))
    }

    /// What is known of effects and names, in the light of how much is.
    pub(super) fn deeply(&self, known: Match) -> Match {
        match known {
            Match::Yes | Match::No if !self.deep => Match::Maybe,
            known => known,
        }
    }
}

/// What is around a statement.
#[derive(Debug)]
pub struct Scene<'a> {
    /// Bytes of the message.
    pub bytes: u64,
    /// Statements of its text.
    pub statements: usize,
    /// One of the bits of [`transaction_bit`]; `None` while it is not settled.
    pub transaction: Option<u8>,
    /// Schemas that unqualified names are looked up in, if they are known.
    pub search_path: Option<&'a [String]>,
    text: &'a [u8],
    lexer: LexerOptions,
    fingerprint: OnceCell<u64>,
}

impl<'a> Scene<'a> {
    /// Around a text that is read with `lexer`.
    #[must_use]
    pub fn new(text: &'a [u8], bytes: u64, lexer: LexerOptions) -> Self {
        Self {
            bytes,
            statements: 0,
            transaction: None,
            search_path: None,
            text,
            lexer,
            fingerprint: OnceCell::new(),
        }
    }

    /// Of the whole text; computed when it is first asked for.
    pub fn fingerprint(&self) -> u64 {
        *self
            .fingerprint
            .get_or_init(|| pg_sql::fingerprint(self.text, &self.lexer).0)
    }
}

/// A state of a transaction as a bit of a set.
#[must_use]
pub const fn transaction_bit(status: pg_wire::body::query::TransactionStatus) -> u8 {
    use pg_wire::body::query::TransactionStatus;
    match status {
        TransactionStatus::Idle => 1,
        TransactionStatus::Block => 2,
        TransactionStatus::FailedBlock => 4,
    }
}
