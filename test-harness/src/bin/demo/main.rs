//! `make demo`: PostgreSQL 18 behind Envoy with the metrics filter, some 20 seconds of a mixed
//! load, and then what a user came for; then the trace of an application, and the policy filter, at
//! work on psql.
//!
//! With `--keep` everything stays up until Ctrl-C. With `--stack` all that watches a database comes on top
//! (`stack`), and stays up too.

mod load;
mod policy;
mod report;
mod stack;
mod traces;

use std::time::Duration;

use test_harness::hosts::{Envoy, HostError, Jaeger, Postgres, Version};
use test_harness::shipped;

/// How long the filter may take to hand over its last counts: a little over its flush interval.
const FLUSH: Duration = Duration::from_millis(1500);

fn main() -> Result<(), HostError> {
    let asked = |option: &str| std::env::args().any(|argument| argument == option);
    println!("Starting PostgreSQL 18 and Envoy with envoy-configs/envoy/metrics.yaml ...");
    let server = Postgres::builder(Version::V18)
        .preload("pg_stat_statements")
        .try_start()?;
    let envoy = shipped::metrics_bootstrap(&server).try_start()?;
    load::prepare(&server);
    load::run(&server, envoy.port());
    std::thread::sleep(FLUSH);
    report::print(&envoy.scrape());
    report::print_source(&envoy);
    load::print_added_latency(&server, envoy.port());
    let jaeger = traces::show(&server)?;
    policy::show()?;
    if asked("--stack") {
        stack::show()?;
    }
    if asked("--keep") {
        wait_for_user(&server, &envoy, jaeger.as_ref());
    }
    Ok(())
}

fn wait_for_user(server: &Postgres, envoy: &Envoy, jaeger: Option<&Jaeger>) {
    println!("\nStill running, until Ctrl-C:");
    println!(
        "  psql -h 127.0.0.1 -p {} -U alice shop      through Envoy",
        envoy.port()
    );
    println!(
        "  psql -h 127.0.0.1 -p {} -U postgres        directly",
        server.port()
    );
    println!(
        "  curl http://{}/stats/prometheus | grep pgmesh_",
        envoy.admin_address()
    );
    if let Some(jaeger) = jaeger {
        println!("  {}    Jaeger's page", jaeger.page());
    }
    loop {
        std::thread::park();
    }
}
