//! Errors of PostgreSQL's on spans that are not its own: a request fails because a statement did, and
//! its span has the driver's exception, with the statement and its parameters in it.

use otlp_wire::{Editor, Field, Message, schema};

use super::Traces;
use super::attributes::{Facts, Found, Parts};
use super::names::Role;
use super::span::EVENT;
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
            for field in span.fields() {
                let field = field?;
                match field.number {
                    schema::span::STATUS => {
                        self.status(editor, &field, &mut Facts::default())?;
                    }
                    schema::span::EVENTS => {
                        editor.inside(&field, |editor, event| self.errors(editor, event, parts))?
                    }
                    _ => {}
                }
            }
            Ok(())
        })
    }

    /// Whether a driver has raised what an event or the status of a span says.
    fn tells<'a>(&self, span: Message<'a>, parts: &mut Parts<'a>) -> Result<bool, Error> {
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
        for (place, one) in parts.found.iter().enumerate() {
            if matches!(one.meaning.role, Role::ExceptionMessage | Role::Stacktrace) {
                self.attribute(editor, (&parts.found, place), &Facts::default())?;
            }
        }
        Ok(())
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
