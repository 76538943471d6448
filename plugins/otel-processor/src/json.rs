//! The configuration's JSON for serde. No more of it than a configuration has: no numbers with a
//! fraction, whose printing alone would be a twentieth of the module; and an error knows its path.

use std::borrow::Cow;
use std::fmt::{self, Display, Write as _};
use std::marker::PhantomData;

use serde::de::{
    self, DeserializeSeed, Deserializer, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;

/// Objects and lists inside each other at most.
const MOST_LEVELS: usize = 32;

/// Reads a document.
///
/// # Errors
/// When it is no JSON, or not what is expected: the path, and what is wrong there.
pub(crate) fn read<'de, T: de::Deserialize<'de>>(text: &'de str) -> Result<T, Error> {
    let mut reader = Reader {
        text,
        at: 0,
        level: 0,
    };
    let value = T::deserialize(&mut reader)?;
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err(Error::new("trailing characters".to_owned())),
    }
}

/// What is wrong, and where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Error {
    /// `traces.scopes[0]`; empty at the top.
    path: String,
    message: String,
}

impl Error {
    #[inline(never)]
    fn new(message: String) -> Self {
        Self {
            path: String::new(),
            message,
        }
    }

    /// An error inside a member.
    #[inline(never)]
    fn of_member(mut self, key: &str) -> Self {
        let dot = match self.path.as_bytes() {
            [] | [b'[', ..] => "",
            _ => ".",
        };
        self.path = [key, dot, &self.path].concat();
        self
    }

    /// An error inside a list.
    #[inline(never)]
    fn of_item(mut self, number: usize) -> Self {
        let dot = match self.path.as_bytes() {
            [] | [b'[', ..] => "",
            _ => ".",
        };
        self.path = format!("[{number}]{dot}{}", self.path);
        self
    }
}

impl Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colon = if self.path.is_empty() { "" } else { ": " };
        write!(out, "{}{colon}{}", self.path, self.message)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    #[inline(never)]
    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        unknown("field", field, expected)
    }

    #[inline(never)]
    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        unknown("variant", variant, expected)
    }

    #[inline(never)]
    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("missing field `{field}`"))
    }

    #[inline(never)]
    fn duplicate_field(field: &'static str) -> Self {
        Self::new(format!("duplicate field `{field}`"))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        unexpected("type", found, expected)
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        unexpected("value", found, expected)
    }
}

fn unknown(what: &str, name: &str, expected: &[&str]) -> Error {
    let expected = one_of(expected);
    Error::new(format!("unknown {what} `{name}`, expected {expected}"))
}

fn one_of(names: &[&str]) -> String {
    format!("one of `{}`", names.join("`, `"))
}

#[inline(never)]
fn unexpected(what: &str, found: Unexpected<'_>, expected: &dyn Expected) -> Error {
    let mut message = format!("invalid {what}: ");
    let written = match found {
        Unexpected::Bool(value) => write!(message, "{value}"),
        Unexpected::Unsigned(value) => write!(message, "{value}"),
        Unexpected::Signed(value) => write!(message, "{value}"),
        Unexpected::Str(value) => write!(message, "{value:?}"),
        Unexpected::Map => write!(message, "an object"),
        Unexpected::Seq => write!(message, "a list"),
        _ => write!(message, "null"),
    };
    // Writing to a string does not fail.
    let _written = written.and_then(|()| write!(message, ", expected {expected}"));
    Error::new(message)
}

/// The rest of a document.
struct Reader<'de> {
    text: &'de str,
    at: usize,
    level: usize,
}

impl<'de> Reader<'de> {
    fn rest(&self) -> &'de str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// What comes behind blanks.
    #[inline(never)]
    fn peek(&mut self) -> Option<u8> {
        let rest = self.rest();
        let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r']);
        self.at = self.text.len().saturating_sub(trimmed.len());
        trimmed.bytes().next()
    }

    fn take(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        self.at = self.at.saturating_add(usize::from(found));
        found
    }

    #[inline(never)]
    fn expect(&mut self, wanted: u8) -> Result<(), Error> {
        match self.take(wanted) {
            true => Ok(()),
            false => Err(self.broken()),
        }
    }

    #[inline(never)]
    fn broken(&self) -> Error {
        Error::new(format!("no JSON at byte {}", self.at))
    }

    #[inline(never)]
    fn enter(&mut self) -> Result<(), Error> {
        self.level = self.level.saturating_add(1);
        self.at = self.at.saturating_add(1);
        match self.level > MOST_LEVELS {
            true => Err(Error::new("nested too deep".to_owned())),
            false => Ok(()),
        }
    }

    /// A string, behind its quote.
    #[inline(never)]
    fn string(&mut self) -> Result<Cow<'de, str>, Error> {
        self.expect(b'"')?;
        let rest = self.rest();
        let mut escaped = false;
        let end = rest.find(|next: char| {
            let closes = next == '"' && !escaped;
            escaped = next == '\\' && !escaped;
            closes || next < ' '
        });
        let (inside, behind) = end
            .and_then(|end| rest.split_at_checked(end))
            .ok_or_else(|| self.broken())?;
        if !behind.starts_with('"') {
            return Err(self.broken());
        }
        self.at = self.at.saturating_add(inside.len()).saturating_add(1);
        if !inside.contains('\\') {
            return Ok(Cow::Borrowed(inside));
        }
        let mut out = Vec::with_capacity(inside.len());
        pg_log::json::unescape(inside.as_bytes(), &mut out);
        let text = String::from_utf8(out).map_err(|_| self.broken())?;
        Ok(Cow::Owned(text))
    }

    /// A word or a number.
    #[inline(never)]
    fn word(&mut self) -> &'de str {
        let rest = self.rest();
        let ends = |next: char| !(next.is_ascii_alphanumeric() || "+-.".contains(next));
        let word = rest.get(..rest.find(ends).unwrap_or(rest.len()));
        let word = word.unwrap_or_default();
        self.at = self.at.saturating_add(word.len());
        word
    }
}

/// A value, or the beginning of one that has others inside.
enum Token<'de> {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Text(Cow<'de, str>),
    Object,
    List,
}

impl Token<'_> {
    /// That it is not what is expected.
    #[inline(never)]
    fn unexpected(&self, expected: &dyn Expected) -> Error {
        let found = match self {
            Self::Null => Unexpected::Unit,
            Self::Bool(value) => Unexpected::Bool(*value),
            Self::Unsigned(value) => Unexpected::Unsigned(*value),
            Self::Signed(value) => Unexpected::Signed(*value),
            Self::Text(value) => Unexpected::Str(value),
            Self::Object => Unexpected::Map,
            Self::List => Unexpected::Seq,
        };
        unexpected("type", found, expected)
    }
}

impl<'de> Reader<'de> {
    #[inline(never)]
    fn token(&mut self) -> Result<Token<'de>, Error> {
        Ok(match self.peek() {
            Some(b'"') => Token::Text(self.string()?),
            Some(b'{') => Token::Object,
            Some(b'[') => Token::List,
            _ => match self.word() {
                "true" => Token::Bool(true),
                "false" => Token::Bool(false),
                "null" => Token::Null,
                word => match (word.parse(), word.parse()) {
                    (Ok(number), _) => Token::Unsigned(number),
                    (_, Ok(number)) => Token::Signed(number),
                    _ if word.contains(|digit: char| digit.is_ascii_digit()) => {
                        return Err(Error::new(format!("`{word}` is no whole number")));
                    }
                    _ => return Err(self.broken()),
                },
            },
        })
    }

    #[inline(never)]
    fn leave(&mut self, end: u8) -> Result<(), Error> {
        self.level = self.level.saturating_sub(1);
        self.expect(end)
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        // Whatever a configuration has is asked for by its type.
        Err(self.token()?.unexpected(&visitor))
    }

    #[inline(never)]
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.token()? {
            Token::Bool(value) => visitor.visit_bool(value),
            other => Err(other.unexpected(&visitor)),
        }
    }

    #[inline(never)]
    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.token()? {
            Token::Unsigned(value) => visitor.visit_u64(value),
            Token::Signed(value) => visitor.visit_i64(value),
            other => Err(other.unexpected(&"a whole number")),
        }
    }

    #[inline(never)]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.token()? {
            Token::Text(text) => visitor.visit_string(text.into_owned()),
            other => Err(other.unexpected(&visitor)),
        }
    }

    #[inline(never)]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.token()? {
            Token::List => {
                self.enter()?;
                let value = visitor.visit_seq(Inside::of(self))?;
                self.leave(b']').map(|()| value)
            }
            other => Err(other.unexpected(&"a list")),
        }
    }

    #[inline(never)]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.token()? {
            Token::Object => {
                self.enter()?;
                let value = visitor.visit_map(Inside::of(self))?;
                self.leave(b'}').map(|()| value)
            }
            other => Err(other.unexpected(&"an object")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }

    #[inline(never)]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.peek() {
            Some(b'n') => match self.token()? {
                Token::Null => visitor.visit_none(),
                other => Err(other.unexpected(&visitor)),
            },
            _ => visitor.visit_some(self),
        }
    }

    /// A variant is a name and nothing else.
    #[inline(never)]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.token()? {
            Token::Text(name) => visitor.visit_enum(name.into_deserializer()),
            other => Err(other.unexpected(&one_of(variants).as_str())),
        }
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u64 u128 f32 f64 char str bytes byte_buf unit unit_struct
        newtype_struct tuple tuple_struct identifier ignored_any
    }
}

/// The inside of an object or a list.
struct Inside<'r, 'de> {
    reader: &'r mut Reader<'de>,
    /// The member or item that comes next.
    number: usize,
    key: Cow<'de, str>,
}

impl<'r, 'de> Inside<'r, 'de> {
    fn of(reader: &'r mut Reader<'de>) -> Self {
        Self {
            reader,
            number: 0,
            key: Cow::Borrowed(""),
        }
    }

    /// Whether there is another one in front of `end`.
    #[inline(never)]
    fn has_next(&mut self, end: u8) -> Result<bool, Error> {
        if self.reader.peek() == Some(end) {
            return Ok(false);
        }
        if self.number > 0 {
            self.reader.expect(b',')?;
        }
        self.number = self.number.saturating_add(1);
        Ok(true)
    }
}

impl<'de> Inside<'_, 'de> {
    /// Reads the key of the next member, if there is one.
    #[inline(never)]
    fn has_key(&mut self) -> Result<bool, Error> {
        if !self.has_next(b'}')? {
            return Ok(false);
        }
        self.reader.peek();
        self.key = self.reader.string()?;
        self.reader.expect(b':')?;
        Ok(true)
    }
}

impl<'de> MapAccess<'de> for Inside<'_, 'de> {
    type Error = Error;

    #[inline(never)]
    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        if !self.has_key()? {
            return Ok(None);
        }
        let key: de::value::CowStrDeserializer<'_, Error> = self.key.clone().into_deserializer();
        seed.deserialize(key).map(Some)
    }

    // Once for each type, not for each member.
    #[inline(never)]
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let value = seed.deserialize(&mut *self.reader);
        value.map_err(|error| error.of_member(&self.key))
    }
}

impl<'de> SeqAccess<'de> for Inside<'_, 'de> {
    type Error = Error;

    #[inline(never)]
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        if !self.has_next(b']')? {
            return Ok(None);
        }
        let item = seed.deserialize(&mut *self.reader).map(Some);
        item.map_err(|error| error.of_item(self.number.saturating_sub(1)))
    }
}

/// A struct whose members are all optional. What serde derives for such holds each one twice and would be a
/// fiftieth of the module.
pub(crate) trait Options: Default {
    const NAMES: &'static [&'static str];

    /// Reads the member whose name is in this place.
    fn read<'de, A: MapAccess<'de>>(&mut self, place: u32, map: &mut A) -> Result<(), A::Error>;
}

/// Once for each type, not for each member.
#[inline(never)]
pub(crate) fn set<'de, T: de::Deserialize<'de>, A: MapAccess<'de>>(
    member: &mut T,
    map: &mut A,
) -> Result<(), A::Error> {
    *member = map.next_value()?;
    Ok(())
}

/// What is given, in the place of the defaults.
pub(crate) struct Given<T>(pub(crate) PhantomData<T>);

impl<'de, T: Options> Visitor<'de> for Given<T> {
    type Value = T;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut options = T::default();
        let mut seen = 0_u32;
        while let Some(name) = map.next_key::<String>()? {
            let mut known = (0..).zip(T::NAMES);
            let Some((place, known)) = known.find(|(_, known)| **known == name) else {
                return Err(de::Error::unknown_field(&name, T::NAMES));
            };
            let bit = 1_u32.wrapping_shl(place);
            if seen & bit != 0 {
                return Err(de::Error::duplicate_field(known));
            }
            seen |= bit;
            options.read(place, &mut map)?;
        }
        Ok(options)
    }
}

/// Has a struct read from JSON, each member of which may be missing.
macro_rules! options {
    ($name:ident { $($member:ident),+ $(,)? }) => {
        impl $crate::json::Options for $name {
            const NAMES: &'static [&'static str] = &[$(stringify!($member)),+];

            fn read<'de, A: serde::de::MapAccess<'de>>(
                &mut self,
                place: u32,
                map: &mut A,
            ) -> Result<(), A::Error> {
                let mut places = 0..;
                $(if places.next() == Some(place) {
                    return $crate::json::set(&mut self.$member, map);
                })+
                Ok(())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
                reader.deserialize_map($crate::json::Given(std::marker::PhantomData))
            }
        }
    };
}
pub(crate) use options;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, Eq, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Document {
        #[serde(default)]
        list: Vec<Option<u32>>,
        #[serde(default)]
        map: BTreeMap<String, Vec<String>>,
        #[serde(default)]
        flag: bool,
    }

    #[test]
    fn what_is_read_is_what_serde_json_reads() {
        for text in [
            "{}",
            r#" { "list" : [ 1 , null, 42 ] , "flag":true } "#,
            r#"{"map":{"a":["x\n\"y\"","\u00e9\ud83d\ude00"],"":[]}}"#,
        ] {
            let expected: Document = serde_json::from_str(text).unwrap();
            assert_eq!(read::<Document>(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn an_error_says_where_and_what() {
        for (text, expected) in [
            (
                r#"{"list":[1,"x"]}"#,
                "list[1]: invalid type: \"x\", expected a whole number",
            ),
            (
                r#"{"list":[1,[2]]}"#,
                "list[1]: invalid type: a list, expected a whole number",
            ),
            (
                r#"{"list":[-1]}"#,
                "list[0]: invalid value: -1, expected u32",
            ),
            (r#"{"list":[1.5]}"#, "list[0]: `1.5` is no whole number"),
            (
                r#"{"map":{"a.b":[true]}}"#,
                "map.a.b[0]: invalid type: true, expected a string",
            ),
            (
                r#"{"flag":null}"#,
                "flag: invalid type: null, expected a boolean",
            ),
            (r#"{"flags":1}"#, "unknown field `flags`"),
            (r#"{"flag":true"#, "no JSON at byte 12"),
            (r#"{"flag":true,}"#, "no JSON"),
            (r#"{"flag":tru}"#, "flag: no JSON"),
            (r#"{"map":{"a"#, "map: no JSON"),
            ("{} x", "trailing characters"),
            ("", "no JSON"),
        ] {
            let error = read::<Document>(text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
        let deep = format!("{{\"list\":{}", "[".repeat(100));
        assert!(read::<Document>(&deep).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_as_serde_json_does(
            text in "[\\[\\]{}:,\"\\\\0-9a-z .-]{0,40}|\\{(\"(list|map|flag)\":(\\[1?,?2?\\]|\\{\\}|true|null),?){0,3}\\}"
        ) {
            let expected = serde_json::from_str::<Document>(&text);
            prop_assert_eq!(read::<Document>(&text).ok(), expected.ok());
        }
    }
}
