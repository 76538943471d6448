//! The filter in a real Envoy under pgbench, COPY and a large SELECT, beside the same Envoy
//! without it.

use std::process::Command;
use std::time::{Duration, Instant};

use test_harness::hosts::postgres::output_of;
use test_harness::hosts::{Envoy, Postgres, Version, places};

use crate::Options;
use crate::report::{done, figure, median, progress};

const CLIENTS: &str = "8";
const SECONDS: &str = "3";

/// An Envoy with or without a filter.
pub struct Variant {
    pub name: &'static str,
    pub envoy: Envoy,
}

/// What one pgbench run has cost.
pub struct Run {
    pub cpu_per_transaction: f64,
    pub tps: f64,
}

fn variants(server: &Postgres) -> Vec<Variant> {
    let plain = || Envoy::in_front_of(server.address());
    let reference = places::reference_plugin();
    [
        ("no filter", plain()),
        ("metrics", plain().module("envoy-metrics", "")),
        (
            "metrics, histograms by Envoy",
            plain().module("envoy-metrics", r#"{"histograms": "envoy"}"#),
        ),
        (
            "reference plugin on the SDK",
            plain().module_file(&reference, "reference", ""),
        ),
    ]
    .into_iter()
    .map(|(name, builder)| Variant {
        name,
        envoy: builder.start(),
    })
    .collect()
}

/// CPU of Envoy per pgbench transaction, and transactions per second, for the three protocols.
pub fn cpu_per_transaction(options: &Options) {
    let server = pgbench_server();
    let variants = variants(&server);
    for (mode, bound) in [("prepared", "<= 1.20"), ("simple", ""), ("extended", "")] {
        let rounds = in_rounds(options.rounds, &variants, mode, |variant| {
            pgbench(&server, &variant.envoy, mode)
        });
        for (index, variant) in variants.iter().enumerate().skip(1) {
            let ours = index == 1;
            let cpu = ratios(&rounds, index, |run| run.cpu_per_transaction);
            let tps = ratios(&rounds, index, |run| run.tps);
            let name = format!("{mode}: {}", variant.name);
            figure(
                &format!("{name}: CPU ratio"),
                median(&cpu),
                if ours { bound } else { "" },
            );
            let bound = if ours && mode == "prepared" {
                ">= 0.92"
            } else {
                ""
            };
            figure(&format!("{name}: TPS ratio"), median(&tps), bound);
        }
        let plain: Vec<f64> = rounds
            .iter()
            .map(|round| round[0].cpu_per_transaction)
            .collect();
        figure(
            &format!("{mode}: no filter: CPU us per transaction"),
            median(&plain),
            "",
        );
    }
}

/// Bytes per second of COPY TO STDOUT and of a large SELECT.
pub fn bulk_throughput(options: &Options) {
    let server = pgbench_server();
    server.sql("create table wide as select g, repeat(md5(g::text), 60) t from generate_series(1, 100000) g");
    let mut variants = variants(&server);
    variants.truncate(2);
    for (name, sql) in [
        (
            "COPY out, rows of 100 bytes",
            "copy (select * from pgbench_accounts) to stdout",
        ),
        ("COPY out, rows of 2 KB", "copy wide to stdout"),
        ("SELECT of rows of 2 KB", "select * from wide"),
        (
            "SELECT of one value of 200 MB",
            "select repeat('x', 200000000)",
        ),
    ] {
        let rounds = in_rounds(options.rounds, &variants, name, |variant| {
            let (begin, before) = (Instant::now(), variant.envoy.cpu_time());
            let mut psql = server.client_through(variant.envoy.port(), "psql");
            output_of(psql.args(["-XAtq", "-o", "/dev/null", "-c", sql]));
            let cpu = variant.envoy.cpu_time().saturating_sub(before);
            (begin.elapsed().as_secs_f64(), cpu.as_secs_f64())
        });
        let throughput = ratios(&rounds, 1, |(seconds, _)| 1.0 / seconds);
        figure(
            &format!("{name}: throughput ratio"),
            median(&throughput),
            ">= 0.95",
        );
        let cpu = ratios(&rounds, 1, |(_, cpu)| *cpu);
        figure(&format!("{name}: CPU ratio"), median(&cpu), "");
    }
}

/// A server with pgbench's tables.
pub fn pgbench_server() -> Postgres {
    let server = Postgres::start(Version::V18);
    output_of(server.client("pgbench").args(["-i", "-s", "10", "-q"]));
    server
}

/// One run of pgbench's SELECT through an Envoy.
pub fn pgbench(server: &Postgres, envoy: &Envoy, mode: &str) -> Run {
    pgbench_of(server, envoy, mode, &["-S"])
}

/// One run of what `script` tells pgbench to run.
pub fn pgbench_of(server: &Postgres, envoy: &Envoy, mode: &str, script: &[&str]) -> Run {
    let before = envoy.cpu_time();
    let mut command = server.client_through(envoy.port(), "pgbench");
    command.args(script);
    let report = run(command.args(["-n", "-M", mode, "-c", CLIENTS, "-T", SECONDS]));
    let cpu = envoy.cpu_time().saturating_sub(before);
    let transactions = number_after(&report, "transactions actually processed: ");
    Run {
        cpu_per_transaction: micros(cpu) / transactions,
        tps: number_after(&report, "tps = "),
    }
}

/// What a program prints.
pub fn run(command: &mut Command) -> String {
    String::from_utf8_lossy(&output_of(command).stdout).into_owned()
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn number_after(report: &str, label: &str) -> f64 {
    let rest = report
        .split(label)
        .nth(1)
        .unwrap_or_else(|| panic!("no {label:?} in {report}"));
    let end = rest
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(rest.len());
    rest[..end].parse().expect("pgbench prints numbers")
}

/// Every variant once a round, each round in the other direction; by round, then variant. What the
/// first, uncounted round gives is thrown away: it fills caches.
pub fn in_rounds<V, T>(
    rounds: usize,
    variants: &[V],
    what: &str,
    mut measure: impl FnMut(&V) -> T,
) -> Vec<Vec<T>> {
    let mut results = Vec::new();
    for round in 0..=rounds {
        progress(&format!("{what}: round {round} of {rounds}"));
        let mut order: Vec<usize> = (0..variants.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        let mut measured: Vec<(usize, T)> = order
            .into_iter()
            .map(|index| (index, measure(&variants[index])))
            .collect();
        measured.sort_by_key(|(index, _)| *index);
        results.push(measured.into_iter().map(|(_, result)| result).collect());
    }
    done();
    results.remove(0);
    results
}

/// Of each round, a variant's value to the first variant's.
pub fn ratios<T>(rounds: &[Vec<T>], index: usize, of: impl Fn(&T) -> f64) -> Vec<f64> {
    rounds
        .iter()
        .map(|round| of(&round[index]) / of(&round[0]))
        .collect()
}
