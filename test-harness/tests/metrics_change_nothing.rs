//! Applications do not notice the filter: what they see through it is what they see directly.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::time::Duration;

use test_harness::drivers::{conninfo, psycopg_sessions};
use test_harness::hosts::postgres::output_of;
use test_harness::hosts::{Envoy, Postgres, Version, places, wait_for};
use test_harness::relay::Relay;
use test_harness::shipped;

const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn psycopg_sees_the_same_through_the_filter_as_directly() {
    for version in Version::ALL {
        let server = Postgres::start(version);
        let envoy = shipped::metrics_bootstrap(&server).start();
        let directly = psycopg_sessions(&conninfo(server.port(), "postgres"), &[]);
        let through = psycopg_sessions(&conninfo(envoy.port(), "postgres"), &[]);
        assert_eq!(through, directly, "PostgreSQL {version:?}");
        let opaque = envoy.scrape().sum("pgmesh_connections_opaque_total", &[]);
        assert_eq!(opaque, 0.0, "{}", envoy.log());
    }
}

/// PostgreSQL's own regression driver over the SQL of `tests/regress`, whose expected output was
/// made directly on PostgreSQL 18: `UPDATE_EXPECTED=1` makes it anew.
#[test]
fn pg_regress_passes_through_the_filter() {
    let regress = places::tree().join("test-harness/tests/regress");
    let make = std::env::var_os("UPDATE_EXPECTED").is_some();
    let versions = if make {
        &[Version::V18]
    } else {
        Version::ALL.as_slice()
    };
    for version in versions.iter().copied() {
        let server = Postgres::start(version);
        server.sql("create database regression");
        let envoy = shipped::metrics_bootstrap(&server).start();
        let port = if make { server.port() } else { envoy.port() };
        let output = tempfile::tempdir().expect("a directory");
        let program = Version::V18.installation().expect("PostgreSQL 18");
        let mut run =
            std::process::Command::new(program.join("lib/pgxs/src/test/regress/pg_regress"));
        run.args([
            "--use-existing",
            "--host=127.0.0.1",
            "--user=postgres",
            "--dbname=regression",
        ])
        .arg(format!("--port={port}"))
        .arg(format!("--bindir={}", program.join("bin").display()))
        .arg(format!("--inputdir={}", regress.display()))
        .arg(format!("--expecteddir={}", regress.display()))
        .arg(format!("--outputdir={}", output.path().display()))
        .arg(format!("--schedule={}", regress.join("schedule").display()));
        if make {
            let _differs = run.output();
            copy_results(output.path(), &regress);
            continue;
        }
        let result = run.output().expect("pg_regress runs");
        let differences = fs::read_to_string(output.path().join("regression.diffs"));
        assert!(
            result.status.success(),
            "PostgreSQL {version:?}:\n{}\n{}",
            String::from_utf8_lossy(&result.stdout),
            differences.unwrap_or_default()
        );
    }
}

fn copy_results(from: &Path, to: &Path) {
    for entry in fs::read_dir(from.join("results"))
        .expect("pg_regress made results")
        .flatten()
    {
        fs::copy(entry.path(), to.join("expected").join(entry.file_name())).expect("a copy");
    }
}

#[test]
fn pgbench_runs_in_all_protocols_without_a_failed_transaction() {
    let server = Postgres::start(Version::V18);
    let envoy = shipped::metrics_bootstrap(&server).concurrency(2).start();
    let pgbench = |arguments: &[&str]| {
        let output = output_of(
            server
                .client_through(envoy.port(), "pgbench")
                .args(arguments),
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    pgbench(&["-i", "-q"]);
    for mode in ["simple", "extended", "prepared"] {
        let report = pgbench(&["-n", "-M", mode, "-c", "8", "-t", "100"]);
        assert!(
            report.contains("number of failed transactions: 0"),
            "{report}"
        );
        assert!(
            report.contains("transactions actually processed: 800/800"),
            "{report}"
        );
    }
}

/// A client-side relay, the proxy, a server-side relay, the server.
struct Between {
    server: Postgres,
    before: Relay,
    behind: Relay,
    envoy: Envoy,
}

impl Between {
    fn new(piece: usize) -> Self {
        let server = Postgres::start(Version::V18);
        let behind = Relay::in_pieces(server.address(), piece);
        let envoy = Envoy::in_front_of(behind.address())
            .module("envoy-metrics", "")
            .start();
        let before = Relay::in_pieces(([127, 0, 0, 1], envoy.port()).into(), piece);
        Self {
            server,
            before,
            behind,
            envoy,
        }
    }

    #[track_caller]
    fn assert_nothing_changed(&self) {
        wait_for(LIMIT, || {
            (self.before.recordings() == self.behind.recordings()).then_some(())
        })
        .unwrap_or_else(|| self.show_difference());
        assert!(!self.before.recordings().is_empty());
        assert!(
            self.envoy.stats("vm_reload").contains(": 0"),
            "{}",
            self.envoy.log()
        );
    }

    fn show_difference(&self) {
        let lengths = |relay: &Relay| -> Vec<(usize, usize)> {
            relay
                .recordings()
                .iter()
                .map(|r| (r.frontend.len(), r.backend.len()))
                .collect()
        };
        panic!(
            "before {:?}\nbehind {:?}",
            lengths(&self.before),
            lengths(&self.behind)
        );
    }
}

#[test]
fn no_byte_changes_under_any_load() {
    let between = Between::new(usize::MAX);
    let port = between.before.port();
    psycopg_sessions(&conninfo(port, "postgres"), &[]);
    output_of(
        between
            .server
            .client_through(port, "pgbench")
            .args(["-i", "-q"]),
    );
    for mode in ["simple", "extended", "prepared"] {
        let mut pgbench = between.server.client_through(port, "pgbench");
        output_of(pgbench.args(["-n", "-M", mode, "-c", "4", "-t", "50"]));
    }
    between.assert_nothing_changed();
}

#[test]
fn no_byte_changes_when_they_come_one_by_one() {
    let between = Between::new(1);
    let sessions = [
        "simple_protocol",
        "pipeline",
        "errors_and_rollbacks",
        "copy_in_and_out",
    ];
    psycopg_sessions(&conninfo(between.before.port(), "postgres"), &sessions);
    between.assert_nothing_changed();
}

#[test]
fn a_client_that_half_closes_gets_its_answer() {
    let between = Between::new(usize::MAX);
    let mut stream = TcpStream::connect(between.before.address()).expect("the relay listens");
    stream
        .write_all(&startup_and_query("select 'half closed'"))
        .expect("the bytes go out");
    stream
        .shutdown(Shutdown::Write)
        .expect("half of it can be closed");
    let mut answer = Vec::new();
    stream
        .read_to_end(&mut answer)
        .expect("the server ends the connection");
    let text = String::from_utf8_lossy(&answer);
    assert!(text.contains("half closed"), "{text}");
    between.assert_nothing_changed();
}

#[test]
fn a_reset_or_a_server_killed_in_the_middle_of_a_row_changes_no_byte_of_what_came() {
    let mut between = Between::new(usize::MAX);
    let query = startup_and_query("select repeat('x', 300000000) from generate_series(1, 10)");
    let mut reset = TcpStream::connect(between.before.address()).expect("the relay listens");
    let mut cut = TcpStream::connect(between.before.address()).expect("the relay listens");
    for stream in [&mut reset, &mut cut] {
        stream.write_all(&query).expect("the bytes go out");
        let mut some = [0; 100_000];
        stream
            .read_exact(&mut some)
            .expect("the beginning of the row");
    }
    // Dropped with bytes unread: the kernel sends a reset.
    drop(reset);
    between.server.kill();
    let mut rest = Vec::new();
    let _end = cut.read_to_end(&mut rest);
    // What the proxy had not passed on when it ended is lost with any proxy; the rest is equal.
    wait_for(LIMIT, || {
        between
            .envoy
            .stats("downstream_cx_active")
            .contains(": 0")
            .then_some(())
    });
    for (before, behind) in between
        .before
        .recordings()
        .iter()
        .zip(between.behind.recordings())
    {
        assert!(behind.backend.starts_with(&before.backend));
        assert_eq!(behind.frontend, before.frontend);
    }
}

fn startup_and_query(sql: &str) -> Vec<u8> {
    let parameters = b"user\0postgres\0database\0postgres\0\0";
    let mut bytes = Vec::new();
    bytes.extend_from_slice(
        &u32::try_from(parameters.len() + 8)
            .expect("short")
            .to_be_bytes(),
    );
    bytes.extend_from_slice(&[0, 3, 0, 0]);
    bytes.extend_from_slice(parameters);
    bytes.push(b'Q');
    bytes.extend_from_slice(&u32::try_from(sql.len() + 5).expect("short").to_be_bytes());
    bytes.extend_from_slice(sql.as_bytes());
    bytes.push(0);
    bytes
}
