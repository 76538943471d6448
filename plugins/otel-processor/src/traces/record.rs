//! A log record that is about a statement of PostgreSQL's but no entry of its log: an event of the
//! Collector's `postgresqlreceiver`, an application's line with the attributes of a span, or an entry
//! that was described already.

use otlp_wire::{Editor, Field, KeyValue, Message, schema};
use pg_log::{Field as LogField, Names};

use super::Traces;
use super::attributes::{Facts, Found, Layout, Parts};
use super::names::{Role, Slot};
use super::values::{Around, Kind};
use crate::Error;
use crate::config::LogRedaction;
use crate::lists::is_any;
use crate::statement::is_like_a_statement;
use crate::suspects::holds_password;

const ATTRIBUTES: u32 = schema::log_record::ATTRIBUTES;

pub(super) const RECORD: Layout = Layout {
    attributes: ATTRIBUTES,
    others: 1 << schema::log_record::BODY | 1 << schema::log_record::EVENT_NAME,
};

const ATTRIBUTES_ALONE: Layout = Layout {
    attributes: ATTRIBUTES,
    others: 0,
};

/// A field, and where it is among the attributes that were found.
type Place<'a> = (Field<'a>, Option<usize>);

/// What is known of a record while its body is written.
pub(super) struct Body<'k, 'a> {
    found: &'k [Found<'a>],
    /// What below a message it is.
    companion: Option<LogField>,
    redaction: LogRedaction,
}

impl Traces {
    /// Handles a record. What its body says goes by the `redaction` of logs, as do `names`.
    pub(crate) fn log_record<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        record: &Field<'a>,
        (redaction, names): (LogRedaction, Names),
    ) -> Result<(), Error> {
        editor.inside(record, |editor, record| {
            let mut parts = Parts::default();
            self.collect(record, &RECORD, &mut parts)?;
            let facts = Facts {
                redaction,
                ..self.facts(&parts)
            };
            for one in &mut parts.found {
                if spares(redaction, one.meaning.role) || is_hidden(names, one.attribute.key) {
                    one.spare();
                }
            }
            let body = Body {
                found: &parts.found,
                companion: companion(record),
                redaction,
            };
            parts.fields = without(names, record, parts.fields);
            for (field, place) in &parts.fields {
                match (place, field.number) {
                    (Some(place), _) => {
                        self.attribute(editor, (&parts.found, *place), &facts)?;
                    }
                    (None, ATTRIBUTES) => editor.remove(field),
                    _ if redaction == LogRedaction::Off => {}
                    (None, schema::log_record::BODY) => {
                        let around = Around {
                            redaction,
                            ..Around::of(Kind::Body(&body))
                        };
                        self.value(editor, field, around)?;
                    }
                    _ => {
                        if let Some(redacted) = self.words(field.bytes()?) {
                            editor.replace(field, |new| new.text(field.number, &redacted));
                        }
                    }
                }
            }
            if facts.said.is_some() && !facts.is_described() {
                self.add(editor, (record, ATTRIBUTES), &parts.found, &facts);
            }
            Ok(())
        })
    }

    /// The attributes of a record that is an entry of the log, of which some are not the entry's.
    pub(crate) fn parts_beside<'a>(
        &mut self,
        message: Message<'a>,
        redaction: LogRedaction,
    ) -> Result<Parts<'a>, Error> {
        let mut parts = Parts::default();
        self.collect(message, &ATTRIBUTES_ALONE, &mut parts)?;
        for one in &mut parts.found {
            if spares(redaction, one.meaning.role) {
                one.spare();
            }
        }
        Ok(parts)
    }

    /// Takes the data out of one of them.
    pub(crate) fn attribute_beside<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        field: &Field<'a>,
        (parts, redaction): (&Parts<'a>, LogRedaction),
    ) -> Result<(), Error> {
        let mut fields = parts.fields.iter();
        let same = fields.find(|(known, _)| known.offset() == field.offset());
        let Some((_, Some(place))) = same else {
            return Ok(());
        };
        // The entry's own are by their stable names already.
        let facts = Facts {
            present: Slot::Error.bit(),
            redaction,
            ..Facts::default()
        };
        self.attribute(editor, (&parts.found, *place), &facts)
    }

    /// What stays of attributes that stood in the body beside an entry, as fields of a record.
    pub(crate) fn all_beside(
        &mut self,
        attributes: &[u8],
        redaction: LogRedaction,
    ) -> Result<Vec<u8>, Error> {
        let mut editor = Editor::new(attributes);
        let all = editor.batch();
        let parts = self.parts_beside(all, redaction)?;
        for field in all.fields() {
            self.attribute_beside(&mut editor, &field?, (&parts, redaction))?;
        }
        Ok(editor.finish().into_owned())
    }

    /// What may be seen of a text in the body; `None` is all of it.
    pub(super) fn body(&mut self, text: &[u8], body: &Body<'_, '_>) -> Option<String> {
        if let Some(field) = body.companion {
            let strict = body.redaction == LogRedaction::Strict;
            let seen = strict.then(|| self.texts.companion(field, text))?;
            return (seen.as_bytes() != text).then_some(seen);
        }
        if holds_password(text) {
            return Some("?".to_owned());
        }
        if body.redaction == LogRedaction::Strict
            && let Some(seen) = self.others_text(text)
        {
            return Some(seen);
        }
        let found = body.found.iter();
        let mut texts = found
            .filter(|one| one.meaning.role == Role::Query)
            .filter_map(Found::text);
        let mut quotes = || texts.any(|statement| is_in(statement, text));
        let is_servers = self.texts.is_servers(text);
        if !is_servers && (is_like_a_statement(text) || quotes()) {
            return self.statements.redact(text);
        }
        if body.redaction != LogRedaction::Strict {
            return None;
        }
        let seen = self.texts.prose(text);
        (seen.as_bytes() != text).then_some(seen)
    }
}

/// Attributes that name a role: as `pg-log` and the Collector's `postgresqlreceiver` call them, the
/// conventions, and jsonlog.
const USERS: [&str; 8] = [
    "db.user",
    "postgresql.gss",
    "postgresql.identity",
    "postgresql.role",
    "postgresql.rolname",
    "user",
    "user.name",
    "user_name",
];

/// Attributes that name a machine, or its address.
const HOSTS: [&str; 9] = [
    "client.address",
    "net.peer.ip",
    "net.peer.name",
    "net.sock.peer.addr",
    "network.local.address",
    "network.peer.address",
    "postgresql.client_hostname",
    "remote_host",
    "server.address",
];

/// Whether an attribute of this name is hidden.
pub(crate) fn is_hidden(names: Names, key: &[u8]) -> bool {
    (names.users && is_any(key, &USERS)) || (names.hosts && is_any(key, &HOSTS))
}

/// The fields in which something may change, and attributes that are hidden, which are in no place.
fn without<'a>(names: Names, record: Message<'a>, fields: Vec<Place<'a>>) -> Vec<Place<'a>> {
    if names == Names::default() {
        return fields;
    }
    let mut all = Vec::with_capacity(fields.len());
    let mut fields = fields.into_iter().peekable();
    for field in record.fields().flatten() {
        let known = fields.next_if(|(known, _)| known.offset() == field.offset());
        let attribute = field.message().and_then(KeyValue::read);
        match attribute {
            Ok(it) if field.number == ATTRIBUTES && is_hidden(names, it.key) => {
                all.push((field, None));
            }
            _ => all.extend(known),
        }
    }
    all
}

/// Whether attributes of this role stay as they are.
pub(super) fn spares(redaction: LogRedaction, role: Role) -> bool {
    match redaction {
        LogRedaction::Strict => false,
        LogRedaction::Statements => matches!(
            role,
            Role::Companion(_)
                | Role::Quoted
                | Role::ExceptionMessage
                | Role::Stacktrace
                | Role::ErrorType
        ),
        LogRedaction::Off => true,
    }
}

/// What below a message the body is, of a line that `pg-log` found alone.
fn companion(record: Message<'_>) -> Option<LogField> {
    let attributes = record.all(ATTRIBUTES).flatten();
    let mut read = attributes.filter_map(|it| KeyValue::read(it.message().ok()?).ok());
    let named = read.find(|one| one.key == b"postgresql.companion")?;
    match named.any().ok()?.text()? {
        "CONTEXT" => Some(LogField::Context),
        "DETAIL" => Some(LogField::Detail),
        "HINT" => Some(LogField::Hint),
        _ => None,
    }
}

fn is_in(part: &[u8], text: &[u8]) -> bool {
    !part.is_empty() && text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pg_log::Sensitivity;

    #[test]
    fn what_is_taken_out_of_an_entry_on_request_is_taken_out_of_a_record() {
        for value in pg_log::Class::all().iter().flat_map(pg_log::Class::values) {
            let names = Names {
                users: value.sensitivity == Sensitivity::User,
                hosts: value.sensitivity == Sensitivity::Host,
            };
            let name = value.full_name;
            let hidden = is_hidden(names, name.as_bytes());
            assert_eq!(hidden, names != Names::default(), "{name}");
        }
    }
}
