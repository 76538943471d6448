//! The record that is handed back: members as they came, and what the log entry says in the place of
//! the text it was read from.

use pg_log::Sink;
use pg_log::json::{Kind, Member, escape};

/// A record under construction.
#[derive(Debug)]
pub(crate) struct Output<'o, 'r> {
    out: &'o mut Vec<u8>,
    /// Members that stay: what is added does not take their names.
    kept: &'o [Member<'r>],
    style: Style,
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
    pub(crate) fn begin(out: &'o mut Vec<u8>, kept: &'o [Member<'r>], style: Style) -> Self {
        out.clear();
        out.push(b'{');
        Self { out, kept, style }
    }

    /// A member as it came.
    pub(crate) fn member(&mut self, member: &Member<'_>) {
        self.comma();
        self.out.push(b'"');
        self.out.extend_from_slice(member.key);
        self.out.extend_from_slice(b"\":");
        if member.kind == Kind::String {
            self.out.push(b'"');
            self.out.extend_from_slice(member.value);
            self.out.push(b'"');
        } else {
            self.out.extend_from_slice(member.value);
        }
    }

    /// Ends the record; the host reads up to the NUL.
    pub(crate) fn end(self) {
        self.out.extend_from_slice(b"}\0");
    }

    fn comma(&mut self) {
        if self.out.len() > 1 {
            self.out.push(b',');
        }
    }

    /// A name of ours, which needs no escapes; one that a member has already goes behind `pgmesh.`.
    fn key(&mut self, name: &str) {
        let begin: &[u8] = if self.out.len() > 1 { b",\"" } else { b"\"" };
        self.out.extend_from_slice(begin);
        let from = self.out.len();
        self.out.extend_from_slice(name.as_bytes());
        self.underscore(from);
        let taken = |name: &[u8]| self.kept.iter().any(|member| member.key == name);
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
        let name = self.out.iter_mut().skip(from);
        name.filter(|byte| **byte == b'.')
            .for_each(|dot| *dot = b'_');
    }

    fn is_wanted(&self, name: &str) -> bool {
        !self.style.terse
            || matches!(
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
}

impl Sink for Output<'_, '_> {
    fn text(&mut self, name: &str, value: &[u8]) {
        if self.is_wanted(name) {
            self.key(name);
            self.out.extend_from_slice(b"\":\"");
            escape(value, self.out);
            self.out.push(b'"');
        }
    }

    fn number(&mut self, name: &str, digits: &[u8]) {
        if self.is_wanted(name) {
            self.key(name);
            self.out.extend_from_slice(b"\":");
            self.out.extend_from_slice(digits);
        }
    }
}
