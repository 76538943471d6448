//! The processor's way with logs, in a host that keeps otelwasm's contract: lines per second, the
//! host's copies included.

use std::time::Instant;

use test_harness::fakes::otelwasm::{Otelwasm, Signal};
use test_harness::hosts::places;

use crate::Options;
use crate::lines::{Format, LINES, batch, csvlog, jsonlog, stderr};
use crate::report::{figure, median};

const BATCHES: usize = 8;

/// Lines per second of each format, one record a line.
pub fn lines(options: &Options) {
    let formats: [(&str, Format); 3] =
        [("stderr", stderr), ("csvlog", csvlog), ("jsonlog", jsonlog)];
    for (name, format) in formats {
        let mut host = Otelwasm::load(&places::built_module("otel-processor"), "{}");
        let batches: Vec<_> = (0..BATCHES)
            .map(|number| batch(format, number * LINES))
            .collect();
        let rounds: Vec<f64> = (0..options.rounds)
            .map(|_| {
                let begin = Instant::now();
                for batch in &batches {
                    host.process(Signal::Logs, batch).expect("it is OTLP");
                }
                (BATCHES * LINES) as f64 / begin.elapsed().as_secs_f64()
            })
            .collect();
        let bytes: usize = batches.iter().map(Vec::len).sum();
        let name = format!("{name}, {} bytes a record", bytes / (BATCHES * LINES));
        figure(&format!("{name}: lines/s"), median(&rounds), ">= 300000");
        let memory = host.memory_bytes() as f64 / f64::from(1 << 20);
        figure(&format!("{name}: memory of the module, MiB"), memory, "");
    }
}
