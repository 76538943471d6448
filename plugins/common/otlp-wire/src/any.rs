//! `KeyValue` and `AnyValue` (`opentelemetry/proto/common/v1/common.proto`): attributes, and the
//! bodies of log records.

use crate::editor::Editor;
use crate::reader::{Error, Fault, Field, Message, Value};
use crate::writer::{Writer, varint_length};

/// How deep lists and maps may be nested in each other.
pub const MAX_DEPTH: usize = 32;

/// The tag of an `AnyValue` that is text.
const TEXT: u8 = 1 << 3 | 2;
/// The tags of a `KeyValue`.
const KEY: u8 = 1 << 3 | 2;
const VALUE: u8 = 2 << 3 | 2;

/// A field of bytes as nearly all are written: its tag, its bytes, and what follows it.
#[inline(always)]
const fn part(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let Some((head, rest)) = bytes.split_first_chunk::<2>() else {
        return None;
    };
    let head = u16::from_le_bytes(*head) as usize;
    let (tag, length) = (head as u8, head >> 8);
    let (length, rest) = match (length, rest) {
        (0..0x80, _) => (length, rest),
        (_, [high @ 0..0x80, rest @ ..]) => (length & 0x7f | (*high as usize) << 7, rest),
        _ => return None,
    };
    match rest.split_at_checked(length) {
        Some((part, rest)) => Some((tag, part, rest)),
        None => None,
    }
}

/// A value, as `AnyValue` holds it.
#[derive(Clone, Copy, Debug)]
pub enum Any<'a> {
    /// None.
    Empty,
    /// UTF-8, as far as the sender kept to the protocol.
    Text(&'a [u8]),
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Double(f64),
    /// Bytes.
    Bytes(&'a [u8]),
    /// `ArrayValue`: `AnyValue`s as field 1.
    List(Message<'a>),
    /// `KeyValueList`: `KeyValue`s as field 1.
    Map(Message<'a>),
}

impl<'a> Any<'a> {
    /// Reads an `AnyValue`.
    ///
    /// # Errors
    /// When it is none, or has several values: no encoder writes such.
    #[inline]
    pub fn read(message: Message<'a>) -> Result<Self, Error> {
        match part(message.bytes()) {
            Some((TEXT, text, [])) => Ok(Self::Text(text)),
            _ => Self::read_any(message),
        }
    }

    fn read_any(message: Message<'a>) -> Result<Self, Error> {
        let mut any = Self::Empty;
        let mut is_set = false;
        for field in message.fields() {
            let field = field?;
            if field.number <= crate::schema::any::BYTES && std::mem::replace(&mut is_set, true) {
                return Err(field.repeated());
            }
            any = match (field.number, field.value()) {
                (1, Value::Bytes(text)) => Self::Text(text),
                (2, Value::Varint(value)) => Self::Bool(value != 0),
                (3, Value::Varint(value)) => Self::Int(value as i64),
                (4, Value::Fixed64(value)) => Self::Double(f64::from_bits(value)),
                (5, Value::Bytes(_)) => Self::List(field.message()?),
                (6, Value::Bytes(_)) => Self::Map(field.message()?),
                (7, Value::Bytes(bytes)) => Self::Bytes(bytes),
                (1..=7, _) => return Err(field.unexpected()),
                _ => any,
            };
        }
        Ok(any)
    }

    /// Its text, if it is one.
    #[must_use]
    pub fn text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => std::str::from_utf8(text).ok(),
            _ => None,
        }
    }
}

/// An attribute, where it stands.
#[derive(Clone, Copy, Debug)]
pub struct KeyValue<'a> {
    /// Its key.
    pub key: &'a [u8],
    /// Its `AnyValue`, if there is one.
    pub value: Option<Message<'a>>,
    /// Offset in the batch of the value's tag, of one that is written as nearly all are.
    value_tag_at: Option<usize>,
}

impl<'a> KeyValue<'a> {
    /// Reads one.
    ///
    /// # Errors
    /// When it is none.
    #[inline(always)]
    pub fn read(message: Message<'a>) -> Result<Self, Error> {
        let end = message.end();
        if let Some((first, one, rest)) = part(message.bytes())
            && let Some((second, other, [])) = part(rest)
        {
            let before = end.saturating_sub(rest.len());
            match (first, second) {
                (KEY, VALUE) => {
                    return Ok(Self {
                        key: one,
                        value: Some(Message::ending_at(other, end)),
                        value_tag_at: Some(before),
                    });
                }
                (VALUE, KEY) => {
                    return Ok(Self {
                        key: other,
                        value: Some(Message::ending_at(one, before)),
                        value_tag_at: Some(message.offset()),
                    });
                }
                _ => {}
            }
        }
        Self::read_any(message)
    }

    #[inline(never)]
    fn read_any(message: Message<'a>) -> Result<Self, Error> {
        let mut found = Self {
            key: b"",
            value: None,
            value_tag_at: None,
        };
        for field in message.fields() {
            let field = field?;
            match field.number {
                2 if found.value.is_some() => return Err(field.repeated()),
                1 => found.key = field.bytes()?,
                2 => found.value = Some(field.message()?),
                _ => {}
            }
        }
        Ok(found)
    }

    /// Whether its value may be a list or a map, or strange: it is not written like one text or number.
    #[must_use]
    pub fn may_nest(&self) -> bool {
        const BOOL: u8 = 2 << 3;
        const INT: u8 = 3 << 3;
        const DOUBLE: u8 = 4 << 3 | 1;
        let value = self.value.map_or(&[][..], Message::bytes);
        match value {
            [] | [BOOL, 0..0x80] | [DOUBLE, _, _, _, _, _, _, _, _] => false,
            [INT, number @ .., last] => *last >= 0x80 || number.iter().any(|byte| *byte < 0x80),
            _ => !matches!(part(value), Some((TEXT, _, []))),
        }
    }

    /// Its value.
    ///
    /// # Errors
    /// When that is none.
    pub fn any(&self) -> Result<Any<'a>, Error> {
        self.value.map_or(Ok(Any::Empty), Any::read)
    }
}

impl<'a> Editor<'a> {
    /// Gives the attribute that `field` is another `AnyValue`, which is written already. Returns whether
    /// it could: an attribute that is written strangely, or whose value is more than a text, is to be
    /// entered.
    #[inline]
    pub fn set_value(&mut self, field: &Field<'a>, attribute: &KeyValue<'a>, any: &[u8]) -> bool {
        let (Some(value), Some(tag_at)) = (attribute.value, attribute.value_tag_at) else {
            return false;
        };
        if !matches!(part(value.bytes()), Some((TEXT, _, []))) {
            return false;
        }
        let message = field.value_at()..field.end;
        self.rewrite(field, message, (tag_at..value.end(), VALUE), any);
        true
    }

    /// Makes the `AnyValue` that `field` is a text.
    ///
    /// # Errors
    /// When `field` is no message.
    pub fn set_any_text(&mut self, field: &Field<'a>, text: &str) -> Result<(), Error> {
        self.inside(field, |editor, any| {
            let mut set = false;
            for field in any.fields() {
                let field = field?;
                match field.number {
                    1..=7 if set => editor.remove(&field),
                    1..=7 => {
                        set = true;
                        editor.replace(&field, |new| new.text(1, text));
                    }
                    _ => {}
                }
            }
            if !set {
                editor.append(any, |new| new.text(1, text));
            }
            Ok(())
        })
    }

    /// Gives every text inside the `AnyValue` that `field` is to `change`, however deep, and bytes to
    /// nobody: they are taken out. `None` leaves a text as it is.
    ///
    /// # Errors
    /// When `field` is no `AnyValue`, or nested more than [`MAX_DEPTH`] deep.
    pub fn change_texts(
        &mut self,
        field: &Field<'a>,
        change: &mut dyn FnMut(&'a [u8]) -> Option<String>,
    ) -> Result<(), Error> {
        self.change_texts_at(field, change, 0)
    }

    fn change_texts_at(
        &mut self,
        field: &Field<'a>,
        change: &mut dyn FnMut(&'a [u8]) -> Option<String>,
        depth: usize,
    ) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(Error {
                fault: Fault::TooDeep,
                offset: field.offset(),
            });
        }
        let deeper = depth.saturating_add(1);
        self.inside(field, |editor, any| {
            for field in any.fields() {
                let field = field?;
                match (field.number, field.value()) {
                    (1, Value::Bytes(text)) => {
                        if let Some(text) = change(text) {
                            editor.replace(&field, |new| new.text(1, &text));
                        }
                    }
                    (5, _) => editor.inside(&field, |editor, list| {
                        list.fields().try_for_each(|item| match item? {
                            item if item.number == 1 => {
                                editor.change_texts_at(&item, change, deeper)
                            }
                            _ => Ok(()),
                        })
                    })?,
                    (6, _) => editor.inside(&field, |editor, map| {
                        map.fields().try_for_each(|entry| match entry? {
                            entry if entry.number == 1 => {
                                editor.change_texts_of(&entry, change, deeper)
                            }
                            _ => Ok(()),
                        })
                    })?,
                    (7, _) => editor.remove(&field),
                    _ => {}
                }
            }
            Ok(())
        })
    }

    /// The texts in the value of a `KeyValue`.
    fn change_texts_of(
        &mut self,
        field: &Field<'a>,
        change: &mut dyn FnMut(&'a [u8]) -> Option<String>,
        depth: usize,
    ) -> Result<(), Error> {
        self.inside(field, |editor, attribute| {
            attribute.fields().try_for_each(|field| match field? {
                field if field.number == 2 => editor.change_texts_at(&field, change, depth),
                _ => Ok(()),
            })
        })
    }
}

impl Writer<'_> {
    /// A `KeyValue` whose value is given as the bytes of an `AnyValue`.
    pub fn attribute(&mut self, field: u32, key: &str, any: &[u8]) {
        let parts = [key.len(), any.len()];
        let lengths = parts
            .iter()
            .map(|part| varint_length(*part).saturating_add(1));
        let length = lengths.chain(parts).fold(0, usize::saturating_add);
        self.begin(field, length);
        self.text(1, key);
        self.bytes(2, any);
    }

    /// A `KeyValue` whose value is a number with a fraction.
    pub fn double_attribute(&mut self, field: u32, key: &str, value: f64) {
        self.message(field, |attribute| {
            attribute.text(1, key);
            attribute.message(2, |any| any.double(4, value));
        });
    }

    /// A `KeyValue` whose value is a boolean.
    pub fn bool_attribute(&mut self, field: u32, key: &str, value: bool) {
        self.message(field, |attribute| {
            attribute.text(1, key);
            attribute.message(2, |any| any.uint(2, u64::from(value)));
        });
    }
}
