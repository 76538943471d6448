//! The built metrics filter in the fake host, with traces turned on: whose child each span is, what
//! stands in it, and how the export fares with collectors of every kind.

use std::time::Duration;

use test_harness::fakes::proxy_wasm::{ClosedBy, Connection, Host, LogLevel, Status};
use test_harness::hosts::places::built_module;
use test_harness::net::messages::{
    self, PROTOCOL_3_0, authentication_ok, command_complete, data_row, error_response, query,
    ready_for_query, row_description, startup,
};
use test_harness::otlp::{Request, Span};

const ALL: &str = r#"{"traces": {"root_one_in": 1}, "export": {"cluster": "otel"}}"#;
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";
const OTHER: &str = "00-11111111111111111111111111111111-2222222222222222-01";
const NOT_SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
const START: u64 = 1_800_000_000_000_000_000;
const OK: &[(&str, &str)] = &[(":status", "200")];

fn filter(configuration: &str) -> Host {
    let host = Host::load(&built_module("envoy-metrics"))
        .configuration(configuration)
        .property(&["xds", "node", "id"], b"sidecar~10.0.0.9~shop-1.shop")
        .property(&["xds", "node", "metadata", "WORKLOAD_NAME"], b"shop")
        .property(&["xds", "node", "metadata", "NAMESPACE"], b"prod")
        .log_level(LogLevel::Trace)
        .start();
    host.set_clock(START);
    host
}

fn open(host: &Host, application: &str) -> Connection {
    let connection = host.connect_with(&[
        (&["source", "address"], b"10.0.0.1:40000"),
        (&["upstream", "address"], b"[fd00::2]:5432"),
    ]);
    connection.client_sends(&startup(
        PROTOCOL_3_0,
        &[
            ("user", "alice"),
            ("database", "app"),
            ("application_name", application),
        ],
    ));
    connection.server_sends(&[authentication_ok(), ready_for_query(b'I')].concat());
    connection
}

/// A Query that is answered a millisecond later by a tag, and by a row if it selects.
fn ask(host: &Host, connection: &Connection, text: &str, tag: &str, status: u8) {
    connection.client_sends(&query(text));
    host.advance(Duration::from_millis(1));
    let row = [row_description("value"), data_row(b"1")].concat();
    let rows = if tag.starts_with("SELECT") {
        row
    } else {
        vec![]
    };
    connection.server_sends(&[rows, command_complete(tag), ready_for_query(status)].concat());
}

/// Lets the worker send what it has, answers each request well, and reads them.
fn exported(host: &Host) -> Vec<Request> {
    let before = host.http_calls().len();
    host.tick();
    let mut answered = before;
    while let Some(call) = host.http_calls().get(answered) {
        answered += 1;
        host.answer_http_call(call.token, OK, b"");
    }
    let calls = host.http_calls();
    calls[before..]
        .iter()
        .map(|call| Request::read(&call.body))
        .collect()
}

fn spans(host: &Host) -> Vec<Span> {
    exported(host)
        .into_iter()
        .flat_map(|request| request.spans)
        .collect()
}

fn counter(host: &Host, name: &str) -> f64 {
    for _ in 0..5 {
        host.tick();
    }
    host.samples()
        .sum(&format!("pgmesh_export_{name}_total"), &[])
}

#[test]
fn a_span_is_named_and_described_by_the_conventions() {
    let host = filter(ALL);
    let connection = open(&host, "till");
    let text = format!("select * from t where a = 'secret' /*traceparent='{PARENT}'*/");
    ask(&host, &connection, &text, "SELECT 1", b'I');
    let requests = exported(&host);
    let [request] = requests.as_slice() else {
        panic!("{requests:?}")
    };
    assert_eq!(request.scope, "pgmesh");
    for (key, value) in [
        ("service.name", "shop"),
        ("k8s.namespace.name", "prod"),
        ("service.instance.id", "sidecar~10.0.0.9~shop-1.shop"),
    ] {
        assert_eq!(request.resource.get(key).map(String::as_str), Some(value));
    }
    let [span] = request.spans.as_slice() else {
        panic!("{request:?}")
    };
    assert_eq!(
        (span.trace_id.as_str(), span.parent.as_str()),
        (TRACE, SPAN)
    );
    assert_eq!(
        (span.name.as_str(), span.kind, span.status.0),
        ("select t", 3, 0)
    );
    assert_eq!((span.start, span.end), (START, START + 1_000_000));
    assert_eq!(span.events[0].1, "first row");
    for (key, value) in [
        ("db.system.name", "postgresql"),
        ("db.namespace", "app"),
        ("db.operation.name", "SELECT"),
        ("db.query.text", "select * from t where a = ?"),
        ("db.query.summary", "select t"),
        ("db.response.returned_rows", "1"),
        ("server.address", "fd00::2"),
        ("server.port", "5432"),
        ("client.address", "10.0.0.1"),
        ("client.port", "40000"),
        ("pgmesh.user", "alice"),
        ("pgmesh.protocol", "simple"),
    ] {
        assert_eq!(
            span.attributes.get(key).map(String::as_str),
            Some(value),
            "{key}"
        );
    }
    let headers = &host.http_calls()[0].headers;
    for (name, value) in [
        (":path", "/v1/traces"),
        ("content-type", "application/x-protobuf"),
        (":authority", "otel"),
    ] {
        assert!(
            headers.contains(&(name.to_owned(), value.to_owned())),
            "{headers:?}"
        );
    }
}

#[test]
fn an_error_is_the_spans_status() {
    let host = filter(ALL);
    let connection = open(&host, "");
    connection.client_sends(&query("select 1/0"));
    let error = error_response("ERROR", "22012", "division by zero");
    connection.server_sends(&[error, ready_for_query(b'I')].concat());
    let spans = spans(&host);
    assert_eq!(spans[0].status, (2, "22012".to_owned()));
    assert_eq!(spans[0].attributes["error.type"], "22012");
    assert_eq!(spans[0].attributes["db.response.status_code"], "22012");
}

#[test]
fn the_parent_is_the_comments_then_the_application_names_then_the_settings() {
    let parent = |application: &str, before: &[&str], text: &str| {
        let host = filter(ALL);
        let connection = open(&host, application);
        for text in before {
            ask(&host, &connection, text, "SET", b'I');
        }
        ask(&host, &connection, text, "SELECT 1", b'I');
        spans(&host).pop().expect("a span").parent
    };
    let set = format!("set pgmesh.traceparent = '{OTHER}'");
    let comment = format!("select 1 /*traceparent='{PARENT}'*/");
    let name = "22222222222222222".split_at(16).0;
    assert_eq!(parent("", &[], "select 1"), "");
    assert_eq!(parent("", &[], &comment), SPAN);
    assert_eq!(parent("", &[&set], "select 1"), name);
    assert_eq!(parent(PARENT, &[&set], "select 1"), SPAN);
    assert_eq!(parent(OTHER, &[], &comment), SPAN);
    let config =
        "select set_config('pgmesh.traceparent', ".to_owned() + &format!("'{OTHER}', false)");
    assert_eq!(parent("", &[&config], "select 1"), name);
}

#[test]
fn a_parent_that_is_not_sampled_has_no_children() {
    let host = filter(ALL);
    let connection = open(&host, "");
    let text = format!("select 1 /*traceparent='{NOT_SAMPLED}'*/");
    ask(&host, &connection, &text, "SELECT 1", b'I');
    assert_eq!(spans(&host).len(), 0);
}

#[test]
fn a_block_holds_its_statements_and_stands_under_what_they_name() {
    let host = filter(ALL);
    let connection = open(&host, "");
    ask(&host, &connection, "BEGIN", "BEGIN", b'T');
    let text = format!("select 1 /*traceparent='{PARENT}'*/");
    ask(&host, &connection, &text, "SELECT 1", b'T');
    ask(&host, &connection, "select 2", "SELECT 1", b'T');
    ask(&host, &connection, "COMMIT", "COMMIT", b'I');
    let spans = spans(&host);
    let by_name = |name: &str| {
        spans
            .iter()
            .filter(|span| span.name == name)
            .collect::<Vec<_>>()
    };
    let block = by_name("TRANSACTION")[0];
    assert_eq!(
        (block.trace_id.as_str(), block.parent.as_str()),
        (TRACE, SPAN)
    );
    assert_eq!((block.start, block.end), (START, START + 4_000_000));
    assert_eq!(block.attributes["pgmesh.transaction.outcome"], "commit");
    let selects = by_name("select");
    assert_eq!(
        (selects[0].parent.as_str(), &selects[0].links),
        (SPAN, &vec![block.span_id.clone()])
    );
    for child in [by_name("BEGIN")[0], selects[1], by_name("COMMIT")[0]] {
        assert_eq!(
            (&child.trace_id, &child.parent),
            (&block.trace_id, &block.span_id)
        );
    }
    assert_eq!(spans.len(), 5);
}

#[test]
fn a_block_that_nobody_names_a_parent_for_is_one_trace() {
    let host = filter(ALL);
    let connection = open(&host, "");
    for round in 0..2 {
        ask(&host, &connection, "begin", "BEGIN", b'T');
        ask(
            &host,
            &connection,
            "insert into t values (1)",
            "INSERT 0 1",
            b'T',
        );
        connection.client_sends(&query("select 1/0"));
        let error = error_response("ERROR", "22012", "division by zero");
        connection.server_sends(&[error, ready_for_query(b'E')].concat());
        ask(&host, &connection, "rollback", "ROLLBACK", b'I');
        let spans = spans(&host);
        assert_eq!(spans.len(), 5, "round {round}");
        let block = spans
            .iter()
            .find(|span| span.name == "TRANSACTION")
            .unwrap();
        assert_eq!((block.parent.as_str(), block.trace_id.len()), ("", 32));
        assert_eq!(block.attributes["pgmesh.transaction.outcome"], "rollback");
        for span in spans.iter().filter(|span| span.name != "TRANSACTION") {
            assert_eq!(
                (&span.trace_id, &span.parent),
                (&block.trace_id, &block.span_id)
            );
        }
    }
}

#[test]
fn what_is_set_for_a_transaction_is_the_parent_of_its_block() {
    let host = filter(ALL);
    let connection = open(&host, "");
    ask(&host, &connection, "begin", "BEGIN", b'T');
    let set = format!("SET LOCAL pgmesh.traceparent = '{PARENT}'");
    ask(&host, &connection, &set, "SET", b'T');
    ask(&host, &connection, "select 1", "SELECT 1", b'T');
    ask(&host, &connection, "commit", "COMMIT", b'I');
    ask(&host, &connection, "select 2", "SELECT 1", b'I');
    let mut spans = spans(&host);
    let after = spans.pop().unwrap();
    assert_ne!(after.trace_id, TRACE);
    let block = spans
        .iter()
        .find(|span| span.name == "TRANSACTION")
        .unwrap();
    assert_eq!(block.parent, SPAN);
    for span in &spans {
        assert_eq!(span.trace_id, TRACE, "{}", span.name);
    }
    assert_eq!(spans.len(), 5);
}

#[test]
fn each_statement_of_a_pipeline_is_a_span_with_its_own_times() {
    let host = filter(ALL);
    let connection = open(&host, "");
    let one = |text: &str| {
        [
            messages::parse("", text),
            messages::bind("", "", &[]),
            messages::execute("", 0),
        ]
        .concat()
    };
    let parts: Vec<u8> = ["select a from t", "select b from t", "select c from t"]
        .map(one)
        .concat();
    connection.client_sends(&[parts, messages::sync()].concat());
    for _ in 0..3 {
        host.advance(Duration::from_millis(5));
        let done = [messages::message(b'1', b""), messages::message(b'2', b"")].concat();
        connection.server_sends(&[done, command_complete("SELECT 0")].concat());
    }
    connection.server_sends(&ready_for_query(b'I'));
    let spans = spans(&host);
    let ends: Vec<u64> = spans
        .iter()
        .map(|span| (span.end - START) / 1_000_000)
        .collect();
    assert_eq!(ends, [5, 10, 15]);
    let queued = |span: &Span| span.attributes.get("pgmesh.queued_microseconds").cloned();
    let queued: Vec<_> = spans.iter().map(queued).collect();
    assert_eq!(
        queued,
        [None, Some("5000".to_owned()), Some("10000".to_owned())]
    );
    assert_eq!(spans[2].attributes["db.query.text"], "select c from t");
}

#[test]
fn a_start_up_is_a_span_if_asked_for_and_a_server_says_so() {
    let host = filter(
        r#"{"traces": {"root_one_in": 1, "startup": true, "kind": "server"}, "export": {"cluster": "otel"}}"#,
    );
    open(&host, PARENT);
    let spans = spans(&host);
    assert_eq!(
        (spans.len(), spans[0].name.as_str(), spans[0].kind),
        (1, "STARTUP", 2)
    );
    assert_eq!(
        (spans[0].trace_id.as_str(), spans[0].parent.as_str()),
        (TRACE, SPAN)
    );
}

#[test]
fn on_an_inbound_listener_spans_are_the_servers() {
    for (direction, kind) in [(1_u64, 2), (2, 3)] {
        let host = Host::load(&built_module("envoy-metrics"))
            .configuration(ALL)
            .property(&["xds", "listener_direction"], &direction.to_le_bytes())
            .start();
        let connection = open(&host, "");
        ask(&host, &connection, "select 1", "SELECT 1", b'I');
        assert_eq!(spans(&host)[0].kind, kind);
    }
}

#[test]
fn roots_are_kept_by_ratio() {
    let host = filter(r#"{"traces": {"root_one_in": 10}, "export": {"cluster": "otel"}}"#);
    let connection = open(&host, "");
    for _ in 0..1000 {
        ask(&host, &connection, "select 1", "SELECT 1", b'I');
    }
    let kept = spans(&host).len();
    assert!((60..=140).contains(&kept), "{kept} of 1000");
}

#[test]
fn chosen_statements_are_log_records_with_the_ids_of_their_spans() {
    let host = filter(
        r#"{"traces": {"root_one_in": 1}, "query_log": {"one_in": 1, "export": true}, "export": {"cluster": "otel"}}"#,
    );
    let connection = open(&host, "");
    ask(
        &host,
        &connection,
        "select 'secret' from t",
        "SELECT 1",
        b'I',
    );
    let requests = exported(&host);
    let span = &requests
        .iter()
        .find(|request| !request.spans.is_empty())
        .unwrap()
        .spans[0];
    let record = &requests
        .iter()
        .find(|request| !request.records.is_empty())
        .unwrap()
        .records[0];
    assert_eq!(record.event_name, "pgmesh.query");
    assert_eq!(
        (&record.trace_id, &record.span_id),
        (&span.trace_id, &span.span_id)
    );
    assert_eq!(record.attributes["db.query.text"], "select ? from t");
    assert_eq!((record.time, record.severity), (span.end, 9));
    assert!(
        host.http_calls()
            .iter()
            .any(|call| call.headers.contains(&(":path".into(), "/v1/logs".into())))
    );
}

#[test]
fn batches_are_cut_by_size_and_one_request_is_under_way() {
    let host = filter(
        r#"{"traces": {"root_one_in": 1}, "export": {"cluster": "otel", "batch_items": 10, "headers": {"x-tenant": "t1"}}}"#,
    );
    let connection = open(&host, "");
    for _ in 0..25 {
        ask(&host, &connection, "select 1", "SELECT 1", b'I');
    }
    host.tick();
    host.tick();
    assert_eq!(host.http_calls().len(), 1);
    let first = &host.http_calls()[0];
    assert!(
        first
            .headers
            .contains(&("x-tenant".to_owned(), "t1".to_owned()))
    );
    host.answer_http_call(first.token, OK, b"");
    assert_eq!(host.http_calls().len(), 2, "an answer lets the next one go");
    host.answer_http_call(2, OK, b"");
    host.answer_http_call(3, OK, b"");
    let sizes = host
        .http_calls()
        .iter()
        .map(|call| Request::read(&call.body).spans.len())
        .collect::<Vec<_>>();
    assert_eq!(sizes, [10, 10, 5]);
    assert_eq!(counter(&host, "sent"), 25.0);
}

/// A host with one span to send, and the first request for it.
fn one_span() -> (Host, u32) {
    let host = filter(ALL);
    let connection = open(&host, "");
    ask(&host, &connection, "select 1", "SELECT 1", b'I');
    host.tick();
    assert_eq!(host.http_calls().len(), 1);
    let token = host.http_calls()[0].token;
    (host, token)
}

#[test]
fn a_collector_that_is_busy_or_gone_is_asked_again_later_and_one_that_refuses_is_not() {
    let busy: [&[(&str, &str)]; 5] = [
        &[],
        &[(":status", "429")],
        &[(":status", "502")],
        &[(":status", "503")],
        &[(":status", "504")],
    ];
    for headers in busy {
        let (host, token) = one_span();
        host.answer_http_call(token, headers, b"whatever");
        host.tick();
        assert_eq!(host.http_calls().len(), 1, "{headers:?}: at once");
        host.advance(Duration::from_millis(500));
        host.tick();
        assert_eq!(host.http_calls().len(), 2, "{headers:?}: later");
        assert_eq!(host.http_calls()[0].body, host.http_calls()[1].body);
        host.answer_http_call(2, headers, b"");
        host.advance(Duration::from_millis(999));
        host.tick();
        assert_eq!(host.http_calls().len(), 2, "{headers:?}: the pause doubles");
        host.advance(Duration::from_millis(1));
        host.tick();
        host.answer_http_call(3, OK, b"");
        assert_eq!(
            (counter(&host, "sent"), counter(&host, "retried")),
            (1.0, 2.0)
        );
    }
    for status in ["400", "401", "404", "500", "301", "garbage"] {
        let (host, token) = one_span();
        host.answer_http_call(token, &[(":status", status)], b"\xff\xff");
        host.advance(Duration::from_secs(60));
        host.tick();
        if status == "garbage" {
            assert_eq!(host.http_calls().len(), 2);
            continue;
        }
        assert_eq!(host.http_calls().len(), 1, "{status}");
        assert_eq!(counter(&host, "failed"), 1.0, "{status}");
    }
}

#[test]
fn retry_after_is_heeded_within_reason() {
    for (after, waits) in [
        ("7", 7),
        ("100000", 300),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 1),
    ] {
        let (host, token) = one_span();
        host.answer_http_call(token, &[(":status", "429"), ("retry-after", after)], b"");
        host.advance(Duration::from_secs(waits) - Duration::from_secs(1));
        host.tick();
        assert_eq!(host.http_calls().len(), 1, "{after}");
        host.advance(Duration::from_secs(1));
        host.tick();
        assert_eq!(host.http_calls().len(), 2, "{after}");
    }
}

#[test]
fn a_partial_success_counts_what_was_rejected_and_garbage_says_nothing() {
    let (host, token) = one_span();
    host.answer_http_call(token, OK, b"\x0a\x02\x08\x01");
    assert_eq!(
        (counter(&host, "sent"), counter(&host, "failed")),
        (0.0, 1.0)
    );
    let (host, token) = one_span();
    host.answer_http_call(token, OK, b"<html>hello</html>");
    assert_eq!(
        (counter(&host, "sent"), counter(&host, "failed")),
        (1.0, 0.0)
    );
}

#[test]
fn while_the_collector_is_away_traffic_passes_memory_stays_bounded_and_the_oldest_fall_off() {
    let host = filter(
        r#"{"traces": {"root_one_in": 1}, "export": {"cluster": "otel", "max_queue_bytes": 65536, "batch_items": 50}}"#,
    );
    let connection = open(&host, "");
    let mut before = 0;
    host.fail("proxy_http_call", Status::InternalFailure, u64::MAX);
    for n in 0..5000 {
        connection.client_sends(&query(&format!("select {n} from t")));
        let answer = [command_complete("SELECT 0"), ready_for_query(b'I')].concat();
        let delivery = connection.server_sends(&answer);
        assert_eq!((delivery.delivered, delivery.held), (answer, 0));
        if n % 100 == 0 {
            host.advance(Duration::from_secs(60));
            host.tick();
        }
        if n == 1000 {
            before = host.memory_bytes();
        }
    }
    assert_eq!(host.memory_bytes(), before);
    let dropped = counter(&host, "dropped");
    assert!((4700.0..5000.0).contains(&dropped), "{dropped}");
    assert!(counter(&host, "retried") > 10.0);
    // It comes back: what has stayed is sent, the newest among it.
    host.fail("proxy_http_call", Status::InternalFailure, 0);
    host.advance(Duration::from_secs(60));
    let requests = exported(&host);
    let sent: usize = requests.iter().map(|request| request.spans.len()).sum();
    assert_eq!(sent as f64 + dropped, 5000.0);
}

#[test]
fn an_answer_to_nothing_and_statuses_of_any_kind_do_no_harm() {
    let (host, token) = one_span();
    host.answer_http_call(token, OK, b"");
    host.answer_http_call(token, OK, b"");
    host.answer_http_call(9999, OK, b"");
    assert_eq!(counter(&host, "sent"), 1.0);
    for import in [
        "proxy_http_call",
        "proxy_get_property",
        "proxy_get_shared_data",
        "proxy_set_shared_data",
        "proxy_get_header_map_value",
        "proxy_get_buffer_bytes",
    ] {
        for status in [
            Status::NotFound,
            Status::InternalFailure,
            Status::Unimplemented,
        ] {
            let host = filter(
                r#"{"traces": {"root_one_in": 1}, "export": {"cluster": "otel"}, "top_statements": {"interval_s": 1}}"#,
            );
            let connection = open(&host, PARENT);
            host.fail(import, status, u64::MAX);
            for _ in 0..3 {
                ask(&host, &connection, "select 1", "SELECT 1", b'I');
                host.advance(Duration::from_secs(2));
                host.tick();
                if let Some(call) = host.http_calls().last() {
                    host.answer_http_call(call.token, OK, b"");
                }
            }
            connection.close(ClosedBy::Remote);
        }
    }
}

#[test]
fn a_token_in_a_header_reaches_no_log() {
    let host = filter(
        r#"{"traces": {"root_one_in": 1}, "export": {"cluster": "otel", "headers": {"authorization": "Bearer t0ken"}}}"#,
    );
    let connection = open(&host, "");
    ask(&host, &connection, "select 1", "SELECT 1", b'I');
    host.fail("proxy_http_call", Status::InternalFailure, 1);
    assert_eq!(exported(&host).len(), 0);
    host.advance(Duration::from_secs(60));
    assert_eq!(exported(&host).len(), 1);
    assert!(
        host.logs()
            .iter()
            .all(|line| !line.message.contains("t0ken"))
    );
    assert!(!host.samples().to_string().contains("t0ken"));
}

#[test]
fn twenty_thousand_spans_a_second_leave_without_a_drop() {
    let host = filter(ALL);
    let connection = open(&host, "");
    // As many ticks a second as the export asks for, and answers within one of them.
    for _ in 0..20 {
        for _ in 0..4000 {
            let text =
                "select a, b, c from orders o join items i on i.order_id = o.id where o.id = $1";
            ask(&host, &connection, text, "SELECT 1", b'I');
        }
        exported(&host);
    }
    exported(&host);
    assert_eq!(
        (counter(&host, "sent"), counter(&host, "dropped")),
        (80_000.0, 0.0)
    );
}
