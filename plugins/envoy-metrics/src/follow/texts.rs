//! What has been run, as it may be shown: each text redacted once, kept once per worker, and known
//! to sessions by a number.
//!
//! A session that holds a thousand prepared statements holds a thousand numbers; the texts are here,
//! at most [`MAX_TEXTS`] and [`MAX_BYTES`] of them. When either is reached, the half that has not
//! been run for longest is forgotten: what still runs under such a number has no text any more.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use std::rc::Rc;

use pg_sql::{Fingerprint, LexerOptions, RedactOptions, redact_and_fingerprint, split};
use pg_wire::{StatementText, TextId};

use super::summary::summary;

/// Texts kept at most, per worker.
pub(crate) const MAX_TEXTS: usize = 4096;
/// Bytes that their redacted texts may have in all.
pub(crate) const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Statements of one Query that are told apart; those behind them have no text.
const MAX_MEMBERS: usize = 64;
/// Texts that were redacted lately, by the hash of what was sent.
const RECENT: usize = 512;

/// A statement as it may be shown.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) fingerprint: Fingerprint,
    /// Redacted.
    pub(crate) text: Box<str>,
    /// Whether the text was cut before it was redacted.
    pub(crate) truncated: bool,
    /// OpenTelemetry's `db.query.summary`; empty where it cannot be told.
    pub(crate) summary: Box<str>,
}

/// One text of a client: the statements in it, and what it is called.
#[derive(Debug)]
struct Entry {
    key: u64,
    generation: u16,
    used: u64,
    /// Of the prepared statement; empty for the unnamed one and for a Query.
    name: Rc<str>,
    statements: Box<[Rc<Known>]>,
}

impl Entry {
    fn bytes(&self) -> usize {
        let texts = self.statements.iter().map(|known| {
            size_of::<Known>()
                .saturating_add(known.text.len())
                .saturating_add(known.summary.len())
        });
        texts.fold(
            size_of::<Self>().saturating_add(self.name.len()),
            usize::saturating_add,
        )
    }
}

/// All texts of one worker.
#[derive(Debug)]
pub(crate) struct Texts {
    /// Numbers are places in here, from 1 on, with a generation.
    entries: Vec<Option<Entry>>,
    free: Vec<u16>,
    by_key: HashMap<u64, TextId>,
    recent: Box<[(u64, TextId)]>,
    /// Seeds the hashes, so that nobody can make two texts hash alike.
    seed: u64,
    clock: u64,
    generation: u16,
    bytes: usize,
    forgotten: u64,
}

impl Texts {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
            by_key: HashMap::new(),
            recent: vec![(0, TextId::UNTOLD); RECENT].into_boxed_slice(),
            seed,
            clock: 0,
            generation: 0,
            bytes: 0,
            forgotten: 0,
        }
    }

    /// The number of a text.
    pub(crate) fn number(&mut self, shown: &StatementText<'_>, options: LexerOptions) -> TextId {
        let raw = self.hash(shown, options);
        let recent = usize::try_from(raw).unwrap_or(0) & RECENT.saturating_sub(1);
        if let Some((known, id)) = self.recent.get(recent)
            && *known == raw
            && self.entry(*id).is_some()
        {
            return *id;
        }
        let statements = statements_of(shown, options);
        let key = self.key(shown.name, &statements);
        let id = match self.by_key.get(&key) {
            Some(id) => *id,
            None => self.insert(key, shown.name, statements),
        };
        if let Some(place) = self.recent.get_mut(recent) {
            *place = (raw, id);
        }
        id
    }

    /// The statement with this index of a text, and the name it was prepared under.
    pub(crate) fn get(&mut self, id: TextId, index: u32) -> Option<(Rc<Known>, Rc<str>)> {
        self.clock = self.clock.saturating_add(1);
        let now = self.clock;
        let (slot, generation) = parts(id)?;
        let entry = self.entries.get_mut(slot)?.as_mut()?;
        if entry.generation != generation {
            return None;
        }
        entry.used = now;
        let known = entry.statements.get(index as usize)?;
        Some((Rc::clone(known), Rc::clone(&entry.name)))
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let places = self.entries.capacity();
        let table = size_of::<(u64, TextId)>();
        self.bytes
            .saturating_add(places.saturating_mul(size_of::<Option<Entry>>()))
            .saturating_add(
                self.by_key
                    .capacity()
                    .saturating_add(RECENT)
                    .saturating_mul(table),
            )
    }

    /// Texts that had to go to make room, so far.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    fn entry(&self, id: TextId) -> Option<&Entry> {
        let (slot, generation) = parts(id)?;
        let entry = self.entries.get(slot)?.as_ref()?;
        (entry.generation == generation).then_some(entry)
    }

    fn hash(&self, shown: &StatementText<'_>, options: LexerOptions) -> u64 {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.seed);
        hasher.write_u8(u8::from(shown.truncated));
        hasher.write_u8(u8::from(options.standard_conforming_strings));
        hasher.write_u8(options.encoding as u8);
        hasher.write_usize(shown.name.len());
        hasher.write(shown.name);
        hasher.write(shown.text);
        hasher.finish()
    }

    fn key(&self, name: &[u8], statements: &[Rc<Known>]) -> u64 {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.seed);
        hasher.write(name);
        for known in statements {
            hasher.write_u64(known.fingerprint.0);
        }
        hasher.finish()
    }

    fn insert(&mut self, key: u64, name: &[u8], statements: Box<[Rc<Known>]>) -> TextId {
        if self.by_key.len() >= MAX_TEXTS || self.bytes >= MAX_BYTES {
            self.forget_half();
        }
        let entry = Entry {
            key,
            generation: self.generation,
            used: self.clock,
            name: String::from_utf8_lossy(name).into(),
            statements,
        };
        self.bytes = self.bytes.saturating_add(entry.bytes());
        let slot = match self.free.pop() {
            Some(slot) => usize::from(slot),
            None => {
                self.entries.push(None);
                self.entries.len().saturating_sub(1)
            }
        };
        let id = number(slot, entry.generation);
        if let Some(place) = self.entries.get_mut(slot) {
            *place = Some(entry);
        }
        self.by_key.insert(key, id);
        id
    }

    /// Forgets the half that was not run for longest; numbers of it lead nowhere from then on.
    #[cold]
    fn forget_half(&mut self) {
        let mut ages: Vec<u64> = self.entries.iter().flatten().map(|it| it.used).collect();
        ages.sort_unstable();
        let limit = ages.get(ages.len() >> 1).copied().unwrap_or(u64::MAX);
        self.generation = self.generation.wrapping_add(1);
        for (slot, place) in self.entries.iter_mut().enumerate() {
            let Some(entry) = place else { continue };
            if entry.used > limit {
                continue;
            }
            self.bytes = self.bytes.saturating_sub(entry.bytes());
            self.by_key.remove(&entry.key);
            self.forgotten = self.forgotten.saturating_add(1);
            *place = None;
            self.free.extend(u16::try_from(slot));
        }
    }
}

fn number(slot: usize, generation: u16) -> TextId {
    let slot = u32::try_from(slot.saturating_add(1)).unwrap_or(0);
    TextId(u32::from(generation) << 16 | slot & 0xffff)
}

fn parts(id: TextId) -> Option<(usize, u16)> {
    let slot = (id.0 & 0xffff).checked_sub(1)?;
    let generation = u16::try_from(id.0 >> 16).ok()?;
    Some((slot as usize, generation))
}

/// The statements of a text: a Parse has one, whatever is in it.
fn statements_of(shown: &StatementText<'_>, options: LexerOptions) -> Box<[Rc<Known>]> {
    let text = shown.text;
    let semicolon = text.iter().position(|byte| *byte == b';');
    let single = semicolon.is_none_or(|at| at.saturating_add(1) >= text.len());
    if single {
        return [Rc::new(known(text, shown.truncated, options))].into();
    }
    let ranges = split(text, &options);
    let last = ranges.len().saturating_sub(1);
    ranges
        .into_iter()
        .take(MAX_MEMBERS)
        .enumerate()
        .map(|(index, range)| {
            let text = text.get(range).unwrap_or_default();
            Rc::new(known(text, shown.truncated && index == last, options))
        })
        .collect()
}

fn known(text: &[u8], truncated: bool, lexer: LexerOptions) -> Known {
    let options = RedactOptions {
        lexer,
        ..RedactOptions::default()
    };
    let text = text.trim_ascii_end();
    let text = text.strip_suffix(b";").unwrap_or(text);
    let (redacted, fingerprint) = redact_and_fingerprint(text, &options);
    let shown = redacted.text.trim_ascii();
    Known {
        fingerprint,
        text: String::from_utf8_lossy(shown).into(),
        truncated,
        summary: summary(shown).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pg_wire::SubProtocol;

    fn shown<'a>(name: &'a str, text: &'a str) -> StatementText<'a> {
        StatementText {
            protocol: SubProtocol::Simple,
            name: name.as_bytes(),
            text: text.as_bytes(),
            truncated: false,
        }
    }

    fn number_of(texts: &mut Texts, name: &str, text: &str) -> TextId {
        texts.number(&shown(name, text), LexerOptions::default())
    }

    #[test]
    fn texts_that_differ_in_data_are_one_and_hold_none() {
        let mut texts = Texts::new(1);
        let first = number_of(&mut texts, "", "select * from t where a = 'secret'");
        let second = number_of(&mut texts, "", "SELECT * from t where a = 'other';");
        assert_eq!(first, second);
        let (known, name) = texts.get(first, 0).unwrap();
        assert_eq!((&*known.text, &*name), ("select * from t where a = ?", ""));
        let named = number_of(&mut texts, "s1", "select * from t where a = 'x'");
        assert_ne!(named, first);
        assert_eq!(&*texts.get(named, 0).unwrap().1, "s1");
    }

    #[test]
    fn the_statements_of_a_query_are_told_apart() {
        let mut texts = Texts::new(1);
        let id = number_of(&mut texts, "", "begin; ;select ';' ; commit;");
        let mut text = |index| {
            texts
                .get(id, index)
                .map(|(known, _)| known.text.to_string())
        };
        assert_eq!(text(0).as_deref(), Some("begin"));
        assert_eq!(text(1).as_deref(), Some("select ?"));
        assert_eq!(text(2).as_deref(), Some("commit"));
        assert_eq!(text(3), None);
    }

    #[test]
    fn what_still_runs_is_kept_and_a_number_never_leads_to_another_text() {
        let mut texts = Texts::new(1);
        let hot = number_of(&mut texts, "hot", "select 'hot'");
        let mut all = Vec::new();
        for n in 0..MAX_TEXTS.saturating_mul(5) {
            let text = format!("select c{n} from t");
            let id = number_of(&mut texts, "", &text);
            all.push((id, text));
            assert!(texts.get(hot, 0).is_some(), "after {n}");
            texts.get(id, 0).unwrap();
        }
        assert!(texts.by_key.len() <= MAX_TEXTS);
        assert!(texts.entries.len() <= MAX_TEXTS);
        let mut kept = 0;
        for (id, text) in all {
            if let Some((known, _)) = texts.get(id, 0) {
                assert_eq!(*known.text, *text);
                kept += 1;
            }
        }
        assert!(kept >= MAX_TEXTS / 2 - 1, "{kept}");
        assert!(texts.forgotten() > 0);
    }

    #[test]
    fn a_thousand_texts_of_the_longest_kind_stay_within_the_bound() {
        let mut texts = Texts::new(1);
        for n in 0..3000 {
            let text = format!("select c{n} from {}", "t".repeat(16 * 1024));
            number_of(&mut texts, "", &text);
            assert!(
                texts.bytes() <= MAX_BYTES + MAX_BYTES / 4,
                "{}",
                texts.bytes()
            );
        }
    }
}
