//! What users read says what the code does.
#![allow(clippy::expect_used, reason = "test code: a panic is how it reports")]

use std::path::{Path, PathBuf};

use envoy_metrics::catalog::{self, Kind, OTHERS, PREFIX, SPECS};
use envoy_metrics::config::Config;

fn shipped(path: &str) -> String {
    let root: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join(path)).expect(path)
}

fn row(name: &str, kind: Kind, labels: &[&str], meaning: &str) -> String {
    let kind = match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Duration | Kind::Depth => "histogram",
    };
    let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
    format!(
        "| `{PREFIX}{name}` | {kind} | {} | {meaning} |",
        labels.join(", ")
    )
}

#[test]
fn the_readme_has_a_row_for_every_metric_and_for_no_other() {
    let readme = shipped("README.md");
    let rows: Vec<&str> = readme
        .lines()
        .filter(|line| line.starts_with("| `pgmesh_") && !line.starts_with("| `pgmesh_policy_"))
        .collect();
    let own = |spec: &catalog::Spec| -> Vec<&str> { spec.own.iter().map(|d| d.label()).collect() };
    let mut expected: Vec<String> = SPECS
        .iter()
        .map(|spec| row(spec.name, spec.kind, &own(spec), spec.meaning))
        .collect();
    expected.extend(
        OTHERS
            .iter()
            .map(|(name, kind, labels, meaning)| row(name, *kind, labels, meaning)),
    );
    assert_eq!(rows, expected);
}

#[test]
fn the_readmes_full_sample_is_the_default_configuration() {
    let readme = shipped("README.md");
    let sample = readme
        .split("```json\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    let read = Config::read(sample.expect("a JSON sample").as_bytes());
    assert_eq!(read, Ok(Config::default()));
}

/// Every option of the schema by its path, those of an object in an object too.
fn options(schema: &serde_json::Value) -> Vec<String> {
    let properties = schema["properties"].as_object().expect("an object");
    let nested = |value: &serde_json::Value| {
        let pointer = value["$ref"].as_str()?.trim_start_matches('#').to_owned();
        schema.pointer(&pointer)?["properties"].as_object().cloned()
    };
    properties
        .iter()
        .flat_map(|(name, value)| match nested(value) {
            None => vec![name.clone()],
            Some(inner) => inner.keys().map(|key| format!("{name}.{key}")).collect(),
        })
        .collect()
}

#[test]
fn the_readmes_option_table_names_every_option() {
    let readme = shipped("README.md");
    let options = options(&shipped_schema());
    assert!(
        options.contains(&"labels.database".to_owned()),
        "{options:?}"
    );
    for option in options {
        assert!(readme.contains(&format!("| `{option}` | ")), "{option}");
    }
}

#[test]
fn the_shipped_bootstrap_takes_out_every_label_there_is() {
    let bootstrap = shipped("envoy-configs/envoy/metrics.yaml");
    let session = ["database", "user", "application", "le"];
    let own = SPECS
        .iter()
        .flat_map(|spec| spec.own.iter().map(|dimension| dimension.label()));
    let others = OTHERS
        .iter()
        .flat_map(|(_, _, labels, _)| labels.iter().copied());
    for label in session.into_iter().chain(own).chain(others) {
        assert!(
            bootstrap.contains(&format!("- tag_name: {label}\n")),
            "{label}"
        );
    }
}

fn shipped_schema() -> serde_json::Value {
    let text = shipped("envoy-configs/envoy/envoy-metrics.schema.json");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn the_shipped_schema_is_the_one_of_the_types() {
    let made = serde_json::to_value(schemars::schema_for!(Config)).expect("a schema is JSON");
    assert_eq!(
        shipped_schema(),
        made,
        "make it anew: see examples/schema.rs"
    );
}

#[test]
fn the_schema_accepts_what_we_ship_and_refuses_what_the_module_refuses() {
    let schema = jsonschema::validator_for(&shipped_schema()).expect("a schema");
    let accepts = |text: &str| schema.is_valid(&serde_json::from_str(text).expect(text));
    let bootstrap = shipped("envoy-configs/envoy/metrics.yaml");
    let sample = bootstrap
        .split("value: |")
        .nth(1)
        .and_then(|rest| rest.split("- name:").next());
    assert!(accepts(sample.expect("a configuration")));
    assert!(accepts("{}"));
    for refused in [
        r#"{"labels": {"databse": true}}"#,
        r#"{"max_label_sets": 0}"#,
        r#"{"flush_interval_ms": 5}"#,
        r#"{"histograms": "none"}"#,
        r#"{"duration_buckets_microseconds": []}"#,
    ] {
        assert!(!accepts(refused), "{refused}");
        assert!(Config::read(refused.as_bytes()).is_err(), "{refused}");
    }
}
