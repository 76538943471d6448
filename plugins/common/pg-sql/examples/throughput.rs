//! How fast texts are read, in MB/s: `cargo run --release -p pg-sql --example throughput`.
//!
//! Ordinary text at three sizes, then texts that are quadratic for a careless lexer. A plain search
//! for a byte that is not there shows what the machine can do at all.

use std::hint::black_box;
use std::time::{Duration, Instant};

use pg_sql::{
    ClassifyOptions, Lexer, LexerOptions, RedactOptions, classify, redact_and_fingerprint,
};

/// What applications send, some of each kind.
const ORDINARY: &str = "\
SELECT o.id, o.created_at, c.name, count(*) AS items FROM public.orders o JOIN customers c ON c.id = o.customer_id \
LEFT JOIN order_items i USING (order_id) WHERE o.status IN ('open', 'paid', 'sent') AND o.total >= 12.50 \
AND c.email = 'somebody@example.org' GROUP BY 1, 2, 3 ORDER BY o.created_at DESC LIMIT 50 OFFSET 100;\n\
INSERT INTO audit.events (id, kind, payload, at) VALUES ($1, 'login', '{\"ip\": \"192.0.2.1\", \"ok\": true}', now()), \
($2, 'logout', NULL, now()) ON CONFLICT (id) DO UPDATE SET payload = excluded.payload RETURNING id;\n\
-- nightly\nUPDATE stock SET amount = amount - 3 WHERE sku = E'AB\\'17' AND warehouse <> 4; /* app='shop' */\n\
WITH gone AS (DELETE FROM sessions WHERE last_seen < now() - interval '30 days' RETURNING user_id) \
SELECT user_id, count(*) FROM gone GROUP BY user_id HAVING count(*) > 5;\n";

const HOSTILE: &[(&str, &str)] = &[
    ("(", "("),
    ("/*", "/*"),
    ("'", "'"),
    ("$a$", "$a$"),
    ("E'\\", "E'\\"),
    ("-", "-"),
    ("+", "+"),
    ("in(", "in("),
    ("values(1),", "values(1),"),
];

type Work = (&'static str, fn(&[u8]));

const WORK: &[Work] = &[
    ("search", |text| {
        black_box(text.contains(&0xff));
    }),
    ("lex", |text| {
        black_box(Lexer::new(text, LexerOptions::default()).count());
    }),
    ("lex+redact+fingerprint", |text| {
        black_box(redact_and_fingerprint(text, &RedactOptions::default()));
    }),
    ("classify", |text| {
        black_box(classify(text, ClassifyOptions::default()));
    }),
];

fn main() {
    print!("{:<20}", "MB/s");
    WORK.iter().for_each(|(name, _)| print!("{name:>24}"));
    println!();
    for bytes in [1_000, 100_000, 10_000_000] {
        row(&format!("ordinary, {bytes} B"), ORDINARY, bytes);
    }
    for (name, unit) in HOSTILE {
        row(name, unit, 10_000_000);
    }
}

fn row(name: &str, unit: &str, bytes: usize) {
    let text: Vec<u8> = unit.bytes().cycle().take(bytes).collect();
    print!("{name:<20}");
    for (_, work) in WORK {
        print!("{:>24.0}", speed(&text, *work));
    }
    println!();
}

/// The best of several runs, each of at least a few milliseconds.
fn speed(text: &[u8], work: fn(&[u8])) -> f64 {
    let rounds = 10_000_000_usize.div_ceil(text.len().max(1)).min(2_000);
    let run = || {
        let start = Instant::now();
        (0..rounds).for_each(|_| work(black_box(text)));
        start.elapsed()
    };
    let best = (0..3).map(|_| run()).min().unwrap_or(Duration::MAX);
    let bytes = text.len().saturating_mul(rounds);
    bytes as f64 / best.as_secs_f64() / 1e6
}
