//! Values of attributes and bodies: texts, lists and maps in each other. What a name says of its value
//! holds for all that is in it, until a member's name says more.

use otlp_wire::{Any, Editor, Fault, Field, KeyValue, MAX_DEPTH, Message, schema};
use pg_log::Field as LogField;

use super::Traces;
use super::names::Role;
use super::record::{Body, spares};
use crate::Error;
use crate::config::LogRedaction;
use crate::statement::is_like_a_statement;
use crate::suspects::{holds_password, holds_sql};

/// What a value is, by what stands around it.
#[derive(Clone, Copy)]
pub(super) enum Kind<'k, 'a> {
    /// What attributes of this role hold.
    Of(Role),
    /// The body of a log record.
    Body(&'k Body<'k, 'a>),
    /// The body of somebody else's, in which a driver says something.
    Others,
}

/// Members in which applications keep what they say themselves.
const MESSAGES: [&[u8]; 3] = [b"message", b"msg", b"log.message"];

/// What node's driver calls a CONTEXT.
const CONTEXT: &[u8] = b"where";

/// What is around a value.
#[derive(Clone, Copy)]
pub(super) struct Around<'k, 'a> {
    pub(super) kind: Kind<'k, 'a>,
    pub(super) redaction: LogRedaction,
    /// Lists and maps that it is in.
    pub(super) depth: usize,
}

impl<'k, 'a> Around<'k, 'a> {
    pub(super) fn of(kind: Kind<'k, 'a>) -> Self {
        Self {
            kind,
            redaction: LogRedaction::Strict,
            depth: 0,
        }
    }

    fn deeper(self) -> Self {
        Self {
            depth: self.depth.saturating_add(1),
            ..self
        }
    }

    /// The same in a list, in which a statement's parameters may stand beside it.
    fn in_list(self, list: Message<'_>) -> Self {
        match self.kind {
            Kind::Body(_) if has_text(Any::List(list), &is_like_a_statement, 0) => Self {
                kind: Kind::Of(Role::Query),
                ..self
            },
            _ => self,
        }
    }

    /// Whether a number here may be a part of a statement or of what an error says.
    fn has_numbers(self) -> bool {
        match self.kind {
            Kind::Of(Role::Query) => true,
            Kind::Of(
                Role::Words
                | Role::ExceptionMessage
                | Role::Stacktrace
                | Role::Companion(_)
                | Role::Plan,
            ) => self.depth > 0,
            _ => false,
        }
    }
}

/// Whether a text in a value, at whatever depth, is what `is` asks for.
pub(super) fn has_text(any: Any<'_>, is: &dyn Fn(&[u8]) -> bool, depth: usize) -> bool {
    let deeper = depth.saturating_add(1);
    let in_value = |value: Result<Any<'_>, otlp_wire::Error>| {
        value.is_ok_and(|value| has_text(value, is, deeper))
    };
    match any {
        Any::Text(text) => is(text),
        Any::List(list) if depth < MAX_DEPTH => list
            .all(schema::any::MEMBERS)
            .any(|item| in_value(item.and_then(|item| Any::read(item.message()?)))),
        Any::Map(map) if depth < MAX_DEPTH => map.all(schema::any::MEMBERS).any(|member| {
            in_value(member.and_then(|member| KeyValue::read(member.message()?)?.any()))
        }),
        _ => false,
    }
}

impl Traces {
    /// Takes the data out of the `AnyValue` that `field` is.
    pub(super) fn value<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        field: &Field<'a>,
        around: Around<'_, 'a>,
    ) -> Result<(), Error> {
        if around.depth > MAX_DEPTH {
            return Err(Error::Malformed(otlp_wire::Error {
                fault: Fault::TooDeep,
                offset: field.offset(),
            }));
        }
        editor.inside(field, |editor, any| {
            for field in any.fields() {
                let field = field?;
                match field.number {
                    schema::any::TEXT => {
                        if let Some(seen) = self.text(field.bytes()?, around) {
                            editor.replace(&field, |new| new.text(schema::any::TEXT, &seen));
                        }
                    }
                    schema::any::LIST => editor.inside(&field, |editor, list| {
                        let mut items = list.all(schema::any::MEMBERS);
                        let around = around.in_list(list).deeper();
                        items.try_for_each(|item| self.value(editor, &item?, around))
                    })?,
                    schema::any::MAP => editor.inside(&field, |editor, map| {
                        let mut members = map.all(schema::any::MEMBERS);
                        members.try_for_each(|member| self.member(editor, &member?, around))
                    })?,
                    schema::any::BYTES => match around.kind {
                        Kind::Of(Role::Unknown) | Kind::Others => {}
                        Kind::Of(_) | Kind::Body(_) => editor.remove(&field),
                    },
                    schema::any::INT | schema::any::DOUBLE if around.has_numbers() => {
                        editor.remove(&field);
                    }
                    _ => {}
                }
            }
            Ok(())
        })
    }

    /// A member of a map, which may say by its name what it holds.
    fn member<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        member: &Field<'a>,
        around: Around<'_, 'a>,
    ) -> Result<(), Error> {
        let read = KeyValue::read(member.message()?)?;
        let role = self.meaning(read.key).map(|meaning| meaning.role);
        let kind = match role {
            _ if matches!(around.kind, Kind::Others) => match role {
                // The application's own words, where a driver has no part in them.
                Some(role @ (Role::ExceptionMessage | Role::Stacktrace))
                    if !MESSAGES.contains(&read.key) =>
                {
                    Kind::Of(role)
                }
                Some(Role::Query | Role::Words) => Kind::Of(Role::Unknown),
                _ if read.key == CONTEXT => Kind::Of(Role::Companion(LogField::Context)),
                _ => Kind::Others,
            },
            Some(role) if spares(around.redaction, role) => return Ok(()),
            Some(role) if self.is_taken_out((read.key, read.any()?), role) => {
                editor.remove(member);
                return Ok(());
            }
            // Kept by name.
            Some(Role::BindValue) => return Ok(()),
            None | Some(Role::Plain | Role::System | Role::Address) => around.kind,
            Some(role) => Kind::Of(role),
        };
        let around = Around { kind, ..around }.deeper();
        editor.inside(member, |editor, pair| {
            for field in pair.fields() {
                let field = field?;
                match field.number {
                    schema::key_value::KEY => self.key(editor, &field, around)?,
                    schema::key_value::VALUE => self.value(editor, &field, around)?,
                    _ => {}
                }
            }
            Ok(())
        })
    }

    /// What is a key here is a text elsewhere.
    fn key<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        key: &Field<'a>,
        around: Around<'_, 'a>,
    ) -> Result<(), Error> {
        if let Kind::Of(role) = around.kind
            && role != Role::Unknown
            && let Some(seen) = self.statements.redact(key.bytes()?)
        {
            editor.replace(key, |new| new.text(schema::key_value::KEY, &seen));
        }
        Ok(())
    }

    /// What may be seen of a text; `None` is all of it.
    fn text(&mut self, text: &[u8], around: Around<'_, '_>) -> Option<String> {
        match around.kind {
            Kind::Body(body) => self.body(text, body),
            Kind::Others => self.others_text(text),
            Kind::Of(Role::Unknown | Role::Words) if holds_password(text) => Some("?".to_owned()),
            Kind::Of(Role::Unknown) if is_like_a_statement(text) || holds_sql(text) => {
                self.statements.redact(text)
            }
            Kind::Of(Role::Unknown) => None,
            // Beside a statement may stand its parameters.
            Kind::Of(Role::Query | Role::Words)
                if around.depth > 0 && !is_like_a_statement(text) =>
            {
                (!matches!(text, b"" | b"?")).then(|| "?".to_owned())
            }
            Kind::Of(role) => self.seen(role, text),
        }
    }
}
