//! One span of PostgreSQL's: its attributes first, then what they say is written where it belongs.

use std::rc::Rc;

use otlp_wire::{Any, Editor, Field, KeyValue, Message, Writer, schema};
use pg_log::redact_plan;

use super::Traces;
use super::names::{self, Role};
use crate::Error;
use crate::config::{Exceptions, KeepAlive, Migrate};
use crate::statement::Said;

/// An attribute whose name is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'a> {
    field: Field<'a>,
    key: &'a [u8],
    role: Role,
    /// What the stable conventions call it, if it has another name.
    stable: Option<&'static str>,
    value: Any<'a>,
    /// The `AnyValue` as it stands, of a `KeyValue` that has one.
    any: &'a [u8],
}

/// Under which name an attribute goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Name {
    /// Its own.
    Own,
    /// That of the stable conventions.
    Other(&'static str),
    /// None: another attribute has the name already.
    Taken,
}

/// What is known of a span, while it is written.
#[derive(Default)]
struct Facts {
    said: Option<Rc<Said>>,
    sqlstate: Option<[u8; 5]>,
}

/// `STATUS_CODE_ERROR` of `Status`.
const STATUS_ERROR: u64 = 2;

impl Traces {
    /// Handles a span. If something in it cannot be read, its sensitive parts are taken out.
    pub(super) fn span<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        span: &Field<'a>,
        found: &mut Vec<Found<'a>>,
    ) -> Result<(), Error> {
        let mark = editor.mark();
        let edited = editor.inside(span, |editor, message| {
            found.clear();
            self.edit(editor, message, found)
        });
        if let Err(Error::Malformed(error)) = edited {
            editor.roll_back(mark);
            editor.inside(span, |editor, message| strip(editor, message, error))?;
        }
        Ok(())
    }

    fn edit<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        span: Message<'a>,
        found: &mut Vec<Found<'a>>,
    ) -> Result<(), Error> {
        self.collect(span, schema::span::ATTRIBUTES, found)?;
        let mut facts = Facts {
            said: self.statement(found),
            ..Facts::default()
        };
        self.attributes(editor, found, &mut facts)?;
        for field in span.fields() {
            let field = field?;
            match field.number {
                schema::span::NAME => self.name(editor, &field, &facts)?,
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
        self.add(editor, span, schema::span::ATTRIBUTES, found, &facts);
        Ok(())
    }

    /// Handles the attributes of a log record that is about a statement.
    pub(crate) fn log_record<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        record: &Field<'a>,
    ) -> Result<(), Error> {
        const ATTRIBUTES: u32 = schema::log_record::ATTRIBUTES;
        editor.inside(record, |editor, message| {
            let mut found = Vec::new();
            self.collect(message, ATTRIBUTES, &mut found)?;
            let mut facts = Facts {
                said: self.statement(&found),
                ..Facts::default()
            };
            self.attributes(editor, &found, &mut facts)?;
            self.add(editor, message, ATTRIBUTES, &found, &facts);
            Ok(())
        })
    }

    /// Gathers attributes whose names are known.
    fn collect<'a>(
        &self,
        message: Message<'a>,
        number: u32,
        found: &mut Vec<Found<'a>>,
    ) -> Result<(), Error> {
        for field in message.fields() {
            let field = field?;
            if field.number != number {
                continue;
            }
            let attribute = KeyValue::read(field.message()?)?;
            let key = attribute.key;
            let mut configured = self.config.query_attributes.iter();
            let known = match names::role(key) {
                None if configured.any(|name| name.as_bytes() == key) => Some((Role::Query, None)),
                known => known,
            };
            if let Some((role, stable)) = known {
                found.push(Found {
                    field,
                    key,
                    role,
                    stable,
                    value: attribute.any()?,
                    any: attribute.value.map_or(b"", Message::bytes),
                });
            }
        }
        Ok(())
    }

    /// What the query text of a span says; of several, the stable name's.
    fn statement(&mut self, found: &[Found<'_>]) -> Option<Rc<Said>> {
        let texts = found.iter().filter_map(|attribute| match attribute {
            Found {
                role: Role::Query,
                value: Any::Text(text),
                ..
            } => Some((attribute.key, *text)),
            _ => None,
        });
        let (_, text) = texts.max_by_key(|(key, _)| match *key {
            b"db.query.text" => 2,
            b"db.statement" => 1,
            _ => 0,
        })?;
        Some(self.statements.say(text))
    }

    /// Changes the attributes that were found.
    fn attributes<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        found: &[Found<'a>],
        facts: &mut Facts,
    ) -> Result<(), Error> {
        for (place, attribute) in found.iter().enumerate() {
            self.learn(attribute, facts);
            let name = self.migrated(place, found);
            if self.is_taken_out(attribute) || name == Name::Taken {
                editor.remove(&attribute.field);
            } else {
                self.rewrite(editor, attribute, name)?;
            }
        }
        Ok(())
    }

    /// What an attribute says of its span.
    fn learn(&self, attribute: &Found<'_>, facts: &mut Facts) {
        let Any::Text(text) = attribute.value else {
            return;
        };
        let told = match attribute.role {
            Role::Sqlstate => sqlstate(text),
            Role::ExceptionMessage | Role::Stacktrace => self.texts.sqlstate(text),
            _ => None,
        };
        facts.sqlstate = facts.sqlstate.or(told);
    }

    fn is_taken_out(&self, attribute: &Found<'_>) -> bool {
        match attribute.role {
            Role::BindValue => !self.keeps(attribute.key),
            Role::Credentials => true,
            Role::ExceptionMessage | Role::Stacktrace => self.config.exceptions == Exceptions::Drop,
            _ => false,
        }
    }

    fn keeps(&self, key: &[u8]) -> bool {
        let mut kept = self.config.keep_parameters.iter();
        kept.any(|pattern| match pattern.strip_suffix('*') {
            Some(beginning) => key.starts_with(beginning.as_bytes()),
            None => pattern.as_bytes() == key,
        })
    }

    /// The name that takes the place of an attribute's own.
    fn migrated(&self, place: usize, found: &[Found<'_>]) -> Name {
        let own = found.get(place);
        let Some(stable) = own.and_then(|own| own.stable) else {
            return Name::Own;
        };
        if self.config.migrate != Migrate::Replace {
            return Name::Own;
        }
        let mut before = found.iter().take(place);
        let taken = found.iter().any(|other| other.key == stable.as_bytes())
            || before.any(|other| other.stable == Some(stable));
        if taken {
            Name::Taken
        } else {
            Name::Other(stable)
        }
    }

    /// Gives an attribute its name, and its texts without their data.
    fn rewrite<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        attribute: &Found<'a>,
        name: Name,
    ) -> Result<(), Error> {
        let changes = match attribute.role {
            Role::Query | Role::Words | Role::Plan => true,
            Role::ExceptionMessage | Role::Stacktrace => {
                self.config.exceptions == Exceptions::Redact
            }
            _ => false,
        };
        if !changes && name == Name::Own {
            return Ok(());
        }
        editor.inside(&attribute.field, |editor, message| {
            for field in message.fields() {
                let field = field?;
                match (field.number, name) {
                    (schema::key_value::KEY, Name::Other(name)) => {
                        editor.replace(&field, |new| new.text(schema::key_value::KEY, name));
                    }
                    (schema::key_value::VALUE, _) if changes => {
                        editor.change_texts(&field, &mut |text| self.seen(attribute.role, text))?;
                    }
                    _ => {}
                }
            }
            Ok(())
        })
    }

    /// What may be seen of an attribute's text; `None` is all of it.
    fn seen(&mut self, role: Role, text: &[u8]) -> Option<String> {
        let seen = match role {
            Role::ExceptionMessage => self.texts.message(text),
            Role::Stacktrace => self.texts.stacktrace(text),
            Role::Plan => String::from_utf8_lossy(&redact_plan(text)).into_owned(),
            _ => return self.statements.redact(text),
        };
        (seen.as_bytes() != text).then_some(seen)
    }

    fn name<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        field: &Field<'a>,
        facts: &Facts,
    ) -> Result<(), Error> {
        let name = field.bytes()?;
        let summary = facts.said.as_ref().map(|said| said.summary.as_str());
        match summary {
            Some(summary) if self.config.span_names && !summary.is_empty() => {
                if name != summary.as_bytes() {
                    editor.replace(field, |new| new.text(schema::span::NAME, summary));
                }
            }
            // Some instrumentations make the text the name.
            _ => {
                if let Some(redacted) = self.statements.redact(name) {
                    editor.replace(field, |new| new.text(schema::span::NAME, &redacted));
                }
            }
        }
        Ok(())
    }

    /// Changes the attributes of an event or a link.
    fn nested<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        field: &Field<'a>,
        attributes: u32,
        facts: &mut Facts,
    ) -> Result<(), Error> {
        editor.inside(field, |editor, message| {
            let mut found = Vec::new();
            self.collect(message, attributes, &mut found)?;
            self.attributes(editor, &found, facts)
        })
    }

    fn status<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        field: &Field<'a>,
        facts: &mut Facts,
    ) -> Result<(), Error> {
        editor.inside(field, |editor, status| {
            for field in status.fields() {
                let field = field?;
                if field.number != schema::status::MESSAGE {
                    continue;
                }
                let text = field.bytes()?;
                facts.sqlstate = facts.sqlstate.or_else(|| self.texts.sqlstate(text));
                match self.config.exceptions {
                    Exceptions::Keep => {}
                    Exceptions::Drop => editor.remove(&field),
                    Exceptions::Redact => {
                        if let Some(seen) = self.seen(Role::ExceptionMessage, text) {
                            editor.replace(&field, |new| {
                                new.text(schema::status::MESSAGE, &seen);
                            });
                        }
                    }
                }
            }
            Ok(())
        })
    }

    /// Whether a span may be dropped: of upkeep, without an error, and nobody's parent in the batch.
    pub(super) fn is_droppable<'a>(
        &mut self,
        span: &Field<'a>,
        parents: &[&[u8]],
        found: &mut Vec<Found<'a>>,
    ) -> Result<bool, Error> {
        let message = span.message()?;
        found.clear();
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
                schema::span::STATUS => {
                    let code = field.message()?.find(schema::status::CODE)?;
                    if code.map(|code| code.number_value()).transpose()? == Some(STATUS_ERROR) {
                        return Ok(false);
                    }
                }
                _ => {}
            }
        }
        Ok(true)
    }

    /// Adds the attributes that are missing, as fields of this number.
    fn add<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        message: Message<'a>,
        number: u32,
        found: &[Found<'a>],
        facts: &Facts,
    ) {
        editor.append(message, |new| {
            let mut missing = Missing { number, found, new };
            if !found.iter().any(|found| found.role == Role::System) {
                missing.text(names::SYSTEM, "postgresql");
            }
            if self.config.migrate == Migrate::Duplicate {
                self.duplicate(&mut missing);
            }
            if let Some(code) = facts.sqlstate
                && let Ok(code) = std::str::from_utf8(&code)
            {
                missing.text(names::STATUS_CODE, code);
                missing.text(names::ERROR_TYPE, code);
            }
            if let Some(said) = &facts.said {
                self.add_said(&mut missing, said);
            }
        });
    }

    /// Adds older attributes under their names in the stable conventions.
    fn duplicate(&mut self, missing: &mut Missing<'_, '_, '_>) {
        let found = missing.found;
        for (place, attribute) in found.iter().enumerate() {
            let Some(stable) = attribute.stable else {
                continue;
            };
            let mut before = found.iter().take(place);
            if before.any(|other| other.stable == Some(stable))
                || found.iter().any(|other| other.key == stable.as_bytes())
            {
                continue;
            }
            let (number, new) = (missing.number, &mut missing.new);
            match (attribute.role, attribute.value) {
                (Role::Query, Any::Text(text)) => {
                    let redacted = self.statements.redact(text);
                    let text = redacted.map_or_else(|| text.to_vec(), String::into_bytes);
                    let text = String::from_utf8_lossy(&text);
                    new.text_attribute(number, stable, &text);
                }
                (Role::Plain | Role::System, _) => {
                    new.attribute(number, stable, attribute.any);
                }
                _ => {}
            }
        }
    }

    fn add_said(&self, missing: &mut Missing<'_, '_, '_>, said: &Said) {
        if !said.summary.is_empty() {
            missing.text(names::SUMMARY, &said.summary);
        }
        missing.text(names::FINGERPRINT, &said.fingerprint.to_string());
        if self.config.names_from_text {
            if let Some(operation) = said.operation {
                missing.text(names::OPERATION, operation);
            }
            if let Some(collection) = &said.collection {
                missing.text(names::COLLECTION, collection);
            }
        }
        if said.statements > 1 {
            missing.int(names::BATCH_SIZE, said.statements);
        }
        for (key, value) in &said.tags {
            missing.text(&format!("sqlcommenter.{key}"), value);
        }
        if said.keep_alive && self.config.keep_alive != KeepAlive::Keep {
            missing.flag(names::KEEP_ALIVE);
        }
    }
}

/// Adds attributes to a message that it does not have.
struct Missing<'f, 'a, 'w> {
    /// Of attributes in the message.
    number: u32,
    found: &'f [Found<'a>],
    new: &'f mut Writer<'w>,
}

impl Missing<'_, '_, '_> {
    /// Whether there is no attribute of this name, nor what the stable name was made of.
    fn is(&self, name: &str) -> bool {
        !self
            .found
            .iter()
            .any(|found| found.key == name.as_bytes() || found.stable == Some(name))
    }

    fn text(&mut self, name: &str, value: &str) {
        if self.is(name) {
            self.new.text_attribute(self.number, name, value);
        }
    }

    fn int(&mut self, name: &str, value: usize) {
        if self.is(name) {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            self.new.int_attribute(self.number, name, value);
        }
    }

    fn flag(&mut self, name: &str) {
        if self.is(name) {
            self.new.bool_attribute(self.number, name, true);
        }
    }
}

/// A SQLSTATE that is one: five digits or capitals, a digit among them (all that the server has).
pub(crate) fn sqlstate(text: &[u8]) -> Option<[u8; 5]> {
    let code: [u8; 5] = text.try_into().ok()?;
    let fits = |byte: &u8| byte.is_ascii_digit() || byte.is_ascii_uppercase();
    (code.iter().all(fits) && code.iter().any(u8::is_ascii_digit)).then_some(code)
}

/// What is left of a span that cannot be read: nothing that may hold data.
fn strip<'a>(
    editor: &mut Editor<'a>,
    span: Message<'a>,
    error: otlp_wire::Error,
) -> Result<(), Error> {
    for field in span.fields() {
        let field = field?;
        match field.number {
            schema::span::NAME => editor.replace(&field, |new| {
                new.text(schema::span::NAME, "postgresql");
            }),
            schema::span::EVENTS | schema::span::LINKS | schema::span::STATUS => {
                editor.remove(&field);
            }
            schema::span::ATTRIBUTES => {
                let attribute = field.message().and_then(KeyValue::read);
                let harmless = attribute.is_ok_and(|attribute| {
                    attribute.any().is_ok()
                        && matches!(
                            names::role(attribute.key),
                            None | Some((Role::Plain | Role::System, _))
                        )
                });
                if !harmless {
                    editor.remove(&field);
                }
            }
            _ => {}
        }
    }
    editor.append(span, |new| {
        new.text_attribute(schema::span::ATTRIBUTES, names::ERROR, &error.to_string());
    });
    Ok(())
}
