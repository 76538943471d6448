//! What goes wrong in a server: autovacuum in the way, slots that fall behind, a subscription that conflicts,
//! and files that are lost, damaged or cannot grow.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use test_harness::hosts::{Postgres, wait_for};

use super::{command, psql, reset, run_with, set};

/// Bytes of a page of a table or index.
const PAGE: usize = 8192;

/// What a server can be made to suffer while it runs.
pub(crate) fn run(server: &Postgres) {
    autovacuum_in_the_way(server);
    slot_that_falls_behind(server);
    subscription_that_conflicts(server);
    archive_that_works(server);
    checkpoint_that_fails(server);
}

/// Autovacuum that goes so slowly over a table that somebody else wants to lock it.
fn autovacuum_in_the_way(server: &Postgres) {
    psql(
        server,
        "CREATE TABLE slow (a int) WITH (autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0,
             autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1);
         INSERT INTO slow SELECT generate_series(1, 50000); DELETE FROM slow WHERE a % 2 = 0",
    );
    let vacuums = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'autovacuum:%slow%'";
    let found = wait_for(Duration::from_secs(30), || {
        (server.sql(vacuums) != "0").then_some(())
    });
    found.expect("autovacuum comes to the table");
    psql(
        server,
        "BEGIN; LOCK TABLE slow; COMMIT; ALTER TABLE slow SET (autovacuum_enabled = false)",
    );
}

/// More WAL than the server may keep, and more of it than checkpoints are meant for.
fn slot_that_falls_behind(server: &Postgres) {
    set(server, "max_slot_wal_keep_size = '1MB'");
    set(server, "max_wal_size = '32MB'");
    psql(
        server,
        "SELECT pg_create_physical_replication_slot('behind', true); CREATE TABLE wal (a int)",
    );
    for _ in 0..4 {
        psql(
            server,
            "INSERT INTO wal VALUES (1); SELECT pg_switch_wal(); SELECT pg_sleep(0.2)",
        );
    }
    psql(
        server,
        "CHECKPOINT; CHECKPOINT; SELECT pg_drop_replication_slot('behind')",
    );
    reset(server, "max_slot_wal_keep_size");
    reset(server, "max_wal_size");
}

/// Of a table of the same cluster's: the row that comes is there already.
fn subscription_that_conflicts(server: &Postgres) {
    psql(
        server,
        "CREATE DATABASE copy; CREATE TABLE told (a int PRIMARY KEY, b text); CREATE PUBLICATION told FOR TABLE told;
         SELECT pg_create_logical_replication_slot('told', 'pgoutput')",
    );
    let in_the_copy = |sql: &str| {
        let mut psql = command(server);
        psql.env("PGDATABASE", "copy");
        run_with(psql, sql);
    };
    let conninfo = format!(
        "host={} port={} user=postgres dbname=postgres password=hunter2",
        server.socket_directory().display(),
        server.port()
    );
    in_the_copy(&format!(
        "CREATE TABLE told (a int PRIMARY KEY, b text); INSERT INTO told VALUES (1, 'secret');
         CREATE SUBSCRIPTION told CONNECTION '{conninfo}' PUBLICATION told
             WITH (create_slot = false, slot_name = 'told', copy_data = true, disable_on_error = true)",
    ));
    thread::sleep(Duration::from_millis(500));
    psql(
        server,
        "SELECT pg_drop_replication_slot('told'); INSERT INTO told VALUES (1, 'secret')",
    );
    thread::sleep(Duration::from_millis(1500));
    in_the_copy(
        "ALTER SUBSCRIPTION told DISABLE; ALTER SUBSCRIPTION told SET (slot_name = NONE); DROP SUBSCRIPTION told",
    );
    psql(
        server,
        "SELECT pg_drop_replication_slot('told'); SELECT pg_create_logical_replication_slot('told', 'test_decoding')",
    );
}

/// As workers tell it that tell more than is usual.
fn archive_that_works(server: &Postgres) {
    set(server, "log_min_messages = 'debug1'");
    let archive = archive(server);
    fs::create_dir_all(&archive).expect("made");
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    fs::set_permissions(&archive, everybody).expect("it is ours");
    let archive = archive.display();
    set(server, &format!("archive_command = 'cp %p {archive}/%f'"));
    psql(
        server,
        "SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
         SELECT count(*) FROM lots; SELECT pg_backup_start('secret', true); SELECT pg_backup_stop()",
    );
    psql(
        server,
        "INSERT INTO wal VALUES (1); SELECT pg_switch_wal(); SELECT pg_sleep(0.5); CHECKPOINT",
    );
    // The first of the WAL is no longer there.
    let mut psql_over = command(server);
    psql_over.args(["-d", "replication=database"]);
    run_with(
        psql_over,
        "IDENTIFY_SYSTEM;\nSTART_REPLICATION PHYSICAL 0/1000000 TIMELINE 1",
    );
    reset(server, "log_min_messages");
}

/// Where the server's WAL goes.
pub(crate) fn archive(server: &Postgres) -> PathBuf {
    server.socket_directory().join("archive")
}

/// Pages are to be written to a file that is not there.
fn checkpoint_that_fails(server: &Postgres) {
    let data = server.data_directory();
    let mut psql = command(server);
    psql.env("DATA", data);
    run_with(
        psql,
        "CREATE TABLE gone AS SELECT generate_series(1, 1000) AS a;
         SELECT pg_relation_filepath('gone') AS path\n\\gset\n\\setenv FILE :path
         \\! mv \"$DATA/$FILE\" \"$DATA/$FILE.away\"\nCHECKPOINT;\n\\! mv \"$DATA/$FILE.away\" \"$DATA/$FILE\"\nDROP TABLE gone",
    );
}

/// Damages files, to be read after the crash that comes next: until then their pages are in memory.
pub(crate) fn damage(server: &Postgres) {
    psql(
        server,
        "CREATE TABLE damaged (a int); INSERT INTO damaged SELECT generate_series(1, 1000);
         CREATE TABLE lost (a int); INSERT INTO lost SELECT generate_series(1, 1000);
         CREATE TABLE cut (a int PRIMARY KEY); INSERT INTO cut SELECT generate_series(1, 1000);
         CREATE TABLE emptied (a int PRIMARY KEY); INSERT INTO emptied SELECT generate_series(1, 1000);
         CREATE TABLE full_disk (a text); CHECKPOINT",
    );
    let file = |table: &str| {
        let path = server.sql(&format!("SELECT pg_relation_filepath('{table}')"));
        server.data_directory().join(path)
    };
    // In place, so that the files stay their owner's.
    let open = |path: &Path| -> File {
        let file = OpenOptions::new().write(true).open(path);
        file.expect("it is there")
    };
    let damaged = open(&file("damaged"));
    damaged.write_all_at(&[0xa5; 512], 0).expect("written");
    let cut = open(&file("cut_pkey"));
    cut.set_len(PAGE as u64).expect("cut");
    let emptied = open(&file("emptied_pkey"));
    emptied
        .write_all_at(&[0; PAGE], PAGE as u64)
        .expect("written");
    fs::remove_file(file("lost")).expect("it was there");
    let full = file("full_disk");
    fs::remove_file(&full).expect("it was there");
    symlink("/dev/full", &full).expect("made");
}

/// Autovacuum drops what the session that crashed had for itself.
pub(crate) fn orphan_goes(server: &Postgres) {
    let orphans = "SELECT count(*) FROM pg_class WHERE relname = 'orphan'";
    let gone = wait_for(Duration::from_secs(20), || {
        (server.sql(orphans) == "0").then_some(())
    });
    gone.expect("autovacuum drops it");
}

/// Reads what is damaged.
pub(crate) fn read_damaged(server: &Postgres) {
    psql(
        server,
        "SELECT * FROM damaged; SELECT * FROM lost; SET enable_seqscan = off; SELECT * FROM cut WHERE a = 7;
         SELECT * FROM emptied WHERE a = 7; INSERT INTO full_disk VALUES ('secret');
         DROP TABLE damaged, lost, cut, emptied, full_disk",
    );
}
