//! What is applied together fits together: every selector selects something, every port and every name
//! that is referred to is there or named as yours to make, every NetworkPolicy lets through what the
//! mesh needs, and nothing that would go around the filters.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;
use test_harness::hosts::places::tree;
use test_harness::manifests::{
    components, folder, from_folder, judge, judged, kustomizations, plugins,
};
use test_harness::shipped;

/// Where kube-prometheus-stack is, which all of this takes for granted.
const PROMETHEUS_IS_THERE: &str = "Namespace monitoring";

/// Overlays that are whole: all that a namespace needs stands in them.
fn overlays() -> BTreeSet<String> {
    let mut found = kustomizations(&folder().join("kubernetes/overlays"));
    found.extend(kustomizations(&tree().join("test-harness/tests/overlays")));
    let operators = kustomizations(&folder().join("operators")).into_iter();
    found.extend(operators.filter(|name| !name.ends_with("/cluster")));
    found
}

#[test]
fn every_overlay_fits_together_and_says_what_is_yours_to_make() {
    let documents = [
        "README.md",
        "kubernetes/README.md",
        "istio/README.md",
        "operators/README.md",
    ];
    let documents: String = documents
        .iter()
        .map(|name| match *name {
            "README.md" => fs::read_to_string(tree().join(name)).expect("it can be read"),
            name => shipped::file(name),
        })
        .collect();
    for overlay in overlays() {
        for line in judged(&["wiring", &overlay]).lines() {
            let what = line.strip_prefix("yours ").expect("no fault");
            if what == PROMETHEUS_IS_THERE {
                continue;
            }
            let (kind, name) = what.split_once(' ').expect("a kind and a name");
            let told = documents.lines().any(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                line.contains(&format!("kubectl create {}", kind.to_lowercase()))
                    && name.split('/').all(|part| words.contains(&part))
            });
            assert!(told, "{overlay}: no README has a command that makes {what}");
        }
    }
}

#[test]
fn what_does_not_meet_is_noticed() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("wrong.yaml");
    let file = path.to_str().expect("a path in UTF-8");
    for (overlay, from, to, reason) in [
        (
            "istio-sidecar",
            "targetPort: postgresql",
            "targetPort: postgres",
            "has no port postgres",
        ),
        (
            "istio-sidecar",
            "role: replica\n        sidecar.istio.io",
            "role: standby\n        sidecar.istio.io",
            "Service databases/postgres-ro: selects no pod",
        ),
        (
            "istio-sidecar",
            "configMap:\n          name: postgres-exporter-queries-",
            "configMap:\n          name: postgres-queries-",
            "yours ConfigMap databases/postgres-queries-",
        ),
        (
            "istio-sidecar",
            "mountPath: /etc/postgresql\n          name: config",
            "mountPath: /etc/postgresql\n          name: configuration",
            "no volume configuration",
        ),
        (
            "istio-sidecar",
            "port: http-envoy-prom",
            "port: stats",
            "declares no port stats",
        ),
        (
            "istio-sidecar",
            "sidecar.istio.io/inject: \"true\"",
            "sidecar.istio.io/inject: \"false\"",
            "has no proxy of Istio's",
        ),
        // As they were: mutual TLS in the way of scrapes, and no memory for parallel queries.
        (
            "istio-sidecar",
            "excludeInboundPorts: \"9187\"",
            "excludeInboundPorts: \"9188\"",
            "postgres-exporter-primary refuses Prometheus at 9187",
        ),
        (
            "istio-ambient",
            "mode: PERMISSIVE",
            "mode: STRICT",
            "postgres-exporter-primary refuses Prometheus at 9187",
        ),
        (
            "istio-sidecar",
            "mountPath: /dev/shm",
            "mountPath: /dev/shared",
            "postgres shares 64 MiB of memory",
        ),
        // As they were: the gateway's port open to the world, cancels that came to any proxy, and
        // sessions that were closed without a word.
        (
            "istio-gateway",
            "type: ClusterIP",
            "type: LoadBalancer",
            "shows plaintext to the world",
        ),
        (
            "../../../test-harness/tests/overlays/direct-tls",
            "externalTrafficPolicy: Local",
            "externalTrafficPolicy: Cluster",
            "does not keep the client's address",
        ),
        (
            "istio-gateway",
            "sessionAffinity: ClientIP",
            "sessionAffinity: None",
            "databases/postgres-gateway sends a CancelRequest to any proxy",
        ),
        (
            "istio-gateway",
            "useSourceIp: true",
            "useSourceIp: false",
            "in the mesh databases/postgres-gateway sends a CancelRequest to any proxy",
        ),
        (
            "istio-gateway",
            "maxConnections: 1000",
            "maxConnections: 90",
            "databases/postgres-rw closes without a word at 90",
        ),
        (
            "istio-ambient",
            "name: everybody",
            "key: [user]\n        name: everybody",
            "databases/postgres-rw closes without a word at 1000",
        ),
        (
            "istio-sidecar",
            "- port: 15020",
            "- port: 15021",
            "lets Prometheus reach databases/postgres-primary:15020",
        ),
        // As it was: Prometheus finds the ports that containers declare, and no other.
        (
            "istio-sidecar",
            "port: http-envoy-prom\n    relabelings:\n    - regex: (.+):15090",
            "portNumber: 15020\n    relabelings:\n    - regex: (.+):15090",
            "declares no port 15020",
        ),
        // As it was: the agent of the pod fetches the plugins, and could not.
        (
            "istio-sidecar",
            "- port: 443",
            "- port: 444",
            "lets databases/postgres-primary fetch it",
        ),
        (
            "istio-sidecar",
            "- port: 15090",
            "- port: 15091",
            "lets Prometheus reach databases/postgres-primary:15090",
        ),
        (
            "istio-sidecar",
            "- port: 4318",
            "- port: 4317",
            "reach the Collector",
        ),
        (
            "istio-sidecar",
            "name: otlp\n",
            "name: collector\n",
            "has no cluster otlp",
        ),
        (
            "istio-sidecar",
            "sa/postgres-exporter",
            "sa/exporter",
            "no ServiceAccount exporter",
        ),
        (
            "istio-sidecar",
            "host: postgres-ro.databases",
            "host: postgres-replica.databases",
            "no Service postgres-replica.databases",
        ),
        // As it was: a variant's host was no Service.
        (
            "istio-single",
            "host: postgres.databases",
            "host: postgresql.databases",
            "no Service postgresql.databases",
        ),
        (
            "istio-gateway",
            "cluster: outbound|5432||postgres-ro.",
            "cluster: outbound|5432||replicas.",
            "no Service for the cluster",
        ),
        (
            "istio-ambient",
            "gateway-name: postgres-waypoint",
            "gateway-name: waypoint",
            "there is no pod",
        ),
        (
            "linkerd",
            "linkerd.io/inject: enabled",
            "linkerd.io/inject: disabled",
            "behind Linkerd",
        ),
        (
            "whole",
            "release: prometheus\n  name: pgmesh-slo",
            "part-of: pgmesh\n  name: pgmesh-slo",
            "pgmesh-slo: no label `release`",
        ),
        // As it was: one service of Consul's for both servers.
        (
            "consul",
            "kubernetes-service: postgres-ro",
            "kubernetes-service: postgres-rw",
            "registers as \"postgres-rw\"",
        ),
        (
            "cilium-node",
            "listener: postgres-ro\n    name: postgres-ro",
            "listener: postgres-ro\n    name: postgres-reads",
            "no Service postgres-reads",
        ),
    ] {
        let built = judged(&["build", &format!("kubernetes/overlays/{overlay}")]);
        assert!(built.contains(from), "{overlay} has no {from:?}\n{built}");
        fs::write(&path, built.replace(from, to)).expect("it can be written");
        let said = judge(&["wiring", file]);
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(said.contains(reason), "{overlay} {reason}: {said}");
    }
}

/// Where sessions of clients come in, by overlay, and what else its mesh needs. Besides that there is
/// what every overlay needs ([`EVERYWHERE`]).
const FLOWS: &[(&str, &[(&str, bool)])] = &[
    (
        "cilium",
        &[
            ("client>postgres-primary:15432", true),
            ("client>postgres-primary:5432", false),
            ("postgres-exporter-primary>postgres-primary:15432", true),
        ],
    ),
    (
        "cilium-node",
        &[
            ("client>postgres-primary:5432", true),
            ("postgres-exporter-replica>postgres-replica:5432", true),
        ],
    ),
    (
        "consul",
        &[
            ("client>postgres-primary:20000", true),
            ("client>postgres-primary:15432", false),
            ("client>postgres-primary:5432", false),
            ("postgres-primary>ns/consul:8502", true),
            ("postgres-primary>ns/consul:8501", true),
            ("ns/monitoring>postgres-replica:9187", true),
        ],
    ),
    (
        "envoy-sidecar",
        &[
            ("client>postgres-primary:15432", true),
            ("client>postgres-primary:5432", false),
            ("postgres-exporter-replica>postgres-replica:15432", true),
            ("postgres-primary>ns/observability:4318", true),
        ],
    ),
    (
        "istio-1.29",
        &[
            ("client>postgres-primary:5432", true),
            ("postgres-primary>internet:443", true),
        ],
    ),
    (
        "istio-ambient",
        &[
            // Ambient's tunnel: from the waypoint and for replication, and past the waypoint not.
            ("postgres-waypoint>postgres-primary:15008", true),
            ("postgres-replica>postgres-primary:15008", true),
            ("client>postgres-primary:15008", false),
            ("client>postgres-primary:5432", false),
            ("client>postgres-waypoint:15008", true),
            ("postgres-exporter-primary>postgres-waypoint:15008", true),
            ("postgres-waypoint>ns/observability:4318", true),
        ],
    ),
    (
        "istio-gateway",
        &[
            ("client>postgres-gateway:5432", true),
            ("postgres-gateway>postgres-replica:5432", true),
            ("client>postgres-primary:5432", false),
            ("postgres-primary>ns/istio-system:15012", true),
            ("postgres-gateway>ns/observability:4318", true),
        ],
    ),
    (
        "istio-sidecar",
        &[
            ("client>postgres-primary:5432", true),
            ("postgres-exporter-primary>postgres-primary:5432", true),
            ("postgres-primary>ns/istio-system:15012", true),
            ("postgres-primary>internet:443", true),
            ("postgres-primary>ns/observability:4318", true),
        ],
    ),
    ("istio-single", &[("client>postgres-primary:5432", true)]),
    (
        "linkerd",
        &[
            ("client>postgres-primary:4143", true),
            ("client>postgres-primary:15432", false),
            ("client>postgres-primary:5432", false),
            ("postgres-primary>ns/linkerd:8086", true),
            ("postgres-primary>ns/linkerd:8090", true),
            ("postgres-primary>ns/linkerd:8080", true),
            ("ns/monitoring>postgres-primary:9187", true),
        ],
    ),
    (
        "whole",
        &[
            ("client>postgres-primary:5432", true),
            ("postgres-primary>otel-collector:4318", true),
        ],
    ),
];
/// Names, and no way in for strangers nor out to them.
const EVERYWHERE: &[(&str, bool)] = &[
    ("postgres-primary>ns/kube-system:53", true),
    ("ns/strangers>postgres-primary:5432", false),
    ("ns/strangers>postgres-primary:15432", false),
    ("internet>postgres-primary:5432", false),
    ("postgres-primary>internet:80", false),
    ("postgres-primary>ns/strangers:5432", false),
];
const OPERATORS: &[(&str, &[(&str, bool)])] = &[
    (
        "operators/cloudnativepg/gateway",
        &[
            ("postgres-gateway>orders:5432", true),
            ("client>orders:5432", false),
            // Replication, and the operator: neither meets a filter.
            ("orders>orders:5432", true),
            ("ns/cnpg-system>orders:8000", true),
            ("ns/monitoring>orders:9187", true),
        ],
    ),
    (
        "operators/cloudnativepg/sidecar",
        &[
            ("client>orders:5432", true),
            ("orders>orders:5432", true),
            ("ns/cnpg-system>orders:8000", true),
            ("ns/monitoring>orders:9187", true),
            ("ns/monitoring>orders:15090", true),
            ("ns/strangers>orders:5432", false),
        ],
    ),
    (
        "operators/crunchy/gateway",
        &[
            ("postgres-gateway>orders:5432", true),
            ("client>orders:5432", false),
            ("orders>orders:8008", true),
            ("orders>orders:8432", true),
            ("ns/monitoring>orders:9187", true),
        ],
    ),
];

#[track_caller]
fn network_policies_let(overlay: &str, flows: &[(&str, bool)]) {
    let mut arguments = vec!["reach", overlay];
    arguments.extend(flows.iter().map(|(flow, _)| *flow));
    let said = judged(&arguments);
    let expected: String = flows
        .iter()
        .map(|(flow, passes)| format!("{} {flow}\n", if *passes { "yes" } else { "no" }))
        .collect();
    assert_eq!(said, expected, "{overlay}");
}

#[test]
fn network_policies_let_through_what_the_mesh_needs_and_nothing_around_the_filters() {
    let shipped = kustomizations(&folder().join("kubernetes/overlays"));
    let told: BTreeSet<String> = FLOWS
        .iter()
        .map(|(name, _)| format!("kubernetes/overlays/{name}"))
        .collect();
    assert_eq!(shipped, told, "an overlay has no flows");
    for (name, flows) in FLOWS {
        let overlay = format!("kubernetes/overlays/{name}");
        network_policies_let(&overlay, flows);
        // In the tests' overlays outgoing port 443 is the registry's; no other way leads out.
        network_policies_let(&overlay, EVERYWHERE);
        if *name != "istio-single" {
            let replication = [("postgres-replica>postgres-primary:5432", true)];
            network_policies_let(&overlay, &replication);
        }
    }
    for (overlay, flows) in OPERATORS {
        network_policies_let(overlay, flows);
    }
}

/// What a server's exporter and its proxy are called by: one name, or none for a proxy before several.
const TARGETS: &[(&str, &[(&str, &str)])] = &[
    (
        "kubernetes/overlays/istio-sidecar",
        &[
            ("postgres-exporter-primary", "postgres-primary"),
            ("postgres-exporter-replica", "postgres-replica"),
            ("postgres-primary", "postgres-primary"),
            ("postgres-replica", "postgres-replica"),
        ],
    ),
    (
        "kubernetes/overlays/linkerd",
        &[
            ("postgres-primary", "postgres-primary"),
            ("postgres-replica", "postgres-replica"),
        ],
    ),
    (
        "kubernetes/overlays/istio-gateway",
        &[
            ("postgres-exporter-primary", "postgres-primary"),
            ("postgres-exporter-replica", "postgres-replica"),
            ("postgres-gateway", ""),
        ],
    ),
    (
        "kubernetes/overlays/istio-ambient",
        &[
            ("postgres-exporter-primary", "postgres-primary"),
            ("postgres-exporter-replica", "postgres-replica"),
            ("postgres-waypoint", ""),
        ],
    ),
    // The exporter's target and the proxy's are one pod here: both have the instance's name, though
    // the pod has a label `role`, too.
    ("operators/cloudnativepg/sidecar", &[("orders", "orders-1")]),
    (
        "operators/cloudnativepg/gateway",
        &[("orders", "orders-1"), ("postgres-gateway", "")],
    ),
    (
        "operators/crunchy/gateway",
        &[
            ("orders", "orders-instance1-abcd"),
            ("postgres-gateway", ""),
        ],
    ),
];

#[test]
fn a_server_s_exporter_and_its_proxy_have_one_name() {
    for (overlay, expected) in TARGETS {
        let said = judged(&["targets", overlay]);
        let targets: BTreeSet<(&str, &str)> = said
            .lines()
            .map(|line| {
                let words: Vec<&str> = line.split(' ').collect();
                (words[2], words[3].trim_matches('"'))
            })
            .collect();
        assert_eq!(targets, expected.iter().copied().collect(), "{overlay}");
        assert!(said.lines().count() >= 2, "{overlay}: {said}");
    }
}

/// A component that no overlay builds is one that nobody has ever built.
#[test]
fn every_component_is_part_of_an_overlay_that_is_built() {
    let mut all = components(&folder());
    assert!(all.len() > 10, "{all:?}");
    let mut kustomizing = kustomizations(&folder());
    kustomizing.extend(kustomizations(&tree().join("test-harness/tests/overlays")));
    kustomizing.extend(all.iter().cloned());
    for name in kustomizing {
        let here = folder().join(&name);
        let text = fs::read_to_string(here.join("kustomization.yaml")).expect("it can be read");
        let used = Value::as_array(&test_harness::rules::parse(&text)["components"]).cloned();
        for component in used.into_iter().flatten() {
            let path = here.join(component.as_str().expect("a path"));
            let path = path.canonicalize().expect("it is there");
            all.remove(&from_folder(&path));
        }
    }
    assert!(all.is_empty(), "no overlay uses {all:?}");
}

/// The names that our filters give their metrics become labels only where the proxy is told so.
#[test]
fn every_proxy_with_our_filters_is_told_their_labels() {
    let parse = |text: &str| -> Value { serde_json::from_str(text).expect("JSON") };
    let expected = parse(&judged(&["mesh-config", "istio/mesh-config.yaml"]));
    // The same as our own bootstrap has.
    let bootstrap = shipped::file("envoy/sidecar.yaml");
    let tags = bootstrap.split("- tag_name: ").skip(1);
    let mut tags: Vec<&str> = tags.filter_map(|rest| rest.lines().next()).collect();
    tags.sort_unstable();
    assert_eq!(serde_json::json!(tags), expected);
    let mut seen = 0;
    for overlay in overlays() {
        let told = parse(&judged(&["proxy-configs", &overlay]));
        let told = told.as_object().expect("names");
        for (workload, labels) in told {
            assert_eq!(*labels, expected, "{overlay} {workload}");
            seen += 1;
        }
        let has_plugins = !plugins(&overlay).is_empty();
        assert_eq!(has_plugins, !told.is_empty(), "{overlay}");
    }
    assert!(seen > 10, "only {seen}");
}
