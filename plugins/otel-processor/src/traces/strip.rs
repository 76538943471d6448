//! What is left of a span that cannot be read: what is sure to hold no data, made anew.

use otlp_wire::{Any, Editor, Error, Field, KeyValue, Message, Value, Writer, schema};

use super::Traces;
use super::names::{self, Role};

/// Fields of a span that hold no text: their numbers and wire types.
const NUMBERS: [(u32, Kind); 10] = [
    (schema::span::TRACE_ID, Kind::Bytes),
    (schema::span::SPAN_ID, Kind::Bytes),
    (schema::span::PARENT_SPAN_ID, Kind::Bytes),
    (schema::span::KIND, Kind::Varint),
    (schema::span::START_TIME, Kind::Fixed64),
    (schema::span::END_TIME, Kind::Fixed64),
    (schema::span::DROPPED_ATTRIBUTES, Kind::Varint),
    (schema::span::DROPPED_EVENTS, Kind::Varint),
    (schema::span::DROPPED_LINKS, Kind::Varint),
    (schema::span::FLAGS, Kind::Fixed32),
];

#[derive(Clone, Copy)]
enum Kind {
    Varint,
    Fixed64,
    Fixed32,
    Bytes,
}

impl Kind {
    const fn is_of(self, value: Value<'_>) -> bool {
        matches!(
            (self, value),
            (Self::Varint, Value::Varint(_))
                | (Self::Fixed64, Value::Fixed64(_))
                | (Self::Fixed32, Value::Fixed32(_))
                | (Self::Bytes, Value::Bytes(_))
        )
    }
}

impl Traces {
    /// Puts what is left of a span in its place; what cannot be read ends it.
    pub(super) fn strip<'a>(&self, editor: &mut Editor<'a>, span: &Field<'a>, error: Error) {
        editor.replace(span, |new| {
            new.message(schema::scope::ITEMS, |new| {
                let fields = span.message().map(Message::fields);
                for field in fields.into_iter().flatten().flatten() {
                    self.keep(&field, new);
                }
                new.text(schema::span::NAME, "postgresql");
                let reason = error.to_string();
                new.text_attribute(schema::span::ATTRIBUTES, names::ERROR, &reason);
            });
        });
    }

    fn keep(&self, field: &Field<'_>, new: &mut Writer<'_>) {
        let is_number =
            |(number, kind): &(u32, Kind)| *number == field.number && kind.is_of(field.value);
        let harmless = match field.number {
            schema::span::ATTRIBUTES => is_harmless(field, |key| self.role(key).map(|it| it.0)),
            _ => NUMBERS.iter().any(is_number),
        };
        if harmless {
            new.field(field);
        }
    }
}

/// Whether an attribute holds no data: its name is known for that, or says nothing, and it is no more
/// than one value.
fn is_harmless(attribute: &Field<'_>, role: impl Fn(&[u8]) -> Option<Role>) -> bool {
    let read = attribute.message().and_then(KeyValue::read);
    read.is_ok_and(|read| {
        let plain = matches!(role(read.key), None | Some(Role::Plain | Role::System));
        let value = match read.any() {
            Ok(Any::Text(text)) => std::str::from_utf8(text).is_ok(),
            Ok(Any::Int(_) | Any::Bool(_) | Any::Double(_)) => true,
            _ => false,
        };
        plain && value && std::str::from_utf8(read.key).is_ok()
    })
}
