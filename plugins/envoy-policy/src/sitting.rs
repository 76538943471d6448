//! The judge of one connection: what is known of client and session, and the way from the gate's
//! questions (`judge`) to the policy, to metrics and to records.

mod judge;

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use pg_sql::{Encoding, LexerOptions};
use pg_wire::SubProtocol;
use pg_wire::body::startup::StartupMessage;
use proxy_host::Host;

use crate::cancels;
use crate::catalog::{Counters, Outcome};
use crate::cause::Cause;
use crate::config::Mode;
use crate::gate::Admission;
use crate::gate::denial::Denial;
use crate::limits::{Held, Limits, Reached};
use crate::policy::{Aftermath, Ask, Client, Decision, Policy, Profile, SearchPath, SessionState};
use crate::record::{self, Record, Text};
use crate::routes;
use crate::shares::{Key, Shares};
use crate::startup::{self, StartupError};

/// What is known of one connection.
#[derive(Debug, Default)]
pub(crate) struct Sitting {
    client: Client,
    /// `None` until the client is let in.
    profile: Option<Rc<Profile>>,
    /// As the server last reported them.
    standard_conforming_strings: Option<bool>,
    client_encoding: Option<Encoding>,
    search_path: Option<SearchPath>,
    path: PathUse,
    transaction: Option<u8>,
    /// The server has been ready once.
    open: bool,
    /// Something that is under way may change how texts are read.
    suspect: bool,
    /// What is prepared or declared may, whenever a message has it bound or run.
    suspect_prepared: bool,
    /// The client has changed how texts are read, and a ROLLBACK may change it back.
    reading_changed: bool,
    /// What it has of its limits.
    held: Held,
    /// The key of its session, once it is noted for CancelRequests.
    cancel_key: Option<Key>,
}

/// What is known of `search_path`, beside its value.
#[derive(Clone, Copy, Debug, Default)]
struct PathUse {
    /// The session may act as another role than the client's user.
    role_changed: bool,
    /// It has changed in the transaction that is open: a ROLLBACK changes it back.
    unsettled: bool,
    /// Something that is under way may change it.
    suspect: bool,
    /// A statement was prepared that changes it whenever it is run.
    prepared_change: bool,
    /// A statement was prepared, and allowed, for what it is.
    in_use: bool,
    /// That has `$user` in it.
    role_in_use: bool,
}

impl Sitting {
    /// The client is gone: what it had of its limits is given back.
    pub(crate) fn leave(&mut self, host: &impl Host, policy: &Policy, shares: &Shares) {
        let limits = &policy.limits;
        Limits { limits, shares }.leave(host, &mut self.held);
        if let Some(key) = self.cancel_key.take()
            && cancels::forget(host, shares, key).is_err()
        {
            log::error!(
                "pgmesh: a cancel key outlives its session: the host's shared data is busy"
            );
        }
    }

    /// Whether something has taken too long.
    pub(crate) fn overdue(&self, policy: &Policy, shares: &Shares, now: u64) -> Option<Reached> {
        let limits = &policy.limits;
        Limits { limits, shares }.overdue(&self.held, now)
    }
}

/// What is said once per worker and second at most.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    second: u64,
    written: u32,
}

/// Records that one worker writes in a second.
pub(crate) const RECORDS_PER_SECOND: u32 = 100;

impl Recorder {
    fn may_write(&mut self, now: u64) -> bool {
        let second = now / 1_000_000_000;
        if second != self.second {
            self.second = second;
            self.written = 0;
        }
        self.written = self.written.saturating_add(1);
        self.written <= RECORDS_PER_SECOND
    }
}

/// One connection's judge during one callback.
pub(crate) struct Bench<'a, H> {
    /// The host.
    pub(crate) host: &'a H,
    /// The rules.
    pub(crate) policy: &'a Policy,
    /// What is known of the connection.
    pub(crate) sitting: &'a mut Sitting,
    /// What is counted.
    pub(crate) counters: &'a mut Counters,
    /// What is told.
    pub(crate) recorder: &'a mut Recorder,
    /// Bytes that the worker may still hold.
    pub(crate) may_hold: &'a mut usize,
    /// This worker's part in the limits.
    pub(crate) shares: &'a Shares,
    /// The host has chosen a server already.
    pub(crate) too_late_to_route: bool,
}

impl<H: Host> Bench<'_, H> {
    /// Fills in what only the host knows. The certificate is there from the first data on.
    fn look_around(&mut self) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let principal = ["connection", "uri_san_peer_certificate"];
        let principal = self.host.with_property(&principal, text).ok();
        let source = self.host.with_property(&["source", "address"], text).ok();
        let client = &mut self.sitting.client;
        client.principal = principal.filter(|principal| !principal.is_empty());
        client.source = source.and_then(|source| address(&source));
    }

    /// A denial that does not depend on rules, as it is counted and told.
    fn outcome(&self) -> Outcome {
        match self.policy.mode {
            Mode::Enforce => Outcome::Denied,
            Mode::DryRun => Outcome::WouldBeDenied,
        }
    }

    /// Carries such a denial out, unless the policy is in dry run.
    fn enforce(&self, cause: Cause) -> Result<(), Denial> {
        match self.policy.mode {
            Mode::DryRun => Ok(()),
            Mode::Enforce => {
                self.verdict("denied");
                Err(Denial {
                    code: cause.code(),
                    fingerprint: 0,
                })
            }
        }
    }

    fn deny_startup(&mut self, cause: Cause) -> Result<(), Denial> {
        let outcome = self.outcome();
        self.count_connection(cause, outcome);
        self.record(cause, outcome, None);
        self.enforce(cause)
    }

    fn count_connection(&mut self, cause: Cause, outcome: Outcome) {
        self.counters
            .connection(self.host, self.policy, cause, outcome);
    }

    fn count(&mut self, cause: Cause, outcome: Outcome) {
        self.counters
            .decision(self.host, self.policy, cause, outcome);
    }

    /// Filter state for the access log and for RBAC.
    fn verdict(&self, verdict: &str) {
        for (name, value) in [
            ("pgmesh_user", self.sitting.client.user.as_str()),
            ("pgmesh_database", &self.sitting.client.database),
            ("pgmesh_verdict", verdict),
        ] {
            // Names are the client's own words, and an access log may be lines of text.
            let value = value.replace(char::is_control, "\u{fffd}");
            // A host that has no filter state has no access log to show it in.
            let _unsupported = self.host.set_property(name, value.as_bytes());
        }
    }

    fn record(&mut self, cause: Cause, outcome: Outcome, statement: Option<Text<'_>>) {
        let time = self.host.now();
        if !self.recorder.may_write(time) {
            return self.counters.suppressed();
        }
        let line = record::line(&Record {
            time,
            rule: cause.label(self.policy),
            outcome,
            client: &self.sitting.client,
            statement,
        });
        log::warn!("{line}");
    }

    /// Counts and records a decision. The cause of a denial, if it is one.
    fn settle(
        &mut self,
        decision: &Decision,
        statement: Option<Text<'_>>,
        count: fn(&mut Self, Cause, Outcome),
    ) -> Option<Cause> {
        for rule in &decision.logged {
            let cause = Cause::Rule(*rule);
            count(self, cause, Outcome::Logged);
            self.record(cause, Outcome::Logged, statement);
        }
        for reason in &decision.would_deny {
            let cause = Cause::from(*reason);
            count(self, cause, Outcome::WouldBeDenied);
            self.record(cause, Outcome::WouldBeDenied, statement);
        }
        let Some(reason) = decision.denied else {
            let cause = decision.allowed_by.map_or(Cause::Default, Cause::Rule);
            count(self, cause, Outcome::Allowed);
            return None;
        };
        let cause = Cause::from(reason);
        count(self, cause, Outcome::Denied);
        self.record(cause, Outcome::Denied, statement);
        Some(cause)
    }

    fn check_version(&self, startup: &StartupMessage<'_>) -> Result<(), Cause> {
        let versions = &self.policy.protocol_versions;
        let version = (startup.version.major, startup.version.minor);
        match versions.is_empty() || versions.contains(&version) {
            true => Ok(()),
            false => Err(Cause::ProtocolVersion),
        }
    }

    /// Holds the settings that a StartupMessage asks for against those that are imposed, and the
    /// role it wants to take on against the rules.
    fn check_settings(
        &mut self,
        startup: &StartupMessage<'_>,
        profile: &Profile,
    ) -> Result<(), Cause> {
        for (name, value) in startup::settings(startup).map_err(Cause::Startup)? {
            // What the stamp replaces is no attempt to change it.
            let stamped = name == "application_name" && profile.application_name.is_some();
            if !stamped && profile.protected.holds(name.as_bytes()) {
                return Err(Cause::Startup(StartupError::Protected));
            }
            if matches!(name.as_str(), "role" | "session_authorization") {
                self.sitting.path.role_changed = true;
                let quoted = String::from_utf8_lossy(&value).replace('"', "\"\"");
                let text = format!("SET {name} = \"{quoted}\"");
                let ask = Ask::Text {
                    text: text.as_bytes(),
                    bytes: text.len() as u64,
                    truncated: false,
                    at_once: true,
                };
                let client = self.sitting.client.clone();
                let state = SessionState::default();
                let (decision, _) = profile.judge(self.policy, &client, ask, &state);
                let statement = Text {
                    text: text.as_bytes(),
                    truncated: false,
                    lexer: LexerOptions::default(),
                };
                for reason in decision.would_deny {
                    self.record(reason.into(), Outcome::WouldBeDenied, Some(statement));
                }
                if let Some(reason) = decision.denied {
                    self.record(reason.into(), Outcome::Denied, Some(statement));
                    return Err(reason.into());
                }
            }
        }
        Ok(())
    }

    /// A client wants in. In dry run one that cannot be made out is let in unjudged.
    fn admit(&mut self, startup: &StartupMessage<'_>) -> Result<Admission, Denial> {
        self.look_around();
        let client = match startup::client(startup) {
            Ok(client) => client,
            Err(error) => {
                self.deny_startup(Cause::Startup(error))?;
                return Ok(Admission::Pass);
            }
        };
        self.sitting.client = Client {
            principal: self.sitting.client.principal.take(),
            source: self.sitting.client.source,
            ..client
        };
        let profile = Rc::new(self.policy.profile(&self.sitting.client));
        let checked = self.check_version(startup);
        if let Err(cause) = checked.and_then(|()| self.check_settings(startup, &profile)) {
            self.deny_startup(cause)?;
        }
        if let Some(cause) = self.settle(&profile.admission, None, Self::count_connection) {
            self.enforce(cause)?;
        }
        let mut held = Held::default();
        let client = &self.sitting.client;
        let admitted = self.limits().admit(self.host, client, &mut held);
        self.sitting.held = held;
        admitted.or_else(|reached| self.limit_reached(reached))?;
        self.route(startup);
        let routed = !self.policy.routes.is_empty();
        let packet = match self.policy.mode {
            Mode::Enforce => startup::rewritten(startup, &profile, routed),
            Mode::DryRun => startup::rewritten(startup, &profile.without_settings(), routed),
        };
        let admission = match packet {
            Ok(packet) => packet.map_or(Admission::Pass, Admission::Rewrite),
            Err(error) => {
                self.deny_startup(Cause::Startup(error))?;
                Admission::Pass
            }
        };
        self.sitting.profile = Some(profile);
        self.verdict("allowed");
        Ok(admission)
    }

    /// Chooses the server.
    fn route(&mut self, startup: &StartupMessage<'_>) {
        if self.policy.routes.is_empty() {
            return;
        }
        let asked = startup::settings(startup).unwrap_or_default();
        let option = asked.iter().rfind(|(name, _)| name == routes::OPTION);
        let option = option.map(|(_, value)| String::from_utf8_lossy(value));
        let chosen = routes::choose(&self.policy.routes, &self.sitting.client, option.as_deref());
        let name = match chosen {
            _ if self.too_late_to_route => "too_late",
            None => "default",
            Some((_, route)) => match route.take(self.host) {
                Ok(()) => &route.name,
                Err(error) => {
                    log::error!("pgmesh: route `{}`: status {}", route.name, error.0);
                    "default"
                }
            },
        };
        self.counters.route(self.host, name);
    }

    /// Sends a CancelRequest after its session.
    fn follow(&self, server: SocketAddr) {
        let cluster = &self.policy.cancel_cluster;
        if cluster.is_empty() || self.too_late_to_route {
            return;
        }
        if let Err(error) = cancels::follow(self.host, cluster, server) {
            log::error!("pgmesh: cancel_cluster `{cluster}`: status {}", error.0);
        }
    }

    /// What holds for a request that comes now.
    fn state(&self, settled: bool, at_once: bool) -> SessionState {
        let sitting = &*self.sitting;
        let suspect = sitting.suspect || sitting.suspect_prepared;
        let reading = settled || !(suspect || sitting.reading_changed);
        SessionState {
            transaction: sitting.transaction.filter(|_| settled),
            search_path: self.schemas(settled, at_once),
            path_in_use: sitting.path.in_use,
            role_in_use: sitting.path.role_in_use,
            standard_conforming_strings: sitting.standard_conforming_strings.filter(|_| reading),
            client_encoding: sitting.client_encoding.filter(|_| reading),
        }
    }

    /// What unqualified names are looked up in, if it is known: now, or whenever what is prepared now
    /// is run.
    fn schemas(&self, settled: bool, at_once: bool) -> Option<Rc<[String]>> {
        let path = self.sitting.search_path.as_ref()?;
        let PathUse {
            role_changed,
            unsettled,
            suspect,
            prepared_change,
            ..
        } = self.sitting.path;
        let now = settled || !(suspect || unsettled || prepared_change);
        let later = !unsettled && !prepared_change;
        let known = now && (at_once || later) && !(path.names_role && role_changed);
        known.then(|| path.schemas.clone())
    }

    fn lexer(&self) -> LexerOptions {
        LexerOptions {
            standard_conforming_strings: self.sitting.standard_conforming_strings.unwrap_or(true),
            encoding: self.sitting.client_encoding.unwrap_or_default(),
            ..LexerOptions::default()
        }
    }

    fn judge_text(
        &mut self,
        ask: Ask<'_>,
        protocol: SubProtocol,
        settled: bool,
    ) -> Result<(), Denial> {
        let Some(profile) = self.sitting.profile.clone() else {
            return Ok(());
        };
        let state = self.state(settled, protocol != SubProtocol::Extended);
        let (decision, aftermath) = profile.judge(self.policy, &self.sitting.client, ask, &state);
        let statement = match ask {
            Ask::Text {
                text, truncated, ..
            } => Some(Text {
                text,
                truncated,
                lexer: self.lexer(),
            }),
            Ask::FunctionCall { .. } => None,
        };
        match self.settle(&decision, statement, Self::count) {
            None => {
                self.remember(aftermath, protocol);
                Ok(())
            }
            Some(cause) => {
                self.verdict("denied");
                let fingerprint = statement.map_or(0, |statement| {
                    pg_sql::fingerprint(statement.text, &statement.lexer).0
                });
                Err(Denial {
                    code: cause.code(),
                    fingerprint,
                })
            }
        }
    }

    fn cancel_key(&self, process_id: u32, secret_key: &[u8]) -> Key {
        let process_id = process_id.to_be_bytes();
        self.shares.key([&process_id[..], secret_key].into_iter())
    }

    fn limits(&self) -> Limits<'_> {
        Limits {
            limits: &self.policy.limits,
            shares: self.shares,
        }
    }

    /// Holds a request that the rules allow against the limits; `runs`: it makes the server run
    /// a statement.
    fn check_limits(&mut self, runs: bool) -> Result<(), Denial> {
        if self.policy.limits.is_empty() {
            return Ok(());
        }
        let mut held = std::mem::take(&mut self.sitting.held);
        let limits = self.limits();
        let mut checked = limits.busy(self.host, &mut held);
        if checked.is_ok() && runs {
            checked = limits.run(self.host, &held);
        }
        self.sitting.held = held;
        checked.or_else(|reached| self.limit_reached(reached))
    }

    /// A limit is reached.
    fn limit_reached(&mut self, reached: Reached) -> Result<(), Denial> {
        let enforced = self.policy.mode == Mode::Enforce;
        let cause = Cause::Limit(reached);
        self.counters
            .limit(self.host, self.policy, reached, enforced);
        let outcome = self.outcome();
        self.record(cause, outcome, None);
        self.enforce(cause)
    }

    fn remember(&mut self, aftermath: Aftermath, protocol: SubProtocol) {
        let prepared = protocol == SubProtocol::Extended || aftermath.can_be_run_again;
        self.sitting.suspect |= aftermath.changes_reading;
        self.sitting.suspect_prepared |= aftermath.changes_reading && prepared;
        let names_role = self.sitting.search_path.as_ref();
        let names_role = names_role.is_some_and(|path| path.names_role);
        let path = &mut self.sitting.path;
        path.role_changed |= aftermath.changes_role;
        path.suspect |= aftermath.changes_path;
        path.prepared_change |= aftermath.changes_path && prepared;
        path.in_use |= aftermath.by_path && prepared;
        path.role_in_use |= aftermath.by_path && prepared && names_role;
    }
}

/// The address in `address:port`.
fn address(text: &str) -> Option<IpAddr> {
    let socket: Option<SocketAddr> = text.parse().ok();
    socket
        .map(|socket| socket.ip())
        .or_else(|| text.parse().ok())
}
