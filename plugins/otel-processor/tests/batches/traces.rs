//! Spans through the processor, judged by OpenTelemetry's own messages: what was meant to change has
//! changed, and nothing else.

use std::borrow::Cow;

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, TracesData};
use proptest::prelude::*;
use prost::Message;

use crate::order::reversed;
use crate::otlp::{SECRET, fingerprint, get, processor, text};

pub(crate) fn span(name: &str, attributes: &[(&str, &str)]) -> Span {
    Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        name: name.to_owned(),
        start_time_unix_nano: 1,
        attributes: attributes
            .iter()
            .map(|(key, value)| text(key, value))
            .collect(),
        ..Span::default()
    }
}

pub(crate) fn batch(spans: Vec<Span>) -> TracesData {
    TracesData {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![text("service.name", "shop")],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: "some.library".to_owned(),
                    ..InstrumentationScope::default()
                }),
                spans,
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
}

/// The one span of what comes out.
pub(crate) fn processed(config: &str, bytes: &[u8]) -> Span {
    let out = processor(config)
        .process_traces(bytes)
        .expect("OTLP")
        .into_owned();
    let mut batch = TracesData::decode(out.as_slice()).expect("OTLP");
    batch.resource_spans[0].scope_spans[0].spans.remove(0)
}

#[test]
fn a_span_is_named_and_described_by_the_conventions_without_its_data() {
    let statement = format!("SELECT * FROM orders WHERE card = '{SECRET}'");
    let bytes = batch(vec![span(
        "query",
        &[
            ("db.system", "postgresql"),
            ("db.statement", &statement),
            ("db.query.parameter.0", SECRET),
            ("http.route", "/pay"),
        ],
    )])
    .encode_to_vec();
    let span = processed("", &bytes);
    assert_eq!(span.name, "SELECT orders");
    let get = |key| get(&span.attributes, key);
    assert_eq!(
        get("db.statement"),
        Some("SELECT * FROM orders WHERE card = ?")
    );
    assert_eq!(get("db.query.summary"), Some("SELECT orders"));
    assert_eq!(get("db.operation.name"), Some("SELECT"));
    assert_eq!(get("db.collection.name"), Some("orders"));
    assert_eq!(get("db.query.parameter.0"), None);
    assert_eq!(get("http.route"), Some("/pay"));
    assert_eq!(
        get("pgmesh.fingerprint"),
        Some(fingerprint(&statement).as_str())
    );
}

#[test]
fn old_names_are_replaced_in_whatever_order_an_encoder_writes_fields() {
    let statement = format!("UPDATE t SET a = '{SECRET}'");
    let whole = batch(vec![span(
        "query",
        &[
            ("db.system", "postgresql"),
            ("db.name", "shop"),
            ("db.statement", &statement),
        ],
    )])
    .encode_to_vec();
    for bytes in [reversed(&whole, 8), whole] {
        let span = processed(r#"{"traces":{"migrate":"replace"}}"#, &bytes);
        let get = |key| get(&span.attributes, key);
        assert_eq!(get("db.query.text"), Some("UPDATE t SET a = ?"));
        assert_eq!(get("db.system.name"), Some("postgresql"));
        assert_eq!(get("db.namespace"), Some("shop"));
        for old in ["db.statement", "db.system", "db.name"] {
            assert_eq!(get(old), None, "{old}");
        }
    }
}

#[test]
fn errors_say_the_sqlstate_and_no_value() {
    let mut failed = span(
        "INSERT t",
        &[
            ("db.system.name", "postgresql"),
            ("db.query.text", "INSERT INTO t VALUES ($1)"),
        ],
    );
    let message = format!(
        "duplicate key value violates unique constraint \"t_pkey\"\nDETAIL:  Key (card)=({SECRET}) already exists."
    );
    failed.status = Some(Status {
        message: message.clone(),
        code: 2,
    });
    failed.events = vec![Event {
        name: "exception".to_owned(),
        attributes: vec![
            text("exception.message", &message),
            text("exception.stacktrace", &message),
        ],
        ..Event::default()
    }];
    let bytes = batch(vec![failed]).encode_to_vec();
    let out = processed("", &bytes);
    assert_eq!(
        get(&out.attributes, "db.response.status_code"),
        Some("23505")
    );
    assert_eq!(get(&out.attributes, "error.type"), Some("23505"));
    let said = "duplicate key value violates unique constraint \"t_pkey\"";
    assert_eq!(
        out.status.as_ref().map(|status| status.message.as_str()),
        Some(said)
    );
    assert_eq!(
        get(&out.events[0].attributes, "exception.message"),
        Some(said)
    );
    assert!(!format!("{out:?}").contains(SECRET));
}

#[test]
fn a_batch_without_postgresql_is_the_slice_that_came() {
    let bytes = batch(vec![span(
        "GET /",
        &[("db.system", "mysql"), ("db.statement", "SELECT 'x'")],
    )])
    .encode_to_vec();
    let mut processor = processor("");
    let out = processor.process_traces(&bytes).expect("OTLP");
    assert!(matches!(out, Cow::Borrowed(same) if same.as_ptr() == bytes.as_ptr()));
}

#[test]
fn fields_that_nobody_knows_survive() {
    let mut bytes = batch(vec![span(
        "q",
        &[
            ("db.system.name", "postgresql"),
            ("db.query.text", "SELECT 'x'"),
        ],
    )])
    .encode_to_vec();
    // Field 1000 of TracesData, and one inside the span would be the same to the editor.
    let unknown = [&[0xc2, 0x3e, 3][..], b"new"].concat();
    bytes.extend(&unknown);
    let out = processor("")
        .process_traces(&bytes)
        .expect("OTLP")
        .into_owned();
    assert!(out.ends_with(&unknown));
}

#[test]
fn a_span_that_cannot_be_read_goes_on_without_what_may_be_sensitive() {
    // `AnyValue` whose text is said to be a number.
    let broken = [&b"\x0a\x0ddb.query.text\x12\x02\x08\x01"[..]].concat();
    let mut span = span(
        "SELECT 'hunter2-4111'",
        &[("db.system.name", "postgresql"), ("http.route", "/pay")],
    )
    .encode_to_vec();
    span.push(9 << 3 | 2);
    span.push(broken.len() as u8);
    span.extend(&broken);
    let wrap = |bytes: Vec<u8>, tag: u8| {
        let mut out = vec![tag];
        prost::encoding::encode_varint(bytes.len() as u64, &mut out);
        out.extend(bytes);
        out
    };
    let bytes = wrap(wrap(wrap(span, 2 << 3 | 2), 2 << 3 | 2), 1 << 3 | 2);
    let out = processed("", &bytes);
    assert!(
        get(&out.attributes, "pgmesh.error").is_some_and(|error| error.contains("another type"))
    );
    assert_eq!(get(&out.attributes, "http.route"), Some("/pay"));
    assert_eq!(out.name, "postgresql");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_are_handled_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = processor("").process_traces(&bytes);
    }

    #[test]
    fn a_batch_with_one_byte_changed_is_handled_or_refused(at in 0_usize..400, byte: u8, config in 0..3_usize) {
        let whole = batch(vec![span("q", &[("db.system", "postgresql"), ("db.statement", "SELECT 'x' /*a='b'*/"), ("db.name", "n"), ("db.query.parameter.a", "v")])]);
        let mut bytes = whole.encode_to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        let config = ["", r#"{"traces":{"migrate":"replace","keep_alive":"drop"}}"#, r#"{"traces":{"migrate":"duplicate","comments":"promote"}}"#][config];
        if let Ok(out) = processor(config).process_traces(&bytes) {
            // What prost could read before, it can read now.
            if TracesData::decode(bytes.as_slice()).is_ok() {
                prop_assert!(TracesData::decode(&*out).is_ok());
            }
        }
    }

    #[test]
    fn no_literal_is_seen_wherever_a_span_has_it(place in 0_usize..9, migrate in prop::sample::select(vec!["off", "duplicate", "replace"])) {
        let statement = format!("SELECT * FROM t WHERE a = '{SECRET}'");
        let keys = ["db.statement", "db.query.text", "db.query.parameter.a", "db.postgresql.values", "sql.query", "pgx.query.parameters", "db.connection_string", "jdbc.query[0]", "db.query.summary"];
        let mut one = span(&statement, &[("db.system", "postgresql"), (keys[place], &statement)]);
        one.events = vec![Event { attributes: vec![text(keys[place], &statement), text("exception.message", &statement), text("exception.stacktrace", &statement)], ..Event::default() }];
        one.status = Some(Status { message: statement.clone(), code: 2 });
        let bytes = batch(vec![one]).encode_to_vec();
        let config = format!(r#"{{"traces":{{"migrate":"{migrate}"}}}}"#);
        let out = processor(&config).process_traces(&bytes).expect("OTLP").into_owned();
        prop_assert!(!String::from_utf8_lossy(&out).contains(SECRET), "{}", String::from_utf8_lossy(&out));
    }
}
