//! The module in a real Fluent Bit, by the configurations that we ship, over the log of a real server:
//! the records are what the host of its contract gives for the same input, and hold no data.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use test_harness::fakes::fluent_bit::{Answer, FluentBit as Contract};
use test_harness::hosts::fluent_bit::{Filters, FluentBit, Shipped};
use test_harness::hosts::places::built_module;
use test_harness::hosts::postgres::output_of;
use test_harness::hosts::{Loki, Postgres, Version};

const SECRET: &str = "hunter2-4111";

/// What a server's log is made of.
struct Log {
    /// Owns the directory of the log.
    _server: Postgres,
    stderr: PathBuf,
}

/// A server that has logged connections, statements and errors of several lines.
fn log_of_a_server(version: Version) -> Log {
    let mut server = Postgres::builder(version)
        .setting("logging_collector", "on")
        .setting("log_destination", "stderr")
        .setting("log_directory", "log")
        .setting("log_filename", "server.log")
        .setting("log_line_prefix", "%m [%p] %q%u@%d ")
        .setting("log_connections", "on")
        .setting("log_min_duration_statement", "0")
        .start();
    server.sql("create table cards (card text primary key)");
    server.sql(&format!("insert into cards values ('{SECRET}')"));
    for failing in [
        format!("insert into cards values ('{SECRET}')"),
        format!("select '{SECRET}'::int"),
        format!("select 1\n  from cards\n where card = '{SECRET}'\n   and nowhere"),
    ] {
        let mut psql = server.client("psql");
        let status = psql.args(["-Xqc", &failing]).output().expect("psql runs");
        assert!(!status.status.success());
    }
    let stderr = server.data_directory().join("log/server.log");
    server.stop();
    Log {
        _server: server,
        stderr,
    }
}

/// What the host of the contract makes of a record.
fn by_contract(contract: &mut Contract, record: &Value) -> Option<Value> {
    match contract.record(0, record.to_string().as_bytes()) {
        Answer::Passed => Some(record.clone()),
        Answer::Replaced(text) => Some(serde_json::from_str(&text).expect("JSON")),
        Answer::Dropped => None,
        other => panic!("{other:?} for {record}"),
    }
}

#[test]
fn what_the_shipped_configurations_make_of_a_log_is_what_the_contract_says() {
    let Some(host) = FluentBit::find() else {
        return;
    };
    for version in Version::ALL {
        let log = log_of_a_server(version);
        for shipped in [Shipped::Yaml, Shipped::Classic] {
            let given = host.records(shipped, Filters::WithoutTheModule, &log.stderr);
            let made = host.records(shipped, Filters::All, &log.stderr);
            let mut contract = Contract::load(&built_module("fluentbit-filter"), "pgmesh");
            let expected = given
                .iter()
                .filter_map(|record| by_contract(&mut contract, record));
            assert_eq!(made, expected.collect::<Vec<_>>(), "{shipped:?}");
            judge(&made);
        }
    }
}

/// Each error is one record, with its class, its statement, and no data.
#[track_caller]
fn judge(records: &[Value]) {
    for (event, text) in [
        ("unique_violation", "insert into cards values (?)"),
        ("invalid_text_representation", "select ?::int"),
    ] {
        let found = records
            .iter()
            .filter(|record| record["postgresql_event"] == event);
        let found = found.collect::<Vec<_>>();
        assert_eq!(found.len(), 1, "{event} in {records:#?}");
        assert_eq!(found[0]["severity"], "ERROR");
        assert_eq!(found[0]["db_query_text"], text);
    }
    let all = format!("{records:?}");
    assert!(!all.contains(SECRET) && !all.contains("4111"), "{all}");
}

#[test]
fn loki_finds_an_error_by_severity_event_and_fingerprint() {
    let Some(host) = FluentBit::find() else {
        return;
    };
    let loki = Loki::start();
    let log = log_of_a_server(Version::V18);
    let no_envoy = log.stderr.with_file_name("envoy.log");
    let running = host.into_loki(&log.stderr, &no_envoy, loki.address());
    let limit = Duration::from_secs(30);
    let errors = loki.lines(r#"{job="postgres"} | severity="ERROR""#, 3, limit);
    assert_eq!(errors.len(), 3, "{errors:?}\n{}", running.log());
    let text = b"insert into cards values ('another')";
    let fingerprint = pg_sql::fingerprint(text, &pg_sql::LexerOptions::default());
    for query in [
        r#"{job="postgres", postgresql_event="unique_violation"} | user="postgres""#.to_owned(),
        format!(r#"{{job="postgres", severity="ERROR"}} | fingerprint="{fingerprint}""#),
    ] {
        let found = loki.lines(&query, 1, limit);
        assert_eq!(found.len(), 1, "{query}: {found:?}");
        let line: Value = serde_json::from_str(&found[0].text).expect("JSON");
        assert_eq!(
            line["db_query_text"], "insert into cards values (?)",
            "{query}"
        );
    }
    let all = loki.lines(r#"{job="postgres"}"#, 3, limit);
    assert!(!format!("{all:?}").contains(SECRET));
}

/// A container's log as the runtime writes it.
fn by_cri(log: &str) -> String {
    let now = output_of(Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%S.%NZ"]));
    let now = String::from_utf8(now.stdout).expect("ASCII");
    let lines = log.lines();
    let lines = lines.map(|line| format!("{} stderr F {line}\n", now.trim()));
    lines.collect()
}

#[test]
fn the_daemonset_finds_servers_and_envoys_by_their_containers_and_names_their_pods() {
    let Some(host) = FluentBit::find() else {
        return;
    };
    let loki = Loki::start();
    let log = log_of_a_server(Version::V18);
    let server = std::fs::read_to_string(&log.stderr).expect("it has logged");
    let envoy = "[2026-11-23 02:34:37.123][1][info][wasm] [context.cc:1] wasm log: {\"event\":\"pgmesh.policy\"}\n\
                 [2026-11-23 02:34:37.123][1][info][main] [server.cc:1] all clusters initialized\n";
    let containers = tempfile::tempdir().expect("a directory");
    for (container, log) in [
        ("postgres", server.as_str()),
        ("istio-proxy", envoy),
        ("application", "not to be read"),
    ] {
        let name = format!("orders-0_shop_{container}-{:064x}.log", 7);
        std::fs::write(containers.path().join(name), by_cri(log)).expect("written");
    }
    let _running = host.on_a_node(containers.path(), loki.address());
    let limit = Duration::from_secs(30);
    let of_pod = r#"namespace="shop", pod="orders-0""#;
    let errors = format!(r#"{{job="postgres", {of_pod}}} | severity="ERROR""#);
    let errors = loki.lines(&errors, 3, limit);
    assert_eq!(errors.len(), 3, "{errors:?}");
    let denials = loki.lines(&format!(r#"{{job="envoy", {of_pod}}}"#), 1, limit);
    assert_eq!(denials.len(), 1, "{denials:?}");
    assert!(
        denials[0].text.ends_with("{\"event\":\"pgmesh.policy\"}"),
        "{denials:?}"
    );
    let all = loki.lines(r#"{job=~".+"}"#, 4, limit);
    let all = format!("{all:?}");
    assert!(
        !all.contains(SECRET) && !all.contains("not to be read"),
        "{all}"
    );
}
