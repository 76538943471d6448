//! What is left of a span that cannot be read, or of what stands around it: what is sure to hold no data,
//! made anew.

use otlp_wire::{Any, Editor, Error, Field, KeyValue, Message, Writer, schema};

use super::Traces;
use super::around::SCOPE;
use super::attributes::{Layout, suspicion};
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

/// Fields of a `Resource` and an `InstrumentationScope` that hold no data.
const OF_RESOURCE: [(u32, Wire); 1] = [(schema::resource::DROPPED_ATTRIBUTES, Wire::Varint)];
const OF_SCOPE: [(u32, Wire); 3] = [
    (schema::scope::NAME, Wire::Bytes),
    (schema::scope::VERSION, Wire::Bytes),
    (schema::scope::DROPPED_ATTRIBUTES, Wire::Varint),
];

impl Traces {
    /// Puts what is left of a span in its place; what cannot be read ends it.
    pub(super) fn strip<'a>(&self, editor: &mut Editor<'a>, span: &Field<'a>, error: Error) {
        editor.replace(span, |new| {
            new.message(schema::scope::ITEMS, |new| {
                self.keep(span, (schema::span::ATTRIBUTES, &NUMBERS), new);
                new.text(schema::span::NAME, "postgresql");
                let reason = error.to_string();
                new.text_attribute(schema::span::ATTRIBUTES, names::ERROR, &reason);
            });
        });
    }

    /// The same of a `Resource` or an `InstrumentationScope`.
    pub(super) fn strip_around<'a>(
        &self,
        editor: &mut Editor<'a>,
        field: &Field<'a>,
        (layout, error): (&Layout, Error),
    ) {
        let known = match layout.attributes == SCOPE.attributes {
            true => &OF_SCOPE[..],
            false => &OF_RESOURCE,
        };
        editor.replace(field, |new| {
            new.message(field.number, |new| {
                self.keep(field, (layout.attributes, known), new);
                new.text_attribute(layout.attributes, names::ERROR, &error.to_string());
            });
        });
    }

    fn keep(
        &self,
        message: &Field<'_>,
        (attributes, known): (u32, &[(u32, Wire)]),
        new: &mut Writer<'_>,
    ) {
        let fields = message.message().map(Message::fields);
        for field in fields.into_iter().flatten().flatten() {
            let harmless = match field.number == attributes {
                true => self.is_harmless(&field),
                false => is_one(&field, known),
            };
            if harmless {
                new.field(&field);
            }
        }
    }

    /// Whether an attribute holds no data: its name is known for that, or says nothing, and it is no more
    /// than one value. What was said of an error before is said anew.
    pub(crate) fn is_harmless(&self, attribute: &Field<'_>) -> bool {
        let read = attribute.message().and_then(KeyValue::read);
        read.is_ok_and(|read| {
            let role = self.meaning(read.key).map(|meaning| meaning.role);
            let plain = matches!(role, None | Some(Role::Plain | Role::System));
            let value = match read.any() {
                Ok(Any::Text(text)) => std::str::from_utf8(text).is_ok(),
                Ok(Any::Int(_) | Any::Bool(_) | Any::Double(_)) => true,
                _ => false,
            };
            let key = std::str::from_utf8(read.key).is_ok_and(|key| key != names::ERROR);
            plain && value && key && suspicion(&read).is_none()
        })
    }
}
