//! Which text of a record is the entry: of its body, its attributes and the members of both, at whatever
//! depth, the one that looks most like it. One that somebody has written into a JSON object, as Docker
//! does (`{"log":"...","stream":"stderr"}`), is taken out of it.

use std::cell::OnceCell;

use otlp_wire::{Any, KeyValue, MAX_DEPTH};
use pg_log::json::{Kind, Members, unescape};

use super::entry::MEMBERS;

/// A text that may be the entry; the least is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Rank {
    /// The body, or a member of it that is configured to hold lines, and looks like one; which of those
    /// that are.
    Line(usize),
    /// Looks like one, wherever it stands.
    Elsewhere,
    /// Stands where one is expected, whatever it looks like.
    Expected(usize),
}

/// The best text so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Best<'a> {
    best: Option<(Rank, &'a [u8])>,
    /// The first text where an entry is expected. It is not looked at until there is another.
    first: Option<(usize, &'a [u8])>,
}

impl<'a> Best<'a> {
    pub(super) fn text(self) -> Option<&'a [u8]> {
        let first = self.first.map(|(_, text)| text);
        first.or(self.best.map(|(_, text)| text))
    }

    /// Whether the text stands where none is expected.
    pub(super) fn is_elsewhere(self) -> bool {
        self.first.is_none() && matches!(self.best, Some((Rank::Elsewhere, _)))
    }

    /// A text where an entry is expected.
    #[inline(never)]
    pub(super) fn expected(&mut self, place: usize, text: &'a [u8]) {
        if self.first.is_none() && self.best.is_none() {
            self.first = Some((place, text));
            return;
        }
        self.look_at_the_first();
        self.look_at(place, text);
    }

    /// A text anywhere else.
    fn elsewhere(&mut self, text: &'a [u8]) {
        if looks_like_an_entry(text) {
            self.look_at_the_first();
            self.offer(Rank::Elsewhere, text);
        }
    }

    fn look_at_the_first(&mut self) {
        if let Some((place, text)) = self.first.take() {
            self.look_at(place, text);
        }
    }

    fn look_at(&mut self, place: usize, text: &'a [u8]) {
        let rank = match looks_like_an_entry(text) {
            true => Rank::Line(place),
            false => Rank::Expected(place),
        };
        self.offer(rank, text);
    }

    fn offer(&mut self, rank: Rank, text: &'a [u8]) {
        if self.best.is_none_or(|(best, _)| rank < best) {
            self.best = Some((rank, text));
        }
    }

    /// The texts in a value. What cannot be read has none.
    #[inline(never)]
    pub(super) fn inside(&mut self, any: Any<'a>, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        let deeper = depth.saturating_add(1);
        match any {
            Any::Text(text) | Any::Bytes(text) => self.elsewhere(text),
            Any::Map(map) => {
                for member in map.all(MEMBERS).flatten() {
                    let value = member.message().and_then(KeyValue::read);
                    if let Ok(value) = value.and_then(|member| member.any()) {
                        self.inside(value, deeper);
                    }
                }
            }
            Any::List(list) => {
                for item in list.all(MEMBERS).flatten() {
                    if let Ok(value) = item.message().and_then(Any::read) {
                        self.inside(value, deeper);
                    }
                }
            }
            Any::Empty | Any::Bool(_) | Any::Int(_) | Any::Double(_) => {}
        }
    }
}

/// The shortest line of a server.
const SHORTEST: usize = 24;

/// Whether a text begins with a time, as syslog does, or as JSON, and has what entries have. An error's
/// message (`ERROR:  duplicate key ...`) does not begin so: it may be an application's.
#[inline(never)]
fn looks_like_an_entry(text: &[u8]) -> bool {
    text.len() >= SHORTEST
        && matches!(text.first(), Some(b'0'..=b'9' | b'<' | b'[' | b'{'))
        && (text.starts_with(JSONLOG) || has_mark(text))
}

/// Whether a text has what stands behind the severity in a line, where a row has nothing, or in JSON's key.
#[inline(never)]
fn has_mark(text: &[u8]) -> bool {
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        let found = match first {
            b':' => behind.starts_with(b"  "),
            b',' => behind.starts_with(b","),
            b'e' => behind.starts_with(b"rror_severity"),
            _ => false,
        };
        if found {
            return true;
        }
        rest = behind;
    }
    false
}

/// How `jsonlog` begins each entry.
const JSONLOG: &[u8] = b"{\"timestamp\":";
/// Members of an entry itself, and of CloudNativePG's.
const OWN: [&[u8]; 2] = [b"error_severity", b"record"];
/// Objects in each other that a text is looked for in.
const LEVELS: usize = 4;

/// The entry that is a string somewhere in a JSON object.
#[inline(never)]
pub(super) fn unwrapped<'a>(text: &'a [u8], room: &mut Room<'a>) -> Option<&'a [u8]> {
    let may_hold = text.starts_with(b"{") && !text.starts_with(JSONLOG) && has_mark(text);
    may_hold.then(|| string_in(text, room, LEVELS)).flatten()
}

fn string_in<'a>(object: &'a [u8], room: &mut Room<'a>, levels: usize) -> Option<&'a [u8]> {
    let deeper = levels.checked_sub(1)?;
    let is_own = |key: &[u8]| OWN.contains(&key);
    if Members::of(object).any(|member| is_own(member.key)) {
        return None;
    }
    Members::of(object).find_map(|member| match member.kind {
        Kind::Object => string_in(member.value, room, deeper),
        Kind::String if member.plain && looks_like_an_entry(member.value) => Some(member.value),
        Kind::String if !member.plain && has_mark(member.value) => {
            let mut text = Vec::with_capacity(member.value.len());
            unescape(member.value, &mut text);
            looks_like_an_entry(&text).then(|| room.keep(text))
        }
        _ => None,
    })
}

/// Texts that were written otherwise in the batch, as long as it is handled.
#[derive(Debug, Default)]
pub(super) struct Texts {
    first: OnceCell<Box<Kept>>,
}

#[derive(Debug)]
struct Kept {
    text: Vec<u8>,
    next: OnceCell<Box<Kept>>,
}

/// Where the next one is kept.
#[derive(Debug)]
pub(super) struct Room<'a>(&'a OnceCell<Box<Kept>>);

impl<'a> Room<'a> {
    pub(super) const fn new(texts: &'a Texts) -> Self {
        Self(&texts.first)
    }

    fn keep(&mut self, text: Vec<u8>) -> &'a [u8] {
        let kept = self.0.get_or_init(|| {
            Box::new(Kept {
                text,
                next: OnceCell::new(),
            })
        });
        self.0 = &kept.next;
        &kept.text
    }
}

impl Drop for Texts {
    /// One behind the other: they are too many to be dropped inside each other.
    fn drop(&mut self) {
        let mut next = self.first.take();
        while let Some(mut kept) = next {
            next = kept.next.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "2026-11-23 03:34:37.123 UTC [4711] ERROR:  duplicate key";

    #[test]
    fn an_entry_is_taken_out_of_an_object() {
        let texts = Texts::default();
        let mut room = Room::new(&texts);
        let objects = [
            format!(r#"{{"log":"{LINE}","stream":"stderr"}}"#),
            format!(r#"{{"stream":"stderr","log":"{LINE}\n"}}"#),
            format!(r#"{{"a":{{"b":{{"textPayload":"{LINE}"}}}}}}"#),
        ];
        for object in &objects {
            let found = unwrapped(object.as_bytes(), &mut room).map(<[u8]>::trim_ascii_end);
            assert_eq!(found, Some(LINE.as_bytes()), "{object}");
        }
        for text in [
            r#"{"timestamp":"2026-11-23 03:34:37.123 UTC","error_severity":"ERROR"}"#,
            r#"{"level":"info","record":{"error_severity":"ERROR","query":"1 a:  b cdefghijklmnopqrs"}}"#,
            r#"{"level":"info","msg":"ready:  12 workers"}"#,
            r#"{"log":"2026-11-23 03:34:37.123 UTC [4711] ERROR:  x"#,
            LINE,
        ] {
            assert_eq!(unwrapped(text.as_bytes(), &mut room), None, "{text}");
        }
    }

    #[test]
    fn many_texts_are_kept_and_dropped() {
        let texts = Texts::default();
        let mut room = Room::new(&texts);
        for number in 0..100_000_u32 {
            room.keep(number.to_le_bytes().to_vec());
        }
        assert_eq!(room.keep(vec![7]), [7]);
    }
}
