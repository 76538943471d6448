//! The bootstrap that we ship: sessions go to the cluster that their StartupMessage asks for, both
//! filters work in one chain, and the access log says who it was and what became of it.

use std::time::Duration;

use test_harness::hosts::{Envoy, Postgres, Version, wait_for};
use test_harness::shipped;

const LIMIT: Duration = Duration::from_secs(20);

fn run(server: &Postgres, envoy: &Envoy, options: &str, statement: &str) -> (String, String) {
    let mut psql = server.client_through(envoy.port(), "psql");
    let output = psql
        .env("PGOPTIONS", options)
        .env("PGSSLMODE", "disable")
        .env("PGGSSENCMODE", "disable")
        .args(["-XAtq", "-v", "VERBOSITY=verbose", "-c", statement])
        .output()
        .expect("psql runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn sessions_go_where_they_ask_to_go() {
    let (primary, replica) = (Postgres::start(Version::V18), Postgres::start(Version::V15));
    let envoy = shipped::policy_bootstrap(&primary, &replica).start();
    let port = "select current_setting('port')";
    for (options, server) in [
        ("", &primary),
        ("-c pgmesh.route=ro", &replica),
        ("-c pgmesh.route=rw", &primary),
        ("-c work_mem=1MB --pgmesh.route=ro", &replica),
    ] {
        let (stdout, stderr) = run(&primary, &envoy, options, port);
        assert_eq!(
            stdout.trim(),
            server.port().to_string(),
            "{options} {stderr}"
        );
    }
    let (stdout, _) = run(
        &primary,
        &envoy,
        "-c pgmesh.route=ro",
        "select coalesce(current_setting('pgmesh.route', true), 'unseen')",
    );
    assert_eq!(stdout, "unseen\n");
    let scrape = wait_for(LIMIT, || {
        let scrape = envoy.scrape();
        let taken = |route| scrape.sum("pgmesh_policy_routes_total", &[("route", route)]);
        (taken("replicas") == 3.0 && taken("default") == 2.0).then_some(scrape)
    });
    let scrape = scrape.unwrap_or_else(|| panic!("{}", envoy.scrape()));
    assert_eq!(scrape.sum("pgmesh_connections_total", &[]), 5.0, "{scrape}");
}

#[test]
fn metrics_and_access_log_tell_of_denials() {
    let server = Postgres::start(Version::V18);
    let envoy = shipped::policy_bootstrap(&server, &server).start();
    let (_, stderr) = run(&server, &envoy, "", "drop table t");
    assert!(stderr.contains("42501: tables are not dropped"), "{stderr}");
    let denied: [(&str, &str); 2] = [("rule", "no drop"), ("action", "deny")];
    let scrape = wait_for(LIMIT, || {
        let scrape = envoy.scrape();
        (scrape.sum("pgmesh_policy_decisions_total", &denied) == 1.0).then_some(scrape)
    });
    let scrape = scrape.unwrap_or_else(|| panic!("{}", envoy.scrape()));
    // The metrics filter stands before the policy: it sees what the client is told.
    let refused = [("sqlstate", "42501")];
    assert_eq!(scrape.sum("pgmesh_errors_total", &refused), 1.0, "{scrape}");
    wait_for(LIMIT, || {
        let log = envoy.log();
        let line = log
            .lines()
            .find(|line| line.contains("\"verdict\":\"denied\""))?;
        assert!(line.contains("\"user\":\"postgres\""), "{line}");
        assert!(line.contains("\"cluster\":\"postgres\""), "{line}");
        Some(())
    })
    .unwrap_or_else(|| panic!("{}", envoy.log()));
}
