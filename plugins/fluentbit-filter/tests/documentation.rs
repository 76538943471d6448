//! The README's examples are what the filter does.
#![allow(clippy::expect_used, reason = "helpers of tests may panic")]

use std::path::Path;

use fluentbit_filter::config::{Config, Object, Preset};
use fluentbit_filter::{Filter, Outcome};
use serde_json::Value;

/// The blocks of code in the section on the log.
fn blocks() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let text = std::fs::read_to_string(path).expect("the README is there");
    let (_, section) = text
        .split_once("## PostgreSQL's log in Fluent Bit")
        .expect("the section is there");
    let blocks = section.split("```\n").skip(1).step_by(2);
    blocks.map(str::to_owned).collect()
}

#[test]
fn the_record_after_is_made_of_the_record_before() {
    let blocks = blocks();
    let (before, after) = (
        blocks.first().expect("before"),
        blocks.get(1).expect("after"),
    );
    let mut filter = Filter::new(Preset::Standard);
    assert_eq!(
        filter.record(b"postgres", before.trim().as_bytes(), 0),
        Outcome::Replaced
    );
    let made: Value = serde_json::from_slice(
        filter
            .output()
            .trim_ascii_end()
            .strip_suffix(b"\0")
            .expect("a NUL"),
    )
    .expect("valid JSON");
    let shown: Value = serde_json::from_str(after).expect("valid JSON");
    assert_eq!(made, shown);
}

#[test]
fn the_full_configuration_is_the_default() {
    let blocks = blocks();
    let shown = blocks.get(2).expect("the configuration");
    let read = Config::parse(&Object::new(), shown.as_bytes());
    assert_eq!(read, Ok(Config::default()));
    let shown: serde_json::Map<String, Value> = serde_json::from_str(shown).expect("valid JSON");
    // A member that is not there would be an unknown one: all of them are named.
    let unknown = Config::parse(&Object::new(), br#"{"x":0}"#).expect_err("no such setting");
    for name in shown.keys() {
        assert!(unknown.contains(&format!("`{name}`")), "{unknown}");
    }
    assert_eq!(
        unknown.matches('`').count() / 2,
        shown.len() + 1,
        "{unknown}"
    );
}
