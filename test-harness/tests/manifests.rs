//! The manifests under `envoy-configs` are what they say: each is accepted by the definitions of its
//! makers, each plugin's configuration by our schema and by the module, and what Istio makes of them
//! works in a real Envoy.
//!
//! The judge is `test-harness/manifests`, a Go program, since the definitions, CEL rules and the
//! typed APIs of Istio and Envoy are Go's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};
use test_harness::fakes::proxy_wasm::Host;
use test_harness::hosts::places::{built_module, tree};
use test_harness::hosts::{Envoy, Postgres, Samples, Version, wait_for};
use test_harness::shipped;

const LIMIT: Duration = Duration::from_secs(20);

/// Folders whose YAML files are Kubernetes objects and kustomizations.
const FOLDERS: [&str; 7] = [
    "cilium",
    "consul",
    "fluent-bit",
    "istio",
    "kubernetes",
    "linkerd",
    "operators",
];
/// Files there that this judge cannot judge, and why.
const OTHERS: [(&str, &str); 9] = [
    ("istio/mesh-config.yaml", "MeshConfig, read below"),
    ("cilium/helm-values.yaml", "values of a chart"),
    ("kubernetes/base/queries.yaml", "postgres_exporter's own"),
    (
        "operators/cloudnativepg/cluster.yaml",
        "the definition cannot be had",
    ),
    (
        "operators/crunchy/postgrescluster.yaml",
        "the definition cannot be had",
    ),
    ("fluent-bit/fluent-bit.yaml", "Fluent Bit's own"),
    (
        "fluent-bit/cloudnativepg.yaml",
        "the definition cannot be had",
    ),
    ("linkerd/policy.yaml", "the definition cannot be had"),
    ("consul/service.yaml", "the definition cannot be had"),
];

fn judge(arguments: &[&str]) -> Output {
    let program = tree().join(".cache/manifests/manifests");
    assert!(
        program.exists(),
        "no {}: run `make stores`",
        program.display()
    );
    Command::new(program)
        .current_dir(tree().join("envoy-configs"))
        .args(arguments)
        .output()
        .expect("the judge runs")
}

#[track_caller]
fn judged(arguments: &[&str]) -> String {
    let output = judge(arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn definitions() -> String {
    let path = tree().join(".cache/manifests/crds");
    path.to_str().expect("a path in UTF-8").to_owned()
}

/// Every file of Kubernetes objects and every folder with a kustomization, by its path below
/// `envoy-configs`. A component is no object; the overlays that use it are built.
fn manifests() -> Vec<String> {
    let root = tree().join("envoy-configs");
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = FOLDERS.iter().map(|folder| root.join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder is there") {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(&root).expect("below the root");
            let name = name.to_str().expect("a path in UTF-8").to_owned();
            if path.is_dir() {
                folders.push(path);
            } else if path.ends_with("kustomization.yaml") {
                if is_whole(&path) {
                    found.push(name.replace("/kustomization.yaml", ""));
                }
            } else if name.ends_with(".yaml") && !OTHERS.iter().any(|(other, _)| *other == name) {
                found.push(name);
            }
        }
    }
    found.sort();
    found
}

/// Whether a kustomization can be built by itself.
fn is_whole(kustomization: &Path) -> bool {
    let text = fs::read_to_string(kustomization).expect("it can be read");
    text.contains("\nkind: Kustomization\n")
}

#[test]
fn every_manifest_is_accepted_by_the_definitions_of_its_makers() {
    let manifests = manifests();
    let definitions = definitions();
    let mut arguments = vec!["check", &definitions];
    arguments.extend(manifests.iter().map(String::as_str));
    let verdicts = judged(&arguments);
    for manifest in &manifests {
        let accepted = format!("ok {manifest} ");
        assert!(verdicts.contains(&accepted), "{manifest}\n{verdicts}");
    }
}

#[test]
fn what_a_cluster_would_refuse_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("wrong.yaml");
    let file = path.to_str().expect("a path in UTF-8");
    let shipped =
        fs::read_to_string(tree().join("envoy-configs/istio/sidecar/trafficextensions.yaml"))
            .expect("it can be read");
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n";
    for (text, reason) in [
        // An unknown field, a value out of its list, a wrong type.
        (
            shipped.replace("imagePullPolicy", "imagePull"),
            "unknown field",
        ),
        (
            shipped.replace("FAIL_OPEN", "FAIL_AJAR"),
            "Unsupported value",
        ),
        (shipped.replace("priority: 20", "priority: high"), "integer"),
        // A rule in CEL: one of selector and targetRefs.
        (
            shipped.replace(
                "  selector:",
                "  targetRefs:\n  - kind: Service\n    name: a\n  selector:",
            ),
            "only one of targetRefs or selector",
        ),
        // A key that stands twice; a kind that nobody knows; an unknown field of a core object.
        (format!("{shipped}kind: TrafficExtension\n"), "already set"),
        (
            shipped.replace("kind: TrafficExtension", "kind: Extension"),
            "no kind",
        ),
        (format!("{namespace}spce: {{}}\n"), "unknown field"),
    ] {
        fs::write(&path, text).expect("it can be written");
        let output = judge(&["check", &definitions(), file]);
        let said = format!("{output:?}");
        assert!(!output.status.success(), "{reason}: accepted");
        assert!(said.contains(reason), "{reason}: {said}");
    }
}

/// The plugins of a manifest: name of the module, configuration.
fn plugins(manifest: &str) -> Vec<(String, Value)> {
    let found: Value = serde_json::from_str(&judged(&["plugins", manifest])).expect("JSON");
    let found = found.as_array().expect("a list");
    found
        .iter()
        .map(|plugin| {
            let module = plugin["image"].as_str().expect("an image");
            (module.to_owned(), plugin["config"].clone())
        })
        .collect()
}

#[test]
fn every_plugin_configuration_is_accepted_by_schema_and_module() {
    let mut seen = 0;
    for manifest in manifests() {
        for (module, configuration) in plugins(&manifest) {
            let schema = format!("envoy-configs/envoy/{module}.schema.json");
            let schema = fs::read_to_string(tree().join(schema)).expect("a schema");
            let schema: Value = serde_json::from_str(&schema).expect("JSON");
            let validator = jsonschema::validator_for(&schema).expect("a schema");
            let fault = validator.iter_errors(&configuration).next();
            assert!(fault.is_none(), "{manifest} {module}: {fault:?}");
            let host = Host::load(&built_module(&module)).configuration(&configuration.to_string());
            assert!(host.try_start().is_ok(), "{manifest} {module}");
            seen += 1;
        }
    }
    assert!(seen >= 10, "only {seen} plugins");
}

/// The tags that Istio makes of `extraStatTags`, before those it always has.
fn stats_config(tags: &[String]) -> Value {
    let fixed = [
        ("cache", r"(cache\.(.+?)\.)"),
        ("component", r"(component\.(.+?)\.)"),
        ("tag", r"(tag\.(.+?);\.)"),
        ("wasm_filter", r"(wasm_filter\.(.+?)\.)"),
    ];
    let extra = tags
        .iter()
        .map(|tag| json!({"tag_name": tag, "regex": format!(r"({tag}=\.=(.*?);\.;)")}));
    let fixed = fixed.map(|(tag, regex)| json!({"tag_name": tag, "regex": regex}));
    let kept = [
        "reporter=",
        "cluster_manager",
        "listener_manager",
        "server",
        "wasm",
        "component",
    ];
    json!({
        "use_all_default_tags": false,
        "stats_tags": extra.chain(fixed).collect::<Vec<_>>(),
        "stats_matcher": {"inclusion_list": {"patterns": kept.map(|kept| json!({"prefix": kept}))}},
    })
}

fn cluster(name: &str, server: &Postgres) -> Value {
    let address = json!({"address": "127.0.0.1", "port_value": server.port()});
    json!({
        "name": name, "type": "STATIC", "connect_timeout": "10s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [
            {"endpoint": {"address": {"socket_address": address}}}
        ]}]},
    })
}

fn wasm(module: &str, configuration: &Value) -> Value {
    json!({
        "name": module,
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm",
            "config": {
                "name": format!("databases.{module}"),
                "vm_config": {
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": built_module(module)}},
                },
                "configuration": {
                    "@type": "type.googleapis.com/google.protobuf.StringValue",
                    "value": configuration.to_string(),
                },
            },
        },
    })
}

const PRIMARY: &str = "outbound|5432||postgres-rw.databases.svc.cluster.local";
const REPLICAS: &str = "outbound|5432||postgres-ro.databases.svc.cluster.local";

/// A bootstrap of the shape that Istio gives a gateway: its names of listener and clusters, no
/// `vm_id`, the labels of `mesh-config.yaml`.
fn gateway(primary: &Postgres, replica: &Postgres) -> Value {
    let tags: Vec<String> =
        serde_json::from_str(&judged(&["mesh-config", "istio/mesh-config.yaml"])).expect("JSON");
    let mut filters: Vec<Value> = plugins("istio/gateway")
        .iter()
        .map(|(module, configuration)| wasm(module, configuration))
        .collect();
    filters.push(json!({
        "name": "envoy.filters.network.tcp_proxy",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
            "stat_prefix": PRIMARY, "cluster": PRIMARY,
        },
    }));
    json!({
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
        "stats_config": stats_config(&tags),
        "static_resources": {
            "listeners": [{
                "name": "0.0.0.0_5432",
                "address": {"socket_address": {"address": "127.0.0.1", "port_value": 5432}},
                "filter_chains": [{"filters": filters}],
            }],
            "clusters": [cluster(PRIMARY, primary), cluster(REPLICAS, replica)],
        },
    })
}

/// The bootstrap after the EnvoyFilters of a manifest, on a free port.
fn filtered(bootstrap: &Value, manifest: &str) -> Value {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("bootstrap.json");
    fs::write(&path, bootstrap.to_string()).expect("it can be written");
    let patched = judged(&["apply", manifest, path.to_str().expect("a path in UTF-8")]);
    let mut patched: Value = serde_json::from_str(&patched).expect("JSON");
    for listener in patched["staticResources"]["listeners"]
        .as_array_mut()
        .into_iter()
        .flatten()
    {
        listener["address"]["socketAddress"]["portValue"] = json!(0);
    }
    patched
}

fn port_seen(envoy: &Envoy, listener: &str, server: &Postgres, options: &str) -> String {
    let port = envoy.listener(listener).port();
    let output = server
        .client_through(port, "psql")
        .env("PGOPTIONS", options)
        .env("PGSSLMODE", "disable")
        .env("PGGSSENCMODE", "disable")
        .args(["-XAtqc", "select current_setting('port')"])
        .output()
        .expect("psql runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn the_gateway_routes_and_measures_as_istio_would_run_it() {
    let (primary, replica) = (Postgres::start(Version::V18), Postgres::start(Version::V15));
    let bootstrap = filtered(&gateway(&primary, &replica), "istio/gateway");
    let envoy = Envoy::with_bootstrap(&bootstrap.to_string()).start();
    for (options, server) in [("", &primary), ("-c pgmesh.route=ro", &replica)] {
        assert_eq!(
            port_seen(&envoy, "0.0.0.0_5432", &primary, options),
            server.port().to_string(),
            "{options}"
        );
    }
    let labels: [(&str, &str); 2] = [("operation", "SELECT"), ("protocol", "simple")];
    let scrape = wait_for(LIMIT, || {
        let scrape: Samples = envoy.scrape();
        (scrape.sum("pgmesh_statements_total", &labels) == 2.0).then_some(scrape)
    });
    let scrape = scrape.unwrap_or_else(|| panic!("{}", envoy.scrape()));
    let routed = [("route", "replicas")];
    assert_eq!(
        scrape.sum("pgmesh_policy_routes_total", &routed),
        1.0,
        "{scrape}"
    );
    let quick = [("operation", "SELECT"), ("le", "+Inf")];
    let family = "pgmesh_statement_duration_microseconds_bucket";
    assert_eq!(scrape.sum(family, &quick), 2.0, "{scrape}");
    let allowed = [("rule", "default"), ("action", "allow")];
    assert_eq!(
        scrape.sum("pgmesh_policy_connections_total", &allowed),
        2.0,
        "{scrape}"
    );
}

#[test]
fn envoy_accepts_every_other_envoy_filter() {
    let (primary, replica) = (Postgres::start(Version::V18), Postgres::start(Version::V18));
    let mut bootstrap = gateway(&primary, &replica);
    let database = "outbound|5432||orders.abcdefghijkl.eu-central-1.rds.amazonaws.com";
    let mut external = cluster(database, &primary);
    external["transport_socket"] = json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "sni": "orders.abcdefghijkl.eu-central-1.rds.amazonaws.com",
        },
    });
    let clusters = bootstrap["static_resources"]["clusters"].as_array_mut();
    clusters.expect("there are clusters").push(external);
    let bootstrap = filtered(&bootstrap, "istio/external");
    let socket = &bootstrap["staticResources"]["clusters"][2]["transportSocket"]["typedConfig"];
    assert_eq!(
        socket["commonTlsContext"]["alpnProtocols"],
        json!(["postgresql"])
    );
    assert_eq!(
        socket["sni"],
        json!("orders.abcdefghijkl.eu-central-1.rds.amazonaws.com")
    );
    let bootstrap = filtered(&bootstrap, "istio/observability");
    let clusters = bootstrap["staticResources"]["clusters"].as_array();
    let added = clusters
        .into_iter()
        .flatten()
        .any(|cluster| cluster["name"] == "otlp");
    assert!(added, "{bootstrap}");
    let said = Envoy::with_bootstrap(&bootstrap.to_string()).validate();
    assert_eq!(said, Ok(()));
}

/// What Cilium's agent gives its Envoy: the resources of the CiliumEnvoyConfig, an address for the
/// listener, and the Service's backends for the cluster.
#[test]
fn the_filters_work_as_cilium_would_run_them() {
    let server = Postgres::start(Version::V18);
    let carried = judged(&["resources", "cilium/envoy-config.yaml"])
        .replace(
            "/pgmesh/envoy-metrics/plugin.wasm",
            &module_path("envoy-metrics"),
        )
        .replace(
            "/pgmesh/envoy-policy/plugin.wasm",
            &module_path("envoy-policy"),
        );
    let carried: Vec<Value> = serde_json::from_str(&carried).expect("JSON");
    let mut listener = carried[0].clone();
    listener["address"] = json!({"socketAddress": {"address": "127.0.0.1", "portValue": 0}});
    listener.as_object_mut().expect("a message").remove("@type");
    let name = carried[1]["name"].as_str().expect("a name");
    let bootstrap = json!({
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
        "static_resources": {"listeners": [listener], "clusters": [cluster(name, &server)]},
    });
    let envoy = Envoy::with_bootstrap(&bootstrap.to_string()).start();
    let seen = port_seen(&envoy, "postgres", &server, "");
    assert_eq!(seen, server.port().to_string());
    let counted = wait_for(LIMIT, || {
        let stats = envoy.stats("pgmesh_policy_connections_total");
        stats.contains("rule=.=default").then_some(())
    });
    assert!(counted.is_some(), "{}", envoy.stats("pgmesh"));
}

fn module_path(module: &str) -> String {
    built_module(module).to_string_lossy().into_owned()
}

/// The Envoy beside PostgreSQL: its sessions, and of its admin interface what Prometheus needs.
#[test]
fn the_sidecar_shows_its_metrics_and_nothing_else_of_its_admin_interface() {
    let server = Postgres::start(Version::V18);
    let envoy = shipped::sidecar_bootstrap(&server).start();
    let seen = port_seen(&envoy, "postgres", &server, "");
    assert_eq!(seen, server.port().to_string());
    let stats = envoy.listener("stats");
    let get = |path: &str| {
        let answer = minreq::get(format!("http://{stats}{path}"))
            .with_timeout(10)
            .send();
        let answer = answer.expect("Envoy answers");
        (
            answer.status_code,
            answer.as_str().unwrap_or_default().to_owned(),
        )
    };
    let counted = wait_for(LIMIT, || {
        get("/stats/prometheus")
            .1
            .contains("pgmesh_connections_total{")
            .then_some(())
    });
    assert!(counted.is_some(), "{}", get("/stats/prometheus").1);
    assert_eq!(get("/ready").0, 200);
    for hidden in [
        "/",
        "/config_dump",
        "/quitquitquit",
        "/stats/prometheus/../../config_dump",
    ] {
        assert_eq!(get(hidden).0, 404, "{hidden}");
    }
}
