//! The filter's top statements are `pg_stat_statements`' own: after the same load on a real Envoy of
//! several workers, calls and rows are equal statement by statement, and times are larger by the wire.

use std::collections::BTreeMap;
use std::time::Duration;

use pg_sql::fingerprint;
use serde_json::Value;
use test_harness::drivers::{conninfo, psycopg_sessions};
use test_harness::hosts::postgres::output_of;
use test_harness::hosts::{Envoy, Postgres, Version, wait_for};
use test_harness::top_statements;

const LIMIT: Duration = Duration::from_secs(30);
/// The database that only the proxy's clients use.
const JUDGED: &str = "judged";
const CONFIGURATION: &str = r#"{"top_statements": {"top": 1000, "interval_s": 1}}"#;

/// Calls, rows and total milliseconds by fingerprint.
type Totals = BTreeMap<String, (u64, u64, f64)>;

fn add(totals: &mut Totals, fingerprint: String, calls: u64, rows: u64, total: f64) {
    let sum = totals.entry(fingerprint).or_default();
    *sum = (sum.0 + calls, sum.1 + rows, sum.2 + total);
}

/// What the server has counted, under our fingerprints of the texts it shows. Statements that are no
/// queries are left out: the server shows some of them as they were typed.
fn theirs(server: &Postgres) -> Totals {
    let rows = server.sql(&format!(
        "select json_build_array(query, calls, rows, total_exec_time) from pg_stat_statements s \
         join pg_database d on d.oid = s.dbid where d.datname = '{JUDGED}' and toplevel \
         and query ~* '^\\s*(select|insert|update|delete|merge|with|values)'"
    ));
    let mut totals = Totals::new();
    for row in rows.lines() {
        let row: Value = serde_json::from_str(row).expect("JSON");
        let text = row[0].as_str().expect("a text");
        let fingerprint = fingerprint(text.as_bytes(), &Default::default()).to_string();
        let number = |index: usize| row[index].as_u64().expect("a number");
        add(
            &mut totals,
            fingerprint,
            number(1),
            number(2),
            row[3].as_f64().expect("a time"),
        );
    }
    totals
}

/// The last report's rows.
fn ours(envoy: &Envoy) -> Totals {
    let mut totals = Totals::new();
    let Some((rows, dropped)) = top_statements::last_report(&envoy.log()) else {
        return totals;
    };
    assert_eq!(dropped, 0);
    for row in &rows {
        if row["database"] != JUDGED {
            continue;
        }
        let fingerprint = row["fingerprint"]
            .as_str()
            .expect("a fingerprint")
            .to_owned();
        let number = |name: &str| row[name].as_u64().expect("a number");
        let total = number("total_microseconds") as f64 / 1000.0;
        add(
            &mut totals,
            fingerprint,
            number("calls"),
            number("rows"),
            total,
        );
    }
    totals
}

#[test]
fn calls_and_rows_equal_pg_stat_statements_statement_by_statement() {
    for version in Version::ALL {
        let server = Postgres::builder(version)
            .preload("pg_stat_statements")
            .setting("pg_stat_statements.max", "10000")
            .start();
        server.sql("create extension pg_stat_statements");
        server.sql(&format!("create database {JUDGED}"));
        let envoy = Envoy::in_front_of(server.address())
            .module("envoy-metrics", CONFIGURATION)
            .concurrency(2)
            .start();
        let pgbench = |arguments: &[&str]| {
            let mut pgbench = server.client_through(envoy.port(), "pgbench");
            output_of(pgbench.env("PGDATABASE", JUDGED).args(arguments));
        };
        pgbench(&["-i", "-I", "dtgp", "-q"]);
        for mode in ["simple", "extended", "prepared"] {
            pgbench(&["-n", "-M", mode, "-c", "4", "-t", "100"]);
        }
        let sessions = [
            "simple_protocol",
            "parameters_in_text_and_binary",
            "pipeline",
        ];
        psycopg_sessions(&conninfo(envoy.port(), JUDGED), &sessions);
        // The other worker's rows come with its next tick.
        let theirs = theirs(&server);
        let counts = |totals: &Totals| -> BTreeMap<String, (u64, u64)> {
            let counts = totals.iter().map(|(key, it)| (key.clone(), (it.0, it.1)));
            counts.filter(|(key, _)| theirs.contains_key(key)).collect()
        };
        let expected = counts(&theirs);
        assert!(expected.len() >= 10, "{expected:?}");
        let agree = wait_for(LIMIT, || (counts(&ours(&envoy)) == expected).then_some(()));
        let found = ours(&envoy);
        assert!(
            agree.is_some(),
            "PostgreSQL {version:?}: {:?}, not {expected:?}",
            counts(&found)
        );
        let sum = |totals: &Totals| -> f64 {
            let known = totals.iter().filter(|(key, _)| theirs.contains_key(*key));
            known.map(|(_, it)| it.2).sum()
        };
        assert!(sum(&found) >= sum(&theirs), "times are larger by the wire");
    }
}
