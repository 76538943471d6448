//! Reads protobuf messages field by field, where they stand.
//!
//! What prost takes for a message is one here, groups aside: no version of OTLP has any, and a batch
//! with one is refused.

use std::fmt;

/// The largest field number there is.
const LARGEST_NUMBER: u64 = (1 << 29) - 1;

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// A field reaches beyond the message that holds it.
    Truncated,
    /// A number of more than ten bytes or 64 bits.
    OverlongVarint,
    /// A field number that is zero or too large.
    FieldNumber,
    /// A wire type that OTLP does not use: groups, or one that does not exist.
    WireType,
    /// A field has another wire type than OTLP gives it.
    UnexpectedType,
    /// Values are nested in values more than [`crate::MAX_DEPTH`] deep.
    TooDeep,
}

/// What is wrong with a batch, and where.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Error {
    /// What.
    pub fault: Fault,
    /// Offset in the batch.
    pub offset: usize,
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.fault {
            Fault::Truncated => "a field reaches beyond its message",
            Fault::OverlongVarint => "a number is too long",
            Fault::FieldNumber => "there is no such field number",
            Fault::WireType => "there is no such wire type",
            Fault::UnexpectedType => "a field has another type",
            Fault::TooDeep => "values are nested too deep",
        };
        write!(out, "{what} (at byte {})", self.offset)
    }
}

impl std::error::Error for Error {}

/// A message inside a batch.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Message<'a> {
    /// The whole batch.
    #[must_use]
    pub const fn new(batch: &'a [u8]) -> Self {
        Self {
            bytes: batch,
            at: 0,
        }
    }

    /// Its fields, in their order. Ends behind the first error.
    #[inline]
    #[must_use]
    pub const fn fields(self) -> Fields<'a> {
        Fields {
            rest: self.bytes,
            at: self.at,
        }
    }

    /// Its fields with this number. Ends behind the first error.
    pub fn all(self, number: u32) -> impl Iterator<Item = Result<Field<'a>, Error>> {
        self.fields()
            .filter(move |field| field.is_err() || field.is_ok_and(|field| field.number == number))
    }

    /// Its bytes.
    #[must_use]
    pub const fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Offset in the batch.
    #[must_use]
    pub const fn offset(self) -> usize {
        self.at
    }

    /// Offset in the batch of the first byte behind it.
    #[must_use]
    pub const fn end(self) -> usize {
        self.at.saturating_add(self.bytes.len())
    }

    /// The first field with this number.
    ///
    /// # Errors
    /// When something before it is no field.
    pub fn find(self, number: u32) -> Result<Option<Field<'a>>, Error> {
        for field in self.fields() {
            let field = field?;
            if field.number == number {
                return Ok(Some(field));
            }
        }
        Ok(None)
    }
}

/// The value of a field, as its wire type has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Whole numbers, enums, booleans.
    Varint(u64),
    /// `fixed64`, `double`: little endian.
    Fixed64(u64),
    /// `fixed32`, `float`: little endian.
    Fixed32(u32),
    /// Text, bytes, messages.
    Bytes(&'a [u8]),
}

/// One field of a message.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// Its number.
    pub number: u32,
    /// Its value.
    pub value: Value<'a>,
    /// Offset of its tag in the batch.
    pub(crate) start: usize,
    /// Offset of its value, or of the length before that.
    pub(crate) length_at: usize,
    /// Offset of its value, behind the length.
    pub(crate) value_at: usize,
    /// Offset behind it.
    pub(crate) end: usize,
}

impl<'a> Field<'a> {
    /// Its bytes.
    ///
    /// # Errors
    /// When it is a number.
    #[inline]
    pub const fn bytes(&self) -> Result<&'a [u8], Error> {
        match self.value {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(self.unexpected()),
        }
    }

    /// The message it is.
    ///
    /// # Errors
    /// When it is a number.
    #[inline]
    pub const fn message(&self) -> Result<Message<'a>, Error> {
        match self.value {
            Value::Bytes(bytes) => Ok(Message {
                bytes,
                at: self.value_at,
            }),
            _ => Err(self.unexpected()),
        }
    }

    /// The number it is.
    ///
    /// # Errors
    /// When it is none.
    pub const fn number_value(&self) -> Result<u64, Error> {
        match self.value {
            Value::Varint(value) | Value::Fixed64(value) => Ok(value),
            Value::Fixed32(value) => Ok(value as u64),
            Value::Bytes(_) => Err(self.unexpected()),
        }
    }

    /// That it has another type than OTLP gives it.
    #[must_use]
    pub const fn unexpected(&self) -> Error {
        Error {
            fault: Fault::UnexpectedType,
            offset: self.start,
        }
    }

    /// Offset of its tag in the batch.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.start
    }
}

/// The fields of a message.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    #[inline]
    fn field(&mut self) -> Result<Field<'a>, Error> {
        let start = self.at;
        let tag = self.varint()?;
        let number = match tag >> 3 {
            number @ 1..=LARGEST_NUMBER => number as u32,
            _ => return Err(error(Fault::FieldNumber, start)),
        };
        let length_at = self.at;
        let mut value_at = length_at;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.fixed()?)),
            2 => {
                let length = self.varint()?;
                value_at = self.at;
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Fixed32(u32::from_le_bytes(self.fixed()?)),
            _ => return Err(error(Fault::WireType, start)),
        };
        Ok(Field {
            number,
            value,
            start,
            length_at,
            value_at,
            end: self.at,
        })
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let Some((taken, rest)) = self.rest.split_at_checked(length) else {
            return Err(error(Fault::Truncated, self.at));
        };
        self.rest = rest;
        self.at = self.at.wrapping_add(length);
        Ok(taken)
    }

    #[inline]
    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let at = self.at;
        let bytes = self.take(N)?;
        bytes.try_into().map_err(|_| error(Fault::Truncated, at))
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, Error> {
        if let Some((byte @ 0..0x80, rest)) = self.rest.split_first() {
            self.rest = rest;
            self.at = self.at.wrapping_add(1);
            return Ok(u64::from(*byte));
        }
        self.long_varint()
    }

    fn long_varint(&mut self) -> Result<u64, Error> {
        let start = self.at;
        let mut value = 0_u64;
        for shift in (0..64_u32).step_by(7) {
            let Some((byte, rest)) = self.rest.split_first() else {
                return Err(error(Fault::Truncated, start));
            };
            self.rest = rest;
            self.at = self.at.wrapping_add(1);
            // The tenth byte has room for one bit.
            if shift == 63 && *byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f).wrapping_shl(shift);
            if *byte < 0x80 {
                return Ok(value);
            }
        }
        Err(error(Fault::OverlongVarint, start))
    }
}

const fn error(fault: Fault, offset: usize) -> Error {
    Error { fault, offset }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<(u32, Value<'_>)>, Error> {
        let fields = Message::new(bytes).fields();
        fields
            .map(|field| field.map(|field| (field.number, field.value)))
            .collect()
    }

    #[test]
    fn fields_are_read_as_the_protobuf_documentation_writes_them() {
        assert_eq!(read(b"\x08\x96\x01"), Ok(vec![(1, Value::Varint(150))]));
        assert_eq!(
            read(b"\x12\x07testing\x85\x01\0\x01\0\0"),
            Ok(vec![
                (2, Value::Bytes(b"testing")),
                (16, Value::Fixed32(256))
            ])
        );
    }

    #[test]
    fn what_is_no_message_is_an_error_with_its_offset() {
        for (bytes, fault, offset) in [
            (&b"\x08\x01\x12\x05ab"[..], Fault::Truncated, 4),
            (
                b"\x08\x01\x12\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
                Fault::Truncated,
                12,
            ),
            (
                b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
                Fault::OverlongVarint,
                1,
            ),
            (
                b"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\0",
                Fault::OverlongVarint,
                1,
            ),
            (b"\x08\x80", Fault::Truncated, 1),
            (b"\x08\x01\0\0", Fault::FieldNumber, 2),
            (b"\x0b\x0c", Fault::WireType, 0),
            (b"\x0f", Fault::WireType, 0),
            (b"\x09\0\0\0", Fault::Truncated, 1),
        ] {
            assert_eq!(read(bytes), Err(error(fault, offset)), "{bytes:x?}");
        }
    }
}
