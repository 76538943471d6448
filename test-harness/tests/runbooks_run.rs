//! What a runbook tells somebody to run at three in the morning runs: its SQL on the servers, its
//! PromQL in a Prometheus with our rules; and what it asks of Envoy's admin interface it asks of an Envoy in a
//! pod, too, whose image has no shell.

use std::fs;

use test_harness::hosts::{Postgres, Prometheus, Version};
use test_harness::rules;

/// The code blocks of this language in all runbooks, with the page they stand on.
fn blocks(language: &str) -> Vec<(String, String)> {
    let fence = format!("```{language}\n");
    let mut found = Vec::new();
    for alert in rules::alerts() {
        let path = rules::folder().join(format!("runbooks/{}.md", alert.name));
        // A block inside a list is indented, and so is its end.
        let page = fs::read_to_string(path).expect("a runbook");
        for block in page.split(&fence).skip(1) {
            let block = block.split("```").next().expect("a block");
            found.push((alert.name.clone(), block.to_owned()));
        }
    }
    found
}

#[test]
fn every_sql_block_runs_on_every_server() {
    let blocks = blocks("sql");
    assert!(blocks.len() > 15, "only {} blocks", blocks.len());
    for version in Version::ALL {
        let server = Postgres::start(version);
        for (page, sql) in &blocks {
            eprintln!("{page} on {}", version.number());
            server.sql(sql);
        }
    }
}

#[test]
fn envoy_s_admin_interface_is_reached_in_a_pod_too() {
    let mut asked = 0;
    for alert in rules::alerts() {
        let path = rules::folder().join(format!("runbooks/{}.md", alert.name));
        let page = fs::read_to_string(path).expect("a runbook");
        if page.contains("http://127.0.0.1:9901") {
            asked += 1;
            for way in [
                "-c istio-proxy -- pilot-agent request GET ",
                "kubectl port-forward -n databases POD 9901",
            ] {
                assert!(page.contains(way), "{}: no {way}", alert.name);
            }
        }
    }
    assert!(asked >= 4, "only {asked}");
}

#[test]
fn every_promql_block_is_a_query() {
    let blocks = blocks("promql");
    assert!(blocks.len() > 40, "only {} blocks", blocks.len());
    let prometheus = Prometheus::builder().start();
    for (page, query) in &blocks {
        eprintln!("{page}");
        prometheus.query(query);
    }
}
