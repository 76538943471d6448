//! What the client sends: each message that draws an answer is queued for it.

use super::names::key;
use super::queue::{Expected, Request};
use super::state::{Copy, Mode, State};
use super::text::{Source, Text};
use crate::body::startup;
use crate::deframer::Frame;
use crate::{
    CancelRequest, DesyncReason, Direction, Event, Limits, MessageName, Nanos, Observer,
    OpaqueReason, StartupMessage, StatementText, SubProtocol,
};

impl State {
    pub(super) fn request(
        &mut self,
        frame: Frame<'_>,
        now: Nanos,
        observer: &mut impl Observer,
    ) -> Result<(), OpaqueReason> {
        if frame.name == MessageName::FrontendCopyData {
            self.copied = self.copied.saturating_add(frame.length.saturating_sub(5));
            return Ok(());
        }
        self.flush_copied(Direction::Frontend, observer);
        if let Some(since) = self.idle_since.take() {
            observer.event(Event::IdleInTransaction {
                duration: now.saturating_sub(since),
            });
        }
        match frame.name {
            MessageName::StartupMessage => self.startup(frame.head, now, observer),
            MessageName::CancelRequest => self.cancel(frame.head, observer),
            MessageName::SSLRequest => self.expect(Request::Encryption { gss: false }, now),
            MessageName::GSSENCRequest => self.expect(Request::Encryption { gss: true }, now),
            MessageName::CopyFail | MessageName::FrontendCopyDone => self.copy_end(now),
            MessageName::Sync => self.sync(now, observer),
            _ if self.skipping => Ok(()),
            MessageName::Query => self.query(frame, now, observer),
            MessageName::FunctionCall => self.expect(Request::FunctionCall, now),
            MessageName::Parse => self.parse(frame, now, observer),
            MessageName::Bind => self.bind(frame.head, now),
            MessageName::Execute => self.execute(frame.head, now),
            MessageName::Describe => self.describe(frame.head, now),
            MessageName::Close => self.close(frame.head, now),
            _ => Ok(()),
        }
    }

    /// Queues a message for its answer.
    fn expect(&mut self, request: Request, received: Nanos) -> Result<(), OpaqueReason> {
        let limit = match self.mode {
            Mode::Open => self.limits.in_flight,
            _ => self.limits.in_flight.min(Limits::STARTING_IN_FLIGHT),
        };
        if self.queue.push(Expected { request, received }, limit) {
            Ok(())
        } else {
            Err(OpaqueReason::Desync(
                Direction::Frontend,
                DesyncReason::TooMuchState,
            ))
        }
    }

    fn startup(
        &mut self,
        packet: &[u8],
        now: Nanos,
        observer: &mut impl Observer,
    ) -> Result<(), OpaqueReason> {
        let packet = startup::StartupMessage::read(packet);
        let startup = summary(packet.map_err(|_| OpaqueReason::NotPostgresql)?);
        self.mode = Mode::Authenticating;
        self.replication = startup.replication;
        observer.event(Event::Startup(startup));
        self.expect(Request::Startup, now)
    }

    fn cancel(&mut self, packet: &[u8], observer: &mut impl Observer) -> Result<(), OpaqueReason> {
        let packet = startup::CancelRequest::read(packet);
        let startup::CancelRequest {
            process_id,
            secret_key,
        } = packet.map_err(|_| OpaqueReason::NotPostgresql)?;
        let secret_key = secret_key.0;
        self.mode = Mode::Over;
        observer.event(Event::CancelRequest(CancelRequest {
            process_id,
            secret_key,
        }));
        Ok(())
    }

    fn query(
        &mut self,
        frame: Frame<'_>,
        now: Nanos,
        observer: &mut impl Observer,
    ) -> Result<(), OpaqueReason> {
        self.group = None;
        let shown = self.shown(SubProtocol::Simple, &[], frame.head, frame.truncated);
        let source = Source {
            id: observer.text(shown),
            text: Text::of_query(shown.text),
        };
        self.expect(Request::Query(source), now)?;
        self.report_depth(observer);
        Ok(())
    }

    fn parse(
        &mut self,
        frame: Frame<'_>,
        now: Nanos,
        observer: &mut impl Observer,
    ) -> Result<(), OpaqueReason> {
        self.group.get_or_insert(now);
        let (name, rest) = c_string(frame.head);
        let shown = self.shown(SubProtocol::Extended, name, rest, frame.truncated);
        let source = Source {
            id: observer.text(shown),
            text: Text::of_statement(shown.text),
        };
        let statement = key(name);
        self.expect(Request::Parse { statement, source }, now)
    }

    /// The text at the front of the rest of a head.
    fn shown<'a>(
        &self,
        protocol: SubProtocol,
        name: &'a [u8],
        rest: &'a [u8],
        cut_off: bool,
    ) -> StatementText<'a> {
        let all = c_string(rest).0;
        let ends = all.len() < rest.len();
        let text = all
            .get(..self.limits.statement_text as usize)
            .unwrap_or(all);
        StatementText {
            protocol,
            name,
            text,
            truncated: text.len() < all.len() || cut_off && !ends,
        }
    }

    fn bind(&mut self, head: &[u8], now: Nanos) -> Result<(), OpaqueReason> {
        self.group.get_or_insert(now);
        let (portal, rest) = c_string(head);
        let (statement, _) = c_string(rest);
        self.expect(
            Request::Bind {
                portal: key(portal),
                statement: key(statement),
            },
            now,
        )
    }

    fn execute(&mut self, head: &[u8], now: Nanos) -> Result<(), OpaqueReason> {
        let received = self.group.take().unwrap_or(now);
        self.expect(
            Request::Execute {
                portal: key(c_string(head).0),
            },
            received,
        )
    }

    fn describe(&mut self, head: &[u8], now: Nanos) -> Result<(), OpaqueReason> {
        match head.first() {
            Some(b'S') => self.expect(Request::DescribeStatement, now),
            // Anything else is an error of the client's, which the server answers.
            _ => self.expect(Request::DescribePortal, now),
        }
    }

    fn close(&mut self, head: &[u8], now: Nanos) -> Result<(), OpaqueReason> {
        let name = key(c_string(head.get(1..).unwrap_or_default()).0);
        match head.first() {
            Some(b'S') => self.expect(Request::CloseStatement { statement: name }, now),
            _ => self.expect(Request::ClosePortal { portal: name }, now),
        }
    }

    /// A server that reads copy data ignores Sync (trap 9).
    fn sync(&mut self, now: Nanos, observer: &mut impl Observer) -> Result<(), OpaqueReason> {
        self.group = None;
        if self.copy_wanted {
            self.doubtful_syncs = self.doubtful_syncs.saturating_add(1);
            return Ok(());
        }
        self.skipping = false;
        self.report_depth(observer);
        self.expect(Request::Sync, now)
    }

    fn report_depth(&self, observer: &mut impl Observer) {
        let depth = self.queue.statements();
        if depth > 0 {
            observer.event(Event::Pipeline { depth });
        }
    }

    /// The end of the data: of the COPY under way, of one that the server has not come to yet, or
    /// of one that failed, which the server drains.
    fn copy_end(&mut self, now: Nanos) -> Result<(), OpaqueReason> {
        if matches!(self.copy, Copy::In | Copy::Both) && self.copy_wanted {
            self.copy_wanted = false;
            return Ok(());
        }
        if self.skipping || self.queue.is_empty() {
            return Ok(());
        }
        self.expect(Request::CopyEnd, now)
    }
}

/// The string at the front of a head, without its zero, and what follows; a head may be cut within.
pub(super) fn c_string(head: &[u8]) -> (&[u8], &[u8]) {
    match head.iter().position(|byte| *byte == 0) {
        Some(end) => (
            head.get(..end).unwrap_or_default(),
            head.get(end.saturating_add(1)..).unwrap_or_default(),
        ),
        None => (head, &[]),
    }
}

fn summary<'a>(packet: startup::StartupMessage<'a>) -> StartupMessage<'a> {
    let value = |name: &[u8]| packet.parameters.get(name).unwrap_or_default();
    let (user, database) = (value(b"user"), value(b"database"));
    StartupMessage {
        version: packet.version,
        user,
        database: if database.is_empty() { user } else { database },
        application_name: value(b"application_name"),
        replication: packet.replication(),
    }
}
