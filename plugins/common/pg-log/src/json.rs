//! Reading one JSON object without building it: where its keys and values stand.
//!
//! Strict where it must be, since what an adapter hands back is made of these pieces: structure,
//! strings without control characters, numbers and words as RFC 8259 has them.

use crate::scan::{before, behind, find_json_special, is_ascii, is_ascii_bits};

/// Objects and arrays inside each other at most; deeper is refused, not followed.
const MOST_LEVELS: usize = 64;

/// What a value is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A string; [`Member::value`] is what stands between the quotes.
    String,
    /// A number.
    Number,
    /// `true`, `false` or `null`.
    Word,
    /// An object.
    Object,
    /// An array.
    Array,
}

/// One member of an object.
#[derive(Clone, Copy, Debug)]
pub struct Member<'t> {
    /// Its key, between the quotes, as it is written.
    pub key: &'t [u8],
    /// Its value as it is written, without the quotes of a string.
    pub value: &'t [u8],
    /// What the value is.
    pub kind: Kind,
    /// The value is a string that stands for itself, and so does any part of it: ASCII without escapes.
    pub plain: bool,
}

/// The members of an object, in their order. Stops at the first thing that is no JSON;
/// [`Members::finished`] tells.
#[derive(Clone, Debug)]
pub struct Members<'t> {
    rest: &'t [u8],
    state: State,
    /// Of all bytes in the keys and strings so far.
    bits: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    First,
    Next,
    Finished,
    Broken,
}

impl<'t> Members<'t> {
    /// The members of the object that `text` begins with, blanks before it aside.
    #[must_use]
    pub fn of(text: &'t [u8]) -> Self {
        match blank(text).strip_prefix(b"{") {
            Some(rest) => Self {
                rest,
                state: State::First,
                bits: 0,
            },
            None => Self {
                rest: text,
                state: State::Broken,
                bits: 0,
            },
        }
    }

    /// What follows the object, if all of it was JSON.
    #[must_use]
    pub fn finished(&self) -> Option<&'t [u8]> {
        (self.state == State::Finished).then_some(self.rest)
    }

    /// Whether what was read so far is ASCII.
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        is_ascii_bits(self.bits)
    }

    /// The next member. What stays of the text matters only if there is one, or none is left.
    #[inline]
    fn member(&mut self) -> Option<Member<'t>> {
        let mut rest = blank(self.rest);
        if let Some(behind) = rest.strip_prefix(b"}") {
            self.rest = behind;
            self.state = State::Finished;
            return None;
        }
        if self.state == State::Next {
            rest = blank(rest.strip_prefix(b",")?);
        }
        let (key, rest) = string(rest, &mut self.bits)?;
        let rest = blank(blank(rest).strip_prefix(b":")?);
        let mut bits = 0;
        let (value, kind, rest) = value(rest, &mut bits)?;
        self.bits |= bits;
        self.rest = rest;
        self.state = State::Next;
        Some(Member {
            key: key.inside,
            value: value.inside,
            kind,
            plain: kind == Kind::String && !value.escaped && is_ascii_bits(bits),
        })
    }
}

impl<'t> Iterator for Members<'t> {
    type Item = Member<'t>;

    fn next(&mut self) -> Option<Member<'t>> {
        if matches!(self.state, State::Finished | State::Broken) {
            return None;
        }
        let member = self.member();
        if member.is_none() && self.state != State::Finished {
            self.state = State::Broken;
        }
        member
    }
}

#[inline]
fn blank(text: &[u8]) -> &[u8] {
    match text.first() {
        Some(b'!'..) => text,
        _ => behind_blanks(text),
    }
}

fn behind_blanks(text: &[u8]) -> &[u8] {
    let mut rest = text;
    while let Some((b' ' | b'\t' | b'\n' | b'\r', behind)) = rest.split_first() {
        rest = behind;
    }
    rest
}

/// A value as it is written, and whether it is a string with an escape in it.
struct Written<'t> {
    inside: &'t [u8],
    escaped: bool,
}

impl<'t> Written<'t> {
    fn plain(inside: &'t [u8]) -> Self {
        Self {
            inside,
            escaped: false,
        }
    }
}

/// The string that `text` begins with, and what follows it; notes the bits of its bytes. Control
/// characters end it: they have no place in one.
#[inline]
fn string<'t>(text: &'t [u8], bits: &mut u64) -> Option<(Written<'t>, &'t [u8])> {
    let text = text.strip_prefix(b"\"")?;
    let mut at = find_json_special(text, bits)?;
    let mut escaped = false;
    loop {
        match text.get(at)? {
            b'"' => {
                let (inside, rest) = text.split_at_checked(at)?;
                return Some((Written { inside, escaped }, behind(rest, 1)));
            }
            b'\\' => escaped = true,
            _ => return None,
        }
        at = match text.get(at.saturating_add(1))? {
            b'u' => {
                let digits = text.get(at.saturating_add(2)..at.saturating_add(6))?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                at.saturating_add(6)
            }
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => at.saturating_add(2),
            _ => return None,
        };
        at = at.saturating_add(find_json_special(text.get(at..)?, bits)?);
    }
}

fn value<'t>(text: &'t [u8], bits: &mut u64) -> Option<(Written<'t>, Kind, &'t [u8])> {
    match text.first()? {
        b'"' => string(text, bits).map(|(value, rest)| (value, Kind::String, rest)),
        b'{' => nested(text, bits).map(|(value, rest)| (value, Kind::Object, rest)),
        b'[' => nested(text, bits).map(|(value, rest)| (value, Kind::Array, rest)),
        b't' | b'f' | b'n' => ["true", "false", "null"].iter().find_map(|word| {
            let rest = text.strip_prefix(word.as_bytes())?;
            Some((Written::plain(before(text, word.len())), Kind::Word, rest))
        }),
        _ => {
            let length = number_length(text)?;
            let number = Written::plain(before(text, length));
            Some((number, Kind::Number, behind(text, length)))
        }
    }
}

/// `-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?`
fn number_length(text: &[u8]) -> Option<usize> {
    let mut at = usize::from(text.first() == Some(&b'-'));
    let digits = |at: usize| Some(crate::scan::digits(behind(text, at))).filter(|count| *count > 0);
    let whole = digits(at)?;
    if whole > 1 && text.get(at) == Some(&b'0') {
        return None;
    }
    at = at.saturating_add(whole);
    if text.get(at) == Some(&b'.') {
        at = at.saturating_add(1);
        at = at.saturating_add(digits(at)?);
    }
    if let Some(b'e' | b'E') = text.get(at) {
        at = at.saturating_add(1);
        if let Some(b'+' | b'-') = text.get(at) {
            at = at.saturating_add(1);
        }
        at = at.saturating_add(digits(at)?);
    }
    Some(at)
}

/// The object or array that `text` begins with. Checks that it is JSON, without recursion: bit `n`
/// of `objects` says whether level `n` is an object.
fn nested<'t>(text: &'t [u8], bits: &mut u64) -> Option<(Written<'t>, &'t [u8])> {
    let mut objects = 0_u64;
    let mut depth = 0_usize;
    let mut rest = text;
    loop {
        // A value is due here.
        rest = blank(rest);
        let opened = match rest.split_first()? {
            (b'{', behind) => Some((behind, true)),
            (b'[', behind) => Some((behind, false)),
            _ => None,
        };
        if let Some((behind, object)) = opened {
            depth = depth.saturating_add(1);
            if depth >= MOST_LEVELS {
                return None;
            }
            objects = objects.wrapping_shl(1) | u64::from(object);
            rest = blank(behind);
            let end: &[u8] = if object { b"}" } else { b"]" };
            if !rest.starts_with(end) {
                if object {
                    rest = key(rest, bits)?;
                }
                continue;
            }
        } else {
            let (_, _, behind) = value_of_no_parts(rest, bits)?;
            rest = behind;
        }
        // Behind a value: ends of levels, then a comma.
        loop {
            rest = blank(rest);
            let object = objects & 1 == 1;
            match rest.split_first()? {
                (b'}', behind) if object => rest = behind,
                (b']', behind) if !object => rest = behind,
                (b',', behind) => {
                    rest = blank(behind);
                    if object {
                        rest = key(rest, bits)?;
                    }
                    break;
                }
                _ => return None,
            }
            objects >>= 1;
            depth = depth.saturating_sub(1);
            if depth == 0 {
                let length = text.len().saturating_sub(rest.len());
                return Some((Written::plain(before(text, length)), rest));
            }
        }
    }
}

/// A value that is neither object nor array.
fn value_of_no_parts<'t>(text: &'t [u8], bits: &mut u64) -> Option<(Written<'t>, Kind, &'t [u8])> {
    match text.first()? {
        b'{' | b'[' => None,
        _ => value(text, bits),
    }
}

/// What follows a key and its colon.
fn key<'t>(text: &'t [u8], bits: &mut u64) -> Option<&'t [u8]> {
    let (_, rest) = string(text, bits)?;
    blank(rest).strip_prefix(b":")
}

/// How deep in objects, arrays and strings a text ends.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Nesting {
    depth: u32,
    string: bool,
    /// The next byte is escaped.
    escaped: bool,
}

impl Nesting {
    /// Whether nothing is open.
    pub(crate) fn is_closed(self) -> bool {
        self.depth == 0 && !self.string
    }

    /// What is open behind a text, up to the end of the outermost value.
    pub(crate) fn behind(mut self, text: &[u8]) -> Self {
        for byte in text {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = self.string,
                b'"' => self.string = !self.string,
                _ if self.string => {}
                b'{' | b'[' => self.depth = self.depth.saturating_add(1),
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        break;
                    }
                }
                _ => {}
            }
        }
        self
    }
}

/// Whether a text is UTF-8; that of most logs is ASCII, which is seen sooner.
#[must_use]
pub fn is_utf8(text: &[u8]) -> bool {
    is_ascii(text) || std::str::from_utf8(text).is_ok()
}

/// The text that a string's inside stands for: itself, or what is written to `buffer`.
#[must_use]
pub fn unescaped<'t>(inside: &'t [u8], buffer: &'t mut Vec<u8>) -> &'t [u8] {
    if crate::scan::find_byte(inside, b'\\').is_none() {
        return inside;
    }
    buffer.clear();
    unescape(inside, buffer);
    buffer
}

/// Writes the text that a string's inside stands for. Escapes that mean nothing, and halves of
/// surrogate pairs, become U+FFFD.
pub fn unescape(inside: &[u8], out: &mut Vec<u8>) {
    let mut rest = inside;
    while let Some(at) = crate::scan::find_byte(rest, b'\\') {
        out.extend_from_slice(before(rest, at));
        rest = behind(rest, at.saturating_add(1));
        let Some((kind, behind)) = rest.split_first() else {
            return;
        };
        rest = behind;
        match kind {
            b'b' => out.push(0x08),
            b'f' => out.push(0x0c),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'u' => rest = unescape_unit(rest, out),
            other => out.push(*other),
        }
    }
    out.extend_from_slice(rest);
}

/// Behind `\u`: one code point, of one or two escapes. Returns what follows.
fn unescape_unit<'t>(text: &'t [u8], out: &mut Vec<u8>) -> &'t [u8] {
    let (first, rest) = match hexadecimal(text) {
        Some(first) => (first, behind(text, 4)),
        None => (0xfffd, text),
    };
    let (point, rest) = if (0xd800..0xdc00).contains(&first) {
        let second = rest.strip_prefix(b"\\u");
        match second.and_then(hexadecimal) {
            Some(second) if (0xdc00..0xe000).contains(&second) => {
                let high = (first & 0x3ff).wrapping_shl(10);
                let point = 0x1_0000_u32.wrapping_add(high | (second & 0x3ff));
                (point, behind(rest, 6))
            }
            _ => (0xfffd, rest),
        }
    } else {
        (first, rest)
    };
    let character = char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER);
    let mut buffer = [0; 4];
    out.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
    rest
}

fn hexadecimal(text: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(text.get(..4)?).ok()?;
    u32::from_str_radix(digits, 16).ok()
}

/// Writes `text` as the inside of a string. Bytes that are no UTF-8 become U+FFFD.
pub fn escape(text: &[u8], out: &mut Vec<u8>) {
    let begin = out.len();
    if !escape_valid(text, out) && std::str::from_utf8(text).is_err() {
        out.truncate(begin);
        for chunk in text.utf8_chunks() {
            escape_valid(chunk.valid().as_bytes(), out);
            if !chunk.invalid().is_empty() {
                out.extend_from_slice("\u{fffd}".as_bytes());
            }
        }
    }
}

/// Writes a text that is UTF-8. Returns whether it is ASCII.
fn escape_valid(text: &[u8], out: &mut Vec<u8>) -> bool {
    let mut bits = 0;
    let mut rest = text;
    while let Some(at) = find_json_special(rest, &mut bits) {
        out.extend_from_slice(before(rest, at));
        escape_byte(rest.get(at).copied().unwrap_or(b'?'), out);
        rest = behind(rest, at.saturating_add(1));
    }
    out.extend_from_slice(rest);
    is_ascii_bits(bits)
}

fn escape_byte(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\t' => out.extend_from_slice(b"\\t"),
        b'\r' => out.extend_from_slice(b"\\r"),
        _ => {
            let digit = |place: u8| HEX.get(usize::from(place)).copied().unwrap_or(b'0');
            out.extend_from_slice(b"\\u00");
            out.push(digit(byte >> 4));
            out.push(digit(byte & 15));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(text: &str) -> (Vec<(String, String, Kind)>, bool) {
        let mut members = Members::of(text.as_bytes());
        let owned = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let all = members
            .by_ref()
            .map(|member| (owned(member.key), owned(member.value), member.kind))
            .collect();
        (all, members.finished().is_some())
    }

    #[test]
    fn members_come_in_their_order_as_they_are_written() {
        let (all, finished) = members(r#" {"a":1.50, "b" : "x\"y","c":{"d":[1,{}]},"e":null}"#);
        assert!(finished);
        let seen: Vec<_> = all
            .iter()
            .map(|(key, value, kind)| (key.as_str(), value.as_str(), *kind))
            .collect();
        assert_eq!(
            seen,
            [
                ("a", "1.50", Kind::Number),
                ("b", r#"x\"y"#, Kind::String),
                ("c", r#"{"d":[1,{}]}"#, Kind::Object),
                ("e", "null", Kind::Word),
            ]
        );
    }

    #[test]
    fn what_is_no_json_is_not_finished() {
        for text in [
            "",
            "{",
            "{\"a\"",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\":01}",
            "{\"a\":[1,]}",
            "{\"a\":{]}",
            "{\"a\":tru}",
            "{\"a\":\"\\x\"}",
            "{\"a\":\"\n\"}",
            "{\"a\":\"\\u12g4\"}",
            "{a:1}",
            "[1]",
            "{\"a\":1 2}",
        ] {
            assert!(!members(text).1, "{text}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000));
        assert!(!members(&deep).1);
    }

    #[test]
    fn strings_come_back_through_both_ways() {
        for text in ["", "plain", "a\"b\\c\n\t\u{1}é漢🐘"] {
            let (mut escaped, mut back) = (Vec::new(), Vec::new());
            escape(text.as_bytes(), &mut escaped);
            unescape(&escaped, &mut back);
            assert_eq!(back, text.as_bytes());
        }
        let mut out = Vec::new();
        unescape(br"\ud83d\udc18 \ud83d x", &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "🐘 \u{fffd} x");
    }
}
