//! Encryption, cancels and replication, with real clients and servers: what can be seen is counted,
//! and of what cannot, the metrics and the log say why.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use test_harness::hosts::postgres::output_of;
use test_harness::hosts::{Envoy, Postgres, Samples, Version, wait_for};
use test_harness::shipped;

const LIMIT: Duration = Duration::from_secs(20);
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
const GSSENC_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30];

#[track_caller]
fn wait_for_sum(envoy: &Envoy, metric: &str, labels: &[(&str, &str)], value: f64) -> Samples {
    wait_for(LIMIT, || {
        Some(envoy.scrape()).filter(|s| s.sum(metric, labels) == value)
    })
    .unwrap_or_else(|| {
        let pgmesh = envoy
            .scrape()
            .only(|sample| sample.name.starts_with("pgmesh_"));
        panic!(
            "{metric}{labels:?} is not {value}; there is:\n{pgmesh}\n{}",
            envoy.log()
        )
    })
}

fn opaque(reason: &'static str) -> (&'static str, [(&'static str, &'static str); 1]) {
    ("pgmesh_connections_opaque_total", [("reason", reason)])
}

fn connect(envoy: &Envoy) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", envoy.port())).expect("Envoy listens");
    stream
        .set_read_timeout(Some(LIMIT))
        .expect("a time-out can be set");
    stream
}

fn startup_message() -> Vec<u8> {
    let mut message = vec![0, 0, 0, 0, 0, 3, 0, 0];
    message.extend_from_slice(b"user\0postgres\0database\0postgres\0\0");
    message[3] = u8::try_from(message.len()).expect("a short message");
    message
}

fn read_byte(stream: &mut TcpStream) -> u8 {
    let mut byte = [0];
    stream.read_exact(&mut byte).expect("an answer");
    byte[0]
}

fn terminate(mut child: Child) {
    let pid = child.id().to_string();
    output_of(Command::new("kill").args(["-INT", &pid]));
    let _status = child.wait();
}

#[test]
fn tls_that_the_server_accepts_is_opaque_and_the_log_says_once_what_to_change() {
    let server = Postgres::builder(Version::V15).tls().start();
    let envoy = shipped::metrics_bootstrap(&server).start();
    for _ in 0..2 {
        let mut psql = server.client_through(envoy.port(), "psql");
        let output = output_of(
            psql.env("PGSSLMODE", "require")
                .args(["-XAtqc", "select 'secret'"]),
        );
        assert_eq!(output.stdout, b"secret\n");
    }
    let (metric, labels) = opaque("tls");
    let scrape = wait_for_sum(&envoy, metric, &labels, 2.0);
    assert!(scrape.sum("pgmesh_bytes_total", &[("direction", "backend")]) > 1000.0);
    assert_eq!(scrape.sum("pgmesh_statements_total", &[]), 0.0);
    assert_eq!(envoy.log().matches("(tls)").count(), 1, "{}", envoy.log());
    assert!(envoy.log().contains("sslmode=disable"));
}

#[test]
fn tls_that_the_server_refuses_costs_nothing() {
    let server = Postgres::start(Version::V18);
    let envoy = shipped::metrics_bootstrap(&server).start();
    let mut psql = Version::V15
        .program("psql")
        .map(Command::new)
        .expect("Debian's psql");
    psql.args([
        "-XAtqc",
        "select 1",
        "-h",
        "127.0.0.1",
        "-U",
        "postgres",
        "postgres",
    ]);
    output_of(
        psql.env("PGSSLMODE", "prefer")
            .env("PGPORT", envoy.port().to_string()),
    );
    let requests = [("message", "SSLRequest")];
    let scrape = wait_for_sum(&envoy, "pgmesh_messages_total", &requests, 1.0);
    assert_eq!(
        scrape.sum("pgmesh_statements_total", &[("operation", "SELECT")]),
        1.0
    );
}

#[test]
fn gss_and_then_tls_may_both_be_refused_on_one_connection() {
    let server = Postgres::start(Version::V18);
    let envoy = shipped::metrics_bootstrap(&server).start();
    let mut stream = connect(&envoy);
    for request in [GSSENC_REQUEST, SSL_REQUEST] {
        stream.write_all(&request).expect("the request goes out");
        assert_eq!(read_byte(&mut stream), b'N');
    }
    stream
        .write_all(&startup_message())
        .expect("the message goes out");
    assert_eq!(read_byte(&mut stream), b'R');
    wait_for_sum(
        &envoy,
        "pgmesh_connections_active",
        &[("user", "postgres")],
        1.0,
    );
}

#[test]
fn gss_that_the_server_accepts_is_opaque() {
    // Debian's build answers GSSENCRequest with G, whether it has a key table or not.
    let server = Postgres::start(Version::V15);
    let envoy = shipped::metrics_bootstrap(&server).start();
    let mut stream = connect(&envoy);
    stream
        .write_all(&GSSENC_REQUEST)
        .expect("the request goes out");
    assert_eq!(read_byte(&mut stream), b'G');
    let (metric, labels) = opaque("gss");
    wait_for_sum(&envoy, metric, &labels, 1.0);
    assert!(envoy.log().contains("gssencmode=disable"));
}

#[test]
fn direct_tls_and_other_protocols_are_told_apart() {
    let server = Postgres::start(Version::V18);
    let envoy = shipped::metrics_bootstrap(&server).start();
    for (first, reason) in [
        (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(),
            "direct_tls",
        ),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "not_postgresql"),
    ] {
        let mut stream = connect(&envoy);
        stream.write_all(first).expect("the bytes go out");
        let _closed = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _read = stream.read_to_end(&mut answer);
        let (metric, labels) = opaque(reason);
        wait_for_sum(&envoy, metric, &labels, 1.0);
    }
}

#[test]
fn cancels_with_short_and_long_keys_reach_the_server_and_are_counted() {
    let server = Postgres::start(Version::V18);
    let envoy = shipped::metrics_bootstrap(&server).start();
    for (round, version) in [(1.0, "3.0"), (2.0, "3.2")] {
        let mut psql = server.client_through(envoy.port(), "psql");
        psql.env("PGMAXPROTOCOLVERSION", version)
            .args(["-Xc", "select pg_sleep(60)"]);
        let psql = psql.stderr(Stdio::null()).spawn().expect("psql starts");
        wait_for(LIMIT, || {
            let sleeping = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'";
            (server.sql(sleeping) == "1").then_some(())
        })
        .expect("the statement runs");
        terminate(psql);
        wait_for_sum(&envoy, "pgmesh_cancel_requests_total", &[], round);
        wait_for_sum(
            &envoy,
            "pgmesh_errors_total",
            &[("sqlstate", "57014")],
            round,
        );
        wait_for_sum(
            &envoy,
            "pgmesh_connections_total",
            &[("protocol_version", version)],
            1.0,
        );
    }
}

#[test]
fn physical_and_logical_replication_are_kept_apart_from_statements() {
    let server = Postgres::start(Version::V18);
    server.sql("create table t (a int); create publication p for table t");
    let envoy = shipped::metrics_bootstrap(&server).start();
    let directory = tempfile::tempdir().expect("a directory");
    let mut receivewal = server.client_through(envoy.port(), "pg_receivewal");
    receivewal.arg("-n").arg("-D").arg(directory.path());
    let mut recvlogical = server.client_through(envoy.port(), "pg_recvlogical");
    recvlogical
        .args([
            "-d",
            "postgres",
            "--slot",
            "s",
            "--create-slot",
            "--start",
            "-P",
            "pgoutput",
        ])
        .args([
            "-o",
            "proto_version=1",
            "-o",
            "publication_names=p",
            "-f",
            "/dev/null",
        ]);
    let quietly = |mut command: Command| {
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts")
    };
    let children = [quietly(receivewal), quietly(recvlogical)];
    let active = "pgmesh_replication_connections_active";
    for kind in ["physical", "logical"] {
        wait_for_sum(&envoy, active, &[("kind", kind)], 1.0);
    }
    server.sql("insert into t select generate_series(1, 10000)");
    for kind in ["physical", "logical"] {
        let bytes = [("kind", kind)];
        wait_for(LIMIT, || {
            let received = envoy.scrape().sum("pgmesh_replication_bytes_total", &bytes);
            (received > 300_000.0).then_some(())
        })
        .unwrap_or_else(|| {
            panic!(
                "{kind}: {}",
                envoy.scrape().only(|s| s.name.contains("repl"))
            )
        });
    }
    children.into_iter().for_each(terminate);
    let scrape = wait_for_sum(&envoy, active, &[], 0.0);
    assert_eq!(
        scrape.sum("pgmesh_connections_opaque_total", &[]),
        0.0,
        "{scrape}"
    );
}

#[test]
fn a_server_that_dies_in_a_statement_is_counted() {
    let mut server = Postgres::start(Version::V18);
    let envoy = shipped::metrics_bootstrap(&server).start();
    let mut psql = server.client_through(envoy.port(), "psql");
    let mut psql = psql
        .args(["-Xc", "select pg_sleep(60)"])
        .stderr(Stdio::null())
        .spawn()
        .expect("psql");
    wait_for_sum(&envoy, "pgmesh_connections_active", &[], 1.0);
    std::thread::sleep(Duration::from_millis(300));
    server.kill();
    let _status = psql.wait();
    let scrape = wait_for_sum(&envoy, "pgmesh_backend_disconnects_total", &[], 1.0);
    assert_eq!(
        scrape.sum("pgmesh_transactions_total", &[("outcome", "disconnected")]),
        1.0
    );
}

#[test]
fn a_wrong_password_is_a_failed_connection_with_its_sqlstate() {
    let server = Postgres::builder(Version::V18)
        .authentication("scram-sha-256")
        .start();
    server.sql("create role alice login password 'wonderland'");
    let envoy = shipped::metrics_bootstrap(&server).start();
    let login = |password| {
        let mut psql = server.client_through(envoy.port(), "psql");
        psql.env("PGUSER", "alice").env("PGPASSWORD", password);
        psql.args(["-Xc", "select 1"])
            .output()
            .expect("psql runs")
            .status
            .success()
    };
    assert!(!login("mirror"));
    assert!(login("wonderland"));
    wait_for_sum(
        &envoy,
        "pgmesh_connection_failures_total",
        &[("sqlstate", "28P01")],
        1.0,
    );
    wait_for_sum(&envoy, "pgmesh_connections_active", &[], 0.0);
    for secret in ["mirror", "wonderland"] {
        assert!(!envoy.log().contains(secret));
        assert!(!envoy.admin("/stats").contains(secret));
    }
}
