//! One span of PostgreSQL's: its attributes are read first, then what they say is written where it
//! belongs, in the order of the bytes.

use otlp_wire::{Editor, Field, Message, schema};

use super::Traces;
use super::attributes::{Facts, Found};
use super::names::{self, Role};
use crate::Error;
use crate::config::Exceptions;

/// `STATUS_CODE_ERROR` of `Status`.
const STATUS_ERROR: u64 = 2;

impl Traces {
    /// Handles a span.
    pub(super) fn span<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        span: &Field<'a>,
        found: &mut Vec<Found<'a>>,
    ) -> Result<(), Error> {
        editor.inside(span, |editor, span| {
            self.collect(span, schema::span::ATTRIBUTES, found)?;
            let mut facts = self.facts(found);
            let mut attribute = found.iter().enumerate();
            let mut next = attribute.next();
            for field in span.fields() {
                let field = field?;
                match field.number {
                    schema::span::ATTRIBUTES => {
                        if let Some((place, one)) = next
                            && one.field.offset() == field.offset()
                        {
                            self.attribute(editor, (found, place), &facts)?;
                            next = attribute.next();
                        }
                    }
                    schema::span::NAME => self.name(editor, &field, (found, &facts))?,
                    schema::span::EVENTS => {
                        self.nested(editor, &field, schema::event::ATTRIBUTES, &mut facts)?;
                    }
                    schema::span::LINKS => {
                        self.nested(editor, &field, schema::link::ATTRIBUTES, &mut facts)?;
                    }
                    schema::span::STATUS => self.status(editor, &field, &mut facts)?,
                    _ => {}
                }
            }
            self.add(editor, (span, schema::span::ATTRIBUTES), found, &facts);
            Ok(())
        })
    }

    /// The name by the conventions: the summary, else the operation and what it is done to. Without
    /// either it stays, but for the data in it.
    fn name<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        field: &Field<'a>,
        (found, facts): (&[Found<'a>], &Facts<'a>),
    ) -> Result<(), Error> {
        let name = field.bytes()?;
        let summary = facts.said.as_ref().map(|said| said.summary.as_str());
        let named = match summary {
            _ if !self.config.span_names => None,
            Some(summary) if !summary.is_empty() => Some(summary.to_owned()),
            _ => self.operation_and_target(found),
        };
        let replaced = match named {
            Some(named) => (named.as_bytes() != name).then_some(named),
            // Some instrumentations make the text the name.
            None => self.statements.redact(name).map(|redacted| {
                let left = redacted.trim_matches([' ', '?']);
                match left.is_empty() {
                    true => self
                        .target(found)
                        .unwrap_or_else(|| "postgresql".to_owned()),
                    false => redacted,
                }
            }),
        };
        if let Some(name) = replaced {
            editor.replace(field, |new| new.text(schema::span::NAME, &name));
        }
        Ok(())
    }

    fn operation_and_target(&mut self, found: &[Found<'_>]) -> Option<String> {
        let operation = self.word(found, &[names::OPERATION, "db.operation"])?;
        Some(match self.target(found) {
            Some(target) => format!("{operation} {target}"),
            None => operation,
        })
    }

    /// What a span is about: its table, procedure, database or server.
    fn target(&mut self, found: &[Found<'_>]) -> Option<String> {
        const TARGETS: [&[&str]; 4] = [
            &[names::COLLECTION, "db.sql.table"],
            &["db.stored_procedure.name"],
            &[names::NAMESPACE, "db.name"],
            &["server.address", "net.peer.name"],
        ];
        TARGETS.iter().find_map(|keys| self.word(found, keys))
    }

    /// The text of an attribute by one of these names, without its data.
    fn word(&mut self, found: &[Found<'_>], keys: &[&str]) -> Option<String> {
        let is = |one: &&Found<'_>| keys.iter().any(|key| key.as_bytes() == one.key);
        let one = found.iter().find(is)?;
        let text = one.value.text().filter(|text| !text.is_empty())?;
        let redacted = match one.role {
            Role::Words => self.statements.redact(text.as_bytes()),
            _ => None,
        };
        Some(redacted.unwrap_or_else(|| text.to_owned()))
    }

    /// Changes the name and the attributes of an event, or the attributes of a link.
    fn nested<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        field: &Field<'a>,
        attributes: u32,
        facts: &mut Facts<'a>,
    ) -> Result<(), Error> {
        let has_name = attributes == schema::event::ATTRIBUTES;
        editor.inside(field, |editor, message| {
            let mut found = Vec::new();
            self.collect(message, attributes, &mut found)?;
            for one in &found {
                self.learn(one, facts);
            }
            let mut attribute = found.iter().enumerate();
            let mut next = attribute.next();
            for field in message.fields() {
                let field = field?;
                if let Some((place, one)) = next
                    && one.field.offset() == field.offset()
                {
                    self.attribute(editor, (&found, place), facts)?;
                    next = attribute.next();
                } else if has_name
                    && field.number == schema::event::NAME
                    && let Some(redacted) = self.statements.redact(field.bytes()?)
                {
                    editor.replace(&field, |new| new.text(schema::event::NAME, &redacted));
                }
            }
            Ok(())
        })
    }

    pub(super) fn status<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        field: &Field<'a>,
        facts: &mut Facts<'a>,
    ) -> Result<(), Error> {
        editor.inside(field, |editor, status| {
            for field in status.fields() {
                let field = field?;
                match field.number {
                    schema::status::CODE => {
                        facts.failed |= field.number_value()? == STATUS_ERROR;
                    }
                    schema::status::MESSAGE => self.status_text(editor, &field, facts)?,
                    _ => {}
                }
            }
            Ok(())
        })
    }

    fn status_text<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        field: &Field<'a>,
        facts: &mut Facts<'a>,
    ) -> Result<(), Error> {
        let text = field.bytes()?;
        let code = super::sqlstate(text);
        let told = code.or_else(|| self.texts.sqlstate(text));
        facts.sqlstate = facts.sqlstate.or(told);
        // A code and nothing else, as our own spans have it.
        let is_code = code.is_some() || facts.error_type == Some(text);
        match self.config.exceptions {
            Exceptions::Keep => {}
            Exceptions::Drop => editor.remove(field),
            Exceptions::Redact if is_code => {}
            Exceptions::Redact => {
                if let Some(seen) = self.seen(Role::ExceptionMessage, text) {
                    editor.replace(field, |new| new.text(schema::status::MESSAGE, &seen));
                }
            }
        }
        Ok(())
    }

    /// Whether a span may be dropped: of upkeep, without an error, and nobody's parent in the batch.
    pub(super) fn is_droppable<'a>(
        &mut self,
        span: &Field<'a>,
        parents: &[&[u8]],
        found: &mut Vec<Found<'a>>,
    ) -> Result<bool, Error> {
        let message = span.message()?;
        self.collect(message, schema::span::ATTRIBUTES, found)?;
        let upkeep = self.statement(found).is_some_and(|said| said.keep_alive);
        if !upkeep || found.iter().any(|one| one.role == Role::ErrorType) {
            return Ok(false);
        }
        for field in message.fields() {
            let field = field?;
            match field.number {
                schema::span::SPAN_ID if parents.binary_search(&field.bytes()?).is_ok() => {
                    return Ok(false);
                }
                schema::span::STATUS if is_error(field.message()?)? => return Ok(false),
                _ => {}
            }
        }
        Ok(true)
    }
}

fn is_error(status: Message<'_>) -> Result<bool, Error> {
    let code = status.find(schema::status::CODE)?;
    let code = code.map(|code| code.number_value()).transpose()?;
    Ok(code == Some(STATUS_ERROR))
}
