//! How fast pg-sql reads: `cargo run --release -p pg-sql --example throughput`.
//!
//! MB/s of one run, beside squawk-lexer and a pass of memchr over the same text. The adversarial texts
//! tell whether the cost is linear.

use std::hint::black_box;
use std::time::{Duration, Instant};

use pg_sql::{
    ClassifyOptions, Lexer, LexerOptions, RedactOptions, ServerVersion, classify, normalize,
    redact_and_fingerprint,
};

/// What ordinary text is made of.
const STATEMENT: &str = "SELECT o.id, o.total * 1.19 AS gross, c.name, coalesce(c.city, 'none') \
    FROM shop.orders AS o JOIN shop.customers c ON c.id = o.customer_id \
    WHERE o.created_at >= '2026-11-23 00:00:00+00' AND o.state IN ('new', 'paid', 'sent') \
    AND c.country_code = $1 ORDER BY o.created_at DESC LIMIT 50;\n";

const ADVERSARIAL: &[&str] = &[
    "(",
    "/*",
    "'",
    "$a$",
    "E'\\",
    "-",
    "+",
    "*+",
    "values(1),",
    "in(",
];

const LARGE: usize = 10_000_000;

type Pass = (&'static str, fn(&[u8]));

const PASSES: &[Pass] = &[
    ("memchr", |text| {
        black_box(memchr::memchr_iter(b'\'', text).count());
    }),
    ("squawk-lexer", |text| {
        let text = std::str::from_utf8(text).unwrap_or_default();
        black_box(squawk_lexer::tokenize(text).count());
    }),
    ("lex", |text| {
        black_box(
            Lexer::new(text, LexerOptions::default()).fold(0, |sum: usize, token| {
                sum.wrapping_add(token.end) ^ token.kind as usize
            }),
        );
    }),
    ("redact+fingerprint", |text| {
        black_box(redact_and_fingerprint(text, &RedactOptions::default()));
    }),
    ("normalize", |text| {
        black_box(normalize(text, ServerVersion::V18));
    }),
    ("classify", |text| {
        // Statement by statement, as they come: of one text it reads MAX_STATEMENTS.
        for line in text.split(|byte| *byte == b'\n') {
            black_box(classify(line, ClassifyOptions::default()));
        }
    }),
];

/// The best of several runs of at least a tenth of a second together.
fn megabytes_per_second(text: &[u8], pass: fn(&[u8])) -> f64 {
    let mut best = Duration::MAX;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(300) {
        let start = Instant::now();
        pass(text);
        best = best.min(start.elapsed());
    }
    text.len() as f64 / best.as_secs_f64() / 1e6
}

fn main() {
    print!("{:<14}", "MB/s");
    for (name, _) in PASSES {
        print!("{name:>20}");
    }
    println!();
    let ordinary = |bytes: usize| STATEMENT.as_bytes().repeat(bytes.div_ceil(STATEMENT.len()));
    for (name, bytes) in [("1 KB", 1_000), ("100 KB", 100_000), ("10 MB", LARGE)] {
        row(name, &ordinary(bytes));
    }
    for unit in ADVERSARIAL {
        row(unit, &unit.as_bytes().repeat(LARGE.div_ceil(unit.len())));
    }
}

fn row(name: &str, text: &[u8]) {
    print!("{name:<14}");
    for (_, pass) in PASSES {
        print!("{:>20.0}", megabytes_per_second(text, *pass));
    }
    println!();
}
