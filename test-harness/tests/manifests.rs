//! The manifests under `envoy-configs` are what they say: each is accepted by the definitions of its
//! makers, and each plugin's configuration by our schema and by the module. How they fit together is
//! for `overlays_fit_together.rs`, that they work for `istio_as_shipped.rs`.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};
use test_harness::fakes::proxy_wasm::Host;
use test_harness::hosts::places::{built_module, tree};
use test_harness::manifests::{
    Plugin, definitions, folder, from_folder, judge, judged, kustomizations, plugins,
};

/// Folders whose YAML files are Kubernetes objects and kustomizations.
const FOLDERS: [&str; 9] = [
    "cilium",
    "consul",
    "fluent-bit",
    "grafana",
    "istio",
    "kubernetes",
    "linkerd",
    "operators",
    "prometheus",
];
/// Files and folders there that hold no objects, and what they are.
const OTHERS: [(&str, &str); 9] = [
    ("istio/mesh-config.yaml", "MeshConfig, read by other tests"),
    ("cilium/node/helm-values.yaml", "values of a chart"),
    ("kubernetes/base/queries.yaml", "postgres_exporter's own"),
    (
        "kubernetes/observability/collector/config.yaml",
        "the Collector's own",
    ),
    ("fluent-bit/fluent-bit.yaml", "Fluent Bit's own"),
    ("fluent-bit/syslog.yaml", "Fluent Bit's own"),
    ("grafana/provisioning/", "Grafana's own, read below"),
    ("prometheus/rules/", "Prometheus' own"),
    ("prometheus/tests/", "promtool's own"),
];
/// Kinds whose makers' definitions cannot be had where our tests run. They were judged by hand.
const UNJUDGED: [&str; 6] = [
    "AuthorizationPolicy",
    "MeshTLSAuthentication",
    "PostgresCluster",
    "Server",
    "ServiceDefaults",
    "ServiceIntentions",
];

/// Every file of Kubernetes objects and every folder with a kustomization, by its path below
/// `envoy-configs`. A component is no object; the overlays that use it are built, and those of the
/// tests with them.
fn manifests() -> BTreeSet<String> {
    let mut found = kustomizations(&tree().join("test-harness/tests/overlays"));
    let mut folders: Vec<_> = FOLDERS.iter().map(|name| folder().join(name)).collect();
    for folder in &folders {
        found.extend(kustomizations(folder));
    }
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder is there") {
            let path = entry.expect("an entry").path();
            let name = from_folder(&path);
            let is_other = OTHERS.iter().any(|(other, _)| name.starts_with(other));
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".yaml") && !name.ends_with("kustomization.yaml") && !is_other
            {
                found.insert(name);
            }
        }
    }
    found
}

#[test]
fn every_manifest_is_accepted_by_the_definitions_of_its_makers() {
    let manifests = manifests();
    let definitions = definitions();
    let mut arguments = vec!["check", &definitions];
    arguments.extend(manifests.iter().map(String::as_str));
    let verdicts = judged(&arguments);
    let of = |verdict: &str, manifest: &str| format!("{verdict} {manifest} ");
    for manifest in &manifests {
        let seen = ["ok", "unjudged"].map(|verdict| verdicts.contains(&of(verdict, manifest)));
        assert!(seen.contains(&true), "{manifest}\n{verdicts}");
    }
    let unjudged = verdicts.lines().filter(|line| line.starts_with("unjudged"));
    let kinds: BTreeSet<&str> = unjudged.filter_map(|line| line.split(' ').nth(2)).collect();
    assert_eq!(kinds, BTreeSet::from(UNJUDGED), "{verdicts}");
}

#[test]
fn what_a_cluster_would_refuse_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("wrong.yaml");
    let file = path.to_str().expect("a path in UTF-8");
    let read = |name: &str| fs::read_to_string(folder().join(name)).expect("it can be read");
    let plugin = read("istio/sidecar/trafficextensions.yaml");
    let rules = read("prometheus/prometheus-rules.yaml");
    let cluster = read("operators/cloudnativepg/cluster/cluster.yaml");
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n";
    for (text, reason) in [
        // An unknown field, a value out of its list, a wrong type.
        (
            plugin.replace("imagePullPolicy", "imagePull"),
            "unknown field",
        ),
        (
            plugin.replace("FAIL_OPEN", "FAIL_AJAR"),
            "Unsupported value",
        ),
        (plugin.replace("priority: 20", "priority: high"), "integer"),
        (rules.replace("- record:", "- records:"), "unknown field"),
        (cluster.replace("instances: 3", "instances: 0"), "instances"),
        // A rule in CEL: one of selector and targetRefs.
        (
            plugin.replace(
                "  selector:",
                "  targetRefs:\n  - kind: Service\n    name: a\n  selector:",
            ),
            "only one of targetRefs or selector",
        ),
        // A key that stands twice; a kind that nobody knows; an unknown field of a core object.
        (format!("{plugin}kind: TrafficExtension\n"), "already set"),
        (
            plugin.replace("kind: TrafficExtension", "kind: Extension"),
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

#[test]
fn every_plugin_configuration_is_accepted_by_schema_and_module() {
    let mut seen = 0;
    let mut judged: Vec<Plugin> = Vec::new();
    for manifest in manifests() {
        for plugin in plugins(&manifest) {
            seen += 1;
            let is_same = |other: &Plugin| {
                (&other.module, &other.configuration) == (&plugin.module, &plugin.configuration)
            };
            if judged.iter().any(is_same) {
                continue;
            }
            let schema = format!("envoy/{}.schema.json", plugin.module);
            let schema = fs::read_to_string(folder().join(schema)).expect("a schema");
            let schema: Value = serde_json::from_str(&schema).expect("JSON");
            let validator = jsonschema::validator_for(&schema).expect("a schema");
            let fault = validator.iter_errors(&plugin.configuration).next();
            assert!(fault.is_none(), "{manifest} {plugin:?}: {fault:?}");
            let module = Host::load(&built_module(&plugin.module));
            let host = module.configuration(&plugin.configuration.to_string());
            assert!(host.try_start().is_ok(), "{manifest} {plugin:?}");
            judged.push(plugin);
        }
    }
    assert!(seen >= 40, "only {seen} plugins");
}

#[test]
fn a_plugin_is_the_same_whichever_istio_it_is_for() {
    let overlays = "../test-harness/tests/overlays";
    for (later, earlier) in [
        (
            "kubernetes/overlays/istio-sidecar".to_owned(),
            "kubernetes/overlays/istio-1.29".to_owned(),
        ),
        (
            "kubernetes/overlays/istio-gateway".to_owned(),
            format!("{overlays}/gateway-1.29"),
        ),
        (
            "kubernetes/overlays/istio-ambient".to_owned(),
            format!("{overlays}/waypoint-1.29"),
        ),
        (
            format!("{overlays}/external"),
            format!("{overlays}/external-1.29"),
        ),
    ] {
        let built = judged(&["build", &earlier]);
        assert!(!built.contains("kind: TrafficExtension"), "{earlier}");
        assert!(built.contains("kind: WasmPlugin"), "{earlier}");
        assert_eq!(plugins(&later), plugins(&earlier), "{earlier}");
        assert_eq!(plugins(&later).len(), 2, "{later}");
    }
}

#[test]
fn the_first_step_of_the_roll_out_denies_nothing_and_the_last_one_does() {
    let mode = |manifest: &str| {
        let plugins = plugins(manifest).into_iter();
        let policy = plugins.filter(|plugin| plugin.module == "envoy-policy");
        let modes: Vec<Value> = policy
            .map(|plugin| plugin.configuration["mode"].clone())
            .collect();
        (modes, judged(&["build", manifest]).contains("FAIL_CLOSE"))
    };
    let look = (vec![json!("dry_run")], false);
    assert_eq!(mode("istio/roll-out/look"), look);
    assert_eq!(mode("istio/roll-out/decide"), (vec![Value::Null], true));
}

/// The README's loop gives the patch each StatefulSet's name; there is one name to change.
#[test]
fn the_roll_out_s_patch_fits_a_stateful_set_by_its_name() {
    let patch = fs::read_to_string(folder().join("istio/sidecar/pods.yaml")).expect("a patch");
    assert_eq!(patch.matches("name: any").count(), 1);
    let readme = fs::read_to_string(tree().join("README.md")).expect("the README");
    assert!(readme.contains("s/name: any/name: ${set##*/}/"));
    // And the way back takes out what it has put in.
    let patch = test_harness::rules::parse(&patch);
    let annotations = patch["spec"]["template"]["metadata"]["annotations"].as_object();
    for name in annotations.expect("annotations").keys() {
        assert!(readme.contains(&format!("\"{name}\": null")), "{name}");
    }
}

/// Grafana reads these itself; here that they are YAML, and that no link leads to a data source that
/// is not there.
#[test]
fn the_data_sources_that_links_lead_to_are_provisioned() {
    let read = |name: &str| {
        let path = folder().join("grafana/provisioning").join(name);
        test_harness::rules::parse(&fs::read_to_string(path).expect("it can be read"))
    };
    let dashboards = read("dashboards.yaml");
    assert_eq!(dashboards["providers"][0]["type"], "file", "{dashboards}");
    let sources = read("datasources.yaml");
    let sources = sources["datasources"].as_array().expect("a list");
    let uids: Vec<&str> = sources.iter().filter_map(|it| it["uid"].as_str()).collect();
    assert_eq!(uids, ["prometheus", "loki", "traces"]);
    let mut linked = BTreeSet::new();
    for source in sources {
        linked_from(source, &mut linked);
    }
    assert_eq!(linked.len(), 3, "{linked:?}");
    for uid in linked {
        assert!(uids.contains(&uid.as_str()), "there is no {uid}");
    }
}

fn linked_from(value: &Value, found: &mut BTreeSet<String>) {
    for (key, inner) in value.as_object().into_iter().flatten() {
        if key == "datasourceUid" {
            found.extend(inner.as_str().map(str::to_owned));
        }
        linked_from(inner, found);
    }
    for inner in value.as_array().into_iter().flatten() {
        linked_from(inner, found);
    }
}
