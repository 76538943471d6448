//! Situations that need more than one session, another way in, or a signal.

use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use test_harness::hosts::{Postgres, wait_for};

use super::{command, psql, reset, run_with, set};

pub(crate) fn run(server: &Postgres) {
    logins(server);
    locks(server);
    locks_of_applications(server);
    uses_that_collide(server);
    waits_for_nobody(server);
    client_that_leaves(server);
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
fn two(server: &Postgres, first: &str, second: &str) {
    thread::scope(|scope| {
        scope.spawn(|| psql(server, first));
        thread::sleep(Duration::from_millis(150));
        scope.spawn(|| psql(server, second));
    });
}

fn locks(server: &Postgres) {
    let two = |first: &str, second: &str| two(server, first, second);
    let hold = "BEGIN; UPDATE t SET b = 'held' WHERE a = 1; SELECT pg_sleep(0.8); COMMIT";
    two(hold, "UPDATE t SET b = 'waited' WHERE a = 1");
    two(
        hold,
        "SET lock_timeout = '200ms'; UPDATE t SET b = 'secret' WHERE a = 1",
    );
    two(
        hold,
        "SET log_lock_failures = on; SELECT * FROM t WHERE a = 1 FOR UPDATE NOWAIT",
    );
    two(
        "BEGIN; LOCK TABLE t; SELECT pg_sleep(0.8); COMMIT",
        "BEGIN; LOCK TABLE t NOWAIT; ROLLBACK; VACUUM (SKIP_LOCKED) t;
         ANALYZE (SKIP_LOCKED) t; SELECT * FROM t FOR UPDATE NOWAIT",
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

/// Advisory locks, whose keys are data.
fn locks_of_applications(server: &Postgres) {
    let one = "SELECT pg_advisory_lock(7654321)";
    let other = "SELECT pg_advisory_lock(7654322)";
    two(
        server,
        &format!("{one}; SELECT pg_sleep(0.5); {other}"),
        &format!("{other}; SELECT pg_sleep(0.5); {one}"),
    );
    two(
        server,
        "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT sum(a) FROM u; SELECT pg_sleep(0.4); INSERT INTO u VALUES (1); COMMIT",
        "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT sum(a) FROM u; INSERT INTO u VALUES (1); SELECT pg_sleep(0.4); COMMIT",
    );
}

fn uses_that_collide(server: &Postgres) {
    psql(server, "CREATE DATABASE busy");
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut psql = command(server);
            psql.env("PGDATABASE", "busy");
            run_with(psql, "SELECT pg_sleep(0.6)");
        });
        thread::sleep(Duration::from_millis(200));
        // It waits five seconds for others to leave.
        let short = "SET statement_timeout = '300ms'; ALTER DATABASE busy RENAME TO idle";
        psql(server, short);
    });
    psql(server, "DROP DATABASE busy");
}

/// A COMMIT that waits for a standby which never comes.
fn waits_for_nobody(server: &Postgres) {
    set(server, "synchronous_standby_names = 'nobody'");
    psql(server, "CREATE TABLE awaited (a text)");
    for end in ["pg_cancel_backend", "pg_terminate_backend"] {
        thread::scope(|scope| {
            scope.spawn(|| {
                psql(
                    server,
                    "SET synchronous_commit = on; INSERT INTO awaited VALUES ('secret')",
                );
            });
            let waiting =
                format!("SELECT {end}(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
            let found = wait_for(Duration::from_secs(10), || {
                (server.sql(&waiting) == "t").then_some(())
            });
            found.expect("the session waits");
        });
    }
    reset(server, "synchronous_standby_names");
}

/// In the middle of a transaction.
fn client_that_leaves(server: &Postgres) {
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

/// Ends a backend by a signal that is none of the server's own, and waits until the server is back.
pub(crate) fn crash(server: &Postgres, signal: Signal) {
    let pid = thread::scope(|scope| {
        scope.spawn(|| {
            psql(
                server,
                "SET synchronous_commit = on; CREATE TEMP TABLE orphan (a int); SELECT pg_sleep(10) /* secret */",
            );
        });
        let found = wait_for(Duration::from_secs(5), || {
            let found = server.sql(
                "SELECT pid FROM pg_stat_activity WHERE query LIKE '%pg_sleep(10)%' AND pid <> pg_backend_pid()",
            );
            found.parse::<i32>().ok()
        });
        let pid = found.expect("the session shows");
        let process = Pid::from_raw(pid).expect("not zero");
        kill_process(process, signal).expect("it runs");
        pid
    });
    let back = wait_for(Duration::from_secs(30), || {
        let mut psql = server.client("psql");
        let output = psql.args(["-XAtqc", "SELECT 1"]).output().ok()?;
        output.status.success().then_some(())
    });
    back.unwrap_or_else(|| panic!("the server is not back after {pid} was killed"));
}

/// Asks for a shutdown that waits for the last session, and tries to make another.
pub(crate) fn shut_the_door(server: &Postgres) {
    thread::scope(|scope| {
        scope.spawn(|| psql(server, "SELECT pg_sleep(0.8)"));
        thread::sleep(Duration::from_millis(300));
        let pid = i32::try_from(server.process_id()).ok();
        let postmaster = pid.and_then(Pid::from_raw).expect("a process id");
        kill_process(postmaster, Signal::TERM).expect("it runs");
        thread::sleep(Duration::from_millis(200));
        psql(server, "SELECT 1");
    });
}
