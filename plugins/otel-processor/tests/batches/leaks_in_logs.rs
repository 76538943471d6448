//! Secrets in entries of PostgreSQL's log, in whatever shape a Collector has made of them, and beside
//! them: none comes out.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use proptest::prelude::*;
use prost::Message;

use crate::logs::{ERROR, JSON, batch, body, line, members, with_body};
use crate::order::reversed;
use crate::otlp::{SECRET, get, map, pair, processor, string, text};

const SMALL: &str = r#""error_severity":"error""#;
const NAMED: &str = r#"{"logs":{"resources":{"k8s.pod.name":["db-0"]}}}"#;

fn list(values: Vec<AnyValue>) -> AnyValue {
    AnyValue {
        value: Some(Value::ArrayValue(ArrayValue { values })),
    }
}

fn bytes(text: &str) -> AnyValue {
    AnyValue {
        value: Some(Value::BytesValue(text.as_bytes().to_vec())),
    }
}

fn entry() -> AnyValue {
    map(members(JSON))
}

fn with(body: AnyValue, attributes: Vec<KeyValue>) -> LogRecord {
    LogRecord {
        attributes,
        ..with_body(body)
    }
}

fn at_level(level: &str, body: &str) -> LogRecord {
    LogRecord {
        severity_text: level.to_owned(),
        ..line(body)
    }
}

/// A shape of an entry by name, with a secret in it.
pub(crate) fn shapes() -> Vec<(&'static str, LogRecord)> {
    let stderr = ERROR.join("\n");
    let longer = format!("db-0 postgres: {stderr} (end)");
    let small = JSON.replace(r#""error_severity":"ERROR""#, SMALL);
    let odd = JSON.replace(r#""error_severity":"ERROR""#, r#""error_severity":"oops""#);
    let statement = "INSERT INTO users VALUES ('hunter2-4111')";
    let slow = format!("duration: 1.2 ms  statement: {statement}");
    let refused = "invalid input syntax for type integer: \"hunter2-4111\"";
    let journald = vec![
        text("MESSAGE", &stderr),
        text("PRIORITY", "6"),
        text("_PID", "70"),
    ];
    let processed = vec![text("log", JSON), pair("log_processed", entry())];
    let deep = (0..40).fold(entry(), |inner, _| list(vec![inner]));
    vec![
        ("as bytes", with_body(bytes(&stderr))),
        ("as bytes, in JSON", with_body(bytes(JSON))),
        (
            "as bytes in a map",
            with_body(map(vec![pair("log", bytes(&stderr))])),
        ),
        (
            "parsed to an attribute",
            with(string(JSON), vec![pair("parsed", entry())]),
        ),
        (
            "parsed to an attribute, body gone",
            LogRecord {
                attributes: vec![pair("parsed", entry())],
                ..LogRecord::default()
            },
        ),
        (
            "parsed too deep to be read",
            with(string(JSON), vec![pair("parsed", deep)]),
        ),
        (
            "parsed into a list",
            with(string(JSON), vec![pair("parsed", list(vec![entry()]))]),
        ),
        ("parsed beside the line", with_body(map(processed))),
        (
            "parsed to a member of the body",
            with_body(map(vec![pair("pg", entry())])),
        ),
        (
            "parsed, and the line beside it",
            with(
                string("x"),
                [members(JSON), vec![text("raw.line", JSON)]].concat(),
            ),
        ),
        (
            "parsed as the body, and the line beside it",
            with(entry(), vec![text("raw.line", JSON)]),
        ),
        (
            "a longer copy",
            with(string(&stderr), vec![text("raw.line", &longer)]),
        ),
        (
            "a longer copy in a map",
            with(
                string(&stderr),
                vec![pair("kept", map(vec![text("line", &longer)]))],
            ),
        ),
        (
            "a copy of a field",
            with(
                string(JSON),
                vec![text("d", "Key (email)=(hunter2-4111) already exists.")],
            ),
        ),
        ("journald", with_body(map(journald))),
        ("a small severity, parsed", with_body(map(members(&small)))),
        (
            "a small severity, as attributes",
            with(string("x"), members(&small)),
        ),
        ("a small severity in JSON", line(&small)),
        ("an odd severity, parsed", with_body(map(members(&odd)))),
        ("an odd severity in JSON", line(&odd)),
        ("without its severity", at_level("LOG", &slow)),
        (
            "without its severity, another's word",
            at_level("ERROR", refused),
        ),
        (
            "a statement without its word",
            at_level("STATEMENT", statement),
        ),
        (
            "a detail without its word",
            at_level("DETAIL", "Key (email)=(hunter2-4111) already exists."),
        ),
        (
            "a level in an attribute",
            with(string(statement), vec![text("level", "STATEMENT")]),
        ),
        (
            "a level in the body",
            with_body(map(vec![
                text("severity", "STATEMENT"),
                text("message", statement),
            ])),
        ),
    ]
}

#[track_caller]
fn assert_clean(config: &str, records: Vec<LogRecord>, what: &str) {
    let whole = batch(records).encode_to_vec();
    for bytes in [reversed(&whole, 8), whole] {
        let out = processor(config)
            .process_logs(&bytes)
            .expect("OTLP")
            .into_owned();
        let shown = String::from_utf8_lossy(&out);
        assert!(!shown.contains(SECRET), "{what}: {shown}");
        assert!(shown.contains("postgresql"), "{what}: {shown}");
    }
}

#[test]
fn an_entry_shows_no_data_in_any_shape() {
    for (what, record) in shapes() {
        let shown = String::from_utf8_lossy(&record.encode_to_vec()).into_owned();
        assert!(shown.contains("hunter2-4111"), "{what}");
        assert_clean("", vec![record.clone()], what);
        assert_clean(NAMED, vec![record], what);
    }
}

/// What else an agent, or the application, has put beside an entry.
#[test]
fn what_stands_beside_an_entry_shows_no_data() {
    let beside = [
        text("db.statement", "SELECT 'hunter2-4111'"),
        text("x", "SELECT 'hunter2-4111' FROM t"),
        pair("x", list(vec![string("SELECT 'hunter2-4111' FROM t")])),
        text("db.query.parameter.0", SECRET),
        text("args", SECRET),
        text("password", SECRET),
        text("dsn", "host=db password=hunter2-4111"),
        text("x", "postgres://bob:hunter2-4111@db/shop"),
        pair("x", map(vec![text("password", SECRET)])),
        text(
            "exception.message",
            "Key (a)=(hunter2-4111) already exists.",
        ),
        text("audit_parameter", SECRET),
    ];
    for one in beside {
        for entry in [ERROR[0], JSON] {
            let before = with(string(entry), vec![one.clone()]);
            assert_clean("", vec![before], &one.key);
            let before = with_body(map(vec![text("log", entry), one.clone()]));
            assert_clean("", vec![before], &one.key);
        }
        let before = with(entry(), vec![one.clone()]);
        assert_clean("", vec![before], &one.key);
    }
    let before = with(
        string(JSON),
        vec![text("x", "SELECT 'hunter2-4111' FROM t")],
    );
    let bytes = batch(vec![before]).encode_to_vec();
    let off = r#"{"logs":{"redaction":"off"}}"#;
    let out = processor(off)
        .process_logs(&bytes)
        .expect("OTLP")
        .into_owned();
    assert!(String::from_utf8_lossy(&out).contains("SELECT 'hunter2-4111' FROM t"));
}

/// filelog begins at the end of a file, in the middle of an entry.
#[test]
fn the_end_of_an_entry_in_front_of_the_first_line_is_withheld() {
    let torn = line("\tVALUES ('hunter2-4111')");
    assert_clean("", vec![torn.clone(), line(ERROR[0])], "default");
    assert_clean(NAMED, vec![torn], "named");
    // Without its tab it is anybody's, but for a resource that was named.
    assert_clean(NAMED, vec![line("VALUES ('hunter2-4111')")], "named");
}

#[test]
fn a_line_of_another_program_passes_where_no_resource_is_named() {
    for other in ["\tat com.example.Main", "card hunter2-4111", "ERROR failed"] {
        let bytes = batch(vec![line(other), at_level("ERROR", "card 7 refused")]).encode_to_vec();
        let mut processor = processor("");
        let out = processor.process_logs(&bytes).expect("OTLP");
        assert_eq!(*out, bytes);
    }
}

#[test]
fn what_stands_beside_an_entry_stays() {
    let record = with(
        string(JSON),
        vec![
            pair("parsed", entry()),
            pair("k8s", map(vec![text("pod", "db-0")])),
            text("note", "a note with blanks"),
        ],
    );
    let bytes = batch(vec![record]).encode_to_vec();
    let out = processor("")
        .process_logs(&bytes)
        .expect("OTLP")
        .into_owned();
    let out = opentelemetry_proto::tonic::logs::v1::LogsData::decode(&*out).expect("OTLP");
    let record = &out.resource_logs[0].scope_logs[0].log_records[0];
    assert!(body(record).starts_with("duplicate key"));
    assert_eq!(get(&record.attributes, "note"), Some("a note with blanks"));
    let keys: Vec<_> = record
        .attributes
        .iter()
        .map(|pair| pair.key.as_str())
        .collect();
    assert!(
        keys.contains(&"k8s") && !keys.contains(&"parsed"),
        "{keys:?}"
    );
}

proptest! {
    /// Any shapes in any order.
    #[test]
    fn no_mixture_of_shapes_shows_the_data(
        chosen in prop::collection::vec(any::<prop::sample::Index>(), 1..6),
        named: bool,
    ) {
        let shapes = shapes();
        let records = chosen.iter().map(|index| index.get(&shapes).1.clone()).collect();
        assert_clean(if named { NAMED } else { "" }, records, "a mixture");
    }
}
