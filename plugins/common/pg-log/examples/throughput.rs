//! Bytes of log per second that are read and classified, before any redaction: `cargo run --release
//! -p pg-log --example throughput`. Prints a line per format, and one per number of classes.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    reason = "an example may stop with a message"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use pg_log::{Class, Classes, Parser, Prefix};

const PREFIX: &str = "%m [%p] %q%u@%d ";

/// Messages as a busy server writes them: those of sessions, durations, an error with its companions,
/// a checkpoint.
const MESSAGES: [(&str, &str, &str, &str); 7] = [
    (
        "LOG",
        "connection received: host=10.0.13.7 port=39612",
        "",
        "",
    ),
    (
        "LOG",
        "connection authorized: user=shop_backend database=shop application_name=checkout-service",
        "",
        "",
    ),
    (
        "LOG",
        "duration: 12.345 ms  execute <unnamed>: SELECT o.id, o.total, c.email FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.id = $1 AND o.state <> $2 ORDER BY o.created_at DESC LIMIT 20",
        "parameters: $1 = '4711', $2 = 'cancelled'",
        "",
    ),
    (
        "ERROR",
        "duplicate key value violates unique constraint \"customers_email_key\"",
        "Key (email)=(bob@example.com) already exists.",
        "INSERT INTO customers (email, name, created_at) VALUES ($1, $2, now()) RETURNING id",
    ),
    (
        "LOG",
        "process 4711 still waiting for ShareLock on transaction 735 after 1000.089 ms",
        "Process holding the lock: 4712. Wait queue: 4711.",
        "UPDATE orders SET state = $1 WHERE id = $2",
    ),
    (
        "LOG",
        "checkpoint complete: wrote 3 buffers (0.0%); 0 WAL file(s) added, 0 removed, 0 recycled; write=0.001 s, sync=0.001 s, total=0.005 s; sync files=2, longest=0.001 s, average=0.001 s; distance=0 kB, estimate=0 kB",
        "",
        "",
    ),
    (
        "LOG",
        "disconnection: session time: 0:00:00.004 user=shop_backend database=shop host=10.0.13.7 port=39612",
        "",
        "",
    ),
];

fn stderr() -> String {
    let head = "2026-11-23 03:34:37.123 UTC [4711] shop_backend@shop ";
    let mut log = String::new();
    for (severity, message, detail, statement) in MESSAGES {
        log.push_str(&format!("{head}{severity}:  {message}\n"));
        for (word, text) in [("DETAIL", detail), ("STATEMENT", statement)] {
            if !text.is_empty() {
                log.push_str(&format!("{head}{word}:  {text}\n"));
            }
        }
    }
    log
}

fn csvlog() -> String {
    let quoted = |text: &str| match text {
        "" => String::new(),
        text => format!("\"{}\"", text.replace('"', "\"\"")),
    };
    let row = |(severity, message, detail, statement): (&str, &str, &str, &str)| {
        format!(
            "2026-11-23 03:34:37.123 UTC,\"shop_backend\",\"shop\",4711,\"10.0.13.7:39612\",692280b5.1267,5,\"SELECT\",2026-11-23 03:34:00 UTC,3/17,0,{severity},00000,{},{},,,,,{},,,\"checkout-service\",\"client backend\",,0\n",
            quoted(message),
            quoted(detail),
            quoted(statement)
        )
    };
    MESSAGES.into_iter().map(row).collect()
}

fn jsonlog() -> String {
    let member = |name: &str, text: &str| match text {
        "" => String::new(),
        text => format!(",\"{name}\":\"{}\"", text.replace('"', "\\\"")),
    };
    let object = |(severity, message, detail, statement): (&str, &str, &str, &str)| {
        format!(
            "{{\"timestamp\":\"2026-11-23 03:34:37.123 UTC\",\"user\":\"shop_backend\",\"dbname\":\"shop\",\"pid\":4711,\"remote_host\":\"10.0.13.7\",\"remote_port\":39612,\"session_id\":\"692280b5.1267\",\"line_num\":5,\"ps\":\"SELECT\",\"session_start\":\"2026-11-23 03:34:00 UTC\",\"vxid\":\"3/17\",\"txid\":0,\"error_severity\":\"{severity}\",\"state_code\":\"00000\"{}{}{},\"application_name\":\"checkout-service\",\"backend_type\":\"client backend\",\"query_id\":0}}\n",
            member("message", message),
            member("detail", detail),
            member("statement", statement)
        )
    };
    MESSAGES.into_iter().map(object).collect()
}

/// The best of several runs, which is the one least disturbed.
fn best(mut run: impl FnMut()) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..9 {
        let begin = Instant::now();
        run();
        best = best.min(begin.elapsed());
    }
    best
}

fn megabytes_per_second(bytes: usize, took: Duration) -> f64 {
    bytes as f64 / took.as_secs_f64() / 1e6
}

fn main() {
    let classes = Classes::new();
    for (name, one) in [
        ("stderr", stderr()),
        ("csvlog", csvlog()),
        ("jsonlog", jsonlog()),
    ] {
        let log = one.repeat(20_000_000 / one.len());
        let mut parser = Parser::with_prefix(Prefix::compile(PREFIX).expect("a valid prefix"));
        let mut entries = 0_usize;
        let took = best(|| {
            entries = 0;
            let mut rest = log.as_bytes();
            while let Some((event, behind)) = parser.parse(rest) {
                black_box(classes.of(&event));
                entries += 1;
                rest = behind;
            }
        });
        println!(
            "pg-log {name:8} {:6.0} MB/s  {:5.0} ns per entry",
            megabytes_per_second(log.len(), took),
            took.as_nanos() as f64 / entries as f64
        );
    }
    for count in [10, 60, Class::all().len()] {
        let classes = Classes::with(count);
        let rounds = 200_000;
        let took = best(|| {
            for _ in 0..rounds {
                // A class that all of them know, so that the work is the same.
                black_box(classes.of_message(black_box(
                    MESSAGES.get(1).map_or(&b""[..], |one| one.1.as_bytes()),
                )));
            }
        });
        println!(
            "pg-log class lookup among {count:3} classes {:5.0} ns",
            took.as_nanos() as f64 / f64::from(rounds)
        );
    }
}
