//! Reads the report of the top statements that the metrics filter writes to Envoy's log.

use serde_json::Value;

const EVENT: &str = "{\"pgmesh.event\":\"top_statements\"";

/// The rows of the last report in a log of Envoy's, and how many rows had to be dropped; `None` as
/// long as there is none. Panics where it is not as documented.
#[track_caller]
pub fn last_report(log: &str) -> Option<(Vec<Value>, u64)> {
    let line = log.lines().rev().find(|line| line.contains(EVENT))?;
    let start = line.find(EVENT).expect("just seen");
    let report: Value = serde_json::from_str(&line[start..]).expect("JSON");
    let rows = report["statements"].as_array().expect("a list").clone();
    Some((rows, report["dropped"].as_u64().expect("a number")))
}
