//! The fake host and the real Envoy agree: the same module, the same exchange, the same metrics.

use std::time::Duration;

use test_harness::fakes::postgres_server::SyntheticServer;
use test_harness::fakes::proxy_wasm::Host;
use test_harness::hosts::places::reference_plugin;
use test_harness::hosts::{Envoy, wait_for};
use test_harness::net::{Client, messages};

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
