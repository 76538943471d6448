//! The processor in a real Collector beside the Collector's own redaction, of SQL and of as much as the
//! module hides, and beside no processor at all, on the same spans; and what its memory comes to.

use std::time::Instant;

use serde_json::{Value, json};
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

/// Where in [`variants`] ours is, ours when it does nothing, and what they are compared with.
const OURS: usize = 1;
const SWITCHED_OFF: usize = 2;
const REDACTIONS: [(usize, &str); 2] = [(4, "redaction"), (5, "redaction of as much")];

/// The Collector's own `redaction` of SQL: of query texts, by their attributes.
fn of_query_texts() -> Value {
    json!({
        "allow_all_keys": true,
        "db_sanitizer": {"sql": {"enabled": true, "attributes": ["db.statement", "db.query.text"]}},
    })
}

/// The same as somebody has it who must hide what the module hides by default: parameters and passwords by
/// their names, and in every text what stands in quotes, card numbers, addresses and rows of an error.
fn of_as_much() -> Value {
    let mut redaction = of_query_texts();
    redaction["blocked_key_patterns"] = json!([
        r"^db\.(query|operation|statement|sql)\.(parameters?|args|bindings?)",
        r"(?i)(^|[._])(args?|params?|parameters|bindings?|values|passwd|password|pwd|secret|dsn)($|[._\[])",
        r"(?i)connection[._]?(string|url)$",
    ]);
    redaction["blocked_values"] = json!([
        r"\b[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{1,7}\b",
        r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+\.[A-Za-z0-9.-]+",
        r"'(?:[^']|'')*'",
        r"://[^/@ ]+@",
        r"=\([^)]*\)",
        r#": "[^"]*""#,
        r"\[parameters: [^\n]*",
    ]);
    redaction
}

fn variants(build: Build, sink: &OtlpSink) -> Vec<Variant> {
    let plain = || Pipeline::to(sink.address());
    let switched_off = json!({"traces": {"enabled": false}});
    let mut pipelines = vec![
        ("no processor", plain()),
        (
            "pgmesh, compiled",
            plain().module(Mode::Compiled, json!({})),
        ),
        (
            "pgmesh, switched off",
            plain().module(Mode::Compiled, switched_off),
        ),
        ("no processor, spans as described", plain()),
    ];
    // The real otelwasm that the tests are run in has no other processors.
    if build == Build::Ours {
        pipelines.extend([
            (
                "the Collector's redaction",
                plain().processor("redaction", of_query_texts()),
            ),
            (
                "its redaction of as much",
                plain().processor("redaction", of_as_much()),
            ),
        ]);
    }
    let variants = pipelines.into_iter().map(|(name, pipeline)| Variant {
        name,
        collector: Collector::start(build, &pipeline),
        described: name.ends_with("described"),
    });
    variants.collect()
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

/// Spans per second through the Collector, and its CPU; in the real otelwasm too, if there is one.
pub fn spans(options: &Options) {
    for build in Build::all() {
        spans_through(build, options);
    }
}

fn spans_through(build: Build, options: &Options) {
    let sink = OtlpSink::start();
    let variants = variants(build, &sink);
    let mut module = Otelwasm::load(&places::built_module("otel-processor"), "{}");
    for (share, one_in) in [("20 % PostgreSQL", 5), ("PostgreSQL only", 1)] {
        let share = match build {
            Build::Ours => share.to_owned(),
            Build::Otelwasm => format!("otelwasm, {share}"),
        };
        // The same for each variant, and other values each round: nothing is remembered but what would be.
        let mut calls = 0;
        let rounds = in_rounds(options.rounds, &variants, &share, |variant| {
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
        let redactions = REDACTIONS.iter().filter(|(at, _)| *at < variants.len());
        for (redaction, to) in redactions {
            for (name, index, bound) in [
                ("pgmesh", OURS, ">= 1"),
                // No module can be faster than one that does nothing.
                ("pgmesh, switched off,", SWITCHED_OFF, ""),
            ] {
                let ratios: Vec<f64> = rounds
                    .iter()
                    .map(|round| round[index].spans_per_second / round[*redaction].spans_per_second)
                    .collect();
                let name = format!("{share}: {name} to {to}: spans/s ratio");
                figure(&name, median(&ratios), bound);
            }
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
