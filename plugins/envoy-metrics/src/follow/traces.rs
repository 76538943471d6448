//! Spans: one per statement, one per transaction block that holds its statements, one per start-up of
//! a session if that is asked for.
//!
//! A statement that names its own parent (its sqlcommenter comment) is that one's child; any other
//! stands under the span of its block, and that under what the session has said
//! ([`super::context`]), or else begins a trace of its own, which is kept by ratio. A block whose
//! BEGIN names no parent, as drivers send it, takes the parent of its first statement that has one:
//! BEGIN is held back until that is known.

use std::rc::Rc;

use otlp_wire::Writer;
use pg_sql::Operation;
use pg_sql::sqlcommenter::TraceParent;
use pg_wire::{Block, Nanos, Outcome, Report, Statement, Transaction, TransactionOutcome};

use super::SpanContext;
use super::export::{Exporter, Signal};
use super::query_log::{block, protocol, severity};
use super::random::Random;
use super::session::Session;
use super::texts::Known;
use crate::catalog;
use crate::config::{SpanKind, Traces};

/// `Span.SpanKind` of OTLP.
const SERVER: u64 = 2;
const CLIENT: u64 = 3;
/// `Status.StatusCode.STATUS_CODE_ERROR` of OTLP.
const ERROR: u64 = 2;
/// Notices and COPYs of a statement that become events; more are left out.
const MAX_EVENTS: usize = 16;
/// Bytes of a span's name.
const MAX_NAME: usize = 255;

/// Makes spans.
#[derive(Debug)]
pub(crate) struct Tracer {
    config: Traces,
    random: Random,
}

/// What is open in a session.
#[derive(Debug, Default)]
pub(crate) struct Tracing {
    block: Option<OpenBlock>,
    events: Vec<SpanEvent>,
    startup: Option<Nanos>,
}

#[derive(Debug)]
struct OpenBlock {
    span_id: [u8; 8],
    place: Placing,
}

#[derive(Debug)]
enum Placing {
    Decided(Place),
    /// Up to the first statement that has a parent: BEGIN, held back.
    Held(Box<(Statement, Option<Rc<Known>>)>),
}

/// Where a span stands: its trace, what it is under, and whether anybody wants it.
#[derive(Clone, Copy, Debug)]
struct Place {
    trace_id: [u8; 16],
    parent: Option<[u8; 8]>,
    sampled: bool,
}

#[derive(Debug)]
struct SpanEvent {
    at: Nanos,
    kind: EventKind,
}

#[derive(Debug)]
enum EventKind {
    Notice {
        severity: &'static str,
        sqlstate: [u8; 5],
    },
    Copy {
        direction: &'static str,
        rows: u64,
    },
}

/// A statement that has ended, as a span needs it.
pub(crate) struct Ended<'a> {
    pub(crate) statement: &'a Statement,
    pub(crate) known: Option<&'a Rc<Known>>,
    pub(crate) session: &'a Session,
    pub(crate) bytes: u64,
    /// The parent that the statement itself names.
    pub(crate) own: Option<TraceParent>,
    /// The parent that holds for the session.
    pub(crate) inherited: Option<TraceParent>,
}

impl Tracing {
    /// A NoticeResponse came.
    pub(crate) fn notice(&mut self, report: &Report<'_>, now: Nanos) {
        self.event(
            now,
            EventKind::Notice {
                severity: severity(report.severity),
                sqlstate: report.sqlstate.0,
            },
        );
    }

    /// A COPY has ended.
    pub(crate) fn copied(&mut self, direction: &'static str, rows: u64, now: Nanos) {
        self.event(now, EventKind::Copy { direction, rows });
    }

    fn event(&mut self, at: Nanos, kind: EventKind) {
        if self.events.len() < MAX_EVENTS {
            self.events.push(SpanEvent { at, kind });
        }
    }

    /// The session asked to begin.
    pub(crate) fn starting(&mut self, now: Nanos) {
        self.startup = Some(now);
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        let held = match &self.block {
            Some(OpenBlock {
                place: Placing::Held(_),
                ..
            }) => size_of::<(Statement, Option<Rc<Known>>)>(),
            _ => 0,
        };
        let events = self.events.capacity();
        events
            .saturating_mul(size_of::<SpanEvent>())
            .saturating_add(held)
    }
}

impl Tracer {
    pub(crate) fn new(config: Traces, random: Random) -> Self {
        Self { config, random }
    }

    /// Whether sessions' start-ups are spans too.
    pub(crate) fn traces_startup(&self) -> bool {
        self.config.startup
    }

    /// The span of a statement; where it stands, if it is kept.
    pub(crate) fn statement(
        &mut self,
        exporter: &mut Exporter,
        tracing: &mut Tracing,
        ended: &Ended<'_>,
    ) -> Option<SpanContext> {
        let statement = ended.statement;
        let begins = statement.operation == Operation::Begin
            && statement.outcome == Outcome::Completed
            && statement.block == Block::Outside;
        if begins && self.config.transactions && tracing.block.is_none() {
            let parent = ended.own.or(ended.inherited);
            tracing.block = Some(OpenBlock {
                span_id: self.random.span_id(),
                place: match parent {
                    Some(parent) => Placing::Decided(Place::under(parent)),
                    None => Placing::Held(Box::new((*statement, ended.known.cloned()))),
                },
            });
            parent?;
        }
        self.decide(
            exporter,
            tracing,
            ended.own.or(ended.inherited),
            ended.session,
        );
        let block = tracing.block.as_ref().and_then(OpenBlock::context);
        let place = match (ended.own, block, ended.inherited) {
            (Some(own), ..) => Place::under(own),
            (None, Some((place, span_id)), _) => Place {
                parent: Some(span_id),
                ..place
            },
            (None, None, Some(inherited)) => Place::under(inherited),
            (None, None, None) => self.root(),
        };
        let events = std::mem::take(&mut tracing.events);
        if !place.sampled {
            return None;
        }
        let span_id = self.random.span_id();
        // A statement that stands under its client's span points at its block as well.
        let link = block.filter(|(_, block)| place.parent != Some(*block));
        let kind = self.kind(ended.session);
        exporter.add(Signal::Traces, |span| {
            place.write(span, span_id);
            write_statement(span, ended, kind, &events);
            if let Some((block, span_id)) = link.filter(|(block, _)| block.sampled) {
                span.message(13, |link| {
                    link.bytes(1, &block.trace_id);
                    link.bytes(2, &span_id);
                });
            }
        });
        Some(SpanContext {
            trace_id: place.trace_id,
            span_id,
        })
    }

    /// The span of a transaction block.
    pub(crate) fn transaction(
        &mut self,
        exporter: &mut Exporter,
        tracing: &mut Tracing,
        transaction: &Transaction,
        inherited: Option<TraceParent>,
        session: &Session,
    ) {
        self.decide(exporter, tracing, inherited, session);
        let Some((place, span_id)) = tracing.block.take().as_ref().and_then(OpenBlock::context)
        else {
            return;
        };
        if !place.sampled {
            return;
        }
        let kind = self.kind(session);
        exporter.add(Signal::Traces, |span| {
            place.write(span, span_id);
            span.text(5, "TRANSACTION");
            span.uint(6, kind);
            span.fixed64(7, transaction.started);
            span.fixed64(8, transaction.started.saturating_add(transaction.duration));
            write_session(span, session);
            let outcome = catalog::outcome(transaction.outcome);
            let outcome = catalog::Dimension::Outcome.value(outcome);
            span.text_attribute(9, "pgmesh.transaction.outcome", outcome);
            if transaction.outcome == TransactionOutcome::Disconnected {
                span.message(15, |status| status.uint(3, ERROR));
            }
        });
    }

    /// The span of a session's start-up, authentication included.
    pub(crate) fn ready(
        &mut self,
        exporter: &mut Exporter,
        tracing: &mut Tracing,
        duration: Nanos,
        inherited: Option<TraceParent>,
        session: &Session,
    ) {
        let Some(started) = tracing.startup.take() else {
            return;
        };
        let place = inherited.map_or_else(|| self.root(), Place::under);
        if !place.sampled {
            return;
        }
        let (span_id, kind) = (self.random.span_id(), self.kind(session));
        exporter.add(Signal::Traces, |span| {
            place.write(span, span_id);
            span.text(5, "STARTUP");
            span.uint(6, kind);
            span.fixed64(7, started);
            span.fixed64(8, started.saturating_add(duration));
            write_session(span, session);
        });
    }

    /// Where an undecided block stands is decided by `parent`, or by lot.
    fn decide(
        &mut self,
        exporter: &mut Exporter,
        tracing: &mut Tracing,
        parent: Option<TraceParent>,
        session: &Session,
    ) {
        let Some(open) = &mut tracing.block else {
            return;
        };
        if matches!(open.place, Placing::Decided(_)) {
            return;
        }
        let place = parent.map_or_else(|| self.root(), Place::under);
        let before = std::mem::replace(&mut open.place, Placing::Decided(place));
        let Placing::Held(begin) = before else { return };
        if !place.sampled {
            return;
        }
        let under = Place {
            parent: Some(open.span_id),
            ..place
        };
        let (statement, known) = *begin;
        let (span_id, kind) = (self.random.span_id(), self.kind(session));
        exporter.add(Signal::Traces, |span| {
            under.write(span, span_id);
            let ended = Ended {
                statement: &statement,
                known: known.as_ref(),
                session,
                bytes: 0,
                own: None,
                inherited: None,
            };
            write_statement(span, &ended, kind, &[]);
        });
    }

    fn root(&mut self) -> Place {
        let one_in = u64::from(self.config.root_one_in);
        let sampled = self.random.next().checked_rem(one_in) == Some(0);
        // Ids are drawn only for those that are kept.
        let trace_id = match sampled {
            true => self.random.trace_id(),
            false => [0; 16],
        };
        Place {
            trace_id,
            parent: None,
            sampled,
        }
    }

    fn kind(&self, session: &Session) -> u64 {
        match self.config.kind {
            SpanKind::Server => SERVER,
            SpanKind::Client => CLIENT,
            SpanKind::Auto if session.inbound => SERVER,
            SpanKind::Auto => CLIENT,
        }
    }
}

impl OpenBlock {
    fn context(&self) -> Option<(Place, [u8; 8])> {
        match self.place {
            Placing::Decided(place) => Some((place, self.span_id)),
            Placing::Held(_) => None,
        }
    }
}

impl Place {
    /// As the parent was sampled, so is this (W3C Trace Context, "Sampled flag").
    fn under(parent: TraceParent) -> Self {
        Self {
            trace_id: parent.trace_id,
            parent: Some(parent.span_id),
            sampled: parent.flags & 1 == 1,
        }
    }

    fn write(&self, span: &mut Writer<'_>, span_id: [u8; 8]) {
        span.bytes(1, &self.trace_id);
        span.bytes(2, &span_id);
        if let Some(parent) = &self.parent {
            span.bytes(4, parent);
        }
        // Sampled.
        span.fixed32(16, 1);
    }
}

fn write_statement(span: &mut Writer<'_>, ended: &Ended<'_>, kind: u64, events: &[SpanEvent]) {
    let statement = ended.statement;
    let operation = statement.operation.as_str();
    let known = ended.known.map(|known| known.shown());
    let summary = known.map_or("", |known| known.summary());
    let name = if summary.is_empty() || summary.len() > MAX_NAME {
        operation
    } else {
        summary
    };
    span.text(5, name);
    span.uint(6, kind);
    span.fixed64(7, statement.received);
    span.fixed64(8, statement.finished.max(statement.received));
    write_session(span, ended.session);
    span.text_attribute(9, "db.operation.name", operation);
    if let Some(known) = known {
        span.text_attribute(9, "db.query.text", &known.text);
        if !summary.is_empty() {
            span.text_attribute(9, "db.query.summary", summary);
        }
        let fingerprint = known.fingerprint.to_string();
        span.text_attribute(9, "pgmesh.fingerprint", &fingerprint);
    }
    let number = |value| i64::try_from(value).unwrap_or(i64::MAX);
    span.int_attribute(9, "db.response.returned_rows", number(statement.rows));
    span.int_attribute(9, "pgmesh.bytes", number(ended.bytes));
    span.text_attribute(9, "pgmesh.protocol", protocol(statement.protocol));
    span.text_attribute(9, "pgmesh.transaction", block(statement.block));
    let queued = statement.started.saturating_sub(statement.received);
    if let Some(queued) = queued.checked_div(1000).filter(|queued| *queued > 0) {
        span.int_attribute(9, "pgmesh.queued_microseconds", number(queued));
    }
    write_events(span, statement, events);
    write_outcome(span, statement.outcome);
}

fn write_events(span: &mut Writer<'_>, statement: &Statement, events: &[SpanEvent]) {
    if let Some(first_row) = statement.first_row {
        span.message(11, |event| {
            event.fixed64(1, first_row);
            event.text(2, "first row");
        });
    }
    for SpanEvent { at, kind } in events {
        span.message(11, |event| {
            event.fixed64(1, *at);
            match kind {
                EventKind::Notice { severity, sqlstate } => {
                    event.text(2, "notice");
                    event.text_attribute(3, "pgmesh.severity", severity);
                    let sqlstate = String::from_utf8_lossy(sqlstate);
                    event.text_attribute(3, "db.response.status_code", &sqlstate);
                }
                EventKind::Copy { direction, rows } => {
                    event.text(2, "copy");
                    event.text_attribute(3, "pgmesh.direction", direction);
                    let rows = i64::try_from(*rows).unwrap_or(i64::MAX);
                    event.int_attribute(3, "pgmesh.rows", rows);
                }
            }
        });
    }
}

fn write_outcome(span: &mut Writer<'_>, outcome: Outcome) {
    match outcome {
        Outcome::Completed => {}
        Outcome::Failed(sqlstate) => {
            let sqlstate = String::from_utf8_lossy(&sqlstate.0);
            span.text_attribute(9, "db.response.status_code", &sqlstate);
            span.text_attribute(9, "error.type", &sqlstate);
            span.message(15, |status| {
                status.text(2, &sqlstate);
                status.uint(3, ERROR);
            });
        }
        Outcome::Disconnected => {
            span.text_attribute(9, "error.type", "disconnected");
            span.message(15, |status| {
                status.text(2, "disconnected");
                status.uint(3, ERROR);
            });
        }
    }
}

fn write_session(span: &mut Writer<'_>, session: &Session) {
    span.text_attribute(9, "db.system.name", "postgresql");
    let (server, server_port) = address(&session.upstream);
    let (client, client_port) = address(&session.client);
    for (key, value) in [
        ("db.namespace", &*session.database),
        ("server.address", server),
        ("client.address", client),
        ("pgmesh.user", &session.user),
        ("pgmesh.principal", &session.principal),
    ] {
        if !value.is_empty() {
            span.text_attribute(9, key, value);
        }
    }
    for (key, port) in [("server.port", server_port), ("client.port", client_port)] {
        if let Some(port) = port {
            span.int_attribute(9, key, i64::from(port));
        }
    }
}

/// Envoy's `address:port`; IPv6 stands in brackets.
fn address(text: &str) -> (&str, Option<u16>) {
    match text.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            (host, port.parse().ok())
        }
        _ => (text, None),
    }
}
