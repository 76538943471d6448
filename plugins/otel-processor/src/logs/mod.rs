//! Log records: which are entries of PostgreSQL's log, and what becomes of them.
//!
//! ```text
//!  LogRecord -> entry (its text, or its members) -> pg_log::Parser -> window (companion lines to their
//!  message) -> pg_log::Reporter -> record (fields and attributes)
//! ```
//!
//! What was learned of a log is kept by `sources`. A record that is none, but says that it is about a
//! statement of PostgreSQL's, as the events of the Collector's `postgresqlreceiver` do, is given to
//! `traces`, which knows such attributes.

pub(crate) mod config;
mod entry;
mod record;
mod sources;
mod window;

use std::borrow::Cow;

use otlp_wire::{Any, Editor, Field, KeyValue, Message, schema};
use pg_log::json::{Kind, Member};
use pg_log::{Event, Level, Reader, Reporter, Unread};
use twox_hash::XxHash64;

use crate::Error;
use crate::config::LogRedaction;
use crate::traces::Traces;
use entry::{Entry, Found};
use record::Said;
use sources::Sources;
use window::{Line, What, Window};

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
        traces: &mut Traces,
    ) -> Result<Cow<'a, [u8]>, Error> {
        if !self.config.enabled {
            return Ok(Cow::Borrowed(batch));
        }
        let mut editor = Editor::new(batch);
        for resource in editor.batch().all(schema::RESOURCES) {
            editor.inside(&resource?, |editor, message| {
                let resource = message.find(schema::resource::RESOURCE)?;
                let resource = resource.map(|field| field.message()).transpose()?;
                if !self.is_wanted(resource)? {
                    return Ok(());
                }
                let key = XxHash64::oneshot(0, resource.map_or(b"", Message::bytes));
                for scope in message.all(schema::resource::SCOPES) {
                    editor.inside(&scope?, |editor, scope| {
                        self.scope(editor, scope, key, traces)
                    })?;
                }
                Ok::<_, Error>(())
            })?;
        }
        Ok(editor.finish())
    }

    /// Whether a resource is one of those that are configured.
    fn is_wanted(&self, resource: Option<Message<'_>>) -> Result<bool, Error> {
        if self.config.resources.is_empty() {
            return Ok(true);
        }
        let Some(resource) = resource else {
            return Ok(false);
        };
        for attribute in resource.all(schema::resource::ATTRIBUTES) {
            let attribute = KeyValue::read(attribute?.message()?)?;
            let values = std::str::from_utf8(attribute.key)
                .ok()
                .and_then(|key| self.config.resources.get(key));
            if let (Some(values), Any::Text(text)) = (values, attribute.any()?)
                && values.iter().any(|value| value.as_bytes() == text)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn scope<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        scope: Message<'a>,
        resource: u64,
        traces: &mut Traces,
    ) -> Result<(), Error> {
        let mut window = Window::default();
        for record in scope.all(schema::scope::ITEMS) {
            let record = record?;
            match self.record(editor, &record, resource, &mut window) {
                Ok(true) => {}
                Ok(false) => self.statement(editor, &record, traces)?,
                Err(Error::Malformed(error)) => record::strip(editor, &record, error)?,
            }
        }
        while let Some(line) = window.pop() {
            self.finish(editor, line)?;
        }
        Ok(())
    }

    /// Handles a record that has an entry of the log. `false` if it has none.
    fn record<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        record: &Field<'a>,
        resource: u64,
        window: &mut Window<'a>,
    ) -> Result<bool, Error> {
        let Found { entry, file } = entry::find(record.message()?, &self.config.keys)?;
        let Some(entry) = entry else {
            return Ok(false);
        };
        let source = self.sources.place(XxHash64::oneshot(resource, file));
        match entry {
            Entry::Text(text) => self.text(editor, record, (source, text), window),
            Entry::Members(members, number) => {
                let mut json = vec![b'{'];
                entry::write_members(members, number, 0, &mut json)?;
                json.push(b'}');
                self.object(editor, record, source, (entry, &json))
            }
        }
    }

    /// An entry whose members somebody has taken apart, put together again.
    fn object<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        record: &Field<'a>,
        source: usize,
        (entry, json): (Entry<'a>, &[u8]),
    ) -> Result<bool, Error> {
        let Some(source) = self.sources.get(source) else {
            return Ok(false);
        };
        let Some((event, _)) = source.parser.parse(json) else {
            return Ok(false);
        };
        self.said.clear();
        self.reporter
            .report(&event, &mut source.memory, &mut self.said);
        let mark = editor.mark();
        let written = record::write(editor, record, entry, &self.said, self.config.redaction);
        if written.is_err() {
            editor.roll_back(mark);
        }
        Ok(written.map(|()| true)?)
    }

    fn text<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        record: &Field<'a>,
        (place, text): (usize, &'a [u8]),
        window: &mut Window<'a>,
    ) -> Result<bool, Error> {
        let Some(source) = self.sources.get(place) else {
            return Ok(false);
        };
        let opened = source.stream.is_open();
        let read = source.parser.read(text, &mut source.stream);
        source.is_postgres |= read.is_ok();
        let whole = pg_log::whole(text);
        let joined = whole
            .filter(|_| self.config.join)
            .and_then(|whole| match &read {
                Ok((event, _)) if matches!(event.level, Level::Companion(_)) => {
                    window.join_companion(place, event, whole)
                }
                Err(Unread::Continuation) => window.join_continuation(place, whole),
                _ => None,
            });
        let redacts = self.config.redaction != LogRedaction::Off;
        let withholds = redacts && (opened || source.is_postgres);
        let what = match (joined, read) {
            (Some(back), _) => What::Joined(back),
            (None, Ok((event, _))) => What::Event(Box::new(event), Vec::new()),
            (None, Err(Unread::Continuation)) if withholds => What::Withheld("continuation"),
            (None, Err(Unread::Unreadable)) if withholds => What::Withheld("unreadable"),
            (None, Err(_)) => return Ok(false),
        };
        let complete = window.push(Line {
            record: *record,
            text,
            whole,
            source: place,
            what,
        });
        if let Some(complete) = complete {
            self.finish(editor, complete)?;
        }
        Ok(true)
    }

    /// Writes a line to which no more will be joined.
    fn finish<'a>(&mut self, editor: &mut Editor<'a>, line: Line<'a>) -> Result<(), Error> {
        let Line {
            record,
            text,
            whole,
            source,
            what,
        } = line;
        let mark = editor.mark();
        let finished = match what {
            What::Joined(_) => {
                editor.remove(&record);
                Ok(())
            }
            What::Withheld(fault) => {
                self.said.clear();
                self.said.withhold(fault);
                self.write(editor, &record, text)
            }
            What::Event(event, joined) if joined.is_empty() => {
                self.report(source, &event);
                self.write(editor, &record, text)
            }
            What::Event(event, joined) => {
                let whole = [&[whole.unwrap_or(text)], joined.as_slice()].concat();
                let whole = whole.join(&b'\n');
                let parser = self.sources.get(source).map(|source| &mut source.parser);
                let parsed = parser.and_then(|parser| parser.parse(&whole));
                match parsed {
                    Some((event, _)) => self.report(source, &event),
                    None => self.report(source, &event),
                }
                self.write(editor, &record, text)
            }
        };
        if let Err(error) = finished {
            editor.roll_back(mark);
            record::strip(editor, &record, error)?;
        }
        Ok(())
    }

    fn report(&mut self, source: usize, event: &Event<'_>) {
        self.said.clear();
        if let Some(source) = self.sources.get(source) {
            self.reporter
                .report(event, &mut source.memory, &mut self.said);
        }
    }

    fn write<'a>(
        &self,
        editor: &mut Editor<'a>,
        record: &Field<'a>,
        text: &'a [u8],
    ) -> Result<(), otlp_wire::Error> {
        let entry = Entry::Text(text);
        record::write(editor, record, entry, &self.said, self.config.redaction)
    }

    /// Handles a record that is no entry of the log, but may be about a statement.
    fn statement<'a>(
        &self,
        editor: &mut Editor<'a>,
        record: &Field<'a>,
        traces: &mut Traces,
    ) -> Result<(), Error> {
        if !traces.is_postgres(record, schema::log_record::ATTRIBUTES)? {
            return Ok(());
        }
        let mark = editor.mark();
        if let Err(Error::Malformed(error)) = traces.log_record(editor, record) {
            editor.roll_back(mark);
            record::strip(editor, record, error)?;
        }
        Ok(())
    }
}

/// Whether a member of this name belongs to an entry that was taken apart.
fn is_member(key: &[u8]) -> bool {
    let kinds = [Kind::String, Kind::Object];
    kinds.into_iter().any(|kind| {
        Reader::default().take(Member {
            key,
            value: b"",
            kind,
        })
    })
}
