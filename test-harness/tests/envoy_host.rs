//! The Envoy host keeps its promises: live when it says so, and what passes through it passes.

use std::net::SocketAddr;
use std::path::Path;

use test_harness::hosts::postgres::output_of;
use test_harness::hosts::{Envoy, Postgres, Version};

fn nowhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 9))
}

#[test]
fn a_query_goes_through_envoy_and_is_counted() {
    let server = Postgres::start(Version::V18);
    let envoy = Envoy::in_front_of(server.address()).start();
    let output = output_of(
        server
            .client_through(envoy.port(), "psql")
            .args(["-XAtc", "select 6*7"]),
    );
    assert_eq!(output.stdout, b"42\n");
    let connections = [("envoy_tcp_prefix", "postgres")];
    assert_eq!(
        envoy
            .scrape()
            .value("envoy_tcp_downstream_cx_total", &connections),
        1.0
    );
    assert_eq!(
        envoy.stats("^tcp.postgres.downstream_cx_total"),
        "tcp.postgres.downstream_cx_total: 1\n"
    );
}

#[test]
fn a_dropped_envoy_leaves_no_process() {
    let envoy = Envoy::in_front_of(nowhere()).start();
    let process = format!("/proc/{}", envoy.process_id());
    assert!(Path::new(&process).exists());
    assert!(envoy.resident_bytes() > 1 << 20);
    drop(envoy);
    assert!(!Path::new(&process).exists());
}

#[test]
fn a_bad_bootstrap_is_refused_with_envoys_own_words() {
    let bad =
        || Envoy::in_front_of(nowhere()).edit(|bootstrap| bootstrap["no_such_field"] = 1.into());
    assert!(bad().validate().unwrap_err().contains("no_such_field"));
    assert!(
        bad()
            .try_start()
            .unwrap_err()
            .to_string()
            .contains("no_such_field")
    );
    assert_eq!(Envoy::in_front_of(nowhere()).validate(), Ok(()));
}
