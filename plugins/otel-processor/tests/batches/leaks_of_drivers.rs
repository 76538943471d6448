//! Secrets in what drivers of PostgreSQL leave on spans and in log records that are not its own: none
//! comes out.

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use prost::Message;

use crate::leaks::{MESSAGE, STACKS, STATEMENT, UNKNOWN, assert_clean, integer, nested};
use crate::logs;
use crate::order::reversed;
use crate::otlp::{map, pair, processor, string, text};
use crate::traces::batch;

/// Some put the error of a request on its span.
#[test]
fn a_drivers_error_in_attributes_of_another_span_shows_no_data() {
    for stack in &STACKS[1..] {
        for attributes in [
            vec![text("error.stack", stack), text("error.message", UNKNOWN)],
            vec![text("exception.stacktrace", stack)],
            vec![text(
                "error.message",
                &format!("{MESSAGE} (SQLSTATE 22P02)"),
            )],
            vec![text(
                "error.message",
                &format!("error returned from database: {MESSAGE}"),
            )],
            vec![
                text("exception.message", UNKNOWN),
                text("exception.type", "psycopg.errors.UniqueViolation"),
            ],
        ] {
            let attributes = [vec![text("http.route", "/pay")], attributes].concat();
            let span = Span {
                name: "POST /pay".to_owned(),
                attributes,
                ..Span::default()
            };
            let whole = batch(vec![span.clone()]).encode_to_vec();
            for bytes in [reversed(&whole, 8), whole] {
                let mut processor = processor("");
                let out = processor.process_traces(&bytes).expect("OTLP");
                assert_clean(&out, &span);
                assert!(String::from_utf8_lossy(&out).contains("/pay"));
            }
        }
    }
}

/// An application logs the exception of its driver.
#[test]
fn a_drivers_error_in_another_record_shows_no_data() {
    let of = |attributes: Vec<KeyValue>, body: AnyValue| LogRecord {
        attributes,
        body: Some(body),
        ..LogRecord::default()
    };
    let mut records = Vec::new();
    for stack in &STACKS[1..] {
        records.extend([
            of(
                vec![
                    text("exception.message", UNKNOWN),
                    text("exception.stacktrace", stack),
                ],
                string("payment failed"),
            ),
            of(
                vec![text("error.stack_trace", stack)],
                string("payment failed"),
            ),
            of(vec![], string(&format!("payment failed\n{stack}"))),
            of(
                vec![],
                map(vec![
                    text("message", "payment failed"),
                    text("exception", UNKNOWN),
                    text("stack_trace", stack),
                ]),
            ),
        ]);
    }
    records.extend([
        of(
            vec![
                text("exception.type", "org.postgresql.util.PSQLException"),
                text("exception.message", UNKNOWN),
            ],
            string("payment failed"),
        ),
        of(
            vec![],
            string(&format!(
                "payment failed: ERROR: {MESSAGE} (SQLSTATE 22P02)"
            )),
        ),
    ]);
    for record in records {
        let whole = logs::batch(vec![record.clone()]).encode_to_vec();
        for bytes in [reversed(&whole, 8), whole] {
            let mut processor = processor("");
            let out = processor.process_logs(&bytes).expect("OTLP");
            assert_clean(&out, &record);
        }
    }
    for other in [
        of(vec![text("exception.message", "card 4111")], string("x")),
        of(
            vec![text("exception.type", "java.io.IOException")],
            string("a\nb"),
        ),
        of(vec![pair("deep", nested("4111", 40))], nested("4111", 40)),
    ] {
        let bytes = logs::batch(vec![other]).encode_to_vec();
        let mut processor = processor("");
        assert_eq!(*processor.process_logs(&bytes).expect("OTLP"), bytes);
    }
}

/// A request's span, whose statement has failed.
#[test]
fn a_drivers_error_on_another_span_shows_no_data() {
    for stack in &STACKS[1..] {
        for status in ["", *stack] {
            let span = Span {
                name: "POST /pay".to_owned(),
                attributes: vec![text("http.route", "/pay")],
                status: Some(Status {
                    message: status.to_owned(),
                    code: 2,
                }),
                events: vec![Event {
                    name: "exception".to_owned(),
                    attributes: vec![
                        text("exception.message", UNKNOWN),
                        text("exception.stacktrace", stack),
                    ],
                    ..Event::default()
                }],
                ..Span::default()
            };
            let whole = batch(vec![span.clone()]).encode_to_vec();
            for bytes in [reversed(&whole, 8), whole] {
                let out = processor("")
                    .process_traces(&bytes)
                    .expect("OTLP")
                    .into_owned();
                assert_clean(&out, &span);
            }
        }
    }
}

/// `tracing` makes an event of the request's span of what sqlx logs, or a record.
#[test]
fn what_sqlx_logs_shows_no_data() {
    let logged = |target: KeyValue| {
        vec![
            text("level", "DEBUG"),
            target,
            text("summary", "SELECT a FROM t …"),
            text("db.statement", STATEMENT),
            pair("rows_returned", integer(1)),
        ]
    };
    let request = |event: Event| Span {
        name: "POST /pay".to_owned(),
        attributes: vec![text("http.route", "/pay")],
        events: vec![event],
        ..Span::default()
    };
    for config in ["", r#"{"traces":{"exceptions":"keep"}}"#] {
        for attributes in [
            logged(text("target", "sqlx::query")),
            logged(text("log.target", "sqlx::query")),
            logged(text("db.system", "postgresql")),
        ] {
            let span = request(Event {
                name: STATEMENT.to_owned(),
                attributes: attributes.clone(),
                ..Event::default()
            });
            let record = LogRecord {
                attributes,
                ..LogRecord::default()
            };
            let spans = batch(vec![span.clone()]).encode_to_vec();
            let records = logs::batch(vec![record]).encode_to_vec();
            for (spans, records) in [
                (reversed(&spans, 8), reversed(&records, 8)),
                (spans, records),
            ] {
                let mut processor = processor(config);
                let out = processor.process_traces(&spans).expect("OTLP").into_owned();
                assert_clean(&out, &span);
                assert!(String::from_utf8_lossy(&out).contains("card = ?"));
                let out = processor.process_logs(&records).expect("OTLP");
                assert_clean(&out, &"a record");
            }
        }
    }
    // Another database's, or nobody knows whose.
    for attributes in [
        logged(text("target", "orders::sql")),
        [
            logged(text("target", "sqlx::query")),
            vec![text("db.system", "mysql")],
        ]
        .concat(),
    ] {
        let bytes = batch(vec![request(Event {
            attributes,
            ..Event::default()
        })])
        .encode_to_vec();
        let mut processor = processor("");
        assert_eq!(*processor.process_traces(&bytes).expect("OTLP"), bytes);
    }
}
