//! Follows statements one by one: the query log, the traces and the top statements. Off unless configured; then
//! the recorder has nothing to call here, and no connection holds anything.
//!
//! ```text
//!  pg_wire::Session -> recorder -> Trail (of a connection) + Follow (of a worker)
//!                                     texts: redacted once, known by number
//!                                     context: the client's own trace
//!                                     traces    -> export -> a collector
//!                                     query_log -> the host's log, or export
//!                                     top -> shared (of the process) -> the host's log, and if asked
//!                                            for export (top_metrics), the host's stats (top_stats)
//! ```

mod context;
mod export;
mod json;
mod query_log;
mod random;
mod resource;
mod session;
mod shared;
mod sketch;
mod texts;
mod top;
mod top_metrics;
mod top_stats;
mod traces;

use std::hash::{DefaultHasher, Hasher};
use std::rc::Rc;

use pg_sql::sqlcommenter::TraceParent;
use pg_sql::{Encoding, LexerOptions};
use pg_wire::{
    Event, Limits, MessageName, Nanos, Outcome, Report, Severity, Statement, StatementText, TextId,
    Transaction,
};
use proxy_host::{Host, HttpResponse};

use crate::catalog;
use crate::config::{Config, TopStatements};
use context::Contexts;
use export::Exporter;
use random::Random;
use session::Session;
use shared::HandedOver;
use texts::{Known, Texts};
use top::{Key, Table};
use traces::{Tracer, Tracing};

/// Bytes kept of an error message, if it is to be shown.
const MAX_MESSAGE: usize = 256;

/// What one worker follows with.
pub(crate) struct Follow {
    texts: Texts,
    log: Option<query_log::Log>,
    top: Option<Top>,
    tracer: Option<Tracer>,
    exporter: Option<Exporter>,
}

/// The top statements as this worker has counted them, and how they leave it.
struct Top {
    config: TopStatements,
    table: Table,
    /// The entry of the shared data, by the configuration: two filters do not mix.
    key: String,
    next: Nanos,
    stats: Option<top_stats::Stats>,
}

/// What is kept of one connection.
#[derive(Debug, Default)]
pub(crate) struct Trail {
    session: Session,
    key: Option<Key>,
    options: LexerOptions,
    contexts: Contexts,
    /// Of DataRow and CopyData messages since the last statement ended.
    bytes: u64,
    error: Option<Error>,
    tracing: Tracing,
    process_id: u32,
    statements: u64,
}

/// The error that a statement has ended with.
#[derive(Debug)]
pub(crate) struct Error {
    severity: Severity,
    /// Empty unless messages are to be shown.
    message: Box<str>,
}

/// Where a statement stands in a trace.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct SpanContext {
    trace_id: [u8; 16],
    span_id: [u8; 8],
}

impl SpanContext {
    fn of(parent: TraceParent) -> Self {
        Self {
            trace_id: parent.trace_id,
            span_id: parent.span_id,
        }
    }
}

/// A statement that has ended, with all that is known of it.
pub(crate) struct Ended<'a> {
    statement: &'a Statement,
    known: Option<&'a Known>,
    prepared: &'a str,
    session: &'a Session,
    /// Of the server.
    process_id: u32,
    bytes: u64,
    error: Option<&'a Error>,
    context: Option<SpanContext>,
    /// The same number at every proxy on the session's way.
    sample: u64,
}

impl Follow {
    /// `None` if nothing is to be followed.
    pub(crate) fn new(host: &impl Host, config: &Config) -> Option<Self> {
        let Config {
            query_log,
            top_statements,
            traces,
            ..
        } = config;
        if query_log.is_none() && top_statements.is_none() && traces.is_none() {
            return None;
        }
        let now = host.now();
        let top = top_statements.clone().map(|top| {
            let TopStatements {
                top: rows,
                interval_s,
                stats,
                ..
            } = top;
            let key = format!("pgmesh.top_statements.{rows}.{interval_s}.{stats}");
            shared::begin(host, &key, &top, now);
            Top {
                table: Table::new(&top),
                stats: (stats > 0).then(|| top_stats::Stats::new(config)),
                config: top,
                key,
                next: 0,
            }
        });
        Some(Self {
            texts: Texts::new(now, top.is_some()),
            log: query_log.clone().map(query_log::Log::new),
            top,
            tracer: traces
                .clone()
                .map(|traces| Tracer::new(traces, Random::new(host))),
            exporter: config.export.clone().map(|export| {
                let resource = resource::attributes(host, &config.resource);
                Exporter::new(export, &resource)
            }),
        })
    }

    /// The limits of a session that is followed.
    pub(crate) fn limits(config: &Config) -> Limits {
        Limits {
            statement_text: config.max_statement_bytes,
            ..Limits::DEFAULT
        }
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let log = self.log.as_ref().map_or(0, query_log::Log::bytes);
        let top = self.top.as_ref().map_or(0, Top::bytes);
        let exporter = self.exporter.as_ref().map_or(0, Exporter::bytes);
        [log, top, exporter]
            .into_iter()
            .fold(self.texts.bytes(), usize::saturating_add)
    }

    /// What has been counted here: name and total.
    pub(crate) fn counters(&self) -> [(&'static str, u64); 6] {
        let log = self.log.as_ref();
        let exported = self.exporter.as_ref().map(Exporter::counts);
        let exported = exported.unwrap_or_default();
        [
            (catalog::TEXTS_FORGOTTEN, self.texts.forgotten()),
            (
                catalog::QUERY_LOG_SUPPRESSED,
                log.map_or(0, query_log::Log::suppressed),
            ),
            (catalog::EXPORT_SENT, exported.sent),
            (catalog::EXPORT_DROPPED, exported.dropped),
            (catalog::EXPORT_FAILED, exported.failed),
            (catalog::EXPORT_RETRIED, exported.retried),
        ]
    }

    /// The text of a Query or Parse.
    pub(crate) fn text(&mut self, trail: &mut Trail, shown: &StatementText<'_>) -> TextId {
        let id = self.texts.number(shown, trail.options);
        trail.contexts.text(id, shown.text, &trail.options);
        id
    }

    /// Any event, once the metrics have had it.
    pub(crate) fn event(&mut self, host: &impl Host, trail: &mut Trail, event: &Event<'_>) {
        match event {
            Event::Startup(message) => {
                trail.session.begin(message);
                trail.contexts.application(message.application_name);
                if self.tracer.as_ref().is_some_and(Tracer::traces_startup) {
                    trail.tracing.starting(host.now());
                }
            }
            Event::ServerProcess { process_id } => trail.process_id = *process_id,
            Event::Ready { duration } => {
                trail.session.look_up(host);
                self.ready(trail, *duration);
            }
            Event::ParameterStatus { name, value } => trail.parameter(name, value),
            Event::Error(report) => {
                let messages = self.log.as_ref().is_some_and(query_log::Log::messages);
                trail.error = Some(Error::of(report, messages));
            }
            Event::Notice(report) if self.tracer.is_some() => {
                trail.tracing.notice(report, host.now());
            }
            Event::CopyDone { direction, rows } if self.tracer.is_some() => {
                let direction = catalog::direction(*direction);
                let direction = catalog::Dimension::Direction.value(direction);
                trail.tracing.copied(direction, *rows, host.now());
            }
            Event::Statement(statement) => self.statement(trail, statement),
            Event::Transaction(transaction) => self.transaction(trail, transaction),
            _ => {}
        }
    }

    fn ready(&mut self, trail: &mut Trail, duration: Nanos) {
        if let (Some(tracer), Some(exporter)) = (&mut self.tracer, &mut self.exporter) {
            let inherited = trail.contexts.inherited();
            let (tracing, session) = (&mut trail.tracing, &trail.session);
            tracer.ready(exporter, tracing, duration, inherited, session);
        }
    }

    fn transaction(&mut self, trail: &mut Trail, transaction: &Transaction) {
        if let (Some(tracer), Some(exporter)) = (&mut self.tracer, &mut self.exporter) {
            let inherited = trail.contexts.inherited();
            let (tracing, session) = (&mut trail.tracing, &trail.session);
            tracer.transaction(exporter, tracing, transaction, inherited, session);
        }
        trail.contexts.transaction_ended();
    }

    fn statement(&mut self, trail: &mut Trail, statement: &Statement) {
        let succeeded = statement.outcome == Outcome::Completed;
        let own = trail
            .contexts
            .ended(statement.text, statement.index, succeeded);
        let inherited = trail.contexts.inherited();
        let found = self.texts.get(statement.text, statement.index);
        let known = found.as_ref().map(|(known, _)| known);
        let bytes = std::mem::take(&mut trail.bytes);
        let error = trail.error.take();
        trail.statements = trail.statements.saturating_add(1);
        let mut context = own.or(inherited).map(SpanContext::of);
        // A parent that is sampled is kept by whoever began it, our own span only if we keep it.
        let shown = own.or(inherited).filter(|parent| parent.flags & 1 == 1);
        let mut shown = shown.map(SpanContext::of);
        if let (Some(tracer), Some(exporter)) = (&mut self.tracer, &mut self.exporter) {
            let ended = traces::Ended {
                statement,
                known,
                session: &trail.session,
                bytes,
                own,
                inherited,
            };
            let span = tracer.statement(exporter, &mut trail.tracing, &ended);
            context = span.or(context);
            shown = span.or(shown);
        }
        if let Some(log) = &mut self.log {
            let ended = Ended {
                statement,
                known: known.map(|known| &**known),
                prepared: found.as_ref().map_or("", |(_, prepared)| &**prepared),
                session: &trail.session,
                process_id: trail.process_id,
                bytes,
                error: error.as_ref(),
                context,
                sample: trail.sample(),
            };
            log.write(&ended, self.exporter.as_mut());
        }
        if let (Some(top), Some(known)) = (&mut self.top, known) {
            let key = trail.key(known);
            top.table.add(key, known, statement, bytes, shown);
        }
        self.texts.done(statement.text);
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, host: &impl Host, now: Nanos) {
        if let Some(top) = &mut self.top
            && top.is_due(now)
        {
            top.hand_over(host, now, self.exporter.as_mut());
        }
        if let Some(exporter) = &mut self.exporter {
            exporter.tick(host, now);
        }
    }

    /// The answer to a request of the exporter's.
    pub(crate) fn http_response(&mut self, host: &impl Host, response: &HttpResponse) {
        if let Some(exporter) = &mut self.exporter {
            exporter.answered(host, response, host.now());
        }
    }

    /// This worker ends.
    pub(crate) fn retire(&mut self, host: &impl Host) {
        self.rest(host);
        if let Some(exporter) = &mut self.exporter {
            exporter.finish(host);
        }
    }

    /// No connection is left.
    pub(crate) fn rest(&mut self, host: &impl Host) {
        if let Some(top) = &mut self.top
            && !top.table.is_empty()
        {
            top.hand_over(host, host.now(), self.exporter.as_mut());
        }
    }
}

impl Top {
    fn interval(&self) -> Nanos {
        u64::from(self.config.interval_s).saturating_mul(1_000_000_000)
    }

    /// A clock that went backwards must not keep the rows waiting for what it said before.
    fn is_due(&self, now: Nanos) -> bool {
        now >= self.next || self.next.saturating_sub(now) > self.interval()
    }

    fn hand_over(&mut self, host: &impl Host, now: Nanos, exporter: Option<&mut Exporter>) {
        self.next = now.saturating_add(self.interval());
        let handed = shared::hand_over(host, &self.key, &self.config, &mut self.table, now);
        let Some(handed) = handed else {
            return;
        };
        if let Some(stats) = &mut self.stats {
            stats.count(host, &handed);
        }
        let HandedOver { shared, due, .. } = handed;
        if !due {
            return;
        }
        let rows = shared.table.top(self.config.top as usize);
        if let Some(exporter) = exporter.filter(|_| self.config.export) {
            top_metrics::add(exporter, &rows, now);
        }
        let line = top::report(rows, shared.table.dropped(), shared.since, now);
        log::info!("{line}");
    }

    /// Bytes held.
    fn bytes(&self) -> usize {
        let stats = self.stats.as_ref().map_or(0, top_stats::Stats::bytes);
        self.table.bytes().saturating_add(stats)
    }
}

impl Trail {
    /// A message went by.
    #[inline]
    pub(crate) fn message(&mut self, name: MessageName, bytes: u64) {
        use MessageName::{BackendCopyData, DataRow, FrontendCopyData};
        if matches!(name, DataRow | BackendCopyData | FrontendCopyData) {
            self.bytes = self.bytes.saturating_add(bytes);
        }
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let message = self.error.as_ref().map_or(0, |error| error.message.len());
        size_of::<Self>()
            .saturating_add(self.session.heap_bytes())
            .saturating_add(self.contexts.heap_bytes())
            .saturating_add(self.tracing.heap_bytes())
            .saturating_add(message)
    }

    fn parameter(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b"application_name" => {
                self.session.renamed(value);
                self.contexts.application(value);
            }
            b"standard_conforming_strings" => {
                self.options.standard_conforming_strings = value == b"on";
            }
            b"client_encoding" => {
                self.options.encoding = Encoding::from_name(&String::from_utf8_lossy(value));
            }
            _ => {}
        }
    }

    fn key(&mut self, known: &Known) -> &Key {
        let session = &self.session;
        let key = self.key.get_or_insert_with(|| Key {
            fingerprint: 0,
            user: Rc::from(&*session.user),
            database: Rc::from(&*session.database),
        });
        key.fingerprint = known.shown().fingerprint.0;
        key
    }

    fn sample(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        hasher.write_u32(self.process_id);
        hasher.write_u64(self.statements);
        hasher.write(self.session.user.as_bytes());
        hasher.finish()
    }
}

impl Error {
    fn of(report: &Report<'_>, with_message: bool) -> Self {
        let message = match with_message {
            true => report.message.get(..MAX_MESSAGE).unwrap_or(report.message),
            false => &[],
        };
        Self {
            severity: report.severity,
            message: String::from_utf8_lossy(message).into(),
        }
    }
}
