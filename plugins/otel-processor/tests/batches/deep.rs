//! Values in more lists than anybody looks into, 40: what holds one loses that and its data, says so,
//! and keeps the rest.

use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, LogsData};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use opentelemetry_proto::tonic::trace::v1::{Span, Status, TracesData};
use prost::Message;

use crate::leaks::nested;
use crate::order::reversed;
use crate::otlp::{SECRET, get, pair, processor, string, text};
use crate::{logs, traces};

const ERROR: &str = "psycopg.errors.UniqueViolation: duplicate key value violates unique constraint \"t\"\nDETAIL:  Key (a)=(hunter2-4111) already exists.";

fn deep(key: &str) -> KeyValue {
    pair(key, nested(SECRET, 40))
}

fn has(attributes: &[KeyValue], key: &str) -> bool {
    attributes.iter().any(|one| one.key == key)
}

#[track_caller]
fn assert_clean(shown: &impl std::fmt::Debug) {
    let shown = format!("{shown:?}");
    assert!(!shown.contains(SECRET), "{shown}");
}

/// A record, in both orders of fields.
fn records(record: &LogRecord) -> Vec<LogRecord> {
    let whole = logs::batch(vec![record.clone()]).encode_to_vec();
    let batches = [reversed(&whole, 8), whole];
    let out = batches.map(|bytes| {
        let mut processor = processor("");
        let out = processor.process_logs(&bytes).expect("OTLP");
        let mut out = LogsData::decode(&*out).expect("OTLP");
        out.resource_logs[0].scope_logs[0].log_records.remove(0)
    });
    out.to_vec()
}

#[test]
fn a_drivers_error_beside_a_deep_value_shows_no_data() {
    let thrown = || {
        vec![
            text("exception.type", "psycopg.errors.UniqueViolation"),
            text("exception.message", ERROR),
        ]
    };
    let sqlx = || {
        vec![
            text("target", "sqlx::query"),
            text("db.statement", "SELECT 'hunter2-4111'"),
        ]
    };
    for attributes in [thrown(), sqlx()] {
        for key in ["exception.stacktrace", "db.error", "error.details"] {
            for body in [
                string("payment failed"),
                nested(ERROR, 40),
                nested(ERROR, 3),
            ] {
                let mut attributes = attributes.clone();
                attributes.extend([deep(key), text("http.route", "/pay")]);
                let record = LogRecord {
                    attributes,
                    ..logs::with_body(body)
                };
                for out in records(&record) {
                    assert_clean(&out);
                    assert!(get(&out.attributes, "pgmesh.error").is_some(), "{out:?}");
                    assert_eq!(get(&out.attributes, "http.route"), Some("/pay"));
                    assert!(!has(&out.attributes, key));
                    let body = logs::body(&record);
                    if body == "payment failed" {
                        assert_eq!(logs::body(&out), body);
                    }
                }
            }
        }
    }
    let told_in_the_body = LogRecord {
        attributes: vec![deep("error.details"), text("http.route", "/pay")],
        ..logs::line(ERROR)
    };
    for out in records(&told_in_the_body) {
        assert_clean(&out);
        assert!(get(&out.attributes, "pgmesh.error").is_some(), "{out:?}");
        assert_eq!(get(&out.attributes, "http.route"), Some("/pay"));
    }
}

#[test]
fn what_tells_of_no_driver_passes_however_deep_it_is() {
    let record = LogRecord {
        attributes: vec![deep("error.details"), deep("exception.message")],
        ..logs::with_body(nested(SECRET, 40))
    };
    for out in records(&record) {
        assert_eq!(out.body, record.body);
        assert_eq!(out.attributes.len(), 2);
    }
}

#[test]
fn around_an_item_one_deep_value_goes_and_the_rest_stays() {
    let statement = text("db.query.text", "SELECT 'hunter2-4111'");
    let service = text("service.name", "shop");
    let system = text("db.system.name", "postgresql");
    for attributes in [
        vec![service.clone(), statement.clone(), deep("db.ctx")],
        vec![deep("db.ctx"), statement.clone(), service.clone()],
        vec![system.clone(), service.clone(), deep("ctx"), statement],
        vec![system, service, deep("ctx")],
    ] {
        let mut batch = traces::batch(vec![traces::span("GET /pay", &[])]);
        batch.resource_spans[0].resource = Some(Resource {
            attributes: attributes.clone(),
            ..Resource::default()
        });
        batch.resource_spans[0].scope_spans[0].scope = Some(InstrumentationScope {
            name: "some.library".to_owned(),
            attributes: attributes.clone(),
            ..InstrumentationScope::default()
        });
        let whole = batch.encode_to_vec();
        for bytes in [reversed(&whole, 8), whole] {
            let mut processor = processor("");
            let out = processor.process_traces(&bytes).expect("OTLP").into_owned();
            let again = processor.process_traces(&out).expect("OTLP");
            assert_eq!(*again, out);
            let out = TracesData::decode(&*out).expect("OTLP");
            let resource = &out.resource_spans[0];
            let scope = resource.scope_spans[0].scope.as_ref().expect("a scope");
            assert_eq!(scope.name, "some.library");
            let resource = resource.resource.as_ref().expect("a resource");
            for found in [&resource.attributes, &scope.attributes] {
                assert_clean(found);
                assert_eq!(get(found, "service.name"), Some("shop"));
                assert!(get(found, "pgmesh.error").is_some(), "{found:?}");
                assert_eq!(found.len(), attributes.len(), "{found:?}");
            }
        }
    }
}

#[test]
fn another_span_with_a_deep_value_keeps_its_name_and_what_can_be_read() {
    let thrown = |attributes: Vec<KeyValue>| Event {
        name: "exception".to_owned(),
        attributes,
        ..Event::default()
    };
    let error = || {
        vec![
            text("exception.type", "psycopg.errors.UniqueViolation"),
            text("exception.message", ERROR),
            text("thread", "main"),
        ]
    };
    let sqlx = vec![
        text("target", "sqlx::query"),
        text("db.statement", "SELECT 'hunter2-4111'"),
        text("thread", "main"),
        deep("ctx"),
    ];
    for event in [
        thrown([vec![deep("exception.stacktrace")], error()].concat()),
        thrown([error(), vec![deep("error.details")]].concat()),
        thrown(sqlx),
    ] {
        let span = Span {
            attributes: vec![text("http.route", "/pay")],
            events: vec![event.clone(), thrown(vec![text("a", "b")])],
            status: Some(Status {
                code: 2,
                message: ERROR.to_owned(),
            }),
            ..traces::span("GET /pay", &[])
        };
        let whole = traces::batch(vec![span]).encode_to_vec();
        for bytes in [reversed(&whole, 8), whole] {
            let out = traces::processed("", &bytes);
            assert_clean(&out);
            assert_eq!(out.name, "GET /pay");
            assert_eq!(get(&out.attributes, "http.route"), Some("/pay"));
            assert!(get(&out.attributes, "pgmesh.error").is_some());
            assert_eq!(out.events.len(), 2);
            let told = out.events.iter().find(|it| has(&it.attributes, "thread"));
            let told = told.expect("an event");
            assert_eq!(told.attributes.len(), event.attributes.len() - 1);
            assert_eq!(out.status.as_ref().map(|status| status.code), Some(2));
        }
    }
}

#[test]
fn a_record_that_cannot_be_read_keeps_what_holds_no_data() {
    let record = LogRecord {
        severity_number: 17,
        severity_text: "ERROR".to_owned(),
        attributes: vec![
            text("db.system.name", "postgresql"),
            text("k8s.pod.name", "db-0"),
            text("db.namespace", "shop"),
            text("log.record.original", "hunter2-4111"),
            text("my.line", "Key (a)=(hunter2-4111) already exists."),
            text("my.json", r#"{"message":"hunter2-4111"}"#),
            text("detail", SECRET),
            text("db.query.text", "SELECT 'hunter2-4111'"),
            deep("ctx"),
        ],
        ..logs::line("SELECT 'hunter2-4111'")
    };
    for out in records(&record) {
        assert_clean(&out);
        assert_eq!(out.severity_text, "ERROR");
        assert_eq!(out.severity_number, 17);
        for (key, value) in [("k8s.pod.name", "db-0"), ("db.namespace", "shop")] {
            assert_eq!(get(&out.attributes, key), Some(value));
        }
        assert!(get(&out.attributes, "pgmesh.error").is_some());
        assert_eq!(out.attributes.len(), 4, "{out:?}");
    }
    let odd = LogRecord {
        severity_text: "hunter2-4111".to_owned(),
        ..record
    };
    for out in records(&odd) {
        assert_clean(&out);
    }
}
