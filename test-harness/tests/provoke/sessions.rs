//! Situations that need more than one session, another way in, or a signal.

use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use test_harness::hosts::{Postgres, wait_for};
use test_harness::net::Client;

use super::{command, psql, run_with};

/// Events that these must show.
pub const EVENTS: &[&str] = &[
    "password_authentication_failed",
    "role_does_not_exist",
    "role_may_not_log_in",
    "too_many_connections",
    "database_does_not_exist",
    "database_not_accepting_connections",
    "lock_waiting",
    "lock_acquired",
    "lock_timeout",
    "lock_not_available",
    "deadlock_detected",
    "deadlock_resolved",
    "serialization_failure",
    "replication_command",
    "replication_connection_authorized",
    "client_connection_lost",
    "invalid_startup_packet",
    "unsupported_protocol",
    "protocol_violation",
    "process_crashed",
    "crash_shutdown",
    "crash_recovery",
    "redo",
    "server_was_interrupted",
    "server_ready",
    "server_listening",
    "server_starting",
    "shutdown_requested",
    "server_shutdown_started",
    "server_shut_down",
];

pub(crate) fn run(server: &Postgres) {
    logins(server);
    locks(server);
    clients_that_misbehave(server);
    replication(server);
    crash(server);
}

/// Over TCP, where passwords are asked for.
fn logins(server: &Postgres) {
    let over_tcp = |variables: &[(&str, &str)]| {
        let mut psql = command(server);
        psql.env("PGHOST", "127.0.0.1")
            .env("PGPASSWORD", "wrong-secret");
        psql.envs(variables.iter().copied());
        run_with(psql, "SELECT 1");
    };
    psql(server, "ALTER ROLE bob PASSWORD 'right'");
    over_tcp(&[("PGUSER", "bob")]);
    over_tcp(&[
        ("PGUSER", "bob"),
        ("PGPASSWORD", "right"),
        ("PGAPPNAME", "it is, [me]: LOG"),
    ]);
    let over_socket = |variables: &[(&str, &str)]| {
        let mut psql = command(server);
        psql.envs(variables.iter().copied());
        run_with(psql, "SELECT 1");
    };
    over_socket(&[("PGUSER", "nobody_at_all")]);
    over_socket(&[("PGUSER", "nobody_in")]);
    over_socket(&[("PGUSER", "full_up")]);
    over_socket(&[("PGDATABASE", "nowhere")]);
    over_socket(&[("PGDATABASE", "closed")]);
}

/// Two sessions at a time.
fn locks(server: &Postgres) {
    let two = |first: &str, second: &str| {
        thread::scope(|scope| {
            scope.spawn(|| psql(server, first));
            thread::sleep(Duration::from_millis(150));
            scope.spawn(|| psql(server, second));
        });
    };
    let hold = "BEGIN; UPDATE t SET b = 'held' WHERE a = 1; SELECT pg_sleep(0.8); COMMIT";
    two(hold, "UPDATE t SET b = 'waited' WHERE a = 1");
    two(
        hold,
        "SET lock_timeout = '200ms'; UPDATE t SET b = 'secret' WHERE a = 1",
    );
    two(hold, "SELECT * FROM t WHERE a = 1 FOR UPDATE NOWAIT");
    two(
        "BEGIN; LOCK TABLE t; SELECT pg_sleep(0.8); COMMIT",
        "LOCK TABLE t NOWAIT",
    );
    two(
        "BEGIN; UPDATE t SET b = 'x' WHERE a = 1; SELECT pg_sleep(0.5); UPDATE t SET b = 'secret' WHERE a = 2; COMMIT",
        "BEGIN; UPDATE t SET b = 'y' WHERE a = 2; SELECT pg_sleep(0.5); UPDATE t SET b = 'secret' WHERE a = 1; COMMIT",
    );
    two(
        "BEGIN; UPDATE t SET b = 'z' WHERE a = 1; SELECT pg_sleep(0.5); COMMIT",
        "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM t; UPDATE t SET b = 'w' WHERE a = 1; COMMIT",
    );
}

fn clients_that_misbehave(server: &Postgres) {
    let startup = |version: u32, body: &[u8]| {
        let mut packet = Vec::new();
        let length = u32::try_from(body.len() + 8).expect("short");
        packet.extend_from_slice(&length.to_be_bytes());
        packet.extend_from_slice(&version.to_be_bytes());
        packet.extend_from_slice(body);
        let mut client = Client::connect(server.address());
        client.send(&packet);
        client.read_to_end();
    };
    startup(0x0003_0000, b"\0");
    startup(0x0004_0000, b"user\0postgres\0\0");
    let mut client = Client::connect(server.address());
    client.send(b"\0\0\0\x02");
    client.read_to_end();
    // Leaves in the middle of a transaction.
    let mut psql = command(server);
    psql.stdin(std::process::Stdio::piped());
    let mut child = psql.spawn().expect("psql starts");
    let input = child.stdin.as_mut().expect("it has one");
    let sql = "BEGIN; SELECT pg_sleep(0.01);\n\\! sleep 5\n";
    std::io::Write::write_all(input, sql.as_bytes()).expect("psql reads");
    thread::sleep(Duration::from_millis(400));
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    thread::sleep(Duration::from_millis(200));
}

fn replication(server: &Postgres) {
    let mut psql_over = command(server);
    psql_over
        .env("PGOPTIONS", "")
        .args(["-d", "replication=database"]);
    run_with(psql_over, "IDENTIFY_SYSTEM");
    psql(server, "SELECT 1");
}

/// Kills a backend as the kernel would, and waits until the server is back.
fn crash(server: &Postgres) {
    let pid = thread::scope(|scope| {
        scope.spawn(|| psql(server, "SELECT pg_sleep(10) /* secret */"));
        let found = wait_for(Duration::from_secs(5), || {
            let found = server.sql(
                "SELECT pid FROM pg_stat_activity WHERE query LIKE '%pg_sleep(10)%' AND pid <> pg_backend_pid()",
            );
            found.parse::<i32>().ok()
        });
        let pid = found.expect("the session shows");
        let process = Pid::from_raw(pid).expect("not zero");
        kill_process(process, Signal::KILL).expect("it runs");
        pid
    });
    let back = wait_for(Duration::from_secs(30), || {
        let mut psql = server.client("psql");
        let output = psql.args(["-XAtqc", "SELECT 1"]).output().ok()?;
        output.status.success().then_some(())
    });
    back.unwrap_or_else(|| panic!("the server is not back after {pid} was killed"));
}
