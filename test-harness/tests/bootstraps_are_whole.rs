//! Every bootstrap under `envoy-configs/envoy` is accepted by Envoy and by its typed API, keeps its
//! admin interface to itself, takes out every label there is, and has what its kind must have.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Output};

use envoy_metrics::catalog as metrics;
use envoy_policy::catalog as policy;
use serde_json::Value;
use test_harness::authority::Authority;
use test_harness::hosts::places::tree;
use test_harness::shipped;

/// To try a filter with: no limits, no Collector.
const SAMPLES: [&str; 2] = ["metrics", "policy"];
/// Runs in an Envoy with contrib's filters only, which we do not have.
const CONTRIB: &str = "starttls";
/// The file that `resources` are read from, by SDS.
const SECRETS: [&str; 2] = ["identity", "authority"];

/// The names of all files there, without `.yaml`.
fn names() -> Vec<String> {
    let folder = tree().join("envoy-configs/envoy");
    let entries = fs::read_dir(folder).expect("the folder is there");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name())
        .filter_map(|name| Some(name.to_str()?.strip_suffix(".yaml")?.to_owned()))
        .filter(|name| name != "kustomization")
        .collect();
    names.sort();
    assert!(names.len() >= 10, "{names:?}");
    names
}

/// Those that Envoy starts with.
fn bootstraps() -> Vec<String> {
    let is_bootstrap = |name: &String| !SECRETS.contains(&name.as_str());
    names().into_iter().filter(is_bootstrap).collect()
}

fn production() -> Vec<String> {
    let is_sample = |name: &String| !SAMPLES.contains(&name.as_str());
    bootstraps().into_iter().filter(is_sample).collect()
}

fn read(name: &str) -> Value {
    let text = shipped::file(&format!("envoy/{name}.yaml"));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn judge(arguments: &[&str]) -> Output {
    let program = tree().join(".cache/manifests/manifests");
    Command::new(program)
        .current_dir(tree().join("envoy-configs/envoy"))
        .arg("bootstrap")
        .args(arguments)
        .output()
        .expect("the judge runs: `make stores`")
}

#[test]
fn envoy_accepts_every_bootstrap() {
    let authority = Authority::new();
    let workload = authority.workload("URI:spiffe://cluster.local/ns/shop/sa/till");
    for name in bootstraps().iter().filter(|name| *name != CONTRIB) {
        let mut builder = shipped::bootstrap(name);
        if shipped::file(&format!("envoy/{name}.yaml")).contains("/etc/envoy/identity.yaml") {
            builder = shipped::identified(builder, &workload);
        }
        assert_eq!(builder.validate(), Ok(()), "{name}");
    }
}

#[test]
fn envoys_typed_api_accepts_every_file_contribs_filter_included() {
    let files: Vec<String> = names().iter().map(|name| format!("{name}.yaml")).collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let output = judge(&files);
    assert!(output.status.success(), "{output:?}");
    let verdicts = String::from_utf8_lossy(&output.stdout).into_owned();
    for file in files {
        assert!(verdicts.contains(&format!("ok {file}\n")), "{verdicts}");
    }
}

#[test]
fn what_the_typed_api_refuses_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("wrong.yaml");
    let shipped = shipped::file("envoy/starttls.yaml");
    for (part, wrong, reason) in [
        ("downstream_ssl", "downstream_tls", "unknown field"),
        (
            "upstream_ssl: REQUIRE",
            "upstream_ssl: INSIST",
            "invalid value",
        ),
        // A rule of the API within a typed configuration.
        ("stat_prefix: clients", "stat_prefix: \"\"", "StatPrefix"),
        (
            "v3alpha.PostgresProxy",
            "v3.PostgresProxy",
            "unable to resolve",
        ),
        (
            "stat_prefix: clients",
            "stat_prefix: a\n          stat_prefix: b",
            "already set",
        ),
    ] {
        assert!(shipped.contains(part), "{part}");
        fs::write(&path, shipped.replace(part, wrong)).expect("it can be written");
        let output = judge(&[path.to_str().expect("a path in UTF-8")]);
        let said = format!("{output:?}");
        assert!(!output.status.success(), "{wrong}: accepted");
        assert!(said.contains(reason), "{wrong}: {said}");
    }
}

#[test]
fn every_admin_interface_is_on_loopback_and_shows_metrics_only() {
    for name in bootstraps() {
        let bootstrap = read(&name);
        let address = &bootstrap["admin"]["address"]["socket_address"];
        assert_eq!(address["address"], "127.0.0.1", "{name}");
        let text = shipped::file(&format!("envoy/{name}.yaml"));
        let paths: Vec<&str> = text
            .lines()
            .filter(|line| line.contains("- match: {"))
            .map(str::trim)
            .collect();
        let shown = [
            "- match: { path: /stats/prometheus }",
            "- match: { path: /ready }",
        ];
        if production().contains(&name) {
            assert_eq!(paths, shown, "{name}");
        } else {
            assert!(!text.contains("cluster: admin"), "{name}");
        }
    }
}

#[test]
fn every_bootstrap_takes_out_the_same_labels_and_all_there_are() {
    let session = ["database", "user", "application", "le"].map(str::to_owned);
    let mut expected: BTreeSet<String> = session.into_iter().collect();
    for spec in metrics::SPECS {
        expected.extend(spec.own.iter().map(|label| label.label().to_owned()));
    }
    for (_, _, labels, _) in metrics::OTHERS {
        expected.extend(labels.iter().map(|label| (*label).to_owned()));
    }
    for spec in policy::SPECS {
        expected.extend(spec.labels.iter().map(|label| (*label).to_owned()));
    }
    let tags = |name: &str| read(name)["stats_config"].clone();
    let first = tags("metrics");
    let listed = first["stats_tags"].as_array().expect("a list");
    let names: BTreeSet<String> = listed
        .iter()
        .map(|tag| tag["tag_name"].as_str().expect("a name").to_owned())
        .collect();
    assert_eq!((names.len(), &names), (listed.len(), &expected));
    for tag in listed {
        let name = tag["tag_name"].as_str().expect("a name");
        let regex = format!(r"^wasmcustom\.pgmesh_.*?(\.?\b{name}=\.=(.*?);\.;)");
        assert_eq!(tag["regex"], regex);
    }
    for name in bootstraps() {
        assert_eq!(tags(&name), first, "{name}");
    }
}

/// What stands in a production bootstrap, and where.
const PARTS: [(&str, &str); 7] = [
    ("/overload_manager/actions/1/name", "reject_incoming"),
    ("/overload_manager/resource_monitors/0/name", "fixed_heap"),
    (
        "/overload_manager/resource_monitors/1/name",
        "global_downstream_max_connections",
    ),
    ("/admin/ignore_global_conn_limit", "true"),
    ("/node/cluster", ""),
    (
        "/static_resources/listeners/0/per_connection_buffer_limit_bytes",
        "262144",
    ),
    (
        "/static_resources/clusters/0/circuit_breakers/thresholds/0/max_connections",
        "10000",
    ),
];

#[test]
fn every_production_bootstrap_has_limits_an_access_log_and_a_collector() {
    let overload = read("sidecar")["overload_manager"].clone();
    for name in production() {
        let bootstrap = read(&name);
        for (path, part) in PARTS {
            let found = bootstrap
                .pointer(path)
                .unwrap_or_else(|| panic!("{name}: no {path}"));
            assert!(
                found.to_string().contains(part),
                "{name}: {path} is {found}"
            );
        }
        assert_eq!(bootstrap["overload_manager"], overload, "{name}");
        let resources = &bootstrap["static_resources"];
        let names = |list: &str| -> Vec<String> {
            let entries = resources[list].as_array().expect("a list").iter();
            entries
                .map(|entry| entry["name"].as_str().expect("a name").to_owned())
                .collect()
        };
        let clusters = names("clusters");
        assert!(
            clusters.contains(&"otlp".to_owned()),
            "{name}: {clusters:?}"
        );
        let stats = &resources["listeners"]
            .as_array()
            .expect("a list")
            .iter()
            .find(|listener| listener["name"] == "stats");
        let stats = stats.unwrap_or_else(|| panic!("{name}: no listener `stats`"));
        assert_eq!(stats["bypass_overload_manager"], true, "{name}");
        assert_eq!(stats["ignore_global_conn_limit"], true, "{name}");
        let text = shipped::file(&format!("envoy/{name}.yaml"));
        assert!(text.contains("envoy.access_loggers.stdout"), "{name}");
        let governed = text.contains("pgmesh-envoy-policy.wasm");
        for state in ["user", "database", "verdict"] {
            let shown = format!("%FILTER_STATE(wasm.pgmesh_{state}:PLAIN)%");
            assert_eq!(text.contains(&shown), governed, "{name}: {shown}");
        }
    }
}

#[test]
fn the_folders_readme_has_a_row_for_every_file() {
    let readme = shipped::file("envoy/README.md");
    for name in names() {
        let row = format!("| [`{name}.yaml`]({name}.yaml) |");
        assert!(readme.contains(&row), "{row}");
    }
}
