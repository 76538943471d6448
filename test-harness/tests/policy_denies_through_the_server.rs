//! A denial looks to an application exactly like one of the server's own, and the connection goes
//! on: real Envoy, real servers, psql. (The drivers: `policy_denies_in_every_driver`.)

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use test_harness::hosts::postgres::output_of;
use test_harness::hosts::{Envoy, Postgres, Version, wait_for};
use test_harness::{drivers, shipped};

const LIMIT: Duration = Duration::from_secs(20);

const POLICY: &str = r#"{"rules": [
    {"name": "no drop", "action": "deny", "command": ["DROP TABLE"],
     "message": "nobody drops a table through the mesh", "hint": "Use a migration."},
    {"name": "where", "action": "deny", "where": "missing"},
    {"name": "not this database", "action": "deny", "database": ["secret"]}
]}"#;

fn psql(server: &Postgres, envoy: &Envoy, arguments: &[&str]) -> (String, String) {
    let mut psql = server.client_through(envoy.port(), "psql");
    let output = psql
        .args(["-XAtq", "-v", "VERBOSITY=verbose"])
        .args(arguments)
        .output()
        .expect("psql runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

fn behind(server: &Postgres, policy: &str) -> Envoy {
    Envoy::in_front_of(server.address())
        .module("envoy-policy", policy)
        .start()
}

#[test]
fn psql_sees_the_denial_where_the_servers_own_error_would_be() {
    for version in Version::ALL {
        let server = Postgres::start(version);
        let envoy = behind(&server, POLICY);
        let script = [
            "-c",
            "create table t (a int)",
            "-c",
            "insert into t values (1)",
            "-c",
            "drop table t",
            "-c",
            "update t set a = 2",
            "-c",
            "select a from t",
        ];
        let (stdout, stderr) = psql(&server, &envoy, &script);
        assert_eq!(stdout, "1\n", "{stderr}");
        let expected = "ERROR:  42501: nobody drops a table through the mesh\n\
            DETAIL:  Rule \"no drop\", fingerprint ";
        assert!(stderr.starts_with(expected), "{stderr}");
        assert!(
            stderr.contains("HINT:  Use a migration.\nERROR:  42501: statement denied"),
            "{stderr}"
        );
        assert!(!stderr.contains("pgmesh_denied"), "{stderr}");
        assert!(
            server.log().contains("pgmesh_denied_no_drop_"),
            "{}",
            server.log()
        );
        assert!(
            envoy.log().contains(r#""rule":"no drop""#),
            "{}",
            envoy.log()
        );
    }
}

#[test]
fn a_denied_connection_is_refused_as_the_server_refuses() {
    for version in Version::ALL {
        let server = Postgres::start(version);
        let envoy = behind(&server, POLICY);
        let (_, stderr) = psql(&server, &envoy, &["-d", "secret", "-c", "select 1"]);
        let expected = "FATAL:  28000: connection denied by the mesh's policy\n\
            DETAIL:  Rule \"not this database\".";
        assert!(
            stderr.contains(expected) || stderr.contains("connection denied by the mesh's policy"),
            "{stderr}"
        );
    }
}

#[test]
fn a_session_that_cannot_be_read_is_refused_with_the_reason() {
    let server = Postgres::builder(Version::V15).tls().start();
    let envoy = behind(&server, POLICY);
    let mut psql = server.client_through(envoy.port(), "psql");
    let output = psql
        .env("PGSSLMODE", "require")
        .args(["-XAtqc", "select 1"])
        .output()
        .expect("psql runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    // libpq does not print what it is told before the session is encrypted (CVE-2024-10977).
    assert!(
        stderr.contains("error response during SSL exchange"),
        "{stderr}"
    );
    assert!(envoy.log().contains(r#""rule":"tls""#), "{}", envoy.log());
    let mut psql = server.client_through(envoy.port(), "psql");
    let output = output_of(
        psql.env("PGSSLMODE", "disable")
            .args(["-XAtqc", "select 1"]),
    );
    assert_eq!(output.stdout, b"1\n");
}

#[test]
fn imposed_settings_reach_the_server_and_stay() {
    let policy = r#"{"rules": [{"name": "read only", "action": "allow", "user": ["postgres"],
        "set": {"default_transaction_read_only": "on", "statement_timeout": "5s"},
        "application_name": "{application}@mesh"}]}"#;
    for version in Version::ALL {
        let server = Postgres::start(version);
        let envoy = behind(&server, policy);
        let script = [
            "-c",
            "show statement_timeout",
            "-c",
            "show application_name",
            "-c",
            "create table t (a int)",
            "-c",
            "set statement_timeout = 0",
            "-c",
            "begin read write",
            "-c",
            "select set_config('statement_' || 'timeout', '0', false)",
            "-c",
            "show statement_timeout",
        ];
        let (stdout, stderr) = psql(&server, &envoy, &script);
        assert_eq!(stdout, "5s\npsql@mesh\n5s\n", "{stderr}");
        assert!(stderr.contains("25006"), "{stderr}");
        assert_eq!(
            stderr
                .matches("42501: a setting that the mesh's policy imposes")
                .count(),
            3,
            "{stderr}"
        );
        let mut psql = server.client_through(envoy.port(), "psql");
        let output = psql
            .env("PGOPTIONS", "-c statement_timeout=0")
            .args(["-XAtqc", "select 1"])
            .output()
            .expect("psql runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            stderr.contains("asks for a setting that the mesh's policy imposes"),
            "{stderr}"
        );
    }
}

#[test]
fn a_bad_policy_keeps_envoy_from_starting_and_says_why() {
    let server = Postgres::start(Version::V18);
    let bad = r#"{"rules": [{"name": "a", "action": "deny", "source": ["10.0.0.1/8"]}]}"#;
    let error = Envoy::in_front_of(server.address())
        .module("envoy-policy", bad)
        .try_start()
        .expect_err("it must not start")
        .to_string();
    let reason = "rules[0].source[0]: `10.0.0.1/8` has bits set behind its prefix";
    assert!(error.contains(reason), "{error}");
}

#[test]
fn a_cancel_passes_for_a_session_of_this_proxy_and_for_no_other() {
    for version in Version::ALL {
        let server = Postgres::start(version);
        let envoy = shipped::policy_bootstrap_with(&server, &server, r#"{"cancel": "strict"}"#)
            .concurrency(2)
            .start();
        let mut forged = TcpStream::connect(("127.0.0.1", envoy.port())).expect("Envoy listens");
        let pid = server.process_id().to_be_bytes();
        let cancel = [&[0, 0, 0, 16, 0x04, 0xd2, 0x16, 0x2e], &pid[..], b"evil"].concat();
        forged.write_all(&cancel).expect("Envoy reads");
        let mut psql = server
            .client_through(envoy.port(), "psql")
            .args(["-Xc", "select pg_sleep(600)"])
            .stderr(Stdio::piped())
            .spawn()
            .expect("psql starts");
        let sleeping = "select count(*) from pg_stat_activity where query = 'select pg_sleep(600)'";
        wait_for(LIMIT, || (server.sql(sleeping).trim() == "1").then_some(())).expect("it sleeps");
        let psql_pid = psql.id().to_string();
        output_of(Command::new("kill").args(["-INT", &psql_pid]));
        let mut stderr = String::new();
        let mut pipe = psql.stderr.take().expect("it is a pipe");
        pipe.read_to_string(&mut stderr).expect("psql ends");
        psql.wait().expect("psql ends");
        assert!(
            stderr.contains("canceling statement due to user request"),
            "{stderr}"
        );
        let denied = [("action", "deny")];
        let scrape = wait_for(LIMIT, || {
            let scrape = envoy.scrape();
            let count = scrape.sum("pgmesh_policy_cancel_requests_total", &denied);
            (count == 1.0).then_some(scrape)
        });
        let scrape = scrape.unwrap_or_else(|| panic!("{}", envoy.scrape()));
        let allowed = [("action", "allow")];
        assert_eq!(
            scrape.sum("pgmesh_policy_cancel_requests_total", &allowed),
            1.0
        );
        assert!(!server.log().contains("cancel request"), "{}", server.log());
    }
}

#[test]
fn a_rule_about_a_schema_leaves_names_alone_that_cannot_be_in_it() {
    let policy = r#"{"rules": [{"name": "cards", "action": "deny", "tables": ["payments.*"]}]}"#;
    let server = Postgres::start(Version::V18);
    server.sql(
        "create schema payments; create table payments.cards (a int);
         create table orders (a int); insert into orders values (7)",
    );
    let envoy = behind(&server, policy);
    let conninfo = drivers::conninfo(envoy.port(), "postgres");
    let output = output_of(drivers::python("search_path.py").arg(&conninfo));
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let expected = [
        "select a from orders|[(7,)]",
        "select a from payments.cards|42501",
        "set search_path = payments, public|55006",
        "select a from orders|[(7,)]",
        "set role postgres|55006",
        "DISCARD ALL",
        "--",
        "select a from cards|42501",
        "select a from cards|42501",
        "--",
        "pipelined|42501",
        "select 2|[(2,)]",
    ];
    assert_eq!(
        lines.lines().collect::<Vec<_>>(),
        expected,
        "{}",
        envoy.log()
    );
}

#[test]
fn a_command_of_the_replication_protocol_is_denied_as_a_statement_is() {
    let policy = r#"{"rules": [
        {"name": "no base backup", "action": "deny", "command": ["BASE_BACKUP", "SELECT"],
         "message": "backups are taken elsewhere"}
    ]}"#;
    for version in Version::ALL {
        let server = Postgres::start(version);
        let envoy = behind(&server, policy);
        for (replication, denied) in [
            ("true", "BASE_BACKUP"),
            ("database", "BASE_BACKUP"),
            ("database", "SELECT 1"),
        ] {
            let conninfo = format!("dbname=postgres replication={replication}");
            let script = ["-d", &conninfo, "-c", denied, "-c", "SHOW wal_segment_size"];
            let (stdout, stderr) = psql(&server, &envoy, &script);
            let expected =
                "ERROR:  42501: backups are taken elsewhere\nDETAIL:  Rule \"no base backup\"";
            assert!(
                stderr.starts_with(expected),
                "{version:?} {replication} {stderr}"
            );
            assert_eq!(stdout, "16MB\n", "{version:?} {replication} {stderr}");
        }
    }
}
