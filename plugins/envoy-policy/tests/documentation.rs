//! What users read says what the code does.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests say what they expect by panicking"
)]

use std::path::{Path, PathBuf};

use envoy_policy::catalog::SPECS;
use envoy_policy::config::{self, Document};
use envoy_policy::policy::Policy;
use serde_json::Value;

fn shipped(path: &str) -> String {
    let root: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join(path)).expect(path)
}

fn section() -> String {
    let readme = shipped("README.md");
    let section = readme
        .split("## Policy in Envoy")
        .nth(1)
        .expect("a section");
    let end = section.find("\n## ").unwrap_or(section.len());
    section.get(..end).expect("a section").to_owned()
}

#[test]
fn the_readme_has_a_row_for_every_metric_and_for_no_other() {
    let section = section();
    let rows: Vec<&str> = section
        .lines()
        .filter(|line| line.starts_with("| `pgmesh_policy_"))
        .collect();
    let expected: Vec<String> = SPECS
        .iter()
        .map(|spec| {
            let labels: Vec<_> = spec
                .labels
                .iter()
                .map(|label| format!("`{label}`"))
                .collect();
            format!(
                "| `{}` | {} | {} |",
                spec.name,
                labels.join(", "),
                spec.help
            )
        })
        .collect();
    assert_eq!(rows, expected, "{}", expected.join("\n"));
}

/// First cells of the table whose head begins with this.
fn table(section: &str, head: &str) -> Vec<String> {
    let table = section.split(head).nth(1).expect(head);
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with("| "));
    let mut names: Vec<String> = rows
        .map(|row| row.split('`').nth(1).expect("a name").to_owned())
        .collect();
    names.sort();
    names
}

fn options(schema: &Value) -> Vec<String> {
    let properties = schema["properties"].as_object().expect("an object");
    let mut names: Vec<_> = properties.keys().cloned().collect();
    names.sort();
    names
}

#[test]
fn the_readme_has_a_row_for_every_option_and_for_no_other() {
    let section = section();
    let schema = serde_json::to_value(schemars::schema_for!(Document)).expect("it is JSON");
    for (head, part) in [
        ("| option |", &schema),
        ("| of a rule |", &schema["$defs"]["RuleDocument"]),
        ("| of a limit |", &schema["$defs"]["LimitDocument"]),
        ("| of a route |", &schema["$defs"]["RouteDocument"]),
    ] {
        assert_eq!(table(&section, head), options(part), "{head}");
    }
}

#[test]
fn the_defaults_in_the_readme_are_those_of_the_policy() {
    let section = section();
    let table = section.split("| option |").nth(1).expect("a table");
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with("| "));
    for row in rows {
        let cells: Vec<&str> = row.split('`').collect();
        let stated = format!(r#"{{"{}": {}}}"#, cells[1], cells[3]);
        let read = config::read(stated.as_bytes()).expect(row);
        let default = Document::default();
        assert_eq!(format!("{read:?}"), format!("{default:?}"), "{row}");
    }
}

#[test]
fn the_sample_in_the_readme_is_a_policy_without_warnings() {
    let section = section();
    let sample = section.split("```json\n").nth(1).expect("a sample");
    let sample = sample.split("```").next().expect("its end");
    let policy = Policy::read(sample.as_bytes()).expect("a policy");
    assert_eq!(policy.warnings(), Vec::<String>::new());
}
