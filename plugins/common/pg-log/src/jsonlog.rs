//! Entries that are JSON: `log_destination = jsonlog` (15 and later), and CloudNativePG's wrapper
//! around a csvlog row, whose keys have csvlog's names and whose values are all strings.
//!
//! Source: `write_jsonlog` of `src/backend/utils/error/jsonlog.c`; the documentation (19.8.5);
//! CloudNativePG's documentation, "Logging".

use crate::csvlog::set_connection;
use crate::event::{Event, Faults, Format, Level};
use crate::field::{Field, Fields};
use crate::json::{Kind, Member, Members};
use crate::scan::{before, behind, find, is_same};
use crate::severity::Severity;
use crate::stderr::set_location;
use crate::text::{Form, Text};

/// What a key means.
#[derive(Clone, Copy)]
enum Key {
    Is(Field),
    Severity,
    /// The rest is CloudNativePG's.
    Connection,
    Location,
    Record,
    Audit,
}

/// jsonlog's keys, and those that only CloudNativePG has.
const KEYS: [(&[u8], Key); 55] = [
    (b"application_name", Key::Is(Field::Application)),
    (b"audit", Key::Audit),
    (b"audit_type", Key::Is(Field::AuditType)),
    (b"backend_type", Key::Is(Field::BackendType)),
    (b"backtrace", Key::Is(Field::Backtrace)),
    (b"class", Key::Is(Field::AuditClass)),
    (b"command", Key::Is(Field::AuditCommand)),
    (b"command_tag", Key::Is(Field::CommandTag)),
    (b"connection_from", Key::Connection),
    (b"context", Key::Is(Field::Context)),
    (b"cursor_position", Key::Is(Field::Position)),
    (b"database_name", Key::Is(Field::DatabaseName)),
    (b"dbname", Key::Is(Field::DatabaseName)),
    (b"detail", Key::Is(Field::Detail)),
    (b"error_severity", Key::Severity),
    (b"file_line_num", Key::Is(Field::Line)),
    (b"file_name", Key::Is(Field::File)),
    (b"func_name", Key::Is(Field::Function)),
    (b"hint", Key::Is(Field::Hint)),
    (b"internal_position", Key::Is(Field::InternalPosition)),
    (b"internal_query", Key::Is(Field::InternalQuery)),
    (b"internal_query_pos", Key::Is(Field::InternalPosition)),
    (b"leader_pid", Key::Is(Field::LeaderPid)),
    (b"line_num", Key::Is(Field::SessionLine)),
    (b"location", Key::Location),
    (b"log_time", Key::Is(Field::LogTime)),
    (b"message", Key::Is(Field::Message)),
    (b"object_name", Key::Is(Field::AuditObjectName)),
    (b"object_type", Key::Is(Field::AuditObjectType)),
    (b"parameter", Key::Is(Field::AuditParameter)),
    (b"pid", Key::Is(Field::ProcessId)),
    (b"process_id", Key::Is(Field::ProcessId)),
    (b"ps", Key::Is(Field::CommandTag)),
    (b"query", Key::Is(Field::Statement)),
    (b"query_id", Key::Is(Field::QueryId)),
    (b"query_pos", Key::Is(Field::Position)),
    (b"record", Key::Record),
    (b"remote_host", Key::Is(Field::ClientAddress)),
    (b"remote_port", Key::Is(Field::ClientPort)),
    (b"session_id", Key::Is(Field::SessionId)),
    (b"session_line_num", Key::Is(Field::SessionLine)),
    (b"session_start", Key::Is(Field::SessionStart)),
    (b"session_start_time", Key::Is(Field::SessionStart)),
    (b"sql_state_code", Key::Is(Field::Sqlstate)),
    (b"state_code", Key::Is(Field::Sqlstate)),
    (b"statement", Key::Is(Field::Statement)),
    (b"statement_id", Key::Is(Field::AuditStatementId)),
    (b"substatement_id", Key::Is(Field::AuditSubstatementId)),
    (b"timestamp", Key::Is(Field::LogTime)),
    (b"transaction_id", Key::Is(Field::TransactionId)),
    (b"txid", Key::Is(Field::TransactionId)),
    (b"user", Key::Is(Field::UserName)),
    (b"user_name", Key::Is(Field::UserName)),
    (
        b"virtual_transaction_id",
        Key::Is(Field::VirtualTransactionId),
    ),
    (b"vxid", Key::Is(Field::VirtualTransactionId)),
];

/// Reads the object that `text` begins with, and returns what follows it. `None` if it is no JSON
/// or has no severity: then it is somebody else's.
pub(crate) fn parse(text: &[u8]) -> Option<(Event<'_>, &[u8])> {
    let mut members = Members::of(text);
    let mut reader = Reader::default();
    for member in members.by_ref() {
        reader.take(member);
    }
    let rest = members.finished();
    if rest.is_none() {
        reader.take_cut_record(text);
    }
    let mut event = reader.finish()?;
    if rest.is_none() {
        event.faults.insert(Faults::TRUNCATED);
    }
    let rest = rest.unwrap_or_default();
    let rest = rest.strip_prefix(b"\n").unwrap_or(rest);
    if !rest.is_empty() {
        event.faults.insert(Faults::MORE_FOLLOW);
    }
    Some((event, rest))
}

/// Whether a text may have a JSON entry in it, escaped or not: it has the key that each has.
#[must_use]
pub fn may_hold_entry(text: &[u8]) -> bool {
    let mut rest = text;
    // Few names have the byte that is searched for first.
    while let Some(at) = find(rest, b"_severity") {
        if before(rest, at).ends_with(b"error") {
            return true;
        }
        rest = behind(rest, at.saturating_add(1));
    }
    false
}

/// Reads an entry member by member, for hosts that have taken the object apart.
#[derive(Debug, Default)]
pub struct Reader<'t> {
    fields: Fields<'t>,
    severity: Option<Severity>,
    /// Whatever its language.
    has_severity: bool,
    wrapped: bool,
}

impl<'t> Reader<'t> {
    /// Whether a key tells that an entry is there: without one of these there is none.
    #[must_use]
    pub fn is_entry(key: &[u8]) -> bool {
        matches!(key, b"error_severity" | b"record" | b"audit")
    }

    /// Reads one member; returns whether it belongs to an entry.
    pub fn take(&mut self, member: Member<'t>) -> bool {
        let Some(key) = key(member.key) else {
            return false;
        };
        match (key, member.kind) {
            (Key::Record | Key::Audit, Kind::Object) => {
                self.wrapped = true;
                for inner in Members::of(member.value) {
                    match (key, inner.key) {
                        (Key::Audit, b"statement") => {
                            let text = Text::new(inner.value, Form::Json);
                            self.fields.set(Field::AuditStatement, text);
                        }
                        _ => {
                            self.take(inner);
                        }
                    }
                }
            }
            (Key::Record | Key::Audit, _) | (_, Kind::Word) => return false,
            // Somebody has read the text of a value as JSON: it says nothing now, but belongs to the entry.
            (_, Kind::Object | Kind::Array) => {}
            (Key::Is(field), Kind::String) => {
                self.fields.set(field, Text::new(member.value, Form::Json));
            }
            (Key::Is(field), Kind::Number) => self.fields.set(field, Text::plain(member.value)),
            (Key::Severity, Kind::String) => {
                self.severity = severity(member.value);
                self.has_severity = true;
            }
            (Key::Severity, Kind::Number) => return false,
            (Key::Connection, _) => set_connection(&mut self.fields, Text::plain(member.value)),
            (Key::Location, _) => {
                set_location(&mut self.fields, Text::new(member.value, Form::Json));
            }
        }
        true
    }

    /// Reads as much of CloudNativePG's `record` as there is in a text that was cut inside of it, as
    /// container runtimes do at 16 KB.
    fn take_cut_record(&mut self, text: &'t [u8]) {
        const RECORD: &[u8] = b"\"record\":{";
        if self.has_severity {
            return;
        }
        if let Some(at) = find(text, RECORD) {
            self.wrapped = true;
            let object = at.saturating_add(RECORD.len()).saturating_sub(1);
            for inner in Members::of(behind(text, object)) {
                self.take(inner);
            }
        }
    }

    /// The entry, if a severity was among its members.
    #[must_use]
    pub fn finish(self) -> Option<Event<'t>> {
        if !self.has_severity {
            return None;
        }
        let mut faults = Faults::default();
        if self.severity.is_none() {
            faults.insert(Faults::SEVERITY_UNKNOWN);
        }
        let severity = self.severity;
        let severity =
            severity.unwrap_or_else(|| Severity::of_sqlstate(self.fields.get(Field::Sqlstate)));
        Some(Event {
            format: if self.wrapped {
                Format::CloudNativePg
            } else {
                Format::Jsonlog
            },
            level: Level::Severity(severity),
            fields: self.fields,
            names_user: true,
            faults,
        })
    }
}

/// Places for keys, each of which is found in its own.
const PLACES: usize = 1 << (u32::BITS - SHIFT);
const SHIFT: u32 = 25;
/// No key is here.
const NONE: u8 = u8::MAX;

/// Where in [`KEYS`] the key of each place is.
static TABLE: [u8; PLACES] = table();

#[allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "evaluated by the compiler"
)]
const fn table() -> [u8; PLACES] {
    let mut table = [NONE; PLACES];
    let mut index = 0;
    while index < KEYS.len() {
        if let Some(place) = place(KEYS[index].0) {
            assert!(
                table[place] == NONE,
                "two keys have one place: another factor is due"
            );
            table[place] = index as u8;
        }
        index += 1;
    }
    table
}

/// The place of a key: its length and two bytes at each end tell all of them apart, and this factor, found by
/// trying, gives each a place of its own.
#[inline]
const fn place(key: &[u8]) -> Option<usize> {
    const FACTOR: u32 = 0x6944_a491;
    let (Some([first, second]), Some([third, fourth])) = (key.first_chunk(), key.last_chunk())
    else {
        return None;
    };
    let ends = u32::from_le_bytes([*first, *second, *third, *fourth]);
    let number = ends.wrapping_add(key.len() as u32);
    Some((number.wrapping_mul(FACTOR) >> SHIFT) as usize)
}

/// What a key means.
#[inline]
fn key(name: &[u8]) -> Option<Key> {
    let index = TABLE.get(place(name)?)?;
    let (key, meaning) = KEYS.get(usize::from(*index))?;
    is_same(key, name).then_some(*meaning)
}

/// jsonlog's severities are not translated, CloudNativePG's are as the csvlog has them.
fn severity(word: &[u8]) -> Option<Severity> {
    Severity::from_word(word).or_else(|| {
        let decoded = Text::new(word, Form::Json).decode();
        Severity::from_word(&decoded)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_found_in_its_place() {
        for (index, (name, _)) in KEYS.iter().enumerate() {
            let place = place(name).unwrap();
            assert_eq!(usize::from(TABLE[place]), index);
            assert!(key(name).is_some());
            assert!(key(&name[1..]).is_none());
        }
    }
}
