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
        .filter(|line| line.starts_with("| `pgmesh_"))
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

#[test]
fn the_readmes_option_table_names_every_option() {
    let readme = shipped("README.md");
    for option in [
        "labels.database",
        "labels.user",
        "labels.application",
        "max_label_sets",
        "flush_interval_ms",
        "histograms",
        "duration_buckets_microseconds",
        "disable",
    ] {
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

#[cfg(feature = "schema")]
#[test]
fn the_shipped_schema_is_the_one_of_the_types() {
    let schema = schemars::schema_for!(Config);
    let made = serde_json::to_value(&schema).expect("a schema is JSON");
    let shipped: serde_json::Value =
        serde_json::from_str(&shipped("envoy-configs/envoy/envoy-metrics.schema.json"))
            .expect("JSON");
    assert_eq!(shipped, made, "make it anew: see examples/schema.rs");
}
