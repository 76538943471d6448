//! The policy filter in a real Envoy, with few rules, many, and beside the metrics filter.

use std::io::Write;
use std::process::Stdio;
use std::time::Instant;

use test_harness::fakes::proxy_wasm::Host;
use test_harness::hosts::{Envoy, Postgres, places};
use test_harness::net::messages::{message, parse, query, ready_for_query, sync};

use crate::Options;
use crate::load::{Run, Variant, in_rounds, pgbench, pgbench_of, pgbench_server, ratios};
use crate::memory::{one_row, open, transaction};
use crate::report::{figure, median};

/// Bytes of one COPY.
const COPY_BYTES: usize = 1 << 30;

/// A policy of so many rules that all have to be looked at: each is about something else, and none
/// is about pgbench.
fn policy(rules: usize) -> String {
    let rules: Vec<_> = (0..rules)
        .map(|number| {
            let what = match number % 4 {
                0 => format!(r#""writes": ["secret_{number}.*"]"#),
                1 => format!(r#""tables": ["payments.table_{number}"]"#),
                2 => r#""class": ["DDL", "ROLE"]"#.to_owned(),
                _ => format!(r#""functions": ["function_{number}"]"#),
            };
            let user = if number % 4 == 2 {
                format!(r#""user": ["user_{number}"], "#)
            } else {
                String::new()
            };
            format!(r#"{{"name": "rule {number}", "action": "deny", {user}{what}}}"#)
        })
        .collect();
    format!(r#"{{"rules": [{}]}}"#, rules.join(", "))
}

fn variants(server: &Postgres) -> Vec<Variant> {
    let plain = || Envoy::in_front_of(server.address());
    let (few, many) = (policy(20), policy(1000));
    [
        ("no filter", plain()),
        ("policy of 20 rules", plain().module("envoy-policy", &few)),
        (
            "policy of 1,000 rules",
            plain().module("envoy-policy", &many),
        ),
        (
            "metrics, and policy of 20 rules",
            plain()
                .module("envoy-metrics", "")
                .module("envoy-policy", &few),
        ),
    ]
    .into_iter()
    .map(|(name, builder)| Variant {
        name,
        envoy: builder.start(),
    })
    .collect()
}

/// CPU of Envoy per pgbench transaction, and transactions per second.
pub fn cpu_per_transaction(options: &Options) {
    let server = pgbench_server();
    let variants = variants(&server);
    for (mode, cpu_bounds, tps_bounds) in [
        ("prepared", ["<= 1.20", "", "<= 1.40"], ["", "", ">= 0.87"]),
        ("simple", ["<= 1.35", "", ""], ["", "", ""]),
    ] {
        let rounds = in_rounds(options.rounds, &variants, mode, |variant| {
            pgbench(&server, &variant.envoy, mode)
        });
        let cpu = |run: &Run| run.cpu_per_transaction;
        for (index, variant) in variants.iter().enumerate().skip(1) {
            let name = format!("{mode}: {}", variant.name);
            let ratio = median(&ratios(&rounds, index, cpu));
            figure(&format!("{name}: CPU ratio"), ratio, cpu_bounds[index - 1]);
            let ratio = median(&ratios(&rounds, index, |run| run.tps));
            figure(&format!("{name}: TPS ratio"), ratio, tps_bounds[index - 1]);
        }
        let cost: Vec<f64> = rounds
            .iter()
            .map(|round| {
                let added = |index: usize| cpu(&round[index]) - cpu(&round[0]);
                added(2) / added(1)
            })
            .collect();
        let name = format!("{mode}: cost of 1,000 rules to that of 20");
        figure(&name, median(&cost), "< 2");
    }
}

/// pgbench's SELECT, with a name in it that hardly comes twice.
const NEW_SHAPES: &str = "\\set aid random(1, 100000)\n\\set name random(1, 1000000000)\n\
    SELECT abalance AS a:name FROM pgbench_accounts WHERE aid = :aid;\n";

/// The same where every text has to be classified, since none of its shape came before.
pub fn new_shapes(options: &Options) {
    let server = pgbench_server();
    let mut variants = variants(&server);
    variants.truncate(3);
    let script = std::env::temp_dir().join(format!("new-shapes-{}.sql", std::process::id()));
    std::fs::write(&script, NEW_SHAPES).expect("the script can be written");
    let file = script.to_string_lossy();
    let rounds = in_rounds(options.rounds, &variants, "new shapes", |variant| {
        pgbench_of(&server, &variant.envoy, "simple", &["-f", &file])
    });
    std::fs::remove_file(&script).expect("it was written");
    for (index, variant) in variants.iter().enumerate().skip(1) {
        let ratio = median(&ratios(&rounds, index, |run| run.cpu_per_transaction));
        let name = format!("simple, every shape new: {}: CPU ratio", variant.name);
        figure(&name, ratio, "<= 1.80");
    }
}

/// pgbench's SELECT.
const SELECT: &str = "SELECT abalance FROM pgbench_accounts WHERE aid = $1;";
/// Transactions that are counted, and those before them that fill what the filter remembers.
const COUNTED: u64 = 2_000;

/// Wasm instructions per transaction, the same on every machine: what the CPU ratios above come from.
pub fn instructions(_options: &Options) {
    for rules in [20, 1000] {
        let host = Host::load(&places::built_module("envoy-policy"))
            .configuration(&policy(rules))
            .start();
        let connection = open(&host, "app");
        connection.client_sends(&[parse("P0_1", SELECT), sync()].concat());
        connection.server_sends(&[message(b'1', b""), ready_for_query(b'I')].concat());
        let simple = |sql: String| {
            connection.client_sends(&query(&sql));
            connection.server_sends(&one_row());
        };
        let seen = |number: u64| SELECT.replace("$1", &number.to_string());
        let new = |number: u64| seen(number).replace("abalance", &format!("abalance AS a{number}"));
        let modes: [(&str, &dyn Fn(u64)); 3] = [
            ("prepared", &|_| transaction(&connection)),
            ("simple", &|number| simple(seen(number))),
            ("simple, every shape new", &|number| simple(new(number))),
        ];
        for (name, run) in modes {
            (0..COUNTED).for_each(run);
            host.forget_calls();
            (COUNTED..2 * COUNTED).for_each(run);
            figure(
                &format!("{name}, {rules} rules: instructions per transaction"),
                host.instructions() as f64 / COUNTED as f64,
                "",
            );
        }
    }
}

/// Bytes per second of COPY FROM STDIN.
pub fn copy_in(options: &Options) {
    let server = pgbench_server();
    server.sql("create unlogged table copied (line text)");
    let mut variants = variants(&server);
    variants.truncate(2);
    let line = [&[b'x'; 127][..], b"\n"].concat();
    let block = line.repeat(1 << 13);
    let rounds = in_rounds(options.rounds.min(3), &variants, "COPY in", |variant| {
        server.sql("truncate copied");
        let begin = Instant::now();
        let mut psql = server
            .client_through(variant.envoy.port(), "psql")
            .args(["-Xq", "-c", "copy copied from stdin"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("psql starts");
        let mut stdin = psql.stdin.take().expect("it is a pipe");
        for _ in 0..COPY_BYTES / block.len() {
            stdin.write_all(&block).expect("psql reads");
        }
        drop(stdin);
        assert!(psql.wait().expect("psql ends").success());
        begin.elapsed().as_secs_f64()
    });
    let throughput = ratios(&rounds, 1, |seconds| 1.0 / seconds);
    figure(
        "COPY in of 1 GB: throughput ratio",
        median(&throughput),
        ">= 0.95",
    );
}
