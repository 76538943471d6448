//! What the filter weighs: its file, its connections, its label sets. Measured on the built module
//! in the fake host, where memory and time are the module's alone.

use std::fs;
use std::time::Instant;

use test_harness::hosts::places;

use crate::Options;
use crate::report::{figure, median};

/// Bytes of each built module.
pub fn module_sizes(_options: &Options) {
    let module = places::built_module("envoy-metrics");
    let bytes = fs::metadata(module).map_or(f64::NAN, |found| found.len() as f64);
    figure("envoy-metrics.wasm: KB", bytes / 1024.0, "<= 250");
}
