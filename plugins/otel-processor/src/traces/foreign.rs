//! What PostgreSQL's drivers leave on spans and in log records that are not its own: a request fails
//! because a statement did, and its span has the driver's exception, with the statement and its parameters
//! in it; so has the line in which the application logs it. sqlx tells of each statement in an event of
//! the span that is open, or in a record.

use otlp_wire::{Any, Editor, Field, KeyValue, Message, schema};

use super::Traces;
use super::attributes::{Facts, Found, Layout, Lost, Parts, or_remove};
use super::names::{Role, Slot};
use super::record::RECORD;
use super::span::{EVENT, SPAN};
use super::values::{Around, Kind, has_text};
use crate::Error;
use crate::config::Exceptions;
use crate::exceptions::drivers;

impl Traces {
    /// Takes the data out of what a driver says on somebody else's span, and what cannot be read.
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
            let mut lost = self.collect_readable(span, &SPAN, parts)?;
            let mut inner = Parts::default();
            for (field, place) in &parts.fields {
                lost = lost.or(match (place, field.number) {
                    (None, schema::span::EVENTS) => or_remove(editor, field, |editor| {
                        self.event(editor, field, (told, &mut inner))
                    }),
                    (None, schema::span::ATTRIBUTES) => {
                        editor.remove(field);
                        None
                    }
                    _ if !told.error => None,
                    (Some(place), _) => self.error(editor, (&parts.found, *place)),
                    (None, schema::span::STATUS) => or_remove(editor, field, |editor| {
                        self.status(editor, field, &mut Facts::default())?;
                        Ok(None)
                    }),
                    _ => None,
                });
            }
            let attributes = schema::span::ATTRIBUTES;
            Self::say_lost(editor, (span, attributes), (lost, parts.present));
            Ok(())
        })
    }

    /// What a driver says on a span, in its events or its status. What cannot be read may say it.
    fn told<'a>(&mut self, span: Message<'a>, parts: &mut Parts<'a>) -> Result<Told, Error> {
        let mut unread = self.collect_readable(span, &SPAN, parts)?.is_some();
        let mut error = self.is_drivers(parts);
        let mut statement = false;
        for field in span.fields() {
            let field = field?;
            match field.number {
                schema::span::STATUS => match status_message(&field) {
                    Ok(text) => error = error || self.texts.is_drivers(text),
                    Err(_) => unread = true,
                },
                schema::span::EVENTS => {
                    let Ok(event) = field.message() else {
                        unread = true;
                        continue;
                    };
                    unread |= !matches!(self.collect_readable(event, &EVENT, parts), Ok(None));
                    error = error || self.is_drivers(parts);
                    statement |= is_of_a_statement(event, &EVENT, parts);
                }
                _ => {}
            }
        }
        Ok(Told {
            error: (error || unread) && self.config.exceptions != Exceptions::Keep,
            statement,
            unread,
        })
    }

    /// Changes an event of a statement, or what one says of an error.
    fn event<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        event: &Field<'a>,
        (told, parts): (Told, &mut Parts<'a>),
    ) -> Result<Lost, Error> {
        let lost = self.collect_readable(event.message()?, &EVENT, parts)?;
        let told = Told {
            statement: is_of_a_statement(event.message()?, &EVENT, parts),
            ..told
        };
        editor.inside(event, |editor, _| {
            Ok(lost.or(self.parts(editor, (&EVENT, told), parts)))
        })
    }

    /// Changes what an event or a record says of a statement or an error.
    fn parts<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        (layout, told): (&Layout, Told),
        parts: &Parts<'a>,
    ) -> Lost {
        let mut lost = None;
        for (field, place) in &parts.fields {
            lost = lost.or(match place {
                Some(place) if told.statement => {
                    self.attribute_or_none(editor, (&parts.found, *place))
                }
                Some(place) if told.error => self.error(editor, (&parts.found, *place)),
                Some(_) => None,
                None if field.number == layout.attributes => {
                    editor.remove(field);
                    None
                }
                None => or_remove(editor, field, |editor| {
                    self.beside(editor, field, (layout, told))?;
                    Ok(None)
                }),
            });
        }
        lost
    }

    /// Changes the name of an event, or the body of a record.
    fn beside<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        field: &Field<'a>,
        (layout, told): (&Layout, Told),
    ) -> Result<(), Error> {
        match (layout.attributes, field.number) {
            (schema::event::ATTRIBUTES, _) if told.statement => {
                if let Some(redacted) = self.words(field.bytes()?) {
                    editor.replace(field, |new| new.text(field.number, &redacted));
                }
                Ok(())
            }
            (schema::log_record::ATTRIBUTES, schema::log_record::BODY)
                if self.config.exceptions != Exceptions::Keep =>
            {
                self.value(editor, field, Around::of(Kind::Others))
            }
            _ => Ok(()),
        }
    }

    /// Changes an attribute, if it says something of an error.
    fn error<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        (found, place): (&[Found<'a>], usize),
    ) -> Lost {
        let role = found.get(place)?.meaning.role;
        match role {
            Role::ExceptionMessage | Role::Stacktrace => {
                self.attribute_or_none(editor, (found, place))
            }
            _ => None,
        }
    }

    /// Takes the data out of what a driver says in a log record of an application's, and what cannot be
    /// read.
    pub(crate) fn foreign_record<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        record: &Field<'a>,
    ) -> Result<(), Error> {
        let message = record.message()?;
        let mut parts = Parts::default();
        let mut lost = self.collect_readable(message, &RECORD, &mut parts)?;
        let told = self.told_in_record(message, (&parts, lost.is_some()))?;
        if told == Told::default() {
            return Ok(());
        }
        editor.inside(record, |editor, message| {
            lost = lost.or(self.parts(editor, (&RECORD, told), &parts));
            let attributes = schema::log_record::ATTRIBUTES;
            Self::say_lost(editor, (message, attributes), (lost, parts.present));
            Ok(())
        })
    }

    /// What a driver says in a record. What cannot be read may say it.
    fn told_in_record(
        &self,
        record: Message<'_>,
        (parts, mut unread): (&Parts<'_>, bool),
    ) -> Result<Told, Error> {
        let mut error = self.is_drivers(parts);
        if let Some(body) = record.find(schema::log_record::BODY)? {
            match Any::read(body.message()?) {
                Ok(body) => error = error || has_text(body, &|text| self.texts.is_drivers(text), 0),
                Err(_) => unread = true,
            }
        }
        Ok(Told {
            error: (error || unread) && self.config.exceptions != Exceptions::Keep,
            statement: is_of_a_statement(record, &RECORD, parts),
            unread,
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
}

/// What a driver says on a span that is not PostgreSQL's.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Told {
    /// That something has failed.
    error: bool,
    /// What it has sent.
    statement: bool,
    /// Nobody knows what: something cannot be read.
    unread: bool,
}

/// What the status of a span says.
fn status_message<'a>(status: &Field<'a>) -> Result<&'a [u8], Error> {
    let text = status.message()?.find(schema::status::MESSAGE)?;
    Ok(text.map_or(Ok(&b""[..]), |text| text.bytes())?)
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
