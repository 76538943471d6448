//! The traces at work: an application with OpenTelemetry's own instrumentation, Envoy with the
//! filter, a Jaeger that holds what both have sent, and the tree it answers with.

use std::time::Duration;

use test_harness::drivers::{conninfo, traced_application};
use test_harness::hosts::jaeger::tree_of;
use test_harness::hosts::{Envoy, HostError, Jaeger, Postgres};

const LIMIT: Duration = Duration::from_secs(30);
/// The application's five spans; ours of its four statements, BEGIN, COMMIT and the block.
const SPANS: usize = 12;
const CONFIGURATION: &str = r#"{
  "traces": {"root_one_in": 1},
  "export": {"cluster": "otel"},
  "resource": {"service.name": "envoy"}
}"#;

/// Shows them, and hands over what must stay up for the page to. A machine without Go has no Jaeger.
pub fn show(server: &Postgres) -> Result<Option<Jaeger>, HostError> {
    if !Jaeger::is_built() {
        println!("\nTraces: NOT SHOWN, Jaeger is not built; install Go and run `make stores`");
        return Ok(None);
    }
    println!("\nTraces: psycopg with sqlcommenter, Envoy and Jaeger");
    let jaeger = Jaeger::start();
    let envoy = Envoy::in_front_of(server.address())
        .module("envoy-metrics", CONFIGURATION)
        .cluster("otel", jaeger.otlp())
        .try_start()?;
    let trace = traced_application(&conninfo(envoy.port(), "postgres"), jaeger.otlp());
    let spans = jaeger.trace(&trace, SPANS, LIMIT);
    println!("  trace {trace}, as Jaeger has it:");
    for line in tree_of(&spans).lines() {
        println!("    {line}");
    }
    Ok(Some(jaeger))
}
