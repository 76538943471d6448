//! The whole stack at work: a minute of load, one statement followed into every store, the alerts that
//! the load causes, and where to look oneself.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use test_harness::hosts::{HostError, Release, Version};
use test_harness::stack::{Stack, load, statements};

/// Until the first alerts that have to last for minutes fire.
const LOAD: Duration = Duration::from_secs(75);
const LIMIT: Duration = Duration::from_secs(60);

/// Starts it, shows it, and keeps it up until Ctrl-C.
pub fn show() -> Result<(), HostError> {
    println!(
        "\nThe stack: PostgreSQL 18 and a standby, Envoy with both filters, the Collector with the"
    );
    println!("processor, Jaeger, Loki, Prometheus with our rules, Alertmanager ...");
    let stack = Stack::try_start(Version::V18, Release::Debian)?;
    let _load = load::start(&stack);
    let begin = Instant::now();
    while begin.elapsed() < LOAD {
        show_progress(begin.elapsed());
        thread::sleep(Duration::from_millis(500));
    }
    eprintln!();
    one_statement(&stack);
    alerts(&stack);
    addresses(&stack);
    loop {
        thread::park();
    }
}

fn show_progress(elapsed: Duration) {
    let done = (elapsed.as_millis() * 30 / LOAD.as_millis()).min(30);
    let bar = "#".repeat(usize::try_from(done).unwrap_or(30));
    eprint!(
        "\rload: [{bar:<30}] {:>2} of {} s",
        elapsed.as_secs(),
        LOAD.as_secs()
    );
    // Progress that cannot be shown is no reason to stop.
    let _shown = std::io::stderr().flush();
}

fn one_statement(stack: &Stack) {
    println!(
        "\nOne statement, everywhere: psycopg with OpenTelemetry runs a slow one and a denied one"
    );
    for statement in statements::run(stack) {
        println!("\n  {}", statement.text);
        println!(
            "  fingerprint {}, trace {}",
            statement.fingerprint, statement.trace
        );
        for sighting in statements::look(stack, &statement, LIMIT) {
            let by_trace = sighting
                .by_trace
                .map_or("nothing is kept by trace".to_owned(), |found| {
                    format!("{} by the trace", found.len())
                });
            println!(
                "    {:<24} {} by the fingerprint, {by_trace}",
                sighting.place,
                sighting.by_fingerprint.len(),
            );
        }
    }
    let text = statements::in_pg_stat_statements(stack);
    println!("\n  pg_stat_statements       {text}");
    println!(
        "                           has the fingerprint {}",
        statements::fingerprint(&text)
    );
}

fn alerts(stack: &Stack) {
    println!("\nAlerts that the load has caused");
    let mut alerts = stack.prometheus.alerts();
    alerts.sort_by(|a, b| a.name().cmp(b.name()));
    for alert in alerts {
        println!("  {:<8} {}", alert.state, alert.annotations["summary"]);
    }
}

fn addresses(stack: &Stack) {
    println!(
        "\nStill running, until Ctrl-C; the server's log is shipped by {}:",
        stack.log_shipper()
    );
    let through = stack.envoy.port();
    for (what, where_it_is) in [
        (
            "through Envoy",
            format!("psql -h 127.0.0.1 -p {through} -U alice shop"),
        ),
        (
            "as a workload",
            format!(
                "psql -h 127.0.0.1 -p {} -U bob billing",
                stack.workload_port()
            ),
        ),
        (
            "Envoy's metrics",
            format!("http://{}/stats/prometheus", stack.envoy.admin_address()),
        ),
        (
            "Prometheus",
            format!("http://{}/alerts", stack.prometheus.address()),
        ),
        (
            "Alertmanager",
            format!("http://{}/", stack.alertmanager.address()),
        ),
        ("Jaeger", stack.jaeger.page()),
        (
            "Loki",
            format!("http://{}/loki/api/v1/labels", stack.loki.address()),
        ),
        (
            "OTLP over HTTP",
            format!("http://{}", stack.collector.otlp()),
        ),
    ] {
        println!("  {what:<16} {where_it_is}");
    }
}
