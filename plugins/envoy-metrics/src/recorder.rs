//! Turns what a session observes into counts: the [`Observer`] between `pg-wire` and [`Series`].

use pg_wire::{
    Event, MessageName, Nanos, Observer, OpaqueReason, Outcome, ProtocolVersion, ReplicationKind,
    Report, StartupMessage, Statement, StatementText, SubProtocol, TextId, Transaction,
};
use proxy_host::Host;
use proxy_host::metrics::clean;

use crate::catalog::{self, Family};
use crate::follow::{Follow, Trail};
use crate::hints::Hints;
use crate::series::{OTHER_SET, Series, SessionLabels, SetId, UNKNOWN_SET};

/// What is kept of one connection besides its protocol state.
pub(crate) struct Ledger {
    set: SetId,
    /// There until it is known under which labels the connection counts.
    prelude: Option<Box<Prelude>>,
    session: Option<OpenSession>,
    prepared_statements: u32,
    server_closed: bool,
    /// There if statements are followed one by one.
    trail: Option<Box<Trail>>,
}

/// What has been seen before the server let the session in, or turned it away.
struct Prelude {
    messages: [u32; MessageName::COUNT],
    bytes: [u64; 2],
    startup: Option<Startup>,
}

/// What the StartupMessage said.
struct Startup {
    labels: SessionLabels,
    version: ProtocolVersion,
    replication: Option<ReplicationKind>,
}

/// A session that is open, as the gauges have counted it.
#[derive(Clone, Copy)]
struct OpenSession {
    version: ProtocolVersion,
    replication: Option<ReplicationKind>,
}

impl Ledger {
    pub(crate) fn new(followed: bool) -> Self {
        let prelude = Prelude {
            messages: [0; MessageName::COUNT],
            bytes: [0; 2],
            startup: None,
        };
        Self {
            set: UNKNOWN_SET,
            prelude: Some(Box::new(prelude)),
            session: None,
            prepared_statements: 0,
            server_closed: false,
            trail: followed.then(Box::default),
        }
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        let trail = self.trail.as_ref().map_or(0, |trail| trail.bytes());
        let Some(prelude) = &self.prelude else {
            return trail;
        };
        let labels = prelude.startup.as_ref().map(|startup| &startup.labels);
        size_of::<Prelude>()
            .saturating_add(labels.map_or(0, SessionLabels::heap_bytes))
            .saturating_add(trail)
    }

    /// The server closed its side first.
    pub(crate) fn server_closed(&mut self) {
        self.server_closed = true;
    }
}

/// Counts for one connection, for the time of one callback.
pub(crate) struct Recorder<'a, H> {
    pub(crate) host: &'a H,
    pub(crate) series: &'a mut Series,
    pub(crate) hints: &'a mut Hints,
    pub(crate) ledger: &'a mut Ledger,
    pub(crate) follow: Option<&'a mut Follow>,
}

impl<H: Host> Recorder<'_, H> {
    /// Bytes of one callback, decoded or not.
    #[inline]
    pub(crate) fn bytes(&mut self, direction: usize, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        match &mut self.ledger.prelude {
            None => self.add(Family::Bytes, direction, bytes),
            Some(prelude) => {
                if let Some(sum) = prelude.bytes.get_mut(direction) {
                    *sum = sum.saturating_add(bytes);
                }
            }
        }
    }

    /// The connection is gone.
    pub(crate) fn closed(&mut self) {
        self.settle(Series::find);
        self.prepared_statements(0);
        if let Some(session) = self.ledger.session.take() {
            self.count_open(session, -1);
        }
    }

    #[inline]
    fn add(&mut self, family: Family, own: usize, count: u64) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.series
            .add(self.host, self.ledger.set, family, own, count);
    }

    #[inline]
    fn gauge(&mut self, family: Family, own: usize, change: i64) {
        self.series
            .add(self.host, self.ledger.set, family, own, change);
    }

    #[inline]
    fn observe(&mut self, family: Family, own: usize, duration: Nanos) {
        let microseconds = duration.checked_div(1000).unwrap_or(0);
        self.series
            .observe(self.host, self.ledger.set, family, own, microseconds);
    }

    /// The labels are decided: counts what has been held back under them.
    fn settle(&mut self, choose: impl FnOnce(&Series, SessionLabels) -> SetId) {
        let Some(mut prelude) = self.ledger.prelude.take() else {
            return;
        };
        if let Some(startup) = prelude.startup.take() {
            self.ledger.set = choose(self.series, startup.labels);
            self.add(
                Family::Connections,
                catalog::protocol_version(startup.version),
                1,
            );
        }
        for (direction, bytes) in prelude.bytes.into_iter().enumerate() {
            if bytes > 0 {
                self.add(Family::Bytes, direction, bytes);
            }
        }
        for (message, count) in prelude.messages.into_iter().enumerate() {
            if count > 0 {
                self.add(Family::Messages, message, u64::from(count));
            }
        }
    }

    fn startup(&mut self, message: StartupMessage<'_>) {
        let Some(prelude) = &mut self.ledger.prelude else {
            return;
        };
        prelude.startup = Some(Startup {
            labels: SessionLabels {
                database: label_value(message.database),
                user: label_value(message.user),
                application: label_value(message.application_name),
            },
            version: message.version,
            replication: message.replication,
        });
    }

    fn ready(&mut self, duration: Nanos) {
        let startup = self
            .ledger
            .prelude
            .as_mut()
            .and_then(|prelude| prelude.startup.as_mut());
        if let Some(startup) = startup {
            let labels = startup.labels.clone();
            let session = OpenSession {
                version: startup.version,
                replication: startup.replication,
            };
            let set = self.series.admit(self.host, labels);
            self.settle(|_, _| set);
            self.count_open(session, 1);
            self.ledger.session = Some(session);
        }
        self.observe(Family::StartupDuration, 0, duration);
    }

    fn count_open(&mut self, session: OpenSession, change: i64) {
        let version = catalog::protocol_version(session.version);
        self.gauge(Family::ConnectionsActive, version, change);
        if let Some(kind) = session.replication {
            let kind = catalog::replication_kind(kind);
            self.gauge(Family::ReplicationConnections, kind, change);
        }
    }

    fn connection_failed(&mut self, report: Report<'_>) {
        self.settle(Series::find);
        self.series
            .connection_failed(self.host, self.ledger.set, report.sqlstate);
    }

    fn opaque(&mut self, reason: OpaqueReason) {
        self.settle(Series::find);
        self.add(Family::OpaqueConnections, catalog::opaque_reason(reason), 1);
        self.hints.tell(reason);
    }

    fn statement(&mut self, statement: &Statement) {
        let operation = statement.operation as usize;
        let own = operation
            .saturating_mul(catalog::Dimension::Protocol.count())
            .saturating_add(catalog::protocol(statement.protocol));
        self.add(Family::Statements, own, 1);
        let duration = statement.finished.saturating_sub(statement.started);
        self.observe(Family::StatementDuration, own, duration);
        if let Some(first_row) = statement.first_row {
            let duration = first_row.saturating_sub(statement.started);
            self.observe(Family::FirstRowDuration, own, duration);
        }
        if statement.rows > 0 {
            self.add(Family::Rows, operation, statement.rows);
        }
        if statement.protocol == SubProtocol::Function {
            self.add(Family::FunctionCalls, 0, 1);
        }
        if statement.outcome == Outcome::Disconnected && self.ledger.server_closed {
            self.ledger.server_closed = false;
            self.add(Family::BackendDisconnects, 0, 1);
        }
    }

    fn transaction(&mut self, transaction: &Transaction) {
        let outcome = catalog::outcome(transaction.outcome);
        self.add(Family::Transactions, outcome, 1);
        self.observe(Family::TransactionDuration, outcome, transaction.duration);
    }

    fn prepared_statements(&mut self, count: u32) {
        let before = std::mem::replace(&mut self.ledger.prepared_statements, count);
        let change = i64::from(count).saturating_sub(i64::from(before));
        if change != 0 {
            self.gauge(Family::PreparedStatements, 0, change);
        }
    }

    /// The session changed its `application_name`: from here on it counts under the new one.
    fn renamed(&mut self, application: &[u8]) {
        let set = self.ledger.set;
        if !self.series.by_application() || self.ledger.session.is_none() || set == OTHER_SET {
            return;
        }
        let Some(labels) = self.series.labels(set) else {
            return;
        };
        let renamed = self.series.admit(
            self.host,
            SessionLabels {
                application: label_value(application),
                ..labels
            },
        );
        if renamed != set {
            self.move_gauges(renamed);
        }
    }

    fn move_gauges(&mut self, to: SetId) {
        let prepared = self.ledger.prepared_statements;
        let session = self.ledger.session;
        self.prepared_statements(0);
        session
            .into_iter()
            .for_each(|session| self.count_open(session, -1));
        self.ledger.set = to;
        session
            .into_iter()
            .for_each(|session| self.count_open(session, 1));
        self.prepared_statements(prepared);
    }

    fn replication_data(&mut self, bytes: u64) {
        let kind = self.ledger.session.and_then(|session| session.replication);
        if let Some(kind) = kind {
            self.add(
                Family::ReplicationBytes,
                catalog::replication_kind(kind),
                bytes,
            );
        }
    }
}

impl<H: Host> Observer for Recorder<'_, H> {
    fn text(&mut self, text: StatementText<'_>) -> TextId {
        match (&mut self.follow, &mut self.ledger.trail) {
            (Some(follow), Some(trail)) => follow.text(trail, &text),
            _ => TextId::UNTOLD,
        }
    }

    #[inline]
    fn message(&mut self, name: MessageName, bytes: u64) {
        if let Some(trail) = &mut self.ledger.trail {
            trail.message(name, bytes);
        }
        match &mut self.ledger.prelude {
            None => self.add(Family::Messages, name as usize, 1),
            Some(prelude) => {
                if let Some(count) = prelude.messages.get_mut(name as usize) {
                    *count = count.saturating_add(1);
                }
            }
        }
    }

    fn event(&mut self, event: Event<'_>) {
        self.count(&event);
        if let (Some(follow), Some(trail)) = (&mut self.follow, &mut self.ledger.trail) {
            follow.event(self.host, trail, &event);
        }
    }
}

impl<H: Host> Recorder<'_, H> {
    fn count(&mut self, event: &Event<'_>) {
        match *event {
            Event::Startup(message) => self.startup(message),
            Event::Ready { duration } => self.ready(duration),
            Event::ConnectionFailed(report) => self.connection_failed(report),
            Event::CancelRequest(_) => self.add(Family::CancelRequests, 0, 1),
            Event::Opaque(reason) => self.opaque(reason),
            Event::Statement(statement) => self.statement(&statement),
            Event::Transaction(transaction) => self.transaction(&transaction),
            Event::IdleInTransaction { duration } => {
                self.observe(Family::IdleInTransaction, 0, duration);
            }
            Event::Error(report) => {
                self.series
                    .error(self.host, self.ledger.set, report.sqlstate, report.severity);
            }
            Event::Notice(report) => {
                self.add(Family::Notices, catalog::severity(report.severity), 1);
            }
            Event::Notification => self.add(Family::Notifications, 0, 1),
            Event::ParameterStatus {
                name: b"application_name",
                value,
            } => self.renamed(value),
            Event::ParameterStatus { .. }
            | Event::ReplicationStarted(_)
            | Event::ServerProcess { .. } => {}
            Event::CopyData { direction, bytes } => {
                self.add(Family::CopyBytes, catalog::direction(direction), bytes);
            }
            Event::CopyDone { direction, rows } => {
                self.add(Family::CopyRows, catalog::direction(direction), rows);
            }
            Event::ReplicationData { bytes, .. } => self.replication_data(bytes),
            Event::Parsed => self.add(Family::Parses, 0, 1),
            Event::PreparedStatements { count } => self.prepared_statements(count),
            Event::Pipeline { depth } => {
                let depth = u64::from(depth);
                self.series
                    .observe(self.host, self.ledger.set, Family::PipelineDepth, 0, depth);
            }
        }
    }
}

/// What of a name a label shows: no more is kept, so that names that show alike are one label.
fn label_value(name: &[u8]) -> Box<str> {
    clean(&String::from_utf8_lossy(name)).into_boxed_str()
}

#[cfg(test)]
mod tests;
