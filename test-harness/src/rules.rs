//! The Prometheus rules that we ship: read, made into their Kubernetes form, quickened for tests, and
//! asked which metrics they name.
//!
//! `rules/*.yaml` is the one source. What is made of it ([`made_files`]) is checked in, written by
//! `cargo run -p test-harness --bin write-rules`, and compared by `tests/prometheus_rules.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::hosts::places::tree;

/// Stands in front of every `runbook_url`.
pub const RUNBOOKS: &str =
    "https://github.com/pgmesh/pgmesh/blob/main/envoy-configs/prometheus/runbooks/";

/// The folder with rules, their tests, runbooks and configurations.
pub fn folder() -> PathBuf {
    tree().join("envoy-configs/prometheus")
}

/// One file of rules.
#[derive(Debug, Clone)]
pub struct RuleFile {
    /// Its name without `.yaml`.
    pub name: String,
    /// As it is written.
    pub text: String,
    /// As it is read.
    pub value: Value,
}

/// A recording rule or an alert.
#[derive(Debug, Clone)]
pub struct Rule {
    /// What it records, or the alert's name.
    pub name: String,
    /// Whether it is an alert.
    pub alert: bool,
    /// PromQL.
    pub expression: String,
    /// Labels that it adds.
    pub labels: BTreeMap<String, String>,
    /// What it tells, as templates.
    pub annotations: BTreeMap<String, String>,
}

/// Every file of rules, by name.
#[track_caller]
pub fn files() -> Vec<RuleFile> {
    yaml_files(&folder().join("rules"))
        .into_iter()
        .map(|(name, text)| RuleFile {
            value: parse(&text),
            name,
            text,
        })
        .collect()
}

/// Every alert of every file.
#[track_caller]
pub fn alerts() -> Vec<Rule> {
    let rules = files().into_iter().flat_map(|file| file.rules());
    rules.filter(|rule| rule.alert).collect()
}

/// The YAML files of a folder, by name: the name without `.yaml`, and the text.
#[track_caller]
pub fn yaml_files(folder: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    entries
        .filter_map(|entry| {
            let path = entry.expect("a folder can be listed").path();
            let name = path
                .file_name()?
                .to_str()?
                .strip_suffix(".yaml")?
                .to_owned();
            Some((name, std::fs::read_to_string(&path).expect("UTF-8")))
        })
        .collect()
}

/// YAML as a JSON value. Panics, with the parser's words, when it is none.
#[track_caller]
pub fn parse(yaml: &str) -> Value {
    serde_saphyr::from_str(yaml).unwrap_or_else(|error| panic!("not YAML: {error}\n{yaml}"))
}

impl RuleFile {
    /// Its rules, in order.
    pub fn rules(&self) -> Vec<Rule> {
        let groups = self.value["groups"].as_array().expect("groups");
        let rules = groups.iter().flat_map(|group| group["rules"].as_array());
        rules.flatten().map(Rule::read).collect()
    }

    /// The same rules for a test that cannot wait for minutes: each duration is replaced by the
    /// short one that `durations` has for it, in `for` and in expressions. Panics at one that is
    /// not in there.
    #[track_caller]
    pub fn quickened<'a>(&self, durations: &[(&str, &'a str)]) -> String {
        let short = |long: &str| -> &'a str {
            let found = durations.iter().find(|(from, _)| *from == long);
            found.unwrap_or_else(|| panic!("no short form of {long}")).1
        };
        let mut quick = self.value.clone();
        for group in quick["groups"].as_array_mut().expect("groups") {
            for rule in group["rules"].as_array_mut().expect("rules") {
                let expression = rule["expr"].as_str().expect("an expression");
                rule["expr"] = json!(with_durations(expression, short));
                if let Some(wait) = rule["for"].as_str() {
                    rule["for"] = json!(short(wait));
                }
            }
        }
        quick.to_string()
    }

    /// The `PrometheusRule` that the Prometheus operator reads.
    fn kubernetes(&self) -> String {
        let (_, groups) = self.text.split_once("\ngroups:").expect("groups");
        let groups: Vec<String> = format!("groups:{groups}")
            .lines()
            .map(|line| match line {
                "" => String::new(),
                line => format!("  {line}"),
            })
            .collect();
        format!(
            "---\n# rules/{name}.yaml\napiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\n\
             metadata:\n  name: pgmesh-{name}\n  labels: {{ app.kubernetes.io/part-of: pgmesh, release: prometheus }}\n\
             spec:\n{groups}\n",
            name = self.name,
            groups = groups.join("\n"),
        )
    }
}

impl Rule {
    fn read(rule: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let map = |value: &Value| -> BTreeMap<String, String> {
            let entries = value.as_object().into_iter().flatten();
            entries.map(|(key, it)| (key.clone(), text(it))).collect()
        };
        let alert = rule["alert"].is_string();
        Self {
            name: text(&rule[if alert { "alert" } else { "record" }]),
            alert,
            expression: text(&rule["expr"]),
            labels: map(&rule["labels"]),
            annotations: map(&rule["annotations"]),
        }
    }

    /// An annotation; empty when it has none of this name.
    pub fn annotation(&self, name: &str) -> &str {
        self.annotations.get(name).map_or("", String::as_str)
    }

    /// Its severity; empty when it has none.
    pub fn severity(&self) -> &str {
        self.labels.get("severity").map_or("", String::as_str)
    }
}

/// What is made of the rules, by path below [`folder`].
#[track_caller]
pub fn made_files() -> BTreeMap<&'static str, String> {
    let mut kubernetes = String::from(
        "# The rules for the Prometheus operator, made of rules/*.yaml: change those, then run\n\
         # cargo run -p test-harness --no-default-features --bin write-rules\n",
    );
    files()
        .iter()
        .for_each(|file| kubernetes.push_str(&file.kubernetes()));
    BTreeMap::from([
        ("prometheus-rules.yaml", kubernetes),
        ("runbooks/README.md", index()),
    ])
}

/// The list of the runbooks, file by file.
fn index() -> String {
    let mut index = String::from(
        "# Runbooks\n\nA page for each alert. Made of the rules by `write-rules`: do not edit.\n",
    );
    for file in files() {
        index.push_str(&format!(
            "\n## {name}.yaml\n\n| alert | severity | means |\n|---|---|---|\n",
            name = file.name
        ));
        for rule in file.rules().iter().filter(|rule| rule.alert) {
            index.push_str(&format!(
                "| [{name}]({name}.md) | {severity} | {means} |\n",
                name = rule.name,
                severity = rule.severity(),
                means = without_templates(rule.annotation("summary")),
            ));
        }
    }
    index
}

/// A template with the names of its labels in place of their values; of two without a space between them
/// an alert has one.
fn without_templates(template: &str) -> String {
    template
        .replace(" }}{{ $labels.", "* or *")
        .replace("{{ $labels.", "*")
        .replace(" }}", "*")
}

/// Replaces every duration that stands in brackets or behind `offset`.
fn with_durations<'a>(expression: &str, short: impl Fn(&str) -> &'a str) -> String {
    let mut quick = String::new();
    let mut rest = expression;
    while let Some(at) = rest.find('[').into_iter().chain(rest.find("offset ")).min() {
        let start = at
            + if rest[at..].starts_with('[') {
                1
            } else {
                "offset ".len()
            };
        let length = rest[start..]
            .find(|character: char| !character.is_ascii_alphanumeric())
            .unwrap_or(rest.len() - start);
        quick.push_str(&rest[..start]);
        // A character class of a regular expression is no range.
        let duration = &rest[start..start + length];
        let is_duration = duration.starts_with(|first: char| first.is_ascii_digit())
            && duration.ends_with(['s', 'm', 'h', 'd']);
        quick.push_str(if is_duration {
            short(duration)
        } else {
            duration
        });
        rest = &rest[start + length..];
    }
    quick + rest
}

/// The names of metrics that a PromQL expression selects, those of recording rules too.
///
/// Reads the text as the lexer of Prometheus would, as far as that takes: strings, label lists and
/// ranges are skipped, and what is left and is neither function nor keyword is a metric. A matcher
/// `__name__=~"a|b"` names both; other patterns name nothing. Variables of Grafana (`$name`, `${name}`) are skipped.
pub fn metrics_in(expression: &str) -> BTreeSet<String> {
    const KEYWORDS: &[&str] = &[
        "and", "or", "unless", "offset", "bool", "atan2", "inf", "nan", "Inf", "NaN",
    ];
    const LABEL_LISTS: &[&str] = &[
        "by",
        "without",
        "on",
        "ignoring",
        "group_left",
        "group_right",
    ];
    let mut found = named_by_matchers(expression);
    let mut rest = without_strings_and_matchers(expression);
    loop {
        let Some(at) = rest.find(|it: char| it.is_ascii_alphanumeric() || "_:$[".contains(it))
        else {
            return found;
        };
        rest = rest.split_off(at);
        if rest.starts_with('[') {
            let end = rest.find(']').map_or(rest.len(), |end| end + 1);
            rest = rest.split_off(end);
            continue;
        }
        let inside = |it: char| it.is_ascii_alphanumeric() || "_:.$".contains(it);
        let end = rest.find(|it| !inside(it)).unwrap_or(rest.len());
        let after = rest.split_off(end);
        let word = std::mem::replace(&mut rest, after);
        let next = rest.trim_start();
        if LABEL_LISTS.contains(&word.as_str()) {
            if next.starts_with('(') {
                let end = rest.find(')').map_or(rest.len(), |end| end + 1);
                rest = rest.split_off(end);
            }
            continue;
        }
        let is_name =
            word.starts_with(|it: char| it.is_ascii_alphabetic() || it == '_' || it == ':');
        // An aggregation may have its labels first: `sum by (a) (x)`.
        let is_function = next.starts_with('(')
            || next.starts_with("by ")
            || next.starts_with("by(")
            || next.starts_with("without ");
        if is_name && !is_function && !KEYWORDS.contains(&word.as_str()) {
            found.insert(word);
        }
    }
}

/// Metrics that a matcher on `__name__` selects.
fn named_by_matchers(expression: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for part in expression.split("__name__").skip(1) {
        let value = part.split('"').nth(1).unwrap_or_default();
        let plain = |name: &&str| {
            name.bytes()
                .all(|it| it.is_ascii_alphanumeric() || b"_:".contains(&it))
        };
        names.extend(value.split('|').filter(plain).map(str::to_owned));
    }
    names
}

fn without_strings_and_matchers(expression: &str) -> String {
    let mut plain = String::new();
    let mut quote = None;
    let mut depth = 0_usize;
    let mut escaped = false;
    for character in expression.chars() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if character == '\\' => escaped = true,
            Some(open) if character == open => quote = None,
            Some(_) => {}
            None if "\"'`".contains(character) => quote = Some(character),
            None if character == '{' => depth += 1,
            None if character == '}' => depth = depth.saturating_sub(1),
            None if depth == 0 => plain.push(character),
            None => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_told_from_functions_keywords_and_labels() {
        let expression = r#"
            histogram_quantile(0.99, sum by (le, operation) (rate(x_bucket{a="b{c",d=~"[01]"}[5m])))
              > on (job) group_left (team) (up offset 5m == bool 1) unless pgmesh:a:rate5m
              + sum(y) by (z) / scalar($budget) * 1e6 or {__name__=~"m_total|n_total"}
        "#;
        let found: Vec<String> = metrics_in(expression).into_iter().collect();
        assert_eq!(
            found,
            [
                "m_total",
                "n_total",
                "pgmesh:a:rate5m",
                "up",
                "x_bucket",
                "y"
            ]
        );
    }

    #[test]
    fn durations_are_shortened_and_character_classes_are_not() {
        let short = |long: &str| match long {
            "5m" => "10s",
            "1h" => "1m",
            _ => panic!("{long}"),
        };
        assert_eq!(
            with_durations(r#"increase(a{b!~"t[01]"}[5m] offset 1h) > 5"#, short),
            r#"increase(a{b!~"t[01]"}[10s] offset 1m) > 5"#
        );
    }
}
