//! A standby that has to choose between its queries and its primary, loses it, and is promoted; and another
//! behind it, which has to follow.

use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use test_harness::hosts::{Postgres, Version, wait_for};

use super::faults::archive;
use super::{command, psql, reset, run_with, set};

const LIMIT: Duration = Duration::from_secs(20);

/// A standby that is promoted, and the standby that followed it.
pub(crate) fn run(server: &Postgres) -> [Postgres; 2] {
    let archive = archive(server);
    let restore = format!(
        "restore_command = 'cp {}/%f %p 2>/dev/null'",
        archive.display()
    );
    psql(server, &format!("ALTER SYSTEM SET {restore}"));
    psql(
        server,
        "CREATE DATABASE dropped; CREATE TABLE held (a int); INSERT INTO held VALUES (1)",
    );
    let first = copy(server, "first");
    let second = copy(&first, "second");
    psql(
        &first,
        "INSERT INTO t VALUES (99, 'secret', 1); SELECT nextval('short')",
    );
    synchronous(server);
    conflicts(server, &first);
    psql(server, "CHECKPOINT");
    caught_up(server, &first);
    psql(&first, "CHECKPOINT");
    stalled(server, &first);
    if server.version() == Version::V18 {
        slots_that_follow(server, &first);
    }
    psql(&first, "SELECT pg_promote(true, 20)");
    let followed = wait_for(LIMIT, || {
        let timeline = "SELECT received_tli FROM pg_stat_wal_receiver";
        (second.sql(timeline) == "2").then_some(())
    });
    followed.expect("the second follows the first");
    [first, second]
}

/// A standby of a server, which logs to another directory.
fn copy(server: &Postgres, directory: &str) -> Postgres {
    let own = server.sql("SHOW log_directory");
    let log_to = |directory: &str| {
        psql(
            server,
            &format!("ALTER SYSTEM SET log_directory = '{directory}'"),
        );
    };
    log_to(directory);
    let standby = server.standby();
    log_to(&own);
    standby
}

/// Waits until a standby has all.
fn caught_up(server: &Postgres, standby: &Postgres) {
    let written = server.sql("SELECT pg_current_wal_lsn()");
    let replayed = format!("SELECT pg_last_wal_replay_lsn() >= '{written}'");
    let found = wait_for(LIMIT, || (standby.sql(&replayed) == "t").then_some(()));
    found.expect("the standby follows");
}

fn synchronous(server: &Postgres) {
    for names in ["standby", "ANY 1 (standby)"] {
        set(server, &format!("synchronous_standby_names = '{names}'"));
        psql(
            server,
            "SET synchronous_commit = on; INSERT INTO awaited VALUES ('secret')",
        );
    }
    reset(server, "synchronous_standby_names");
}

/// Queries of a standby's that are in the way of what its primary did.
fn conflicts(server: &Postgres, standby: &Postgres) {
    set(standby, "max_standby_streaming_delay = '100ms'");
    set(standby, "log_recovery_conflict_waits = on");
    caught_up(server, standby);
    thread::scope(|scope| {
        scope.spawn(|| {
            psql(
                standby,
                "BEGIN; SELECT a, pg_sleep(3), 'secret' FROM held; COMMIT",
            );
        });
        scope.spawn(|| {
            let mut psql = command(standby);
            psql.env("PGDATABASE", "dropped");
            run_with(psql, "SELECT pg_sleep(3), 'secret'");
        });
        thread::sleep(Duration::from_millis(500));
        psql(server, "DROP TABLE held; DROP DATABASE dropped");
        caught_up(server, standby);
    });
}

/// A standby that answers no more, until its primary lets it go.
fn stalled(server: &Postgres, standby: &Postgres) {
    set(server, "wal_sender_timeout = '400ms'");
    let receiver = standby.sql("SELECT pid FROM pg_stat_wal_receiver");
    let receiver = Pid::from_raw(receiver.parse().expect("a process id")).expect("not zero");
    kill_process(receiver, Signal::STOP).expect("it runs");
    thread::sleep(Duration::from_millis(1000));
    kill_process(receiver, Signal::CONT).expect("it runs");
    reset(server, "wal_sender_timeout");
    let back = wait_for(LIMIT, || {
        let count = "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'";
        (standby.sql(count) == "1").then_some(())
    });
    back.expect("the standby comes back");
}

/// A standby that keeps a logical slot of its primary's, too.
fn slots_that_follow(server: &Postgres, standby: &Postgres) {
    psql(
        server,
        "SELECT pg_create_physical_replication_slot('of_standby', true);
         SELECT pg_create_logical_replication_slot('kept', 'test_decoding', false, false, true)",
    );
    let conninfo = standby.sql("SHOW primary_conninfo");
    for setting in [
        format!(
            "primary_conninfo = '{} dbname=postgres'",
            conninfo.replace('\'', "''")
        ),
        "primary_slot_name = 'of_standby'".to_owned(),
        "hot_standby_feedback = on".to_owned(),
        "sync_replication_slots = on".to_owned(),
    ] {
        set(standby, &setting);
    }
    let synced = wait_for(LIMIT, || {
        psql(
            server,
            "SELECT pg_log_standby_snapshot(); SELECT pg_logical_slot_get_changes('kept', NULL, NULL)",
        );
        let kept =
            "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'kept' AND NOT temporary";
        (standby.sql(kept) == "1").then_some(())
    });
    synced.expect("the slot follows");
}
