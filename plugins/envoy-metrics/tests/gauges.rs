//! Gauges are shared by every root and worker of an Envoy: what one has added it must take back.
#![allow(clippy::expect_used, reason = "test code: a panic is how it reports")]

use envoy_metrics::Metrics;
use proxy_host::fake::FakeHost;
use proxy_host::{ContextId, Runtime};

const ROOT: u32 = 1;
const CONNECTION: u32 = 2;

fn id(number: u32) -> ContextId {
    ContextId::from(number)
}

/// A root with one session that holds a prepared statement and has been through a tick.
fn with_a_session(host: &FakeHost) -> Runtime<Metrics> {
    let mut runtime = Runtime::default();
    runtime.create(id(ROOT), id(0));
    assert!(runtime.configure(host, id(ROOT), 0));
    runtime.create(id(CONNECTION), id(ROOT));
    let exchange: [(bool, &[u8]); 4] = [
        (true, b"\0\0\0\x10\0\x03\0\0user\0u\0\0"),
        (false, b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I"),
        (true, b"P\0\0\0\x0fs\0select\0\0\0S\0\0\0\x04"),
        (false, b"1\0\0\0\x04Z\0\0\0\x05I"),
    ];
    for (from_client, bytes) in exchange {
        *host.buffer.borrow_mut() = bytes.to_vec();
        if from_client {
            runtime.downstream_data(host, id(CONNECTION), bytes.len(), false);
        } else {
            runtime.upstream_data(host, id(CONNECTION), bytes.len(), false);
        }
    }
    runtime.tick(host, id(ROOT));
    runtime
}

fn sum(host: &FakeHost, family: &str) -> i64 {
    host.metrics()
        .iter()
        .filter(|(name, _)| name.starts_with(family))
        .map(|(_, metric)| metric.value)
        .sum()
}

const GAUGES: [&str; 2] = [
    "pgmesh_connections_active",
    "pgmesh_prepared_statements_active",
];

#[test]
fn a_root_that_is_gone_leaves_nothing_in_the_gauges() {
    let host = FakeHost::default();
    let mut runtime = with_a_session(&host);
    for gauge in GAUGES {
        assert_eq!(sum(&host, gauge), 1, "{gauge}");
    }
    assert!(sum(&host, "pgmesh_state_bytes") > 0);
    runtime.delete(&host, id(ROOT));
    for gauge in GAUGES.into_iter().chain(["pgmesh_state_bytes"]) {
        assert_eq!(sum(&host, gauge), 0, "{gauge}");
    }
}

#[test]
fn a_root_that_is_configured_anew_leaves_nothing_in_the_gauges() {
    let host = FakeHost::default();
    let mut runtime = with_a_session(&host);
    assert!(runtime.configure(&host, id(ROOT), 0));
    // What the host still calls for the connection that was open finds nobody.
    runtime.upstream_close(&host, id(CONNECTION));
    runtime.delete(&host, id(CONNECTION));
    runtime.delete(&host, id(CONNECTION));
    for gauge in GAUGES.into_iter().chain(["pgmesh_state_bytes"]) {
        assert_eq!(sum(&host, gauge), 0, "{gauge}");
    }
}
