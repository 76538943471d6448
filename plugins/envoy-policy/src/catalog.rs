//! Every metric of the module in one table, and the slots they count in. The README's table is
//! checked against it.

use std::collections::HashMap;

use proxy_host::Host;
use proxy_host::metrics::{Counter, HistogramStore, Label, Metrics};

use crate::cause::Cause;
use crate::gate::Uninspectable;
use crate::limits::Reached;
use crate::policy::Policy;

/// A metric: its name, its labels and what it means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Spec {
    /// As Envoy's Prometheus endpoint prints it.
    pub name: &'static str,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// For the README.
    pub help: &'static str,
}

/// The metrics, in the order of the README.
pub const SPECS: &[Spec] = &[
    DECISIONS,
    CONNECTIONS,
    UNINSPECTABLE,
    CANCEL_REQUESTS,
    LIMITS_REACHED,
    ROUTES,
    HELD_BYTES,
    RECORDS_SUPPRESSED,
    HOST_FAILURES,
];

const DECISIONS: Spec = Spec {
    name: "pgmesh_policy_decisions_total",
    labels: &["rule", "action", "mode"],
    help: "Statements and function calls decided, by the rule that decided; a `log` rule, and a \
           rule in dry run, count beside the one that decides.",
};
const CONNECTIONS: Spec = Spec {
    name: "pgmesh_policy_connections_total",
    labels: &["rule", "action", "mode"],
    help: "StartupMessages decided, in the same way.",
};
const UNINSPECTABLE: Spec = Spec {
    name: "pgmesh_policy_uninspectable_total",
    labels: &["reason", "action"],
    help: "Sessions that could not be read, by reason, and whether they were refused.",
};
const CANCEL_REQUESTS: Spec = Spec {
    name: "pgmesh_policy_cancel_requests_total",
    labels: &["action"],
    help: "CancelRequests that passed or were dropped.",
};
const LIMITS_REACHED: Spec = Spec {
    name: "pgmesh_policy_limits_reached_total",
    labels: &["limit", "kind", "mode"],
    help: "Connections and statements that were one too many, and sessions closed because something \
           took too long (`connections`, `rate`, `busy`, `time`).",
};
const ROUTES: Spec = Spec {
    name: "pgmesh_policy_routes_total",
    labels: &["route"],
    help: "Sessions by the route they took; `default` is tcp_proxy's own cluster, `too_late` a session \
           that asked for encryption first, so that its server was chosen before it said who it is.",
};
const HELD_BYTES: Spec = Spec {
    name: "pgmesh_policy_held_bytes",
    labels: &[],
    help: "Bytes of statements held because they are not whole yet (gauge, all workers together).",
};
const RECORDS_SUPPRESSED: Spec = Spec {
    name: "pgmesh_policy_records_suppressed_total",
    labels: &[],
    help: "Records not written because more than 100 were due in a second.",
};
const HOST_FAILURES: Spec = Spec {
    name: "pgmesh_policy_host_failures_total",
    labels: &[],
    help: "Host calls that failed and made the filter close a connection.",
};

/// What happened, as the labels `action` and `mode` have it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// `allow`, `enforce`
    Allowed,
    /// `deny`, `enforce`
    Denied,
    /// `deny`, `dry_run`
    WouldBeDenied,
    /// `log`, `enforce`
    Logged,
}

impl Outcome {
    const ALL: [Self; 4] = [
        Self::Allowed,
        Self::Denied,
        Self::WouldBeDenied,
        Self::Logged,
    ];

    /// The label `action`.
    #[must_use]
    pub const fn action(self) -> &'static str {
        match self {
            Self::Allowed => "allow",
            Self::Denied | Self::WouldBeDenied => "deny",
            Self::Logged => "log",
        }
    }

    /// The label `mode`.
    #[must_use]
    pub const fn mode(self) -> &'static str {
        match self {
            Self::WouldBeDenied => "dry_run",
            _ => "enforce",
        }
    }
}

/// Counters of one family with a rule's name, by rule and outcome; each is made when it is first
/// counted.
#[derive(Debug)]
struct ByRule {
    spec: Spec,
    slots: Vec<[Option<Counter>; Outcome::ALL.len()]>,
}

/// What one worker counts.
pub struct Counters {
    metrics: Metrics,
    decisions: ByRule,
    connections: ByRule,
    uninspectable: Vec<[Option<Counter>; 2]>,
    cancels: [Option<Counter>; 2],
    limits: HashMap<(Reached, bool), Counter>,
    routes: HashMap<String, Counter>,
    held: Counter,
    held_shown: i64,
    suppressed: Counter,
    failures: Counter,
}

impl Counters {
    /// For a policy; nothing but the plain ones is defined in the host yet.
    #[must_use]
    pub fn new(host: &impl Host, policy: &Policy) -> Self {
        let mut metrics = Metrics::new(HistogramStore::Vm);
        let causes = policy.rules().len().saturating_add(Cause::OTHERS);
        let by_rule = |spec| ByRule {
            spec,
            slots: vec![[None; 4]; causes],
        };
        Self {
            held: metrics.gauge(host, HELD_BYTES.name, &[]),
            suppressed: metrics.counter(host, RECORDS_SUPPRESSED.name, &[]),
            failures: metrics.counter(host, HOST_FAILURES.name, &[]),
            held_shown: 0,
            decisions: by_rule(DECISIONS),
            connections: by_rule(CONNECTIONS),
            uninspectable: vec![[None; 2]; Uninspectable::ALL.len()],
            cancels: [None; 2],
            limits: HashMap::new(),
            routes: HashMap::new(),
            metrics,
        }
    }

    /// A request was decided.
    pub fn decision(&mut self, host: &impl Host, policy: &Policy, cause: Cause, outcome: Outcome) {
        let Self {
            metrics, decisions, ..
        } = self;
        decisions.count(metrics, host, policy, cause, outcome);
    }

    /// A StartupMessage was decided.
    pub fn connection(
        &mut self,
        host: &impl Host,
        policy: &Policy,
        cause: Cause,
        outcome: Outcome,
    ) {
        let Self {
            metrics,
            connections,
            ..
        } = self;
        connections.count(metrics, host, policy, cause, outcome);
    }

    /// A session cannot be read.
    pub fn uninspectable(&mut self, host: &impl Host, reason: Uninspectable, denied: bool) {
        let slots = self.uninspectable.get_mut(reason as usize);
        let Some(slot) = slots.and_then(|slots| slots.get_mut(usize::from(denied))) else {
            return;
        };
        let counter = *slot.get_or_insert_with(|| {
            let labels: [Label<'_>; 2] = [
                ("reason", reason.as_str()),
                ("action", if denied { "deny" } else { "allow" }),
            ];
            self.metrics.counter(host, UNINSPECTABLE.name, &labels)
        });
        self.metrics.add(counter, 1);
    }

    /// A CancelRequest came.
    pub fn cancel(&mut self, host: &impl Host, denied: bool) {
        let Some(slot) = self.cancels.get_mut(usize::from(denied)) else {
            return;
        };
        let counter = *slot.get_or_insert_with(|| {
            let labels: [Label<'_>; 1] = [("action", if denied { "deny" } else { "allow" })];
            self.metrics.counter(host, CANCEL_REQUESTS.name, &labels)
        });
        self.metrics.add(counter, 1);
    }

    /// A limit was reached; in dry run it is only told.
    pub fn limit(&mut self, host: &impl Host, policy: &Policy, reached: Reached, enforced: bool) {
        let metrics = &mut self.metrics;
        let counter = *self.limits.entry((reached, enforced)).or_insert_with(|| {
            let labels: [Label<'_>; 3] = [
                ("limit", Cause::Limit(reached).label(policy)),
                ("kind", reached.kind.as_str()),
                ("mode", if enforced { "enforce" } else { "dry_run" }),
            ];
            metrics.counter(host, LIMITS_REACHED.name, &labels)
        });
        metrics.add(counter, 1);
    }

    /// A session goes to the cluster of this route.
    pub fn route(&mut self, host: &impl Host, route: &str) {
        let metrics = &mut self.metrics;
        let counter = *self.routes.entry(route.to_owned()).or_insert_with(|| {
            let labels: [Label<'_>; 1] = [("route", route)];
            metrics.counter(host, ROUTES.name, &labels)
        });
        metrics.add(counter, 1);
    }

    /// A record was not written.
    pub fn suppressed(&mut self) {
        self.metrics.add(self.suppressed, 1);
    }

    /// A host call failed.
    pub fn host_failed(&mut self) {
        self.metrics.add(self.failures, 1);
    }

    /// Hands everything to the host; `held` bytes are held now.
    pub fn flush(&mut self, host: &impl Host, held: usize) {
        let held = i64::try_from(held).unwrap_or(i64::MAX);
        self.metrics
            .add(self.held, held.saturating_sub(self.held_shown));
        self.held_shown = held;
        self.metrics.flush(host);
    }
}

impl ByRule {
    fn count(
        &mut self,
        metrics: &mut Metrics,
        host: &impl Host,
        policy: &Policy,
        cause: Cause,
        outcome: Outcome,
    ) {
        let slots = self.slots.get_mut(cause.index(policy));
        let Some(slot) = slots.and_then(|slots| slots.get_mut(outcome as usize)) else {
            return;
        };
        let counter = *slot.get_or_insert_with(|| {
            let labels: [Label<'_>; 3] = [
                ("rule", cause.label(policy)),
                ("action", outcome.action()),
                ("mode", outcome.mode()),
            ];
            metrics.counter(host, self.spec.name, &labels)
        });
        metrics.add(counter, 1);
    }
}
