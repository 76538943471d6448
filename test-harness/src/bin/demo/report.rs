//! What a user came for, out of one scrape of Envoy's Prometheus page.

use std::collections::BTreeSet;

use test_harness::hosts::samples::Sample;
use test_harness::hosts::{Envoy, Samples};

/// Prints the tables.
pub fn print(scrape: &Samples) {
    statements(scrape);
    errors(scrape);
    latencies(scrape);
    transactions(scrape);
}

fn statements(scrape: &Samples) {
    println!("\nStatements by database and user");
    println!(
        "  {:<10} {:<10} {:>10} {:>12} {:>8}",
        "database", "user", "statements", "rows", "errors"
    );
    for (database, user) in sessions(scrape) {
        let labels = [("database", database.as_str()), ("user", user.as_str())];
        println!(
            "  {database:<10} {user:<10} {:>10} {:>12} {:>8}",
            scrape.sum("pgmesh_statements_total", &labels),
            scrape.sum("pgmesh_rows_total", &labels),
            scrape.sum("pgmesh_errors_total", &labels),
        );
    }
}

fn sessions(scrape: &Samples) -> BTreeSet<(String, String)> {
    let label = |sample: &Sample, name: &str| sample.labels.get(name).cloned().unwrap_or_default();
    let of_statements = scrape.select("pgmesh_statements_total", &[]);
    of_statements
        .map(|sample| (label(sample, "database"), label(sample, "user")))
        .collect()
}

fn values(scrape: &Samples, metric: &str, label: &str) -> BTreeSet<String> {
    scrape
        .select(metric, &[])
        .filter_map(|sample| sample.labels.get(label).cloned())
        .collect()
}

fn errors(scrape: &Samples) {
    println!("\nErrors by SQLSTATE");
    let all = scrape.sum("pgmesh_statements_total", &[]);
    for sqlstate in values(scrape, "pgmesh_errors_total", "sqlstate") {
        let count = scrape.sum("pgmesh_errors_total", &[("sqlstate", &sqlstate)]);
        println!(
            "  {sqlstate}  {count:>6}   {:.3} % of statements",
            100.0 * count / all
        );
    }
}

fn latencies(scrape: &Samples) {
    const METRIC: &str = "pgmesh_statement_duration_microseconds";
    println!("\nStatement time in milliseconds, by operation");
    println!(
        "  {:<12} {:>8} {:>9} {:>9} {:>9}",
        "operation", "count", "P50", "P95", "P99"
    );
    for operation in values(scrape, &format!("{METRIC}_count"), "operation") {
        let labels = [("operation", operation.as_str())];
        let count = scrape.sum(&format!("{METRIC}_count"), &labels);
        let quantile = |q| histogram_quantile(scrape, METRIC, &labels, q) / 1000.0;
        println!(
            "  {operation:<12} {count:>8} {:>9.3} {:>9.3} {:>9.3}",
            quantile(0.50),
            quantile(0.95),
            quantile(0.99)
        );
    }
}

/// As Prometheus computes it: linear inside the bucket where the quantile falls.
fn histogram_quantile(scrape: &Samples, metric: &str, labels: &[(&str, &str)], q: f64) -> f64 {
    let buckets = cumulative_buckets(scrape, metric, labels);
    let total = buckets.last().map_or(0.0, |(_, count)| *count);
    let rank = q * total;
    let mut below = (0.0, 0.0);
    for (bound, count) in buckets {
        if count >= rank {
            if bound.is_infinite() {
                return below.0;
            }
            let inside = if count > below.1 {
                (rank - below.1) / (count - below.1)
            } else {
                1.0
            };
            return below.0 + (bound - below.0) * inside;
        }
        below = (bound, count);
    }
    f64::NAN
}

fn cumulative_buckets(scrape: &Samples, metric: &str, labels: &[(&str, &str)]) -> Vec<(f64, f64)> {
    let name = format!("{metric}_bucket");
    let bound = |le: &str| {
        if le == "+Inf" {
            f64::INFINITY
        } else {
            le.parse().unwrap_or(f64::NAN)
        }
    };
    let mut buckets: Vec<(f64, f64)> = values(scrape, &name, "le")
        .iter()
        .map(|le| {
            let labels: Vec<_> = labels
                .iter()
                .copied()
                .chain([("le", le.as_str())])
                .collect();
            (bound(le), scrape.sum(&name, &labels))
        })
        .collect();
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    buckets
}

fn transactions(scrape: &Samples) {
    println!("\nTransactions");
    for outcome in ["commit", "rollback", "disconnected"] {
        let count = scrape.sum("pgmesh_transactions_total", &[("outcome", outcome)]);
        println!("  {outcome:<14} {count:>8}");
    }
    let idle = scrape.sum("pgmesh_idle_in_transaction_microseconds_sum", &[]) / 1e6;
    println!("  idle in transaction: {idle:.2} s in all");
    let cancels = scrape.sum("pgmesh_cancel_requests_total", &[]);
    println!("  cancel requests: {cancels}");
    let copied = scrape.sum("pgmesh_copy_bytes_total", &[]);
    println!("  bytes copied: {copied}");
}

/// Prints some of the lines behind the tables, as Prometheus scrapes them.
pub fn print_source(envoy: &Envoy) {
    println!(
        "\nBehind it, http://{}/stats/prometheus :",
        envoy.admin_address()
    );
    for metric in [
        "pgmesh_statements_total",
        "pgmesh_errors_total",
        "pgmesh_connections_active",
    ] {
        let page = envoy.admin("/stats/prometheus");
        for line in page.lines().filter(|line| line.starts_with(metric)).take(4) {
            println!("  {line}");
        }
    }
}
