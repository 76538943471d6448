//! The processor in a real Collector beside the Collector's own redaction of SQL and beside no processor
//! at all, on the same spans; and what its memory comes to.

use std::time::Instant;

use serde_json::json;
use test_harness::fakes::otelwasm::{Otelwasm, Signal};
use test_harness::fakes::otlp_sink::OtlpSink;
use test_harness::hosts::Collector;
use test_harness::hosts::collector::{Build, Mode, Pipeline};
use test_harness::hosts::places;

use crate::Options;
use crate::load::{in_rounds, ratios};
use crate::report::{done, figure, median, progress};
use crate::spans::{SPANS, batch, batch_with, of_http, of_postgres};

const BATCHES: usize = 16;
const MEMORY_BATCHES: u64 = 1_000_000;
/// By then it has learned what it can keep.
const WARM: u64 = 100_000;

/// A Collector with a processor or without.
struct Variant {
    name: &'static str,
    collector: Collector,
}

fn variants(sink: &OtlpSink) -> Vec<Variant> {
    let plain = || Pipeline::to(sink.address());
    let redaction = json!({
        "allow_all_keys": true,
        "db_sanitizer": {"sql": {"enabled": true, "attributes": ["db.statement", "db.query.text"]}},
    });
    [
        ("no processor", plain()),
        (
            "pgmesh, compiled",
            plain().module(Mode::Compiled, json!({})),
        ),
        (
            "the Collector's redaction",
            plain().processor("redaction", redaction),
        ),
        (
            "pgmesh, switched off",
            plain().module(Mode::Compiled, json!({"traces": {"enabled": false}})),
        ),
    ]
    .map(|(name, pipeline)| Variant {
        name,
        collector: Collector::start(Build::Ours, &pipeline),
    })
    .into()
}

struct Run {
    spans_per_second: f64,
    cpu: f64,
}

fn send(collector: &Collector, batches: &[Vec<u8>]) -> Run {
    let (begin, before) = (Instant::now(), collector.process().cpu_time());
    for batch in batches {
        let sent = collector.send_bytes("/v1/traces", batch.clone());
        sent.expect("the Collector takes it");
    }
    let seconds = begin.elapsed().as_secs_f64();
    Run {
        spans_per_second: (batches.len() * SPANS) as f64 / seconds,
        cpu: collector
            .process()
            .cpu_time()
            .saturating_sub(before)
            .as_secs_f64(),
    }
}

/// Spans per second through the Collector, and its CPU.
pub fn spans(options: &Options) {
    let sink = OtlpSink::start();
    let variants = variants(&sink);
    for (share, one_in) in [("20 % PostgreSQL", 5), ("PostgreSQL only", 1)] {
        // The same for each variant, and other values each round: nothing is remembered but what would be.
        let mut calls = 0;
        let rounds = in_rounds(options.rounds, &variants, share, |variant| {
            let batches: Vec<_> = (0..BATCHES)
                .map(|number| calls / variants.len() * BATCHES + number)
                .map(|number| batch_with(one_in, number * SPANS))
                .collect();
            calls += 1;
            send(&variant.collector, &batches)
        });
        for (index, variant) in variants.iter().enumerate() {
            let name = format!("{share}: {}", variant.name);
            let speed: Vec<f64> = rounds
                .iter()
                .map(|round| round[index].spans_per_second)
                .collect();
            figure(&format!("{name}: spans/s"), median(&speed), "");
            let cpu = median(&ratios(&rounds, index, |run| run.cpu));
            let bound = if index == 1 { "<= 2" } else { "" };
            figure(&format!("{name}: CPU ratio to none"), cpu, bound);
        }
        let to_redaction: Vec<f64> = rounds
            .iter()
            .map(|round| round[1].spans_per_second / round[2].spans_per_second)
            .collect();
        let name = format!("{share}: pgmesh to redaction: spans/s ratio");
        figure(&name, median(&to_redaction), ">= 1");
    }
}

/// The module's memory after a million batches, none of whose texts comes twice.
pub fn memory(_options: &Options) {
    let mut host = Otelwasm::load(&places::built_module("otel-processor"), "{}");
    let mut warm = 0;
    for number in 0..MEMORY_BATCHES {
        if number == WARM {
            warm = host.memory_bytes();
        }
        if number.is_multiple_of(50_000) {
            progress(&format!("{number} of {MEMORY_BATCHES} batches"));
        }
        let spans = vec![of_postgres(number as usize), of_http(number as usize)];
        host.process(Signal::Traces, &batch(spans))
            .expect("it is OTLP");
    }
    done();
    let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    figure("memory after 100,000 batches: MiB", mib(warm), "");
    figure(
        "memory after 1,000,000 batches: MiB",
        mib(host.memory_bytes()),
        "the same",
    );
}
