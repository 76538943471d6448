//! Key/value pairs that clients put into comments (the sqlcommenter specification), and W3C trace
//! contexts, there or in an application name.
//!
//! A pair is `key='value'`, both URL-encoded, a quote in a value written `\'`; pairs are separated by
//! commas. Only a comment that begins or ends the text counts, and only when all of it is pairs: a
//! string that looks like a comment is a string to the lexer.

use std::borrow::Cow;
use std::fmt;

use crate::lexer::{Lexer, LexerOptions, TokenKind};

/// The keys that the specification names.
pub const KEYS: &[&str] = &[
    "action",
    "application",
    "controller",
    "db_driver",
    "framework",
    "route",
    "traceparent",
    "tracestate",
];

/// Pairs read of one comment at most.
const MOST_PAIRS: usize = 64;

/// One pair of a comment, decoded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pair<'t> {
    /// The key.
    pub key: Cow<'t, str>,
    /// The value; it is data.
    pub value: Cow<'t, str>,
}

/// What comments say about a statement.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tags<'t> {
    /// All pairs, in the order of the text; of a key that comes twice, both.
    pub pairs: Vec<Pair<'t>>,
}

impl Tags<'_> {
    /// The first value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        let pair = self.pairs.iter().find(|pair| pair.key == key)?;
        Some(&pair.value)
    }

    /// The trace context, if it is valid.
    #[must_use]
    pub fn trace_parent(&self) -> Option<TraceParent> {
        TraceParent::parse(self.get("traceparent")?)
    }

    /// The `tracestate`, if it is valid and a valid `traceparent` comes with it.
    #[must_use]
    pub fn trace_state(&self) -> Option<&str> {
        self.trace_parent()?;
        self.get("tracestate").filter(|state| is_trace_state(state))
    }
}

/// Reads the pairs of the last comment of a text, or of the first if that has none.
#[must_use]
pub fn tags<'t>(text: &'t [u8], options: &LexerOptions) -> Tags<'t> {
    let mut first = None;
    let mut last = None;
    let mut seen = false;
    for token in Lexer::new(text, *options) {
        match token.kind {
            TokenKind::Whitespace => {}
            _ if token.fault.is_some() => last = None,
            TokenKind::BlockComment if seen => last = Some(token.of(text)),
            TokenKind::BlockComment => first = first.or(Some(token.of(text))),
            TokenKind::LineComment => {}
            TokenKind::Punctuation if token.of(text) == b";" => {}
            _ => {
                seen = true;
                last = None;
            }
        }
    }
    let pairs = |comment: Option<&'t [u8]>| comment.and_then(pairs);
    Tags {
        pairs: pairs(last).or_else(|| pairs(first)).unwrap_or_default(),
    }
}

/// The pairs of a block comment, if it is nothing but pairs.
fn pairs(comment: &[u8]) -> Option<Vec<Pair<'_>>> {
    let decoded = raw_pairs(comment)?.into_iter().map(|pair| {
        Some(Pair {
            key: decode(pair.key)?,
            value: decode(pair.value)?,
        })
    });
    decoded.collect()
}

/// Key and value as they stand, without the quotes.
struct RawPair<'t> {
    key: &'t [u8],
    value: &'t [u8],
    /// The specification demands quotes; OpenTelemetry's Python writes numbers without
    /// (`libpq_version=180006`).
    quoted: bool,
}

fn raw_pairs(comment: &[u8]) -> Option<Vec<RawPair<'_>>> {
    let inside = comment.strip_prefix(b"/*")?.strip_suffix(b"*/")?;
    let mut rest = inside.trim_ascii();
    let mut found = Vec::new();
    while found.len() < MOST_PAIRS {
        let equals = rest.iter().position(|byte| *byte == b'=')?;
        let (key, behind) = rest.split_at_checked(equals)?;
        let key = key.trim_ascii();
        let value = behind.strip_prefix(b"=")?.trim_ascii_start();
        let opened = value.strip_prefix(b"'");
        let (value, end) = match opened {
            Some(value) => (value, closing_quote(value)?),
            None => (value, bare_end(value)?),
        };
        if key.is_empty() || !key.iter().all(|byte| is_encoded(*byte)) {
            return None;
        }
        let (value, behind) = value.split_at_checked(end)?;
        let quoted = opened.is_some();
        found.push(RawPair { key, value, quoted });
        let behind = match quoted {
            true => behind.strip_prefix(b"'")?,
            false => behind,
        };
        rest = behind.trim_ascii_start();
        match rest.strip_prefix(b",") {
            Some(behind) => rest = behind.trim_ascii_start(),
            None if rest.is_empty() => return Some(found),
            None => return None,
        }
    }
    None
}

/// The length of a value without quotes: a number.
fn bare_end(value: &[u8]) -> Option<usize> {
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.count()).filter(|length| *length > 0)
}

/// The offset of the first quote that no backslash escapes.
fn closing_quote(value: &[u8]) -> Option<usize> {
    let mut escaped = false;
    value.iter().position(|byte| {
        let closes = *byte == b'\'' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        closes
    })
}

/// Characters a URL-encoded key may have.
fn is_encoded(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'%' | b'+')
}

/// URL-decodes a key or value and takes the backslash before quotes away. None if it is not UTF-8.
fn decode(text: &[u8]) -> Option<Cow<'_, str>> {
    if !text.iter().any(|byte| matches!(byte, b'%' | b'\\')) {
        return std::str::from_utf8(text).ok().map(Cow::Borrowed);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        rest = match rest {
            [] => break,
            [b'%', high, low, behind @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                decoded.push(hex_digit(*high) << 4 | hex_digit(*low));
                behind
            }
            [b'\\', quote @ (b'\'' | b'\\'), behind @ ..] => {
                decoded.push(*quote);
                behind
            }
            [byte, behind @ ..] => {
                decoded.push(*byte);
                behind
            }
        };
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

fn hex_digit(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit.wrapping_sub(b'0'),
        _ => digit
            .to_ascii_lowercase()
            .wrapping_sub(b'a')
            .wrapping_add(10),
    }
}

/// Writes the pairs of a comment that have a known key, as a comment; false if there are none. What
/// is written is never longer than the comment.
pub(crate) fn write_known(comment: &[u8], out: &mut Vec<u8>) -> bool {
    let mut wrote = false;
    for RawPair { key, value, quoted } in raw_pairs(comment).unwrap_or_default() {
        // Half of a nested comment would end the one that is written, or never end it.
        let nested = value.windows(2).any(|two| matches!(two, b"/*" | b"*/"));
        if !quoted || nested || !KEYS.iter().any(|known| known.as_bytes() == key) {
            continue;
        }
        out.extend_from_slice(if wrote { b"," } else { b"/*" });
        out.extend_from_slice(key);
        out.extend_from_slice(b"='");
        out.extend_from_slice(value);
        out.push(b'\'');
        wrote = true;
    }
    if wrote {
        out.extend_from_slice(b"*/");
    }
    wrote
}

/// A W3C `traceparent`, version 00 (<https://www.w3.org/TR/trace-context/>).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TraceParent {
    /// Never all zero.
    pub trace_id: [u8; 16],
    /// Never all zero.
    pub span_id: [u8; 8],
    /// Bit 0: sampled.
    pub flags: u8,
}

/// `00-` 32 digits `-` 16 digits `-` 2 digits.
const TRACE_PARENT_LENGTH: usize = 55;

impl TraceParent {
    /// Reads exactly one. Of a version above 00, what is known of it; `ff` is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (known, behind) = text.as_bytes().split_at_checked(TRACE_PARENT_LENGTH)?;
        let version = bytes::<1>(known.get(..2)?)?;
        let dashes = [2, 35, 52].map(|at: usize| known.get(at) == Some(&b'-'));
        let length_fits = match version {
            [0] => behind.is_empty(),
            _ => matches!(behind, [] | [b'-', ..]),
        };
        if dashes != [true; 3] || !length_fits || version == [0xff] {
            return None;
        }
        let trace_id = bytes(known.get(3..35)?)?;
        let span_id = bytes(known.get(36..52)?)?;
        let [flags] = bytes(known.get(53..55)?)?;
        let valid = trace_id != [0; 16] && span_id != [0; 8];
        valid.then_some(Self {
            trace_id,
            span_id,
            flags,
        })
    }

    /// The first one anywhere in an application name, where it stands between characters that are
    /// neither hex digits nor dashes.
    #[must_use]
    pub fn in_application_name(name: &str) -> Option<Self> {
        name.split(|character: char| !(character.is_ascii_hexdigit() || character == '-'))
            .find_map(Self::parse)
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trace_id = u128::from_be_bytes(self.trace_id);
        let span_id = u64::from_be_bytes(self.span_id);
        write!(out, "00-{trace_id:032x}-{span_id:016x}-{:02x}", self.flags)
    }
}

/// Lower-case hex digits, as W3C demands.
fn bytes<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let lower = |digit: &u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    if digits.len() != N.wrapping_mul(2) || !digits.iter().all(lower) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, digits) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digits
            .iter()
            .fold(0, |byte: u8, digit| byte << 4 | hex_digit(*digit));
    }
    Some(bytes)
}

/// At most 512 characters and 32 members `key=value` of printable ASCII.
fn is_trace_state(text: &str) -> bool {
    let member = |member: &str| {
        let member = member.trim_matches([' ', '\t']);
        member.is_empty()
            || member
                .split_once('=')
                .is_some_and(|(key, value)| is_trace_state_key(key) && is_trace_state_value(value))
    };
    text.len() <= 512 && text.split(',').count() <= 32 && text.split(',').all(member)
}

fn is_trace_state_key(key: &str) -> bool {
    let allowed =
        |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@');
    let first = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    key.len() <= 256 && key.bytes().all(allowed) && key.as_bytes().first().is_some_and(first)
}

fn is_trace_state_value(value: &str) -> bool {
    let allowed = |byte: u8| matches!(byte, 0x20..=0x7e) && byte != b',' && byte != b'=';
    !value.is_empty() && value.len() <= 256 && value.bytes().all(allowed) && !value.ends_with(' ')
}
