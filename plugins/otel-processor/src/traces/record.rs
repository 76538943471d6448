//! A log record that is about a statement of PostgreSQL's but no entry of its log: an event of the
//! Collector's `postgresqlreceiver`, an application's line with the attributes of a span, or an entry
//! that was described already.

use otlp_wire::{Any, Editor, Field, schema};

use super::Traces;
use super::attributes::Found;
use super::names;
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
            let mut attribute = found.iter().enumerate();
            let mut next = attribute.next();
            for field in record.fields() {
                let field = field?;
                match field.number {
                    ATTRIBUTES => {
                        if let Some((place, one)) = next
                            && one.field.offset() == field.offset()
                        {
                            self.attribute(editor, &found, place)?;
                            next = attribute.next();
                        }
                    }
                    schema::log_record::BODY if redaction != LogRedaction::Off => {
                        editor
                            .change_texts(&field, &mut |text| self.body(text, &found, redaction))?;
                    }
                    schema::log_record::EVENT_NAME => {
                        if let Some(redacted) = self.statements.redact(field.bytes()?) {
                            editor.replace(&field, |new| {
                                new.text(schema::log_record::EVENT_NAME, &redacted);
                            });
                        }
                    }
                    _ => {}
                }
            }
            // What has a fingerprint was described before.
            let described = found
                .iter()
                .any(|one| one.key == names::FINGERPRINT.as_bytes());
            if facts.said.is_some() && !described {
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
        let quotes = |one: &Found<'_>| match one.value {
            Any::Text(statement) if one.role == names::Role::Query => is_in(statement, text),
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

fn is_in(part: &[u8], text: &[u8]) -> bool {
    !part.is_empty() && text.windows(part.len()).any(|window| window == part)
}
