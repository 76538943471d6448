//! The statement that an entry is about, wherever it stands, its fingerprint and its trace.

use std::borrow::Cow;

use pg_sql::LexerOptions;
use pg_sql::sqlcommenter::{self, TraceParent};

use super::Report;
use crate::classes::{Holder, Recognized};
use crate::denial::{self, Denial};
use crate::field::Field;
use crate::plan::Plan;
use crate::redact::{AUDITED_PARAMETER, AUDITED_STATEMENT, Redaction, audit_column};
use crate::scan::{find, hexadecimal};
use crate::statements::Said;

/// pgaudit's fields behind CloudNativePG, the statement and its parameters aside.
const AUDIT: [Field; 7] = [
    Field::AuditType,
    Field::AuditStatementId,
    Field::AuditSubstatementId,
    Field::AuditClass,
    Field::AuditCommand,
    Field::AuditObjectType,
    Field::AuditObjectName,
];

impl Report<'_, '_, '_> {
    /// The statement of the client, wherever it stands, its fingerprint and its trace; and the
    /// query of a function.
    pub(super) fn statements(&mut self, held: Option<Held<'_>>, denial: Option<Denial<'_>>) {
        let internal = self.field(Field::InternalQuery).map(|text| text.decode());
        if let Some(text) = internal {
            self.sql(Field::InternalQuery.name(), &text);
        }
        let own = self.field(Field::Statement).map(|text| text.decode());
        let audited = self.field(Field::AuditStatement).map(|text| text.decode());
        let in_message = || held.as_ref()?.statement();
        let text = own.or(audited).or_else(in_message);
        let denial = denial.or_else(|| Denial::of_statement(text.as_deref()?));
        match (denial, text.as_deref()) {
            (Some(denial), text) => self.denied(denial, text),
            (None, Some(text)) => self.statement(text),
            (None, None) => self.trace(None),
        }
    }

    /// The client's statement is not there, and what stood in for it is another one each time.
    fn denied(&mut self, denial: Denial<'_>, text: Option<&[u8]>) {
        if let Some(text) = text.filter(|_| self.redaction == Redaction::Off) {
            self.out.text(Field::Statement.name(), text);
        }
        self.out.text(denial::RULE, denial.rule.as_bytes());
        let fingerprint = denial.stand_in.fingerprint.0;
        if fingerprint != 0 {
            self.hexadecimal("pgmesh.fingerprint", &fingerprint.to_be_bytes());
        }
        self.trace(text);
    }

    fn sql(&mut self, name: &str, text: &[u8]) {
        let mut out = std::mem::take(&mut self.buffer);
        out.clear();
        self.redactor().sql(name, text, &mut out);
        self.out.text(name, &out);
        self.buffer = out;
    }

    fn statement(&mut self, text: &[u8]) {
        let reporter = self.reporter;
        let mut statements = reporter.statements.try_borrow_mut();
        let known = statements.as_mut().ok().and_then(|known| known.say(text));
        match known {
            Some(said) => self.said(text, said),
            None => self.said(text, &Said::of(text)),
        }
    }

    fn said(&mut self, text: &[u8], said: &Said) {
        let name = Field::Statement.name();
        match self.redaction {
            Redaction::Off => self.out.text(name, text),
            _ if said.plain => self.out.plain(name, &said.redacted),
            _ => self.out.text(name, &said.redacted),
        }
        self.out.plain("pgmesh.fingerprint", &said.fingerprint);
        self.trace(Some(text).filter(|_| said.commented));
    }

    /// The trace that a comment of the statement names, or the application.
    fn trace(&mut self, statement: Option<&[u8]>) {
        let commented = |text: &[u8]| {
            find(text, b"traceparent")?;
            sqlcommenter::tags(text, &LexerOptions::default()).trace_parent()
        };
        let application = || self.trace_in_application();
        let Some(parent) = statement.and_then(commented).or_else(application) else {
            return;
        };
        self.hexadecimal("trace_id", &parent.trace_id);
        self.hexadecimal("span_id", &parent.span_id);
    }

    /// The trace that the application's name is.
    pub(super) fn trace_in_application(&self) -> Option<TraceParent> {
        let name = self.field(Field::Application)?;
        (name.raw.len() >= 55).then_some(())?;
        let name = name.decode();
        TraceParent::in_application_name(std::str::from_utf8(&name).ok()?)
    }

    fn hexadecimal(&mut self, name: &str, bytes: &[u8]) {
        self.buffer.clear();
        for number in bytes.as_chunks().0 {
            let digits = hexadecimal(u64::from_be_bytes(*number));
            self.buffer.extend_from_slice(&digits);
        }
        self.out.plain(name, &self.buffer);
    }

    /// What a statement that pgaudit wrote into a message was given.
    pub(super) fn audited_parameter(&mut self, name: &str, message: &[u8]) {
        if self.redaction == Redaction::Off
            && name == "pgaudit.statement"
            && let Some(parameter) = audit_column(message, AUDITED_PARAMETER)
        {
            self.out.text(Field::AuditParameter.name(), &parameter);
        }
    }

    pub(super) fn audit(&mut self) {
        for field in AUDIT {
            self.plain(field);
        }
        if let Some(text) = self.field(Field::AuditParameter)
            && self.redaction == Redaction::Off
        {
            self.out.text(Field::AuditParameter.name(), &text.decode());
        }
    }
}

/// What a message has a statement in.
#[derive(Debug)]
pub(super) enum Held<'m> {
    /// Nothing else: it stands behind a duration.
    Text(&'m [u8]),
    /// A plan, which begins with it.
    Plan(Plan<'m>),
    /// A line of pgaudit's, of which it is a column.
    Audit(&'m [u8]),
}

impl<'m> Held<'m> {
    pub(super) fn of(message: &'m [u8], found: &Recognized<'_>) -> Option<Self> {
        let (holder, text) = found.statement(message)?;
        Some(match holder {
            Holder::Text => Self::Text(text),
            Holder::Plan => Self::Plan(Plan::of(text)),
            Holder::Audit => Self::Audit(message),
        })
    }

    pub(super) fn plan(&self) -> Option<&Plan<'m>> {
        match self {
            Self::Plan(plan) => Some(plan),
            _ => None,
        }
    }

    fn statement(&self) -> Option<Cow<'m, [u8]>> {
        match self {
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Plan(plan) => plan.query(),
            Self::Audit(message) => audit_column(message, AUDITED_STATEMENT),
        }
    }
}
