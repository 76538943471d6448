//! From JSON to the document, field by field.
//!
//! Serde's derived readers, wrapped so that an error can name its path, are an eighth of the module
//! for a document of this size. So serde reads JSON into a [`Json`], and what is here reads the
//! document from that: small, and strict, since a field that stands twice would hide a rule.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// A JSON value, with the fields of objects in the order of the text.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A number that is not negative and has no fraction.
    Number(u64),
    /// Any other number.
    OtherNumber,
    /// A string.
    Text(String),
    /// `[...]`
    List(Vec<Self>),
    /// `{...}`
    Object(Vec<(String, Self)>),
}

impl Json {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::OtherNumber => "a negative or fractional number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Json, E> {
        Ok(Json::OtherNumber)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
        Ok(Json::OtherNumber)
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Json, A::Error> {
        let mut object: Vec<(String, Json)> = Vec::new();
        while let Some((name, value)) = fields.next_entry::<String, Json>()? {
            if object.iter().any(|(known, _)| *known == name) {
                return Err(A::Error::custom(format_args!(
                    "`{name}` stands there twice"
                )));
            }
            object.push((name, value));
        }
        Ok(Json::Object(object))
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

/// Something that can be read from JSON. An error begins with the path below it: `.user[0]: ...`.
pub trait Read: Sized {
    /// What stands there instead of it if the field is left out; `None` if it must be given.
    fn absent() -> Option<Self> {
        None
    }

    /// Reads it.
    ///
    /// # Errors
    /// Where it is wrong, and what was expected.
    fn read(json: Json) -> Result<Self, String>;
}

fn expected<T>(what: &str, found: &Json) -> Result<T, String> {
    Err(format!(": expected {what}, found {}", found.kind()))
}

impl Read for String {
    fn read(json: Json) -> Result<Self, String> {
        match json {
            Json::Text(text) => Ok(text),
            other => expected("a string", &other),
        }
    }
}

impl Read for bool {
    fn read(json: Json) -> Result<Self, String> {
        match json {
            Json::Bool(value) => Ok(value),
            other => expected("true or false", &other),
        }
    }
}

impl Read for u64 {
    fn read(json: Json) -> Result<Self, String> {
        match json {
            Json::Number(value) => Ok(value),
            other => expected("a number from 0 on", &other),
        }
    }
}

impl Read for u32 {
    fn read(json: Json) -> Result<Self, String> {
        let value = u64::read(json)?;
        Self::try_from(value)
            .map_err(|_| format!(": expected at most {}, found {value}", Self::MAX))
    }
}

impl<T: Read> Read for Option<T> {
    fn absent() -> Option<Self> {
        Some(None)
    }

    fn read(json: Json) -> Result<Self, String> {
        match json {
            Json::Null => Ok(None),
            json => T::read(json).map(Some),
        }
    }
}

impl<T: Read> Read for Vec<T> {
    fn absent() -> Option<Self> {
        Some(Self::new())
    }

    fn read(json: Json) -> Result<Self, String> {
        let Json::List(items) = json else {
            return expected("a list", &json);
        };
        let item = |(index, item)| T::read(item).map_err(|error| format!("[{index}]{error}"));
        items.into_iter().enumerate().map(item).collect()
    }
}

/// A list that says something: it has an entry, or is left out. One that was made empty by mistake, as by
/// a template, would match everything.
#[derive(Clone, Debug)]
#[cfg_attr(
    feature = "schema",
    derive(serde::Deserialize, schemars::JsonSchema),
    serde(transparent),
    schemars(inline)
)]
pub struct Entries<T>(#[cfg_attr(feature = "schema", schemars(length(min = 1)))] Vec<T>);

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Deref for Entries<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Read> Read for Entries<T> {
    fn absent() -> Option<Self> {
        Some(Self::default())
    }

    fn read(json: Json) -> Result<Self, String> {
        match Vec::read(json)? {
            entries if entries.is_empty() => {
                Err(": expected at least one entry; left out, it matches everything".to_owned())
            }
            entries => Ok(Self(entries)),
        }
    }
}

impl Read for BTreeMap<String, String> {
    fn absent() -> Option<Self> {
        Some(Self::new())
    }

    fn read(json: Json) -> Result<Self, String> {
        let fields = Fields::of(json)?;
        let field = |(name, json)| match String::read(json) {
            Ok(value) => Ok((name, value)),
            Err(error) => Err(format!(".{name}{error}")),
        };
        fields.0.into_iter().map(field).collect()
    }
}

/// The fields of an object that have not been read.
pub struct Fields(Vec<(String, Json)>);

impl Fields {
    /// # Errors
    /// It is no object.
    pub fn of(json: Json) -> Result<Self, String> {
        match json {
            Json::Object(fields) => Ok(Self(fields)),
            other => expected("an object", &other),
        }
    }

    /// Takes a field out, or what stands for it if it is left out.
    ///
    /// # Errors
    /// It is wrong, or it is missing.
    pub fn take<T: Read>(&mut self, name: &str, default: Option<T>) -> Result<T, String> {
        let Some(json) = self.remove(name) else {
            return default
                .or_else(T::absent)
                .ok_or_else(|| format!(": `{name}` is missing"));
        };
        T::read(json).map_err(|error| format!(".{name}{error}"))
    }

    fn remove(&mut self, name: &str) -> Option<Json> {
        let place = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(place).1)
    }

    /// All that is known has been taken.
    ///
    /// # Errors
    /// Something is left.
    pub fn end(self, known: &[&str]) -> Result<(), String> {
        match self.0.into_iter().next() {
            None => Ok(()),
            Some((name, _)) => Err(format!(
                ".{name}: unknown field, expected one of {}",
                known.join(", ")
            )),
        }
    }
}

/// Defines an object of the document, with its reader. `= value` gives a field's default; without,
/// lists and options may be left out, and everything else must be given.
macro_rules! object {
    ($(#[$about:meta])* $name:ident {
        $($(#[$doc:meta])* $field:ident $(as $key:literal)?: $type:ty $(= $default:expr)?,)*
    }) => {
        $(#[$about])*
        #[derive(Clone, Debug)]
        #[cfg_attr(feature = "schema", derive(serde::Deserialize, schemars::JsonSchema))]
        #[cfg_attr(feature = "schema", serde(deny_unknown_fields))]
        pub struct $name {
            $(
                $(#[$doc])*
                $(#[cfg_attr(feature = "schema", serde(rename = $key))])?
                pub $field: $type,
            )*
        }

        impl $crate::config::json::Read for $name {
            fn read(json: $crate::config::json::Json) -> Result<Self, String> {
                const KNOWN: &[&str] = &[$($crate::config::json::key!($field $($key)?),)*];
                let mut fields = $crate::config::json::Fields::of(json)?;
                let read = Self {
                    $($field: fields.take(
                        $crate::config::json::key!($field $($key)?),
                        $crate::config::json::default!($($default)?),
                    )?,)*
                };
                fields.end(KNOWN)?;
                Ok(read)
            }
        }
    };
}

macro_rules! key {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $key:literal) => {
        $key
    };
}

macro_rules! default {
    () => {
        None
    };
    ($default:expr) => {
        Some($default)
    };
}

/// Defines a choice of words, with its reader.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        #[cfg_attr(feature = "schema", derive(serde::Deserialize, schemars::JsonSchema))]
        pub enum $name {
            $($(#[$doc])* #[cfg_attr(feature = "schema", serde(rename = $word))] $variant,)*
        }

        impl $name {
            /// Every word and what it says.
            pub const WORDS: &'static [(&'static str, Self)] = &[$(($word, Self::$variant),)*];

            /// As in the document.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl $crate::config::json::Read for $name {
            fn read(json: $crate::config::json::Json) -> Result<Self, String> {
                $crate::config::json::word(json, Self::WORDS)
            }
        }
    };
}

pub(super) use {default, key, object, words};

/// Reads one of a choice of words.
pub(super) fn word<T: Copy>(json: Json, words: &[(&str, T)]) -> Result<T, String> {
    let text = String::read(json)?;
    match words.iter().find(|(word, _)| *word == text) {
        Some((_, value)) => Ok(*value),
        None => {
            let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            Err(format!(
                ": expected one of {}, found `{text}`",
                words.join(", ")
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named_by_its_path() {
        let read = |json: &str| {
            let json = serde_json::from_str::<Json>(json).map_err(|error| error.to_string())?;
            Vec::<BTreeMap<String, String>>::read(json)
        };
        for (json, expected) in [
            ("{}", ": expected a list, found an object"),
            ("[[]]", "[0]: expected an object, found a list"),
            (
                r#"[{}, {"a": 7}]"#,
                "[1].a: expected a string, found a number",
            ),
            (r#"[{"a": "1", "a": "2"}]"#, "`a` stands there twice"),
        ] {
            let error = read(json).expect_err(json);
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
