//! The PostgreSQL host keeps its promises: it answers when it says so, and leaves nothing behind.

use std::path::Path;
use std::time::Instant;

use test_harness::hosts::{Postgres, Version};

#[test]
fn both_versions_answer_as_soon_as_they_are_started() {
    for version in Version::ALL {
        let begin = Instant::now();
        let server = Postgres::start(version);
        println!(
            "PostgreSQL {} started in {:?}",
            version.number(),
            begin.elapsed()
        );
        let number: u32 = server.sql("show server_version_num").parse().unwrap();
        assert_eq!(number / 10_000, version.number());
    }
}

#[test]
fn a_dropped_server_leaves_no_process_and_no_directory() {
    let server = Postgres::start(Version::V18);
    let process = format!("/proc/{}", server.process_id());
    let directory = server.socket_directory().to_owned();
    assert!(Path::new(&process).exists());
    drop(server);
    assert!(!Path::new(&process).exists());
    assert!(!directory.exists());
}

#[test]
fn settings_and_preloaded_modules_are_in_force() {
    let server = Postgres::builder(Version::V15)
        .preload("pg_stat_statements")
        .setting("log_line_prefix", "it's %p: ")
        .start();
    server.sql("create extension pg_stat_statements");
    server.sql("select 4711");
    let calls = server.sql("select calls from pg_stat_statements where query = 'select $1'");
    assert_eq!(calls, "1");
    assert_eq!(server.sql("show log_line_prefix"), "it's %p: ");
}

#[test]
fn tls_and_passwords_can_be_asked_for() {
    let server = Postgres::builder(Version::V15)
        .tls()
        .authentication("scram-sha-256")
        .start();
    server.sql("create role alice login password 'wonderland'");
    let mut psql = server.client_through(server.port(), "psql");
    psql.env("PGUSER", "alice").env("PGSSLMODE", "require");
    psql.args([
        "-XAt",
        "-c",
        "select ssl from pg_stat_ssl where pid = pg_backend_pid()",
    ]);
    let refused = psql.env("PGPASSWORD", "mirror").output().unwrap();
    assert!(!refused.status.success());
    let accepted = psql.env("PGPASSWORD", "wonderland").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&accepted.stdout).trim(), "t");
}
