//! What PostgreSQL's drivers leave on spans and in log records that are not its own: a request fails
//! because a statement did, and its span has the driver's exception, with the statement and its parameters
//! in it; so has the line in which the application logs it. sqlx tells of each statement in an event of
//! the span that is open, or in a record.

use otlp_wire::{Any, Editor, Field, KeyValue, MAX_DEPTH, Message, schema};

use super::Traces;
use super::attributes::{Facts, Found, Layout, Parts};
use super::names::{Role, Slot};
use super::record::RECORD;
use super::span::{EVENT, SPAN};
use super::values::{Around, Kind};
use crate::Error;
use crate::config::Exceptions;
use crate::exceptions::drivers;

impl Traces {
    /// Takes the data out of what a driver says on somebody else's span.
    pub(super) fn foreign<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        span: &Field<'a>,
        parts: &mut Parts<'a>,
    ) -> Result<(), Error> {
        let told = self.told(span.message()?, parts)?;
        if told == Told::default() {
            return Ok(());
        }
        editor.inside(span, |editor, span| {
            self.collect(span, &SPAN, parts)?;
            let mut inner = Parts::default();
            for (field, place) in &parts.fields {
                match (place, field.number) {
                    (None, schema::span::EVENTS) => {
                        self.event(editor, field, (told, &mut inner))?;
                    }
                    _ if !told.error => {}
                    (Some(place), _) => self.error(editor, (&parts.found, *place))?,
                    (None, schema::span::STATUS) => {
                        self.status(editor, field, &mut Facts::default())?;
                    }
                    _ => {}
                }
            }
            Ok(())
        })
    }

    /// What a driver says on a span, in its events or its status.
    fn told<'a>(&mut self, span: Message<'a>, parts: &mut Parts<'a>) -> Result<Told, Error> {
        self.collect(span, &SPAN, parts)?;
        let mut error = self.is_drivers(parts);
        let mut statement = false;
        for field in span.fields() {
            let field = field?;
            match field.number {
                schema::span::STATUS => {
                    let text = field.message()?.find(schema::status::MESSAGE)?;
                    let text = text.map_or(Ok(&b""[..]), |text| text.bytes())?;
                    error = error || self.texts.is_drivers(text);
                }
                schema::span::EVENTS => {
                    self.collect(field.message()?, &EVENT, parts)?;
                    error = error || self.is_drivers(parts);
                    statement |= is_of_a_statement(field.message()?, &EVENT, parts);
                }
                _ => {}
            }
        }
        Ok(Told {
            error: error && self.config.exceptions != Exceptions::Keep,
            statement,
        })
    }

    /// Changes an event of a statement, or what one says of an error.
    fn event<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        event: &Field<'a>,
        (told, parts): (Told, &mut Parts<'a>),
    ) -> Result<(), Error> {
        self.collect(event.message()?, &EVENT, parts)?;
        if is_of_a_statement(event.message()?, &EVENT, parts) {
            return self.nested(editor, event, &EVENT, &mut Facts::default());
        }
        match told.error {
            true => editor.inside(event, |editor, event| self.errors(editor, event, parts)),
            false => Ok(()),
        }
    }

    /// Changes what the attributes of an event say of an error.
    fn errors<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        event: Message<'a>,
        parts: &mut Parts<'a>,
    ) -> Result<(), Error> {
        self.collect(event, &EVENT, parts)?;
        (0..parts.found.len()).try_for_each(|place| self.error(editor, (&parts.found, place)))
    }

    /// Changes an attribute, if it says something of an error.
    fn error<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        (found, place): (&[Found<'a>], usize),
    ) -> Result<(), Error> {
        let says = found.get(place).is_some_and(|one| {
            matches!(one.meaning.role, Role::ExceptionMessage | Role::Stacktrace)
        });
        match says {
            true => self.attribute(editor, (found, place), &Facts::default()),
            false => Ok(()),
        }
    }

    /// Takes the data out of what a driver says in a log record of an application's.
    pub(crate) fn foreign_record<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        record: &Field<'a>,
    ) -> Result<(), Error> {
        let mark = editor.mark();
        if self.told_in_record(editor, record).is_err() {
            // Somebody else's goes on, even if nobody can read it.
            editor.roll_back(mark);
        }
        Ok(())
    }

    fn told_in_record<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        record: &Field<'a>,
    ) -> Result<(), Error> {
        let message = record.message()?;
        let mut parts = Parts::default();
        self.collect(message, &RECORD, &mut parts)?;
        if is_of_a_statement(message, &RECORD, &parts) {
            return editor.inside(record, |editor, _| {
                let mut all = 0..parts.found.len();
                all.try_for_each(|one| {
                    self.attribute(editor, (&parts.found, one), &Facts::default())
                })
            });
        }
        if self.config.exceptions == Exceptions::Keep {
            return Ok(());
        }
        let body = message.find(schema::log_record::BODY)?;
        let body = body.map_or(Ok(Any::Empty), |body| Any::read(body.message()?))?;
        if !self.is_drivers(&parts) && !self.tells_in(body, 0) {
            return Ok(());
        }
        editor.inside(record, |editor, _| {
            for (field, place) in &parts.fields {
                match (place, field.number) {
                    (Some(place), _) => self.error(editor, (&parts.found, *place))?,
                    (None, schema::log_record::BODY) => {
                        self.value(editor, field, Around::of(Kind::Others))?;
                    }
                    _ => {}
                }
            }
            Ok(())
        })
    }

    /// What may be seen of a text that may be a driver's; `None` is all of it.
    pub(super) fn others_text(&mut self, text: &[u8]) -> Option<String> {
        if !self.texts.is_drivers(text) {
            return None;
        }
        let frames = match text.contains(&b'\n') {
            true => self.texts.stacktrace(text),
            false => String::new(),
        };
        Some(if frames.is_empty() {
            self.texts.message(text)
        } else {
            frames
        })
    }

    /// Whether one of the attributes tells that a driver has raised an error.
    fn is_drivers(&self, parts: &Parts<'_>) -> bool {
        parts.found.iter().any(|one| {
            let Some(text) = one.text() else {
                return false;
            };
            match one.meaning.role {
                Role::ErrorType => std::str::from_utf8(text).is_ok_and(drivers::is_type),
                Role::ExceptionMessage | Role::Stacktrace => self.texts.is_drivers(text),
                _ => false,
            }
        })
    }

    /// Whether a text in a value is a driver's.
    fn tells_in(&self, any: Any<'_>, depth: usize) -> bool {
        let deeper = depth.saturating_add(1);
        let in_value = |value: Result<Any<'_>, otlp_wire::Error>| {
            value.is_ok_and(|value| self.tells_in(value, deeper))
        };
        match any {
            Any::Text(text) => self.texts.is_drivers(text),
            Any::List(list) if depth < MAX_DEPTH => list
                .all(schema::any::MEMBERS)
                .any(|item| in_value(item.and_then(|item| Any::read(item.message()?)))),
            Any::Map(map) if depth < MAX_DEPTH => map.all(schema::any::MEMBERS).any(|member| {
                in_value(member.and_then(|member| KeyValue::read(member.message()?)?.any()))
            }),
            _ => false,
        }
    }
}

/// What a driver says on a span that is not PostgreSQL's.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Told {
    /// That something has failed.
    error: bool,
    /// What it has sent.
    statement: bool,
}

/// Where sqlx' events come from, as `tracing` has it.
const TARGETS: [&[u8]; 2] = [b"target", b"log.target"];

/// Whether an event or a record tells of a statement of PostgreSQL's, or of sqlx, which does not say
/// whose.
fn is_of_a_statement(message: Message<'_>, layout: &Layout, parts: &Parts<'_>) -> bool {
    if parts.is_postgres {
        return true;
    }
    let is_query = |one: &Found<'_>| one.meaning.role == Role::Query;
    if parts.present & Slot::System.bit() != 0 || !parts.found.iter().any(is_query) {
        return false;
    }
    let attributes = message.all(layout.attributes).flatten();
    let mut read = attributes.filter_map(|one| KeyValue::read(one.message().ok()?).ok());
    read.any(|one| {
        TARGETS.contains(&one.key)
            && matches!(one.any(), Ok(Any::Text(target)) if target.starts_with(b"sqlx"))
    })
}
