//! The query log: which statements get a line, and what is in it.

use std::collections::HashMap;

use pg_sql::Fingerprint;
use pg_wire::{Block, Nanos, Outcome, Severity, Statement, SubProtocol};

use super::Ended;
use super::json::{Object, hex};
use crate::catalog;
use crate::config::QueryLog;

/// Fingerprints whose lines are counted apart within a minute; the rest share a count.
const MAX_COUNTED: usize = 4096;
const NANOS_PER_MINUTE: u64 = 60_000_000_000;
const NANOS_PER_MILLISECOND: u64 = 1_000_000;

/// Chooses and writes.
#[derive(Debug)]
pub(crate) struct Writer {
    config: QueryLog,
    /// Since the epoch.
    minute: u64,
    lines: HashMap<Fingerprint, u32>,
    shared: u32,
    suppressed: u64,
}

impl Writer {
    pub(crate) fn new(config: QueryLog) -> Self {
        Self {
            config,
            minute: 0,
            lines: HashMap::new(),
            shared: 0,
            suppressed: 0,
        }
    }

    /// The statement's line, if it is chosen.
    pub(crate) fn line(&mut self, ended: &Ended<'_>) -> Option<String> {
        if !self.chooses(ended) || !self.has_room(ended) {
            return None;
        }
        let mut line = String::with_capacity(512);
        Object::write(&mut line, |object| {
            fill(object, ended, self.config.messages)
        });
        Some(line)
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
            .map_or(Fingerprint(0), |known| known.fingerprint);
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

fn fill(line: &mut Object<'_>, ended: &Ended<'_>, messages: bool) {
    let Ended {
        statement, session, ..
    } = ended;
    line.text("pgmesh.event", "query");
    line.text("db.system.name", "postgresql");
    line.text_if_any("db.namespace", &session.database);
    line.text("db.operation.name", statement.operation.as_str());
    if let Some(known) = ended.known {
        line.text("db.query.text", &known.text);
        line.text_if_any("db.query.summary", &known.summary);
        line.text("pgmesh.fingerprint", &known.fingerprint.to_string());
        line.flag("pgmesh.query.truncated", known.truncated);
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
    if let Some(context) = &ended.context {
        line.text("trace_id", &hex(&context.trace_id));
        line.text("span_id", &hex(&context.span_id));
    }
}

fn fill_outcome(line: &mut Object<'_>, ended: &Ended<'_>, messages: bool) {
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
