//! What the server sends: each message is held against the first entry of the queue.

use pg_sql::Operation;

use super::names::Portal;
use super::queue::{Expected, Request};
use super::requests::c_string;
use super::state::{Copy, Mode, State};
use super::text::{Source, Text};
use super::transactions::Status;
use crate::body::query::CommandTag;
use crate::body::report::{Fields, ParameterStatus};
use crate::deframer::Frame;
use crate::{
    DesyncReason, Direction, Event, MessageName, Nanos, Observer, OpaqueReason, Outcome,
    ReplicationKind, SqlState,
};

const UNEXPECTED: OpaqueReason = OpaqueReason::Desync(Direction::Backend, DesyncReason::Unexpected);
const BAD_BODY: OpaqueReason = OpaqueReason::Desync(Direction::Backend, DesyncReason::BadBody);

impl State {
    /// Inlined for the sake of small rows, a fifth of whose cost it is not to be.
    #[inline(always)]
    pub(super) fn answer(
        &mut self,
        frame: Frame<'_>,
        now: Nanos,
        observer: &mut impl Observer,
    ) -> Result<(), OpaqueReason> {
        match frame.name {
            MessageName::DataRow => self.data_row(now),
            MessageName::BackendCopyData => self.copy_data(frame.length),
            _ => self.other_answer(frame, now, observer),
        }
    }

    #[inline]
    fn data_row(&mut self, now: Nanos) -> Result<(), OpaqueReason> {
        if self.progress.data_rows == 0 {
            match self.queue.front().map(|entry| entry.request) {
                Some(Request::Query(_) | Request::Execute { .. }) => {}
                _ => return Err(UNEXPECTED),
            }
            self.progress.first_row = Some(now);
        }
        self.progress.data_rows = self.progress.data_rows.saturating_add(1);
        Ok(())
    }

    #[inline]
    fn copy_data(&mut self, length: u64) -> Result<(), OpaqueReason> {
        if !matches!(self.copy, Copy::Out | Copy::Both) {
            return Err(UNEXPECTED);
        }
        self.copied = self.copied.saturating_add(length.saturating_sub(5));
        Ok(())
    }

    #[inline(never)]
    fn other_answer(
        &mut self,
        frame: Frame<'_>,
        now: Nanos,
        observer: &mut impl Observer,
    ) -> Result<(), OpaqueReason> {
        self.flush_copied(Direction::Backend, observer);
        match frame.name {
            // Any time (trap 10).
            MessageName::NoticeResponse => {
                observer.event(Event::Notice(Fields::of_head(frame.head).report()));
                return Ok(());
            }
            MessageName::NotificationResponse => {
                observer.event(Event::Notification);
                return Ok(());
            }
            MessageName::ParameterStatus => {
                let ParameterStatus { name, value } = ParameterStatus::of_head(frame.head);
                observer.event(Event::ParameterStatus { name, value });
                return Ok(());
            }
            MessageName::ErrorResponse => {
                self.error(frame.head, now, observer);
                return Ok(());
            }
            MessageName::ReadyForQuery => return self.ready(frame.head, now, observer),
            _ => {}
        }
        let entry = self.queue.front().ok_or(UNEXPECTED)?;
        match (frame.name, entry.request) {
            (MessageName::EncryptionResponse, Request::Encryption { gss }) => {
                return self.encryption(frame.head, gss);
            }
            (
                MessageName::AuthenticationRequest | MessageName::NegotiateProtocolVersion,
                Request::Startup,
            )
            | (MessageName::RowDescription, Request::Query(_))
            | (MessageName::ParameterDescription, Request::DescribeStatement) => {}
            (MessageName::BackendKeyData, Request::Startup) => {
                let process_id = frame.head.first_chunk().copied();
                let process_id = process_id.map(u32::from_be_bytes).ok_or(BAD_BODY)?;
                observer.event(Event::ServerProcess { process_id });
            }
            (
                MessageName::RowDescription | MessageName::NoData,
                Request::DescribeStatement | Request::DescribePortal,
            ) => {
                self.begin(entry);
                self.pop();
            }
            (MessageName::CommandComplete, Request::Query(_) | Request::Execute { .. }) => {
                self.command_complete(entry, frame.head, now, observer);
            }
            (MessageName::EmptyQueryResponse, Request::Query(_) | Request::Execute { .. })
            | (MessageName::FunctionCallResponse, Request::FunctionCall) => {
                self.no_command(entry, now, observer);
            }
            (MessageName::PortalSuspended, Request::Execute { .. }) => {
                self.begin(entry);
                self.suspend(entry, now);
                self.pop();
            }
            (MessageName::ParseComplete, Request::Parse { statement, source }) => {
                self.begin(entry);
                observer.event(Event::Parsed);
                self.add_prepared(statement, source, observer);
                self.pop();
            }
            (MessageName::BindComplete, Request::Bind { portal, statement }) => {
                self.begin(entry);
                let source = self
                    .prepared
                    .get(statement)
                    .unwrap_or(Source::unknown(Operation::Other));
                let portal = Portal {
                    key: portal,
                    source,
                    suspended: None,
                };
                let replaced = self.portals.insert(portal, self.limits.portals);
                self.drop_portal(replaced, observer);
                self.pop();
            }
            (MessageName::CloseComplete, Request::CloseStatement { statement }) => {
                self.remove_prepared(statement, observer);
                self.pop();
            }
            (MessageName::CloseComplete, Request::ClosePortal { portal }) => {
                let closed = self.portals.remove(portal);
                self.drop_portal(closed, observer);
                self.pop();
            }
            (MessageName::CopyInResponse, Request::Query(_) | Request::Execute { .. }) => {
                self.copy_in(Copy::In);
            }
            (MessageName::CopyOutResponse, Request::Query(_) | Request::Execute { .. }) => {
                self.copy = Copy::Out;
            }
            (MessageName::CopyBothResponse, Request::Query(_)) => {
                self.copy_in(Copy::Both);
                let kind = self.replication.unwrap_or(ReplicationKind::Physical);
                observer.event(Event::ReplicationStarted(kind));
            }
            (MessageName::BackendCopyDone, Request::Query(_) | Request::Execute { .. })
                if matches!(self.copy, Copy::Out | Copy::Both) => {}
            _ => return Err(UNEXPECTED),
        }
        Ok(())
    }

    /// The byte that answers an SSLRequest or GSSENCRequest.
    fn encryption(&mut self, answer: &[u8], gss: bool) -> Result<(), OpaqueReason> {
        match (answer, gss) {
            (b"S", false) => Err(OpaqueReason::Tls),
            (b"G", true) => Err(OpaqueReason::Gss),
            (b"N", _) => {
                self.pop();
                Ok(())
            }
            _ => Err(UNEXPECTED),
        }
    }

    /// From here on the server reads copy data, up to CopyDone or CopyFail.
    fn copy_in(&mut self, copy: Copy) {
        let (syncs, ended) = self.queue.enter_copy_in();
        self.copy = copy;
        self.copy_wanted = !ended;
        self.doubtful_syncs = syncs;
    }

    fn command_complete(
        &mut self,
        entry: Expected,
        head: &[u8],
        now: Nanos,
        observer: &mut impl Observer,
    ) {
        let tag = CommandTag::read(c_string(head).0);
        let text = self.source(entry.request).text;
        let index = self.progress.statements;
        if self.copy != Copy::Both && !self.is_replication_command(&tag) {
            self.begin(entry);
        }
        self.end_copy(&tag, observer);
        let operation = Operation::from_command_tag(tag.command);
        let rows = tag.rows.unwrap_or(0);
        self.end_statement(entry, operation, Outcome::Completed, rows, now, observer);
        match (tag.command, text) {
            (b"PREPARE", Text::Prepare(name)) => {
                let source = Source::unknown(Operation::Other);
                self.add_prepared(name.into(), source, observer);
            }
            (b"DEALLOCATE", Text::Deallocate(name)) => self.remove_prepared(name.into(), observer),
            (b"DEALLOCATE ALL" | b"DISCARD ALL", _) => self.clear_prepared(observer),
            _ => {}
        }
        let ended = self
            .transactions
            .command(tag.command, text.is_rollback_to(index), now);
        for transaction in ended {
            self.end_transaction(transaction, observer);
        }
        if !entry.request.ends_with_ready() {
            self.pop();
        }
    }

    /// EmptyQueryResponse, FunctionCallResponse.
    fn no_command(&mut self, entry: Expected, now: Nanos, observer: &mut impl Observer) {
        self.begin(entry);
        let operation = match entry.request {
            Request::FunctionCall => Operation::Function,
            _ => Operation::Empty,
        };
        self.end_statement(entry, operation, Outcome::Completed, 0, now, observer);
        if !entry.request.ends_with_ready() {
            self.pop();
        }
    }

    fn end_copy(&mut self, tag: &CommandTag<'_>, observer: &mut impl Observer) {
        let direction = match std::mem::take(&mut self.copy) {
            Copy::In => Some(Direction::Frontend),
            Copy::Out => Some(Direction::Backend),
            Copy::None | Copy::Both => None,
        };
        self.copy_wanted = false;
        self.doubtful_syncs = 0;
        if let Some(direction) = direction
            && tag.command == b"COPY"
        {
            observer.event(Event::CopyDone {
                direction,
                rows: tag.rows.unwrap_or(0),
            });
        }
    }

    /// Replication commands run in no transaction. Their tags are the only ones with an underscore
    /// (`src/backend/replication/walsender.c`).
    fn is_replication_command(&self, tag: &CommandTag<'_>) -> bool {
        self.replication.is_some() && tag.command.contains(&b'_')
    }

    fn error(&mut self, head: &[u8], now: Nanos, observer: &mut impl Observer) {
        let report = Fields::of_head(head).report();
        let Some(entry) = self.queue.front() else {
            observer.event(Event::Error(report));
            return;
        };
        if matches!(entry.request, Request::Startup | Request::Encryption { .. }) {
            self.mode = Mode::Over;
            observer.event(Event::ConnectionFailed(report));
            return;
        }
        observer.event(Event::Error(report));
        self.copy = Copy::None;
        self.copy_wanted = false;
        if std::mem::replace(&mut self.progress.failed, true) {
            return;
        }
        if runs_in_transaction(entry.request, report.sqlstate) {
            self.begin(entry);
        }
        if is_part_of_statement(entry.request) {
            let operation = self
                .source(entry.request)
                .text
                .operation(self.progress.statements);
            let outcome = Outcome::Failed(report.sqlstate);
            self.end_statement(entry, operation, outcome, 0, now, observer);
        }
        let transaction = self.transactions.error(now);
        self.end_transaction(transaction, observer);
        if !entry.request.ends_with_ready() {
            self.skipping = !self.queue.skip_to_sync();
            self.progress = Default::default();
        }
    }

    fn ready(
        &mut self,
        head: &[u8],
        now: Nanos,
        observer: &mut impl Observer,
    ) -> Result<(), OpaqueReason> {
        let status = match head {
            b"I" => Status::Idle,
            b"T" => Status::Block,
            b"E" => Status::FailedBlock,
            _ => return Err(BAD_BODY),
        };
        let received = match self.queue.front() {
            Some(entry) if entry.request.ends_with_ready() => {
                if entry.request == Request::Startup {
                    self.mode = Mode::Open;
                    let duration = now.saturating_sub(entry.received);
                    observer.event(Event::Ready { duration });
                }
                self.pop();
                entry.received
            }
            None if self.doubtful_syncs > 0 => {
                self.doubtful_syncs = self.doubtful_syncs.saturating_sub(1);
                self.skipping = false;
                now
            }
            _ => return Err(UNEXPECTED),
        };
        self.copy = Copy::None;
        self.copy_wanted = false;
        self.last_answer = now;
        let transaction = self.transactions.ready(status, received, now);
        self.end_transaction(transaction, observer);
        if self.transactions.is_open() && self.queue.is_empty() {
            self.idle_since = Some(now);
        }
        Ok(())
    }
}

/// Whether a message that failed had begun a transaction by then, where none was open: Bind looks
/// for its statement and Execute for its portal before they do (`exec_bind_message`,
/// `exec_execute_message`, `src/backend/tcop/postgres.c`).
fn runs_in_transaction(request: Request, sqlstate: SqlState) -> bool {
    match request {
        Request::Bind { .. } => sqlstate != SqlState::INVALID_SQL_STATEMENT_NAME,
        Request::Execute { .. }
        | Request::CloseStatement { .. }
        | Request::ClosePortal { .. }
        | Request::CopyEnd => false,
        _ => true,
    }
}

/// Whether an error in answer to it is the end of a statement.
fn is_part_of_statement(request: Request) -> bool {
    request.is_statement() || matches!(request, Request::Parse { .. } | Request::Bind { .. })
}
