//! Limits hold over all workers of an Envoy, and a client is told what PostgreSQL's own errors say.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use test_harness::hosts::{Envoy, Postgres, Version, wait_for};
use test_harness::net::client::tags;
use test_harness::net::{Client, messages};
use test_harness::shipped;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const LIMIT: Duration = Duration::from_secs(20);

fn behind(server: &Postgres, policy: &str) -> Envoy {
    shipped::policy_bootstrap_with(server, server, policy)
        .concurrency(2)
        .start()
}

fn psql(server: &Postgres, envoy: &Envoy, application: &str) -> Command {
    let mut psql = server.client_through(envoy.port(), "psql");
    psql.env("PGAPPNAME", application)
        .args(["-XAtq", "-v", "VERBOSITY=verbose"]);
    psql
}

fn stderr(command: &mut Command) -> String {
    let output = command.output().expect("psql runs");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn sleeping(server: &Postgres, envoy: &Envoy, application: &str) -> Child {
    psql(server, envoy, application)
        .args(["-c", "select pg_sleep(600)"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("psql starts")
}

fn sessions(server: &Postgres) -> usize {
    let count = server.sql("select count(*) from pg_stat_activity where query like '%pg_sleep%' and state = 'active' and pid <> pg_backend_pid()");
    count.trim().parse().expect("a number")
}

/// Ends sessions from the server's side: one that still sleeps there still counts, whatever became
/// of its client.
fn end(server: &Postgres, sleepers: Vec<Child>) {
    server.sql("select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep%' and pid <> pg_backend_pid()");
    for mut sleeper in sleepers {
        sleeper.wait().expect("it ends");
    }
}

#[test]
fn connections_over_all_workers_are_no_more_than_the_limit() {
    let server = Postgres::start(Version::V18);
    let policy =
        r#"{"limits": [{"name": "per app", "key": ["application"], "max_connections": 4}]}"#;
    let envoy = behind(&server, policy);
    let sleepers: Vec<_> = (0..30).map(|_| sleeping(&server, &envoy, "many")).collect();
    wait_for(LIMIT, || (sessions(&server) == 4).then_some(())).expect("four are let in");
    let refused = stderr(psql(&server, &envoy, "many").args(["-c", "select 1"]));
    assert!(
        refused.contains("too many connections for the mesh's policy"),
        "{refused}"
    );
    assert_eq!(
        stderr(psql(&server, &envoy, "other").args(["-c", "select 1"])),
        ""
    );
    assert_eq!(sessions(&server), 4);
    end(&server, sleepers);
    wait_for(LIMIT, || {
        let again = stderr(psql(&server, &envoy, "many").args(["-c", "select 1"]));
        again.is_empty().then_some(())
    })
    .expect("what is given back can be had again");
    let reached = envoy
        .scrape()
        .sum("pgmesh_policy_limits_reached_total", &[]);
    assert!(reached >= 27.0, "{reached}");
}

#[test]
fn statements_beyond_the_rate_are_denied_and_the_session_goes_on() {
    let server = Postgres::start(Version::V15);
    let policy = r#"{"limits": [{"name": "slow", "key": ["user"], "statements_per_second": 1, "burst": 3}]}"#;
    let envoy = behind(&server, policy);
    let mut command = psql(&server, &envoy, "app");
    for _ in 0..6 {
        command.args(["-c", "select 1"]);
    }
    let output = command.output().expect("psql runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    let passed = output.stdout.iter().filter(|byte| **byte == b'1').count();
    assert!((3..=4).contains(&passed), "{passed} {stderr}");
    assert_eq!(
        stderr
            .matches("53400: too many statements per second")
            .count(),
        6 - passed,
        "{stderr}"
    );
}

#[test]
fn what_takes_too_long_is_closed() {
    let server = Postgres::start(Version::V18);
    let policy = r#"{"limits": [{"name": "time", "max_statement_seconds": 2, "max_idle_in_transaction_seconds": 2}]}"#;
    let envoy = behind(&server, policy);
    let before = Instant::now();
    let closed = stderr(psql(&server, &envoy, "app").args(["-c", "select pg_sleep(600)"]));
    assert!(
        closed.contains("closed the connection unexpectedly"),
        "{closed}"
    );
    let idle = stderr(psql(&server, &envoy, "app").args([
        "-c",
        "begin",
        "-c",
        "\\! sleep 6",
        "-c",
        "select 1",
    ]));
    assert!(
        idle.contains("closed the connection unexpectedly"),
        "{idle}"
    );
    assert!(before.elapsed() < Duration::from_secs(60));
    let quick =
        stderr(psql(&server, &envoy, "app").args(["-c", "begin", "-c", "select pg_sleep(0.1)"]));
    assert_eq!(quick, "");
}

#[test]
fn a_worker_that_is_busy_for_one_is_denied_to_the_next() {
    let server = Postgres::start(Version::V18);
    let envoy = behind(&server, r#"{"limits": [{"name": "busy", "max_busy": 1}]}"#);
    let sleeper = sleeping(&server, &envoy, "one");
    wait_for(LIMIT, || (sessions(&server) == 1).then_some(())).expect("it is let in");
    let denied = stderr(psql(&server, &envoy, "two").args(["-c", "select 1"]));
    assert!(
        denied.contains("53400: too many sessions wait for the server"),
        "{denied}"
    );
    end(&server, vec![sleeper]);
    wait_for(LIMIT, || {
        let again = stderr(psql(&server, &envoy, "two").args(["-c", "select 1"]));
        again.is_empty().then_some(())
    })
    .expect("the server is free again");
}

/// What became of one client of the flood.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    LetIn,
    /// With this SQLSTATE.
    Refused(String),
    Closed,
}

/// A client that says who it is, and stays for as long as the stream is kept if it is let in.
async fn knock(envoy: SocketAddr, startup: &[u8]) -> (Outcome, Option<TcpStream>) {
    let Ok(mut stream) = TcpStream::connect(envoy).await else {
        return (Outcome::Closed, None);
    };
    let mut header = [0; 5];
    if stream.write_all(startup).await.is_err() || stream.read_exact(&mut header).await.is_err() {
        return (Outcome::Closed, None);
    }
    if header[0] != b'E' {
        return (Outcome::LetIn, Some(stream));
    }
    let mut error = Vec::new();
    stream.read_to_end(&mut error).await.ok();
    let mut fields = error.split(|byte| *byte == 0);
    let sqlstate = fields.find_map(|field| field.strip_prefix(b"C"));
    let sqlstate = String::from_utf8_lossy(sqlstate.unwrap_or_default());
    (Outcome::Refused(sqlstate.into_owned()), None)
}

#[test]
fn of_thousands_at_once_no_more_are_let_in_than_the_limit_and_every_other_is_told() {
    const CLIENTS: usize = 3_000;
    const ALLOWED: usize = 20;
    let server = Postgres::start(Version::V18);
    let policy =
        r#"{"limits": [{"name": "per app", "key": ["application"], "max_connections": 20}]}"#;
    let envoy = behind(&server, policy);
    let address = SocketAddr::from(([127, 0, 0, 1], envoy.port()));
    let parameters = [("user", "postgres"), ("application_name", "flood")];
    let startup = messages::startup(messages::PROTOCOL_3_0, &parameters);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime is made");
    let clients = runtime.block_on(async {
        let mut flood = tokio::task::JoinSet::new();
        for _ in 0..CLIENTS {
            let startup = startup.clone();
            flood.spawn(async move { knock(address, &startup).await });
        }
        flood.join_all().await
    });
    let count = |wanted: &Outcome| clients.iter().filter(|(seen, _)| seen == wanted).count();
    let refused = Outcome::Refused("53300".to_owned());
    let (let_in, refused) = (count(&Outcome::LetIn), count(&refused));
    assert_eq!((let_in, refused), (ALLOWED, CLIENTS - ALLOWED));
}

/// Of two Syncs, one behind Execute and one behind CopyDone, the server answers one.
#[test]
fn a_session_is_idle_after_a_copy_of_the_extended_protocol() {
    for version in Version::ALL {
        let server = Postgres::start(version);
        server.sql("create table t (a int)");
        let envoy = behind(
            &server,
            r#"{"limits": [{"name": "a", "max_statement_seconds": 1}]}"#,
        );
        let address = SocketAddr::from(([127, 0, 0, 1], envoy.port()));
        let mut client = Client::session(address, "postgres");
        client.send(
            &[
                messages::parse("", "copy t from stdin"),
                messages::bind("", "", &[]),
                messages::execute("", 0),
                messages::sync(),
            ]
            .concat(),
        );
        while client.read_message().tag != b'G' {}
        client.send(
            &[
                messages::copy_data(b"1\n"),
                messages::copy_done(),
                messages::sync(),
            ]
            .concat(),
        );
        assert_eq!(tags(&client.read_until_ready()), "CZ", "{version:?}");
        std::thread::sleep(Duration::from_secs(5));
        let answer = client.query("select a from t");
        assert_eq!(tags(&answer), "TDCZ", "{version:?}");
    }
}
