//! Spans: which are PostgreSQL's, and what becomes of them.
//!
//! A batch is walked once. Of a span that is not PostgreSQL's only the names of its attributes are
//! read, and what it says of errors (`foreign`); `span` handles one that is, and `strip` one that cannot
//! be read.

mod added;
pub(crate) mod around;
mod attributes;
mod foreign;
pub(crate) mod names;
mod passing;
mod record;
mod span;
mod strip;
mod values;

use std::borrow::Cow;

use otlp_wire::{Any, Editor, Field, KeyValue, Message, schema};

use crate::Error;
use crate::bounded::{Bounded, hash};
use crate::config::{self, KeepAlive};
use crate::exceptions::Texts;
use crate::places::is_same;
use crate::statement::{Options, Statements};
use around::{Named, RESOURCE, SCOPE};
pub(crate) use attributes::{Parts, sqlstate};
use passing::Known;
pub(crate) use record::is_hidden;
use span::SPAN;

/// Handles batches of spans.
#[derive(Debug)]
pub(crate) struct Traces {
    config: config::Traces,
    signs: Signs,
    statements: Statements,
    texts: Texts,
    /// Attributes that pass.
    passing: Known,
}

/// What is known of a scope so far.
struct Scope {
    /// All of its spans are PostgreSQL's.
    known: bool,
    /// What is named around it: of PostgreSQL is then each span that has an attribute of a database's.
    within: Named,
    /// One was taken for somebody else's.
    passed: bool,
    /// So many of PostgreSQL's stand one behind the other.
    run: u32,
}

/// From so many spans of PostgreSQL's on, the next one is likely to be one.
const LONG_RUN: u32 = 3;

/// Whose a span or a log record is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Whose {
    Postgres,
    /// Somebody else's, and whether it has events or a status with a text: it may tell of an error.
    Others {
        may_fail: bool,
    },
}

impl Traces {
    pub(crate) fn new(config: config::Traces) -> Self {
        Self {
            signs: Signs::new(&config.signs),
            statements: Statements::new(Options {
                comments: config.comments,
                names: config.names_from_text,
                upkeep: config.keep_alive != KeepAlive::Keep,
            }),
            texts: Texts::default(),
            passing: Known::default(),
            config,
        }
    }

    pub(crate) fn process<'a>(
        &mut self,
        batch: &'a [u8],
        room: &mut Vec<u8>,
    ) -> Result<Cow<'a, [u8]>, Error> {
        if !self.config.enabled {
            return Ok(Cow::Borrowed(batch));
        }
        let mut editor = Editor::with_room(batch, std::mem::take(room));
        let mut parts = Parts::default();
        let parents = match self.config.keep_alive {
            KeepAlive::Drop => parents(editor.batch())?,
            KeepAlive::Keep | KeepAlive::Mark => Bounded::new(0),
        };
        for resource in editor.batch().all(schema::RESOURCES) {
            editor.inside(&resource?, |editor, message| {
                let within = self.named_in(message, schema::resource::RESOURCE, &RESOURCE);
                for field in message.fields() {
                    let field = field?;
                    match field.number {
                        schema::resource::RESOURCE => {
                            self.around(editor, &field, (&RESOURCE, within));
                        }
                        schema::resource::SCOPES => editor.inside(&field, |editor, message| {
                            self.scope(editor, message, (within, &parents), &mut parts)
                        })?,
                        _ => {}
                    }
                }
                Ok::<_, Error>(())
            })?;
        }
        let (handled, unused) = editor.finish_with_room();
        *room = unused;
        Ok(handled)
    }

    fn scope<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        scope: Message<'a>,
        (within, parents): (Named, &Bounded<u64>),
        parts: &mut Parts<'a>,
    ) -> Result<(), Error> {
        let mark = editor.mark();
        let mut read = Scope {
            known: false,
            within,
            passed: false,
            run: 0,
        };
        self.spans(editor, scope, (&mut read, parents), parts)?;
        // Some encoders name the scope behind its spans.
        if read.passed && (read.known || read.within != within) {
            editor.roll_back(mark);
            self.spans(editor, scope, (&mut read, parents), parts)?;
        }
        Ok(())
    }

    fn spans<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        scope: Message<'a>,
        (read, parents): (&mut Scope, &Bounded<u64>),
        parts: &mut Parts<'a>,
    ) -> Result<(), Error> {
        for field in scope.fields_in_place() {
            let field = field?;
            match field.number {
                schema::scope::ITEMS => {
                    let mark = editor.mark();
                    let edited = self.item(editor, &field, (read, parents), parts);
                    if let Err(Error::Malformed(error)) = edited {
                        editor.roll_back(mark);
                        self.strip(editor, &field, error);
                    }
                }
                schema::scope::SCOPE => {
                    read.known |= self.is_known_scope(&field);
                    read.within = self.named(&field, &SCOPE).or(read.within);
                    self.around(editor, &field, (&SCOPE, read.within));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Handles a span, whosever it is.
    fn item<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        field: &Field<'a>,
        (read, parents): (&mut Scope, &Bounded<u64>),
        parts: &mut Parts<'a>,
    ) -> Result<(), Error> {
        let span = field.message()?;
        // Spans of one kind come together: what is PostgreSQL's for all we know is not looked at twice.
        let mut collected = read.known || read.run >= LONG_RUN;
        if collected && let Err(error) = self.collect(span, &SPAN, parts) {
            if read.known {
                return Err(error);
            }
            collected = false;
        }
        let whose = match read.known || (collected && parts.is_postgres) {
            true => Whose::Postgres,
            false => self.whose(
                span,
                schema::span::ATTRIBUTES,
                (read.within == Named::Postgres, false),
            )?,
        };
        if whose != Whose::Postgres {
            read.run = 0;
            read.passed = true;
        } else if !std::mem::replace(&mut collected, true) {
            read.run = read.run.saturating_add(1);
            self.collect(span, &SPAN, parts)?;
        }
        match whose {
            Whose::Others { may_fail: false } => Ok(()),
            Whose::Others { may_fail: true } => self.foreign(editor, field, parts),
            Whose::Postgres
                if self.config.keep_alive == KeepAlive::Drop
                    && self.is_droppable(span, parents, parts)? =>
            {
                editor.remove(field);
                Ok(())
            }
            Whose::Postgres => self.span(editor, field, parts),
        }
    }

    /// Whether a log record says that it is about PostgreSQL, or what is around it does and the record
    /// does not say otherwise.
    pub(crate) fn is_postgres(&self, record: Message<'_>, within: Named) -> Result<bool, Error> {
        let within = within == Named::Postgres;
        let whose = self.whose(record, schema::log_record::ATTRIBUTES, (within, within))?;
        Ok(whose == Whose::Postgres)
    }

    /// Whose a span or a log record is, whose attributes have this number: PostgreSQL's by the system
    /// that it names, or, if it names none, by an attribute that only statements have, or any of
    /// a database's `within` what names PostgreSQL. It may be `signed` by what it stands in.
    fn whose(
        &self,
        item: Message<'_>,
        attributes: u32,
        (within, mut signed): (bool, bool),
    ) -> Result<Whose, Error> {
        let mut may_fail = false;
        let mut named = false;
        for field in item.fields_in_place() {
            let field = field?;
            if field.number != attributes {
                may_fail |= match field.number {
                    schema::span::EVENTS => true,
                    // A code and nothing else takes two bytes; the Collector writes empty ones, too.
                    schema::span::STATUS => field.bytes()?.len() > 2,
                    _ => false,
                };
                continue;
            }
            let attribute = KeyValue::read(field.message()?)?;
            // Most names do not begin like one that says something.
            if !self.signs.may_be_one(attribute.key) {
                continue;
            }
            match attribute.key {
                // OpenTracing's; of most other databases it says `sql`, which says nothing.
                b"db.type" if matches!(attribute.any()?, Any::Text(system) if self.is_system(system)) =>
                {
                    return Ok(Whose::Postgres);
                }
                [b'd', b'b', b'.', b's', ..] if names::is_system(attribute.key) => {
                    named = true;
                    if let Any::Text(system) = attribute.any()?
                        && self.is_system(system)
                    {
                        return Ok(Whose::Postgres);
                    }
                }
                [b'd', b'b', b'.', ..] if within => signed = true,
                name => {
                    may_fail |= matches!(name, [b'e', b'r' | b'x', ..]);
                    signed = signed || self.signs.is_one(name);
                }
            }
        }
        Ok(match signed && !named {
            true => Whose::Postgres,
            false => Whose::Others { may_fail },
        })
    }

    fn is_system(&self, name: &[u8]) -> bool {
        let mut systems = self.config.systems.iter();
        systems.any(|system| {
            is_same(system.as_bytes(), name) || system.as_bytes().eq_ignore_ascii_case(name)
        })
    }
}

/// Beginnings of names that only a statement's span has.
#[derive(Debug)]
struct Signs {
    /// One bit for each byte that one begins with, or what else tells whose a span is: `db.`, `error`.
    letters: [u64; 4],
    beginnings: Vec<String>,
}

impl Signs {
    fn new(beginnings: &[String]) -> Self {
        let mut letters = [0; 4];
        let firsts = beginnings.iter().filter_map(|one| one.as_bytes().first());
        for first in firsts.chain(b"de") {
            if let Some(bits) = letters.get_mut(usize::from(first >> 6)) {
                *bits |= 1_u64.wrapping_shl(u32::from(*first));
            }
        }
        Self {
            letters,
            beginnings: beginnings.to_vec(),
        }
    }

    #[inline(always)]
    fn may_be_one(&self, name: &[u8]) -> bool {
        let Some(first) = name.first() else {
            return false;
        };
        let bits = self.letters.get(usize::from(first >> 6)).copied();
        bits.unwrap_or(0).wrapping_shr(u32::from(*first)) & 1 == 1
    }

    fn is_one(&self, name: &[u8]) -> bool {
        let mut beginnings = self.beginnings.iter();
        beginnings.any(|sign| name.starts_with(sign.as_bytes()))
    }
}

/// The ids of all spans that are parents of spans in the batch.
fn parents(batch: Message<'_>) -> Result<Bounded<u64>, Error> {
    let mut parents = Bounded::new(usize::MAX);
    for resource in batch.all(schema::RESOURCES) {
        for scope in resource?.message()?.all(schema::resource::SCOPES) {
            for span in scope?.message()?.all(schema::scope::ITEMS) {
                // What cannot be read of a span says nothing.
                let fields = span?.message().into_iter().flat_map(Message::fields);
                for field in fields.flatten() {
                    if field.number == schema::span::PARENT_SPAN_ID
                        && let Ok(id) = field.bytes()
                    {
                        parents.set(hash(0, id), 1);
                    }
                }
            }
        }
    }
    Ok(parents)
}
