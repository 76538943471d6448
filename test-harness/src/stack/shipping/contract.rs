//! The host of Fluent Bit's contract in its place: the module, and what the shipped configuration tells
//! Fluent Bit's Loki output.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

use super::{Line, Tail, push};
use crate::background::Again;
use crate::fakes::fluent_bit::{Answer, FluentBit};
use crate::hosts::places::built_module;
use crate::{rules, shipped};

/// Ships the lines of this file until it is dropped.
pub(super) fn ship(log: &Path, loki: SocketAddr) -> Again {
    let output = Output::as_shipped();
    let mut host = FluentBit::load(&built_module("fluentbit-filter"), "pgmesh");
    let mut tail = Tail::of(log);
    Again::and_again(move || {
        let lines = tail.lines().into_iter().filter_map(|line| {
            let record = json!({"log": line, "pgmesh": output.configuration});
            match host.record(0, record.to_string().as_bytes()) {
                Answer::Replaced(text) => Some(output.line(text)),
                Answer::Dropped => None,
                other => panic!("{other:?} for {record}"),
            }
        });
        push(loki, lines.collect());
    })
}

/// What the shipped `fluent-bit.yaml` says of the record and of Loki.
#[derive(Debug)]
struct Output {
    configuration: String,
    fixed: BTreeMap<String, String>,
    /// Members that become labels.
    labels: Vec<String>,
    /// Names of structured metadata and the members they are made of.
    metadata: Vec<(String, String)>,
}

impl Output {
    fn as_shipped() -> Self {
        let shipped = rules::parse(&shipped::file("fluent-bit/fluent-bit.yaml"));
        let one = |section: &str, name: &str| -> Value {
            let all = shipped["pipeline"][section].as_array().expect("a list");
            let found = all.iter().find(|entry| entry["name"] == name);
            found.unwrap_or_else(|| panic!("no {name}")).clone()
        };
        let record = one("filters", "record_modifier");
        let record = record["record"].as_str().expect("a member and its value");
        let (_, configuration) = record.split_once(' ').expect("a member and its value");
        let loki = one("outputs", "loki");
        let list = |key: &str| -> Vec<String> {
            let text = loki[key].as_str().unwrap_or_default();
            text.split(',').map(|part| part.trim().to_owned()).collect()
        };
        let pairs = |key: &str| {
            list(key).into_iter().filter_map(|part| {
                let (name, value) = part.split_once('=')?;
                Some((name.to_owned(), value.trim_start_matches('$').to_owned()))
            })
        };
        Self {
            configuration: configuration.to_owned(),
            fixed: pairs("labels").collect(),
            labels: list("label_keys")
                .iter()
                .map(|key| key.trim_start_matches('$').to_owned())
                .collect(),
            metadata: pairs("structured_metadata").collect(),
        }
    }

    fn line(&self, text: String) -> Line {
        let record: Value = serde_json::from_str(&text).expect("checked on arrival");
        let member = |name: &str| match &record[name] {
            Value::String(text) => Some(text.clone()),
            Value::Null => None,
            other => Some(other.to_string()),
        };
        let mut labels = self.fixed.clone();
        let of_record = self.labels.iter();
        labels.extend(of_record.filter_map(|name| Some((name.clone(), member(name)?))));
        let metadata = self.metadata.iter();
        Line {
            labels,
            metadata: metadata
                .filter_map(|(name, of)| Some((name.clone(), member(of)?)))
                .collect(),
            text,
        }
    }
}
