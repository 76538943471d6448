//! What the filter weighs: its file, its connections, its label sets. Measured on the built module
//! in the fake host, where memory and instructions are the module's alone.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use serde_json::json;
use test_harness::fakes::postgres_server::SyntheticServer;
use test_harness::fakes::proxy_wasm::{Connection, Host};
use test_harness::hosts::{Envoy, places};
use test_harness::net::messages::{
    PROTOCOL_3_0, authentication_ok, backend_key_data, bind, command_complete, data_row, execute,
    message, parameter_status, ready_for_query, startup, sync,
};
use test_harness::net::{Client, allow_open_files};

use crate::Options;
use crate::report::{done, figure, progress};

const IDLE_CONNECTIONS: usize = 10_000;
/// What a usual limit of 20,000 open files has room for: Envoy has two sockets to a connection.
const IDLE_IN_ENVOY: usize = 9_000;
const TWO_TICKS: Duration = Duration::from_millis(2500);
const TRANSACTIONS: usize = 20_000;
/// Transactions between two ticks, as a busy worker has them in a second.
const PER_TICK: usize = 10_000;

/// Bytes of each built module.
pub fn module_sizes(_options: &Options) {
    for (name, bound) in [
        ("envoy-metrics", "<= 450"),
        ("otel-processor", "<= 700"),
        ("otel-processor.component", "<= 750"),
    ] {
        let bytes = fs::metadata(places::built_module(name));
        let bytes = bytes.map_or(f64::NAN, |found| found.len() as f64);
        figure(&format!("{name}.wasm: KB"), bytes / 1024.0, bound);
    }
}

/// VM memory per connection that is logged in and does nothing.
pub fn idle_connections(_options: &Options) {
    let host = Host::load(&places::built_module("envoy-metrics")).start();
    let first = open(&host, "app");
    let before = host.memory_bytes();
    let mut connections = vec![first];
    for opened in 1..IDLE_CONNECTIONS {
        if opened.is_multiple_of(1000) {
            progress(&format!("{opened} of {IDLE_CONNECTIONS} connections"));
        }
        connections.push(open(&host, "app"));
    }
    done();
    let grown = host.memory_bytes().saturating_sub(before) as f64;
    figure(
        "idle connection: KB of VM memory",
        grown / 1024.0 / IDLE_CONNECTIONS as f64,
        "<= 2",
    );
}

/// The same in a real Envoy, in front of a server that is nothing but patience: what the filter says
/// it holds, and by how much Envoy itself has grown beside one without it.
pub fn idle_connections_in_envoy(_options: &Options) {
    allow_open_files(2 * IDLE_IN_ENVOY as u64 + 500);
    let server = SyntheticServer::start();
    let plain = || {
        Envoy::in_front_of(server.address()).edit(|bootstrap| {
            let thresholds = json!([{ "max_connections": 2 * IDLE_IN_ENVOY }]);
            let cluster = &mut bootstrap["static_resources"]["clusters"][0];
            cluster["circuit_breakers"] = json!({ "thresholds": thresholds });
        })
    };
    let mut grown = Vec::new();
    for (name, envoy) in [
        ("no filter", plain()),
        ("metrics", plain().module("envoy-metrics", "")),
    ] {
        let envoy = envoy.start();
        let warm = Client::session(([127, 0, 0, 1], envoy.port()).into(), "app");
        let before = envoy.resident_bytes();
        let clients: Vec<Client> = (0..IDLE_IN_ENVOY)
            .map(|opened| {
                if opened.is_multiple_of(1000) {
                    progress(&format!("{name}: {opened} of {IDLE_IN_ENVOY} connections"));
                }
                Client::session(([127, 0, 0, 1], envoy.port()).into(), "app")
            })
            .collect();
        done();
        sleep(TWO_TICKS);
        grown.push(envoy.resident_bytes().saturating_sub(before) as f64);
        if name == "metrics" {
            let state = envoy.stats("wasmcustom.pgmesh_state_bytes");
            let bytes = state
                .rsplit(": ")
                .next()
                .and_then(|bytes| bytes.trim().parse().ok());
            let held: f64 = bytes.expect("the filter says what it holds");
            figure(
                "idle connection: KB the filter says it holds",
                held / 1024.0 / IDLE_IN_ENVOY as f64,
                "<= 2",
            );
        }
        drop((warm, clients));
    }
    let per_connection = (grown[1] - grown[0]) / 1024.0 / IDLE_IN_ENVOY as f64;
    figure(
        "idle connection: KB that Envoy grows more with the filter",
        per_connection,
        "",
    );
}

/// How the cost of a transaction grows with the number of label sets: wasm instructions, the
/// hand-over to the host on the tick included.
pub fn label_sets(_options: &Options) {
    let mut base = None;
    for sets in [10, 100, 1000] {
        let host = Host::load(&places::built_module("envoy-metrics")).start();
        let connections: Vec<Connection> = (0..sets)
            .map(|user| open(&host, &format!("user{user}")))
            .collect();
        connections.iter().for_each(transaction);
        host.tick();
        host.forget_calls();
        for (number, connection) in connections.iter().cycle().take(TRANSACTIONS).enumerate() {
            transaction(connection);
            if number % PER_TICK == PER_TICK - 1 {
                host.tick();
            }
        }
        let instructions = host.instructions() as f64 / TRANSACTIONS as f64;
        let host_calls: u64 = host.calls().values().sum();
        host.forget_calls();
        connections
            .iter()
            .cycle()
            .take(TRANSACTIONS)
            .for_each(transaction);
        let decoding = host.instructions() as f64 / TRANSACTIONS as f64;
        figure(
            &format!("{sets} label sets: of these without the hand-over"),
            decoding,
            "",
        );
        let base = *base.get_or_insert(instructions);
        figure(
            &format!("{sets} label sets: instructions per transaction"),
            instructions,
            "",
        );
        figure(
            &format!("{sets} label sets: ratio to 10"),
            instructions / base,
            "",
        );
        let calls = host_calls as f64 / TRANSACTIONS as f64;
        figure(
            &format!("{sets} label sets: host calls per transaction"),
            calls,
            "",
        );
    }
}

/// A session of that user, ready.
pub(crate) fn open(host: &Host, user: &str) -> Connection {
    let connection = host.connect();
    let parameters = [
        ("user", user),
        ("database", "app"),
        ("application_name", "bench"),
    ];
    connection.client_sends(&startup(PROTOCOL_3_0, &parameters));
    let answer = [
        authentication_ok(),
        parameter_status("client_encoding", "UTF8"),
        parameter_status("server_version", "18.0"),
        parameter_status("standard_conforming_strings", "on"),
        backend_key_data(1, &[0; 4]),
        ready_for_query(b'I'),
    ];
    connection.server_sends(&answer.concat());
    connection
}

/// A prepared SELECT of one row, as pgbench sends it.
pub(crate) fn transaction(connection: &Connection) {
    let describe = message(b'D', b"P\0");
    connection.client_sends(
        &[
            bind("", "P0_1", &["4711"]),
            describe,
            execute("", 0),
            sync(),
        ]
        .concat(),
    );
    let answer = [message(b'2', b""), one_row()];
    connection.server_sends(&answer.concat());
}

/// What the server answers to a SELECT of one row, up to the next command.
pub(crate) fn one_row() -> Vec<u8> {
    let answer = [
        message(
            b'T',
            b"\0\x01abalance\0\0\0\x40\0\0\0\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0",
        ),
        data_row(b"0"),
        command_complete("SELECT 1"),
        ready_for_query(b'I'),
    ];
    answer.concat()
}
