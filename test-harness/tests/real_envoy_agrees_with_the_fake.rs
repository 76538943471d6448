//! The fake host and the real Envoy agree: the same module, the same exchange, the same metrics.

use std::time::Duration;

use pg_wire::Direction;
use test_harness::fakes::postgres_server::SyntheticServer;
use test_harness::fakes::proxy_wasm::{ClosedBy, Host};
use test_harness::hosts::places::{built_module, reference_plugin};
use test_harness::hosts::postgres::output_of;
use test_harness::hosts::{Envoy, Postgres, Samples, Version, wait_for};
use test_harness::net::{Client, messages};
use test_harness::relay::Relay;
use test_harness::shipped;

#[test]
fn the_real_envoy_gives_the_same_metrics_for_the_same_exchange() {
    let name = "reference-plugin";
    let server = SyntheticServer::start();
    let envoy = Envoy::in_front_of(server.address())
        .module_file(&reference_plugin(), name, "")
        .edit(|bootstrap| {
            bootstrap["stats_config"]["stats_tags"] = serde_json::json!([
                { "tag_name": "direction", "regex": r"(\.?direction=\.=(.*?);\.;)" },
            ]);
        })
        .start();
    let host = Host::load(&reference_plugin()).start();
    let connection = host.connect();

    let startup = messages::startup(messages::PROTOCOL_3_0, &[("user", "alice")]);
    let mut client = Client::connect(envoy.listener("postgres"));
    client.send(&startup);
    let answer = client.read_until_ready();
    connection.client_sends(&startup);
    for message in answer {
        connection.server_sends(&messages::message(message.tag, &message.body));
    }

    for direction in ["client", "server"] {
        let labels = [("direction", direction)];
        let expected = host.samples().value("reference_bytes", &labels);
        let same = wait_for(Duration::from_secs(5), || {
            (envoy.scrape().sum("reference_bytes", &labels) == expected).then_some(())
        });
        assert!(
            same.is_some(),
            "{direction}: {expected} in the fake\n{}",
            envoy.scrape()
        );
    }
}

/// What the metrics filter counts, without what depends on time and on the number of VMs.
fn counted(samples: &Samples) -> Samples {
    let mut counted: Vec<_> = samples
        .iter()
        .filter(|sample| sample.name.starts_with("pgmesh_"))
        .filter(|sample| !sample.name.contains("_microseconds"))
        .filter(|sample| sample.name != "pgmesh_state_bytes")
        .cloned()
        .collect();
    counted.sort_by_key(ToString::to_string);
    counted.into_iter().collect()
}

#[test]
fn the_metrics_filter_counts_the_same_in_both() {
    let server = Postgres::start(Version::V18);
    let envoy = shipped::metrics_bootstrap(&server).start();
    let relay = Relay::to(([127, 0, 0, 1], envoy.port()).into());
    output_of(server.client_through(relay.port(), "psql").args([
        "-XAtq",
        "-c",
        "create table t (n int)",
        "-c",
        "insert into t select generate_series(1, 1000)",
        "-c",
        "copy t to stdout",
        "-c",
        "begin; select 1; rollback",
    ]));

    let host = Host::load(&built_module("envoy-metrics")).start();
    for exchange in relay.exchanges() {
        let connection = host.connect();
        for (direction, bytes) in exchange {
            match direction {
                Direction::Frontend => connection.client_sends(&bytes),
                Direction::Backend => connection.server_sends(&bytes),
            };
        }
        connection.close(ClosedBy::Remote);
    }
    host.tick();

    let expected = counted(&host.samples());
    assert!(
        expected.sum("pgmesh_rows_total", &[]) >= 1000.0,
        "{expected}"
    );
    let same = wait_for(Duration::from_secs(5), || {
        (counted(&envoy.scrape()) == expected).then_some(())
    });
    assert!(
        same.is_some(),
        "in the fake:\n{expected}in Envoy:\n{}",
        counted(&envoy.scrape())
    );
}
