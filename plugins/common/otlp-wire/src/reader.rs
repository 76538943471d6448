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
    /// An attribute or a value has more than one value, of which readers of protobuf see the last one.
    Repeated,
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
            Fault::Repeated => "there is more than one value",
        };
        write!(out, "{what} (at byte {})", self.offset)
    }
}

impl std::error::Error for Error {}

/// A message inside a batch.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
    /// Offset in the batch of the first byte behind it.
    end: usize,
}

impl<'a> Message<'a> {
    /// The whole batch.
    #[must_use]
    pub const fn new(batch: &'a [u8]) -> Self {
        Self {
            bytes: batch,
            end: batch.len(),
        }
    }

    /// Bytes that stand in the batch before `end`.
    #[inline]
    pub(crate) const fn ending_at(bytes: &'a [u8], end: usize) -> Self {
        Self { bytes, end }
    }

    /// Its fields, in their order. Ends behind the first error.
    #[inline]
    #[must_use]
    pub const fn fields(self) -> Fields<'a> {
        Fields {
            rest: self.bytes,
            end: self.end,
        }
    }

    /// The same, for loops that are run for each item of a batch: code in place of calls.
    #[inline(always)]
    #[must_use]
    pub const fn fields_in_place(self) -> InPlace<'a> {
        InPlace(self.fields())
    }

    /// Its fields with this number. Ends behind the first error.
    pub fn all(self, number: u32) -> impl Iterator<Item = Result<Field<'a>, Error>> {
        self.fields()
            .filter(move |field| field.is_err() || field.is_ok_and(|field| field.number == number))
    }

    /// Its bytes.
    #[inline]
    #[must_use]
    pub const fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Offset in the batch.
    #[must_use]
    pub const fn offset(self) -> usize {
        self.end.saturating_sub(self.bytes.len())
    }

    /// Offset in the batch of the first byte behind it.
    #[inline]
    #[must_use]
    pub const fn end(self) -> usize {
        self.end
    }

    /// The first field with this number.
    ///
    /// # Errors
    /// When something before it is no field.
    #[inline(never)]
    pub fn find(self, number: u32) -> Result<Option<Field<'a>>, Error> {
        for field in self.fields_in_place() {
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

/// How a value is written: the number is that of the protocol.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wire {
    Varint = 0,
    Fixed64 = 1,
    Bytes = 2,
    Fixed32 = 5,
}

/// One field of a message.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// Its number.
    pub number: u32,
    pub(crate) wire: Wire,
    /// Its bytes, or those that its number is written in.
    payload: &'a [u8],
    /// Offset of its tag in the batch.
    pub(crate) start: usize,
    /// Offset of its value, or of the length before that.
    pub(crate) length_at: usize,
    /// Offset behind it.
    pub(crate) end: usize,
}

impl<'a> Field<'a> {
    /// Its value.
    #[must_use]
    pub fn value(&self) -> Value<'a> {
        let number = || {
            let mut bytes = [0; 8];
            let written = bytes.iter_mut().zip(self.payload);
            written.for_each(|(byte, written)| *byte = *written);
            u64::from_le_bytes(bytes)
        };
        match self.wire {
            Wire::Varint => Value::Varint(number_of(self.payload)),
            Wire::Fixed64 => Value::Fixed64(number()),
            Wire::Fixed32 => Value::Fixed32(number() as u32),
            Wire::Bytes => Value::Bytes(self.payload),
        }
    }

    /// Its bytes.
    ///
    /// # Errors
    /// When it is a number.
    #[inline]
    pub const fn bytes(&self) -> Result<&'a [u8], Error> {
        match self.wire {
            Wire::Bytes => Ok(self.payload),
            _ => Err(self.unexpected()),
        }
    }

    /// The message it is.
    ///
    /// # Errors
    /// When it is a number.
    #[inline]
    pub const fn message(&self) -> Result<Message<'a>, Error> {
        match self.wire {
            Wire::Bytes => Ok(Message::ending_at(self.payload, self.end)),
            _ => Err(self.unexpected()),
        }
    }

    /// The number it is.
    ///
    /// # Errors
    /// When it is none.
    pub fn number_value(&self) -> Result<u64, Error> {
        match self.value() {
            Value::Varint(value) | Value::Fixed64(value) => Ok(value),
            Value::Fixed32(value) => Ok(u64::from(value)),
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

    /// That it was there already.
    pub(crate) const fn repeated(&self) -> Error {
        Error {
            fault: Fault::Repeated,
            offset: self.start,
        }
    }

    /// Offset of its tag in the batch.
    #[inline]
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.start
    }

    /// Offset of its first byte in the batch, behind its length.
    pub(crate) const fn value_at(&self) -> usize {
        self.end.saturating_sub(self.payload.len())
    }
}

/// The fields of a message.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
    end: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read()
    }
}

/// The fields of a message, read where they are asked for.
#[derive(Clone, Debug)]
pub struct InPlace<'a>(Fields<'a>);

impl<'a> Iterator for InPlace<'a> {
    type Item = Result<Field<'a>, Error>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        self.0.read()
    }
}

impl<'a> Fields<'a> {
    #[inline(always)]
    fn read(&mut self) -> Option<Result<Field<'a>, Error>> {
        if self.rest.is_empty() {
            return None;
        }
        // What is read from is handed over by value, so that a loop keeps it in registers.
        match field(self.rest, self.end) {
            Ok((field, rest)) => {
                self.rest = rest;
                Some(Ok(field))
            }
            Err(error) => {
                self.rest = &[];
                Some(Err(error))
            }
        }
    }
}

/// Offset in the batch of bytes that stand at the end of a message.
#[inline(always)]
const fn at(rest: &[u8], end: usize) -> usize {
    end.wrapping_sub(rest.len())
}

/// The field that stands in front of others, and these; `end` is the offset behind them.
#[inline(always)]
fn field(bytes: &[u8], end: usize) -> Result<(Field<'_>, &[u8]), Error> {
    // Most fields are bytes, and short: tag and length are read at once.
    if let Some((head, rest)) = bytes.split_first_chunk::<2>() {
        let head = usize::from(u16::from_le_bytes(*head));
        let (tag, length) = (head & 0xff, head >> 8);
        if head & 0x8087 == Wire::Bytes as usize
            && tag >> 3 != 0
            && let Some((payload, behind)) = rest.split_at_checked(length)
        {
            let start = at(bytes, end);
            let field = Field {
                number: (tag >> 3) as u32,
                wire: Wire::Bytes,
                payload,
                start,
                length_at: start.wrapping_add(1),
                end: at(behind, end),
            };
            return Ok((field, behind));
        }
    }
    any_field(bytes, end)
}

#[inline(always)]
fn any_field(bytes: &[u8], end: usize) -> Result<(Field<'_>, &[u8]), Error> {
    let (tag, rest) = match bytes {
        [tag @ 0..0x80, rest @ ..] => (u64::from(*tag), rest),
        _ => varint(bytes, end)?,
    };
    let number = match tag >> 3 {
        number @ 1..=LARGEST_NUMBER => number as u32,
        _ => return Err(error(Fault::FieldNumber, at(bytes, end))),
    };
    let length_at = at(rest, end);
    let (wire, length, rest) = match tag & 7 {
        2 => {
            let (length, rest) = length(rest, end)?;
            (Wire::Bytes, length, rest)
        }
        0 => (Wire::Varint, varint_length(rest, end)?, rest),
        1 => (Wire::Fixed64, 8, rest),
        5 => (Wire::Fixed32, 4, rest),
        _ => return Err(error(Fault::WireType, at(bytes, end))),
    };
    let Some((payload, behind)) = rest.split_at_checked(length) else {
        return Err(error(Fault::Truncated, at(rest, end)));
    };
    let field = Field {
        number,
        wire,
        payload,
        start: at(bytes, end),
        length_at,
        end: at(behind, end),
    };
    Ok((field, behind))
}

#[inline(always)]
fn length(rest: &[u8], end: usize) -> Result<(usize, &[u8]), Error> {
    match rest {
        [length @ 0..0x80, behind @ ..] => Ok((usize::from(*length), behind)),
        [low, high @ 0..0x80, behind @ ..] => {
            let length = usize::from(*low & 0x7f) | usize::from(*high) << 7;
            Ok((length, behind))
        }
        _ => {
            let (length, behind) = varint(rest, end)?;
            Ok((usize::try_from(length).unwrap_or(usize::MAX), behind))
        }
    }
}

/// How many bytes a number takes.
#[inline(always)]
fn varint_length(rest: &[u8], end: usize) -> Result<usize, Error> {
    match rest {
        [0..0x80, ..] => Ok(1),
        _ => {
            let (_, behind) = varint(rest, end)?;
            Ok(rest.len().saturating_sub(behind.len()))
        }
    }
}

/// Reads a number of any length.
#[inline(never)]
fn varint(rest: &[u8], end: usize) -> Result<(u64, &[u8]), Error> {
    let fault = |fault| error(fault, at(rest, end));
    let last = rest.iter().take(10).position(|byte| *byte < 0x80);
    let Some(last) = last else {
        return Err(fault(match rest.len() {
            0..10 => Fault::Truncated,
            _ => Fault::OverlongVarint,
        }));
    };
    let behind = last.saturating_add(1);
    let (number, behind) = rest.split_at_checked(behind).unwrap_or((rest, &[]));
    // The tenth byte has room for one bit.
    if last == 9 && number.last().is_some_and(|byte| *byte > 1) {
        return Err(fault(Fault::OverlongVarint));
    }
    Ok((number_of(number), behind))
}

/// The number that these bytes are: seven bits each, the lowest first.
fn number_of(bytes: &[u8]) -> u64 {
    let bytes = bytes.iter().rev();
    bytes.fold(0, |number, byte| number << 7 | u64::from(byte & 0x7f))
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
            .map(|field| field.map(|field| (field.number, field.value())))
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
