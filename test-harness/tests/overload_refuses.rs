//! The limits of a production bootstrap refuse new sessions and keep the open ones, and meanwhile
//! Prometheus can ask why.

use std::io::Write;
use std::process::{Child, Stdio};
use std::time::Duration;

use test_harness::hosts::{Envoy, Postgres, Samples, Version, wait_for};
use test_harness::shipped;

const LIMIT: Duration = Duration::from_secs(30);

/// A psql that waits for what it is told.
fn open(server: &Postgres, envoy: &Envoy) -> Child {
    server
        .client_through(envoy.port(), "psql")
        .env("PGSSLMODE", "disable")
        .arg("-XAtq")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("psql starts")
}

fn sessions(server: &Postgres, count: usize) {
    let open = "select count(*) from pg_stat_activity where application_name = 'psql' and pid <> pg_backend_pid()";
    wait_for(LIMIT, || {
        (server.sql(open) == count.to_string()).then_some(())
    })
    .unwrap_or_else(|| panic!("not {count} sessions"));
}

/// What it answers to one more statement.
fn answer(mut session: Child) -> String {
    let mut input = session.stdin.take().expect("it is a pipe");
    writeln!(input, "select 42;").expect("psql reads");
    drop(input);
    let output = session.wait_with_output().expect("psql ends");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What Prometheus gets, on a connection of its own.
fn scrape(envoy: &Envoy) -> Samples {
    let url = format!("http://{}/stats/prometheus", envoy.listener("stats"));
    let answer = minreq::get(url)
        .with_timeout(10)
        .send()
        .expect("it answers");
    Samples::parse(answer.as_str().expect("text"))
}

#[test]
fn one_connection_too_many_is_closed_at_once_and_the_others_go_on() {
    let server = Postgres::start(Version::V18);
    let envoy = shipped::sidecar_bootstrap(&server)
        .replacing(
            "max_active_downstream_connections: 10000",
            "max_active_downstream_connections: 2",
        )
        .start();
    let open = [(); 2].map(|()| open(&server, &envoy));
    sessions(&server, 2);
    let (stdout, stderr) = server.psql_through(envoy.port(), "", &["select 1"]);
    assert!(
        stdout.is_empty() && stderr.contains("closed the connection"),
        "{stdout}{stderr}"
    );
    let refused = "envoy_listener_downstream_global_cx_overflow";
    assert!(
        scrape(&envoy).sum(refused, &[]) >= 1.0,
        "{}",
        scrape(&envoy)
    );
    for session in open {
        assert_eq!(answer(session), "42\n");
    }
    sessions(&server, 0);
    let again = wait_for(LIMIT, || {
        let (stdout, _) = server.psql_through(envoy.port(), "", &["select 1"]);
        (stdout == "1\n").then_some(())
    });
    assert!(again.is_some(), "{}", envoy.log());
}

#[test]
fn with_too_much_memory_in_use_new_sessions_are_refused() {
    let server = Postgres::start(Version::V18);
    // What Envoy has allocated when nothing has happened yet is more than this.
    let envoy = shipped::sidecar_bootstrap(&server)
        .replacing(
            "max_heap_size_bytes: 805306368",
            "max_heap_size_bytes: 1048576",
        )
        .start();
    let active = "envoy_overload_envoy_overload_actions_reject_incoming_connections_active";
    let refuses = wait_for(LIMIT, || {
        (scrape(&envoy).sum(active, &[]) == 1.0).then_some(())
    });
    assert!(refuses.is_some(), "{}", scrape(&envoy));
    let (stdout, stderr) = server.psql_through(envoy.port(), "", &["select 1"]);
    assert!(
        stdout.is_empty() && stderr.contains("closed the connection"),
        "{stdout}{stderr}"
    );
    let refused = "envoy_listener_downstream_cx_overload_reject";
    assert_eq!(scrape(&envoy).sum(refused, &[]), 1.0, "{}", scrape(&envoy));
}
