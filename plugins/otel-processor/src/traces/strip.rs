//! What is left of a span that cannot be read: what is sure to hold no data, made anew.

use otlp_wire::{Any, Editor, Error, Field, KeyValue, Message, Writer, schema};

use super::Traces;
use super::attributes::suspicion;
use super::names::{self, Role};
use crate::strip::{Wire, is_one};

/// Fields of a span that hold no text: their numbers and wire types.
const NUMBERS: [(u32, Wire); 10] = [
    (schema::span::TRACE_ID, Wire::Bytes),
    (schema::span::SPAN_ID, Wire::Bytes),
    (schema::span::PARENT_SPAN_ID, Wire::Bytes),
    (schema::span::KIND, Wire::Varint),
    (schema::span::START_TIME, Wire::Fixed64),
    (schema::span::END_TIME, Wire::Fixed64),
    (schema::span::DROPPED_ATTRIBUTES, Wire::Varint),
    (schema::span::DROPPED_EVENTS, Wire::Varint),
    (schema::span::DROPPED_LINKS, Wire::Varint),
    (schema::span::FLAGS, Wire::Fixed32),
];

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
        let harmless = match field.number {
            schema::span::ATTRIBUTES => {
                is_harmless(field, |key| self.meaning(key).map(|it| it.role))
            }
            _ => is_one(field, &NUMBERS),
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
        let suspect = suspicion(&read).is_some();
        plain && value && !suspect && std::str::from_utf8(read.key).is_ok()
    })
}
