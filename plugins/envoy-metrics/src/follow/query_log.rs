//! The query log: which statements get a line, and what is in it.

use std::collections::HashMap;

use otlp_wire::Writer;
use pg_sql::Fingerprint;
use pg_wire::{Block, Nanos, Outcome, Severity, Statement, SubProtocol};

use super::Ended;
use super::export::{Exporter, Signal};
use super::json::{Fields, Object, hex};
use super::texts::Known;
use crate::catalog;
use crate::config::QueryLog;

/// Fingerprints whose lines are counted apart within a minute; the rest share a count.
const MAX_COUNTED: usize = 4096;
const NANOS_PER_MINUTE: u64 = 60_000_000_000;
const NANOS_PER_MILLISECOND: u64 = 1_000_000;

/// Chooses and writes.
#[derive(Debug)]
pub(crate) struct Log {
    config: QueryLog,
    /// Since the epoch.
    minute: u64,
    lines: HashMap<Fingerprint, u32>,
    shared: u32,
    suppressed: u64,
}

impl Log {
    pub(crate) fn new(config: QueryLog) -> Self {
        Self {
            config,
            minute: 0,
            lines: HashMap::new(),
            shared: 0,
            suppressed: 0,
        }
    }

    /// Writes the statement's line, or its log record, if it is chosen.
    pub(crate) fn write(&mut self, ended: &Ended<'_>, exporter: Option<&mut Exporter>) {
        if !self.chooses(ended) || !self.has_room(ended) {
            return;
        }
        let messages = self.config.messages;
        if let Some(exporter) = exporter.filter(|_| self.config.export) {
            exporter.add(Signal::Logs, |record| write_record(record, ended, messages));
            return;
        }
        let mut line = String::with_capacity(512);
        Object::write(&mut line, |object| fill(object, ended, messages, true));
        log::info!("{line}");
    }

    /// Whether error messages are shown.
    pub(crate) fn messages(&self) -> bool {
        self.config.messages
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.lines
            .capacity()
            .saturating_mul(size_of::<(Fingerprint, u32)>())
    }

    /// Chosen statements without a line, since their fingerprint had used up its minute.
    pub(crate) fn suppressed(&self) -> u64 {
        self.suppressed
    }

    fn chooses(&self, ended: &Ended<'_>) -> bool {
        let config = &self.config;
        let statement = ended.statement;
        let slow = config.slower_than_ms.is_some_and(|limit| {
            duration(statement) >= u64::from(limit).saturating_mul(NANOS_PER_MILLISECOND)
        });
        let failed = config.failed && statement.outcome != Outcome::Completed;
        slow || failed || ended.sample.checked_rem(u64::from(config.one_in)) == Some(0)
    }

    fn has_room(&mut self, ended: &Ended<'_>) -> bool {
        if self.config.per_fingerprint_and_minute == 0 {
            return true;
        }
        let now = ended.statement.finished;
        let minute = now.checked_div(NANOS_PER_MINUTE).unwrap_or(0);
        if minute != self.minute {
            self.minute = minute;
            self.lines.clear();
            self.shared = 0;
        }
        let fingerprint = ended
            .known
            .map_or(Fingerprint(0), |known| known.shown().fingerprint);
        let full = self.lines.len() >= MAX_COUNTED && !self.lines.contains_key(&fingerprint);
        let count = if full {
            &mut self.shared
        } else {
            self.lines.entry(fingerprint).or_default()
        };
        *count = count.saturating_add(1);
        let has_room = *count <= self.config.per_fingerprint_and_minute;
        self.suppressed = self.suppressed.saturating_add(u64::from(!has_room));
        has_room
    }
}

/// How long the server had the statement.
pub(crate) fn duration(statement: &Statement) -> Nanos {
    statement.finished.saturating_sub(statement.started)
}

/// `SeverityNumber` of OTLP: INFO and ERROR.
const INFO: u64 = 9;
const ERROR: u64 = 17;

/// Attributes of a `LogRecord`.
struct Attributes<'a, 'w>(&'a mut Writer<'w>);

impl Fields for Attributes<'_, '_> {
    fn text(&mut self, key: &str, value: &str) {
        self.0.text_attribute(6, key, value);
    }

    fn number(&mut self, key: &str, value: u64) {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        self.0.int_attribute(6, key, value);
    }
}

fn write_record(record: &mut Writer<'_>, ended: &Ended<'_>, messages: bool) {
    record.fixed64(1, ended.statement.finished);
    record.fixed64(11, ended.statement.finished);
    let completed = ended.statement.outcome == Outcome::Completed;
    record.uint(2, if completed { INFO } else { ERROR });
    record.text(12, "pgmesh.query");
    if let Some(context) = &ended.context {
        record.bytes(9, &context.trace_id);
        record.bytes(10, &context.span_id);
    }
    fill(&mut Attributes(record), ended, messages, false);
}

fn fill(line: &mut dyn Fields, ended: &Ended<'_>, messages: bool, with_context: bool) {
    let Ended {
        statement, session, ..
    } = ended;
    line.text("pgmesh.event", "query");
    line.text("db.system.name", "postgresql");
    line.text_if_any("db.namespace", &session.database);
    line.text("db.operation.name", statement.operation.as_str());
    if let Some(known) = ended.known.map(Known::shown) {
        line.text("db.query.text", &known.text);
        line.text_if_any("db.query.summary", known.summary());
        line.text("pgmesh.fingerprint", &known.fingerprint.to_string());
        if known.truncated {
            line.text("pgmesh.query.truncated", "true");
        }
    }
    line.text_if_any("pgmesh.prepared_name", ended.prepared);
    line.text_if_any("pgmesh.user", &session.user);
    line.text_if_any("pgmesh.application", &session.application);
    line.text_if_any("client.address", &session.client);
    line.text_if_any("server.address", &session.upstream);
    line.text_if_any("pgmesh.principal", &session.principal);
    line.number("pgmesh.backend_pid", u64::from(ended.process_id));
    if let Some(version) = session.version {
        let version = catalog::protocol_version(version);
        let words = catalog::Dimension::ProtocolVersion;
        line.text("network.protocol.version", words.value(version));
    }
    line.text("pgmesh.protocol", protocol(statement.protocol));
    line.text("pgmesh.transaction", block(statement.block));
    line.duration("pgmesh.received_unix_microseconds", statement.received);
    if let Some(first_row) = statement.first_row {
        let after = first_row.saturating_sub(statement.started);
        line.duration("pgmesh.first_row_microseconds", after);
    }
    line.duration(
        "pgmesh.queued_microseconds",
        statement.started.saturating_sub(statement.received),
    );
    line.duration("pgmesh.duration_microseconds", duration(statement));
    line.number("db.response.returned_rows", statement.rows);
    line.number("pgmesh.bytes", ended.bytes);
    fill_outcome(line, ended, messages);
    if let Some(context) = ended.context.filter(|_| with_context) {
        line.text("trace_id", &hex(&context.trace_id));
        line.text("span_id", &hex(&context.span_id));
    }
}

fn fill_outcome(line: &mut dyn Fields, ended: &Ended<'_>, messages: bool) {
    match ended.statement.outcome {
        Outcome::Completed => line.text("pgmesh.outcome", "completed"),
        Outcome::Disconnected => line.text("pgmesh.outcome", "disconnected"),
        Outcome::Failed(sqlstate) => {
            line.text("pgmesh.outcome", "failed");
            line.text(
                "db.response.status_code",
                &String::from_utf8_lossy(&sqlstate.0),
            );
            if let Some(error) = ended.error {
                line.text("pgmesh.severity", severity(error.severity));
                if messages {
                    line.text("pgmesh.message", &error.message);
                }
            }
        }
    }
}

/// How it came over the wire, by the words of the metrics.
pub(crate) fn protocol(protocol: SubProtocol) -> &'static str {
    catalog::Dimension::Protocol.value(catalog::protocol(protocol))
}

/// The server's word for a severity.
pub(crate) fn severity(severity: Severity) -> &'static str {
    catalog::Dimension::Severity.value(catalog::severity(severity))
}

/// Where it ran.
pub(crate) fn block(block: Block) -> &'static str {
    match block {
        Block::Outside => "none",
        Block::Inside => "block",
        Block::Failed => "failed",
    }
}
