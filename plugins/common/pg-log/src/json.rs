//! Reading one JSON object without building it: where its keys and values stand.
//!
//! Strict where it must be, since what an adapter hands back is made of these pieces: structure,
//! strings without control characters, numbers and words as RFC 8259 has them.

use crate::scan::{JsonSpecials, before, behind, find_json_special, is_ascii, is_ascii_bits};

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
    cursor: Cursor<'t>,
    state: State,
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
        let mut cursor = Cursor {
            text,
            at: 0,
            specials: JsonSpecials::of(text),
        };
        cursor.blank();
        let state = match cursor.take(b'{') {
            Some(()) => State::First,
            None => State::Broken,
        };
        Self { cursor, state }
    }

    /// What follows the object, if all of it was JSON.
    #[must_use]
    pub fn finished(&self) -> Option<&'t [u8]> {
        (self.state == State::Finished).then(|| self.cursor.rest())
    }

    /// Whether what was read so far is ASCII; if not, what follows it closely may be what is not.
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        self.cursor.specials.are_among_ascii()
    }

    #[inline]
    fn member(&mut self) -> Option<Member<'t>> {
        let cursor = &mut self.cursor;
        cursor.blank();
        if cursor.take(b'}').is_some() {
            self.state = State::Finished;
            return None;
        }
        if self.state == State::Next {
            cursor.take(b',')?;
            cursor.blank();
        }
        let key = cursor.key()?;
        cursor.blank();
        let (value, kind) = cursor.value()?;
        self.state = State::Next;
        let is_ascii = || cursor.specials.are_among_ascii() || is_ascii(value.inside);
        Some(Member {
            key,
            value: value.inside,
            kind,
            plain: kind == Kind::String && !value.escaped && is_ascii(),
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

/// A value as it is written, and whether it is a string with an escape in it.
struct Written<'t> {
    inside: &'t [u8],
    escaped: bool,
}

/// Reads a text from its beginning to its end. What it has read matters no more once it meets what is no JSON.
#[derive(Clone, Debug)]
struct Cursor<'t> {
    text: &'t [u8],
    at: usize,
    specials: JsonSpecials<'t>,
}

impl<'t> Cursor<'t> {
    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn rest(&self) -> &'t [u8] {
        behind(self.text, self.at)
    }

    /// What was read since it stood at `from`.
    #[inline]
    fn since(&self, from: usize) -> &'t [u8] {
        self.text.get(from..self.at).unwrap_or_default()
    }

    #[inline]
    fn advance(&mut self, bytes: usize) {
        self.at = self.at.wrapping_add(bytes);
    }

    #[inline]
    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek() == Some(byte)).then(|| self.advance(1))
    }

    #[inline]
    fn blank(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.advance(1);
        }
    }

    /// A string. Control characters have no place in one.
    #[inline]
    fn string(&mut self) -> Option<Written<'t>> {
        self.take(b'"')?;
        let begin = self.at;
        self.at = self.specials.from(begin)?;
        let mut escaped = false;
        while self.peek() == Some(b'\\') {
            escaped = true;
            self.escape()?;
            self.at = self.specials.from(self.at)?;
        }
        let inside = self.since(begin);
        self.take(b'"')?;
        Some(Written { inside, escaped })
    }

    fn escape(&mut self) -> Option<()> {
        let length = match self.text.get(self.at.checked_add(1)?)? {
            b'u' => {
                let digits = self
                    .text
                    .get(self.at.checked_add(2)?..self.at.checked_add(6)?)?;
                digits.iter().all(u8::is_ascii_hexdigit).then_some(6)?
            }
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
            _ => return None,
        };
        self.advance(length);
        Some(())
    }

    /// A key and its colon.
    #[inline]
    fn key(&mut self) -> Option<&'t [u8]> {
        let key = self.string()?;
        self.blank();
        self.take(b':')?;
        Some(key.inside)
    }

    #[inline]
    fn value(&mut self) -> Option<(Written<'t>, Kind)> {
        let (kind, inside) = match self.peek()? {
            b'"' => return self.string().map(|string| (string, Kind::String)),
            b'{' => (Kind::Object, self.nested()?),
            b'[' => (Kind::Array, self.nested()?),
            b't' | b'f' | b'n' => (Kind::Word, self.word()?),
            _ => (Kind::Number, self.number()?),
        };
        let escaped = false;
        Some((Written { inside, escaped }, kind))
    }

    fn word(&mut self) -> Option<&'t [u8]> {
        let rest = self.rest();
        let words = ["true", "false", "null"];
        let word = words
            .iter()
            .find(|word| rest.starts_with(word.as_bytes()))?;
        self.advance(word.len());
        Some(before(rest, word.len()))
    }

    /// `-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?`
    fn number(&mut self) -> Option<&'t [u8]> {
        let begin = self.at;
        let _ = self.take(b'-');
        let zero = self.peek() == Some(b'0');
        if self.digits()? > 1 && zero {
            return None;
        }
        if self.take(b'.').is_some() {
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.advance(1);
            if let Some(b'+' | b'-') = self.peek() {
                self.advance(1);
            }
            self.digits()?;
        }
        Some(self.since(begin))
    }

    /// How many there are: at least one.
    #[inline]
    fn digits(&mut self) -> Option<usize> {
        let begin = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.advance(1);
        }
        self.at.checked_sub(begin).filter(|digits| *digits > 0)
    }

    /// An object or an array. Checks that it is JSON, without recursion: bit `n` of `objects` says
    /// whether level `n` is an object.
    fn nested(&mut self) -> Option<&'t [u8]> {
        let begin = self.at;
        let mut objects = 0_u64;
        let mut depth = 0_usize;
        loop {
            // A value is due here.
            self.blank();
            let is_object = self.peek()? == b'{';
            if is_object || self.peek()? == b'[' {
                self.advance(1);
                depth = depth.saturating_add(1);
                if depth >= MOST_LEVELS {
                    return None;
                }
                objects = objects.wrapping_shl(1) | u64::from(is_object);
                self.blank();
                if self.peek()? != end_of(is_object) {
                    if is_object {
                        self.key()?;
                    }
                    continue;
                }
            } else {
                self.value_of_no_parts()?;
            }
            // Behind a value: ends of levels, then a comma.
            loop {
                self.blank();
                let is_object = objects & 1 == 1;
                if self.take(b',').is_some() {
                    self.blank();
                    if is_object {
                        self.key()?;
                    }
                    break;
                }
                self.take(end_of(is_object))?;
                objects >>= 1;
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(self.since(begin));
                }
            }
        }
    }

    /// A value that is neither object nor array.
    fn value_of_no_parts(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' => self.string().map(|_| ()),
            b't' | b'f' | b'n' => self.word().map(|_| ()),
            _ => self.number().map(|_| ()),
        }
    }
}

/// What ends an object, or an array.
const fn end_of(is_object: bool) -> u8 {
    match is_object {
        true => b'}',
        false => b']',
    }
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
