//! Log records: which are entries of PostgreSQL's log, and what becomes of them.
//!
//! ```text
//!  LogRecord -> entry (its text, or its members) -> pg_log::Parser -> window (companion lines to their
//!  message) -> pg_log::Reporter -> record (fields and attributes)
//! ```
//!
//! `ahead` reads the records up to the window, some in front of those that are written here. What was
//! learned of a log is kept by `sources`. A record that is none, but says that it is about a statement
//! of PostgreSQL's, as the events of the Collector's `postgresqlreceiver` do, or stands in a resource or
//! scope that does, is given to `traces`, which knows such attributes.

mod ahead;
pub(crate) mod config;
mod entry;
mod level;
mod record;
mod sources;
mod texts;
mod window;

use std::borrow::Cow;

use otlp_wire::{Editor, Field, Message, schema};
use pg_log::{Class, Event, Reporter};

use crate::Error;
use crate::config::LogRedaction;
use crate::traces::Traces;
use crate::traces::around::{Named, RESOURCE, SCOPE};
use ahead::{Ahead, Known};
use entry::{Entry, Members, Place};
use record::{Said, Taken};
use sources::Sources;
use texts::Texts;
use window::{Line, What};

/// Handles batches of log records.
#[derive(Debug)]
pub(crate) struct Logs {
    config: config::Logs,
    reporter: Reporter,
    sources: Sources,
    /// Room for what is said of one record.
    said: Said,
}

impl Logs {
    pub(crate) fn new(config: config::Logs) -> Self {
        Self {
            reporter: Reporter::new(config.report_options()),
            sources: Sources::new(
                config.compiled_prefix(),
                config.prefix.is_some() || !config.resources.is_empty(),
            ),
            said: Said::default(),
            config,
        }
    }

    pub(crate) fn process<'a>(
        &mut self,
        batch: &'a [u8],
        room: &mut Vec<u8>,
        traces: &mut Traces,
    ) -> Result<Cow<'a, [u8]>, Error> {
        if !self.config.enabled {
            return Ok(Cow::Borrowed(batch));
        }
        let texts = Texts::default();
        let handled = self.edit(batch, &texts, room, traces)?;
        Ok(handled.map_or(Cow::Borrowed(batch), Cow::Owned))
    }

    /// What a batch becomes; `None` if it stays.
    fn edit(
        &mut self,
        batch: &[u8],
        texts: &Texts,
        room: &mut Vec<u8>,
        traces: &mut Traces,
    ) -> Result<Option<Vec<u8>>, Error> {
        let mut editor = Editor::with_room(batch, std::mem::take(room));
        let mut ahead = Ahead::new(editor.batch(), texts);
        for resource in editor.batch().all(schema::RESOURCES) {
            let resource = resource?;
            if !ahead::is_wanted(resource.message()?, &self.config)? {
                continue;
            }
            editor.inside(&resource, |editor, message| {
                let named = traces.named_in(message, schema::resource::RESOURCE, &RESOURCE);
                for field in message.fields() {
                    let field = field?;
                    match field.number {
                        schema::resource::RESOURCE if self.redacts() => {
                            traces.around(editor, &field, (&RESOURCE, named));
                        }
                        schema::resource::SCOPES => editor.inside(&field, |editor, scope| {
                            self.scope(editor, (scope, named), &mut ahead, traces)
                        })?,
                        _ => {}
                    }
                }
                Ok::<_, Error>(())
            })?;
        }
        let (handled, unused) = editor.finish_with_room();
        *room = unused;
        Ok(match handled {
            Cow::Borrowed(_) => None,
            Cow::Owned(handled) => Some(handled),
        })
    }

    fn scope<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        (scope, named): (Message<'a>, Named),
        ahead: &mut Ahead<'a>,
        traces: &mut Traces,
    ) -> Result<(), Error> {
        let named = traces
            .named_in(scope, schema::scope::SCOPE, &SCOPE)
            .or(named);
        for field in scope.fields() {
            let field = field?;
            match field.number {
                schema::scope::SCOPE if self.redacts() => {
                    traces.around(editor, &field, (&SCOPE, named));
                }
                schema::scope::ITEMS => {
                    let known = Known {
                        sources: &mut self.sources,
                        config: &self.config,
                        classes: self.reporter.classes(),
                        traces,
                    };
                    if let Some(line) = ahead.next(known)? {
                        self.write(editor, (line, named), traces)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn redacts(&self) -> bool {
        self.config.redaction != LogRedaction::Off
    }

    /// Writes a record to which no more will be joined.
    fn write<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        (line, named): (Line<'a>, Named),
        traces: &mut Traces,
    ) -> Result<(), Error> {
        let record = line.record;
        let mark = editor.mark();
        let written = self.try_write(editor, (line, named), traces);
        if let Err(Error::Malformed(error)) = written {
            editor.roll_back(mark);
            let known = (&*traces, self.config.hidden());
            record::strip(editor, &record, known, error);
        }
        Ok(())
    }

    fn try_write<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        (line, named): (Line<'a>, Named),
        traces: &mut Traces,
    ) -> Result<(), Error> {
        let Line {
            record,
            source,
            what,
        } = line;
        match what {
            What::Joined(_) => {
                editor.remove(&record);
                Ok(())
            }
            What::Malformed(error) => Err(error),
            What::Other | What::Doubtful(..) => self.statement(editor, (&record, named), traces),
            What::Members(members) => {
                match self.members(editor, &record, (source, members), traces)? {
                    true => Ok(()),
                    false => self.statement(editor, (&record, named), traces),
                }
            }
            What::Withheld(text, fault) => {
                self.said.withhold(fault);
                let entry = Entry {
                    text,
                    members: text.is_empty().then_some(Place::Withheld),
                };
                self.put(editor, &record, (entry, None), traces)
            }
            What::Event(text) if !text.joined.is_unread => {
                self.report(source, &text.event);
                self.put(editor, &record, (text.entry(), Some(&text.event)), traces)
            }
            What::Event(text) => {
                let first = text.whole.unwrap_or(text.text);
                let whole = [&[first], text.joined.parts.as_slice()].concat().concat();
                let parsed = self.sources.get(source).parser.parse(&whole);
                let event = parsed.map(|(event, _)| event);
                let event = event.as_ref().unwrap_or(&text.event);
                self.report(source, event);
                self.put(editor, &record, (text.entry(), Some(event)), traces)
            }
        }
    }

    /// An entry whose members somebody has taken apart, put together again. `false` if it is none.
    fn members<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        record: &Field<'a>,
        (source, members): (u64, Members<'a>),
        traces: &mut Traces,
    ) -> Result<bool, Error> {
        let mut json = vec![b'{'];
        entry::write_members(members.message, members.number, 0, &mut json)?;
        json.push(b'}');
        let parsed = self.sources.get(source).parser.parse(&json);
        let event = parsed.map(|(event, _)| event);
        match &event {
            Some(event) => {
                self.report(source, event);
            }
            // Of no severity that is known, but nobody else's.
            None if self.redacts() && entry::is_json_entry(&json) => {
                self.said.withhold("unreadable");
            }
            None => return Ok(false),
        }
        let entry = Entry {
            text: b"",
            members: Some(members.place),
        };
        self.put(editor, record, (entry, event.as_ref()), traces)?;
        Ok(true)
    }

    fn report(&mut self, source: u64, event: &Event<'_>) {
        self.said.clear(Some(event));
        let memory = &mut self.sources.get(source).memory;
        let class = self.reporter.report(event, memory, &mut self.said);
        if let Some(code) = class.and_then(Class::sqlstate) {
            self.said.set_sqlstate(code);
        }
    }

    fn put<'a>(
        &self,
        editor: &mut Editor<'a>,
        record: &Field<'a>,
        (entry, event): (Entry<'a>, Option<&Event<'_>>),
        traces: &mut Traces,
    ) -> Result<(), Error> {
        let taken = Taken {
            entry,
            event,
            said: &self.said,
            redaction: self.config.redaction,
            hidden: self.config.hidden(),
        };
        record::write(editor, record, &taken, traces)
    }

    /// Handles a record that is no entry of the log, but may be about a statement, or about an error that
    /// one has raised in an application.
    fn statement<'a>(
        &self,
        editor: &mut Editor<'a>,
        (record, named): (&Field<'a>, Named),
        traces: &mut Traces,
    ) -> Result<(), Error> {
        match traces.is_postgres(record.message()?, named)? {
            true => {
                let options = (self.config.redaction, self.config.hidden());
                traces.log_record(editor, record, options)
            }
            false if !self.redacts() => Ok(()),
            false => traces.foreign_record(editor, record),
        }
    }
}
