//! The processor, judged by OpenTelemetry's own messages: batches of each signal in, batches out.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests may panic"
)]

mod any_batch;
mod broken;
mod conventions;
mod deep;
/// The fuzz targets' own, which nothing else compiles.
#[path = "../../fuzz/invariants.rs"]
#[allow(unreachable_pub, reason = "the fuzz targets are another crate")]
mod fuzz;
mod leaks;
mod leaks_around;
mod leaks_elsewhere;
mod leaks_in_logs;
mod leaks_in_metrics;
mod leaks_of_drivers;
mod logs;
mod logs_model;
mod metrics;
mod metrics_model;
mod options;
mod options_of_logs;
mod order;
mod otlp;
mod traces;
mod traces_model;
mod twice;
mod unknown_fields;
