//! Reads the records of a batch some in front of those that are written: a message is complete when
//! its companion lines have come, and the receiver that read them may have put these into the next
//! scope or resource of the batch (filelog does after every hundred lines).

use otlp_wire::schema::resource::RESOURCE;
use otlp_wire::{Any, Field, Fields, KeyValue, Message, schema};
use pg_log::{Classes, Event, Format, Level, Unread};
use twox_hash::XxHash64;

use super::config::Logs;
use super::entry::{self, Found};
use super::level;
use super::sources::Sources;
use super::texts::{self, Room, Texts};
use super::window::{Joined, Line, Text, What, Window};
use crate::Error;
use crate::config::LogRedaction;
use crate::traces::Traces;
use crate::traces::around::{self, Named};

/// What is known before a batch is read.
pub(super) struct Known<'k> {
    pub(super) sources: &'k mut Sources,
    pub(super) config: &'k Logs,
    pub(super) classes: &'k Classes,
    pub(super) traces: &'k Traces,
}

/// The records of a batch that are wanted, and those between reading and writing.
#[derive(Debug)]
pub(super) struct Ahead<'a> {
    records: Records<'a>,
    window: Window<'a>,
    room: Room<'a>,
}

impl<'a> Ahead<'a> {
    pub(super) fn new(batch: Message<'a>, texts: &'a Texts) -> Self {
        Self {
            records: Records::new(batch),
            window: Window::default(),
            room: Room::new(texts),
        }
    }

    /// The next record, when no more will be joined to it.
    pub(super) fn next(&mut self, mut known: Known<'_>) -> Result<Option<Line<'a>>, Error> {
        loop {
            if let Some(line) = self.window.overflow() {
                return Ok(Some(line));
            }
            let Some(record) = self.records.next(&known)? else {
                return Ok(self.window.pop());
            };
            let read = self.read(&record, &mut known);
            let key = self.records.key;
            let (source, what) = read.unwrap_or_else(|error| (key, What::Malformed(error)));
            self.window.push(Line {
                record,
                source,
                what,
            });
        }
    }

    /// What a record is, and of which source.
    fn read(
        &mut self,
        record: &Field<'a>,
        known: &mut Known<'_>,
    ) -> Result<(u64, What<'a>), Error> {
        let found = entry::find(record.message()?, &known.config.keys)?;
        let source = XxHash64::oneshot(self.records.key, found.file);
        // What an entry was made of stays beside it where nothing is taken out.
        let again = found.is_reported && known.config.redaction == LogRedaction::Off;
        let text = found
            .text
            .text()
            .filter(|_| !(again && found.text.is_elsewhere()));
        let what = match text {
            Some(text) => {
                let inner = texts::unwrapped(text, &mut self.room);
                self.text(source, inner.unwrap_or(text), &found, known)
            }
            None => textless(&found, known.config),
        };
        let what = match (what, found.members.filter(|_| !again)) {
            (what @ (What::Event(_) | What::Joined(_)), _) | (what, None) => what,
            (_, Some(members)) => What::Members(members),
        };
        Ok((source, what))
    }

    fn text(
        &mut self,
        key: u64,
        text: &'a [u8],
        found: &Found<'a>,
        known: &mut Known<'_>,
    ) -> What<'a> {
        let source = known.sources.get(key);
        source.is_postgres |= self.records.named;
        let opened = source.stream.is_open();
        let mut read = source.parser.read(text, &mut source.stream);
        if let Ok((event, _)) = &read {
            if !std::mem::replace(&mut source.is_postgres, true) {
                self.window.withhold(key);
            }
            source.is_text = event.format == Format::Stderr;
        } else if found.may_lack_tab() && source.is_text {
            read = Err(Unread::Continuation);
        }
        let is_postgres = opened || source.is_postgres;
        let read = read.map(|(event, _)| event);
        let whole = pg_log::whole(text);
        let joined = whole.filter(|_| known.config.join);
        let joined = joined.and_then(|whole| self.join(key, &read, whole));
        let entry = |event, whole| {
            What::Event(Box::new(Text {
                event,
                text,
                whole,
                members: found.members.map(|members| members.place),
                joined: Joined::default(),
            }))
        };
        match (joined, read) {
            (Some(back), _) => What::Joined(back),
            (None, Ok(event)) => entry(event, whole),
            (None, Err(unread)) => {
                if found.is_described {
                    return What::Other;
                }
                let bare = unread == Unread::Foreign && found.members.is_none();
                let leveled = || level::event(text, found.level, is_postgres, known.classes);
                match bare.then(leveled).flatten() {
                    Some(event) => entry(event, None),
                    None => unread_text(text, unread, is_postgres, known.config),
                }
            }
        }
    }

    /// Joins a line to the one that it belongs to. How far in front that is, if it is there.
    fn join(
        &mut self,
        source: u64,
        read: &Result<Event<'a>, Unread>,
        whole: &'a [u8],
    ) -> Option<usize> {
        match read {
            Ok(event) if matches!(event.level, Level::Companion(_)) => {
                self.window.join_companion(source, event, whole)
            }
            Err(Unread::Continuation) => self.window.join_continuation(source, whole),
            _ => None,
        }
    }
}

/// What of a record without a text that may be an entry.
fn textless<'a>(found: &Found<'a>, config: &Logs) -> What<'a> {
    let is_known = found.is_described || found.is_reported || !found.has_body;
    match config.redaction == LogRedaction::Off || config.resources.is_empty() || is_known {
        true => What::Other,
        false => What::Withheld(b"", "unreadable"),
    }
}

/// What of a text that is no entry, or the server's but of no form that is known.
fn unread_text<'a>(text: &'a [u8], unread: Unread, is_postgres: bool, config: &Logs) -> What<'a> {
    let fault = match unread {
        Unread::Continuation => "continuation",
        Unread::Unreadable => "unreadable",
        Unread::Foreign if entry::is_json_entry(text) => "unreadable",
        // Nothing but the server's is in a resource that was named for it.
        Unread::Foreign if !config.resources.is_empty() => "unreadable",
        Unread::Foreign => return What::Other,
    };
    match config.redaction {
        LogRedaction::Off => What::Other,
        _ if is_postgres || unread == Unread::Foreign => What::Withheld(text, fault),
        _ => What::Doubtful(text, fault),
    }
}

/// The records of a batch, one behind the other.
#[derive(Debug)]
struct Records<'a> {
    resources: Fields<'a>,
    scopes: Fields<'a>,
    records: Fields<'a>,
    /// Of the resource.
    key: u64,
    /// It names PostgreSQL.
    named: bool,
}

impl<'a> Records<'a> {
    fn new(batch: Message<'a>) -> Self {
        let none = Message::new(b"");
        Self {
            resources: batch.fields(),
            scopes: none.fields(),
            records: none.fields(),
            key: 0,
            named: false,
        }
    }

    /// The next record of a resource that is wanted.
    fn next(&mut self, known: &Known<'_>) -> Result<Option<Field<'a>>, Error> {
        loop {
            if let Some(record) = next_of(&mut self.records, schema::scope::ITEMS)? {
                return Ok(Some(record));
            }
            if let Some(scope) = next_of(&mut self.scopes, schema::resource::SCOPES)? {
                self.records = scope.message()?.fields();
                continue;
            }
            let Some(resource) = next_of(&mut self.resources, schema::RESOURCES)? else {
                return Ok(None);
            };
            let message = resource.message()?;
            if is_wanted(message, known.config)? {
                let named = known.traces.named_in(message, RESOURCE, &around::RESOURCE);
                self.named = named == Named::Postgres;
                let resource = message.find(RESOURCE)?;
                let resource = resource.map(|field| field.message()).transpose()?;
                self.key = XxHash64::oneshot(0, resource.map_or(b"", Message::bytes));
                self.scopes = message.fields();
            }
        }
    }
}

fn next_of<'a>(fields: &mut Fields<'a>, number: u32) -> Result<Option<Field<'a>>, Error> {
    for field in fields {
        let field = field?;
        if field.number == number {
            return Ok(Some(field));
        }
    }
    Ok(None)
}

/// Whether the resource of a `ResourceLogs` is one of those that are configured.
pub(super) fn is_wanted(message: Message<'_>, config: &Logs) -> Result<bool, Error> {
    if config.resources.is_empty() {
        return Ok(true);
    }
    let Some(resource) = message.find(RESOURCE)? else {
        return Ok(false);
    };
    for attribute in resource.message()?.all(schema::resource::ATTRIBUTES) {
        let attribute = KeyValue::read(attribute?.message()?)?;
        let values = std::str::from_utf8(attribute.key)
            .ok()
            .and_then(|key| config.resources.get(key));
        if let (Some(values), Any::Text(text)) = (values, attribute.any()?)
            && values.iter().any(|value| value.as_bytes() == text)
        {
            return Ok(true);
        }
    }
    Ok(false)
}
