//! One span of PostgreSQL's: its attributes are read first, then what they say is written where it
//! belongs, in the order of the bytes.

use otlp_wire::{Editor, Field, KeyValue, Message, schema};

use super::Traces;
use super::attributes::{Facts, Found, Layout, Parts, statement};
use super::names::{self, Role, Slot};
use crate::Error;
use crate::bounded::{Bounded, hash};
use crate::config::Exceptions;
use crate::places::is_same;

/// `STATUS_CODE_ERROR` of `Status`.
const STATUS_ERROR: u64 = 2;

/// `successful_completion`.
const SUCCESS: &[u8; 5] = b"00000";

/// What an exception's event is called, and how names of its attributes begin.
const EXCEPTION: &[u8] = b"exception";

/// Where in a span something may change.
pub(super) const SPAN: Layout = Layout {
    attributes: schema::span::ATTRIBUTES,
    others: 1 << schema::span::NAME
        | 1 << schema::span::EVENTS
        | 1 << schema::span::LINKS
        | 1 << schema::span::STATUS,
};

pub(super) const EVENT: Layout = Layout {
    attributes: schema::event::ATTRIBUTES,
    others: 1 << schema::event::NAME,
};

const LINK: Layout = Layout {
    attributes: schema::link::ATTRIBUTES,
    others: 0,
};

impl Traces {
    /// Handles a span whose parts were collected.
    pub(super) fn span<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        span: &Field<'a>,
        parts: &Parts<'a>,
    ) -> Result<(), Error> {
        editor.inside(span, |editor, span| {
            let mut facts = self.facts(parts);
            for (field, place) in &parts.fields {
                match (place, field.number) {
                    (Some(place), _) => {
                        self.attribute(editor, (&parts.found, *place), &facts)?;
                    }
                    (None, schema::span::NAME) => {
                        self.name(editor, field, (span, &facts))?;
                    }
                    (None, schema::span::STATUS) => self.status(editor, field, &mut facts)?,
                    (None, schema::span::EVENTS) => {
                        self.nested(editor, field, &EVENT, &mut facts)?;
                    }
                    _ => self.nested(editor, field, &LINK, &mut facts)?,
                }
            }
            self.add(
                editor,
                (span, schema::span::ATTRIBUTES),
                &parts.found,
                &facts,
            );
            Ok(())
        })
    }

    /// The name by the conventions: the summary, else the operation and what it is done to. Without
    /// either it stays, but for the data in it.
    fn name<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        field: &Field<'a>,
        (span, facts): (Message<'a>, &Facts<'a>),
    ) -> Result<(), Error> {
        let name = field.bytes()?;
        if let Some(said) = &facts.said
            && self.config.span_names
            && !said.summary.is_empty()
        {
            if !is_same(said.summary.as_bytes(), name) {
                editor.replace(field, |new| new.fields(&said.name));
            }
            return Ok(());
        }
        let named = match self.config.span_names {
            true if facts.has(Slot::Operation) => self.operation_and_target(span),
            _ => None,
        };
        let replaced = match named {
            Some(named) => (named.as_bytes() != name).then_some(named),
            // Some instrumentations make the text the name.
            None => self.words(name).map(|redacted| {
                let left = redacted.trim_matches([' ', '?']);
                match left.is_empty() {
                    true => self.target(span).unwrap_or_else(|| "postgresql".to_owned()),
                    false => redacted,
                }
            }),
        };
        if let Some(name) = replaced {
            editor.replace(field, |new| new.text(schema::span::NAME, &name));
        }
        Ok(())
    }

    fn operation_and_target(&mut self, span: Message<'_>) -> Option<String> {
        let operation = self.word(span, &[names::OPERATION, "db.operation"])?;
        Some(match self.target(span) {
            Some(target) => format!("{operation} {target}"),
            None => operation,
        })
    }

    /// What a span is about: its table, procedure, database or server.
    fn target(&mut self, span: Message<'_>) -> Option<String> {
        const TARGETS: [&[&str]; 4] = [
            &[names::COLLECTION, "db.sql.table"],
            &["db.stored_procedure.name"],
            &[names::NAMESPACE, "db.name"],
            &["server.address", "net.peer.name"],
        ];
        TARGETS.iter().find_map(|keys| self.word(span, keys))
    }

    /// The text of an attribute by the first of these names that is there, without its data.
    fn word(&mut self, span: Message<'_>, keys: &[&str]) -> Option<String> {
        let one = keys.iter().find_map(|key| {
            let attributes = span.all(schema::span::ATTRIBUTES).flatten();
            let mut read = attributes.filter_map(|it| KeyValue::read(it.message().ok()?).ok());
            read.find(|one| key.as_bytes() == one.key)
        })?;
        let any = one.any().ok()?;
        let text = any.text().filter(|text| !text.is_empty())?;
        let redacted = match names::meaning_of(one.key)?.role {
            Role::Words => self.words(text.as_bytes()),
            _ => None,
        };
        Some(redacted.unwrap_or_else(|| text.to_owned()))
    }

    /// Changes the name and the attributes of an event, or the attributes of a link.
    pub(super) fn nested<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        field: &Field<'a>,
        layout: &Layout,
        facts: &mut Facts<'a>,
    ) -> Result<(), Error> {
        editor.inside(field, |editor, message| {
            let mut parts = Parts::default();
            self.collect(message, layout, &mut parts)?;
            for one in &parts.found {
                self.learn(one, facts);
            }
            let stripped = Facts {
                present: facts.present & Slot::Error.bit(),
                ..Facts::default()
            };
            for (field, place) in &parts.fields {
                if let Some(place) = place {
                    self.attribute(editor, (&parts.found, *place), &stripped)?;
                } else if let Some(redacted) = self.words(field.bytes()?) {
                    editor.replace(field, |new| new.text(field.number, &redacted));
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
        // The Collector writes empty ones.
        if field.bytes()?.is_empty() {
            return Ok(());
        }
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
        span: Message<'a>,
        parents: &Bounded<u64>,
        parts: &Parts<'a>,
    ) -> Result<bool, Error> {
        let found = &parts.found;
        let text = statement(found).and_then(|place| found.get(place)?.text());
        let upkeep = text.is_some_and(|text| self.statements.say(text).keep_alive);
        let has = |slot: Slot| parts.present & slot.bit() != 0;
        // What was described before, and was given no operation, was not all understood then: what was
        // not is no longer there.
        let was_doubtful = has(Slot::Fingerprint) && !has(Slot::Operation);
        let has_failed = has(Slot::ErrorType) || found.iter().any(|one| self.tells_a_failure(one));
        if !upkeep || was_doubtful || has_failed {
            return Ok(false);
        }
        for field in span.fields() {
            let field = field?;
            match field.number {
                schema::span::SPAN_ID if parents.get(hash(0, field.bytes()?)).is_some() => {
                    return Ok(false);
                }
                schema::span::STATUS if is_error(field.message()?)? => return Ok(false),
                schema::span::EVENTS if is_exception(field.message()?)? => return Ok(false),
                _ => {}
            }
        }
        Ok(true)
    }

    /// Whether an attribute says that its statement has failed.
    fn tells_a_failure(&self, one: &Found<'_>) -> bool {
        let mut facts = Facts::default();
        self.learn(one, &mut facts);
        let code = facts.sqlstate.filter(|code| code != SUCCESS);
        code.is_some() || one.attribute.key.starts_with(EXCEPTION)
    }
}

fn is_exception(event: Message<'_>) -> Result<bool, Error> {
    let name = event.find(schema::event::NAME)?;
    let name = name.map(|name| name.bytes()).transpose()?;
    Ok(name == Some(EXCEPTION))
}

fn is_error(status: Message<'_>) -> Result<bool, Error> {
    let code = status.find(schema::status::CODE)?;
    let code = code.map(|code| code.number_value()).transpose()?;
    Ok(code == Some(STATUS_ERROR))
}
