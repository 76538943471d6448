//! Any spans through the processor, against a model of it that works on decoded messages and knows what
//! becomes of each text from a table of its own.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, TracesData};
use proptest::prelude::*;
use prost::Message;

use crate::order::reversed;
use crate::otlp::{fingerprint, pair, processor, text};

/// A text, and what is to be said of it.
pub(crate) struct Statement {
    pub(crate) text: &'static str,
    pub(crate) redacted: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) operation: Option<&'static str>,
    pub(crate) collection: Option<&'static str>,
    pub(crate) size: Option<i64>,
}

pub(crate) const STATEMENTS: [Statement; 6] = [
    Statement {
        text: "SELECT a FROM t WHERE b = 'hunter2' /* 4111 */",
        redacted: "SELECT a FROM t WHERE b = ? ",
        summary: "SELECT t",
        operation: Some("SELECT"),
        collection: Some("t"),
        size: None,
    },
    Statement {
        text: "SELECT a FROM t WHERE b = $1",
        redacted: "SELECT a FROM t WHERE b = $1",
        summary: "SELECT t",
        operation: Some("SELECT"),
        collection: Some("t"),
        size: None,
    },
    Statement {
        text: "UPDATE s.t SET a = 4111, b = 'Ж'",
        redacted: "UPDATE s.t SET a = ?, b = ?",
        summary: "UPDATE s.t",
        operation: Some("UPDATE"),
        collection: Some("s.t"),
        size: None,
    },
    Statement {
        text: "SELECT 1 FROM a JOIN b USING (c)",
        redacted: "SELECT ? FROM a JOIN b USING (c)",
        summary: "SELECT a b",
        operation: Some("SELECT"),
        collection: None,
        size: None,
    },
    Statement {
        text: "DELETE FROM t WHERE a = 1; DELETE FROM t WHERE a = 2",
        redacted: "DELETE FROM t WHERE a = ?; DELETE FROM t WHERE a = ?",
        summary: "BATCH DELETE t",
        operation: Some("DELETE"),
        collection: Some("t"),
        size: Some(2),
    },
    Statement {
        text: "BEGIN",
        redacted: "BEGIN",
        summary: "BEGIN",
        operation: Some("BEGIN"),
        collection: None,
        size: None,
    },
];

/// What an error says, what is seen of it, and its SQLSTATE.
const ERRORS: [(&str, &str, Option<&str>); 4] = [
    ("", "", None),
    ("23505", "23505", Some("23505")),
    (
        "duplicate key value violates unique constraint \"t_pkey\"\nDETAIL:  Key (a)=(4111)",
        "duplicate key value violates unique constraint \"t_pkey\"",
        Some("23505"),
    ),
    ("card 4111 of hunter2 refused", "?", None),
];

/// Old names, and what became of them.
const RENAMED: [(&str, &str); 6] = [
    ("db.system", "db.system.name"),
    ("db.statement", "db.query.text"),
    ("db.name", "db.namespace"),
    ("db.operation", "db.operation.name"),
    ("db.sql.table", "db.collection.name"),
    ("net.peer.name", "server.address"),
];

/// Names whose values nobody sees.
const GONE: [&str; 3] = ["db.query.parameter.0", "db.connection_string", "pg.args"];

fn string(pair: &KeyValue) -> Option<&str> {
    match pair.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

fn get<'s>(span: &'s Span, names: &[&str]) -> Option<&'s str> {
    let named = |name: &&str| span.attributes.iter().find(|pair| pair.key == **name);
    names.iter().find_map(named).and_then(string)
}

fn seen_of(said: &str) -> (&'static str, Option<&'static str>) {
    let found = ERRORS.iter().find(|(text, ..)| *text == said);
    let (_, seen, code) = found.expect("one of the table");
    (seen, *code)
}

fn redacted(statement: &str) -> &str {
    let found = STATEMENTS.iter().find(|known| known.text == statement);
    found.map_or(statement, |known| known.redacted)
}

/// What is seen of an exception: an empty message says nothing that could be read.
fn seen_of_exception(said: &str) -> &'static str {
    match said {
        "23505" | "" => "?",
        said => seen_of(said).0,
    }
}

/// What the processor should make of a span that is not PostgreSQL's: nothing, unless the server's message
/// and its DETAIL are in it.
fn others(span: &mut Span) {
    let told = ERRORS[2].0;
    let messages = span
        .events
        .iter_mut()
        .flat_map(|event| &mut event.attributes);
    let mut messages: Vec<_> = messages
        .filter(|pair| pair.key == "exception.message")
        .collect();
    let status = span.status.as_mut();
    if status.as_ref().is_some_and(|status| status.message == told)
        || messages.iter().any(|pair| string(pair) == Some(told))
    {
        for pair in &mut messages {
            let said = string(pair).unwrap_or_default().to_owned();
            pair.value = text("", seen_of_exception(&said)).value;
        }
        if let Some(status) = status {
            status.message = seen_of(&status.message).0.to_owned();
        }
    }
}

/// What the processor should make of a span.
fn model(span: &mut Span, replaces: bool) {
    let system = get(span, &["db.system.name", "db.system"]);
    if !system.is_some_and(|system| system.eq_ignore_ascii_case("postgresql")) {
        return others(span);
    }
    let before = span.clone();
    let has = |names: &[&str]| {
        let mut attributes = before.attributes.iter();
        attributes.any(|pair| names.contains(&&*pair.key))
    };
    let statement = get(&before, &["db.query.text", "db.statement"])
        .and_then(|text| STATEMENTS.iter().find(|known| known.text == text));

    span.attributes.retain(|pair| !GONE.contains(&&*pair.key));
    for pair in &mut span.attributes {
        if let Some(Value::StringValue(text)) = pair.value.as_mut().and_then(|it| it.value.as_mut())
        {
            *text = redacted(text).to_owned();
        }
    }
    if replaces {
        for (old, stable) in RENAMED {
            if has(&[stable]) {
                span.attributes.retain(|pair| pair.key != old);
            }
            let old = span.attributes.iter_mut().filter(|pair| pair.key == old);
            old.for_each(|pair| stable.clone_into(&mut pair.key));
        }
    } else if let Some(database) = get(&before, &["db.name"])
        && !has(&["db.namespace"])
    {
        span.attributes.push(text("db.namespace", database));
    }

    let mut code = None;
    let mut exception = None;
    for event in &mut span.events {
        for pair in &mut event.attributes {
            let Some(said) = string(pair).map(str::to_owned) else {
                continue;
            };
            if pair.key == "exception.message" {
                let (_, told) = seen_of(&said);
                pair.value = text("", seen_of_exception(&said)).value;
                code = code.or(told.filter(|_| said != "23505"));
            } else if pair.key == "exception.type" {
                exception.get_or_insert(said);
            }
        }
    }
    let mut failed = false;
    if let Some(status) = &mut span.status {
        let (seen, told) = seen_of(&status.message);
        seen.clone_into(&mut status.message);
        code = code.or(told);
        failed = status.code == 2;
    }
    if let Some(code) = code {
        span.attributes.push(text("db.response.status_code", code));
    }
    let other = || exception.unwrap_or("_OTHER".to_owned());
    let class = code.map(str::to_owned).or_else(|| failed.then(other));
    if let Some(class) = class.filter(|_| !has(&["error.type"])) {
        span.attributes.push(text("error.type", &class));
    }

    let Some(statement) = statement else {
        if let Some(operation) = get(&before, &["db.operation"]) {
            let targets = ["db.sql.table", "db.namespace", "db.name", "net.peer.name"];
            let target = get(&before, &targets);
            span.name = target.map_or(operation.to_owned(), |it| format!("{operation} {it}"));
        }
        return;
    };
    statement.summary.clone_into(&mut span.name);
    let mut add = |name: &str, value: Option<&str>, old: &[&str]| {
        if let Some(value) = value.filter(|_| !has(&[name]) && !has(old)) {
            span.attributes.push(text(name, value));
        }
    };
    add("db.query.summary", Some(statement.summary), &[]);
    add(
        "pgmesh.fingerprint",
        Some(&fingerprint(statement.text)),
        &[],
    );
    add("db.operation.name", statement.operation, &["db.operation"]);
    add(
        "db.collection.name",
        statement.collection,
        &["db.sql.table"],
    );
    if let Some(size) = statement.size {
        let value = AnyValue {
            value: Some(Value::IntValue(size)),
        };
        span.attributes.push(pair("db.operation.batch.size", value));
    }
}

fn any_attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    let texts: Vec<&str> = STATEMENTS.iter().map(|known| known.text).collect();
    let one = |key: &'static str, values: Vec<&'static str>| {
        let value = prop::option::of(prop::sample::select(values));
        value.prop_map(move |value| value.map(|value| text(key, value)))
    };
    let known = (
        one(
            "db.system",
            vec!["postgresql", "PostgreSQL", "postgresql", "mysql"],
        ),
        one("db.statement", texts.clone()),
        one("db.query.text", texts),
        one("db.name", vec!["shop"]),
        one("db.namespace", vec!["shop|public"]),
        one("db.operation", vec!["SELECT"]),
        one("db.sql.table", vec!["t"]),
        one("net.peer.name", vec!["db"]),
        one("error.type", vec!["timeout"]),
    );
    let others = prop::collection::btree_set(
        prop::sample::select(vec![
            "db.query.parameter.0",
            "db.connection_string",
            "pg.args",
            "http.route",
            "Ж",
            "",
        ]),
        0..4,
    );
    (known, others).prop_map(|(known, others)| {
        let (system, statement, query, name, namespace, operation, table, peer, error) = known;
        let known = [
            system, statement, query, name, namespace, operation, table, peer, error,
        ];
        let others = others.into_iter().map(|key| text(key, "4111"));
        known.into_iter().flatten().chain(others).collect()
    })
}

fn any_event() -> impl Strategy<Value = Event> {
    let said = prop::sample::select(ERRORS.map(|(said, ..)| said).to_vec());
    (said, any::<u64>(), any::<bool>()).prop_map(|(said, time, typed)| {
        let mut attributes = vec![text("exception.message", said)];
        if typed {
            attributes.push(text("exception.type", "app.Refused"));
        }
        Event {
            name: "exception".to_owned(),
            time_unix_nano: time,
            attributes,
            dropped_attributes_count: 3,
        }
    })
}

fn any_span() -> impl Strategy<Value = Span> {
    let said = prop::sample::select(ERRORS.map(|(said, ..)| said).to_vec());
    let status = prop::option::of((said, 0..3).prop_map(|(said, code)| Status {
        message: said.to_owned(),
        code,
    }));
    let events = prop::collection::vec(any_event(), 0..3);
    (
        any_attributes(),
        events,
        status,
        any::<[u8; 8]>(),
        0..3_usize,
    )
        .prop_map(|(attributes, events, status, id, links)| Span {
            trace_id: vec![7; 16],
            span_id: id.to_vec(),
            trace_state: "a=b".to_owned(),
            flags: 1,
            name: "query".to_owned(),
            kind: 3,
            start_time_unix_nano: 5,
            end_time_unix_nano: 6,
            attributes,
            dropped_attributes_count: 2,
            events,
            links: vec![
                Link {
                    trace_id: vec![9; 16],
                    ..Link::default()
                };
                links
            ],
            status,
            ..Span::default()
        })
}

fn any_batch() -> impl Strategy<Value = TracesData> {
    let spans = prop::collection::vec(any_span(), 0..4);
    let scope = spans.prop_map(|spans| ScopeSpans {
        spans,
        schema_url: "x".to_owned(),
        ..ScopeSpans::default()
    });
    let resource = prop::collection::vec(scope, 0..3).prop_map(|scope_spans| ResourceSpans {
        scope_spans,
        ..ResourceSpans::default()
    });
    prop::collection::vec(resource, 0..3).prop_map(|resource_spans| TracesData { resource_spans })
}

/// The spans of a batch, each with its attributes by name.
fn spans(batch: &mut TracesData) -> impl Iterator<Item = &mut Span> {
    let resources = batch.resource_spans.iter_mut();
    let scopes = resources.flat_map(|resource| &mut resource.scope_spans);
    scopes.flat_map(|scope| &mut scope.spans)
}

fn by_name(mut batch: TracesData) -> TracesData {
    for span in spans(&mut batch) {
        span.attributes
            .sort_by(|one, other| one.key.cmp(&other.key));
    }
    batch
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_decoded_after_the_edit_is_the_edit_of_what_is_decoded(
        before in any_batch(),
        replaces: bool,
        backwards: bool,
    ) {
        let whole = before.encode_to_vec();
        let bytes = if backwards { reversed(&whole, 8) } else { whole };
        let config = if replaces { r#"{"traces":{"migrate":"replace"}}"# } else { "" };
        let mut processor = processor(config);
        let out = processor.process_traces(&bytes).expect("OTLP").into_owned();
        let mut expected = TracesData::decode(&*bytes).expect("OTLP");
        spans(&mut expected).for_each(|span| model(span, replaces));
        let out = TracesData::decode(&*out).expect("OTLP");
        prop_assert_eq!(by_name(out), by_name(expected));
    }
}
