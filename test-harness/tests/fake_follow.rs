//! The built metrics filter in the fake host, with the query log and the top statements turned on:
//! what is written, what never is, and what it costs when it is off.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use test_harness::fakes::proxy_wasm::{ClosedBy, Connection, Host, LogLevel};
use test_harness::hosts::places::built_module;
use test_harness::net::messages::{
    self, PROTOCOL_3_0, authentication_ok, backend_key_data, command_complete, data_row,
    error_response, query, ready_for_query, row_description, startup,
};

const ALL: &str = r#"{"query_log": {"one_in": 1}}"#;
const SECRET: &str = "s3cr3t-that-nobody-may-see";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn filter(configuration: &str) -> Host {
    Host::load(&built_module("envoy-metrics"))
        .configuration(configuration)
        .log_level(LogLevel::Trace)
        .start()
}

/// A session that is logged in.
fn open(host: &Host, user: &str) -> Connection {
    let connection = host.connect_with(&[
        (&["source", "address"], b"10.0.0.1:40000"),
        (&["upstream", "address"], b"10.0.0.2:5432"),
    ]);
    log_in(&connection, user, 7);
    connection
}

fn log_in(connection: &Connection, user: &str, process_id: u32) {
    connection.client_sends(&startup(
        PROTOCOL_3_0,
        &[
            ("user", user),
            ("database", "app"),
            ("application_name", "till"),
        ],
    ));
    let greeting = [
        authentication_ok(),
        backend_key_data(process_id, b"kkkk"),
        ready_for_query(b'I'),
    ];
    connection.server_sends(&greeting.concat());
}

/// A Query and its answer of one row, `time` apart.
fn ask(host: &Host, connection: &Connection, text: &str, time: Duration) {
    connection.client_sends(&query(text));
    host.advance(time);
    connection.server_sends(&one_row());
}

fn one_row() -> Vec<u8> {
    [
        row_description("value"),
        data_row(b"1"),
        command_complete("SELECT 1"),
        ready_for_query(b'I'),
    ]
    .concat()
}

fn failed(sqlstate: &str, message: &str) -> Vec<u8> {
    [
        error_response("ERROR", sqlstate, message),
        ready_for_query(b'I'),
    ]
    .concat()
}

/// The log's lines of this kind.
fn lines(host: &Host, event: &str) -> Vec<Value> {
    let logs = host.logs();
    let read = logs
        .iter()
        .filter_map(|line| serde_json::from_str(&line.message).ok());
    read.filter(|line: &Value| line["pgmesh.event"] == event)
        .collect()
}

#[test]
fn a_statement_has_a_line_with_all_that_is_known_of_it() {
    let host = filter(ALL);
    let connection = open(&host, "alice");
    connection.client_sends(&query(&format!(
        "select * from t where a = '{SECRET}' /*traceparent='00-{TRACE}-b7ad6b7169203331-01'*/"
    )));
    host.advance(Duration::from_micros(1500));
    connection.server_sends(&one_row());
    let lines = lines(&host, "query");
    let [line] = lines.as_slice() else {
        panic!("{lines:?}")
    };
    for (field, expected) in [
        ("db.system.name", "postgresql"),
        ("db.namespace", "app"),
        ("db.operation.name", "SELECT"),
        ("db.query.text", "select * from t where a = ?"),
        ("db.query.summary", "select t"),
        ("pgmesh.user", "alice"),
        ("pgmesh.application", "till"),
        ("client.address", "10.0.0.1:40000"),
        ("server.address", "10.0.0.2:5432"),
        ("pgmesh.protocol", "simple"),
        ("pgmesh.transaction", "none"),
        ("pgmesh.outcome", "completed"),
        ("trace_id", TRACE),
    ] {
        assert_eq!(line[field], expected, "{field} of {line}");
    }
    assert_eq!(line["pgmesh.duration_microseconds"], 1500);
    assert_eq!(line["pgmesh.first_row_microseconds"], 1500);
    assert_eq!(line["db.response.returned_rows"], 1);
    assert_eq!(line["pgmesh.bytes"], data_row(b"1").len());
    let fingerprint = line["pgmesh.fingerprint"].as_str().unwrap();
    assert_eq!(
        (fingerprint.len(), line["pgmesh.backend_pid"].as_u64()),
        (16, Some(7))
    );
}

#[test]
fn an_execution_has_the_text_and_the_name_of_its_parse() {
    let host = filter(ALL);
    let connection = open(&host, "alice");
    let parse = messages::parse("byname", "select * from t where a = $1");
    connection.client_sends(&[parse, messages::sync()].concat());
    connection.server_sends(&[messages::message(b'1', b""), ready_for_query(b'I')].concat());
    for value in ["1", "2"] {
        let bind = messages::bind("", "byname", &[value]);
        let run = [bind, messages::execute("", 0), messages::sync()].concat();
        connection.client_sends(&run);
        let answer = [
            messages::message(b'2', b""),
            data_row(b"1"),
            command_complete("SELECT 1"),
            ready_for_query(b'I'),
        ];
        connection.server_sends(&answer.concat());
    }
    let lines = lines(&host, "query");
    assert_eq!(lines.len(), 2);
    for line in lines {
        assert_eq!(line["db.query.text"], "select * from t where a = $1");
        assert_eq!(line["pgmesh.prepared_name"], "byname");
        assert_eq!(line["pgmesh.protocol"], "extended");
    }
}

#[test]
fn only_what_was_asked_for_is_logged() {
    let texts = |configuration: &str| -> Vec<String> {
        let host = filter(configuration);
        let connection = open(&host, "alice");
        ask(
            &host,
            &connection,
            "select slow",
            Duration::from_millis(100),
        );
        ask(&host, &connection, "select fast", Duration::from_millis(99));
        connection.client_sends(&query("select wrong"));
        connection.server_sends(&failed("42703", "no such column"));
        let lines = lines(&host, "query");
        let text = |line: &Value| line["db.query.text"].as_str().unwrap().to_owned();
        lines.iter().map(text).collect()
    };
    assert_eq!(texts(r#"{"query_log": {}}"#), [""; 0]);
    assert_eq!(
        texts(r#"{"query_log": {"slower_than_ms": 100}}"#),
        ["select slow"]
    );
    assert_eq!(
        texts(r#"{"query_log": {"failed": true}}"#),
        ["select wrong"]
    );
    assert_eq!(texts(ALL), ["select slow", "select fast", "select wrong"]);
}

#[test]
fn a_fingerprint_has_so_many_lines_a_minute_and_the_rest_is_counted() {
    let host = filter(r#"{"query_log": {"one_in": 1, "per_fingerprint_and_minute": 3}}"#);
    host.set_clock(1_800_000_000_000_000_000);
    let connection = open(&host, "alice");
    for n in 0..10 {
        ask(&host, &connection, &format!("select {n}"), Duration::ZERO);
    }
    ask(&host, &connection, "select x from t", Duration::ZERO);
    assert_eq!(lines(&host, "query").len(), 4);
    host.advance(Duration::from_secs(60));
    ask(&host, &connection, "select 1", Duration::ZERO);
    assert_eq!(lines(&host, "query").len(), 5);
    host.tick();
    assert_eq!(
        host.samples().sum("pgmesh_query_log_suppressed_total", &[]),
        7.0
    );
}

#[test]
fn both_proxies_of_a_hop_choose_the_same_sample() {
    let chosen = || {
        let host = filter(r#"{"query_log": {"one_in": 10}}"#);
        for process_id in 0..40 {
            let connection = host.connect();
            log_in(&connection, "alice", process_id);
            for n in 0..25 {
                ask(
                    &host,
                    &connection,
                    &format!("select s{process_id}_{n}"),
                    Duration::ZERO,
                );
            }
        }
        let texts = lines(&host, "query")
            .into_iter()
            .map(|line| line["db.query.text"].to_string());
        texts.collect::<Vec<_>>()
    };
    let first = chosen();
    assert_eq!(first, chosen());
    assert!((60..=140).contains(&first.len()), "{} of 1000", first.len());
}

#[test]
fn no_password_bind_value_or_literal_reaches_a_line_a_report_or_a_metric() {
    let host = filter(r#"{"query_log": {"one_in": 1}, "top_statements": {"interval_s": 1}}"#);
    let connection = host.connect();
    connection.client_sends(&startup(
        PROTOCOL_3_0,
        &[("user", "alice"), ("database", "app"), ("options", SECRET)],
    ));
    connection.server_sends(&messages::message(b'R', &[0, 0, 0, 3]));
    connection.client_sends(&messages::message(b'p', format!("{SECRET}\0").as_bytes()));
    connection.server_sends(&[authentication_ok(), ready_for_query(b'I')].concat());
    for text in [
        format!("select '{SECRET}', E'{SECRET}', $${SECRET}$$, U&'{SECRET}' -- {SECRET}"),
        format!("alter role bob password '{SECRET}'"),
        format!("set app.token = '{SECRET}'"),
        format!("set app.token to {}", SECRET.replace('-', "_")),
        format!("do $$ begin perform '{SECRET}'; end $$"),
        format!("notify c, '{SECRET}'; select 1 /* {SECRET} */; select '{SECRET}"),
        format!("select 1 /*traceparent='{SECRET}',route='{SECRET}'*/"),
        format!("copy t from program '{SECRET}'"),
        format!("select '{}{SECRET}", "x".repeat(5000)),
    ] {
        connection.client_sends(&query(&text));
        connection.server_sends(&failed("22P02", &format!("invalid input: \"{SECRET}\"")));
    }
    let extended = [
        messages::parse("named", &format!("select $1, '{SECRET}'")),
        messages::bind("", "named", &[SECRET]),
        messages::execute("", 0),
        messages::sync(),
    ];
    connection.client_sends(&extended.concat());
    let answer = [
        messages::message(b'1', b""),
        messages::message(b'2', b""),
        data_row(SECRET.as_bytes()),
        command_complete("SELECT 1"),
        ready_for_query(b'I'),
    ];
    connection.server_sends(&answer.concat());
    host.advance(Duration::from_secs(2));
    host.tick();
    assert!(lines(&host, "query").len() >= 10);
    assert_eq!(lines(&host, "top_statements").len(), 1);
    let hidden = [SECRET.to_owned(), SECRET.replace('-', "_")];
    for line in host.logs() {
        for secret in &hidden {
            assert!(!line.message.contains(secret.as_str()), "{}", line.message);
        }
    }
    assert!(!host.samples().to_string().contains(SECRET));
}

#[test]
fn an_error_message_is_shown_only_on_request() {
    let message = |configuration: &str| {
        let host = filter(configuration);
        let connection = open(&host, "alice");
        connection.client_sends(&query("select x"));
        connection.server_sends(&failed("42703", "column \"x\" does not exist"));
        lines(&host, "query")[0].clone()
    };
    let line = message(ALL);
    assert_eq!(line["db.response.status_code"], "42703");
    assert_eq!(line["pgmesh.severity"], "ERROR");
    assert_eq!(line.get("pgmesh.message"), None);
    let line = message(r#"{"query_log": {"one_in": 1, "messages": true}}"#);
    assert_eq!(line["pgmesh.message"], "column \"x\" does not exist");
}

/// The report's rows by text.
fn report(host: &Host) -> BTreeMap<String, Value> {
    let mut reports = lines(host, "top_statements");
    let report = reports.pop().expect("a report");
    let rows = report["statements"].as_array().unwrap().clone();
    rows.into_iter()
        .map(|row| (row["text"].as_str().unwrap().to_owned(), row))
        .collect()
}

#[test]
fn the_top_statements_tell_calls_errors_rows_bytes_and_times() {
    let host = filter(r#"{"top_statements": {"interval_s": 10}}"#);
    let connection = open(&host, "alice");
    for n in 1..=100 {
        ask(
            &host,
            &connection,
            &format!("select {n}"),
            Duration::from_micros(n * 100),
        );
    }
    connection.client_sends(&query("select 1/0"));
    connection.server_sends(&failed("22012", "division by zero"));
    host.advance(Duration::from_secs(11));
    host.tick();
    let rows = report(&host);
    let row = &rows["select ?"];
    for (field, expected) in [
        ("calls", 100),
        ("errors", 0),
        ("rows", 100),
        ("bytes", 100 * data_row(b"1").len() as u64),
        ("total_microseconds", 505_000),
        ("mean_microseconds", 5050),
        ("min_microseconds", 100),
        ("max_microseconds", 10_000),
    ] {
        assert_eq!(row[field], expected, "{field} of {row}");
    }
    for (field, truth) in [("p50", 5000.0), ("p95", 9500.0), ("p99", 9900.0)] {
        let found = row[format!("{field}_microseconds")].as_f64().unwrap();
        assert!((found - truth).abs() <= truth * 0.1, "{field} of {row}");
    }
    assert_eq!(
        (row["user"].as_str(), row["database"].as_str()),
        (Some("alice"), Some("app"))
    );
    assert_eq!(rows["select ?/?"]["errors"], 1);
    assert_eq!(rows["select ?/?"]["calls"], 0);
    // The next report goes on counting.
    ask(&host, &connection, "select 7", Duration::from_micros(1));
    host.advance(Duration::from_secs(11));
    host.tick();
    assert_eq!(report(&host)["select ?"]["calls"], 101);
}

#[test]
fn the_true_top_of_ten_thousand_statements_is_found_and_its_totals_are_right() {
    const STATEMENTS: usize = 10_000;
    let host = filter(r#"{"top_statements": {"top": 100, "interval_s": 10}}"#);
    let connection = open(&host, "alice");
    // By the law of Zipf: statement k of n comes with a chance in proportion to 1/k.
    let mut ladder = Vec::with_capacity(STATEMENTS);
    let mut sum = 0.0;
    for k in 1..=STATEMENTS {
        sum += 1.0 / k as f64;
        ladder.push(sum);
    }
    let mut state: u64 = 42;
    let mut truth: BTreeMap<usize, u64> = BTreeMap::new();
    for round in 0..100_000 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let at = (state >> 11) as f64 / (1_u64 << 53) as f64 * sum;
        let k = ladder.partition_point(|step| *step < at);
        let time = 50 + state % 100;
        *truth.entry(k).or_default() += time;
        ask(
            &host,
            &connection,
            &format!("select a{k} from t"),
            Duration::from_micros(time),
        );
        if round % 20_000 == 19_999 {
            host.advance(Duration::from_secs(11));
            host.tick();
        }
    }
    let rows = report(&host);
    assert_eq!(rows.len(), 100);
    let mut order: Vec<(usize, u64)> = truth.into_iter().collect();
    order.sort_by_key(|(_, total)| std::cmp::Reverse(*total));
    for (k, total) in &order[..20] {
        let row = &rows[&format!("select a{k} from t")];
        let found = row["total_microseconds"].as_u64().unwrap();
        let off = found.abs_diff(*total) as f64 / *total as f64;
        assert!(off <= 0.02, "{k}: {found}, not {total}");
    }
    assert!(lines(&host, "top_statements").last().unwrap()["dropped"].as_u64() > Some(0));
}

#[test]
fn when_off_it_costs_no_host_call_and_no_memory() {
    let cost = |configuration: &str| {
        let host = filter(configuration);
        let connection = open(&host, "alice");
        ask(&host, &connection, "select 1", Duration::ZERO);
        host.forget_calls();
        for n in 0..100 {
            ask(&host, &connection, &format!("select {n}"), Duration::ZERO);
        }
        (host.calls(), host.instructions())
    };
    let (off, instructions) = cost("");
    // Copies both directions and reads the clock once for each.
    assert_eq!(off.values().sum::<u64>(), 400, "{off:?}");
    let (top, more) = cost(r#"{"top_statements": {}}"#);
    assert_eq!(
        off, top,
        "counting needs nothing of the host between two reports"
    );
    assert!(instructions < more, "the same work was measured twice");
}

#[test]
fn hostile_texts_and_a_clock_that_goes_backwards_keep_to_the_bounds() {
    let host = filter(r#"{"query_log": {"one_in": 1}, "top_statements": {"interval_s": 1}}"#);
    let connection = open(&host, "alice");
    let comment = format!("select 1 /*{}*/", "traceparent='00-".repeat(70_000));
    ask(&host, &connection, &comment, Duration::ZERO);
    let before = host.memory_bytes();
    for n in 0..1000 {
        let text = format!("select a{n} from {}", "t".repeat(1 << 20));
        let parse = messages::parse(&format!("s{n}"), &text);
        connection.client_sends(&[parse, messages::sync()].concat());
        connection.server_sends(&[messages::message(b'1', b""), ready_for_query(b'I')].concat());
    }
    let grown = host.memory_bytes() - before;
    assert!(grown <= 8 << 20, "{grown} bytes");
    connection.client_sends(&query("select 1"));
    host.set_clock(5);
    connection.server_sends(&one_row());
    host.tick();
    connection.close(ClosedBy::Remote);
    let errors = host
        .logs()
        .into_iter()
        .filter(|line| line.level >= LogLevel::Error);
    assert_eq!(errors.count(), 0);
}
