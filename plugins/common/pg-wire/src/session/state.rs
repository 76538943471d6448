//! What a session remembers between messages, and how statements and transactions end.

use pg_sql::Operation;

use super::names::{Portal, Portals, Prepared, Suspended};
use super::queue::{Expected, Key, Queue, Request};
use super::text::Source;
use super::transactions::Transactions;
use crate::{
    Direction, Event, Limits, Nanos, Observer, Outcome, ReplicationKind, Statement, SubProtocol,
    Transaction,
};

/// How much of a connection is decoded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Mode {
    /// Nothing but start-up packets so far.
    Starting,
    /// A StartupMessage was seen, the first ReadyForQuery was not.
    Authenticating,
    /// The session is open.
    Open,
    /// A CancelRequest, a refused start-up, or the end: nothing more is looked at.
    Over,
    /// As `Over`, because it cannot be.
    Opaque,
}

/// A COPY under way.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Copy {
    #[default]
    None,
    In,
    Out,
    /// Replication.
    Both,
}

/// The part of the first entry's answer that has been seen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// Statements of a Query that have ended.
    pub(super) statements: u32,
    pub(super) data_rows: u64,
    pub(super) first_row: Option<Nanos>,
    /// An ErrorResponse has ended it.
    pub(super) failed: bool,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) limits: Limits,
    pub(super) mode: Mode,
    pub(super) replication: Option<ReplicationKind>,
    pub(super) queue: Queue,
    pub(super) progress: Progress,
    /// An extended message failed: whatever the client sends up to Sync is discarded.
    pub(super) skipping: bool,
    pub(super) copy: Copy,
    /// While the server reads copy data: CopyDone or CopyFail has not been sent.
    pub(super) copy_wanted: bool,
    /// Syncs taken for ignored because a COPY was reading. Had it failed before it came to them,
    /// they are answered after all.
    pub(super) doubtful_syncs: u32,
    pub(super) prepared: Prepared,
    pub(super) portals: Portals,
    pub(super) transactions: Transactions,
    /// When the last statement's answer ended, or ReadyForQuery came.
    pub(super) last_answer: Nanos,
    /// When the first message of the Parse, Bind, Execute under way arrived.
    pub(super) group: Option<Nanos>,
    /// When ReadyForQuery left an open transaction waiting for the client.
    pub(super) idle_since: Option<Nanos>,
    /// CopyData bytes of the current call.
    pub(super) copied: u64,
}

impl State {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            mode: Mode::Starting,
            replication: None,
            queue: Queue::default(),
            progress: Progress::default(),
            skipping: false,
            copy: Copy::None,
            copy_wanted: false,
            doubtful_syncs: 0,
            prepared: Prepared::default(),
            portals: Portals::default(),
            transactions: Transactions::default(),
            last_answer: 0,
            group: None,
            idle_since: None,
            copied: 0,
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.queue
            .heap_bytes()
            .saturating_add(self.prepared.heap_bytes())
            .saturating_add(self.portals.heap_bytes())
    }

    /// The text behind a request, as far as it is known.
    pub(super) fn source(&mut self, request: Request) -> Source {
        let known = match request {
            Request::Query(source) | Request::Parse { source, .. } => Some(source),
            Request::Bind { statement, .. } => self.prepared.get(statement),
            Request::Execute { portal } => self.portals.get_mut(portal).map(|portal| portal.source),
            Request::FunctionCall => Some(Source::unknown(Operation::Function)),
            _ => None,
        };
        known.unwrap_or(Source::unknown(Operation::Other))
    }

    /// Opens the implicit transaction that the first entry runs in, unless one is open.
    pub(super) fn begin(&mut self, entry: Expected) {
        // A physical walsender is connected to no database.
        if self.replication == Some(ReplicationKind::Physical) {
            return;
        }
        let since = if self.progress.statements == 0 {
            entry.received
        } else {
            self.last_answer
        };
        self.transactions
            .begin(since, !entry.request.ends_with_ready());
    }

    /// The statement of the first entry has ended.
    pub(super) fn end_statement(
        &mut self,
        entry: Expected,
        operation: Operation,
        outcome: Outcome,
        rows: u64,
        now: Nanos,
        observer: &mut impl Observer,
    ) {
        let before = self.take_suspended(entry.request);
        let progress = self.progress;
        let statement = Statement {
            operation,
            protocol: protocol(entry.request),
            outcome,
            rows: before.map_or(rows, |before| before.data_rows.saturating_add(rows)),
            data_rows: before
                .map_or(0, |before| before.data_rows)
                .saturating_add(progress.data_rows),
            received: before.map_or(entry.received, |before| before.received),
            started: before.map_or(entry.received.max(self.last_answer), |before| {
                before.started
            }),
            first_row: before
                .and_then(|before| before.first_row)
                .or(progress.first_row),
            finished: now,
            text: self.source(entry.request).id,
            index: progress.statements,
            block: self.transactions.block(),
        };
        observer.event(Event::Statement(statement));
        self.progress.statements = progress.statements.saturating_add(1);
        self.progress.data_rows = 0;
        self.progress.first_row = None;
        self.last_answer = now;
    }

    /// PortalSuspended: what the next Execute of this portal goes on from.
    pub(super) fn suspend(&mut self, entry: Expected, now: Nanos) {
        let before = self.take_suspended(entry.request);
        let progress = self.progress;
        if let Request::Execute { portal } = entry.request
            && let Some(portal) = self.portals.get_mut(portal)
        {
            portal.suspended = Some(Suspended {
                data_rows: before
                    .map_or(0, |before| before.data_rows)
                    .saturating_add(progress.data_rows),
                received: before.map_or(entry.received, |before| before.received),
                started: before.map_or(entry.received.max(self.last_answer), |before| {
                    before.started
                }),
                first_row: before
                    .and_then(|before| before.first_row)
                    .or(progress.first_row),
                finished: now,
            });
        }
        self.last_answer = now;
    }

    fn take_suspended(&mut self, request: Request) -> Option<Suspended> {
        let Request::Execute { portal } = request else {
            return None;
        };
        self.portals.get_mut(portal)?.suspended.take()
    }

    /// A portal is gone. If it was suspended, its statement has ended with it.
    pub(super) fn drop_portal(&mut self, portal: Option<Portal>, observer: &mut impl Observer) {
        let Some(portal) = portal else { return };
        let Some(run) = portal.suspended else { return };
        observer.event(Event::Statement(Statement {
            operation: portal.source.text.operation(0),
            protocol: SubProtocol::Extended,
            outcome: Outcome::Completed,
            rows: run.data_rows,
            data_rows: run.data_rows,
            received: run.received,
            started: run.started,
            first_row: run.first_row,
            finished: run.finished,
            text: portal.source.id,
            index: 0,
            block: self.transactions.block(),
        }));
    }

    /// A transaction has ended, and its portals with it.
    pub(super) fn end_transaction(
        &mut self,
        transaction: Option<Transaction>,
        observer: &mut impl Observer,
    ) {
        let Some(transaction) = transaction else {
            return;
        };
        while let Some(portal) = self.portals.pop() {
            self.drop_portal(Some(portal), observer);
        }
        observer.event(Event::Transaction(transaction));
    }

    /// Ends the first entry.
    pub(super) fn pop(&mut self) {
        self.queue.pop();
        self.progress = Progress::default();
    }

    /// Adds a statement of this name, once the server has it.
    pub(super) fn add_prepared(&mut self, name: Key, source: Source, observer: &mut impl Observer) {
        let before = self.prepared.count();
        self.prepared.insert(name, source, self.limits.prepared);
        self.report_prepared(before, observer);
    }

    pub(super) fn remove_prepared(&mut self, name: Key, observer: &mut impl Observer) {
        let before = self.prepared.count();
        self.prepared.remove(name);
        self.report_prepared(before, observer);
    }

    pub(super) fn clear_prepared(&mut self, observer: &mut impl Observer) {
        let before = self.prepared.count();
        self.prepared.clear_named();
        self.report_prepared(before, observer);
    }

    fn report_prepared(&self, before: u32, observer: &mut impl Observer) {
        let count = self.prepared.count();
        if count != before {
            observer.event(Event::PreparedStatements { count });
        }
    }

    /// Tells of the CopyData bytes since the last time; called before any other event, so that
    /// the order is the wire's.
    pub(super) fn flush_copied(&mut self, direction: Direction, observer: &mut impl Observer) {
        let bytes = std::mem::take(&mut self.copied);
        if bytes == 0 {
            return;
        }
        observer.event(match self.copy {
            Copy::Both => Event::ReplicationData { direction, bytes },
            _ => Event::CopyData { direction, bytes },
        });
    }

    /// The connection has ended with these things open.
    pub(super) fn disconnect(&mut self, now: Nanos, observer: &mut impl Observer) {
        while let Some(entry) = self.queue.front() {
            if entry.request.is_statement() && !self.progress.failed {
                let index = self.progress.statements;
                let operation = self.source(entry.request).text.operation(index);
                if self.copy != Copy::Both {
                    self.begin(entry);
                }
                self.end_statement(entry, operation, Outcome::Disconnected, 0, now, observer);
            }
            self.pop();
        }
        let transaction = self.transactions.disconnect(now);
        self.end_transaction(transaction, observer);
        self.clear_prepared(observer);
    }
}

fn protocol(request: Request) -> SubProtocol {
    match request {
        Request::Query(_) => SubProtocol::Simple,
        Request::FunctionCall => SubProtocol::Function,
        _ => SubProtocol::Extended,
    }
}
