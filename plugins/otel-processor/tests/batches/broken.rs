//! Spans, records and metrics that cannot be read: each passes without its data and says why, and
//! whatever else is in the batch is handled.

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::logs::v1::LogsData;
use opentelemetry_proto::tonic::metrics::v1::MetricsData;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::TracesData;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use otlp_wire::Writer;
use prost::Message;

use crate::logs::{OTHER, line};
use crate::metrics::{counter, gauge, point};
use crate::otlp::{SECRET, get, processor, text};
use crate::traces::span;

/// Fields that end a message, or make it one of another type: attributes have the number.
fn damages(number: u32, secret: &str) -> Vec<(&'static str, Vec<u8>)> {
    let mut damages = Vec::new();
    let mut add = |name, bytes: &[&[u8]]| damages.push((name, bytes.concat()));
    let tag = u8::try_from(number << 3).expect("a small number");
    let secret = secret.as_bytes();
    add("an attribute that is cut", &[&[tag | 2, 100], secret]);
    add("an attribute that is a number", &[&[tag, 7]]);
    add("a group", &[&[tag | 3], secret]);
    add(
        "a length without an end",
        &[&[
            tag | 2,
            0xff,
            0xff,
            0xff,
            0xff,
            0xff,
            0xff,
            0xff,
            0xff,
            0xff,
            0xff,
        ]],
    );
    let key = [&[0x0a, 13][..], b"db.query.text"].concat();
    let inner = [&key[..], &[0x12, 100], secret].concat();
    add(
        "a value that is cut",
        &[&[tag | 2, inner.len() as u8], &inner],
    );
    let inner = [&key[..], &[0x12, 2, 0x08, 1]].concat();
    add(
        "a value of another type",
        &[&[tag | 2, inner.len() as u8], &inner],
    );
    let system = [&[0x0a, 9][..], b"db.system", &[0x10, 1]].concat();
    add(
        "a system that is a number",
        &[&[tag | 2, system.len() as u8], &system],
    );
    damages
}

/// A batch of these items in one scope.
fn batch(items: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Writer::new(&mut bytes).message(1, |resource| {
        resource.message(2, |scope| {
            items.iter().for_each(|item| scope.bytes(2, item))
        });
    });
    bytes
}

#[test]
fn a_span_that_cannot_be_read_harms_no_other() {
    let statement = format!("SELECT '{SECRET}'");
    let good = span(
        "q",
        &[
            ("db.system", "postgresql"),
            ("db.statement", &statement),
            ("http.route", "/pay"),
        ],
    );
    for (damage, bytes) in damages(9, SECRET) {
        for scope in ["", r#"{"traces":{"keep_alive":"drop"}}"#] {
            let damaged = [good.encode_to_vec(), bytes.clone()].concat();
            let bytes = batch(&[good.encode_to_vec(), damaged, good.encode_to_vec()]);
            let mut processor = processor(scope);
            let out = processor.process_traces(&bytes).expect(damage);
            let out = TracesData::decode(&*out).expect(damage);
            let spans = &out.resource_spans[0].scope_spans[0].spans;
            assert!(
                !format!("{spans:?}").contains(SECRET),
                "{damage}: {spans:?}"
            );
            let told = |span: &&opentelemetry_proto::tonic::trace::v1::Span| {
                get(&span.attributes, "pgmesh.error").is_some()
            };
            let damaged: Vec<_> = spans.iter().filter(told).collect();
            let [damaged] = damaged.as_slice() else {
                panic!("{damage}: {spans:?}");
            };
            assert_eq!(damaged.span_id, vec![2; 8]);
            assert_eq!(get(&damaged.attributes, "http.route"), Some("/pay"));
        }
    }
}

#[test]
fn a_record_that_cannot_be_read_harms_no_other() {
    let about = line(&format!("SELECT '{SECRET}'"));
    let mut about = about;
    about.attributes = vec![text("db.system", "postgresql")];
    about.trace_id = vec![1; 16];
    for (damage, bytes) in damages(6, SECRET) {
        let damaged = [about.encode_to_vec(), bytes].concat();
        let bytes = batch(&[
            line(OTHER).encode_to_vec(),
            damaged,
            line(OTHER).encode_to_vec(),
        ]);
        let mut processor = processor("");
        let out = processor.process_logs(&bytes).expect(damage);
        let out = LogsData::decode(&*out).expect(damage);
        let records = &out.resource_logs[0].scope_logs[0].log_records;
        assert!(
            !format!("{records:?}").contains(SECRET),
            "{damage}: {records:?}"
        );
        assert_eq!(records[1].trace_id, vec![1; 16]);
        assert!(
            get(&records[1].attributes, "pgmesh.error").is_some(),
            "{damage}: {records:?}"
        );
        for good in [0, 2] {
            assert_eq!(records[good].severity_text, "LOG");
        }
    }
}

#[test]
fn a_metric_that_cannot_be_read_harms_no_other() {
    let statement = format!("SELECT '{SECRET}'");
    let good = || {
        counter(
            "pg_stat_statements_calls",
            vec![point(&[("query", &statement)], 1.0)],
        )
    };
    for (damage, bytes) in damages(7, SECRET) {
        let damaged = [good().encode_to_vec(), bytes.clone()].concat();
        let nameless = [bytes, good().encode_to_vec()].concat();
        let foreign = gauge("node_load1", vec![point(&[], 1.0)]).encode_to_vec();
        let bytes = batch(&[good().encode_to_vec(), damaged, nameless, foreign]);
        let mut processor = processor(r#"{"metrics":{"derive":false}}"#);
        let out = processor.process_metrics(&bytes).expect(damage);
        let out = MetricsData::decode(&*out).expect(damage);
        let metrics = &out.resource_metrics[0].scope_metrics[0].metrics;
        assert!(
            !format!("{metrics:?}").contains(SECRET),
            "{damage}: {metrics:?}"
        );
        assert_eq!(metrics.len(), 4, "{damage}");
        assert_eq!(metrics[1].name, "pg_stat_statements_calls");
        assert_eq!(metrics[3].name, "node_load1");
        assert!(metrics[3].data.is_some());
    }
}

#[test]
fn what_cannot_be_read_around_a_span_harms_nothing_else() {
    let statement = text("db.query.text", &format!("SELECT '{SECRET}'"));
    let service = text("service.name", "shop");
    let system = text("db.system.name", "postgresql");
    for attributes in [
        vec![service.clone(), statement.clone()],
        vec![system, service, statement],
    ] {
        let resource = Resource {
            attributes: attributes.clone(),
            ..Resource::default()
        };
        let scope = InstrumentationScope {
            name: "some.library".to_owned(),
            attributes,
            ..InstrumentationScope::default()
        };
        let around = damages(1, SECRET).into_iter().zip(damages(3, SECRET));
        for ((damage, in_resource), (_, in_scope)) in around {
            let resource = [resource.encode_to_vec(), in_resource].concat();
            let scope = [scope.encode_to_vec(), in_scope].concat();
            let mut bytes = Vec::new();
            Writer::new(&mut bytes).message(1, |spans| {
                spans.bytes(1, &resource);
                spans.message(2, |spans| {
                    spans.bytes(1, &scope);
                    spans.bytes(2, &span("GET /pay", &[]).encode_to_vec());
                });
            });
            let mut processor = processor("");
            let out = processor.process_traces(&bytes).expect(damage);
            let out = TracesData::decode(&*out).expect(damage);
            assert!(!format!("{out:?}").contains(SECRET), "{damage}: {out:?}");
            let resource = &out.resource_spans[0];
            let scope = resource.scope_spans[0].scope.as_ref().expect(damage);
            assert_eq!(scope.name, "some.library");
            assert_eq!(resource.scope_spans[0].spans[0].name, "GET /pay");
            let resource = resource.resource.as_ref().expect(damage);
            for found in [&resource.attributes, &scope.attributes] {
                assert_eq!(get(found, "service.name"), Some("shop"));
                assert!(get(found, "pgmesh.error").is_some(), "{damage}: {found:?}");
            }
        }
    }
}

#[test]
fn what_cannot_be_read_of_another_span_goes_alone() {
    let event = Event {
        name: "exception".to_owned(),
        attributes: vec![text("exception.type", "psycopg.errors.UniqueViolation")],
        ..Event::default()
    };
    let request = span("GET /pay", &[("http.route", "/pay")]);
    let good = || {
        let statement = format!("SELECT '{SECRET}'");
        let attributes = [("db.system", "postgresql"), ("db.statement", &statement)];
        span("q", &attributes).encode_to_vec()
    };
    for (damage, bytes) in damages(3, SECRET) {
        let mut damaged = request.encode_to_vec();
        let event = [event.encode_to_vec(), bytes].concat();
        Writer::new(&mut damaged).bytes(11, &event);
        let mut status = vec![0x12, 100];
        status.extend_from_slice(SECRET.as_bytes());
        Writer::new(&mut damaged).bytes(15, &status);
        // Behind many of PostgreSQL's, too.
        let bytes = batch(&[vec![damaged.clone()], vec![good(); 4], vec![damaged]].concat());
        let mut processor = processor("");
        let out = processor.process_traces(&bytes).expect(damage);
        let out = TracesData::decode(&*out).expect(damage);
        let spans = &out.resource_spans[0].scope_spans[0].spans;
        assert!(
            !format!("{spans:?}").contains(SECRET),
            "{damage}: {spans:?}"
        );
        for other in [&spans[0], &spans[5]] {
            assert_eq!(other.name, "GET /pay", "{damage}");
            assert_eq!(get(&other.attributes, "http.route"), Some("/pay"));
            assert!(get(&other.attributes, "pgmesh.error").is_some());
        }
    }
}
