//! From one record to the next.
//!
//! A record is a JSON object. The entry stands in a member as text (a line of stderr, a csvlog row, a
//! jsonlog or CloudNativePG object), or the host has taken a JSON entry apart and its members are the
//! record's own. What is not PostgreSQL's passes as it is.

mod counters;
mod unread;
mod wanted;

pub use counters::Counters;

use pg_log::json::{self, Kind, Member, Members, is_utf8, unescape};
use pg_log::{Event, Memory, Parser, Reader, Reporter, Sink, Stream, Unread, is_same};

use counters::count;
use wanted::Wanted;

use crate::config::{self, Config, NameStyle, Object, Preset};
use crate::output::{Output, Place, Style};
use crate::parts::Parts;
use crate::streams::{self, Streams};

/// Members a record has at most, as a rule.
const USUAL_MEMBERS: usize = 8;
/// Bytes of a buffer that are kept between records; a larger one is given back.
const KEPT_CAPACITY: usize = 64 * 1024;

/// What becomes of a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It passes as it is.
    Unchanged,
    /// [`Filter::output`] takes its place.
    Replaced,
    /// It is dropped.
    Dropped,
}

/// The filter of one host instance, with what it has learned.
#[derive(Debug)]
pub struct Filter {
    /// What a record's `pgmesh` member goes on top of.
    base: Object,
    config: Config,
    wanted: Wanted,
    /// The `pgmesh` member that `config` was read from, and what was wrong with it.
    source: Vec<u8>,
    error: Option<String>,
    /// Whether records carry a configuration: the first one tells.
    configured: Option<bool>,
    reporter: Reporter,
    memory: Memory,
    streams: Streams,
    parts: Parts,
    counters: Counters,
    counters_due: u64,
    /// Out of their place while the texts in them are read.
    buffers: Option<Box<Buffers>>,
    output: Vec<u8>,
}

/// Room for a text as it is read: without escapes, without syslog's marks, without the JSON around it.
#[derive(Debug, Default)]
struct Buffers {
    text: Vec<u8>,
    joined: Vec<u8>,
    inside: Vec<u8>,
}

impl Buffers {
    /// The text of a member as the server wrote it.
    fn text_of<'t>(&'t mut self, member: &Member<'t>) -> &'t [u8] {
        let text = match member.plain {
            true => member.value,
            false => json::unescaped(member.value, &mut self.text),
        };
        let text = pg_log::joined(text, &mut self.joined).unwrap_or(text);
        pg_log::inside(text, &mut self.inside).unwrap_or(text)
    }
}

impl Filter {
    /// A filter as a preset sets it.
    #[must_use]
    pub fn new(preset: Preset) -> Self {
        Self::with_defaults(preset, b"")
    }

    /// A filter whose defaults are a JSON object, on top of a preset; blank bytes are none. What is
    /// wrong with them is said in each record, and the preset stays.
    #[must_use]
    pub fn with_defaults(preset: Preset, defaults: &[u8]) -> Self {
        let own = preset.object();
        let given = match defaults.trim_ascii() {
            [] => Ok(own.clone()),
            defaults => config::merged(&own, defaults),
        };
        let read = given.and_then(|base| Ok((Config::read(base.clone())?, base)));
        let (config, base, error) = match read {
            Ok((config, base)) => (config, base, None),
            Err(error) => (
                Config::read(own.clone()).unwrap_or_default(),
                own,
                Some(error),
            ),
        };
        let prefix = config.compiled_prefix().unwrap_or_default();
        Self {
            base,
            wanted: Wanted::new(&config).unwrap_or_default(),
            reporter: Reporter::new(config.report_options().unwrap_or_default()),
            config,
            error,
            configured: None,
            source: Vec::new(),
            memory: Memory::default(),
            streams: Streams::new(prefix),
            parts: Parts::default(),
            counters: Counters::default(),
            counters_due: 0,
            buffers: None,
            output: Vec::new(),
        }
    }

    /// The record that takes the place of the last one, with a NUL behind it.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        &self.output
    }

    /// What it has done so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Handles a record of the stream that `tag` names; `seconds` is its time since 1970.
    pub fn record(&mut self, tag: &[u8], record: &[u8], seconds: u64) -> Outcome {
        count(&mut self.counters.records);
        self.shrink();
        let mut members = Members::of(record);
        let mut all: Vec<Place<'_>> = Vec::with_capacity(USUAL_MEMBERS);
        for member in members.by_ref() {
            all.push(Place {
                member,
                taken: false,
                stays: true,
            });
        }
        let finished = members
            .finished()
            .is_some_and(|rest| rest.trim_ascii().is_empty());
        if !finished || !(members.is_ascii() || is_utf8(record)) {
            return Outcome::Unchanged;
        }
        self.enter(streams::key(tag, &all));
        let has_member = self.read_configuration(&mut all);
        match self.entry(&mut all, seconds) {
            Outcome::Unchanged if has_member => {
                let style = self.style();
                let mut output = Output::begin(&mut self.output, &all, style);
                output.members();
                if let Some(error) = &self.error {
                    output.text("pgmesh.config_error", error.as_bytes());
                }
                output.end();
                Outcome::Replaced
            }
            outcome => outcome,
        }
    }

    /// The record at hand is of this stream.
    fn enter(&mut self, stream: u64) {
        self.memory.in_stream(stream);
        if self.streams.enter(stream) {
            self.parts.forget_sessions();
        }
    }

    /// Reads the configuration that a record carries, if records do. Returns whether it has the member.
    ///
    /// A client could have had the member put there, in a line that looks like JSON and that the host
    /// took apart. So the last one counts, which the host adds right before the filter, and none where the
    /// first record came without.
    fn read_configuration(&mut self, all: &mut [Place<'_>]) -> bool {
        let mut last = None;
        for place in all.iter_mut() {
            if place.member.key == config::MEMBER {
                place.stays = false;
                last = Some(place.member);
            }
        }
        let configured = *self.configured.get_or_insert(last.is_some());
        if let Some(member) = last.filter(|_| configured) {
            self.configure(&member);
        }
        last.is_some()
    }

    /// Handles a record that the host could not hand over.
    pub fn oversize(&mut self, length: usize) {
        count(&mut self.counters.records);
        count(&mut self.counters.oversize);
        let style = self.style();
        let mut output = Output::begin(&mut self.output, &[], style);
        output.text("pgmesh.faults", b"too_large");
        output.number("pgmesh.record_bytes", length.to_string().as_bytes());
        output.end();
    }

    fn style(&self) -> Style {
        Style {
            terse: self.config.classify_only,
            underscored: self.config.names == NameStyle::Underscored,
        }
    }

    /// Large records are rare: their buffers are not kept.
    fn shrink(&mut self) {
        let is_large = |buffer: &Vec<u8>| buffer.capacity() > KEPT_CAPACITY;
        if is_large(&self.output) {
            self.output = Vec::new();
        }
        let of_text = |buffers: &mut Box<Buffers>| {
            [&buffers.text, &buffers.joined, &buffers.inside]
                .into_iter()
                .any(is_large)
        };
        self.buffers.take_if(of_text);
    }

    /// Reads the configuration in a member, unless it is the one read last.
    fn configure(&mut self, member: &Member<'_>) {
        if is_same(&self.source, member.value) {
            return;
        }
        self.source = member.value.to_vec();
        let mut text = Vec::new();
        match member.kind {
            Kind::String => unescape(member.value, &mut text),
            _ => text.extend_from_slice(member.value),
        }
        let read = Config::parse(&self.base, &text);
        let applied = read.and_then(|config| self.apply(config));
        self.error = applied.err();
    }

    fn apply(&mut self, config: Config) -> Result<(), String> {
        self.reporter.set_options(config.report_options()?);
        self.wanted = Wanted::new(&config)?;
        let current = self.streams.current().key;
        self.streams = Streams::new(config.compiled_prefix()?);
        self.streams.enter(current);
        self.parts.clear();
        self.config = config;
        Ok(())
    }

    /// Finds the entry among the members and writes the record that takes their place.
    fn entry(&mut self, all: &mut [Place<'_>], seconds: u64) -> Outcome {
        if all.iter().any(|place| Reader::is_entry(place.member.key)) {
            let mut reader = Reader::default();
            for place in all.iter_mut() {
                place.taken = place.stays && reader.take(place.member);
            }
            if let Some(event) = reader.finish() {
                self.streams.current().format = Some(event.format);
                self.take_copies(all, None);
                return self.write(&event, all, seconds);
            }
        }
        let mut buffers = self.buffers.take().unwrap_or_default();
        let outcome = self.texts(all, &mut buffers, seconds);
        let outcome = match outcome.or_else(|| self.objects(all, seconds)) {
            Some(outcome) => outcome,
            None => self.foreign(all, &mut buffers),
        };
        self.buffers = Some(buffers);
        outcome
    }

    /// Handles a record by the first object in it that is an entry, as the host has read it (`Merge_Log_Key`).
    fn objects(&mut self, all: &mut [Place<'_>], seconds: u64) -> Option<Outcome> {
        let is_entry = |place: &Place<'_>| {
            let member = place.member;
            let is_whole = member.kind == Kind::Object && pg_log::may_hold_entry(member.value);
            place.stays && is_whole && Parser::is_entry(member.value)
        };
        let found = all.iter().position(is_entry)?;
        for (number, place) in all.iter_mut().enumerate() {
            place.taken = number == found;
        }
        let member = all.get(found)?.member;
        self.text(member.value, &member, all, seconds)
    }

    /// Handles a record by the first of its texts that is PostgreSQL's.
    fn texts(
        &mut self,
        all: &mut [Place<'_>],
        buffers: &mut Buffers,
        seconds: u64,
    ) -> Option<Outcome> {
        for key in 0..self.config.keys.len() {
            for found in 0..all.len() {
                let Some(Place { member, .. }) = all.get(found).copied() else {
                    continue;
                };
                let Some(holder) = self.holder(key, &member) else {
                    continue;
                };
                for (number, place) in all.iter_mut().enumerate() {
                    place.taken = number == found;
                }
                let text = buffers.text_of(&holder);
                let outcome = self.text(text, &holder, all, seconds);
                if outcome.is_some() {
                    return outcome;
                }
            }
        }
        None
    }

    /// Handles a record by the text of a member, which is taken. `None` if it is another program's.
    fn text(
        &mut self,
        text: &[u8],
        member: &Member<'_>,
        all: &mut [Place<'_>],
        seconds: u64,
    ) -> Option<Outcome> {
        let source = self.streams.current();
        let read = source.parser.read(text, &mut source.stream);
        if let Err(Unread::Foreign) = read {
            return None;
        }
        if let Ok((event, _)) = &read {
            source.format = Some(event.format);
        }
        self.take_copies(all, Some(member.value));
        Some(match read {
            Ok((event, _)) => self.write(&event, all, seconds),
            Err(unread) => self.withhold(all, unread),
        })
    }

    /// Hosts keep what they have taken apart beside what they made of it (`Merge_Log` with `Keep_Log`,
    /// `Merge_Log_Key`): a second copy of an entry would leave unredacted.
    fn take_copies(&mut self, all: &mut [Place<'_>], own: Option<&[u8]>) {
        let keys = &self.config.keys;
        let parser = &mut self.streams.current().parser;
        let mut buffer = Vec::new();
        for place in all.iter_mut().filter(|place| place.stays && !place.taken) {
            let member = place.member;
            let is_key = || keys.iter().any(|key| is_called(&member, key));
            place.taken = match member.kind {
                Kind::String if own == Some(member.value) => true,
                Kind::String if is_key() => {
                    let text = json::unescaped(member.value, &mut buffer);
                    let read = parser.read(text, &mut Stream::default());
                    !matches!(read, Err(Unread::Foreign))
                }
                Kind::Object | Kind::Array | Kind::String => pg_log::may_hold_entry(member.value),
                _ => false,
            };
        }
    }

    /// The member that may have the text which a configured key names: this one, or one of an object's
    /// (`properties.message`).
    fn holder<'r>(&self, key: usize, member: &Member<'r>) -> Option<Member<'r>> {
        let key = self.config.keys.get(key)?;
        match member.kind {
            Kind::String => is_called(member, key).then_some(*member),
            Kind::Object => {
                let path = key.split_once('.');
                let (_, inner) = path.filter(|(outer, _)| is_called(member, outer))?;
                let mut members = Members::of(member.value);
                members.find(|member| member.kind == Kind::String && is_called(member, inner))
            }
            _ => None,
        }
    }

    /// The one that any of them names.
    fn any_holder<'r>(&self, member: &Member<'r>) -> Option<Member<'r>> {
        (0..self.config.keys.len()).find_map(|key| self.holder(key, member))
    }

    /// Writes the record: members that stay as they came, the entry where the first that is taken was.
    fn write(&mut self, event: &Event<'_>, all: &mut [Place<'_>], seconds: u64) -> Outcome {
        count(&mut self.counters.events);
        let keep = self.config.keep_raw || self.config.classify_only;
        for place in all.iter_mut() {
            place.stays &= keep || !place.taken;
        }
        let all: &[Place<'_>] = all;
        let style = self.style();
        let mut output = Output::begin(&mut self.output, all, style).with_parts(&mut self.parts);
        let mut class = None;
        let mut written = false;
        for place in all {
            if place.stays {
                output.member(&place.member);
            }
            if !written && place.taken {
                written = true;
                output.of(&place.member);
                class = self.reporter.report(event, &mut self.memory, &mut output);
            }
        }
        if let Some(error) = &self.error {
            output.text("pgmesh.config_error", error.as_bytes());
        }
        if class.is_none() {
            count(&mut self.counters.unclassified);
        }
        if self.wanted.drops(&self.config, event, class) {
            count(&mut self.counters.dropped);
            return Outcome::Dropped;
        }
        let interval = u64::from(self.config.counters_interval_seconds);
        if interval > 0 && seconds >= self.counters_due {
            self.counters_due = seconds.saturating_add(interval);
            self.counters.write(&mut output);
        }
        output.end();
        Outcome::Replaced
    }
}

/// Whether a member has this key, which stands there with escapes if it is not ASCII.
fn is_called(member: &Member<'_>, key: &str) -> bool {
    is_same(member.key, key.as_bytes())
        || (member.key.contains(&b'\\')
            && json::unescaped(member.key, &mut Vec::new()) == key.as_bytes())
}
