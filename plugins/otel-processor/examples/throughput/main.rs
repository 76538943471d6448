//! How fast batches are edited natively, in the order of fields that the Collector writes: `cargo run
//! --release -p otel-processor --example throughput`. Prints MB/s for traces, lines per second for logs.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "an example may stop with a message"
)]

mod lines;
#[path = "../../tests/batches/order.rs"]
mod order;
mod spans;

use std::hint::black_box;
use std::time::{Duration, Instant};

use lines::{Format, LINES, csvlog, jsonlog, stderr};
use order::reversed;
use otel_processor::Processor;
use spans::{SPANS, batch_with};

const BATCHES: usize = 8;
/// Deeper than messages of OTLP are nested, values aside.
const DEPTH: usize = 8;
const ROUNDS: usize = 9;

/// What takes the least time of several runs, which is the one least disturbed.
fn best(mut run: impl FnMut()) -> Duration {
    let runs = (0..ROUNDS).map(|_| {
        let begin = Instant::now();
        run();
        begin.elapsed()
    });
    runs.min().unwrap_or_default()
}

fn processor() -> Processor {
    Processor::configure(b"").expect("the defaults")
}

fn main() {
    for (name, one_in, bound) in [
        ("20 % PostgreSQL", 5, ">= 500"),
        ("PostgreSQL only", 1, ""),
        ("no PostgreSQL", usize::MAX, ">= 2000"),
    ] {
        let batches: Vec<_> = (0..BATCHES)
            .map(|number| reversed(&batch_with(one_in, number * SPANS + 1), DEPTH))
            .collect();
        let bytes: usize = batches.iter().map(Vec::len).sum();
        let mut processor = processor();
        let took = best(|| {
            for batch in &batches {
                black_box(processor.process_traces(batch).expect("OTLP"));
            }
        });
        println!(
            "otel-processor traces, {name:16} {:6.0} MB/s {bound:8} {:5.0} ns per span",
            bytes as f64 / took.as_secs_f64() / 1e6,
            took.as_nanos() as f64 / (BATCHES * SPANS) as f64
        );
    }
    let formats: [(&str, Format); 3] =
        [("stderr", stderr), ("csvlog", csvlog), ("jsonlog", jsonlog)];
    for (name, format) in formats {
        let batches: Vec<_> = (0..BATCHES)
            .map(|number| reversed(&lines::batch(format, number * LINES), DEPTH))
            .collect();
        let mut processor = processor();
        let took = best(|| {
            for batch in &batches {
                black_box(processor.process_logs(batch).expect("OTLP"));
            }
        });
        println!(
            "otel-processor logs, {name:8} {:8.0} lines/s",
            (BATCHES * LINES) as f64 / took.as_secs_f64()
        );
    }
}
