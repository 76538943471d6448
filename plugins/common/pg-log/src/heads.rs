//! Beginnings of lines that were read before. The lines of a session begin alike but for their time, so
//! that what was read of one beginning holds for the next.
//!
//! Between the time and the message nothing is read again, then; that the message has no second word of
//! the server's in it, with which the prefix could end elsewhere, is looked up in the whole line.

use crate::csvlog;
use crate::field::{Field, Fields};
use crate::prefix::{Matched, Prefix};
use crate::report::Part;
use crate::scan::{before, behind, find_either, is_same};
use crate::severity::Word;
use crate::text::Text;
use crate::time;

/// Beginnings remembered that are told apart only by comparing them: those of a session's LOG, ERROR, DETAIL
/// and STATEMENT lines. One that is new takes the place of the oldest.
const ALIKE: usize = 4;
/// Places for those; a power of two.
const PLACES: usize = Part::PLACES / ALIKE;
/// The longest, in bytes.
const LONGEST: usize = 512;
/// Bytes that tell where one is remembered; shorter ones are not.
const TELLING: usize = 16;

/// What lines of one prefix begin with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heads {
    /// Made when there is something to remember.
    places: Vec<[Option<Head>; ALIKE]>,
    /// How many there were.
    count: u64,
}

/// What a line begins with, behind its time.
#[derive(Clone, Debug)]
struct Head {
    session: u64,
    /// From the zone to the end of the word behind the prefix.
    bytes: Box<[u8]>,
    /// Where the zone stands in the line, which tells the precision of the time, and its length.
    at: usize,
    zone: usize,
    /// The other fields, from and to.
    fields: Box<[(Field, usize, usize)]>,
    word: Word,
    /// Length of the prefix.
    length: usize,
}

impl Heads {
    /// What a line begins with, if a line began alike before, and where its first line ends. Sets
    /// what the prefix says.
    pub(crate) fn find<'t>(
        &self,
        text: &'t [u8],
        fields: &mut Fields<'t>,
    ) -> Option<(Matched, usize)> {
        let at = time::zone_at(text)?;
        let rest = behind(text, at);
        let alike = self.places.get(place(rest)?)?.iter().flatten();
        let (head, begin) = alike
            .filter(|head| head.at == at)
            .filter_map(|head| Some((head, rest.get(..head.bytes.len())?)))
            .find(|(head, begin)| is_same(begin, &head.bytes))?;
        let message = at.wrapping_add(begin.len());
        let end = message.wrapping_add(line_without_a_word(behind(text, message))?);
        let time = before(text, at.wrapping_add(head.zone));
        fields.set_known(Field::LogTime, Text::plain(time));
        for (field, from, to) in &head.fields {
            let value = begin.get(*from..*to).unwrap_or_default();
            fields.set_known(*field, Text::plain(value));
        }
        fields.session = head.session;
        let matched = Matched {
            word: head.word,
            length: at.wrapping_add(head.length),
            ambiguous: false,
        };
        Some((matched, end))
    }

    /// Forgets all, since the prefix is another now, or other lines come first.
    pub(crate) fn clear(&mut self) {
        self.places = Vec::new();
    }

    /// Remembers what a line of this prefix begins with.
    pub(crate) fn learn(
        &mut self,
        prefix: &Prefix,
        text: &[u8],
        matched: Matched,
        fields: &mut Fields<'_>,
    ) {
        if !matched.ambiguous && prefix.repeats() && !csvlog::looks_like(text) {
            fields.session = self.remember(text, matched, fields).unwrap_or(0);
        }
    }

    fn remember(&mut self, text: &[u8], matched: Matched, fields: &Fields<'_>) -> Option<u64> {
        let at = time::zone_at(text)?;
        let rest = behind(text, at);
        let place = place(rest)?;
        let (Word::Severity(_, word) | Word::Companion(_, word)) = matched.word;
        let length = matched.length.checked_sub(at)?;
        let bytes = rest.get(..length.checked_add(word)?)?;
        let time = fields.get(Field::LogTime)?.raw;
        line_without_a_word(behind(rest, bytes.len()))?;
        if bytes.len() > LONGEST || bytes.len() < TELLING {
            return None;
        }
        let others = fields.iter().filter(|(field, _)| *field != Field::LogTime);
        let spans = others.map(|(field, value)| {
            let from = value
                .raw
                .as_ptr()
                .addr()
                .checked_sub(rest.as_ptr().addr())?;
            Some((field, from, from.checked_add(value.raw.len())?))
        });
        let fields: Option<Box<[_]>> = spans.collect();
        if self.places.is_empty() {
            self.places.resize(PLACES, Default::default());
        }
        let alike = self.places.get_mut(place)?;
        let numbers = alike
            .iter()
            .map(|head| head.as_ref().map_or(0, |head| head.session));
        let (way, _) = numbers.enumerate().min_by_key(|(_, number)| *number)?;
        self.count = self.count.wrapping_add(1);
        let among = place.wrapping_mul(ALIKE).wrapping_add(way);
        let session = self.count.wrapping_mul(Part::PLACES as u64) | among as u64;
        *alike.get_mut(way)? = Some(Head {
            session,
            bytes: bytes.into(),
            at,
            zone: time.len().checked_sub(at)?,
            fields: fields?,
            word: matched.word,
            length,
        });
        Some(session)
    }
}

/// Where a beginning is remembered.
#[inline]
fn place(rest: &[u8]) -> Option<usize> {
    let telling = rest.first_chunk::<TELLING>()?;
    let telling = u128::from_le_bytes(*telling);
    let word = (telling as u64).rotate_left(29) ^ (telling >> 64) as u64;
    Some((word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % PLACES)
}

/// The length of the first line, if nothing in it can be the end of a word of the server's: nearly all have
/// two blanks behind their colon; of the few others one has a blank before it, and all are not ASCII.
#[inline]
fn line_without_a_word(text: &[u8]) -> Option<usize> {
    let byte = |at: usize| text.get(at).copied();
    let ends = |at: usize| match byte(at) {
        Some(b'\n') => true,
        Some(b':') => {
            let before = at.checked_sub(1).and_then(byte);
            before.is_none_or(|byte| matches!(byte, b' ' | 0x80..))
                || behind(text, at).starts_with(b":  ")
        }
        _ => false,
    };
    match find_either(text, b':', b'\n', ends) {
        Some(at) => (byte(at) == Some(b'\n')).then_some(at),
        None => Some(text.len()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::{Level, Parser, Prefix};

    /// What a parser reads of a line.
    fn read(parser: &mut Parser, line: &str) -> Option<(Level, String, Vec<String>)> {
        let (event, rest) = parser.parse(line.as_bytes())?;
        let fields = event.fields.iter();
        let fields = fields.map(|(field, text)| format!("{field:?} {text:?}"));
        let others = format!("{:?} {rest:?}", event.faults);
        Some((event.level, others, fields.collect()))
    }

    const PREFIXES: [&str; 6] = [
        "%m [%p] %q%u@%d ",
        "%t [%p] %u@%d/%a ",
        "%m:%r:%u@%d:[%p]:",
        "%m [%p] %q[user=%u,db=%d,app=%a] ",
        "%m %u %d ",
        "< %m > ",
    ];

    fn line() -> impl Strategy<Value = String> {
        let time = prop::sample::select(vec![
            "2026-11-23 03:34:37.123 UTC",
            "2026-11-23 03:34:38.456 UTC",
            "2026-11-23 03:34:37.123 CET",
            "2026-11-23 03:34:37 UTC",
            "2026-11-23 03:34:3x UTC",
        ]);
        let between = prop::sample::select(vec![
            " [4711] u@d ",
            " [4711] u@d/a ",
            " [4711] ",
            " [4711] [user=u,db=d,app=a LOG:  b] ",
            ":10.0.0.7(5432):u@d:[4711]:",
            " u d ",
            " u@d ERROR: d ",
        ]);
        let word =
            prop::sample::select(vec!["LOG:  ", "ERROR:  ", "STATEMENT:  ", "FEHLER:  ", "x"]);
        let message = prop::sample::select(vec![
            "connection authorized: user=u",
            "duration: 1.0 ms  statement: SELECT 1\n\tFROM t",
            "a d LOG:  second word",
            "a@d ERROR:  x\n2026-11-23 03:34:37.123 UTC [4711] u@d DETAIL:  y",
            "PILE D'APPEL : z",
            ": 쿼리:",
            "",
        ]);
        (time, between, word, message)
            .prop_map(|(time, between, word, message)| format!("{time}{between}{word}{message}"))
    }

    #[test]
    fn all_kinds_of_lines_of_a_session_are_remembered_at_once() {
        let mut parser = Parser::with_prefix(Prefix::compile("%m [%p] %u@%d ").unwrap());
        let words = ["LOG", "ERROR", "DETAIL", "STATEMENT"];
        let mut sessions = |time: &str| {
            words.map(|word| {
                let line = format!("2026-11-23 03:34:{time} UTC [4711] u@d {word}:  said");
                let (event, _) = parser.parse(line.as_bytes()).unwrap();
                event.fields.session
            })
        };
        let first = sessions("37.123");
        assert!(first.iter().all(|session| *session != 0));
        assert_eq!(sessions("38.456"), first);
    }

    proptest! {
        #[test]
        fn a_line_is_read_alike_whatever_was_read_before(
            prefix in prop::sample::select(PREFIXES.to_vec()),
            lines in prop::collection::vec(line(), 1..12),
        ) {
            let prefix = Prefix::compile(prefix).unwrap();
            let fresh = || Parser::with_prefix(prefix.clone());
            let mut parser = fresh();
            for line in lines {
                let seen = read(&mut parser, &line);
                // Of other lines a prefix is found out, which lasts.
                if prefix.fits(line.as_bytes()) {
                    prop_assert_eq!(seen, read(&mut fresh(), &line), "{}", line);
                }
            }
        }
    }
}
