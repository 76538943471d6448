//! The dashboards that we ship, without a Grafana: each is what its source says, follows the rules
//! that Grafana takes for granted, explains itself, and names only what exists.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::Value;
use test_harness::hosts::places::tree;
use test_harness::hosts::postgres::output_of;
use test_harness::shipped;

const COLUMNS: u64 = 24;

/// File name and content of every dashboard.
fn dashboards() -> Vec<(String, Value)> {
    let boards = test_harness::dashboards::all().into_iter();
    let found: Vec<_> = boards
        .map(|board| (format!("{}.json", board.name), board.json))
        .collect();
    assert_eq!(found.len(), 6);
    found
}

fn list<'a>(value: &'a Value, of: &str) -> &'a [Value] {
    value[of].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, of: &str) -> &'a str {
    value[of].as_str().unwrap_or_default()
}

/// Panel and query of every target.
fn queries(board: &Value) -> impl Iterator<Item = (&Value, &str)> {
    let panels = list(board, "panels").iter();
    panels.flat_map(|panel| {
        let targets = list(panel, "targets").iter();
        targets.map(move |target| (panel, text(target, "expr")))
    })
}

/// The words of `text` that begin with `prefix`.
fn words(text: &str, prefix: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with(prefix) && word.len() > prefix.len())
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_files_are_what_the_sources_say() {
    let script = tree().join("envoy-configs/grafana/dashboards.py");
    output_of(Command::new("python3").arg(script).arg("--check"));
}

/// By the types of Grafana's own foundation SDK, each kind of panel and each data source's queries.
#[test]
fn grafana_knows_every_field() {
    let judge = tree().join(".cache/manifests/manifests");
    assert!(judge.exists(), "{}: run `make stores`", judge.display());
    let folder = tree().join("envoy-configs/grafana/dashboards");
    let files = dashboards().into_iter().map(|(file, _)| folder.join(file));
    let judged = output_of(Command::new(&judge).arg("dashboards").args(files));
    assert_eq!(
        String::from_utf8_lossy(&judged.stdout)
            .matches("ok ")
            .count(),
        6
    );

    let scratch = tempfile::tempdir().expect("a directory");
    let path = scratch.path().join("wrong.json");
    let (_, mut board) = dashboards().remove(0);
    board["panels"][1]["options"]["colour"] = "red".into();
    fs::write(&path, board.to_string()).expect("written");
    let judged = Command::new(&judge).arg("dashboards").arg(&path).output();
    let judged = judged.expect("it runs");
    let said = String::from_utf8_lossy(&judged.stdout);
    assert!(
        !judged.status.success() && said.contains("colour"),
        "{said}"
    );
}

#[test]
fn ids_are_unique_and_no_two_panels_share_a_place() {
    let mut uids = BTreeSet::new();
    let mut titles = BTreeSet::new();
    for (file, board) in dashboards() {
        assert!(uids.insert(text(&board, "uid").to_owned()), "{file}");
        assert!(titles.insert(text(&board, "title").to_owned()), "{file}");
        assert!(board["schemaVersion"].as_u64() >= Some(36), "{file}");
        let mut ids = BTreeSet::new();
        let mut taken = BTreeSet::new();
        for panel in list(&board, "panels") {
            let name = format!("{file}: {}", text(panel, "title"));
            assert!(ids.insert(panel["id"].as_u64().expect("an id")), "{name}");
            let place = |key: &str| panel["gridPos"][key].as_u64().expect("a place");
            let (x, y, w, h) = (place("x"), place("y"), place("w"), place("h"));
            assert!(w > 0 && h > 0 && x + w <= COLUMNS, "{name}");
            for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                assert!(taken.insert(cell), "{name} lies over another at {cell:?}");
            }
        }
    }
}

#[test]
fn every_dashboard_and_every_panel_says_what_it_shows_what_is_normal_and_what_to_do() {
    for (file, board) in dashboards() {
        let panels = list(&board, "panels").iter();
        let explained = panels.filter(|panel| panel["type"] != "row");
        for entry in explained.chain([&board]) {
            let description = text(entry, "description");
            let name = format!("{file}: {}", text(entry, "title"));
            let (shows, rest) = description.split_once("\n\n**Normal:** ").expect(&name);
            let (normal, act) = rest.split_once("\n\n**Do:** ").expect(&name);
            for sentence in [shows, normal, act] {
                assert!(
                    sentence.len() > 1 && sentence.ends_with('.'),
                    "{name}: {sentence}"
                );
            }
        }
    }
}

#[test]
fn every_query_asks_the_data_source_of_its_variable() {
    for (file, board) in dashboards() {
        for panel in list(&board, "panels")
            .iter()
            .filter(|it| it["type"] != "row")
        {
            let name = format!("{file}: {}", text(panel, "title"));
            let targets = list(panel, "targets");
            assert!(!targets.is_empty(), "{name}");
            let mut references = BTreeSet::new();
            for source in targets.iter().map(|it| &it["datasource"]) {
                assert_eq!(source, &panel["datasource"], "{name}");
                match (text(source, "type"), text(source, "uid")) {
                    ("prometheus", "${datasource}") | ("loki", "${loki}") => {}
                    other => panic!("{name}: {other:?}"),
                }
            }
            for target in targets {
                assert!(references.insert(text(target, "refId")), "{name}");
                let expression = text(target, "expr");
                assert!(
                    !expression.contains('\n') && !expression.is_empty(),
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn variables_are_used_and_defined_and_match_where_there_is_no_label() {
    const GRAFANAS: &[&str] = &["__rate_interval", "__range", "__interval"];
    for (file, board) in dashboards() {
        let variables = list(&board["templating"], "list");
        let defined: BTreeSet<&str> = variables.iter().map(|it| text(it, "name")).collect();
        let mut used: BTreeSet<String> = BTreeSet::new();
        for panel in list(&board, "panels") {
            // Links hold Grafana's own ${__field...}; queries and data sources are ours.
            used.extend(variables_of(text(&panel["datasource"], "uid")));
        }
        for (_, query) in queries(&board) {
            used.extend(variables_of(query));
        }
        for variable in variables {
            used.extend(variables_of(text(&variable["datasource"], "uid")));
        }
        for name in &used {
            let known = defined.contains(name.as_str()) || GRAFANAS.contains(&name.as_str());
            assert!(known, "{file}: ${name}");
        }
        for variable in variables {
            let name = text(variable, "name");
            assert!(used.contains(name), "{file}: ${name} is not used");
            if variable["type"] == "query" {
                assert_eq!(variable["allValue"], ".*", "{file}: {name}");
                assert_eq!(variable["includeAll"], true, "{file}: {name}");
            }
        }
    }
}

/// `$name` and `${name:format}`.
fn variables_of(text: &str) -> Vec<String> {
    text.split('$')
        .skip(1)
        .map(|rest| {
            let rest = rest.strip_prefix('{').unwrap_or(rest);
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            rest.get(..end.unwrap_or(rest.len()))
                .unwrap_or_default()
                .to_owned()
        })
        .collect()
}

#[test]
fn every_metric_of_ours_is_on_a_dashboard_and_no_other_is_named() {
    let readme = fs::read_to_string(tree().join("README.md")).expect("README.md");
    let rows = readme.lines().filter(|line| line.starts_with("| `pgmesh_"));
    let documented: BTreeSet<String> = rows
        .filter_map(|row| row.split('`').nth(1).map(str::to_owned))
        .collect();
    assert!(documented.len() > 40, "{documented:?}");
    let mut named = BTreeSet::new();
    for (_, board) in dashboards() {
        // What Loki is asked for are fields of the log.
        let of_metrics =
            queries(&board).filter(|(panel, _)| text(&panel["datasource"], "type") == "prometheus");
        for (_, query) in of_metrics {
            named.extend(words(query, "pgmesh_").into_iter().map(family));
        }
    }
    let unknown: Vec<_> = named.difference(&documented).collect();
    assert!(unknown.is_empty(), "no such metric: {unknown:?}");
    let unseen: Vec<_> = documented.difference(&named).collect();
    assert!(unseen.is_empty(), "on no dashboard: {unseen:?}");
}

/// A histogram's name for those of its series.
fn family(name: String) -> String {
    let stem = ["_bucket", "_sum", "_count"]
        .iter()
        .find_map(|ending| name.strip_suffix(ending));
    stem.map_or(name.clone(), str::to_owned)
}

/// Loki has no dots in names: the shipped configurations of Fluent Bit set `names: underscored`.
#[test]
fn fields_of_the_log_are_those_that_the_filter_writes() {
    let readme = fs::read_to_string(tree().join("README.md")).expect("README.md");
    let documented: BTreeSet<String> = readme
        .split('`')
        .skip(1)
        .step_by(2)
        .map(|name| name.replace('.', "_"))
        .collect();
    let mut seen = 0;
    for (file, board) in dashboards() {
        for (_, query) in queries(&board) {
            for part in query.split("=`").skip(1) {
                let field = part.split('`').next().unwrap_or_default();
                assert!(documented.contains(field), "{file}: {field}");
                seen += 1;
            }
        }
    }
    assert!(seen > 10, "{seen}");
}

#[test]
fn the_config_maps_hold_every_dashboard() {
    let kustomization = shipped::file("grafana/kustomization.yaml");
    for (file, board) in dashboards() {
        let line = format!("files: [dashboards/{file}]");
        assert!(kustomization.contains(&line), "{line}");
        // `kubectl apply` keeps a copy in an annotation, which may have 256 KiB.
        assert!(serde_json::to_string_pretty(&board).expect("JSON").len() < 200_000);
    }
}
