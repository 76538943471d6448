//! From one record to the next.
//!
//! A record is a JSON object. The entry stands in a member as text (a line of stderr, a csvlog row, a
//! jsonlog or CloudNativePG object), or the host has taken a JSON entry apart and its members are the
//! record's own. What is not PostgreSQL's passes as it is.

use std::mem::take;

use pg_log::json::{self, Kind, Member, Members, is_utf8, unescape};
use pg_log::{Class, Event, Memory, Parser, Reader, Reporter, Severity, Sink, Stream, Unread};

use crate::config::{self, Config, NameStyle, Object, Preset, RedactionMode};
use crate::output::{Output, Place, Style};
use crate::sessions::Sessions;
use crate::streams::{Streams, hash};

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

/// What the filter has done so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    /// Records that came.
    pub records: u64,
    /// Of these, entries of PostgreSQL.
    pub events: u64,
    /// Of these, dropped by name, severity or sampling.
    pub dropped: u64,
    /// Entries of no class.
    pub unclassified: u64,
    /// Records too large to be looked at.
    pub oversize: u64,
}

/// The filter of one host instance, with what it has learned.
#[derive(Debug)]
pub struct Filter {
    /// What a record's `pgmesh` member goes on top of.
    base: Object,
    config: Config,
    lowest: Option<Severity>,
    /// The `pgmesh` member that `config` was read from, and what was wrong with it.
    source: Vec<u8>,
    error: Option<String>,
    parser: Parser,
    reporter: Reporter,
    memory: Memory,
    streams: Streams,
    sessions: Sessions,
    sampled: Vec<(&'static str, u32)>,
    counters: Counters,
    counters_due: u64,
    text: Vec<u8>,
    joined: Vec<u8>,
    output: Vec<u8>,
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
            lowest: config.lowest_severity().unwrap_or_default(),
            reporter: Reporter::new(config.report_options().unwrap_or_default()),
            parser: prefix.map_or_else(Parser::new, Parser::with_prefix),
            config,
            error,
            source: Vec::new(),
            memory: Memory::default(),
            streams: Streams::default(),
            sessions: Sessions::default(),
            sampled: Vec::new(),
            counters: Counters::default(),
            counters_due: 0,
            text: Vec::new(),
            joined: Vec::new(),
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
        self.counters.records = self.counters.records.saturating_add(1);
        self.shrink();
        let stream = hash(tag);
        self.memory.in_stream(stream);
        self.streams.enter(stream);
        let mut members = Members::of(record);
        let mut all: Vec<Place<'_>> = Vec::with_capacity(USUAL_MEMBERS);
        all.extend(members.by_ref().map(|member| Place {
            member,
            taken: false,
            stays: true,
        }));
        let finished = members
            .finished()
            .is_some_and(|rest| rest.trim_ascii().is_empty());
        if !finished || !(members.is_ascii() || is_utf8(record)) {
            return Outcome::Unchanged;
        }
        let mut configured = None;
        for place in &mut all {
            if place.member.key == config::MEMBER {
                place.stays = false;
                configured.get_or_insert(place.member);
            }
        }
        if let Some(member) = configured {
            self.configure(&member);
        }
        match self.entry(&mut all, seconds) {
            Outcome::Unchanged if configured.is_some() => {
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

    /// Handles a record that the host could not hand over.
    pub fn oversize(&mut self, length: usize) {
        self.counters.records = self.counters.records.saturating_add(1);
        self.counters.oversize = self.counters.oversize.saturating_add(1);
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
        for buffer in [&mut self.text, &mut self.joined, &mut self.output] {
            if buffer.capacity() > KEPT_CAPACITY {
                *buffer = Vec::new();
            }
        }
    }

    /// Reads the configuration in a member, unless it is the one read last.
    fn configure(&mut self, member: &Member<'_>) {
        if self.source == member.value {
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
        self.reporter = Reporter::new(config.report_options()?);
        self.lowest = config.lowest_severity()?;
        self.parser = match config.compiled_prefix()? {
            Some(prefix) => Parser::with_prefix(prefix),
            None => Parser::new(),
        };
        self.sampled.clear();
        self.sessions.clear();
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
                self.take_copies(all);
                return self.write(&event, all, seconds);
            }
        }
        // The buffers are out of their place while the texts in them are read.
        let (mut unescaped, mut joined) = (take(&mut self.text), take(&mut self.joined));
        let mut outcome = Outcome::Unchanged;
        for key in 0..self.config.keys.len() {
            let Some(found) = self.text_member(key, all) else {
                continue;
            };
            for (number, place) in all.iter_mut().enumerate() {
                place.taken = number == found;
            }
            let Some(Place { member, .. }) = all.get(found).copied() else {
                continue;
            };
            let text = match member.plain {
                true => member.value,
                false => json::unescaped(member.value, &mut unescaped),
            };
            let text = pg_log::joined(text, &mut joined).unwrap_or(text);
            outcome = self.text(text, all, seconds);
            if outcome != Outcome::Unchanged {
                break;
            }
        }
        self.text = unescaped;
        self.joined = joined;
        outcome
    }

    /// Handles a record by the text of its member that is taken.
    fn text(&mut self, text: &[u8], all: &mut [Place<'_>], seconds: u64) -> Outcome {
        let stream = self.streams.current();
        let mut open = stream;
        let read = self.parser.read(text, &mut open);
        if open != stream {
            self.streams.put(open);
        }
        let fault = match read {
            Ok((event, _)) => {
                self.take_copies(all);
                return self.write(&event, all, seconds);
            }
            Err(Unread::Foreign) => return Outcome::Unchanged,
            Err(Unread::Continuation) => "continuation",
            Err(Unread::Unreadable) => "unreadable",
        };
        let keep = self.config.keep_raw || self.config.classify_only;
        if keep || self.config.redaction == RedactionMode::Off {
            return Outcome::Unchanged;
        }
        self.take_copies(all);
        self.without_text(all, fault)
    }

    /// Writes a record whose text goes as a whole.
    fn without_text(&mut self, all: &mut [Place<'_>], fault: &str) -> Outcome {
        for place in all.iter_mut().filter(|place| place.taken) {
            place.member.kind = Kind::String;
            place.member.value = b"?";
        }
        let style = self.style();
        let mut output = Output::begin(&mut self.output, all, style);
        output.members();
        output.text("pgmesh.faults", fault.as_bytes());
        output.end();
        Outcome::Replaced
    }

    /// Hosts keep what they have taken apart beside what they made of it (`Merge_Log` with `Keep_Log`,
    /// `Merge_Log_Key`): a second copy of an entry would leave unredacted.
    fn take_copies(&mut self, all: &mut [Place<'_>]) {
        let keys = &self.config.keys;
        let mut buffer = Vec::new();
        for place in all.iter_mut().filter(|place| place.stays && !place.taken) {
            let member = place.member;
            let is_key = || keys.iter().any(|key| key.as_bytes() == member.key);
            place.taken = match member.kind {
                Kind::String if is_key() => {
                    let text = json::unescaped(member.value, &mut buffer);
                    let read = self.parser.read(text, &mut Stream::default());
                    !matches!(read, Err(Unread::Foreign))
                }
                // As jsonlog and CloudNativePG begin: other objects are not read for it.
                Kind::Object => {
                    let begins = |with: &[u8]| member.value.starts_with(with);
                    (begins(b"{\"timestamp\":") || begins(b"{\"level\":"))
                        && Parser::is_entry(member.value)
                }
                _ => false,
            };
        }
    }

    /// The member of a configured key whose text may be an entry.
    fn text_member(&self, key: usize, all: &[Place<'_>]) -> Option<usize> {
        let key = self.config.keys.get(key)?.as_bytes();
        all.iter()
            .position(|place| place.member.kind == Kind::String && place.member.key == key)
    }

    /// Writes the record: members that stay as they came, the entry where the first that is taken was.
    fn write(&mut self, event: &Event<'_>, all: &mut [Place<'_>], seconds: u64) -> Outcome {
        self.counters.events = self.counters.events.saturating_add(1);
        let keep = self.config.keep_raw || self.config.classify_only;
        for place in all.iter_mut() {
            place.stays &= keep || !place.taken;
        }
        let all: &[Place<'_>] = all;
        let mut buffer = take(&mut self.output);
        let mut sessions = take(&mut self.sessions);
        let mut output = Output::begin(&mut buffer, all, self.style()).with_sessions(&mut sessions);
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
            self.counters.unclassified = self.counters.unclassified.saturating_add(1);
        }
        let dropped = self.is_dropped(event.severity(), class);
        if !dropped {
            self.write_counters(seconds, &mut output);
        }
        output.end();
        self.output = buffer;
        self.sessions = sessions;
        if dropped {
            self.counters.dropped = self.counters.dropped.saturating_add(1);
            return Outcome::Dropped;
        }
        Outcome::Replaced
    }

    /// Whether a record is not wanted. A companion line without its message always is.
    fn is_dropped(&mut self, severity: Option<Severity>, class: Option<&'static Class>) -> bool {
        if severity.is_some() && severity < self.lowest {
            return true;
        }
        let Some(class) = class else {
            return false;
        };
        if self.config.drop.iter().any(|name| name == class.name) {
            return true;
        }
        let Some(every) = self.config.sample.get(class.name) else {
            return false;
        };
        let known = self
            .sampled
            .iter_mut()
            .find(|(name, _)| *name == class.name);
        let Some((_, seen)) = known else {
            self.sampled.push((class.name, 1));
            return false;
        };
        let dropped = *seen > 0;
        *seen = seen.saturating_add(1).checked_rem(*every).unwrap_or(0);
        dropped
    }

    /// Adds the counters to a record when they are due.
    fn write_counters(&mut self, seconds: u64, output: &mut Output<'_, '_>) {
        let interval = u64::from(self.config.counters_interval_seconds);
        if interval == 0 || seconds < self.counters_due {
            return;
        }
        self.counters_due = seconds.saturating_add(interval);
        let counters = self.counters;
        for (name, count) in [
            ("pgmesh.records_total", counters.records),
            ("pgmesh.events_total", counters.events),
            ("pgmesh.dropped_total", counters.dropped),
            ("pgmesh.unclassified_total", counters.unclassified),
            ("pgmesh.oversize_total", counters.oversize),
        ] {
            output.number(name, count.to_string().as_bytes());
        }
    }
}
