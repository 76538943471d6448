//! The built policy filter in the fake host: what it asks of a host, and that nothing which is
//! denied gets past it whatever the host answers.

use module_report::ModuleReport;
use test_harness::fakes::proxy_wasm::{Action, ClosedBy, Connection, Host, LogLevel, Status};
use test_harness::hosts::places::built_module;
use test_harness::net::messages::{
    self, PROTOCOL_3_0, authentication_ok, bind, command_complete, error_response, execute,
    message, parameter_status, parse, query, ready_for_query, startup, sync,
};

/// The most the module may weigh.
const MAX_SIZE: usize = 600 * 1024;

const POLICY: &str = r#"{"max_statement_bytes": 65536, "max_held_bytes": 1048576, "rules": [
    {"name": "payments", "action": "deny", "tables": ["payments"]}
]}"#;

fn filter() -> test_harness::fakes::proxy_wasm::Builder {
    Host::load(&built_module("envoy-policy")).configuration(POLICY)
}

fn holds(bytes: &[u8], part: &str) -> bool {
    bytes
        .windows(part.len())
        .any(|window| window == part.as_bytes())
}

/// Brings a connection to its first ReadyForQuery.
fn open(connection: &Connection) {
    let parameters = [("user", "alice"), ("database", "app")];
    connection.client_sends(&startup(PROTOCOL_3_0, &parameters));
    let settings = [
        parameter_status("client_encoding", "UTF8"),
        parameter_status("standard_conforming_strings", "on"),
    ];
    let greeting = [
        authentication_ok(),
        settings.concat(),
        ready_for_query(b'I'),
    ];
    connection.server_sends(&greeting.concat());
}

/// The token in what the server was sent last.
fn token(sent: &[u8]) -> String {
    let sent = String::from_utf8_lossy(sent);
    let start = sent.rfind("pgmesh_denied_").expect("a token was sent");
    let token = sent[start..].split('\0').next();
    token.expect("it ends").to_owned()
}

fn refused(token: &str) -> Vec<u8> {
    let reason = format!("syntax error at or near \"{token}\"");
    error_response("ERROR", "42601", &reason)
}

#[test]
fn the_module_can_call_nothing_but_its_hosts_plugin_interface() {
    let report = ModuleReport::of_file(&built_module("envoy-policy")).unwrap();
    let foreign = |import: &&String| !import.starts_with("env.proxy_");
    assert_eq!(report.imports.iter().find(foreign), None);
    assert!(report.size <= MAX_SIZE, "{} bytes", report.size);
}

#[test]
fn a_denial_in_the_middle_of_answers_stands_there() {
    let host = filter().start();
    let connection = host.connect();
    open(&connection);
    let denied = [
        parse("", "select 1"),
        bind("", "", &[]),
        execute("", 0),
        parse("", "table payments"),
        bind("", "", &[]),
        execute("", 0),
        sync(),
    ];
    let sent = connection.client_sends(&denied.concat()).delivered;
    assert!(!holds(&sent, "payments\0"));
    let before = [
        message(b'1', b""),
        message(b'2', b""),
        messages::data_row(b"1"),
        command_complete("SELECT 1"),
    ]
    .concat();
    let ready = ready_for_query(b'I');
    let answer = [before.clone(), refused(&token(&sent))].concat();
    let mut seen = connection.server_sends(&answer).delivered;
    seen.extend(connection.server_sends(&ready).delivered);
    assert!(seen.starts_with(&before) && seen.ends_with(&ready));
    assert!(holds(&seen, "C42501\0") && !holds(&seen, "pgmesh_denied"));
}

/// Statements that the policy denies, in every message that can hold one.
fn denied() -> Vec<Vec<u8>> {
    let long = format!("select '{}' from payments", "x".repeat(100_000));
    vec![
        query("table payments"),
        [parse("s", "table payments"), sync()].concat(),
        query("select (payments"),
        query(&long),
        message(b'F', &[0; 10]),
        messages::startup(PROTOCOL_3_0, &[("user", "payments")]),
    ]
}

#[test]
fn whatever_a_host_call_answers_nothing_denied_passes_and_nothing_traps() {
    let statuses = [
        Status::NotFound,
        Status::BadArgument,
        Status::InternalFailure,
        Status::Unimplemented,
    ];
    let report = ModuleReport::of_file(&built_module("envoy-policy")).unwrap();
    let imports = report.imports.iter();
    for import in imports.filter_map(|name| name.strip_prefix("env.")) {
        for status in statuses {
            // From the start: it may refuse to start, but then in words and not by a trap.
            match filter().failing(import, status).try_start() {
                Ok(host) => {
                    let connection = host.connect();
                    open(&connection);
                    assert_nothing_passes(&connection, import);
                    host.tick();
                }
                Err(refused) => {
                    assert!(!refused.reason.contains("trapped"), "{import}: {refused}");
                }
            }
            // Once it runs, always and for one call only.
            for times in [1, 2, u64::MAX] {
                let host = filter().start();
                let connection = host.connect();
                open(&connection);
                host.fail(import, status, times);
                assert_nothing_passes(&connection, import);
                host.tick();
                connection.close(ClosedBy::Local);
            }
        }
    }
}

fn assert_nothing_passes(connection: &Connection, import: &str) {
    for message in denied() {
        for piece in [usize::MAX, 4096] {
            for bytes in message.chunks(piece) {
                connection.client_sends(bytes);
            }
        }
    }
    let received = connection.server_received();
    let text = String::from_utf8_lossy(&received);
    assert!(!text.contains("payments\0"), "{import}: {text}");
    assert!(!text.contains("(payments"), "{import}: {text}");
}

#[test]
fn bytes_that_no_client_sends_end_the_session_and_nothing_traps() {
    for seed in 0..300_u32 {
        let host = filter().start();
        let connection = host.connect();
        if seed % 2 == 0 {
            open(&connection);
        }
        let bytes: Vec<u8> = noise(seed).take(5000).collect();
        let steal = query("table payments");
        for piece in bytes.chunks(1 + seed as usize % 700) {
            connection.client_sends(piece);
            connection.server_sends(piece);
        }
        connection.client_sends(&steal);
        assert!(
            !holds(&connection.server_received(), "table payments"),
            "{seed}"
        );
        connection.client_ends();
        connection.server_ends();
        connection.close(ClosedBy::Remote);
        host.tick();
    }
}

#[test]
fn what_is_held_has_a_bound_however_many_clients_hold_something_back() {
    let host = filter().start();
    let first = host.connect();
    open(&first);
    let before = host.memory_bytes();
    // 2,000 texts that do not end, 60 KB of each: 120 MB, were there no bound.
    let text = message(b'Q', &[b'x'; 64_000]);
    let clients: Vec<_> = (0..2000)
        .map(|_| {
            let client = host.connect();
            open(&client);
            for piece in text[..60_000].chunks(20_000) {
                client.client_sends(piece);
            }
            client
        })
        .collect();
    host.tick();
    let grown = host.memory_bytes() - before;
    assert!(grown < 16 << 20, "{grown} bytes");
    let sent: usize = clients
        .iter()
        .map(|client| client.server_received().len())
        .sum();
    assert!(sent < 2000 * 300, "{sent} bytes have passed");
    let held = || host.samples().sum("pgmesh_policy_held_bytes", &[]);
    assert!(held() > 500_000.0, "{}", held());
    for client in clients {
        client.close(ClosedBy::Remote);
    }
    host.tick();
    assert_eq!(held(), 0.0);
}

#[test]
fn no_password_bind_value_or_literal_reaches_a_metric_or_the_log() {
    const SECRET: &str = "s3cr3t-that-nobody-may-see";
    let host = filter().log_level(LogLevel::Trace).start();
    let connection = host.connect();
    connection.client_sends(&startup(
        PROTOCOL_3_0,
        &[
            ("user", "alice"),
            ("database", "app"),
            ("search_path", SECRET),
        ],
    ));
    connection.server_sends(&message(b'R', &[0, 0, 0, 3]));
    connection.client_sends(&message(b'p', format!("{SECRET}\0").as_bytes()));
    connection.server_sends(&[authentication_ok(), ready_for_query(b'I')].concat());
    for text in [
        format!("select '{SECRET}' from payments"),
        format!("select $${SECRET}$$ from payments -- {SECRET}"),
        format!("create role x password '{SECRET}' in role payments"),
        format!("do 'begin {SECRET}; end'"),
        format!("select ('{SECRET}"),
    ] {
        connection.client_sends(&query(&text));
        connection.client_sends(&[parse("", &text), bind("", "", &[SECRET]), sync()].concat());
    }
    connection.client_sends(&message(b'?', SECRET.as_bytes()));
    connection.close(ClosedBy::Remote);
    host.tick();
    let log: Vec<String> = host.logs().into_iter().map(|line| line.message).collect();
    assert!(log.iter().any(|line| line.contains("payments")), "{log:?}");
    assert!(log.iter().all(|line| !line.contains(SECRET)), "{log:?}");
    assert!(!host.samples().to_string().contains(SECRET));
}

/// Bytes without a pattern, the same in every run (xorshift, Marsaglia 2003).
fn noise(seed: u32) -> impl Iterator<Item = u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    })
}

/// Setting Envoy's filter state, as `SetEnvoyFilterStateArguments` of its wasm extension have it.
fn state(path: &str, value: &str) -> (String, Vec<u8>) {
    let field = |tag: u8, text: &str| {
        let length = u8::try_from(text.len()).expect("it is short");
        [&[tag, length], text.as_bytes()].concat()
    };
    let argument = [field(0x0a, path), field(0x12, value)].concat();
    ("set_envoy_filter_state".to_owned(), argument)
}

#[test]
fn a_cancel_request_goes_to_the_server_of_its_session() {
    let policy = r#"{"cancel_cluster": "session-server"}"#;
    let host = Host::load(&built_module("envoy-policy"))
        .configuration(policy)
        .start();
    host.foreign_function("set_envoy_filter_state", Ok(b""));
    let server: (&[&str], &[u8]) = (&["upstream", "address"], b"10.0.0.7:15432");
    let session = host.connect_with(&[server]);
    open(&session);
    let key = [&7_u32.to_be_bytes()[..], b"evil"].concat();
    session.server_sends(&message(b'K', &key));

    let cancel = host.connect();
    // Envoy shall not connect before it knows where to.
    assert_eq!(cancel.action(), Action::Pause);
    let sent = cancel.client_sends(&messages::cancel_request(7, b"evil"));
    assert_eq!(sent.action, Action::Continue);
    assert_eq!(sent.delivered, messages::cancel_request(7, b"evil"));
    let address = "envoy.network.transport_socket.original_dst_address";
    let led = [
        state(address, "10.0.0.7:15432"),
        state("envoy.tcp_proxy.cluster", "session-server"),
    ];
    assert_eq!(host.foreign_calls(), led);

    // Of nobody's session, and of one that has ended, nothing is known.
    for key in [b"lived", b"evil "] {
        host.connect()
            .client_sends(&messages::cancel_request(7, key));
    }
    session.close(ClosedBy::Remote);
    let late = host.connect();
    late.client_sends(&messages::cancel_request(7, b"evil"));
    assert_eq!(late.server_received(), messages::cancel_request(7, b"evil"));
    assert_eq!(host.foreign_calls(), led);
}
