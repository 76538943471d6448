//! Every query of every panel gives something while there is something to see: the dashboards that we
//! ship, asked of a real Prometheus and a real Loki that know of a real server, its standby and an Envoy
//! with both modules, under load with errors, denials and replication. Their variables offer something, too.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use test_harness::dashboards;
use test_harness::hosts::{Release, Version, wait_for};
use test_harness::stack::{Stack, load};

const LIMIT: Duration = Duration::from_secs(240);

/// Queries that cannot give anything here: dashboard, part of the query, why.
const EMPTY: &[(&str, &str, &str)] = &[
    (
        "pgmesh-itself",
        "pgmesh_export_failed_total",
        "a real Collector refuses nothing that the module makes",
    ),
    (
        "pgmesh-itself",
        "pgmesh_metrics_refused_total",
        "Envoy refuses no metric that it can be asked for",
    ),
    (
        "through-the-mesh",
        "pgmesh_backend_disconnects_total",
        "a backend that dies takes all sessions along: see `alerts_become_active`",
    ),
];

/// What stands for zero where there is nothing.
const ZERO: &str = " or on() vector(0)";

/// A query of a panel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Query {
    place: String,
    loki: bool,
    text: String,
}

fn queries() -> Vec<Query> {
    let mut all = Vec::new();
    for board in dashboards::all() {
        for panel in board.panels() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let text = target["expr"].as_str().expect("a query").replace(ZERO, "");
                let title = panel["title"].as_str().expect("a title");
                all.push(Query {
                    place: format!("{}: {title}", board.name),
                    loki: target["datasource"]["type"] == "loki",
                    text: dashboards::with_variables(&text),
                });
            }
        }
    }
    all
}

fn excused(query: &Query) -> bool {
    EMPTY
        .iter()
        .any(|(board, part, _)| query.place.starts_with(board) && query.text.contains(part))
}

/// Whether it gives a value that can be drawn, or a line.
fn gives(stack: &Stack, query: &Query) -> bool {
    if query.loki {
        return stack.loki.count(&query.text) > 0;
    }
    let series = stack.prometheus.query(&query.text);
    series.iter().any(|series| series.value.is_finite())
}

/// What variables ask for, with a value of the label they offer. Clusters and namespaces are Kubernetes', and
/// none is here.
fn offers() -> Vec<Query> {
    let mut all = Vec::new();
    for board in dashboards::all() {
        for (series, label) in board.offers() {
            let series = match label {
                "cluster" | "namespace" => series.to_owned(),
                _ => match series.strip_suffix('}') {
                    Some(open) => format!("{open},{label}!=\"\"}}"),
                    None => format!("{series}{{{label}!=\"\"}}"),
                },
            };
            all.push(Query {
                place: format!("{}: values of {label}", board.name),
                loki: false,
                text: dashboards::with_variables(&series),
            });
        }
    }
    all
}

#[test]
fn no_panel_is_empty() {
    nothing_is_empty(Version::V15, Release::Debian);
}

/// The pair that the manifests deploy.
#[test]
fn no_panel_is_empty_with_the_exporter_that_is_deployed() {
    if Release::Shipped.is_there() {
        nothing_is_empty(Version::V18, Release::Shipped);
    } else {
        eprintln!(
            "NOT TESTED: there is no postgres_exporter on the PATH, see the README of grafana"
        );
    }
}

/// One stack at a time: half of a machine's load fills no queue.
static ALONE: Mutex<()> = Mutex::new(());

fn nothing_is_empty(version: Version, exporter: Release) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let stack = Stack::start_with(version, exporter);
    let _load = load::start(&stack);
    let mut waiting: BTreeSet<Query> = queries().into_iter().chain(offers()).collect();
    assert!(waiting.len() > 150, "only {}", waiting.len());
    waiting.retain(|query| !excused(query));
    wait_for(LIMIT, || {
        std::thread::sleep(Duration::from_secs(2));
        waiting.retain(|query| !gives(&stack, query));
        waiting.is_empty().then_some(())
    });
    assert!(
        waiting.is_empty(),
        "{} are empty: {waiting:#?}",
        waiting.len()
    );
    // What is excused is really empty.
    let found: Vec<_> = queries()
        .into_iter()
        .filter(|query| excused(query) && gives(&stack, query))
        .collect();
    assert!(found.is_empty(), "need no excuse: {found:#?}");
}
