//! What is left of a span or a log record that cannot be read is made anew, of the fields that hold no
//! text.

use otlp_wire::{Field, Value};

/// How a field is written.
#[derive(Clone, Copy)]
pub(crate) enum Wire {
    Varint,
    Fixed64,
    Fixed32,
    Bytes,
}

impl Wire {
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

/// Whether a field is one of these, and written so.
pub(crate) fn is_one(field: &Field<'_>, known: &[(u32, Wire)]) -> bool {
    let mut known = known.iter();
    known.any(|(number, kind)| *number == field.number && kind.is_of(field.value()))
}
