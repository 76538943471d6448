//! What stands around spans, log records and metrics: `Resource` and `InstrumentationScope`. What all of
//! them have in common may have been moved there, the system's name and a statement as well as the
//! address that the application connects to.

use otlp_wire::{Any, Editor, Field, KeyValue, Message, schema};

use super::Traces;
use super::attributes::{Found, Layout, Parts};
use super::names::{self, Role, SCOPES};
use super::values::has_text;
use crate::Error;
use crate::lists::is_any;
use crate::suspects::{find, holds_password};

/// Which of the two something is: where its attributes are.
pub(crate) const RESOURCE: Layout = Layout {
    attributes: schema::resource::ATTRIBUTES,
    others: 0,
};
pub(crate) const SCOPE: Layout = Layout {
    attributes: schema::scope::ATTRIBUTES,
    others: 0,
};

/// Which system a `Resource` or `InstrumentationScope` names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Named {
    None,
    Postgres,
    Other,
}

impl Named {
    /// What counts inside: its own name, or else that of what it stands in.
    pub(crate) fn or(self, outer: Self) -> Self {
        match self {
            Self::None => outer,
            own => own,
        }
    }
}

impl Traces {
    /// The system that is named in the message of this number. What cannot be read names nothing.
    pub(crate) fn named_in(&self, message: Message<'_>, number: u32, layout: &Layout) -> Named {
        let field = message.find(number);
        field
            .ok()
            .flatten()
            .map_or(Named::None, |field| self.named(&field, layout))
    }

    /// The system that a `Resource` or `InstrumentationScope` names, a scope also by its own name.
    pub(super) fn named(&self, field: &Field<'_>, layout: &Layout) -> Named {
        if layout.attributes == SCOPE.attributes && self.is_known_scope(field) {
            return Named::Postgres;
        }
        let mut named = Named::None;
        let attributes = field.message().map(|it| it.all(layout.attributes));
        for attribute in attributes.into_iter().flatten().flatten() {
            let read = attribute.message().and_then(KeyValue::read);
            let system = read.ok().filter(|read| names::is_system(read.key));
            named = match system.map(|system| system.any()) {
                None => named,
                Some(Ok(Any::Text(name))) if self.is_system(name) => return Named::Postgres,
                Some(_) => Named::Other,
            };
        }
        named
    }

    /// Whether all spans of an `InstrumentationScope` are PostgreSQL's.
    pub(super) fn is_known_scope(&self, scope: &Field<'_>) -> bool {
        let name = scope_name(scope);
        let mut configured = self.config.scopes.iter();
        is_any(name, &SCOPES) || configured.any(|known| known.as_bytes() == name)
    }

    /// Takes the data out of the attributes of a `Resource` or `InstrumentationScope`, where it is
    /// PostgreSQL's for all that is known. What cannot be read is taken out.
    pub(crate) fn around<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        field: &Field<'a>,
        (layout, named): (&Layout, Named),
    ) {
        if named == Named::Other {
            return;
        }
        let mark = editor.mark();
        let edited = editor.inside(field, |editor, message| {
            self.attributes_around(editor, message, (layout, named))
        });
        if let Err(Error::Malformed(error)) = edited {
            editor.roll_back(mark);
            self.strip_around(editor, field, (layout, error));
        }
    }

    fn attributes_around<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        message: Message<'a>,
        (layout, named): (&Layout, Named),
    ) -> Result<(), Error> {
        let mut parts = Parts::default();
        let mut lost = self.collect_readable(message, layout, &mut parts)?;
        let found = &parts.found;
        for (field, place) in &parts.fields {
            let Some(place) = *place else {
                editor.remove(field);
                continue;
            };
            let mut one = found.get(place).into_iter();
            if one.any(|one| is_of_a_database(one, named)) {
                lost = lost.or(self.attribute_or_none(editor, (found, place)));
            }
        }
        Self::say_lost(editor, (message, layout.attributes), (lost, parts.present));
        Ok(())
    }

    /// A `Resource` that stands alone, without its data.
    pub(crate) fn resource(&mut self, resource: &[u8]) -> Vec<u8> {
        let mut alone = Vec::new();
        otlp_wire::Writer::new(&mut alone).bytes(schema::resource::RESOURCE, resource);
        let mut editor = Editor::new(&alone);
        let field = editor.batch().fields().next();
        if let Some(Ok(field)) = field {
            let named = self.named(&field, &RESOURCE);
            self.around(&mut editor, &field, (&RESOURCE, named));
        }
        editor.finish().into_owned()
    }
}

/// The name of an `InstrumentationScope`.
fn scope_name<'a>(scope: &Field<'a>) -> &'a [u8] {
    let name = scope
        .message()
        .and_then(|scope| scope.find(schema::scope::NAME));
    name.ok()
        .flatten()
        .and_then(|name| name.bytes().ok())
        .unwrap_or_default()
}

/// Whether an attribute tells of a database, and more than a name: its own name says so, or what names
/// PostgreSQL around it, or an address of PostgreSQL's in it.
fn is_of_a_database(one: &Found<'_>, named: Named) -> bool {
    let key = one.attribute.key;
    let is_postgres = || named == Named::Postgres || names_postgres(key);
    match one.meaning.role {
        Role::Plain | Role::System => false,
        _ if key.starts_with(b"db.") => true,
        Role::Credentials | Role::Address => {
            is_postgres() || has_text(one.value, &names_postgres, 0)
        }
        Role::Query | Role::Plan | Role::Companion(_) | Role::Unknown if is_postgres() => true,
        // Of a process the command line, and its parts.
        Role::Query | Role::Words | Role::BindValue | Role::Unknown => {
            let is_address = |text: &[u8]| {
                holds_password(text) && (named == Named::Postgres || names_postgres(text))
            };
            has_text(one.value, &is_address, 0)
        }
        _ => false,
    }
}

/// Names of its programs, and of what libpq reads in the environment.
const NAMES: [&[u8]; 3] = [b"postgres", b"psql", b"pgpass"];

fn names_postgres(text: &[u8]) -> bool {
    NAMES.iter().any(|name| find(text, name).is_some())
}
