//! Batches as OpenTelemetry's own messages, and what there is to ask of them.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, KeyValueList};
use otel_processor::Processor;

/// What must not be seen: a word and a number.
pub(crate) const SECRET: &str = "hunter2-4111";

/// A processor that is configured so.
pub(crate) fn processor(config: &str) -> Processor {
    Processor::configure(config.as_bytes()).expect("a configuration")
}

/// A value that is text.
pub(crate) fn string(text: &str) -> AnyValue {
    AnyValue {
        value: Some(Value::StringValue(text.to_owned())),
    }
}

/// A value that is a map.
pub(crate) fn map(pairs: Vec<KeyValue>) -> AnyValue {
    AnyValue {
        value: Some(Value::KvlistValue(KeyValueList { values: pairs })),
    }
}

/// An attribute.
pub(crate) fn pair(key: &str, value: AnyValue) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(value),
        ..KeyValue::default()
    }
}

/// An attribute that is text.
pub(crate) fn text(key: &str, value: &str) -> KeyValue {
    pair(key, string(value))
}

/// The text of an attribute, which must not be there twice, nor be anything else.
#[track_caller]
pub(crate) fn get<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    let found = attributes.iter().filter(|attribute| attribute.key == key);
    let found = found.collect::<Vec<_>>();
    assert!(found.len() <= 1, "{key} twice");
    match found.first()?.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text),
        other => panic!("{key} is {other:?}"),
    }
}

/// The fingerprint of a statement, as it is printed.
pub(crate) fn fingerprint(statement: &str) -> String {
    pg_sql::fingerprint(statement.as_bytes(), &pg_sql::LexerOptions::default()).to_string()
}
