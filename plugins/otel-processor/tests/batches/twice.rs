//! An agent and a gateway with the same processor: the second pass changes nothing that the first has
//! left.

use opentelemetry_proto::tonic::logs::v1::LogsData;
use opentelemetry_proto::tonic::metrics::v1::MetricsData;
use otlp_wire::Writer;
use proptest::prelude::*;
use prost::Message;

use crate::leaks::{records, spans};
use crate::leaks_in_logs::shapes;
use crate::logs::{self, CONTINUATION, ERROR, JSON, OTHER, line, with_body};
use crate::metrics::{self, SECOND, counter, gauge, point};
use crate::order::reversed;
use crate::otlp::{map, processor, text};
use crate::traces;

const TRACES: [&str; 5] = [
    "",
    r#"{"traces":{"migrate":"duplicate","comments":"promote","keep_alive":"mark"}}"#,
    r#"{"traces":{"migrate":"replace","comments":"sqlcommenter","keep_alive":"drop"}}"#,
    r#"{"traces":{"exceptions":"drop","span_names":false}}"#,
    r#"{"traces":{"exceptions":"keep","names_from_text":false,"comments":"keep"}}"#,
];

/// Batches of one signal, through one processor and then through another.
fn assert_twice_is_once(
    config: &str,
    batches: &[Vec<u8>],
    process: impl Fn(&mut otel_processor::Processor, &[u8]) -> Vec<u8>,
    shown: impl Fn(&[u8]) -> String,
) {
    let (mut agent, mut gateway) = (processor(config), processor(config));
    for batch in batches {
        let once = process(&mut agent, batch);
        let twice = process(&mut gateway, &once);
        let (first, second) = (shown(&once), shown(&twice));
        let lost = first.lines().filter(|line| !second.contains(line));
        let new = second.lines().filter(|line| !first.contains(line));
        let (lost, new) = (lost.collect::<Vec<_>>(), new.collect::<Vec<_>>());
        assert!(
            first == second,
            "{config}: {lost:?} became {new:?} in {first}"
        );
        assert_eq!(twice, once);
    }
}

fn assert_traces(config: &str, batches: &[Vec<u8>]) {
    assert_twice_is_once(
        config,
        batches,
        |processor, batch| processor.process_traces(batch).expect("OTLP").into_owned(),
        |bytes| {
            format!(
                "{:#?}",
                opentelemetry_proto::tonic::trace::v1::TracesData::decode(bytes)
            )
        },
    );
}

fn assert_logs(config: &str, batches: &[Vec<u8>]) {
    assert_twice_is_once(
        config,
        batches,
        |processor, batch| processor.process_logs(batch).expect("OTLP").into_owned(),
        |bytes| format!("{:#?}", LogsData::decode(bytes)),
    );
}

fn assert_metrics(config: &str, batches: &[Vec<u8>]) {
    assert_twice_is_once(
        config,
        batches,
        |processor, batch| processor.process_metrics(batch).expect("OTLP").into_owned(),
        |bytes| format!("{:#?}", MetricsData::decode(bytes)),
    );
}

#[test]
fn a_span_that_was_handled_stays_as_it_is() {
    let statements = [
        "SELECT a FROM t WHERE b = 1 /*route='/x',traceparent='00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'*/",
        "INSERT INTO t VALUES (1), (2); SELECT 1",
        "SELECT 1",
        "SELECT 'it\\'s'",
        "nonsense 'x",
    ];
    let described = statements.map(|statement| {
        traces::span(
            "q",
            &[
                ("db.system", "postgresql"),
                ("db.name", "shop"),
                ("db.statement", statement),
            ],
        )
    });
    let batches: Vec<_> = spans()
        .into_iter()
        .chain(described)
        .map(|span| traces::batch(vec![span]).encode_to_vec())
        .collect();
    for config in TRACES {
        assert_traces(config, &batches);
    }
}

/// As the Envoy filter writes them (`plugins/envoy-metrics/src/follow/traces.rs`).
#[test]
fn envoys_own_spans_are_changed_once_at_most() {
    let span = |outcome: &dyn Fn(&mut Writer<'_>)| {
        let mut bytes = Vec::new();
        Writer::new(&mut bytes).message(1, |resource| {
            resource.message(2, |scope| {
                scope.message(2, |span| {
                    span.bytes(1, &[1; 16]);
                    span.bytes(2, &[2; 8]);
                    span.fixed32(16, 1);
                    span.text(5, "SELECT t");
                    span.uint(6, 2);
                    for (key, value) in [
                        ("db.system.name", "postgresql"),
                        ("db.namespace", "shop"),
                        ("server.address", "10.0.0.1"),
                        ("pgmesh.user", "app"),
                        ("db.operation.name", "SELECT"),
                        ("db.query.text", "SELECT a FROM t WHERE b = ?"),
                        ("db.query.summary", "SELECT t"),
                        ("pgmesh.fingerprint", "0011223344556677"),
                        ("pgmesh.protocol", "extended"),
                        ("pgmesh.transaction", "none"),
                    ] {
                        span.text_attribute(9, key, value);
                    }
                    span.int_attribute(9, "pgmesh.bytes", 7);
                    span.message(11, |event| event.text(2, "first row"));
                    span.message(11, |event| {
                        event.text(2, "notice");
                        event.text_attribute(3, "pgmesh.severity", "WARNING");
                        event.text_attribute(3, "db.response.status_code", "01000");
                    });
                    outcome(span);
                });
            });
        });
        bytes
    };
    let failed = |code: &'static str| {
        move |span: &mut Writer<'_>| {
            if code != "disconnected" {
                span.text_attribute(9, "db.response.status_code", code);
            }
            span.text_attribute(9, "error.type", code);
            span.message(15, |status| {
                status.text(2, code);
                status.uint(3, 2);
            });
        }
    };
    let batches = [
        span(&|_| {}),
        span(&failed("23505")),
        span(&failed("disconnected")),
    ];
    assert_traces("", &batches);
    for batch in &batches {
        let once = processor("")
            .process_traces(batch)
            .expect("OTLP")
            .into_owned();
        let shown = String::from_utf8_lossy(&once);
        for kept in ["0011223344556677", "first row", "notice", "SELECT t"] {
            assert!(shown.contains(kept), "{kept}: {shown}");
        }
        assert_eq!(shown.matches("pgmesh.fingerprint").count(), 1);
        assert_eq!(
            shown.matches("23505").count(),
            String::from_utf8_lossy(batch).matches("23505").count()
        );
        assert_eq!(
            shown.matches("disconnected").count(),
            String::from_utf8_lossy(batch)
                .matches("disconnected")
                .count()
        );
    }
}

#[test]
fn a_record_that_was_handled_stays_as_it_is() {
    let whole = format!("{}\n{CONTINUATION}", ERROR.join("\n"));
    let prefix = "2026-11-23 03:34:37.123 UTC [70] app@shop ";
    let texts = [
        whole.as_str(),
        ERROR[1],
        ERROR[2],
        CONTINUATION,
        OTHER,
        JSON,
        "stray",
    ]
    .map(str::to_owned);
    let messages = [
        "LOG:  duration: 12.5 ms  statement: SELECT 'x', 7",
        "LOG:  could not frobnicate 42 things in \"some file\"",
        "ERROR:  something that RAISE says: 7",
        "ERROR:  division by zero",
        "LOG:  checkpoint complete: wrote 3 buffers (0.0%)",
        "FATAL:  password authentication failed for user \"bob\"",
        "LOG:  AUDIT: SESSION,1,1,READ,SELECT,,,SELECT 'x',<none>",
        "CONTEXT:  PL/pgSQL function f(integer) line 3 at EXECUTE",
        "HINT:  No function matches the given name.",
    ]
    .map(|message| format!("{prefix}{message}"));
    let lines = texts.into_iter().chain(messages).map(|text| line(&text));
    let batches: Vec<_> = records()
        .into_iter()
        .chain(shapes().into_iter().map(|(_, record)| record))
        .chain(lines)
        .chain([with_body(map(vec![
            text("log", OTHER),
            text("stream", "stderr"),
        ]))])
        .map(|record| logs::batch(vec![line(OTHER), record]).encode_to_vec())
        .collect();
    let named = r#"{"logs":{"resources":{"k8s.pod.name":["db-0"]}}}"#;
    for config in [
        "",
        named,
        r#"{"logs":{"redaction":"statements"}}"#,
        r#"{"logs":{"redaction":"off","join":false}}"#,
    ] {
        assert_logs(config, &batches);
    }
}

#[test]
fn metrics_that_were_handled_stay_as_they_are() {
    let scrape = |time: u64, value: f64| {
        let mut points = ["shop", "postgres"]
            .map(|name| point(&[("datname", name)], value))
            .to_vec();
        for point in &mut points {
            point.time_unix_nano = time * SECOND;
        }
        let query = |number: u64| {
            let text = format!("SELECT {number} FROM t{number}");
            let mut point = point(
                &[("datname", "shop"), ("queryid", "1"), ("query", &text)],
                value,
            );
            point.time_unix_nano = time * SECOND;
            point
        };
        metrics::batch(vec![
            counter("pg_stat_database_blks_hit", points.clone()),
            counter("pg_stat_database_blks_read", points.clone()),
            counter("pg_stat_database_xact_commit", points.clone()),
            gauge("pg_stat_user_tables_n_dead_tup", points),
            counter("pg_stat_statements_calls", (0..4).map(query).collect()),
        ])
        .encode_to_vec()
    };
    let scrapes = [
        scrape(60, 10.0),
        scrape(70, 30.0),
        scrape(80, 35.0),
        scrape(90, 1.0),
    ];
    for config in [
        "",
        r#"{"metrics":{"unify":"rename","max_queries":2}}"#,
        r#"{"metrics":{"unify":"duplicate","max_queries":1}}"#,
        r#"{"metrics":{"max_queries":0}}"#,
    ] {
        assert_metrics(config, &scrapes);
    }
}

proptest! {
    #[test]
    fn twice_is_once_for_any_mixture(
        chosen in prop::collection::vec(any::<prop::sample::Index>(), 1..6),
        config in prop::sample::select(TRACES.to_vec()),
        backwards: bool,
    ) {
        let (spans, records, shapes) = (spans(), records(), shapes());
        let order = |bytes: Vec<u8>| match backwards {
            true => reversed(&bytes, 8),
            false => bytes,
        };
        let picked = chosen.iter().map(|index| index.get(&spans).clone()).collect();
        assert_traces(config, &[order(traces::batch(picked).encode_to_vec())]);
        let picked = chosen.iter().map(|index| index.get(&records).clone());
        let shaped = chosen.iter().map(|index| index.get(&shapes).1.clone());
        assert_logs(config, &[order(logs::batch(picked.chain(shaped).collect()).encode_to_vec())]);
    }
}
