//! The PostgreSQL host keeps its promises: it answers when it says so, and leaves nothing behind.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use test_harness::hosts::postgres::output_of;
use test_harness::hosts::{Envoy, Postgres, Version, wait_for};

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
fn a_standby_repeats_what_its_server_writes() {
    for version in Version::ALL {
        let server = Postgres::start(version);
        server.sql("create table t (a int)");
        let standby = server.standby();
        server.sql("insert into t values (7)");
        let repeated = wait_for(Duration::from_secs(20), || {
            (standby.sql("table t") == "7").then_some(())
        });
        assert!(repeated.is_some(), "{}", standby.log());
        assert_eq!(standby.sql("select pg_is_in_recovery()"), "t");
        let name = "select application_name from pg_stat_replication";
        assert_eq!(server.sql(name), "standby");
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

/// Started by the test below, in a process of its own.
#[test]
#[ignore = "waits to be killed"]
fn hold_hosts_until_killed() {
    let server = Postgres::start(Version::V18);
    let envoy = Envoy::in_front_of(server.address()).start();
    println!("hosts: {} {}", server.process_id(), envoy.process_id());
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn hosts_end_when_the_harness_is_killed() {
    for signal in ["-KILL", "-INT", "-TERM"] {
        // A shell that runs the tests in the background has them ignore SIGINT.
        let mut harness = Command::new("env")
            .arg("--default-signal=INT")
            .arg(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "hold_hosts_until_killed",
                "--ignored",
                "--nocapture",
            ])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(harness.stdout.take().unwrap()).lines();
        let hosts: Vec<String> = lines
            .map_while(Result::ok)
            .find_map(|line| Some(line.split_once("hosts: ")?.1.to_owned()))
            .expect("the hosts start")
            .split(' ')
            .map(|id| format!("/proc/{id}/cmdline"))
            .collect();
        // A process that has ended and waits for init to notice has an empty one.
        let lives = |process: &&String| fs::read(process).is_ok_and(|line| !line.is_empty());
        let alive = || hosts.iter().filter(lives).count();
        assert_eq!(alive(), 2);
        output_of(Command::new("kill").args([signal, &harness.id().to_string()]));
        harness.wait().unwrap();
        let all_gone = wait_for(Duration::from_secs(10), || (alive() == 0).then_some(()));
        assert!(
            all_gone.is_some(),
            "{} hosts outlive a harness ended by {signal}",
            alive()
        );
    }
}
