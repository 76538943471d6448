//! Where in a record an entry of the log stands: its body, a member of its body, or members that
//! somebody has taken an entry apart into.

use otlp_wire::{Any, Error, Fault, Field, KeyValue, MAX_DEPTH, Message, schema};
use pg_log::Reader;
use pg_log::json::escape;

/// An entry, as it was found.
#[derive(Clone, Copy, Debug)]
pub(super) enum Entry<'a> {
    /// The text of a line, or of an entry in csvlog or JSON.
    Text(&'a [u8]),
    /// The members of a map in the body, or the record's attributes.
    Members(Message<'a>, u32),
}

/// What is read of a record before it is known to be PostgreSQL's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'a> {
    pub(super) entry: Option<Entry<'a>>,
    /// Of the file that the record was read from, if it says so.
    pub(super) file: &'a [u8],
    /// Whether that is what a container's programs, more than one perhaps, have written.
    pub(super) of_container: bool,
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

/// Finds the entry of a record.
pub(super) fn find<'a>(record: Message<'a>, keys: &[String]) -> Result<Found<'a>, Error> {
    let mut found = Found {
        entry: None,
        file: b"",
        of_container: false,
    };
    let mut apart = false;
    for field in record.fields() {
        let field = field?;
        match field.number {
            schema::log_record::BODY => found.entry = in_body(&field, keys)?,
            schema::log_record::ATTRIBUTES => {
                let attribute = KeyValue::read(field.message()?)?;
                apart |= Reader::is_entry(attribute.key);
                found.of_container |= attribute.key == STREAM;
                if FILES.contains(&attribute.key)
                    && let Any::Text(file) = attribute.any()?
                {
                    found.file = file;
                }
            }
            _ => {}
        }
    }
    if apart {
        found.entry = Some(Entry::Members(record, schema::log_record::ATTRIBUTES));
    }
    Ok(found)
}

fn in_body<'a>(body: &Field<'a>, keys: &[String]) -> Result<Option<Entry<'a>>, Error> {
    let map = match Any::read(body.message()?)? {
        Any::Text(text) => return Ok(Some(Entry::Text(text))),
        Any::Map(map) => map,
        _ => return Ok(None),
    };
    let mut best: Option<(usize, &[u8])> = None;
    for member in map.all(MEMBERS) {
        let member = KeyValue::read(member?.message()?)?;
        if Reader::is_entry(member.key) {
            return Ok(Some(Entry::Members(map, MEMBERS)));
        }
        let mut keys = keys.iter();
        let rank = keys.position(|key| key.as_bytes() == member.key);
        if let Some(rank) = rank.filter(|rank| best.is_none_or(|(best, _)| *rank < best))
            && let Any::Text(text) = member.any()?
        {
            best = Some((rank, text));
        }
    }
    Ok(best.map(|(_, text)| Entry::Text(text)))
}

/// `KeyValueList`'s only field.
pub(super) const MEMBERS: u32 = 1;

/// From here on a double is not every whole number: a query id that a parser made a double of is
/// another statement's, and null is better. What is not finite has no JSON either.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Writes an `AnyValue` as JSON.
pub(super) fn write_json(any: Any<'_>, depth: usize, out: &mut Vec<u8>) -> Result<(), Error> {
    match any {
        Any::Empty | Any::Bytes(_) => out.extend_from_slice(b"null"),
        Any::Bool(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
        Any::Int(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Any::Double(value) if value.abs() < EXACT => {
            out.extend_from_slice(value.to_string().as_bytes());
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
        write_json(pair.any()?, deeper(depth, &member)?, out)?;
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
