//! Attributes of one span, event, link or log record: those whose names tell what they are, and what
//! becomes of each.

use std::rc::Rc;

use otlp_wire::{Any, Editor, Field, KeyValue, Message, Writer, schema};
use pg_log::redact_plan;

use super::Traces;
use super::names::{self, Role};
use crate::Error;
use crate::config::{Exceptions, KeepAlive, Migrate};
use crate::exceptions::is_class;
use crate::statement::Said;

/// What stands for the class of an error that has no name (OpenTelemetry's registry, `error.type`).
const OTHER_ERROR: &str = "_OTHER";

/// An attribute whose name tells what it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'a> {
    pub(super) field: Field<'a>,
    pub(super) key: &'a [u8],
    pub(super) role: Role,
    /// What the stable conventions call it, if it has another name.
    pub(super) stable: Option<&'static str>,
    pub(super) value: Any<'a>,
    /// The `AnyValue` as it stands.
    any: &'a [u8],
    /// It is taken out.
    gone: bool,
}

impl Found<'_> {
    /// Lets it stay as it is.
    pub(super) fn spare(&mut self) {
        self.role = Role::Plain;
        self.gone = false;
    }
}

/// What is known of a span or record, while it is written.
#[derive(Default)]
pub(super) struct Facts<'a> {
    pub(super) said: Option<Rc<Said>>,
    pub(super) sqlstate: Option<[u8; 5]>,
    /// `error.type` as it stands, if it may be seen.
    pub(super) error_type: Option<&'a [u8]>,
    /// The type of the first exception.
    pub(super) exception: Option<&'a [u8]>,
    /// Its status is an error.
    pub(super) failed: bool,
    /// It has been here before, or pgmesh has made it: nothing is added.
    pub(super) described: bool,
    /// It is what was left of one that could not be read.
    pub(super) stripped: bool,
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

impl Traces {
    /// Gathers attributes whose names tell what they are.
    pub(super) fn collect<'a>(
        &self,
        message: Message<'a>,
        number: u32,
        found: &mut Vec<Found<'a>>,
    ) -> Result<(), Error> {
        found.clear();
        for field in message.all(number) {
            let field = field?;
            let attribute = KeyValue::read(field.message()?)?;
            let key = attribute.key;
            if let Some((role, stable)) = self.role(key) {
                let value = attribute.any()?;
                let mut one = Found {
                    field,
                    key,
                    role,
                    stable,
                    value,
                    any: attribute.value.map_or(b"", Message::bytes),
                    gone: false,
                };
                one.gone = self.is_taken_out(&one);
                found.push(one);
            }
        }
        Ok(())
    }

    /// What an attribute of this name is.
    pub(super) fn role(&self, key: &[u8]) -> Option<(Role, Option<&'static str>)> {
        let mut configured = self.config.query_attributes.iter();
        match names::role(key) {
            Some((role, stable)) if role != Role::Plain && role != Role::Words => {
                Some((role, stable))
            }
            _ if configured.any(|name| name.as_bytes() == key) => Some((Role::Query, None)),
            known => known,
        }
    }

    fn is_taken_out(&self, attribute: &Found<'_>) -> bool {
        match attribute.role {
            Role::BindValue => !self.keeps(attribute.key),
            Role::Credentials => true,
            Role::ExceptionMessage | Role::Stacktrace => self.config.exceptions == Exceptions::Drop,
            Role::Sqlstate => match attribute.value {
                Any::Text(text) => sqlstate(text)
                    .or_else(|| self.texts.sqlstate(text))
                    .is_none(),
                Any::Int(_) => false,
                _ => true,
            },
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

    /// What the attributes of a span or record say of it.
    pub(super) fn facts<'a>(&mut self, found: &[Found<'a>]) -> Facts<'a> {
        let mut facts = Facts {
            said: self.statement(found),
            ..Facts::default()
        };
        for attribute in found {
            self.learn(attribute, &mut facts);
            facts.stripped |= attribute.key == names::ERROR.as_bytes();
            facts.described |= attribute.key == names::FINGERPRINT.as_bytes();
        }
        facts
    }

    /// What the query text of a span says; of several, the stable name's.
    pub(super) fn statement(&mut self, found: &[Found<'_>]) -> Option<Rc<Said>> {
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

    /// What an attribute says of its span.
    pub(super) fn learn<'a>(&self, attribute: &Found<'a>, facts: &mut Facts<'a>) {
        let Any::Text(text) = attribute.value else {
            return;
        };
        let told = match attribute.role {
            Role::Sqlstate => sqlstate(text).or_else(|| self.texts.sqlstate(text)),
            Role::ExceptionMessage | Role::Stacktrace => self.texts.sqlstate(text),
            Role::ErrorType if is_class(text) => {
                let place = match attribute.key {
                    b"exception.type" => &mut facts.exception,
                    _ => &mut facts.error_type,
                };
                place.get_or_insert(text);
                None
            }
            _ => None,
        };
        facts.sqlstate = facts.sqlstate.or(told);
    }

    /// Changes one of the attributes that were found.
    pub(super) fn attribute<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        (found, place): (&[Found<'a>], usize),
        facts: &Facts<'a>,
    ) -> Result<(), Error> {
        let Some(attribute) = found.get(place) else {
            return Ok(());
        };
        let name = match facts.stripped {
            true => Name::Own,
            false => self.migrated(place, found),
        };
        if attribute.gone || name == Name::Taken {
            editor.remove(&attribute.field);
            return Ok(());
        }
        self.rewrite(editor, attribute, name)
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
            Role::System | Role::Plain | Role::BindValue | Role::Credentials => false,
            Role::ExceptionMessage | Role::Stacktrace => {
                self.config.exceptions == Exceptions::Redact
            }
            _ => true,
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
    pub(super) fn seen(&mut self, role: Role, text: &[u8]) -> Option<String> {
        let seen = match role {
            Role::Plan => String::from_utf8_lossy(&redact_plan(text)).into_owned(),
            Role::Companion(field) => self.texts.companion(field, text),
            Role::ExceptionMessage => self.texts.message(text),
            Role::Stacktrace => self.texts.stacktrace(text),
            Role::ErrorType if is_class(text) => return None,
            Role::ErrorType => OTHER_ERROR.to_owned(),
            Role::Sqlstate if sqlstate(text).is_some() => return None,
            Role::Sqlstate => {
                let code = self.texts.sqlstate(text)?;
                String::from_utf8_lossy(&code).into_owned()
            }
            _ => return self.statements.redact(text),
        };
        (seen.as_bytes() != text).then_some(seen)
    }

    /// Adds the attributes that are missing, as fields of this number.
    pub(super) fn add<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        (message, number): (Message<'a>, u32),
        found: &[Found<'a>],
        facts: &Facts<'a>,
    ) {
        if facts.stripped {
            return;
        }
        editor.append(message, |new| {
            let mut missing = Missing { number, found, new };
            if !found.iter().any(|found| found.role == Role::System) {
                missing.text(names::SYSTEM, "postgresql");
            }
            match self.config.migrate {
                Migrate::Duplicate => self.duplicate(&mut missing),
                Migrate::Off => missing.namespace(),
                Migrate::Replace => {}
            }
            self.add_errors(&mut missing, facts);
            if let Some(said) = facts.said.as_ref().filter(|_| !facts.described) {
                self.add_said(&mut missing, said);
            }
        });
    }

    fn add_errors(&self, missing: &mut Missing<'_, '_, '_>, facts: &Facts<'_>) {
        let utf8 = |text| std::str::from_utf8(text).ok();
        let code = facts.sqlstate.as_ref().and_then(|code| utf8(code));
        if let Some(code) = code {
            missing.text(names::STATUS_CODE, code);
        }
        let exception = facts.exception.filter(|_| facts.failed).and_then(utf8);
        if let Some(class) = code.or(exception) {
            missing.text(names::ERROR_TYPE, class);
        }
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
                (Role::Query | Role::Words, Any::Text(text)) => {
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
        !self.found.iter().any(|found| {
            !found.gone && (found.key == name.as_bytes() || found.stable == Some(name))
        })
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

    /// The database, which the conventions ask for whenever it is known.
    fn namespace(&mut self) {
        let mut found = self.found.iter();
        if !found.any(|found| found.key == names::NAMESPACE.as_bytes())
            && let Some(old) = self.found.iter().find(|found| found.key == b"db.name")
        {
            self.new.attribute(self.number, names::NAMESPACE, old.any);
        }
    }
}

/// A SQLSTATE that is one: five digits or capitals, a digit among them (all that the server has).
pub(crate) fn sqlstate(text: &[u8]) -> Option<[u8; 5]> {
    let code: [u8; 5] = text.try_into().ok()?;
    let fits = |byte: &u8| byte.is_ascii_digit() || byte.is_ascii_uppercase();
    (code.iter().all(fits) && code.iter().any(u8::is_ascii_digit)).then_some(code)
}
