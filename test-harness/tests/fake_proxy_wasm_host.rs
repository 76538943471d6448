//! The fake proxy-wasm host runs built modules as Envoy does: one written on the SDK here, ours in
//! their own tests.

use std::time::Duration;

use test_harness::fakes::proxy_wasm::{Action, ClosedBy, Host, LogLevel, Status};
use test_harness::hosts::places::reference_plugin;

fn reference() -> test_harness::fakes::proxy_wasm::Builder {
    Host::load(&reference_plugin())
}

#[test]
fn a_module_on_the_sdk_sees_every_byte_and_counts_it() {
    let host = reference().configuration("{}").start();
    assert_eq!(host.logs()[0].message, "configured with 2 bytes");
    assert_eq!(host.logs()[0].level, LogLevel::Info);
    assert_eq!(host.tick_period(), 1000);

    let connection = host.connect();
    assert_eq!(connection.action(), Action::Continue);
    let delivery = connection.client_sends(b"hello");
    assert_eq!(
        (delivery.action, delivery.delivered.as_slice()),
        (Action::Continue, &b"hello"[..])
    );
    connection.server_sends(b"hi");
    connection.server_sends(b", there");
    connection.server_ends();
    assert_eq!(connection.server_received(), b"hello");
    assert_eq!(connection.client_received(), b"hi, there");
    connection.close(ClosedBy::Remote);
    host.tick();

    let samples = host.samples();
    assert_eq!(
        samples.value("reference_bytes", &[("direction", "client")]),
        5.0
    );
    assert_eq!(
        samples.value("reference_bytes", &[("direction", "server")]),
        9.0
    );
    assert_eq!(samples.value("reference_ticks", &[]), 1.0);
}

#[test]
fn host_calls_and_instructions_are_counted() {
    let host = reference().start();
    let connection = host.connect();
    connection.client_sends(b"the first time costs more");
    host.forget_calls();
    connection.client_sends(b"hello");
    let calls = host.calls();
    let names: Vec<_> = calls.iter().map(|(name, count)| (*name, *count)).collect();
    assert_eq!(
        names,
        [
            ("proxy_get_buffer_bytes", 1),
            ("proxy_get_current_time_nanoseconds", 1),
            ("proxy_increment_metric", 1)
        ]
    );
    let first = host.instructions();
    host.forget_calls();
    connection.client_sends(b"hello");
    assert_eq!(host.instructions(), first);
    assert!((100..100_000).contains(&first), "{first}");
}

#[test]
fn a_module_that_refuses_its_configuration_does_not_start() {
    let refused = reference().configuration("refuse").try_start().unwrap_err();
    assert_eq!(refused.reason, "proxy_on_configure answered false");
    assert_eq!(refused.logs[0].message, "configured with 6 bytes");
}

#[test]
fn a_host_call_that_is_made_to_fail_fails_as_often_as_told() {
    let host = reference().start();
    let connection = host.connect();
    host.fail("proxy_increment_metric", Status::BadArgument, 2);
    for _ in 0..3 {
        connection.client_sends(b"abc");
    }
    assert_eq!(
        host.samples()
            .value("reference_bytes", &[("direction", "client")]),
        3.0
    );
}

#[test]
#[should_panic(expected = "trapped")]
fn a_trap_is_loud() {
    // The SDK panics on a status it does not expect.
    let host = reference().start();
    let connection = host.connect();
    host.fail("proxy_get_buffer_bytes", Status::InternalFailure, 1);
    connection.client_sends(b"abc");
}

#[test]
fn the_clock_stands_still_until_told() {
    let host = reference().start();
    host.advance(Duration::from_secs(2));
    host.set_clock(0);
    assert!(host.memory_bytes() >= 65_536);
}
