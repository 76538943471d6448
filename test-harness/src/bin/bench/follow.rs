//! What following statements costs over the metrics alone: top statements, and traces at 1 % and at
//! 100 %, each in an Envoy of its own, with a collector that takes everything.

use test_harness::fakes::otlp_sink::OtlpSink;
use test_harness::hosts::{Envoy, Postgres};

use crate::Options;
use crate::load::{Variant, in_rounds, pgbench, pgbench_server, ratios};
use crate::report::{figure, median};

const TOP: &str = r#"{"top_statements": {"interval_s": 1}}"#;
const TRACES_1: &str = r#"{"traces": {"root_one_in": 100}, "export": {"cluster": "otel"}}"#;
const TRACES_100: &str = r#"{"traces": {"root_one_in": 1}, "export": {"cluster": "otel"}}"#;

/// Name, configuration, and the bounds of its CPU ratio with prepared statements and with texts.
const VARIANTS: &[(&str, &str, &str, &str)] = &[
    ("metrics", "", "", ""),
    ("metrics again", "", "noise", "noise"),
    ("top statements", TOP, "<= 1.10", "<= 1.25"),
    ("traces at 1 %", TRACES_1, "<= 1.06", "<= 1.06"),
    ("traces at 100 %", TRACES_100, "<= 1.50", "<= 1.50"),
];

fn variants(server: &Postgres, sink: &OtlpSink) -> Vec<Variant> {
    let variant = |&(name, configuration, ..): &(&'static str, &str, &str, &str)| Variant {
        name,
        envoy: Envoy::in_front_of(server.address())
            .module("envoy-metrics", configuration)
            .cluster("otel", sink.address())
            .start(),
    };
    VARIANTS.iter().map(variant).collect()
}

/// CPU of Envoy per pgbench transaction over that of the metrics alone.
pub fn cpu_per_transaction(options: &Options) {
    let (server, sink) = (pgbench_server(), OtlpSink::start());
    let variants = variants(&server, &sink);
    for mode in ["prepared", "simple"] {
        let rounds = in_rounds(options.rounds, &variants, mode, |variant| {
            pgbench(&server, &variant.envoy, mode)
        });
        for (index, (name, _, prepared, simple)) in VARIANTS.iter().enumerate().skip(1) {
            let cpu = ratios(&rounds, index, |run| run.cpu_per_transaction);
            let bound = if mode == "prepared" { prepared } else { simple };
            let name = format!("{mode}: {name}: CPU ratio to metrics");
            figure(&name, median(&cpu), bound);
        }
    }
    if let Some(all) = variants.last() {
        let samples = all.envoy.scrape();
        let count = |what: &str| samples.sum(&format!("pgmesh_export_{what}_total"), &[]);
        figure("traces at 100 %: spans sent", count("sent"), "");
        figure("traces at 100 %: spans dropped", count("dropped"), "0");
    }
}
