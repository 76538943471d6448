//! The promise of the whole: an application's statement is one statement wherever it is looked for. A
//! slow one and a denied one go from psycopg through Envoy with both modules to PostgreSQL 18; Jaeger,
//! Loki (by three ways) and Prometheus find each by its fingerprint and by its trace, and what the one
//! leads to, the other leads to as well. `pg_stat_statements` has the same fingerprint, and nobody has
//! the card number.

use std::time::Duration;

use test_harness::hosts::Version;
use test_harness::stack::{Stack, statements};

const LIMIT: Duration = Duration::from_secs(60);
/// A part of the card number that the application has in its texts.
const SECRET: &str = "4111-1111";

#[test]
fn a_slow_and_a_denied_statement_are_the_same_in_every_store() {
    let stack = Stack::start(Version::V18);
    let [slow, denied] = statements::run(&stack);
    for statement in [&slow, &denied] {
        for sighting in statements::look(&stack, statement, LIMIT) {
            let found = &sighting.by_fingerprint;
            assert_eq!(found.len(), 1, "{}: {sighting:#?}", statement.text);
            if let Some(by_trace) = &sighting.by_trace {
                assert_eq!(found, by_trace, "{}: {sighting:#?}", statement.text);
            }
        }
    }
    let text = statements::in_pg_stat_statements(&stack);
    assert_eq!(statements::fingerprint(&text), slow.fingerprint, "{text}");

    let lines = stack
        .loki
        .query(r#"{service_name=~".+"}"#)
        .expect("a query");
    assert!(lines.len() > 10, "only {lines:?}");
    let spans = [&slow, &denied].map(|it| stack.jaeger.trace(&it.trace, 3, LIMIT));
    let kept = format!("{lines:?} {spans:?} {}", stack.envoy.admin("/stats"));
    assert!(!kept.contains(SECRET), "by {}", stack.log_shipper());
}
