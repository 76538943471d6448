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
use crate::lines::{self, Format, MESSAGES, csvlog, jsonlog, stderr};
use crate::load::{in_rounds, ratios};
use crate::metrics;
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
    /// It is sent the spans as the module makes them: what they cost a Collector, whoever made them.
    described: bool,
}

/// Where in [`variants`] ours is, what it is compared with, and ours when it does nothing.
const OURS: usize = 1;
const REDACTION: usize = 2;
const SWITCHED_OFF: usize = 3;

fn variants(sink: &OtlpSink) -> Vec<Variant> {
    let plain = || Pipeline::to(sink.address());
    let redaction = json!({
        "allow_all_keys": true,
        "db_sanitizer": {"sql": {"enabled": true, "attributes": ["db.statement", "db.query.text"]}},
    });
    let switched_off = json!({"traces": {"enabled": false}});
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
            plain().module(Mode::Compiled, switched_off),
        ),
        ("no processor, spans as described", plain()),
    ]
    .map(|(name, pipeline)| Variant {
        name,
        collector: Collector::start(Build::Ours, &pipeline),
        described: name.ends_with("described"),
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
    let mut module = Otelwasm::load(&places::built_module("otel-processor"), "{}");
    for (share, one_in) in [("20 % PostgreSQL", 5), ("PostgreSQL only", 1)] {
        // The same for each variant, and other values each round: nothing is remembered but what would be.
        let mut calls = 0;
        let rounds = in_rounds(options.rounds, &variants, share, |variant| {
            let batches = (0..BATCHES)
                .map(|number| calls / variants.len() * BATCHES + number)
                .map(|number| batch_with(one_in, number * SPANS))
                .map(|batch| match variant.described {
                    true => module.process(Signal::Traces, &batch).expect("it is OTLP"),
                    false => batch,
                });
            let batches: Vec<_> = batches.collect();
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
            let bound = if index == OURS { "<= 2" } else { "" };
            figure(&format!("{name}: CPU ratio to none"), cpu, bound);
        }
        for (name, index, bound) in [
            ("pgmesh", OURS, ">= 1"),
            // No module can be faster than one that does nothing.
            ("pgmesh, switched off,", SWITCHED_OFF, ""),
        ] {
            let to_redaction: Vec<f64> = rounds
                .iter()
                .map(|round| round[index].spans_per_second / round[REDACTION].spans_per_second)
                .collect();
            let name = format!("{share}: {name} to redaction: spans/s ratio");
            figure(&name, median(&to_redaction), bound);
        }
    }
}

/// The module's memory after a million batches of each signal, none of whose texts comes twice.
pub fn memory(_options: &Options) {
    for (signal, make) in [
        (Signal::Traces, one_batch_of_spans as fn(u64) -> Vec<u8>),
        (Signal::Logs, one_batch_of_lines),
        (Signal::Metrics, one_scrape),
    ] {
        let mut host = Otelwasm::load(&places::built_module("otel-processor"), "{}");
        let mut warm = 0;
        for number in 0..MEMORY_BATCHES {
            if number == WARM {
                warm = host.memory_bytes();
            }
            if number.is_multiple_of(50_000) {
                progress(&format!("{signal:?}: {number} of {MEMORY_BATCHES} batches"));
            }
            host.process(signal, &make(number)).expect("it is OTLP");
        }
        done();
        let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
        let name = format!("{signal:?}: memory after").to_lowercase();
        figure(&format!("{name} 100,000 batches: MiB"), mib(warm), "");
        figure(
            &format!("{name} 1,000,000 batches: MiB"),
            mib(host.memory_bytes()),
            "the same",
        );
    }
}

fn one_batch_of_spans(number: u64) -> Vec<u8> {
    batch(vec![of_postgres(number as usize), of_http(number as usize)])
}

/// An error with its companions, and a line of csvlog and of jsonlog, of a source out of many.
fn one_batch_of_lines(number: u64) -> Vec<u8> {
    let formats: [Format; 3] = [stderr, csvlog, jsonlog];
    let lines = formats.into_iter().flat_map(|format| {
        let message = &MESSAGES[number as usize % MESSAGES.len()];
        format(message)
    });
    let lines = lines.map(|line| line.replace("{}", &number.to_string()));
    lines::batch_of(lines, &format!("db-{}", number % 200))
}

/// Some counters and statements of a server out of many.
fn one_scrape(number: u64) -> Vec<u8> {
    let statement = format!(
        "SELECT {number} FROM t{} WHERE a = {number}",
        number % 10_000
    );
    let points = |name: &str, labels: &[(&str, &str)]| metrics::counter(name, labels, number);
    metrics::batch(
        &format!("db-{}:9187", number % 200),
        vec![
            points("pg_stat_database_blks_hit", &[("datname", "shop")]),
            points("pg_stat_database_blks_read", &[("datname", "shop")]),
            points(
                "pg_stat_statements_calls_total",
                &[("datname", "shop"), ("query", &statement)],
            ),
        ],
    )
}
