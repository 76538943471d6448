//! What is said of an event, as fields of a `LogRecord`.
//!
//! Names and types: OpenTelemetry's data model of logs; attributes as `pg-log` names them.

use std::borrow::Cow;

use otlp_wire::{Any, Editor, Error, Field, KeyValue, Message, Writer, schema};
use pg_log::json::{Kind, Member};
use pg_log::{Event, Field as LogField, Names, Reader, Severity, Sink, Timestamp, Zones};

use super::entry::{self, Entry, MEMBERS, Place};
use crate::config::LogRedaction;
use crate::lists::is_any;
use crate::strip::{Wire, is_one};
use crate::traces::{Parts, Traces, is_hidden, names};

const ATTRIBUTES: u32 = schema::log_record::ATTRIBUTES;

/// What is said of an event, and the room for it.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Nanoseconds since 1970.
    time: Option<u64>,
    severity: Option<Severity>,
    /// There is no message, so that the text of a companion line is the body.
    is_companion: bool,
    has_body: bool,
    body: Vec<u8>,
    /// Empty if there is none.
    event_name: Vec<u8>,
    trace_id: Option<[u8; 16]>,
    span_id: Option<[u8; 8]>,
    /// `KeyValue`s as fields of a record.
    attributes: Vec<u8>,
}

/// Texts of which a lone companion line has one.
const COMPANIONS: [&str; 5] = [
    "db.query.text",
    "postgresql.context",
    "postgresql.detail",
    "postgresql.hint",
    "postgresql.internal_query",
];

/// How names of events begin.
const EVENT: &[u8] = b"postgresql.";

impl Said {
    /// Empty, with the room that it has, for what is said of an event.
    pub(super) fn clear(&mut self, event: Option<&Event<'_>>) {
        let has_message = |event: &Event<'_>| event.fields.get(LogField::Message).is_some();
        self.time = None;
        self.severity = None;
        self.has_body = false;
        self.is_companion = !event.is_some_and(has_message);
        self.event_name.clear();
        self.trace_id = None;
        self.span_id = None;
        self.attributes.clear();
        self.attribute(names::SYSTEM, b"postgresql");
    }

    /// That there is nothing to be said of the text but this.
    pub(super) fn withhold(&mut self, fault: &str) {
        self.clear(None);
        self.set_body(b"?");
        self.attribute("pgmesh.faults", fault.as_bytes());
    }

    /// The SQLSTATE that the message tells, where the log itself has none.
    pub(super) fn set_sqlstate(&mut self, code: &str) {
        if !self.has(names::STATUS_CODE.as_bytes()) {
            self.attribute(names::STATUS_CODE, code.as_bytes());
        }
    }

    fn set_body(&mut self, text: &[u8]) {
        self.has_body = true;
        self.body.clear();
        self.body.extend_from_slice(&utf8(text));
    }

    fn attribute(&mut self, name: &str, value: &[u8]) {
        Writer::new(&mut self.attributes).utf8_attribute(ATTRIBUTES, name, &utf8(value));
    }

    /// Whether an attribute of this name is among what is said.
    fn has(&self, key: &[u8]) -> bool {
        let mut fields = Message::new(&self.attributes).fields();
        fields.any(|field| {
            let read = field.and_then(|field| KeyValue::read(field.message()?));
            read.is_ok_and(|attribute| attribute.key == key)
        })
    }
}

impl Sink for Said {
    fn text(&mut self, name: &str, value: &[u8]) {
        match name {
            "timestamp" => {
                let time = Timestamp::parse(value, &Zones::default());
                self.time = time
                    .ok()
                    .and_then(|time| u64::try_from(time.nanoseconds()).ok());
                return;
            }
            "message" => {
                self.set_body(value);
                return;
            }
            "trace_id" => {
                self.trace_id = hexadecimal(value);
                return;
            }
            "span_id" => {
                self.span_id = hexadecimal(value);
                return;
            }
            "postgresql.event" => {
                self.event_name.extend_from_slice(EVENT);
                self.event_name.extend_from_slice(&utf8(value));
            }
            _ if self.is_companion && !self.has_body && is_any(name.as_bytes(), &COMPANIONS) => {
                self.set_body(value);
            }
            _ => {}
        }
        self.attribute(name, value);
    }

    fn number(&mut self, name: &str, digits: &[u8]) {
        let text = std::str::from_utf8(digits).unwrap_or_default();
        let mut writer = Writer::new(&mut self.attributes);
        if let Ok(value) = text.parse() {
            writer.int_attribute(ATTRIBUTES, name, value);
        } else if let Some(value) = decimal(text) {
            writer.double_attribute(ATTRIBUTES, name, value);
        } else {
            writer.text_attribute(ATTRIBUTES, name, text);
        }
    }

    fn severity(&mut self, severity: Severity) {
        self.severity = Some(severity);
    }
}

/// Powers of ten that a double has exactly.
const POWERS: [f64; 10] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
/// From here on a double is not every whole number.
const EXACT: i64 = 9_007_199_254_740_992;

/// The double that digits with a point in them say, as a division of two that are exact gives the
/// nearest one. The library's own would be a fortieth of the module.
fn decimal(digits: &str) -> Option<f64> {
    let (whole, fraction) = digits.split_once('.')?;
    let number: i64 = [whole, fraction].concat().parse().ok()?;
    let power = POWERS.get(fraction.len())?;
    (number.checked_abs()? < EXACT).then(|| number as f64 / power)
}

/// Nearly all that a server writes is.
#[inline(always)]
fn is_ascii(text: &[u8]) -> bool {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let (words, rest) = text.as_chunks::<8>();
    let words = words
        .iter()
        .fold(0, |all, word| all | u64::from_le_bytes(*word));
    let rest = rest.iter().fold(0, |all, byte| all | byte);
    words & HIGH == 0 && rest < 0x80
}

/// The bytes of the text that these are; nearly always all of them.
#[inline]
fn utf8(bytes: &[u8]) -> Cow<'_, [u8]> {
    match is_ascii(bytes) {
        true => Cow::Borrowed(bytes),
        false => Cow::Owned(String::from_utf8_lossy(bytes).into_owned().into_bytes()),
    }
}

fn hexadecimal<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let mut pairs = digits.chunks_exact(2);
    for byte in &mut bytes {
        let pair = std::str::from_utf8(pairs.next()?).ok()?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(bytes)
}

/// Attributes in which others keep a line, or what they have cut out of it.
const COPIES: [&str; 17] = [
    "body",
    "context",
    "detail",
    "event.original",
    "hint",
    "internal_query",
    "log",
    "log.original",
    "log.record.original",
    "message",
    "msg",
    "original",
    "parameters",
    "query",
    "raw",
    "sql",
    "statement",
];

/// Puts what is said in the place of the entry it was made of. What stands beside it loses its data, too.
pub(super) fn write<'a>(
    editor: &mut Editor<'a>,
    record: &Field<'a>,
    taken: &Taken<'_, 'a>,
    traces: &mut Traces,
) -> Result<(), crate::Error> {
    let said = taken.said;
    let redacts = taken.redacts();
    editor.inside(record, |editor, message| {
        let parts = match redacts {
            true => traces.parts_beside(message, taken.redaction)?,
            false => Parts::default(),
        };
        let mut body = None;
        let mut has = Has::default();
        for field in message.fields() {
            let field = field?;
            let removed = match field.number {
                schema::log_record::TIME => said.time.is_some(),
                schema::log_record::SEVERITY_NUMBER | schema::log_record::SEVERITY_TEXT => {
                    said.severity.is_some()
                }
                schema::log_record::BODY => {
                    body = Some(field);
                    true
                }
                ATTRIBUTES => taken.is(&field, Place::Attributes)?,
                schema::log_record::TRACE_ID => !has.note(&field, |has| &mut has.trace_id)?,
                schema::log_record::SPAN_ID => !has.note(&field, |has| &mut has.span_id)?,
                schema::log_record::EVENT_NAME => !has.note(&field, |has| &mut has.event_name)?,
                _ => false,
            };
            if removed {
                editor.remove(&field);
            } else if redacts && field.number == ATTRIBUTES {
                traces.attribute_beside(editor, &field, (&parts, taken.redaction))?;
            }
        }
        let mut others = Others::default();
        if let Some(body) = body {
            taken.others_in_body(message, &body, &mut others)?;
        }
        if redacts && !others.attributes.is_empty() {
            others.attributes = traces.all_beside(&others.attributes, taken.redaction)?;
        }
        editor.append(message, |new| said.put(new, &has, &others));
        Ok(())
    })
}

/// What stays of a body that another takes the place of, as it stands.
#[derive(Default)]
struct Others {
    /// Members that are not the entry's: attributes of the record.
    attributes: Vec<u8>,
    /// Fields that no `AnyValue` has yet.
    unknown: Vec<u8>,
}

/// What a record has already, and keeps.
#[derive(Default)]
struct Has {
    trace_id: bool,
    span_id: bool,
    event_name: bool,
}

impl Has {
    /// Notes whether a field is set.
    fn note(
        &mut self,
        field: &Field<'_>,
        place: impl Fn(&mut Self) -> &mut bool,
    ) -> Result<bool, Error> {
        let set = field.bytes()?.iter().any(|byte| *byte != 0);
        *place(self) = set;
        Ok(set)
    }
}

/// Which attributes, and members of a body, are the entry's, or copies of it.
pub(super) struct Taken<'s, 'a> {
    pub(super) entry: Entry<'a>,
    /// What was read of it, if it could be.
    pub(super) event: Option<&'s Event<'s>>,
    pub(super) said: &'s Said,
    /// Unless it is off, copies go.
    pub(super) redaction: LogRedaction,
    /// So do names of these.
    pub(super) hidden: Names,
}

/// Fields of an entry that may hold data.
const TEXTS: [LogField; 8] = [
    LogField::Message,
    LogField::Detail,
    LogField::Hint,
    LogField::InternalQuery,
    LogField::Context,
    LogField::Statement,
    LogField::AuditStatement,
    LogField::AuditParameter,
];

impl<'a> Taken<'_, 'a> {
    fn redacts(&self) -> bool {
        self.redaction != LogRedaction::Off
    }

    /// `among`: where the attribute or member stands.
    fn is(&self, attribute: &Field<'a>, among: Place) -> Result<bool, Error> {
        let attribute = KeyValue::read(attribute.message()?)?;
        if self.said.has(attribute.key) || is_hidden(self.hidden, attribute.key) {
            return Ok(true);
        }
        let own = match self.entry.members {
            Some(place) if place == among && is_member(attribute.key) => true,
            _ => {
                matches!(attribute.any(), Ok(Any::Text(text)) if std::ptr::eq(text, self.entry.text))
            }
        };
        Ok(own || (self.redacts() && (is_any(attribute.key, &COPIES) || self.is_copy(&attribute))))
    }

    fn is_copy(&self, attribute: &KeyValue<'a>) -> bool {
        let is_copy = |text: &[u8]| self.is_copied_text(text);
        match attribute.any() {
            Ok(any) => entry::is_severity(attribute.key) || entry::holds_entry(any, &is_copy, 0),
            Err(_) => true,
        }
    }

    /// Whether a text has the entry in it, or a part of it that is more than a name.
    fn is_copied_text(&self, text: &[u8]) -> bool {
        if !is_long(text) {
            return false;
        }
        let event = self.event.into_iter();
        let fields = event.flat_map(|event| TEXTS.into_iter().map(|field| event.fields.get(field)));
        let mut fields = fields.flatten().map(|text| text.decode());
        share(text, self.entry.text)
            || entry::is_json_entry(text)
            || fields.any(|field| share(text, &field))
    }

    /// What stays of the body.
    fn others_in_body(
        &self,
        record: Message<'a>,
        body: &Field<'a>,
        others: &mut Others,
    ) -> Result<(), Error> {
        let body = body.message()?;
        for field in body.fields() {
            let field = field?;
            if field.number > schema::any::BYTES {
                Writer::new(&mut others.unknown).field(&field);
            }
        }
        let Any::Map(map) = Any::read(body)? else {
            return Ok(());
        };
        if self.entry.members == Some(Place::Withheld) {
            return Ok(());
        }
        for member in map.all(MEMBERS) {
            let member = member?;
            let message = member.message()?;
            if !self.is(&member, Place::Body)?
                && !has_attribute(record, KeyValue::read(message)?.key)?
            {
                Writer::new(&mut others.attributes).bytes(ATTRIBUTES, message.bytes());
            }
        }
        Ok(())
    }
}

fn has_attribute(record: Message<'_>, key: &[u8]) -> Result<bool, Error> {
    for attribute in record.all(ATTRIBUTES) {
        if KeyValue::read(attribute?.message()?)?.key == key {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a text may be more than a name.
fn is_long(text: &[u8]) -> bool {
    const SHORTEST: usize = 8;
    text.len() >= SHORTEST && text.contains(&b' ')
}

/// Whether one of two texts is in the other.
fn share(one: &[u8], other: &[u8]) -> bool {
    let (short, long) = match one.len() <= other.len() {
        true => (one, other),
        false => (other, one),
    };
    is_long(short) && long.windows(short.len()).any(|part| part == short)
}

/// Whether a member of this name belongs to an entry that was taken apart.
fn is_member(key: &[u8]) -> bool {
    let kinds = [Kind::String, Kind::Object];
    kinds.into_iter().any(|kind| {
        Reader::default().take(Member {
            key,
            value: b"",
            kind,
            plain: false,
        })
    })
}

impl Said {
    fn put(&self, new: &mut Writer<'_>, has: &Has, others: &Others) {
        use schema::log_record::{
            BODY, EVENT_NAME, SEVERITY_NUMBER, SEVERITY_TEXT, SPAN_ID, TIME, TRACE_ID,
        };
        if let Some(time) = self.time {
            new.fixed64(TIME, time);
        }
        if let Some(severity) = self.severity {
            new.uint(SEVERITY_NUMBER, severity.number().into());
            new.text(SEVERITY_TEXT, severity.name());
        }
        if self.has_body {
            new.message(BODY, |any| {
                any.bytes(schema::any::TEXT, &self.body);
                any.fields(&others.unknown);
            });
        }
        new.fields(&self.attributes);
        new.fields(&others.attributes);
        // One of the two would not belong to the other.
        if let (Some(trace), Some(span)) = (&self.trace_id, &self.span_id)
            && !has.trace_id
        {
            new.bytes(TRACE_ID, trace);
            if !has.span_id {
                new.bytes(SPAN_ID, span);
            }
        }
        if !(self.event_name.is_empty() || has.event_name) {
            new.bytes(EVENT_NAME, &self.event_name);
        }
    }
}

/// Fields of a record that hold no text.
const NUMBERS: [(u32, Wire); 7] = [
    (schema::log_record::TIME, Wire::Fixed64),
    (schema::log_record::OBSERVED_TIME, Wire::Fixed64),
    (schema::log_record::SEVERITY_NUMBER, Wire::Varint),
    (schema::log_record::DROPPED_ATTRIBUTES, Wire::Varint),
    (schema::log_record::FLAGS, Wire::Fixed32),
    (schema::log_record::TRACE_ID, Wire::Bytes),
    (schema::log_record::SPAN_ID, Wire::Bytes),
];

/// What is left of a record that cannot be read: nothing that may hold data.
pub(super) fn strip<'a>(
    editor: &mut Editor<'a>,
    record: &Field<'a>,
    (traces, hidden): (&Traces, Names),
    error: Error,
) {
    editor.replace(record, |new| {
        new.message(schema::scope::ITEMS, |new| {
            let fields = record.message().map(Message::fields);
            for field in fields.into_iter().flatten().flatten() {
                let harmless = match field.number {
                    ATTRIBUTES => traces.is_harmless(&field) && is_a_name(&field, hidden),
                    schema::log_record::SEVERITY_TEXT => is_a_severity(&field),
                    _ => is_one(&field, &NUMBERS),
                };
                if harmless {
                    new.field(&field);
                }
            }
            new.text_attribute(ATTRIBUTES, names::ERROR, &error.to_string());
        });
    });
}

/// Whether an attribute holds no line, nor what was cut out of one, nor what is hidden.
fn is_a_name(attribute: &Field<'_>, hidden: Names) -> bool {
    let read = attribute.message().and_then(KeyValue::read);
    read.is_ok_and(|read| match read.any() {
        _ if is_any(read.key, &COPIES) || is_hidden(hidden, read.key) => false,
        Ok(Any::Text(text)) => {
            let mut bytes = text.iter();
            !bytes.any(|byte| byte.is_ascii_whitespace() || matches!(byte, b'{' | b'['))
        }
        any => any.is_ok(),
    })
}

/// Words of other programs' loggers that the server has not.
const SEVERITIES: [&str; 3] = ["CRITICAL", "TRACE", "WARN"];

fn is_a_severity(text: &Field<'_>) -> bool {
    let word = text.bytes().unwrap_or_default().to_ascii_uppercase();
    is_any(&word, &SEVERITIES) || Severity::from_word(&word).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_is_the_double_that_the_library_reads() {
        for text in [
            "0.1",
            "12.345",
            "-1.5",
            "0.000001",
            "86400000.125",
            "3.0",
            "9007199.254740991",
        ] {
            assert_eq!(decimal(text), text.parse().ok(), "{text}");
        }
        for text in [
            "",
            "1",
            "a.b",
            "1.2.3",
            "1.0000000000",
            "9007199254740992.0",
        ] {
            assert_eq!(decimal(text), None, "{text}");
        }
    }
}
