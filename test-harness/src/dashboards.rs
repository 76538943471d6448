//! The dashboards that we ship: read, and their queries made ready for a Prometheus and a Loki.

use std::fs;

use serde_json::Value;

use crate::hosts::places::tree;

/// What Grafana puts in place of its variables. `.*` is right where there is no such label at all, as in
/// a [stack](crate::stack) for two of them; the others must be there.
const VARIABLES: &[(&str, &str)] = &[
    ("${log_stream:raw}", "job=\"postgres\""),
    ("${envoy_stream:raw}", "job=\"envoy\""),
    ("$__rate_interval", "20s"),
    ("$__interval", "20s"),
    ("$__range", "1m"),
    ("$search", ""),
    ("$cluster", ".*"),
    ("$namespace", ".*"),
    ("$server", ".+"),
    ("$instance", ".+"),
    ("$database", ".+"),
    ("$user", ".+"),
    ("$fingerprint", ".+"),
    ("$trace", ".+"),
];

/// A dashboard.
#[derive(Debug, Clone)]
pub struct Board {
    /// Of its file, without `.json`.
    pub name: String,
    /// As Grafana reads it.
    pub json: Value,
}

impl Board {
    /// What stands above it.
    pub fn title(&self) -> &str {
        self.json["title"].as_str().unwrap_or_default()
    }

    /// Its panels, rows among them.
    #[track_caller]
    pub fn panels(&self) -> &[Value] {
        self.json["panels"].as_array().expect("panels")
    }

    /// The same, to be changed.
    #[track_caller]
    pub fn panels_mut(&mut self) -> &mut [Value] {
        self.json["panels"].as_array_mut().expect("panels")
    }

    /// What its variables ask for: series, and the label whose values they offer.
    #[track_caller]
    pub fn offers(&self) -> Vec<(&str, &str)> {
        let variables = self.json["templating"]["list"].as_array().expect("a list");
        let asked = variables
            .iter()
            .filter_map(|it| it["query"]["query"].as_str());
        asked
            .map(|asked| {
                let inside = asked.strip_prefix("label_values(");
                let inside = inside.and_then(|it| it.strip_suffix(')'));
                inside.and_then(|it| it.rsplit_once(", ")).expect(asked)
            })
            .collect()
    }
}

/// All of them, by name.
#[track_caller]
pub fn all() -> Vec<Board> {
    let folder = tree().join("envoy-configs/grafana/dashboards");
    let entries = fs::read_dir(folder).expect("there are dashboards");
    let mut boards: Vec<Board> = entries
        .map(|entry| {
            let path = entry.expect("a file").path();
            let text = fs::read_to_string(&path).expect("text");
            let name = path.file_stem().expect("a name").to_string_lossy();
            Board {
                json: serde_json::from_str(&text).expect(&name),
                name: name.into_owned(),
            }
        })
        .collect();
    boards.sort_by(|left, right| left.name.cmp(&right.name));
    boards
}

/// A query with values in the place of its variables.
#[must_use]
pub fn with_variables(query: &str) -> String {
    let put = |query: String, (variable, value): &(&str, &str)| query.replace(variable, value);
    VARIABLES.iter().fold(query.to_owned(), put)
}
