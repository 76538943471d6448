//! What we ship under `envoy-configs`, with the addresses and paths of a test in it.

use std::fs;

use crate::hosts::envoy::Builder;
use crate::hosts::{Envoy, Postgres, free_port, places};

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

/// `envoy/sidecar.yaml` in front of `server`, on free ports; its Collector is not there.
#[track_caller]
pub fn sidecar_bootstrap(server: &Postgres) -> Builder {
    // The cluster `admin` needs the admin interface's port before there is one.
    let admin = free_port();
    let bootstrap = file("envoy/sidecar.yaml")
        .replace("port_value: 9901", &format!("port_value: {admin}"))
        .replace("0.0.0.0, port_value: 15432", "127.0.0.1, port_value: 0")
        .replace("0.0.0.0, port_value: 9902", "127.0.0.1, port_value: 0")
        .replace(
            "otel-collector.observability, port_value: 4318",
            "127.0.0.1, port_value: 9",
        );
    let mut builder = Envoy::with_bootstrap(&bootstrap).replacing(
        "port_value: 5432",
        &format!("port_value: {}", server.port()),
    );
    for module in ["envoy-metrics", "envoy-policy"] {
        builder = builder.replacing(
            &format!("/etc/envoy/pgmesh-{module}.wasm"),
            &places::built_module(module).to_string_lossy(),
        );
    }
    builder
}

/// `envoy/policy.yaml` in front of `server`, with `replica` as its cluster `replicas`, on free ports.
#[track_caller]
pub fn policy_bootstrap(server: &Postgres, replica: &Postgres) -> Builder {
    let policy = places::built_module("envoy-policy");
    let metrics = places::built_module("envoy-metrics");
    Envoy::with_bootstrap(&file("envoy/policy.yaml"))
        .replacing("port_value: 9901", "port_value: 0")
        .replacing("0.0.0.0, port_value: 15432", "127.0.0.1, port_value: 0")
        .replacing(
            "port_value: 5432",
            &format!("port_value: {}", server.port()),
        )
        .replacing(
            "port_value: 5433",
            &format!("port_value: {}", replica.port()),
        )
        .replacing(
            "/etc/envoy/pgmesh-envoy-metrics.wasm",
            &metrics.to_string_lossy(),
        )
        .replacing(
            "/etc/envoy/pgmesh-envoy-policy.wasm",
            &policy.to_string_lossy(),
        )
}

/// The policy in the shipped bootstrap, another in its place: JSON on one line.
#[track_caller]
pub fn policy_bootstrap_with(server: &Postgres, replica: &Postgres, policy: &str) -> Builder {
    let bootstrap = file("envoy/policy.yaml");
    let start = bootstrap
        .find("{\n                  \"rules\"")
        .expect("a policy");
    let shipped = bootstrap.get(start..).expect("a policy");
    let end = shipped.find("\n                }\n").expect("its end");
    let shipped = shipped
        .get(..end + "\n                }".len())
        .expect("its end");
    policy_bootstrap(server, replica).replacing(shipped, policy)
}

/// The same with another configuration of the filter, JSON on one line.
#[track_caller]
pub fn metrics_bootstrap_with(server: &Postgres, configuration: &str) -> Builder {
    metrics_bootstrap(server).replacing(METRICS_CONFIGURATION, configuration)
}
