//! A log record that is about a statement of PostgreSQL's but no entry of its log: an event of the
//! Collector's `postgresqlreceiver`, an application's line with the attributes of a span, or an entry
//! that was described already.

use otlp_wire::{Any, Editor, Field, schema};
use pg_log::Field as LogField;

use super::Traces;
use super::attributes::Found;
use super::names::Role;
use crate::Error;
use crate::config::LogRedaction;
use crate::statement::is_like_a_statement;

const ATTRIBUTES: u32 = schema::log_record::ATTRIBUTES;

impl Traces {
    /// Handles a record. What its body says goes by the `redaction` of logs.
    pub(crate) fn log_record<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        record: &Field<'a>,
        redaction: LogRedaction,
    ) -> Result<(), Error> {
        editor.inside(record, |editor, record| {
            let mut found = Vec::new();
            self.collect(record, ATTRIBUTES, &mut found)?;
            let facts = self.facts(&found);
            for one in &mut found {
                if spares(redaction, one.role) {
                    one.spare();
                }
            }
            let mut attribute = found.iter().enumerate();
            let mut next = attribute.next();
            for field in record.fields() {
                let field = field?;
                match field.number {
                    ATTRIBUTES => {
                        if let Some((place, one)) = next
                            && one.field.offset() == field.offset()
                        {
                            self.attribute(editor, (&found, place), &facts)?;
                            next = attribute.next();
                        }
                    }
                    schema::log_record::BODY if redaction != LogRedaction::Off => {
                        editor
                            .change_texts(&field, &mut |text| self.body(text, &found, redaction))?;
                    }
                    schema::log_record::EVENT_NAME if redaction != LogRedaction::Off => {
                        if let Some(redacted) = self.statements.redact(field.bytes()?) {
                            editor.replace(&field, |new| {
                                new.text(schema::log_record::EVENT_NAME, &redacted);
                            });
                        }
                    }
                    _ => {}
                }
            }
            if facts.said.is_some() && !facts.described {
                self.add(editor, (record, ATTRIBUTES), &found, &facts);
            }
            Ok(())
        })
    }

    /// What may be seen of a text in the body; `None` is all of it.
    fn body(
        &mut self,
        text: &[u8],
        found: &[Found<'_>],
        redaction: LogRedaction,
    ) -> Option<String> {
        if let Some(field) = companion(found) {
            let strict = redaction == LogRedaction::Strict;
            let seen = strict.then(|| self.texts.companion(field, text))?;
            return (seen.as_bytes() != text).then_some(seen);
        }
        let quotes = |one: &Found<'_>| match one.value {
            Any::Text(statement) if one.role == Role::Query => is_in(statement, text),
            _ => false,
        };
        if !self.texts.is_servers(text) && (found.iter().any(quotes) || is_like_a_statement(text)) {
            return self.statements.redact(text);
        }
        if redaction != LogRedaction::Strict {
            return None;
        }
        let seen = self.texts.prose(text);
        (seen.as_bytes() != text).then_some(seen)
    }
}

/// Whether attributes of this role stay as they are.
fn spares(redaction: LogRedaction, role: Role) -> bool {
    match redaction {
        LogRedaction::Strict => false,
        LogRedaction::Statements => matches!(
            role,
            Role::Companion(_) | Role::ExceptionMessage | Role::Stacktrace | Role::ErrorType
        ),
        LogRedaction::Off => true,
    }
}

/// What below a message the body is, of a line that `pg-log` found alone.
fn companion(found: &[Found<'_>]) -> Option<LogField> {
    let named = found
        .iter()
        .find(|one| one.key == b"postgresql.companion")?;
    match named.value.text()? {
        "CONTEXT" => Some(LogField::Context),
        "DETAIL" => Some(LogField::Detail),
        "HINT" => Some(LogField::Hint),
        _ => None,
    }
}

fn is_in(part: &[u8], text: &[u8]) -> bool {
    !part.is_empty() && text.windows(part.len()).any(|window| window == part)
}
