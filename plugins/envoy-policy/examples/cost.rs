//! What judging a statement costs: `cargo run --release -p envoy-policy --example cost`.
//!
//! Nanoseconds per statement of this machine, natively; the ratios are what counts.

use std::hint::black_box;
use std::time::Instant;

use envoy_policy::policy::{Ask, Client, Policy, Profile, SessionState};
use pg_sql::Encoding;

const TEXTS: &[(&str, &str)] = &[
    ("begin", "BEGIN"),
    (
        "select",
        "SELECT abalance FROM pgbench_accounts WHERE aid = 71234;",
    ),
    (
        "update",
        "UPDATE pgbench_accounts SET abalance = abalance + -3581 WHERE aid = 1234;",
    ),
    (
        "join",
        "SELECT o.id, o.placed_at, c.name, sum(l.price * l.amount) AS total FROM shop.orders o \
         JOIN shop.customers c ON c.id = o.customer LEFT JOIN shop.lines l ON l.\"order\" = o.id \
         WHERE o.placed_at > now() - interval '7 days' AND c.country IN ('DE', 'FR', 'NL') \
         GROUP BY o.id, o.placed_at, c.name HAVING sum(l.price * l.amount) > 100 \
         ORDER BY total DESC LIMIT 50",
    ),
];

/// A policy of so many rules of every kind, none of which matches.
fn policy(rules: usize) -> Policy {
    let rules: Vec<String> = (0..rules)
        .map(|number| {
            let condition = match number % 5 {
                0 => format!(r#""tables": ["secret.t{number}"]"#),
                1 => format!(r#""writes": ["audit{number}.*"]"#),
                2 => format!(r#""class": ["ROLE"], "larger_than": {number}"#),
                3 => format!(r#""functions": ["f{number}_*"]"#),
                _ => format!(r#""effect": ["touches_server_files"], "database": ["d{number}"]"#),
            };
            let who = match number % 2 {
                0 => r#""user": ["app"]"#.to_owned(),
                _ => format!(r#""user": ["app", "user{number}"]"#),
            };
            format!(r#"{{"name": "rule {number}", "action": "deny", {who}, {condition}}}"#)
        })
        .collect();
    let json = format!(r#"{{"rules": [{}]}}"#, rules.join(","));
    Policy::read(json.as_bytes()).unwrap_or_else(|error| {
        eprintln!("{error}");
        std::process::exit(2)
    })
}

fn nanoseconds(mut run: impl FnMut()) -> f64 {
    const TURNS: u32 = 20_000;
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let start = Instant::now();
        (0..TURNS).for_each(|_| run());
        best = best.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(TURNS));
    }
    best
}

fn main() {
    let client = Client {
        user: "app".to_owned(),
        database: "shop".to_owned(),
        ..Client::default()
    };
    let state = SessionState {
        transaction: Some(1),
        search_path: Some(vec!["public".to_owned()].into()),
        standard_conforming_strings: Some(true),
        client_encoding: Some(Encoding::Utf8),
        ..SessionState::default()
    };
    println!(
        "{:<8} {:>10} {:>10} {:>10} {:>10} {:>10}",
        "", "classify", "20 rules", "1000 rules", "20 known", "1000 known"
    );
    let policies = [policy(20), policy(1000)];
    let profiles: Vec<Profile> = policies
        .iter()
        .map(|policy| policy.profile(&client))
        .collect();
    for (name, text) in TEXTS {
        let text = text.as_bytes();
        let ask = Ask::Text {
            text,
            bytes: text.len() as u64,
            truncated: false,
            at_once: true,
        };
        let classify = nanoseconds(|| {
            black_box(pg_sql::classify(black_box(text), Default::default()));
        });
        let judged: Vec<f64> = policies
            .iter()
            .zip(&profiles)
            .map(|(policy, profile)| {
                nanoseconds(|| {
                    black_box(profile.judge_afresh(policy, &client, black_box(ask), &state));
                })
            })
            .chain(policies.iter().zip(&profiles).map(|(policy, profile)| {
                nanoseconds(|| {
                    black_box(profile.judge(policy, &client, black_box(ask), &state));
                })
            }))
            .collect();
        let judged: Vec<String> = judged.iter().map(|cost| format!("{cost:>10.0}")).collect();
        println!("{name:<8} {classify:>10.0} {}", judged.join(" "));
    }
}
