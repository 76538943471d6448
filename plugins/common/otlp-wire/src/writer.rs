//! Writes protobuf messages, field by field.

use crate::reader::{Field, Value};

/// `LEN`: bytes, text and messages.
const LEN: u64 = 2;
/// `VARINT`: whole numbers, enums, booleans.
const VARINT: u64 = 0;
/// `I64`: eight bytes, little endian.
const I64: u64 = 1;
/// `I32`: four bytes, little endian.
const I32: u64 = 5;

/// Appends the fields of one message to `out`. A field is written even if it is zero or empty: the
/// caller leaves out what needs not be there.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    /// For a message whose bytes are all that `out` gets.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    /// A number that is written in as few bytes as it takes: uint32, uint64, int64, bool, enum.
    pub fn uint(&mut self, field: u32, value: u64) {
        self.tag(field, VARINT);
        put_varint(self.out, value);
    }

    /// `fixed64`, as OTLP has times.
    pub fn fixed64(&mut self, field: u32, value: u64) {
        self.tag(field, I64);
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    /// `double`.
    pub fn double(&mut self, field: u32, value: f64) {
        self.fixed64(field, value.to_bits());
    }

    /// `sint32`: small numbers are short, whatever their sign.
    pub fn sint32(&mut self, field: u32, value: i32) {
        let zigzag = value.wrapping_shl(1) ^ value.wrapping_shr(31);
        self.uint(field, u64::from(zigzag.cast_unsigned()));
    }

    /// `repeated uint64`, packed.
    pub fn packed(&mut self, field: u32, values: impl IntoIterator<Item = u64>) {
        self.message(field, |list| {
            for value in values {
                put_varint(list.out, value);
            }
        });
    }

    /// `fixed32`, as OTLP has flags.
    pub fn fixed32(&mut self, field: u32, value: u32) {
        self.tag(field, I32);
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    /// `bytes`, or an embedded message that is written already.
    #[inline]
    pub fn bytes(&mut self, field: u32, value: &[u8]) {
        self.begin(field, value.len());
        self.out.extend_from_slice(value);
    }

    /// The tag and the length of what so many bytes are to follow.
    #[inline]
    pub(crate) fn begin(&mut self, field: u32, length: usize) {
        match (field, length) {
            (1..16, 0..0x80) => {
                let tag = (field << 3) as u8 | LEN as u8;
                self.out.extend_from_slice(&[tag, length as u8]);
            }
            _ => {
                self.tag(field, LEN);
                put_varint(self.out, length as u64);
            }
        }
    }

    /// `string`.
    pub fn text(&mut self, field: u32, value: &str) {
        self.bytes(field, value.as_bytes());
    }

    /// An embedded message.
    pub fn message(&mut self, field: u32, fill: impl FnOnce(&mut Writer<'_>)) {
        self.tag(field, LEN);
        // The length stands in front, and is known only behind: most messages are short enough for it
        // to have one byte.
        let place = self.out.len();
        self.out.push(0);
        fill(&mut Writer { out: self.out });
        set_length(self.out, place, 1);
    }

    /// Fields that are written already.
    pub fn fields(&mut self, written: &[u8]) {
        self.out.extend_from_slice(written);
    }

    /// A field as it was read.
    pub fn field(&mut self, field: &Field<'_>) {
        match field.value() {
            Value::Varint(value) => self.uint(field.number, value),
            Value::Fixed64(value) => self.fixed64(field.number, value),
            Value::Fixed32(value) => self.fixed32(field.number, value),
            Value::Bytes(value) => self.bytes(field.number, value),
        }
    }

    /// A `KeyValue` whose value is text.
    #[inline]
    pub fn text_attribute(&mut self, field: u32, key: &str, value: &str) {
        self.utf8_attribute(field, key, value.as_bytes());
    }

    /// A `KeyValue` whose value is text, the UTF-8 of which the caller answers for.
    pub fn utf8_attribute(&mut self, field: u32, key: &str, value: &[u8]) {
        const SHORT: usize = 0x80;
        const BYTES: u8 = 1 << 3 | LEN as u8;
        const VALUE: u8 = 2 << 3 | LEN as u8;
        let any = value.len().saturating_add(2);
        let length = any.saturating_add(key.len()).saturating_add(4);
        if length < SHORT && field < 16 {
            // All lengths have one byte.
            let tag = (field << 3) as u8 | LEN as u8;
            let head = [tag, length as u8, BYTES, key.len() as u8];
            self.out.extend_from_slice(&head);
            self.out.extend_from_slice(key.as_bytes());
            let head = [VALUE, any as u8, BYTES, value.len() as u8];
            self.out.extend_from_slice(&head);
            self.out.extend_from_slice(value);
            return;
        }
        let any = value.len().saturating_add(varint_length(value.len()));
        let any = any.saturating_add(1);
        let lengths = varint_length(key.len()).saturating_add(varint_length(any));
        let length = lengths.saturating_add(2);
        let length = length.saturating_add(key.len()).saturating_add(any);
        self.begin(field, length);
        self.text(1, key);
        self.begin(2, any);
        self.bytes(1, value);
    }

    /// A `KeyValue` whose value is a whole number.
    pub fn int_attribute(&mut self, field: u32, key: &str, value: i64) {
        self.message(field, |attribute| {
            attribute.text(1, key);
            attribute.message(2, |any| any.uint(3, value as u64));
        });
    }

    #[inline]
    fn tag(&mut self, field: u32, kind: u64) {
        put_varint(self.out, u64::from(field) << 3 | kind);
    }
}

/// Writes the length of all that stands behind the `room` bytes at `place`, into them; moves what stands
/// behind them where it takes more or less.
#[inline]
pub(crate) fn set_length(out: &mut Vec<u8>, place: usize, room: usize) {
    let start = place.saturating_add(room);
    let length = out.len().saturating_sub(start);
    match (out.get_mut(place..start), length) {
        (Some([short]), 0..0x80) => *short = length as u8,
        (Some([low, high]), 0x80..0x4000) => {
            *low = length as u8 | 0x80;
            *high = (length >> 7) as u8;
        }
        _ => move_for_length(out, place, start, length),
    }
}

#[inline(never)]
fn move_for_length(out: &mut Vec<u8>, place: usize, start: usize, length: usize) {
    let mut bytes = [0; 10];
    let bytes = varint(&mut bytes, length as u64);
    match out.get_mut(place..start) {
        Some(place) if place.len() == bytes.len() => place.copy_from_slice(bytes),
        _ => drop(out.splice(place..start, bytes.iter().copied())),
    }
}

#[inline(always)]
pub(crate) fn put_varint(out: &mut Vec<u8>, value: u64) {
    match value {
        0..0x80 => out.push(value as u8),
        0x80..0x4000 => out.extend_from_slice(&[value as u8 | 0x80, (value >> 7) as u8]),
        _ => put_long_varint(out, value),
    }
}

#[inline(never)]
fn put_long_varint(out: &mut Vec<u8>, value: u64) {
    let mut bytes = [0; 10];
    out.extend_from_slice(varint(&mut bytes, value));
}

/// How many bytes a length takes.
pub(crate) const fn varint_length(length: usize) -> usize {
    let bits = usize::BITS.saturating_sub(length.leading_zeros());
    match bits {
        0..=7 => 1,
        8..=14 => 2,
        _ => bits.div_ceil(7) as usize,
    }
}

/// The bytes of a number: seven bits each, the lowest first, the top bit set in all but the last.
fn varint(bytes: &mut [u8; 10], mut value: u64) -> &[u8] {
    let mut length = 0;
    for byte in bytes.iter_mut() {
        length = usize::saturating_add(length, 1);
        *byte = value as u8 & 0x7f;
        value >>= 7;
        if value == 0 {
            break;
        }
        *byte |= 0x80;
    }
    bytes.get(..length).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(fill: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
        let mut out = Vec::new();
        fill(&mut Writer::new(&mut out));
        out
    }

    #[test]
    fn fields_are_the_bytes_of_the_protobuf_documentation() {
        assert_eq!(written(|w| w.uint(1, 150)), b"\x08\x96\x01");
        assert_eq!(written(|w| w.text(2, "testing")), b"\x12\x07testing");
        assert_eq!(
            written(|w| w.message(3, |w| w.uint(1, 150))),
            b"\x1a\x03\x08\x96\x01"
        );
        assert_eq!(written(|w| w.fixed64(1, 1)), b"\x09\x01\0\0\0\0\0\0\0");
        assert_eq!(written(|w| w.fixed32(16, 256)), b"\x85\x01\0\x01\0\0");
        assert_eq!(
            written(|w| w.packed(4, [3, 270, 86942])),
            b"\x22\x06\x03\x8e\x02\x9e\xa7\x05"
        );
        assert_eq!(written(|w| w.double(1, 1.0)), b"\x09\0\0\0\0\0\0\xf0\x3f");
        for (value, byte) in [(0, 0), (-1, 1), (1, 2), (-2, 3)] {
            assert_eq!(written(|w| w.sint32(1, value)), [8, byte]);
        }
        assert_eq!(
            written(|w| w.uint(1, u64::MAX)),
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
        );
    }

    #[test]
    fn a_long_message_has_a_long_length() {
        let bytes = written(|w| w.message(1, |w| w.bytes(1, &[7; 300])));
        assert_eq!(bytes[..6], [0x0a, 0xaf, 0x02, 0x0a, 0xac, 0x02]);
        assert_eq!(bytes.len(), 306);
    }

    #[test]
    fn attributes_are_key_values() {
        let bytes = written(|w| w.text_attribute(9, "k", "v"));
        assert_eq!(bytes, b"\x4a\x08\x0a\x01k\x12\x03\x0a\x01v");
        let bytes = written(|w| w.int_attribute(9, "k", 5));
        assert_eq!(bytes, b"\x4a\x07\x0a\x01k\x12\x02\x18\x05");
    }
}
