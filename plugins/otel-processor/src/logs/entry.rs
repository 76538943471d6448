//! Where in a record an entry of the log stands: a text (`texts` tells which), or members that somebody
//! has taken an entry apart into, at whatever depth.

use otlp_wire::{Any, Error, Fault, Field, KeyValue, MAX_DEPTH, Message, schema};
use pg_log::json::escape;
use pg_log::{Parser, Reader};

use super::texts::Best;

/// Where in its record an entry stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Entry<'a> {
    /// The text of a line, or of an entry in csvlog or JSON; empty if there are its members alone.
    pub(super) text: &'a [u8],
    /// Where its members are, if somebody has taken it apart; the text may be there as well.
    pub(super) members: Option<Place>,
}

/// Members that may be those of an entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Members<'a> {
    /// What has them, as fields of this number.
    pub(super) message: Message<'a>,
    pub(super) number: u32,
    pub(super) place: Place,
}

/// Where members stand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    /// They are the record's attributes.
    Attributes,
    /// They are the body.
    Body,
    /// In a map inside one of these.
    Inside,
    /// Nobody knows: all of the body goes.
    Withheld,
}

/// What is read of a record before it is known to be PostgreSQL's.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found<'a> {
    /// The text that may be the entry.
    pub(super) text: Best<'a>,
    pub(super) members: Option<Members<'a>>,
    pub(super) has_body: bool,
    /// What the record says of its severity, in words.
    pub(super) level: &'a [u8],
    /// Of the file that the record was read from, if it says so.
    pub(super) file: &'a [u8],
    /// Whether that is what a container's programs, more than one perhaps, have written.
    of_container: bool,
    /// Whether the record says what it is about: `traces` knows what it is.
    pub(super) is_described: bool,
    /// Whether it has what an entry says already.
    pub(super) is_reported: bool,
}

impl Found<'_> {
    /// Whether the record is a line of a file that one program writes. filelog takes the blanks off
    /// each (`preserve_leading_whitespaces`), and so the tab by which the server tells a continuation.
    pub(super) fn may_lack_tab(&self) -> bool {
        !self.file.is_empty() && !self.of_container
    }
}

/// Attributes that name the file a record was read from (filelog).
const FILES: [&[u8]; 2] = [b"log.file.path", b"log.file.name"];
/// The attribute that filelog's `container` operator gives each record.
const STREAM: &[u8] = b"log.iostream";
/// Attributes and members in which people keep the severity that they have taken out of a line.
const LEVELS: [&[u8]; 4] = [b"error_severity", b"level", b"log_level", b"severity"];

/// Finds the entry of a record.
pub(super) fn find<'a>(record: Message<'a>, keys: &[String]) -> Result<Found<'a>, Error> {
    let mut found = Found::default();
    let mut apart = false;
    for field in record.fields() {
        let field = field?;
        match field.number {
            schema::log_record::BODY => {
                found.has_body = !field.bytes()?.is_empty();
                in_body(&field, keys, &mut found)?;
            }
            schema::log_record::SEVERITY_TEXT => found.level = field.bytes()?,
            schema::log_record::ATTRIBUTES => {
                let attribute = KeyValue::read(field.message()?)?;
                apart |= Reader::is_entry(attribute.key);
                found.is_reported |= attribute.key.starts_with(b"postgresql.");
                in_attribute(&attribute, &mut found)?;
            }
            _ => {}
        }
    }
    if apart {
        found.members = Some(Members {
            message: record,
            number: schema::log_record::ATTRIBUTES,
            place: Place::Attributes,
        });
    }
    Ok(found)
}

fn in_attribute<'a>(attribute: &KeyValue<'a>, found: &mut Found<'a>) -> Result<(), Error> {
    let key = attribute.key;
    found.of_container |= key == STREAM;
    found.is_described |= matches!(key, b"db.system.name" | b"db.system");
    if FILES.contains(&key) {
        if let Any::Text(file) = attribute.any()? {
            found.file = file;
        }
    } else if LEVELS.contains(&key) {
        if let Any::Text(level) = attribute.any()? {
            found.level = level;
        }
    } else if let Ok(any) = attribute.any() {
        found.text.inside(any, 0);
        if attribute.may_nest() {
            found.members = found.members.or_else(|| inside(any, 0));
        }
    }
    Ok(())
}

fn in_body<'a>(body: &Field<'a>, keys: &[String], found: &mut Found<'a>) -> Result<(), Error> {
    let map = match Any::read(body.message()?)? {
        // filelog with `encoding: nop` gives bytes.
        Any::Text(text) | Any::Bytes(text) => {
            found.text.expected(0, text);
            return Ok(());
        }
        Any::Map(map) => map,
        any => {
            found.text.inside(any, 0);
            found.members = found.members.or(inside(any, 0));
            return Ok(());
        }
    };
    let mut nested = None;
    for member in map.all(MEMBERS) {
        let member = KeyValue::read(member?.message()?)?;
        if Reader::is_entry(member.key) {
            found.members = Some(Members {
                message: map,
                number: MEMBERS,
                place: Place::Body,
            });
        }
        let mut keys = keys.iter();
        let rank = keys.position(|key| key.as_bytes().eq_ignore_ascii_case(member.key));
        match member.any() {
            Ok(Any::Text(text) | Any::Bytes(text)) => {
                match rank {
                    Some(rank) => found.text.expected(rank, text),
                    None => found.text.inside(Any::Text(text), 0),
                }
                if LEVELS.contains(&member.key) {
                    found.level = text;
                }
            }
            Ok(any) => {
                found.text.inside(any, 0);
                nested = nested.or_else(|| inside(any, 0));
            }
            Err(_) => {}
        }
    }
    found.members = found.members.or(nested);
    Ok(())
}

/// The members of an entry in a list or map, or in one inside of it. What cannot be read has none.
fn inside(any: Any<'_>, depth: usize) -> Option<Members<'_>> {
    let (message, is_map) = match any {
        Any::Map(map) => (map, true),
        Any::List(list) => (list, false),
        _ => return None,
    };
    let mut inner = Vec::new();
    for item in message.all(MEMBERS).flatten() {
        let item = item.message().ok()?;
        let value = match is_map {
            true => {
                let member = KeyValue::read(item).ok()?;
                if Reader::is_entry(member.key) {
                    return Some(Members {
                        message,
                        number: MEMBERS,
                        place: Place::Inside,
                    });
                }
                member.any()
            }
            false => Any::read(item),
        };
        inner.extend(value.ok());
    }
    let deeper = depth.saturating_add(1);
    let mut inner = inner.into_iter().filter(|_| depth < MAX_DEPTH);
    inner.find_map(|any| inside(any, deeper))
}

/// Whether a value has an entry in it, or cannot be read, or a text in it is what `is_copy` says.
pub(super) fn holds_entry(any: Any<'_>, is_copy: &dyn Fn(&[u8]) -> bool, depth: usize) -> bool {
    let deeper = depth.saturating_add(1);
    let holds =
        |any: Result<Any<'_>, Error>| any.map_or(true, |any| holds_entry(any, is_copy, deeper));
    match any {
        _ if depth > MAX_DEPTH => true,
        Any::Text(text) | Any::Bytes(text) => is_copy(text),
        Any::Map(map) => map.all(MEMBERS).any(|member| {
            let member = member.and_then(|member| KeyValue::read(member.message()?));
            member.map_or(true, |member| {
                is_severity(member.key) || holds(member.any())
            })
        }),
        Any::List(list) => list
            .all(MEMBERS)
            .any(|item| holds(item.and_then(|item| Any::read(item.message()?)))),
        Any::Empty | Any::Bool(_) | Any::Int(_) | Any::Double(_) => false,
    }
}

/// Whether a text is an entry in JSON, or looks like one whatever its severity is.
pub(super) fn is_json_entry(text: &[u8]) -> bool {
    text.starts_with(b"{") && (Parser::is_entry(text) || names_a_severity(text))
}

fn names_a_severity(text: &[u8]) -> bool {
    const KEY: &[u8] = b"\"error_severity\"";
    text.windows(KEY.len()).any(|part| part == KEY)
}

/// Whether a member is the one that no entry goes without and nobody else has.
pub(super) fn is_severity(key: &[u8]) -> bool {
    key == b"error_severity"
}

/// `KeyValueList`'s only field.
pub(super) const MEMBERS: u32 = 1;

/// From here on a double is not every whole number: a query id that a parser made a double of is
/// another statement's, and null is better. No number of an entry has a fraction.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Writes an `AnyValue` as JSON.
pub(super) fn write_json(any: Any<'_>, depth: usize, out: &mut Vec<u8>) -> Result<(), Error> {
    match any {
        Any::Empty | Any::Bytes(_) => out.extend_from_slice(b"null"),
        Any::Bool(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
        Any::Int(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Any::Double(value) if value.abs() < EXACT && value.fract() == 0.0 => {
            out.extend_from_slice((value as i64).to_string().as_bytes());
        }
        Any::Double(_) => out.extend_from_slice(b"null"),
        Any::Text(text) => {
            out.push(b'"');
            escape(text, out);
            out.push(b'"');
        }
        Any::List(list) => {
            out.push(b'[');
            for (number, item) in list.all(MEMBERS).enumerate() {
                let item = item?;
                if number > 0 {
                    out.push(b',');
                }
                write_json(Any::read(item.message()?)?, deeper(depth, &item)?, out)?;
            }
            out.push(b']');
        }
        Any::Map(map) => {
            out.push(b'{');
            write_members(map, MEMBERS, depth, out)?;
            out.push(b'}');
        }
    }
    Ok(())
}

/// Writes `KeyValue`s as the inside of a JSON object.
pub(super) fn write_members(
    message: Message<'_>,
    number: u32,
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    for (place, member) in message.all(number).enumerate() {
        let member = member?;
        let pair = KeyValue::read(member.message()?)?;
        if place > 0 {
            out.push(b',');
        }
        out.push(b'"');
        escape(pair.key, out);
        out.extend_from_slice(b"\":");
        let written = out.len();
        write_json(pair.any()?, deeper(depth, &member)?, out)?;
        if is_severity(pair.key) {
            // Somebody may have made it small, as other programs write theirs.
            out.iter_mut()
                .skip(written)
                .for_each(u8::make_ascii_uppercase);
        }
    }
    Ok(())
}

fn deeper(depth: usize, at: &Field<'_>) -> Result<usize, Error> {
    if depth >= MAX_DEPTH {
        return Err(Error {
            fault: Fault::TooDeep,
            offset: at.offset(),
        });
    }
    Ok(depth.saturating_add(1))
}
