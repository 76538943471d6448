//! The rules, alerts, runbooks and configurations for Prometheus that we ship, judged by promtool and
//! amtool and held to what the folder's README promises.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use test_harness::hosts::places::program_on_path;
use test_harness::rules::{self, RUNBOOKS, folder, made_files, parse, yaml_files};

/// The parts of every runbook, in order.
const SECTIONS: [&str; 5] = [
    "What it means",
    "Is it real",
    "First five minutes",
    "Causes",
    "Fix",
];

/// Runs a tool in `directory`; its output, and whether it was content.
#[track_caller]
fn tool(directory: &Path, program: &str, arguments: &[&str]) -> (bool, String) {
    let path = program_on_path(program).unwrap_or_else(|error| panic!("{error}"));
    let output = Command::new(path)
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

#[track_caller]
fn accepts(program: &str, arguments: &[&str]) {
    let (content, output) = tool(&folder(), program, arguments);
    assert!(content, "{program} {arguments:?}\n{output}");
}

#[test]
fn prometheus_accepts_the_rules_and_its_configuration() {
    for name in yaml_files(&folder().join("rules")).keys() {
        accepts(
            "promtool",
            &["check", "rules", &format!("rules/{name}.yaml")],
        );
    }
    accepts("promtool", &["check", "config", "prometheus.yml"]);
}

#[test]
fn alertmanager_accepts_its_configuration() {
    accepts("amtool", &["check-config", "alertmanager.yml"]);
}

#[test]
fn every_test_of_the_alerts_passes() {
    for name in yaml_files(&folder().join("tests")).keys() {
        accepts(
            "promtool",
            &["test", "rules", &format!("tests/{name}.yaml")],
        );
    }
}

/// What is changed in a file of rules, and the alert whose test must fail then: thresholds, each pair of
/// windows of an objective, how Prometheus 3 writes a bound, and labels that an Envoy takes along.
const CHANGES: &[(&str, &str, &str, &str)] = &[
    (
        "servers",
        "max_connections > 0.8",
        "max_connections > 0.7",
        "PostgreSQLConnectionsHigh",
    ),
    (
        "servers",
        r#"{postgresql!=""}[1d]"#,
        r#"{postgresql!=""}[1h]"#,
        "PostgreSQLMetricsMissing",
    ),
    (
        "slo",
        "slo_failed:ratio_6h > 6",
        "slo_failed:ratio_6h > 600",
        "PostgreSQLErrorBudgetBurnsFast",
    ),
    (
        "slo",
        "slo_failed:ratio_3d > 1",
        "slo_failed:ratio_3d > 100",
        "PostgreSQLErrorBudgetBurnsSlowly",
    ),
    (
        "slo",
        r#"le=~"250000(\\.0)?""#,
        r#"le="250000""#,
        "PostgreSQLLatencyBudgetBurnsSlowly",
    ),
    (
        "slo",
        "postgresql, job,",
        "postgresql, instance, job,",
        "PostgreSQLErrorBudgetBurnsSlowly",
    ),
    (
        "traffic",
        "postgresql, job, database, sqlstate",
        "postgresql, instance, job, database, sqlstate",
        "PostgreSQLErrorSurge",
    ),
    (
        "traffic",
        "postgresql, job, database, operation",
        "postgresql, instance, job, database, operation",
        "PostgreSQLStatementsSlow",
    ),
];

#[test]
fn a_changed_rule_is_noticed() {
    for (file, from, to, alert) in CHANGES {
        let copy = tempfile::tempdir().expect("a directory");
        for part in ["rules", "tests"] {
            fs::create_dir(copy.path().join(part)).expect("a directory");
            for (name, text) in yaml_files(&folder().join(part)) {
                let is_changed = part == "rules" && name == *file;
                assert!(!is_changed || text.contains(from), "{file}: no {from}");
                let text = if is_changed {
                    text.replace(from, to)
                } else {
                    text
                };
                let path = copy.path().join(part).join(format!("{name}.yaml"));
                fs::write(path, text).expect("written");
            }
        }
        let test = format!("tests/{file}.yaml");
        let (content, output) = tool(copy.path(), "promtool", &["test", "rules", &test]);
        assert!(!content && output.contains(alert), "{from}: {output}");
    }
}

#[test]
fn every_alert_is_tested_below_its_threshold_above_it_and_after() {
    let tests: Vec<Value> = yaml_files(&folder().join("tests"))
        .values()
        .flat_map(|text| parse(text)["tests"].as_array().expect("tests").clone())
        .collect();
    for alert in rules::alerts() {
        let test = tests
            .iter()
            .find(|test| test["name"] == alert.name.as_str());
        let test = test.unwrap_or_else(|| panic!("{} has no test", alert.name));
        let firing = format!(
            r#"ALERTS{{alertname="{}",alertstate="firing"}}"#,
            alert.name
        );
        let severity = format!(r#"severity="{}""#, alert.severity());
        let cases = test["promql_expr_test"].as_array().expect("cases");
        let fires: Vec<bool> = cases
            .iter()
            .map(|case| {
                assert_eq!(case["expr"], firing.as_str(), "{}", alert.name);
                let samples = case["exp_samples"].as_array().expect("samples");
                let labels = |sample: &Value| sample["labels"].as_str().unwrap_or("").to_owned();
                assert!(samples.iter().all(|it| labels(it).contains(&severity)));
                !samples.is_empty()
            })
            .collect();
        assert!(
            fires.first() == Some(&false) && fires.contains(&true) && fires.last() == Some(&false),
            "{}: {fires:?}",
            alert.name
        );
    }
}

/// The families whose metrics an expression is made of, through the records that it names.
fn families(expression: &str, records: &BTreeMap<String, String>) -> BTreeSet<&'static str> {
    const FAMILIES: [&str; 4] = ["pg_", "cnpg_", "ccp_", "postgresql_"];
    let names = rules::metrics_in(expression);
    let of_records = names.iter().filter_map(|name| records.get(name));
    let inside = of_records.flat_map(|expression| families(expression, records));
    let own = FAMILIES
        .into_iter()
        .filter(|family| names.iter().any(|name| name.starts_with(family)));
    own.chain(inside).collect()
}

#[test]
fn every_alert_over_several_families_of_names_is_tested_in_each() {
    let rules = rules::files().into_iter().flat_map(|file| file.rules());
    let (alerts, records): (Vec<_>, Vec<_>) = rules.partition(|rule| rule.alert);
    let records = records
        .into_iter()
        .map(|rule| (rule.name, rule.expression))
        .collect();
    let mut judged = 0;
    for file in yaml_files(&folder().join("tests")).values() {
        for test in parse(file)["tests"].as_array().expect("tests") {
            let alert = alerts
                .iter()
                .find(|alert| test["name"] == alert.name.as_str());
            let Some(alert) = alert else { continue };
            let series = test["input_series"].as_array().expect("series");
            let series: Vec<&str> = series
                .iter()
                .filter_map(|it| it["series"].as_str())
                .collect();
            for family in families(&alert.expression, &records) {
                let there = series.iter().any(|name| name.starts_with(family));
                assert!(there, "{} is not tested with {family}*", alert.name);
                judged += 1;
            }
        }
    }
    assert!(judged >= 25, "only {judged}");
}

#[test]
fn every_alert_says_what_is_wrong_how_much_what_to_do_and_where_to_read_on() {
    let alerts = rules::alerts();
    let names: BTreeSet<&str> = alerts.iter().map(|alert| alert.name.as_str()).collect();
    assert_eq!(names.len(), alerts.len(), "an alert has another's name");
    for alert in &alerts {
        let name = &alert.name;
        let severities = ["critical", "warning", "info"];
        assert!(severities.contains(&alert.severity()), "{name}");
        let annotations: Vec<&str> = alert.annotations.keys().map(String::as_str).collect();
        let all = ["action", "description", "runbook_url", "summary"];
        assert_eq!(annotations, all, "{name}");
        assert!(alert.annotation("description").contains("$value"), "{name}");
        assert!(!alert.annotation("summary").contains("$value"), "{name}");
        let page = format!("{RUNBOOKS}{name}.md");
        assert_eq!(alert.annotation("runbook_url"), page);
    }
}

#[test]
fn every_alert_has_a_runbook_and_every_runbook_an_alert() {
    let mut pages: BTreeSet<String> = fs::read_dir(folder().join("runbooks"))
        .expect("runbooks")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .collect();
    assert!(pages.remove("README.md"));
    let alerts: BTreeSet<String> = rules::alerts()
        .iter()
        .map(|alert| format!("{}.md", alert.name))
        .collect();
    assert_eq!(pages, alerts);
}

#[test]
fn every_runbook_has_all_its_parts_and_says_something_of_its_own() {
    let mut said = BTreeSet::new();
    for alert in rules::alerts() {
        let path = folder().join(format!("runbooks/{}.md", alert.name));
        let page = fs::read_to_string(&path).expect("a runbook");
        let mut parts = page.split("\n## ");
        assert_eq!(parts.next(), Some(format!("# {}\n", alert.name).as_str()));
        for section in SECTIONS {
            let part = parts
                .next()
                .unwrap_or_else(|| panic!("{path:?}: no {section}"));
            let (title, body) = part.split_once("\n\n").expect("a title and a text");
            assert_eq!(title, section, "{path:?}");
            assert!(body.trim().len() > 60, "{path:?}: {section}");
            assert!(said.insert(body.trim().to_owned()), "{path:?}: {section}");
            let checks = body.contains("```");
            assert!(section != "Is it real" || checks, "{path:?} has no check");
            let steps = body.contains("\n2. ");
            assert!(section != "First five minutes" || steps, "{path:?}");
        }
        assert_eq!(parts.next(), None, "{path:?}");
    }
}

#[test]
fn what_is_made_of_the_rules_is_as_they_are() {
    for (path, made) in made_files() {
        let shipped = fs::read_to_string(folder().join(path)).unwrap_or_default();
        assert_eq!(
            shipped, made,
            "{path}: run write-rules, see the folder's README"
        );
    }
}

#[test]
fn the_operator_gets_the_same_rules() {
    let text = fs::read_to_string(folder().join("prometheus-rules.yaml")).expect("the file");
    let documents: Vec<Value> = text.split("---\n").skip(1).map(parse).collect();
    let files = rules::files();
    assert_eq!(documents.len(), files.len());
    for (document, file) in documents.iter().zip(files) {
        assert_eq!(document["apiVersion"], "monitoring.coreos.com/v1");
        assert_eq!(document["kind"], "PrometheusRule");
        assert_eq!(
            document["metadata"]["name"],
            format!("pgmesh-{}", file.name)
        );
        assert_eq!(document["spec"], file.value, "{}", file.name);
    }
}
