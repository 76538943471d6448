//! What Prometheus scrapes from the Envoy we ship: names, labels, histograms; and what a user sees
//! who got the configuration wrong.

use std::time::Duration;

use test_harness::hosts::{Envoy, Postgres, Samples, Version, wait_for};
use test_harness::shipped;

const LIMIT: Duration = Duration::from_secs(10);

fn psql(server: &Postgres, envoy: &Envoy, sql: &str) {
    let mut psql = server.client_through(envoy.port(), "psql");
    // Some statements are meant to fail.
    let _output = psql.args(["-XAtq", "-c", sql]).output().expect("psql runs");
}

/// A scrape after the filter has handed over what `ready` looks for.
fn scrape_when(envoy: &Envoy, ready: impl Fn(&Samples) -> bool) -> Samples {
    wait_for(LIMIT, || Some(envoy.scrape()).filter(&ready)).unwrap_or_else(|| {
        let pgmesh = envoy
            .scrape()
            .only(|sample| sample.name.starts_with("pgmesh_"));
        panic!(
            "not there after {LIMIT:?}; there is:\n{pgmesh}\n{}",
            envoy.log()
        )
    })
}

#[test]
fn every_series_has_plain_names_and_the_labels_it_was_given() {
    let server = Postgres::start(Version::V18);
    let envoy = shipped::metrics_bootstrap(&server).start();
    psql(&server, &envoy, "select generate_series(1, 7)");
    psql(&server, &envoy, "select 1/0");
    let session = [("database", "postgres"), ("user", "postgres")];
    let scrape = scrape_when(&envoy, |scrape| {
        scrape.sum("pgmesh_errors_total", &session) > 0.0
    });
    let with = |label, value| [session[0], session[1], (label, value)];
    assert_eq!(
        scrape.value("pgmesh_rows_total", &with("operation", "SELECT")),
        7.0
    );
    assert_eq!(
        scrape.value("pgmesh_errors_total", &with("sqlstate", "22012")),
        1.0
    );
    assert_eq!(
        scrape.value("pgmesh_connections_total", &with("protocol_version", "3.0")),
        2.0
    );
    let odd = scrape.only(|sample| {
        sample.name.starts_with("pgmesh_")
            && (sample.name.contains("__") || sample.labels.contains_key("envoy_wasm"))
    });
    assert_eq!(odd.iter().count(), 0, "{odd}");
}

#[test]
fn names_of_any_form_stay_in_their_own_label() {
    let server = Postgres::start(Version::V18);
    server.sql("create database \"we;.;user=.=root.d\"");
    server.sql("create role \"ünder \"\"quoted\"\" \\ role\" superuser login");
    let envoy = shipped::metrics_bootstrap(&server).start();
    let mut psql = server.client_through(envoy.port(), "psql");
    psql.env("PGDATABASE", "we;.;user=.=root.d")
        .env("PGUSER", "ünder \"quoted\" \\ role");
    let output = psql
        .args(["-XAtqc", "select 1"])
        .output()
        .expect("psql runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let labels = [
        ("database", "we_._user_._root.d"),
        ("user", "ünder _quoted_ _ role"),
    ];
    scrape_when(&envoy, |scrape| {
        scrape.sum("pgmesh_statements_total", &labels) == 1.0
    });
}

#[test]
fn histograms_answer_like_prometheus_own() {
    let server = Postgres::start(Version::V18);
    let envoy = shipped::metrics_bootstrap(&server).start();
    psql(&server, &envoy, "select pg_sleep(0.06)");
    let labels = [("operation", "SELECT")];
    let name = "pgmesh_statement_duration_microseconds";
    let scrape = scrape_when(&envoy, |s| s.sum(&format!("{name}_count"), &labels) > 0.0);
    let bucket = |le| {
        scrape.value(
            &format!("{name}_bucket"),
            &[("operation", "SELECT"), ("le", le)],
        )
    };
    assert_eq!(
        (bucket("50000"), bucket("500000"), bucket("+Inf")),
        (0.0, 1.0, 1.0)
    );
    assert!(scrape.value(&format!("{name}_sum"), &labels) >= 60_000.0);
}

#[test]
fn envoys_own_histograms_can_be_chosen() {
    let server = Postgres::start(Version::V18);
    let configuration = r#"{"histograms": "envoy"}"#;
    let envoy = shipped::metrics_bootstrap_with(&server, configuration).start();
    psql(&server, &envoy, "select 1");
    let name = "pgmesh_statement_duration_microseconds_count";
    scrape_when(&envoy, |scrape| {
        scrape.sum(name, &[("operation", "SELECT")]) == 1.0
    });
    let types = envoy.admin("/stats/prometheus");
    assert!(
        types.contains("# TYPE pgmesh_statement_duration_microseconds histogram"),
        "{types}"
    );
}

#[test]
fn gauges_return_to_zero_when_everybody_has_gone() {
    let server = Postgres::start(Version::V18);
    let envoy = shipped::metrics_bootstrap(&server).concurrency(2).start();
    for _ in 0..5 {
        psql(&server, &envoy, "prepare p as select 1; execute p");
    }
    let all = "pgmesh_connections_total";
    let scrape = scrape_when(&envoy, |scrape| {
        scrape.sum(all, &[]) == 5.0 && scrape.sum("pgmesh_connections_active", &[]) == 0.0
    });
    assert_eq!(scrape.sum("pgmesh_prepared_statements_active", &[]), 0.0);
}

#[test]
fn a_bad_configuration_stops_envoy_with_one_line_that_names_the_path() {
    let server = Postgres::start(Version::V18);
    for (configuration, reason) in [
        (
            r#"{"labels": {"databse": true}}"#,
            "configuration: labels.databse: unknown field",
        ),
        (
            r#"{"max_label_sets": 0}"#,
            "configuration: max_label_sets: expected 1 to 100000, found 0",
        ),
        (
            r#"{"disable": ["nothing"]}"#,
            "configuration: disable[0]: no metric is named `nothing`",
        ),
        (r#"{"#, "configuration: "),
    ] {
        let refused = shipped::metrics_bootstrap_with(&server, configuration).try_start();
        let error = refused.expect_err(configuration).to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn no_configuration_at_all_works() {
    let server = Postgres::start(Version::V18);
    let envoy = Envoy::in_front_of(server.address())
        .module("envoy-metrics", "")
        .start();
    psql(&server, &envoy, "select 1");
    wait_for(LIMIT, || {
        envoy
            .stats("pgmesh_statements_total")
            .contains(": 1")
            .then_some(())
    })
    .expect("a statement is counted");
}
