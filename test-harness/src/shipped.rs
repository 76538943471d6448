//! What we ship under `envoy-configs`, with the addresses and paths of a test in it.

use std::fs;
use std::net::SocketAddr;

use crate::authority::Workload;
use crate::hosts::envoy::Builder;
use crate::hosts::{Envoy, Postgres, free_port, places};

/// The configuration of the metrics filter as it stands in the shipped sample.
const METRICS_CONFIGURATION: &str = r#"{
                  "labels": { "database": true, "user": true, "application": false },
                  "max_label_sets": 1000
                }"#;
/// The Collector of a bootstrap from here: nobody listens there.
const NO_COLLECTOR: &str = "127.0.0.1, port_value: 9 }";

/// A file under `envoy-configs`.
#[track_caller]
pub fn file(path: &str) -> String {
    let path = places::tree().join("envoy-configs").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// `envoy/<name>.yaml` with the built modules, its public listeners and its admin interface on free
/// ports of 127.0.0.1, and no Collector. The listener for clients is named `postgres`.
#[track_caller]
pub fn bootstrap(name: &str) -> Builder {
    let mut text = file(&format!("envoy/{name}.yaml"));
    // The cluster `admin` needs the admin interface's port before there is one.
    let admin = match text.contains("cluster_name: admin\n") {
        true => free_port(),
        false => 0,
    };
    text = text
        .replace("port_value: 9901", &format!("port_value: {admin}"))
        .replace(
            "otel-collector.observability, port_value: 4318 }",
            NO_COLLECTOR,
        );
    for port in ["15432", "9902"] {
        text = text.replace(
            &format!("0.0.0.0, port_value: {port}"),
            "127.0.0.1, port_value: 0",
        );
    }
    for module in ["envoy-metrics", "envoy-policy"] {
        text = text.replace(
            &format!("/etc/envoy/pgmesh-{module}.wasm"),
            &places::built_module(module).to_string_lossy(),
        );
    }
    let builder = Envoy::with_bootstrap(&text);
    // Envoy asks for secrets by the name of its node.
    match text.contains("/etc/envoy/identity.yaml") {
        true => builder.node("test"),
        false => builder,
    }
}

/// `envoy/metrics.yaml` in front of `server`.
#[track_caller]
pub fn metrics_bootstrap(server: &Postgres) -> Builder {
    bootstrap("metrics").replacing("port_value: 5432", &port(server.address()))
}

/// The same with another configuration of the filter, JSON on one line.
#[track_caller]
pub fn metrics_bootstrap_with(server: &Postgres, configuration: &str) -> Builder {
    metrics_bootstrap(server).replacing(METRICS_CONFIGURATION, configuration)
}

/// `envoy/policy.yaml` in front of `server`, with `replica` as its cluster `replicas`.
#[track_caller]
pub fn policy_bootstrap(server: &Postgres, replica: &Postgres) -> Builder {
    bootstrap("policy")
        .replacing("port_value: 5432", &port(server.address()))
        .replacing("port_value: 5433", &port(replica.address()))
}

/// The policy in the shipped sample, another in its place: JSON on one line.
#[track_caller]
pub fn policy_bootstrap_with(server: &Postgres, replica: &Postgres, policy: &str) -> Builder {
    policy_bootstrap(server, replica).replacing(&policy_in("policy"), policy)
}

/// The policy as it stands in `envoy/<name>.yaml`.
#[track_caller]
pub fn policy_in(name: &str) -> String {
    let bootstrap = file(&format!("envoy/{name}.yaml"));
    let (_, filter) = bootstrap.split_once("name: pgmesh-policy\n").expect("one");
    let (_, value) = filter.split_once("value: |\n").expect("a configuration");
    let (policy, _) = value.split_once("\n                }\n").expect("its end");
    format!("{}\n                }}", policy.trim_start())
}

/// `envoy/sidecar.yaml` in front of `server`.
#[track_caller]
pub fn sidecar_bootstrap(server: &Postgres) -> Builder {
    bootstrap("sidecar").replacing("port_value: 5432", &port(server.address()))
}

/// `envoy/sidecar-mtls.yaml` in front of `server`, as this workload.
#[track_caller]
pub fn mtls_sidecar_bootstrap(server: &Postgres, workload: &Workload) -> Builder {
    let builder = bootstrap("sidecar-mtls")
        .replacing("127.0.0.1, port_value: 5433", "127.0.0.1, port_value: 0")
        .replacing("port_value: 5432", &port(server.address()));
    identified(builder, workload)
}

/// The same with its listener `primary`, which leads to that of the primary.
#[track_caller]
pub fn mtls_standby_bootstrap(server: &Postgres, workload: &Workload, primary: &Envoy) -> Builder {
    mtls_sidecar_bootstrap(server, workload).replacing(
        "postgres-primary.databases, port_value: 15432",
        &socket_address(primary.listener("postgres")),
    )
}

/// `envoy/client-sidecar.yaml` in front of an Envoy that asks for certificates, as this workload.
#[track_caller]
pub fn client_sidecar_bootstrap(server: &Envoy, workload: &Workload) -> Builder {
    let builder = bootstrap("client-sidecar")
        .replacing("127.0.0.1, port_value: 5432", "127.0.0.1, port_value: 0")
        .replacing(
            "postgres.databases, port_value: 15432",
            &socket_address(server.listener("postgres")),
        );
    identified(builder, workload)
}

/// `envoy/gateway.yaml` in front of the Envoys beside a primary and two replicas, as this workload.
#[track_caller]
pub fn gateway_bootstrap(primary: &Envoy, replicas: [&Envoy; 2], workload: &Workload) -> Builder {
    let mut builder = identified(bootstrap("gateway"), workload);
    for (name, envoy) in [
        ("postgres-primary", primary),
        ("postgres-replica-1", replicas[0]),
        ("postgres-replica-2", replicas[1]),
    ] {
        builder = builder.replacing(
            &format!("{name}.databases, port_value: 15432"),
            &socket_address(envoy.listener("postgres")),
        );
    }
    builder
}

/// `envoy/direct-tls.yaml` in front of a server whose certificate is for `localhost`; clients see that
/// of this workload.
#[track_caller]
pub fn direct_tls_bootstrap(server: &Postgres, workload: &Workload) -> Builder {
    let builder = bootstrap("direct-tls")
        .replacing(
            "db.example.com, port_value: 5432",
            &socket_address(server.address()),
        )
        .replacing("sni: db.example.com", "sni: localhost")
        .replacing("exact: db.example.com", "exact: localhost");
    identified(builder, workload)
}

/// `envoy/starttls.yaml` in front of a server, without contrib's filters, which our Envoy does not have:
/// its three listeners and what connects them, with connections that stay in plaintext.
#[track_caller]
pub fn starttls_bootstrap_without_contrib(server: &Postgres, workload: &Workload) -> Builder {
    let mut builder = bootstrap("starttls").replacing(
        "db.example.com, port_value: 5432",
        &socket_address(server.address()),
    );
    let text = file("envoy/starttls.yaml");
    for filter in text.split("      - name: envoy.filters.network.").skip(1) {
        if filter.starts_with("postgres_proxy\n") {
            let filter = format!("      - name: envoy.filters.network.{filter}");
            builder = builder.replacing(&filter, "");
        }
    }
    identified(builder, workload)
}

/// The bootstrap with what identifies this workload, in place of `/etc/envoy/{identity,authority}.yaml`.
#[track_caller]
pub fn identified(mut builder: Builder, workload: &Workload) -> Builder {
    let directory = workload.directory();
    builder = builder.replacing("/run/identity", &directory.to_string_lossy());
    for name in ["identity.yaml", "authority.yaml"] {
        let secret = file(&format!("envoy/{name}"));
        let secret = secret.replace("/run/identity", &directory.to_string_lossy());
        let path = directory.join(name);
        fs::write(&path, secret).expect("it can be written");
        builder = builder.replacing(&format!("/etc/envoy/{name}"), &path.to_string_lossy());
    }
    builder
}

/// The bootstrap with a Collector.
#[track_caller]
pub fn exporting(builder: Builder, collector: SocketAddr) -> Builder {
    let address = format!("{} }}", socket_address(collector));
    builder.replacing(NO_COLLECTOR, &address)
}

fn socket_address(address: SocketAddr) -> String {
    format!("{}, {}", address.ip(), port(address))
}

fn port(address: SocketAddr) -> String {
    format!("port_value: {}", address.port())
}
