//! Every metric that a rule, a dashboard or a document names exists: in the modules' own tables, among
//! the recording rules, or in the list of others' metrics. And every metric of ours is of use.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use envoy_metrics::catalog::{self as metrics, Kind};
use envoy_policy::catalog as policy;
use serde_json::Value;
use test_harness::hosts::places::tree;
use test_harness::rules::{self, metrics_in};
use test_harness::{dashboards, shipped};

/// Metrics that no rule is about, and why that is right. A dashboard may show them.
const WITHOUT_A_RULE: &[(&str, &str)] = &[
    (
        "pgmesh_bytes_total",
        "how much is too much is the network's matter",
    ),
    (
        "pgmesh_connections_active",
        "the server's own count is compared with its limit",
    ),
    (
        "pgmesh_copy_bytes_total",
        "a load or a dump is somebody's intention",
    ),
    (
        "pgmesh_copy_rows_total",
        "a load or a dump is somebody's intention",
    ),
    (
        "pgmesh_export_retried_total",
        "a retry that fails is counted as lost",
    ),
    (
        "pgmesh_export_sent_total",
        "what is lost counts; this is for the runbook",
    ),
    (
        "pgmesh_first_row_duration_microseconds",
        "is in the whole duration; the runbook compares them",
    ),
    (
        "pgmesh_function_calls_total",
        "a matter for the policy, which can deny them",
    ),
    (
        "pgmesh_messages_total",
        "for looking at a protocol, not for being woken",
    ),
    (
        "pgmesh_notices_total",
        "what the server only notes wakes nobody",
    ),
    (
        "pgmesh_notifications_total",
        "LISTEN / NOTIFY traffic is the application's",
    ),
    (
        "pgmesh_parses_total",
        "a ratio to look at: parses per statement",
    ),
    (
        "pgmesh_pipeline_depth",
        "deep pipelines are a choice of the driver",
    ),
    (
        "pgmesh_policy_cancel_requests_total",
        "those that are dropped were not of this session",
    ),
    (
        "pgmesh_policy_held_bytes",
        "is bounded by max_statement_bytes and by Envoy",
    ),
    (
        "pgmesh_policy_records_suppressed_total",
        "the counters by rule go on counting",
    ),
    (
        "pgmesh_policy_routes_total",
        "which way is right only the reader knows",
    ),
    (
        "pgmesh_prepared_statements_active",
        "shows in pgmesh_state_bytes when it is too much",
    ),
    (
        "pgmesh_query_log_suppressed_total",
        "the bound was set to suppress",
    ),
    (
        "pgmesh_rows_total",
        "how many rows are too many only the reader knows",
    ),
    (
        "pgmesh_statement_texts_forgotten_total",
        "statements go on being followed, without text",
    ),
    (
        "pgmesh_top_statement_calls_total",
        "what is on top is no fault",
    ),
    (
        "pgmesh_top_statement_duration_microseconds_total",
        "what is on top is no fault",
    ),
    (
        "pgmesh_top_statement_errors_total",
        "errors have rules by SQLSTATE",
    ),
    (
        "pgmesh_top_statement_rows_total",
        "what is on top is no fault",
    ),
    (
        "pgmesh_transaction_duration_microseconds",
        "long ones are seen while they last, by the server",
    ),
    (
        "pgmesh_transactions_total",
        "statements are what the objectives count",
    ),
];

/// Fields of the query log, as Loki's `json` names them.
const FIELDS: &[&str] = &["pgmesh_duration_microseconds"];

/// Our metrics, with the series that Prometheus has of each.
fn ours() -> BTreeMap<String, Vec<String>> {
    let counted = metrics::SPECS.iter().map(|spec| (spec.name, spec.kind));
    let others = metrics::OTHERS
        .iter()
        .map(|(name, kind, ..)| (*name, *kind));
    let mut all: BTreeMap<String, Vec<String>> = counted
        .chain(others)
        .map(|(name, kind)| {
            let name = format!("{}{name}", metrics::PREFIX);
            let series = match kind {
                Kind::Counter | Kind::Gauge => vec![name.clone()],
                Kind::Duration | Kind::Depth => ["bucket", "sum", "count"]
                    .map(|part| format!("{name}_{part}"))
                    .to_vec(),
            };
            (name, series)
        })
        .collect();
    for spec in policy::SPECS {
        all.insert(spec.name.to_owned(), vec![spec.name.to_owned()]);
    }
    all
}

/// Every name that may be used.
fn known() -> BTreeSet<String> {
    let list = tree().join("test-harness/tests/metrics/others.txt");
    let list = fs::read_to_string(list).expect("the list of others' metrics");
    let others = list
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned);
    let recorded = rules::files().into_iter().flat_map(|file| file.rules());
    let recorded = recorded.filter(|rule| !rule.alert).map(|rule| rule.name);
    ours()
        .into_values()
        .flatten()
        .chain(others)
        .chain(recorded)
        .collect()
}

/// Every expression there is, by where it stands.
struct Expression {
    place: String,
    text: String,
}

fn of_rules() -> Vec<Expression> {
    let files = rules::files().into_iter();
    let rules = files.flat_map(|file| file.rules());
    rules
        .map(|rule| Expression {
            place: rule.name,
            text: rule.expression,
        })
        .collect()
}

/// Those of the panels and variables of the dashboards.
fn of_dashboards() -> Vec<Expression> {
    let mut found = Vec::new();
    for board in dashboards::all() {
        collect_queries(&board.json, &board.name, &mut found);
        for (series, _) in board.offers() {
            let (place, text) = (board.name.clone(), series.to_owned());
            found.push(Expression { place, text });
        }
    }
    found
}

/// Queries to Prometheus: `expr` of a target whose data source is not Loki.
fn collect_queries(value: &Value, path: &str, found: &mut Vec<Expression>) {
    match value {
        Value::Array(values) => values
            .iter()
            .for_each(|it| collect_queries(it, path, found)),
        Value::Object(fields) => {
            let source = fields.get("datasource").map(Value::to_string);
            let to_loki = source.is_some_and(|source| source.contains("loki"));
            if let Some(Value::String(text)) = fields.get("expr").filter(|_| !to_loki) {
                let (place, text) = (path.to_owned(), text.clone());
                found.push(Expression { place, text });
            }
            let fields = fields.values();
            fields.for_each(|it| collect_queries(it, path, found));
        }
        _ => {}
    }
}

/// The `promql` blocks of all Markdown, one query for each block without its comments, or for each
/// comment's part.
fn of_documents() -> Vec<Expression> {
    let mut found = Vec::new();
    let readme = tree().join("README.md").to_string_lossy().into_owned();
    let below = files_below(&tree().join("envoy-configs")).into_iter();
    for path in below.chain([readme]).filter(|path| path.ends_with(".md")) {
        let text = fs::read_to_string(&path).expect("UTF-8");
        for block in text.split("```promql\n").skip(1) {
            let block = block.split("```").next().unwrap_or_default();
            for query in block.split("# ") {
                let has_comment = block.starts_with("# ");
                let query = match query.split_once('\n') {
                    Some((_, query)) if has_comment => query,
                    _ => query,
                };
                found.push(Expression {
                    place: path.clone(),
                    text: query.to_owned(),
                });
            }
        }
    }
    found
}

fn files_below(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| {
            let path = entry.path();
            match path.is_dir() {
                true => files_below(&path),
                false => vec![path.to_string_lossy().into_owned()],
            }
        })
        .collect()
}

#[track_caller]
fn all_are_known(expressions: &[Expression]) {
    let known = known();
    let unknown: BTreeSet<String> = expressions
        .iter()
        .flat_map(|Expression { place, text }| {
            let names = metrics_in(text).into_iter();
            let unknown = names.filter(|name| !known.contains(name));
            unknown.map(move |name| format!("{place}: {name}"))
        })
        .collect();
    assert!(unknown.is_empty(), "there is no such metric: {unknown:#?}");
}

#[test]
fn every_metric_in_a_rule_exists() {
    let expressions = of_rules();
    assert!(expressions.len() > 50);
    all_are_known(&expressions);
}

#[test]
fn every_metric_in_a_dashboard_exists() {
    let expressions = of_dashboards();
    let of_variables = |it: &&Expression| it.text.starts_with("postgresql:up");
    assert!(expressions.len() > 170);
    assert!(expressions.iter().filter(of_variables).count() >= 8);
    all_are_known(&expressions);
}

#[test]
fn every_metric_in_a_document_exists() {
    let expressions = of_documents();
    assert!(expressions.len() > 30);
    all_are_known(&expressions);
}

#[test]
fn whatever_looks_like_a_metric_of_ours_in_documents_and_configurations_is_one() {
    let known = known();
    let readme = tree().join("README.md").to_string_lossy().into_owned();
    let below = files_below(&tree().join("envoy-configs")).into_iter();
    let mut checked = 0;
    for path in below.chain([readme]) {
        let text = fs::read_to_string(&path).expect("UTF-8");
        for word in text.split(|it: char| !it.is_ascii_alphanumeric() && it != '_') {
            let endings = ["_total", "_microseconds", "_active", "_depth", "_bytes"];
            let is_metric = endings.iter().any(|ending| word.ends_with(ending));
            if word.starts_with("pgmesh_") && is_metric && !FIELDS.contains(&word) {
                checked += 1;
                let exists = known.contains(word) || ours().contains_key(word);
                assert!(exists, "{path}: there is no {word}");
            }
        }
    }
    assert!(checked > 100, "only {checked}");
}

#[test]
fn every_metric_of_ours_is_in_a_rule_or_listed_with_the_reason() {
    let used: BTreeSet<String> = of_rules()
        .iter()
        .flat_map(|expression| metrics_in(&expression.text))
        .collect();
    let listed: BTreeMap<&str, &str> = WITHOUT_A_RULE.iter().copied().collect();
    assert_eq!(listed.len(), WITHOUT_A_RULE.len(), "listed twice");
    let ours = ours();
    for name in listed.keys() {
        assert!(
            ours.contains_key(*name),
            "{name} is listed, but is none of ours"
        );
    }
    for (name, series) in ours {
        let is_used = series.iter().any(|it| used.contains(it));
        let reason = listed.get(name.as_str());
        assert!(is_used != reason.is_some(), "{name}: {is_used}, {reason:?}");
    }
}

/// A report without counters leaves two panels empty.
#[test]
fn whoever_reports_top_statements_counts_them_too() {
    let mut reports = 0;
    for path in files_below(&tree().join("envoy-configs")) {
        if path.ends_with(".yaml") {
            let text = fs::read_to_string(&path).expect("UTF-8");
            for report in text.lines().filter(|line| line.contains("interval_s")) {
                let counts = report.contains("stats: 20") || report.contains(r#""stats": 20"#);
                assert!(counts, "{path}: {report}");
                reports += 1;
            }
        }
    }
    assert!(reports >= 8, "only {reports}");
}

#[test]
fn every_proxy_of_istio_that_has_our_labels_keeps_the_same_of_its_own_metrics() {
    let mesh = rules::parse(&shipped::file("istio/mesh-config.yaml"));
    let kept = mesh["defaultConfig"]["proxyStatsMatcher"]["inclusionRegexps"][0].as_str();
    let kept = format!(
        "proxyStatsMatcher: {{ inclusionRegexps: ['{}'] }}",
        kept.expect("one")
    );
    let mut proxies = 0;
    for path in files_below(&tree().join("envoy-configs")) {
        let text = fs::read_to_string(&path).expect("UTF-8");
        if path.ends_with(".yaml") && text.contains("extraStatTags: [") {
            assert!(text.contains(&kept), "{path}");
            proxies += 1;
        }
    }
    assert!(proxies >= 5, "only {proxies}");
}

/// What `prometheus.yml` keeps is enough for every panel: `dashboards_show_data` scrapes with it.
#[test]
fn every_scrape_of_envoy_that_we_ship_keeps_the_same_metrics() {
    let kept_by = |text: &str| -> Vec<String> {
        let lines = text.lines().map(str::trim);
        let kept = lines.filter_map(|line| line.strip_prefix("regex: pgmesh_"));
        kept.map(str::to_owned).collect()
    };
    let prometheus = kept_by(&shipped::file("prometheus/prometheus.yml"));
    assert_eq!(prometheus.len(), 1, "{prometheus:?}");
    let mut monitors = 0;
    for path in files_below(&tree().join("envoy-configs")) {
        if path.ends_with(".yaml") {
            for kept in kept_by(&fs::read_to_string(&path).expect("UTF-8")) {
                assert_eq!(kept, prometheus[0], "{path}");
                monitors += 1;
            }
        }
    }
    assert!(monitors >= 5, "only {monitors}");
}
