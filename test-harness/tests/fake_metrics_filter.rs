//! The built metrics filter in the fake host: what it asks of a host, and what it survives.

use module_report::ModuleReport;
use test_harness::fakes::proxy_wasm::{Action, ClosedBy, Connection, Host, LogLevel, Status};
use test_harness::hosts::places::built_module;
use test_harness::net::messages::{
    self, PROTOCOL_3_0, authentication_ok, command_complete, copy_data, data_row, error_response,
    query, ready_for_query, row_description, startup,
};

/// The most the module may weigh. The metrics alone were 239 KB; the rest is what follows statements:
/// redaction and fingerprints, the query log, the top statements, traces and their export (470 KB), and
/// the grammar that summaries are told by.
const MAX_SIZE: usize = 640 * 1024;
/// Host calls for the bytes of one statement: read the client's, read the server's, and the time.
const CALLS_PER_STATEMENT: u64 = 4;

fn filter() -> test_harness::fakes::proxy_wasm::Builder {
    Host::load(&built_module("envoy-metrics"))
}

/// One session: what the client says, and what the server answers to it.
fn session() -> Vec<(Vec<u8>, Vec<u8>)> {
    let greeting = [authentication_ok(), ready_for_query(b'I')].concat();
    vec![
        (
            startup(PROTOCOL_3_0, &[("user", "alice"), ("database", "app")]),
            greeting,
        ),
        (query("select 1"), one_row()),
        (
            query("selec"),
            [
                error_response("ERROR", "42601", "syntax error"),
                ready_for_query(b'I'),
            ]
            .concat(),
        ),
    ]
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

fn hold(connection: &Connection, piece: usize) {
    for (asked, answered) in session() {
        for bytes in asked.chunks(piece) {
            let delivery = connection.client_sends(bytes);
            assert_eq!(delivery.action, Action::Continue);
            assert_eq!(delivery.delivered, bytes);
        }
        for bytes in answered.chunks(piece) {
            let delivery = connection.server_sends(bytes);
            assert_eq!(delivery.action, Action::Continue);
            assert_eq!(delivery.delivered, bytes);
        }
    }
}

#[test]
fn the_module_can_call_nothing_but_its_hosts_plugin_interface() {
    let report = ModuleReport::of_file(&built_module("envoy-metrics")).unwrap();
    let foreign = |import: &&String| !import.starts_with("env.proxy_");
    assert_eq!(report.imports.iter().find(foreign), None);
    assert!(report.size <= MAX_SIZE, "{} bytes", report.size);
}

#[test]
fn a_session_is_counted_the_same_in_pieces_of_any_size() {
    let samples = |piece| {
        let host = filter().start();
        let connection = host.connect();
        hold(&connection, piece);
        connection.close(ClosedBy::Remote);
        host.tick();
        // The one metric that tells of the VM and not of the traffic.
        host.samples()
            .only(|sample| !sample.name.contains("state_bytes"))
    };
    let whole = samples(usize::MAX);
    let alice = [("database", "app"), ("user", "alice")];
    assert_eq!(whole.sum("pgmesh_statements_total", &alice), 2.0);
    assert_eq!(
        whole.sum("pgmesh_errors_total", &[("sqlstate", "42601")]),
        1.0
    );
    for piece in [1, 2, 3, 5, 7, 64] {
        assert_eq!(samples(piece), whole, "pieces of {piece}");
    }
}

#[test]
fn a_statement_costs_a_handful_of_host_calls() {
    let host = filter().start();
    let connection = host.connect();
    hold(&connection, usize::MAX);
    host.forget_calls();
    for _ in 0..100 {
        connection.client_sends(&query("select 1"));
        connection.server_sends(&one_row());
    }
    let calls = host.calls();
    let made: u64 = calls.values().sum();
    assert!(made <= 100 * CALLS_PER_STATEMENT, "{calls:?}");
}

#[test]
fn whatever_a_host_call_answers_the_bytes_pass_and_nothing_traps() {
    let statuses = [
        Status::NotFound,
        Status::BadArgument,
        Status::InvalidMemoryAccess,
        Status::InternalFailure,
        Status::Unimplemented,
    ];
    let report = ModuleReport::of_file(&built_module("envoy-metrics")).unwrap();
    for import in report
        .imports
        .iter()
        .filter_map(|name| name.strip_prefix("env."))
    {
        for status in statuses {
            // From the start: it may refuse to start, but then in words and not by a trap.
            match filter().failing(import, status).try_start() {
                Ok(host) => {
                    hold(&host.connect(), usize::MAX);
                    host.tick();
                }
                Err(refused) => {
                    assert!(!refused.reason.contains("trapped"), "{import}: {refused}");
                }
            }
            // And once it runs.
            let host = filter().start();
            let connection = host.connect();
            host.fail(import, status, u64::MAX);
            hold(&connection, 3);
            host.tick();
            connection.close(ClosedBy::Local);
        }
    }
}

#[test]
fn bytes_that_the_host_does_not_show_end_decoding_and_invent_nothing() {
    let host = filter().start();
    let connection = host.connect();
    hold(&connection, usize::MAX);
    host.fail("proxy_get_buffer_bytes", Status::InternalFailure, 1);
    connection.client_sends(&query("select 1"));
    connection.server_sends(&one_row());
    connection.close(ClosedBy::Remote);
    let samples = host.samples();
    let missed = [("reason", "frontend_missed")];
    assert_eq!(samples.sum("pgmesh_connections_opaque_total", &missed), 1.0);
    assert_eq!(samples.sum("pgmesh_connections_opaque_total", &[]), 1.0);
    assert_eq!(samples.sum("pgmesh_statements_total", &[]), 2.0);
}

#[test]
fn a_clock_that_goes_backwards_does_no_harm() {
    let host = filter().start();
    let connection = host.connect();
    hold(&connection, usize::MAX);
    connection.client_sends(&query("select 1"));
    host.set_clock(0);
    connection.server_sends(&one_row());
    host.tick();
    let operation = [("operation", "SELECT")];
    assert_eq!(
        host.samples().sum("pgmesh_statements_total", &operation),
        2.0
    );
}

#[test]
fn memory_stays_bounded_under_a_flood_of_messages_and_of_bytes_that_are_none() {
    let host = filter().start();
    let connection = host.connect();
    hold(&connection, usize::MAX);
    let flood = copy_data(&[]).repeat(10_000);
    connection.client_sends(&flood);
    let before = host.memory_bytes();
    for _ in 0..100 {
        connection.client_sends(&flood);
    }
    for seed in 0..200_u32 {
        let other = host.connect();
        let noise: Vec<u8> = noise(seed).take(20_000).collect();
        other.client_sends(&noise);
        other.server_sends(&noise);
        other.close(ClosedBy::Remote);
    }
    let grown = host.memory_bytes() - before;
    assert!(grown <= 512 * 1024, "{grown} bytes");
    assert_eq!(
        host.logs()
            .iter()
            .find(|line| line.level >= LogLevel::Error),
        None
    );
}

#[test]
fn memory_that_is_asked_for_out_of_turn_is_refused_and_costs_nothing() {
    let host = filter().start();
    let connection = host.connect();
    hold(&connection, usize::MAX);
    let before = host.memory_bytes();
    for _ in 0..1000 {
        for size in [0, 8, 64 * 1024, 1 << 20, u32::MAX] {
            assert_eq!(host.allocate(size), 0);
        }
    }
    assert_eq!(host.memory_bytes(), before);
    hold(&host.connect(), 3);
    host.tick();
    assert_eq!(
        host.samples()
            .sum("pgmesh_statements_total", &[("user", "alice")]),
        4.0
    );
}

#[test]
fn clients_that_have_not_been_let_in_cannot_fill_the_vm() {
    let host = filter().start();
    hold(&host.connect(), usize::MAX);
    let before = host.memory_bytes();
    let start = startup(PROTOCOL_3_0, &[("user", &"u".repeat(9000))]);
    let flood = [start, messages::message(b'S', b"").repeat(60_000)].concat();
    let strangers: Vec<_> = (0..100).map(|_| host.connect()).collect();
    for stranger in &strangers {
        stranger.client_sends(&flood);
    }
    let grown = host.memory_bytes() - before;
    assert!(grown <= 1024 * 1024, "{grown} bytes");
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

#[test]
fn lengths_that_cannot_be_end_decoding_and_not_the_connection() {
    for length in [0_u32, 3, 10_001, 0x7fff_ffff, u32::MAX] {
        let host = filter().start();
        let connection = host.connect();
        let bytes = [&length.to_be_bytes()[..], &[0; 32]].concat();
        assert_eq!(connection.client_sends(&bytes).delivered, bytes);
        let answer = messages::message(b'N', b"whatever");
        assert_eq!(connection.server_sends(&answer).delivered, answer);
        connection.close(ClosedBy::Remote);
        host.tick();
        let opaque = host.samples().sum("pgmesh_connections_opaque_total", &[]);
        assert_eq!(opaque, 1.0, "a start of {length} bytes");
    }
}

#[test]
fn no_password_bind_value_or_literal_reaches_a_metric_or_the_log() {
    const SECRET: &str = "s3cr3t-that-nobody-may-see";
    let host = filter().log_level(LogLevel::Trace).start();
    let connection = host.connect();
    connection.client_sends(&startup(
        PROTOCOL_3_0,
        &[("user", "alice"), ("database", "app"), ("options", SECRET)],
    ));
    connection.server_sends(&messages::message(b'R', &[0, 0, 0, 3]));
    connection.client_sends(&messages::message(b'p', format!("{SECRET}\0").as_bytes()));
    connection.server_sends(&[authentication_ok(), ready_for_query(b'I')].concat());
    connection.client_sends(&query(&format!("select '{SECRET}'")));
    let failed = error_response("ERROR", "22P02", &format!("invalid input: \"{SECRET}\""));
    connection.server_sends(&[failed, ready_for_query(b'I')].concat());
    let extended = [
        messages::parse("named", &format!("select $1, '{SECRET}'")),
        messages::bind("", "named", &[SECRET]),
        messages::execute("", 0),
        messages::sync(),
    ];
    connection.client_sends(&extended.concat());
    // A bad tag, so that the log has something to say.
    connection.server_sends(&messages::message(b'?', SECRET.as_bytes()));
    connection.close(ClosedBy::Remote);
    host.tick();
    let log: Vec<String> = host.logs().into_iter().map(|line| line.message).collect();
    assert!(
        log.iter().any(|line| line.contains("backend_unknown_tag")),
        "{log:?}"
    );
    assert!(log.iter().all(|line| !line.contains(SECRET)), "{log:?}");
    let samples = host.samples();
    assert_eq!(
        samples.sum("pgmesh_errors_total", &[("sqlstate", "22P02")]),
        1.0
    );
    assert!(!samples.to_string().contains(SECRET), "{samples}");
}
