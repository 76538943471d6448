//! An application's trace, the proxy's spans and the server's log line are one: psycopg with
//! OpenTelemetry's own instrumentation, a real Envoy with the filter, both PostgreSQLs, a real Jaeger.

use std::time::Duration;

use test_harness::drivers::{conninfo, traced_application};
use test_harness::hosts::jaeger::tree_of;
use test_harness::hosts::{Envoy, Jaeger, Postgres, Version, wait_for};

const LIMIT: Duration = Duration::from_secs(30);
const CONFIGURATION: &str = r#"{
  "traces": {"root_one_in": 0},
  "query_log": {"one_in": 1},
  "export": {"cluster": "otel", "authority": "jaeger"},
  "resource": {"service.name": "shop-db"}
}"#;

fn envoy(server: &Postgres, collector: std::net::SocketAddr) -> Envoy {
    Envoy::in_front_of(server.address())
        .module("envoy-metrics", CONFIGURATION)
        .cluster("otel", collector)
        .start()
}

#[test]
fn the_application_the_proxy_and_the_server_tell_of_one_trace() {
    let jaeger = Jaeger::start();
    for version in Version::ALL {
        let server = Postgres::builder(version)
            .setting("log_statement", "all")
            .start();
        let envoy = envoy(&server, jaeger.otlp());
        let trace = traced_application(&conninfo(envoy.port(), "postgres"), jaeger.otlp());
        assert_eq!(trace.len(), 32, "{trace}");
        // The application's: pay and four statements. Ours: those, BEGIN, COMMIT and the block.
        let spans = jaeger.trace(&trace, 12, LIMIT);
        let tree = tree_of(&spans);
        assert_eq!(spans.len(), 12, "{tree}");
        let pay = spans.iter().find(|span| span.name == "pay").expect(&tree);
        let ours = |name: &str| {
            let mut found = spans
                .iter()
                .filter(|span| span.service == "shop-db" && span.name == name);
            found
                .next()
                .unwrap_or_else(|| panic!("no {name} in\n{tree}"))
        };
        let parent = |id: &str| spans.iter().find(|span| span.id == id).expect(&tree);
        // A statement stands under the span that the application's instrumentation made for it.
        for name in ["insert payments", "create table payments"] {
            let client = parent(&ours(name).parent);
            assert_eq!(
                (client.service.as_str(), &client.parent),
                ("till", &pay.id),
                "{tree}"
            );
        }
        let block = ours("TRANSACTION");
        for name in ["BEGIN", "COMMIT"] {
            assert_eq!(ours(name).parent, block.id, "{tree}");
        }
        assert_eq!(parent(&block.parent).service, "till", "{tree}");
        let failed = spans
            .iter()
            .find(|span| span.tags["error.type"] == "22012" && span.service == "shop-db");
        assert_eq!(failed.expect(&tree).tags["otel.status_code"], "ERROR");
        // The same id is in the server's log, and in the query log.
        assert!(
            server.log().contains(&format!("traceparent='00-{trace}-")),
            "{}",
            server.log()
        );
        let line = format!("\"trace_id\":\"{trace}\"");
        wait_for(LIMIT, || envoy.log().contains(&line).then_some(())).expect("a line with the id");
        assert!(!envoy.log().contains("4111-1111"), "{}", envoy.log());
        let shown = format!("{spans:?}");
        assert!(!shown.contains("4111-1111"), "{shown}");
    }
}
