//! Errors of PostgreSQL's on spans and in log records that are not its own: a request fails because a
//! statement did, and its span has the driver's exception, with the statement and its parameters in it;
//! so has the line in which the application logs it.

use otlp_wire::{Any, Editor, Field, KeyValue, MAX_DEPTH, Message, schema};

use super::Traces;
use super::attributes::{Facts, Found, Parts};
use super::names::Role;
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
        if self.config.exceptions == Exceptions::Keep || !self.tells(span.message()?, parts)? {
            return Ok(());
        }
        editor.inside(span, |editor, span| {
            self.collect(span, &SPAN, parts)?;
            let mut inner = Parts::default();
            for (field, place) in &parts.fields {
                match (place, field.number) {
                    (Some(place), _) => self.error(editor, (&parts.found, *place))?,
                    (None, schema::span::STATUS) => {
                        self.status(editor, field, &mut Facts::default())?;
                    }
                    (None, schema::span::EVENTS) => editor.inside(field, |editor, event| {
                        self.errors(editor, event, &mut inner)
                    })?,
                    _ => {}
                }
            }
            Ok(())
        })
    }

    /// Whether a driver has raised what a span, its events or its status say.
    fn tells<'a>(&self, span: Message<'a>, parts: &mut Parts<'a>) -> Result<bool, Error> {
        self.collect(span, &SPAN, parts)?;
        if parts.found.iter().any(is_of_a_driver) {
            return Ok(true);
        }
        for field in span.fields() {
            let field = field?;
            let tells = match field.number {
                schema::span::STATUS => {
                    let text = field.message()?.find(schema::status::MESSAGE)?;
                    let text = text.map_or(Ok(&b""[..]), |text| text.bytes())?;
                    drivers::tells(&String::from_utf8_lossy(text))
                }
                schema::span::EVENTS => {
                    self.collect(field.message()?, &EVENT, parts)?;
                    parts.found.iter().any(is_of_a_driver)
                }
                _ => false,
            };
            if tells {
                return Ok(true);
            }
        }
        Ok(false)
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
        if self.config.exceptions != Exceptions::Keep
            && self.errors_of_record(editor, record).is_err()
        {
            // Somebody else's goes on, even if nobody can read it.
            editor.roll_back(mark);
        }
        Ok(())
    }

    fn errors_of_record<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        record: &Field<'a>,
    ) -> Result<(), Error> {
        let message = record.message()?;
        let mut parts = Parts::default();
        self.collect(message, &RECORD, &mut parts)?;
        let body = message.find(schema::log_record::BODY)?;
        let body = body.map_or(Ok(Any::Empty), |body| Any::read(body.message()?))?;
        if !parts.found.iter().any(is_of_a_driver) && !tells_in(body, 0) {
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
        let said = String::from_utf8_lossy(text);
        if !drivers::tells(&said) {
            return None;
        }
        let role = match said.contains('\n') {
            true => Role::Stacktrace,
            false => Role::ExceptionMessage,
        };
        let seen = self.seen(role, text)?;
        Some(if seen.is_empty() {
            "?".to_owned()
        } else {
            seen
        })
    }
}

/// Whether a text in a value is a driver's.
fn tells_in(any: Any<'_>, depth: usize) -> bool {
    let deeper = depth.saturating_add(1);
    let in_value =
        |value: Result<Any<'_>, otlp_wire::Error>| value.is_ok_and(|value| tells_in(value, deeper));
    match any {
        Any::Text(text) => drivers::tells(&String::from_utf8_lossy(text)),
        Any::List(list) if depth < MAX_DEPTH => list
            .all(schema::any::MEMBERS)
            .any(|item| in_value(item.and_then(|item| Any::read(item.message()?)))),
        Any::Map(map) if depth < MAX_DEPTH => map.all(schema::any::MEMBERS).any(|member| {
            in_value(member.and_then(|member| KeyValue::read(member.message()?)?.any()))
        }),
        _ => false,
    }
}

fn is_of_a_driver(one: &Found<'_>) -> bool {
    let text = one.text().and_then(|text| std::str::from_utf8(text).ok());
    let Some(text) = text else {
        return false;
    };
    match one.meaning.role {
        Role::ErrorType => drivers::is_type(text),
        Role::ExceptionMessage | Role::Stacktrace => drivers::tells(text),
        _ => false,
    }
}
