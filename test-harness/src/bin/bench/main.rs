//! `make bench`: what the filters cost, as ratios from one run.
//!
//! The machines are shared and their speed swings, so nothing here is an absolute figure to keep:
//! each round runs every variant once, the order turns around from round to round, a ratio compares
//! within its round, and the median of the ratios is printed.
//!
//! `make bench ONLY=cpu,copy` runs these parts only; `ROUNDS=9` more rounds.

mod collector;
mod collector_logs;
mod follow;
#[path = "../../../../plugins/otel-processor/examples/throughput/lines.rs"]
mod lines;
mod load;
mod log;
mod memory;
mod metrics;
mod policy;
mod report;
#[path = "../../../../plugins/otel-processor/examples/throughput/spans.rs"]
mod spans;
mod sql;

use report::heading;

/// A part of the benchmark: its name for `ONLY`, and what it runs.
type Part = (&'static str, fn(&Options));

const PARTS: &[Part] = &[
    ("size", memory::module_sizes),
    ("cpu", load::cpu_per_transaction),
    ("copy", load::bulk_throughput),
    ("idle", memory::idle_connections),
    ("idle-envoy", memory::idle_connections_in_envoy),
    ("follow", follow::cpu_per_transaction),
    ("follow-spans", follow::spans_at_full_rate),
    ("follow-zipf", follow::zipf),
    ("labels", memory::label_sets),
    ("policy", policy::cpu_per_transaction),
    ("policy-new-shapes", policy::new_shapes),
    ("policy-work", policy::instructions),
    ("policy-copy", policy::copy_in),
    ("log", log::in_a_host_of_its_contract),
    ("log-fluent-bit", log::in_fluent_bit),
    ("collector", collector::spans),
    ("collector-logs", collector_logs::lines),
    ("collector-memory", collector::memory),
    ("sql", sql::in_wasm),
];

/// What the command line says.
pub struct Options {
    rounds: usize,
    only: Vec<String>,
}

impl Options {
    fn from_environment() -> Self {
        let rounds = std::env::var("ROUNDS")
            .ok()
            .and_then(|rounds| rounds.parse().ok());
        let only = std::env::var("ONLY").unwrap_or_default();
        let only = only
            .split(',')
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect();
        Self {
            rounds: rounds.unwrap_or(7),
            only,
        }
    }

    fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|wanted| wanted == part)
    }
}

fn main() {
    let options = Options::from_environment();
    for (name, run) in PARTS.iter().filter(|(name, _)| options.wants(name)) {
        heading(name);
        run(&options);
    }
}
