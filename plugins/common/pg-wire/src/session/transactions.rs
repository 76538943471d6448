//! Transactions as `pg_stat_database` counts them.
//!
//! The server adds one to `xact_commit` or `xact_rollback` for each top-level transaction that
//! `CommitTransaction` or `AbortTransaction` ends (`AtEOXact_PgStat`, `src/backend/access/
//! transam/xact.c`), whoever began it. The first Parse, Bind, Describe, Execute, Query or
//! FunctionCall begins one; it ends at the end of that Query or at Sync, unless a block keeps it
//! open (`start_xact_command` and `finish_xact_command`, `src/backend/tcop/postgres.c`).
//!
//! Limits: a chained transaction shows by ReadyForQuery only. One that begins in the middle of a
//! pipeline is taken for implicit; so is one in the middle of a Query, which counts the same.

use crate::{Block, Nanos, Transaction, TransactionOutcome};

/// The transaction that is open, if one is.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    since: Nanos,
    /// BEGIN or START TRANSACTION was seen, or the server reported a block.
    explicit: bool,
    /// A message of the extended protocol began it.
    extended: bool,
    /// An error came, and no ReadyForQuery since that says otherwise.
    failed: bool,
}

/// The byte of ReadyForQuery.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Status {
    Idle,
    Block,
    FailedBlock,
}

impl Transactions {
    /// A message that needs a transaction got its first answer.
    pub(super) fn begin(&mut self, since: Nanos, extended: bool) {
        self.open.get_or_insert(Open {
            since,
            explicit: false,
            extended,
            failed: false,
        });
    }

    /// A command completed. What that ended, oldest first.
    pub(super) fn command(
        &mut self,
        tag: &[u8],
        rollback_to: bool,
        now: Nanos,
    ) -> [Option<Transaction>; 2] {
        match tag {
            b"BEGIN" | b"START TRANSACTION" => {
                if let Some(open) = &mut self.open {
                    open.explicit = true;
                }
                [None, None]
            }
            b"COMMIT" => [self.end(TransactionOutcome::Commit, now), None],
            b"ROLLBACK" if !rollback_to => [self.end(TransactionOutcome::Rollback, now), None],
            // Lives on without its session, and is counted when somebody ends it.
            b"PREPARE TRANSACTION" => {
                self.open = None;
                [None, None]
            }
            b"COMMIT PREPARED" => self.end_prepared(TransactionOutcome::Commit, now),
            b"ROLLBACK PREPARED" => self.end_prepared(TransactionOutcome::Rollback, now),
            _ => [None, None],
        }
    }

    /// An error: ends an implicit transaction at once; a block stays open, failed.
    pub(super) fn error(&mut self, now: Nanos) -> Option<Transaction> {
        match &mut self.open {
            Some(open) if open.explicit => {
                open.failed = true;
                None
            }
            _ => self.end(TransactionOutcome::Rollback, now),
        }
    }

    /// ReadyForQuery.
    pub(super) fn ready(
        &mut self,
        status: Status,
        received: Nanos,
        now: Nanos,
    ) -> Option<Transaction> {
        if status == Status::Idle {
            let failed = self.open.is_some_and(|open| open.failed);
            let rollback = TransactionOutcome::Rollback;
            return self.end(
                if failed {
                    rollback
                } else {
                    TransactionOutcome::Commit
                },
                now,
            );
        }
        // COMMIT AND CHAIN opens a block without a tag of its own.
        self.begin(received, false);
        if let Some(open) = &mut self.open {
            // A Query behind extended messages without a Sync runs in their implicit transaction,
            // which the server reports as a block (trap 8).
            open.explicit |= !open.extended;
            open.failed = status == Status::FailedBlock;
        }
        None
    }

    /// The connection ended.
    pub(super) fn disconnect(&mut self, now: Nanos) -> Option<Transaction> {
        self.end(TransactionOutcome::Disconnected, now)
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// What a statement that ends now has run in.
    pub(super) fn block(&self) -> Block {
        match self.open {
            Some(Open {
                explicit: true,
                failed,
                ..
            }) => {
                if failed {
                    Block::Failed
                } else {
                    Block::Inside
                }
            }
            _ => Block::Outside,
        }
    }

    fn end(&mut self, outcome: TransactionOutcome, now: Nanos) -> Option<Transaction> {
        self.open.take().map(|open| Transaction {
            outcome,
            explicit: open.explicit,
            started: open.since,
            duration: now.saturating_sub(open.since),
        })
    }

    /// The server counts the prepared transaction, and the one of this command.
    fn end_prepared(
        &mut self,
        outcome: TransactionOutcome,
        now: Nanos,
    ) -> [Option<Transaction>; 2] {
        let prepared = Transaction {
            outcome,
            explicit: true,
            started: now,
            duration: 0,
        };
        [Some(prepared), self.end(TransactionOutcome::Commit, now)]
    }
}
