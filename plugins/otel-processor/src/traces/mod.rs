//! Spans: which are PostgreSQL's, and what becomes of them.
//!
//! A batch is walked once. Of a span that is not PostgreSQL's only the names of its attributes are
//! read; `span` handles one that is.

pub(crate) mod names;
mod span;

use std::borrow::Cow;

use otlp_wire::{Any, Editor, Field, KeyValue, Message, schema};

use crate::Error;
use crate::config::{self, KeepAlive};
use crate::exceptions::Texts;
use crate::statement::Statements;
use names::SCOPES;
use span::Found;
pub(crate) use span::sqlstate;

/// Handles batches of spans.
#[derive(Debug)]
pub(crate) struct Traces {
    config: config::Traces,
    statements: Statements,
    texts: Texts,
}

impl Traces {
    pub(crate) fn new(config: config::Traces) -> Self {
        Self {
            statements: Statements::new(config.comments),
            texts: Texts::default(),
            config,
        }
    }

    pub(crate) fn process<'a>(&mut self, batch: &'a [u8]) -> Result<Cow<'a, [u8]>, Error> {
        if !self.config.enabled {
            return Ok(Cow::Borrowed(batch));
        }
        let mut editor = Editor::new(batch);
        let mut found = Vec::new();
        let parents = match self.config.keep_alive {
            KeepAlive::Drop => parents(editor.batch())?,
            KeepAlive::Keep | KeepAlive::Mark => Vec::new(),
        };
        for resource in editor.batch().fields() {
            let resource = resource?;
            if resource.number != schema::RESOURCES {
                continue;
            }
            editor.inside(&resource, |editor, message| {
                for scope in message.fields() {
                    let scope = scope?;
                    if scope.number == schema::resource::SCOPES {
                        editor.inside(&scope, |editor, message| {
                            self.scope(editor, message, &parents, &mut found)
                        })?;
                    }
                }
                Ok::<_, Error>(())
            })?;
        }
        Ok(editor.finish())
    }

    fn scope<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        scope: Message<'a>,
        parents: &[&[u8]],
        found: &mut Vec<Found<'a>>,
    ) -> Result<(), Error> {
        let known = self.is_known_scope(scope)?;
        for field in scope.fields() {
            let field = field?;
            if field.number != schema::scope::ITEMS
                || !(known || self.is_postgres(&field, schema::span::ATTRIBUTES)?)
            {
                continue;
            }
            if self.config.keep_alive == KeepAlive::Drop
                && self.is_droppable(&field, parents, found).unwrap_or(false)
            {
                editor.remove(&field);
            } else {
                self.span(editor, &field, found)?;
            }
        }
        Ok(())
    }

    /// Whether all spans of a scope are PostgreSQL's.
    fn is_known_scope(&self, scope: Message<'_>) -> Result<bool, Error> {
        let Some(scope) = scope.find(schema::scope::SCOPE)? else {
            return Ok(false);
        };
        let Some(name) = scope.message()?.find(schema::scope::NAME)? else {
            return Ok(false);
        };
        let name = name.bytes()?;
        let mut configured = self.config.scopes.iter();
        Ok(SCOPES.iter().any(|known| known.as_bytes() == name)
            || configured.any(|known| known.as_bytes() == name))
    }

    /// Whether a span or a log record, whose attributes have this number, says that it is PostgreSQL's.
    pub(crate) fn is_postgres(&self, item: &Field<'_>, attributes: u32) -> Result<bool, Error> {
        for field in item.message()?.fields() {
            let field = field?;
            if field.number != attributes {
                continue;
            }
            let attribute = field.message()?;
            if !names_a_system(attribute.bytes()) {
                continue;
            }
            let attribute = KeyValue::read(attribute)?;
            if matches!(attribute.key, b"db.system" | b"db.system.name")
                && let Any::Text(system) = attribute.any()?
                && self.is_system(system)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is_system(&self, name: &[u8]) -> bool {
        let mut systems = self.config.systems.iter();
        systems.any(|system| system.as_bytes().eq_ignore_ascii_case(name))
    }
}

/// The ids of all spans that are parents of spans in the batch, in order.
fn parents(batch: Message<'_>) -> Result<Vec<&[u8]>, Error> {
    let mut parents = Vec::new();
    for resource in batch.all(schema::RESOURCES) {
        for scope in resource?.message()?.all(schema::resource::SCOPES) {
            for span in scope?.message()?.all(schema::scope::ITEMS) {
                for parent in span?.message()?.all(schema::span::PARENT_SPAN_ID) {
                    parents.push(parent?.bytes()?);
                }
            }
        }
    }
    parents.sort_unstable();
    Ok(parents)
}

/// Whether a `KeyValue` may name a database system; not when it has another key, then its value, and
/// nothing else, as all encoders write it.
#[inline]
fn names_a_system(attribute: &[u8]) -> bool {
    let [0x0a, length @ 0..0x80, key @ ..] = attribute else {
        return true;
    };
    if key.starts_with(b"db.system") {
        return true;
    }
    let length = usize::from(*length);
    match key.get(length..) {
        Some([0x12, value @ 0..0x80, rest @ ..]) => rest.len() != usize::from(*value),
        Some([0x12, ..]) | None => true,
        Some([]) => false,
        Some(_) => true,
    }
}
