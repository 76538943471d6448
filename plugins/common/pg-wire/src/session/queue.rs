//! The replies a session waits for, in the order in which the server will give them.
//!
//! Every message that draws an answer leaves one entry; the answer's last message takes it away.

use std::collections::VecDeque;

use super::text::Source;
use crate::Nanos;

/// What an entry takes; [`Limits::in_flight`](crate::Limits::in_flight) times this bounds the queue.
pub const IN_FLIGHT_BYTES: usize = size_of::<Expected>();

/// An idle queue keeps room for no more than this.
const KEPT_CAPACITY: usize = 8;

/// Identifies a statement or portal within a session (see [`super::names::key`]).
pub(super) type Key = u64;

/// A message of the client that the server has not answered to the end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    pub(super) request: Request,
    /// When the message arrived; for Execute, the first message of its Parse, Bind, Execute.
    pub(super) received: Nanos,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Request {
    /// SSLRequest or GSSENCRequest.
    Encryption {
        gss: bool,
    },
    /// StartupMessage: ends with the first ReadyForQuery.
    Startup,
    /// Ends with ReadyForQuery.
    Query(Source),
    /// Ends with ReadyForQuery.
    FunctionCall,
    /// Ends with ReadyForQuery.
    Sync,
    Parse {
        statement: Key,
        source: Source,
    },
    Bind {
        portal: Key,
        statement: Key,
    },
    DescribeStatement,
    DescribePortal,
    Execute {
        portal: Key,
    },
    CloseStatement {
        statement: Key,
    },
    ClosePortal {
        portal: Key,
    },
    /// CopyDone or CopyFail that was sent before the server asked for data: draws no answer.
    CopyEnd,
}

impl Request {
    /// Whether it runs something: what counts as depth of a pipeline.
    pub(super) fn is_statement(self) -> bool {
        matches!(
            self,
            Self::Query(_) | Self::FunctionCall | Self::Execute { .. }
        )
    }

    /// Whether ReadyForQuery ends it.
    pub(super) fn ends_with_ready(self) -> bool {
        matches!(
            self,
            Self::Startup | Self::Query(_) | Self::FunctionCall | Self::Sync
        )
    }
}

/// The queue; [`Queue::push`] refuses what exceeds the bound.
#[derive(Debug, Default)]
pub(super) struct Queue {
    entries: VecDeque<Expected>,
    /// How many of `entries` are statements.
    statements: u32,
}

impl Queue {
    pub(super) fn push(&mut self, entry: Expected, limit: u32) -> bool {
        if self.entries.len() >= limit as usize {
            return false;
        }
        self.statements = self
            .statements
            .saturating_add(u32::from(entry.request.is_statement()));
        self.entries.push_back(entry);
        true
    }

    /// Takes the first entry away, and any CopyEnd behind it: the server ignores these outside of
    /// a COPY (trap 9).
    pub(super) fn pop(&mut self) {
        self.remove_first();
        while matches!(
            self.front(),
            Some(Expected {
                request: Request::CopyEnd,
                ..
            })
        ) {
            self.remove_first();
        }
        if self.entries.is_empty() {
            self.entries.shrink_to(KEPT_CAPACITY);
        }
    }

    fn remove_first(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            let statement = u32::from(entry.request.is_statement());
            self.statements = self.statements.saturating_sub(statement);
        }
    }

    pub(super) fn front(&self) -> Option<Expected> {
        self.entries.front().copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Statements waiting for their answer.
    pub(super) fn statements(&self) -> u32 {
        self.statements
    }

    /// An extended-protocol error: the server discards what it has been sent up to the next Sync.
    /// Whether that Sync is here already; if not, the queue is empty.
    pub(super) fn skip_to_sync(&mut self) -> bool {
        while let Some(entry) = self.front() {
            if entry.request == Request::Sync {
                return true;
            }
            self.pop();
        }
        false
    }

    /// The first entry began to copy in: the server ignores each Sync up to the end of the data,
    /// before which nothing else can come. Returns how many were there, and whether the end of the
    /// data was there too.
    pub(super) fn enter_copy_in(&mut self) -> (u32, bool) {
        let mut syncs: u32 = 0;
        loop {
            match self.entries.get(1).map(|entry| entry.request) {
                Some(Request::Sync) => syncs = syncs.saturating_add(1),
                Some(Request::CopyEnd) => {
                    self.entries.remove(1);
                    return (syncs, true);
                }
                _ => return (syncs, false),
            }
            self.entries.remove(1);
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.entries.capacity().saturating_mul(IN_FLIGHT_BYTES)
    }
}
