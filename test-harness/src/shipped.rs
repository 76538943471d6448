//! What we ship under `envoy-configs`, with the addresses and paths of a test in it.

use std::fs;

use crate::hosts::envoy::Builder;
use crate::hosts::{Envoy, Postgres, places};

/// The configuration of the metrics filter as it stands in the shipped bootstrap.
const METRICS_CONFIGURATION: &str = r#"{
                  "labels": { "database": true, "user": true, "application": false },
                  "max_label_sets": 1000
                }"#;

/// A file under `envoy-configs`.
#[track_caller]
pub fn file(path: &str) -> String {
    let path = places::tree().join("envoy-configs").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// `envoy/metrics.yaml` in front of `server`, on free ports. The listener is named `postgres`.
#[track_caller]
pub fn metrics_bootstrap(server: &Postgres) -> Builder {
    let module = places::built_module("envoy-metrics");
    Envoy::with_bootstrap(&file("envoy/metrics.yaml"))
        .replacing("port_value: 9901", "port_value: 0")
        .replacing("0.0.0.0, port_value: 15432", "127.0.0.1, port_value: 0")
        .replacing(
            "port_value: 5432",
            &format!("port_value: {}", server.port()),
        )
        .replacing(
            "/etc/envoy/pgmesh-envoy-metrics.wasm",
            &module.to_string_lossy(),
        )
}

/// The same with another configuration of the filter, JSON on one line.
#[track_caller]
pub fn metrics_bootstrap_with(server: &Postgres, configuration: &str) -> Builder {
    metrics_bootstrap(server).replacing(METRICS_CONFIGURATION, configuration)
}
