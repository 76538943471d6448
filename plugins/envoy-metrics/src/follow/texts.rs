//! What has been run, as it may be shown: each text redacted once, kept once per worker, and known
//! to sessions by a number.
//!
//! Most statements are shown to nobody where one in a hundred is traced. The text of a Query is then
//! kept as it came until somebody asks, and let go when its statement has ended.
//!
//! A session that holds a thousand prepared statements holds a thousand numbers; the texts are here,
//! at most [`MAX_TEXTS`] and [`MAX_BYTES`] of them. When either is reached, the half that has not
//! been run for longest is forgotten: what still runs under such a number has no text any more.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use std::rc::Rc;

use pg_sql::classify::MAX_SUMMARY;
use pg_sql::placeholders::as_parameters;
use pg_sql::{
    ClassifyOptions, Fingerprint, LexerOptions, RedactOptions, redact_and_fingerprint, split,
};
use pg_wire::{StatementText, SubProtocol, TextId};

/// Texts kept at most, per worker.
pub(crate) const MAX_TEXTS: usize = 4096;
/// Bytes that their redacted texts may have in all.
pub(crate) const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Statements of one Query that are told apart; those behind them have no text.
const MAX_MEMBERS: usize = 64;
/// Texts that were redacted lately, by the hash of what was sent.
const RECENT: usize = 512;

/// A statement, redacted once somebody wants to see it.
#[derive(Debug)]
pub(crate) struct Known {
    shown: OnceCell<Shown>,
    /// As it came; empty if it was redacted at once.
    raw: Box<[u8]>,
    truncated: bool,
    options: LexerOptions,
}

/// A statement as it may be shown.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) fingerprint: Fingerprint,
    /// Redacted.
    pub(crate) text: Box<str>,
    /// Whether the text was cut before it was redacted.
    pub(crate) truncated: bool,
    summary: OnceCell<Box<str>>,
}

impl Shown {
    /// OpenTelemetry's `db.query.summary`, found when somebody asks: the grammar costs more than
    /// redaction. Empty where it cannot be told.
    pub(crate) fn summary(&self) -> &str {
        self.summary.get_or_init(|| summary(&self.text))
    }
}

/// OpenTelemetry's `db.query.summary` of a redacted text.
pub(crate) fn summary(redacted: &str) -> Box<str> {
    let text = as_parameters(redacted.as_bytes());
    let text = text.as_deref().unwrap_or(redacted.as_bytes());
    pg_sql::summary(text, ClassifyOptions::default()).into()
}

impl Known {
    /// Redacted by now.
    fn at_once(text: &[u8], truncated: bool, options: LexerOptions) -> Self {
        Self {
            shown: OnceCell::from(redacted(text, truncated, options)),
            raw: Box::default(),
            truncated,
            options,
        }
    }

    /// Redacted when it is shown.
    fn when_asked(text: &[u8], truncated: bool, options: LexerOptions) -> Self {
        Self {
            shown: OnceCell::new(),
            raw: text.into(),
            truncated,
            options,
        }
    }

    /// As it may be shown.
    pub(crate) fn shown(&self) -> &Shown {
        self.shown
            .get_or_init(|| redacted(&self.raw, self.truncated, self.options))
    }

    /// Bytes held at most, now or once it is shown.
    fn bytes(&self) -> usize {
        let shown = self.shown.get().map_or(self.raw.len(), |shown| {
            shown.text.len().saturating_add(MAX_SUMMARY)
        });
        size_of::<Self>()
            .saturating_add(self.raw.len())
            .saturating_add(shown)
    }
}

/// One text of a client: the statements in it, and what it is called.
#[derive(Debug)]
struct Entry {
    key: u64,
    generation: u16,
    used: u64,
    /// Of a text that is let go in the end: how often it is under way. Zero for any other.
    under_way: u32,
    /// Held, as counted when it came.
    bytes: usize,
    /// Of the prepared statement; empty for the unnamed one and for a Query.
    name: Rc<str>,
    statements: Box<[Rc<Known>]>,
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
    /// Whether somebody looks at every text.
    all_are_shown: bool,
}

impl Texts {
    /// With `all_are_shown` nothing is won by waiting: texts that differ in data only are one.
    pub(crate) fn new(seed: u64, all_are_shown: bool) -> Self {
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
            all_are_shown,
        }
    }

    /// The number of a text.
    pub(crate) fn number(&mut self, shown: &StatementText<'_>, options: LexerOptions) -> TextId {
        let raw = self.hash(shown, options);
        let recent = usize::try_from(raw).unwrap_or(0) & RECENT.saturating_sub(1);
        let known = self.recent.get(recent).filter(|(known, _)| *known == raw);
        let known = known.map(|(_, id)| *id);
        // A text under way is found by its own key, whatever has come since.
        if let Some(id) = known.or_else(|| self.by_key.get(&raw).copied())
            && let Some(entry) = self.entry_mut(id)
        {
            let more = u32::from(entry.under_way > 0);
            entry.under_way = entry.under_way.saturating_add(more);
            return id;
        }
        let id = if self.may_wait(shown) {
            let known = Known::when_asked(shown.text, shown.truncated, options);
            self.insert(raw, shown.name, [Rc::new(known)].into(), 1)
        } else {
            let statements = statements_of(shown, options);
            let key = self.key(shown.name, &statements);
            match self.by_key.get(&key) {
                Some(id) => *id,
                None => self.insert(key, shown.name, statements, 0),
            }
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

    /// A statement of this text has ended, and nobody will ask for it again but who has it.
    pub(crate) fn done(&mut self, id: TextId) {
        let Some(entry) = self.entry_mut(id) else {
            return;
        };
        if entry.under_way == 0 {
            return;
        }
        entry.under_way = entry.under_way.saturating_sub(1);
        if entry.under_way == 0 {
            let raw = entry.key;
            self.forget(raw);
        }
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

    fn entry_mut(&mut self, id: TextId) -> Option<&mut Entry> {
        let (slot, generation) = parts(id)?;
        let entry = self.entries.get_mut(slot)?.as_mut()?;
        (entry.generation == generation).then_some(entry)
    }

    /// Whether a text can be redacted later: a Query of one statement, which runs once.
    fn may_wait(&self, shown: &StatementText<'_>) -> bool {
        !self.all_are_shown && shown.protocol == SubProtocol::Simple && is_single(shown.text)
    }

    /// Lets a text go that came with this key. Its number may come again for another text, so that
    /// nothing may lead there.
    fn forget(&mut self, key: u64) {
        let Some(id) = self.by_key.remove(&key) else {
            return;
        };
        let recent = usize::try_from(key).unwrap_or(0) & RECENT.saturating_sub(1);
        if let Some(place) = self
            .recent
            .get_mut(recent)
            .filter(|(known, _)| *known == key)
        {
            *place = (0, TextId::UNTOLD);
        }
        let Some((slot, _)) = parts(id) else { return };
        if let Some(entry) = self.entries.get_mut(slot).and_then(Option::take) {
            self.bytes = self.bytes.saturating_sub(entry.bytes);
            self.free.extend(u16::try_from(slot));
        }
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
            hasher.write_u64(known.shown().fingerprint.0);
        }
        hasher.finish()
    }

    fn insert(
        &mut self,
        key: u64,
        name: &[u8],
        statements: Box<[Rc<Known>]>,
        under_way: u32,
    ) -> TextId {
        if self.by_key.len() >= MAX_TEXTS || self.bytes >= MAX_BYTES {
            self.forget_half();
        }
        let held = statements.iter().map(|known| known.bytes());
        let entry = Entry {
            key,
            generation: self.generation,
            used: self.clock,
            under_way,
            bytes: held.fold(
                size_of::<Entry>().saturating_add(name.len()),
                usize::saturating_add,
            ),
            name: String::from_utf8_lossy(name).into(),
            statements,
        };
        self.bytes = self.bytes.saturating_add(entry.bytes);
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
            self.bytes = self.bytes.saturating_sub(entry.bytes);
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
    if is_single(text) {
        return [Rc::new(Known::at_once(text, shown.truncated, options))].into();
    }
    let ranges = split(text, &options);
    let last = ranges.len().saturating_sub(1);
    ranges
        .into_iter()
        .take(MAX_MEMBERS)
        .enumerate()
        .map(|(index, range)| {
            let text = text.get(range).unwrap_or_default();
            let truncated = shown.truncated && index == last;
            Rc::new(Known::at_once(text, truncated, options))
        })
        .collect()
}

/// Whether a text is one statement, as far as can be told at a glance.
fn is_single(text: &[u8]) -> bool {
    let semicolon = text.iter().position(|byte| *byte == b';');
    semicolon.is_none_or(|at| at.saturating_add(1) >= text.len())
}

fn redacted(text: &[u8], truncated: bool, lexer: LexerOptions) -> Shown {
    let options = RedactOptions {
        lexer,
        ..RedactOptions::default()
    };
    let text = text.trim_ascii_end();
    let text = text.strip_suffix(b";").unwrap_or(text);
    let (redacted, fingerprint) = redact_and_fingerprint(text, &options);
    let shown = redacted.text.trim_ascii();
    Shown {
        fingerprint,
        text: String::from_utf8_lossy(shown).into(),
        truncated,
        summary: OnceCell::new(),
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
        let mut texts = Texts::new(1, true);
        let first = number_of(&mut texts, "", "select * from t where a = 'secret'");
        let second = number_of(&mut texts, "", "SELECT * from t where a = 'other';");
        assert_eq!(first, second);
        let (known, name) = texts.get(first, 0).unwrap();
        assert_eq!(
            (&*known.shown().text, &*name),
            ("select * from t where a = ?", "")
        );
        let named = number_of(&mut texts, "s1", "select * from t where a = 'x'");
        assert_ne!(named, first);
        assert_eq!(&*texts.get(named, 0).unwrap().1, "s1");
    }

    #[test]
    fn a_redacted_text_has_the_summary_of_the_text() {
        for text in [
            "select * from t where a = 'x' and b in (1, 2) limit 3",
            "insert into t values (1, 'x'), (2, 'y') on conflict do nothing",
            "with a as (delete from t where x = 1 returning *) select * from a, u",
            "create table s.t (a int default 4, check (a > 3))",
            "select interval '1 day', date '2020-01-01', e'x' || 'y' from t",
            "update t set a = -1, b = array[1, 2], c = data ? 'k' where d between 1 and 2",
            "merge into t using s on true when matched then update set a = 'x'",
            "copy t (a) from stdin with (format csv, delimiter ';')",
            "select case when a = 1 then 'x' else 'y' end from t order by 1 fetch first 2 rows only",
            "alter role r with password 'x'",
        ] {
            let shown = redacted(text.as_bytes(), false, LexerOptions::default());
            let expected = pg_sql::summary(text.as_bytes(), ClassifyOptions::default());
            assert_eq!((shown.summary(), text), (&*expected, text));
        }
    }

    #[test]
    fn the_statements_of_a_query_are_told_apart() {
        let mut texts = Texts::new(1, true);
        let id = number_of(&mut texts, "", "begin; ;select ';' ; commit;");
        let mut text = |index| {
            texts
                .get(id, index)
                .map(|(known, _)| known.shown().text.to_string())
        };
        assert_eq!(text(0).as_deref(), Some("begin"));
        assert_eq!(text(1).as_deref(), Some("select ?"));
        assert_eq!(text(2).as_deref(), Some("commit"));
        assert_eq!(text(3), None);
    }

    #[test]
    fn what_still_runs_is_kept_and_a_number_never_leads_to_another_text() {
        let mut texts = Texts::new(1, true);
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
                assert_eq!(*known.shown().text, *text);
                kept += 1;
            }
        }
        assert!(kept >= MAX_TEXTS / 2 - 1, "{kept}");
        assert!(texts.forgotten() > 0);
    }

    #[test]
    fn a_query_that_nobody_asks_for_is_never_redacted_and_let_go() {
        let mut texts = Texts::new(1, false);
        let first = number_of(&mut texts, "", "select 'secret'");
        // The same once more while the first is under way.
        assert_eq!(number_of(&mut texts, "", "select 'secret'"), first);
        let (known, _) = texts.get(first, 0).unwrap();
        assert!(known.shown.get().is_none());
        texts.done(first);
        assert!(texts.get(first, 0).is_some(), "one is still under way");
        texts.done(first);
        assert!(texts.get(first, 0).is_none());
        assert_eq!(
            (texts.bytes, texts.by_key.len(), texts.forgotten()),
            (0, 0, 0)
        );
        // Who has it still can show it.
        assert_eq!(&*known.shown().text, "select ?");
        // Its place may be another's: the same text does not lead there.
        let other = number_of(&mut texts, "", "select 'other' from t");
        let again = number_of(&mut texts, "", "select 'secret'");
        assert_ne!(again, other);
        let (known, _) = texts.get(again, 0).unwrap();
        assert_eq!(&*known.shown().text, "select ?");
    }

    #[test]
    fn queries_of_several_statements_and_prepared_ones_are_redacted_at_once() {
        let mut texts = Texts::new(1, false);
        let several = number_of(&mut texts, "", "begin; select 'secret'");
        let prepared = StatementText {
            protocol: SubProtocol::Extended,
            ..shown("s", "select 'secret'")
        };
        let prepared = texts.number(&prepared, LexerOptions::default());
        for id in [several, prepared] {
            texts.done(id);
            let (known, _) = texts.get(id, 0).unwrap();
            assert!(known.shown.get().is_some());
        }
    }

    #[test]
    fn queries_whose_end_never_comes_stay_within_the_bounds() {
        let mut texts = Texts::new(1, false);
        for n in 0..MAX_TEXTS.saturating_mul(3) {
            number_of(
                &mut texts,
                "",
                &format!("select {n} from {}", "t".repeat(4000)),
            );
            assert!(texts.by_key.len() <= MAX_TEXTS);
            assert!(
                texts.bytes() <= MAX_BYTES + MAX_BYTES / 4,
                "{}",
                texts.bytes()
            );
        }
    }

    #[test]
    fn a_thousand_texts_of_the_longest_kind_stay_within_the_bound() {
        let mut texts = Texts::new(1, true);
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
