//! The record that is handed back: members as they came, and what the log entry says in the place of
//! the text it was read from. What it says of a session, or of a message that comes again, is written once
//! and copied from then on.

use pg_log::json::{Kind, Member, escape};
use pg_log::{Part, Severity, Sink};

use crate::parts::Parts;

/// A member of the record that came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'r> {
    pub(crate) member: Member<'r>,
    /// The entry was read from it.
    pub(crate) taken: bool,
    /// It is in the record that is handed back.
    pub(crate) stays: bool,
}

/// A record under construction.
#[derive(Debug)]
pub(crate) struct Output<'o, 'r> {
    out: &'o mut Vec<u8>,
    /// What is added does not take the names of those that stay.
    places: &'o [Place<'r>],
    /// There are such.
    beside: bool,
    style: Style,
    /// What was written in records with the same members.
    parts: Option<&'o mut Parts>,
    /// Where the one at hand begins.
    part: usize,
    /// Where a text stands, any part of which can stand in a JSON string as it is: from, and its length.
    plain: (usize, usize),
}

/// What is added, and how it is called.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Style {
    /// Add severity, SQLSTATE and event only.
    pub(crate) terse: bool,
    /// Names have underscores in the place of dots.
    pub(crate) underscored: bool,
}

impl<'o, 'r> Output<'o, 'r> {
    /// Begins a record in `out`.
    pub(crate) fn begin(out: &'o mut Vec<u8>, places: &'o [Place<'r>], style: Style) -> Self {
        out.clear();
        out.push(b'{');
        Self {
            out,
            places,
            beside: places.iter().any(|place| place.stays),
            style,
            parts: None,
            part: 0,
            plain: (0, 0),
        }
    }

    /// Remembers what it writes of sessions and messages.
    pub(crate) fn with_parts(mut self, parts: &'o mut Parts) -> Self {
        if self.beside || !parts.are_alone() {
            let kept = self.places.iter().filter(|place| place.stays);
            parts.beside(kept.map(|place| place.member.key));
        }
        self.parts = Some(parts);
        self
    }

    /// Writes parts of a text as they are, if it is plain.
    pub(crate) fn of(&mut self, member: &Member<'_>) {
        if member.plain {
            self.plain = (member.value.as_ptr().addr(), member.value.len());
        }
    }

    /// All members that stay, as they came.
    pub(crate) fn members(&mut self) {
        let places = self.places;
        for place in places.iter().filter(|place| place.stays) {
            self.member(&place.member);
        }
    }

    /// A member as it came.
    pub(crate) fn member(&mut self, member: &Member<'_>) {
        self.out.push(b'"');
        self.out.extend_from_slice(member.key);
        self.out.extend_from_slice(b"\":");
        if member.kind == Kind::String {
            self.out.push(b'"');
            self.out.extend_from_slice(member.value);
            self.out.extend_from_slice(b"\",");
        } else {
            self.out.extend_from_slice(member.value);
            self.out.push(b',');
        }
    }

    /// Ends the record; the host reads up to the NUL.
    pub(crate) fn end(self) {
        if let Some(comma) = self.out.last_mut().filter(|last| **last == b',') {
            *comma = b'}';
            self.out.push(0);
        } else {
            self.out.extend_from_slice(b"}\0");
        }
    }

    /// A name of ours, which needs no escapes, up to the value. `false` if it is not wanted.
    #[inline(always)]
    fn key(&mut self, name: &str) -> bool {
        if self.style.terse && !is_terse(name) {
            return false;
        }
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        if self.beside || self.style.underscored {
            self.adapt(name);
        }
        self.out.extend_from_slice(b"\":");
        true
    }

    /// Has the name that was written last be as it is wanted; one that a member has already goes behind
    /// `pgmesh.`.
    fn adapt(&mut self, name: &str) {
        let from = self.out.len().saturating_sub(name.len());
        self.underscore(from);
        let taken = |name: &[u8]| {
            let mut places = self.places.iter();
            places.any(|place| place.stays && place.member.key == name)
        };
        if self.out.get(from..).is_some_and(taken) {
            self.out.truncate(from);
            self.out.extend_from_slice(b"pgmesh.");
            self.out.extend_from_slice(name.as_bytes());
            self.underscore(from);
        }
    }

    fn underscore(&mut self, from: usize) {
        if !self.style.underscored {
            return;
        }
        let name = self.out.get_mut(from..).unwrap_or_default();
        let (words, rest) = name.as_chunks_mut::<8>();
        for word in words {
            *word = with_underscores(u64::from_le_bytes(*word)).to_le_bytes();
        }
        for byte in rest.iter_mut().filter(|byte| **byte == b'.') {
            *byte = b'_';
        }
    }
}

/// Whether a name is among the few that are added to a text that stays as it is.
fn is_terse(name: &str) -> bool {
    matches!(
        name,
        "severity"
            | "severity_number"
            | "db.response.status_code"
            | "postgresql.event"
            | "postgresql.event_id"
            | "pgmesh.faults"
            | "pgmesh.config_error"
    )
}

impl Sink for Output<'_, '_> {
    fn text(&mut self, name: &str, value: &[u8]) {
        let (from, length) = self.plain;
        if value.as_ptr().addr().wrapping_sub(from) < length {
            return self.plain(name, value);
        }
        if self.key(name) {
            self.out.push(b'"');
            escape(value, self.out);
            self.out.extend_from_slice(b"\",");
        }
    }

    fn plain(&mut self, name: &str, value: &[u8]) {
        if self.key(name) {
            self.out.push(b'"');
            self.out.extend_from_slice(value);
            self.out.extend_from_slice(b"\",");
        }
    }

    fn number(&mut self, name: &str, digits: &[u8]) {
        if self.key(name) {
            self.out.extend_from_slice(digits);
            self.out.push(b',');
        }
    }

    fn severity(&mut self, severity: Severity) {
        if self.beside {
            self.plain("severity", severity.name().as_bytes());
            self.number("severity_number", severity.digits().as_bytes());
        } else {
            self.out.extend_from_slice(written(severity).as_bytes());
        }
    }

    fn recall(&mut self, part: Part) -> bool {
        self.part = self.out.len();
        let known = self.parts.as_ref().and_then(|known| known.get(part));
        if let Some(written) = known {
            self.out.extend_from_slice(written);
        }
        known.is_some()
    }

    fn remember(&mut self, part: Part) {
        if let (Some(parts), Some(written)) = (&mut self.parts, self.out.get(self.part..)) {
            parts.set(part, written);
        }
    }
}

/// Eight bytes of ASCII with an underscore for each dot.
const fn with_underscores(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let differences = word ^ ONES.wrapping_mul(b'.' as u64);
    let dots = !differences.wrapping_add(ONES.wrapping_mul(0x7f)) & ONES.wrapping_mul(0x80);
    word ^ (dots >> 7).wrapping_mul((b'.' ^ b'_') as u64)
}

/// A severity as members before others.
const fn written(severity: Severity) -> &'static str {
    match severity {
        Severity::Debug => r#""severity":"DEBUG","severity_number":5,"#,
        Severity::Log => r#""severity":"LOG","severity_number":9,"#,
        Severity::Info => r#""severity":"INFO","severity_number":9,"#,
        Severity::Notice => r#""severity":"NOTICE","severity_number":10,"#,
        Severity::Warning => r#""severity":"WARNING","severity_number":13,"#,
        Severity::Error => r#""severity":"ERROR","severity_number":17,"#,
        Severity::Fatal => r#""severity":"FATAL","severity_number":21,"#,
        Severity::Panic => r#""severity":"PANIC","severity_number":24,"#,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dot_becomes_an_underscore() {
        for (name, expected) in [(b"db.names", b"db_names"), (b"..-/._..", b"__-/____")] {
            let word = with_underscores(u64::from_le_bytes(*name));
            assert_eq!(&word.to_le_bytes(), expected);
        }
    }

    #[test]
    fn a_severity_is_written_as_its_name_and_number_are() {
        for severity in Severity::ALL {
            let written = written(severity);
            let expected = format!(
                r#""severity":"{}","severity_number":{},"#,
                severity.name(),
                severity.number()
            );
            assert_eq!(written, expected);
        }
    }
}
