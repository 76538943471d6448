//! What may leave a module of an event: named values, redacted, in a fixed order.

use std::borrow::Cow;
use std::cell::RefCell;

use pg_sql::LexerOptions;
use pg_sql::sqlcommenter::{self, TraceParent};

use crate::author::Author;
use crate::classes::{Class, Classes, Kind, Recognized, Sensitivity, Value};
use crate::denial::{self, Denial};
use crate::event::{Event, Faults, Format, Level};
use crate::field::Field;
use crate::memory::{LEAST_WITH_ID, Memory, Remembered};
use crate::passwords;
use crate::plan;
use crate::redact::{
    AUDITED_PARAMETER, AUDITED_STATEMENT, Names, Redaction, Redactor, audit_column, first_line,
};
use crate::scan::{behind, find_byte};
use crate::severity::Severity;
use crate::statements::{Said, Statements};
use crate::text::{Form, Text};
use crate::time::{TimeError, Timestamp, Zones};

/// Takes the values of an event, one by one. A name comes once per event.
pub trait Sink {
    /// A text; UTF-8 unless the log's encoding was another.
    fn text(&mut self, name: &str, value: &[u8]);
    /// A number in decimal, as JSON writes it.
    fn number(&mut self, name: &str, digits: &[u8]);
    /// A severity, by its name and its number.
    fn severity(&mut self, severity: Severity) {
        self.text("severity", severity.name().as_bytes());
        self.number("severity_number", severity.digits().as_bytes());
    }
    /// Takes again what it took of a session, which a number tells; `false` if it does not remember.
    fn recall(&mut self, session: u64) -> bool {
        let _ = session;
        false
    }
    /// What came since [`recall`](Self::recall) is all there is of that session.
    fn remember(&mut self, session: u64) {
        let _ = session;
    }
}

/// What a report has in it.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What is taken out.
    pub redaction: Redaction,
    /// What else.
    pub names: Names,
    /// Offsets of abbreviated zones.
    pub zones: Zones,
}

/// Writes reports of events.
#[derive(Clone, Debug, Default)]
pub struct Reporter {
    classes: Classes,
    options: Options,
    statements: RefCell<Statements>,
}

/// Room for the usual text that has to be made.
const BUFFER: usize = 256;

/// Fields in the order of a report; those behind the message have functions of their own.
pub(crate) const SESSION_FIELDS: [Field; 18] = [
    Field::UserName,
    Field::DatabaseName,
    Field::Application,
    Field::ClientAddress,
    Field::ClientPort,
    Field::ServerAddress,
    Field::ProcessId,
    Field::BackendType,
    Field::LeaderPid,
    Field::SessionId,
    Field::SessionLine,
    Field::SessionStart,
    Field::CommandTag,
    Field::VirtualTransactionId,
    Field::TransactionId,
    Field::QueryId,
    Field::Position,
    Field::InternalPosition,
];

/// Those of them that the message tells: where in a statement an error is.
const POSITIONS: [Field; 2] = [Field::Position, Field::InternalPosition];

/// What stands below a message and has patterns of its own.
const COMPANIONS: [Field; 3] = [Field::Detail, Field::Hint, Field::Context];

/// The server's own words: nothing in them is a user's.
const SOURCE: [Field; 4] = [Field::Function, Field::File, Field::Line, Field::Backtrace];

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

impl Reporter {
    /// Reports as told.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            classes: Classes::new(),
            options,
            statements: RefCell::default(),
        }
    }

    /// Reports otherwise from now on; what it knows stays.
    pub fn set_options(&mut self, options: Options) {
        self.options = options;
    }

    /// The classes it knows.
    #[must_use]
    pub fn classes(&self) -> &Classes {
        &self.classes
    }

    /// The class of an event. That of pgaudit's records behind CloudNativePG is pgaudit's.
    #[must_use]
    pub fn class(&self, event: &Event<'_>) -> Option<&'static Class> {
        if event.fields.get(Field::AuditClass).is_some() {
            return Class::all().iter().find(|class| class.name == "pgaudit");
        }
        self.classes.of(event)
    }

    /// Writes an event, and returns its class. A companion line on its own is given what `memory`
    /// has of its message.
    pub fn report(
        &self,
        event: &Event<'_>,
        memory: &mut Memory,
        sink: &mut dyn Sink,
    ) -> Option<&'static Class> {
        let redaction = match self.options.redaction {
            Redaction::Statements if passwords::are_near(event) => Redaction::Strict,
            redaction => redaction,
        };
        let mut report = Report {
            reporter: self,
            redaction,
            event,
            out: sink,
            buffer: Vec::with_capacity(BUFFER),
            said: Vec::new(),
            several_lines: false,
            author: Author::of(event),
            faults: event.faults,
            zone_unknown: false,
        };
        report.write(memory)
    }
}

struct Report<'r, 'e, 't> {
    reporter: &'r Reporter,
    /// What is taken out of this event.
    redaction: Redaction,
    event: &'e Event<'t>,
    out: &'r mut dyn Sink,
    buffer: Vec<u8>,
    /// Names of values that a pattern gave: no name comes twice.
    said: Vec<&'static str>,
    /// The text at hand may have more than one.
    several_lines: bool,
    /// Who may have written the message.
    author: Author,
    faults: Faults,
    zone_unknown: bool,
}

impl<'r, 't> Report<'r, '_, 't> {
    fn write(&mut self, memory: &mut Memory) -> Option<&'static Class> {
        let message = self.field(Field::Message).map(|text| text.decode());
        let found = message
            .as_deref()
            .and_then(|message| self.recognize(message));
        let mut own = match &found {
            Some(found) => Some(found.class),
            None => self.class_without_text(),
        };
        let denial = message
            .as_deref()
            .and_then(|message| Denial::of_message(message, self.event.severity(), own));
        if denial.is_some() {
            own = denial::class();
        }
        self.author = self.author.of_companion(found.is_some());
        let remembered = memory.note(self.event, own, self.author);
        let class = own.or(remembered.and_then(|message| message.class));
        self.time(Field::LogTime);
        self.level(remembered.as_ref());
        if let Some(class) = class {
            self.out.text("postgresql.event", class.name.as_bytes());
        }
        self.session();
        if let Some(message) = &message {
            self.message(message, found.as_ref());
        }
        let fields = &self.event.fields;
        for field in COMPANIONS.into_iter().filter(|field| fields.has(&[*field])) {
            self.companion(field, self.author_of(field, remembered.as_ref()));
        }
        self.statements(found.as_ref(), message.as_deref(), denial);
        if fields.has(&AUDIT) || fields.has(&[Field::AuditParameter]) {
            self.audit();
        }
        if fields.has(&SOURCE) {
            for field in SOURCE {
                self.plain(field);
            }
        }
        self.faults();
        class
    }

    fn redactor(&self) -> Redactor<'r> {
        Redactor {
            classes: &self.reporter.classes,
            redaction: self.redaction,
            names: self.reporter.options.names,
            statements: &self.reporter.statements,
        }
    }

    /// The class that a SQLSTATE tells, or pgaudit's fields do.
    fn class_without_text(&self) -> Option<&'static Class> {
        if self.field(Field::AuditClass).is_some() {
            return self.reporter.class(self.event);
        }
        let code = self.field(Field::Sqlstate)?;
        self.reporter.classes.of_sqlstate(code.raw)
    }

    fn field(&self, field: Field) -> Option<Text<'t>> {
        self.event.fields.get(field)
    }

    /// The pattern of the message, unless a function wrote it. Where an application name may have
    /// imitated the beginning, a pattern that takes whatever follows says nothing.
    fn recognize(&self, message: &[u8]) -> Option<Recognized<'r>> {
        if self.author == Author::Function {
            return None;
        }
        let found = self.reporter.classes.of_message(message)?;
        let ambiguous = self.faults.contains(Faults::AMBIGUOUS_PREFIX);
        (!ambiguous || !found.keeps_the_rest()).then_some(found)
    }

    /// Who wrote a companion: a CONTEXT is the server's, line by line; the others are of the message's
    /// author.
    fn author_of(&self, field: Field, message: Option<&Remembered>) -> Author {
        match self.event.level {
            _ if field == Field::Context => Author::Server,
            Level::Companion(_) => message.map_or(Author::Unknown, |message| message.author),
            Level::Severity(_) => self.author,
        }
    }

    /// A time in UTC, or as it is if its zone is not known.
    fn time(&mut self, field: Field) {
        let Some(text) = self.field(field) else {
            return;
        };
        self.buffer.clear();
        if Timestamp::write_utc(text.raw, &mut self.buffer) {
            self.out.text(field.name(), &self.buffer);
            return;
        }
        match Timestamp::parse(text.raw, &self.reporter.options.zones) {
            Ok(time) => {
                time.write(&mut self.buffer);
                self.out.text(field.name(), &self.buffer);
            }
            Err(TimeError::UnknownZone) => {
                self.zone_unknown = true;
                self.out.text("postgresql.local_time", text.raw);
            }
            Err(TimeError::Malformed) => {}
        }
    }

    fn level(&mut self, remembered: Option<&Remembered>) {
        let severity = match self.event.level {
            Level::Severity(severity) => Some(severity),
            Level::Companion(companion) => {
                self.out
                    .text("postgresql.companion", companion.name().as_bytes());
                remembered.map(|message| message.severity)
            }
        };
        if let Some(severity) = severity {
            self.out.severity(severity);
        }
        if let Some(remembered) = remembered
            && severity >= Some(LEAST_WITH_ID)
        {
            self.buffer.clear();
            remembered.write_id(&mut self.buffer);
            self.out.text("postgresql.event_id", &self.buffer);
        }
        let own = self.field(Field::Sqlstate).map(|text| text.raw);
        let code = own.or(remembered.and_then(|message| message.sqlstate()));
        if let Some(code) = code {
            self.out.text(Field::Sqlstate.name(), code);
        }
    }

    fn session(&mut self) {
        let session = self.event.fields.session;
        if session != 0 && !self.event.fields.has(&POSITIONS) {
            if !self.out.recall(session) {
                self.session_fields();
                self.out.remember(session);
            }
            return;
        }
        self.session_fields();
    }

    fn session_fields(&mut self) {
        for field in SESSION_FIELDS {
            match field {
                Field::SessionStart => self.time(field),
                Field::UserName => self.named(field, Sensitivity::User),
                Field::ClientAddress | Field::ServerAddress => {
                    self.named(field, Sensitivity::Host);
                }
                _ => self.plain(field),
            }
        }
    }

    /// A field that is kept unless asked.
    fn named(&mut self, field: Field, sensitivity: Sensitivity) {
        if !self.redactor().hides(sensitivity, field.name()) {
            self.plain(field);
        }
    }

    fn plain(&mut self, field: Field) {
        if let Some(text) = self.field(field) {
            let text = text.decode();
            if field.is_number() {
                number(self.out, field.name(), &text);
            } else {
                self.out.text(field.name(), &text);
            }
        }
    }

    fn message(&mut self, message: &[u8], found: Option<&Recognized<'_>>) {
        let form = self.field(Field::Message).map(|text| text.form);
        let one_line = self.event.format == Format::Stderr && form == Some(Form::Plain);
        self.several_lines = !one_line && find_byte(message, b'\n').is_some();
        if let Some(found) = found
            && self.redactor().keeps(message, found, self.several_lines)
        {
            self.out.text(Field::Message.name(), message);
            self.captures(message, found);
            return;
        }
        let mut out = std::mem::take(&mut self.buffer);
        out.clear();
        self.redactor()
            .message(message, self.author, found, &mut out);
        self.out.text(Field::Message.name(), &out);
        self.buffer = out;
        if let Some(found) = found {
            self.captures(message, found);
        }
    }

    /// The values of a pattern, but for those that are data, or SQL, which has its own place.
    fn captures(&mut self, whole: &[u8], found: &Recognized<'_>) {
        let redactor = self.redactor();
        let mut rewritten = Vec::new();
        for capture in found.captures(whole) {
            let value = capture.value;
            let mut text = capture.text;
            match value.sensitivity {
                Sensitivity::Lines => {
                    self.report_lines(text);
                    continue;
                }
                Sensitivity::Sql => {
                    self.audited_parameter(value.name, whole);
                    continue;
                }
                sensitivity if redactor.hides(sensitivity, value.name) => continue,
                sensitivity if sensitivity.is_rewritten() => {
                    rewritten.clear();
                    redactor.value(sensitivity, value.name, text, &mut rewritten);
                    text = &rewritten;
                }
                _ => {}
            }
            if self.redaction == Redaction::Strict && self.several_lines {
                text = first_line(text);
            }
            if text.is_empty() || text == b"?" || !self.say(&value) {
                continue;
            }
            match value.kind {
                Kind::Integer | Kind::Decimal => number(self.out, value.full_name, text),
                _ => self.out.text(value.full_name, text),
            }
        }
    }

    /// Whether a name is new, and not that of a field the event has.
    fn say(&mut self, value: &Value) -> bool {
        // Each name stands in one place only.
        let is_it = |said: &&str| std::ptr::eq(*said, value.full_name);
        let has_field = value
            .field
            .is_some_and(|field| self.event.fields.has(&[field]));
        if has_field || self.said.iter().any(is_it) {
            return false;
        }
        self.said.push(value.full_name);
        true
    }

    fn report_lines(&mut self, text: &[u8]) {
        for line in text.split(|byte| *byte == b'\n') {
            if let Some(found) = self.reporter.classes.report(line) {
                self.captures(line, &found);
            }
        }
    }

    /// A DETAIL, HINT or CONTEXT, and the values in its lines.
    fn companion(&mut self, field: Field, author: Author) {
        let Some(text) = self.field(field) else {
            return;
        };
        let text = text.decode();
        let mut out = std::mem::take(&mut self.buffer);
        out.clear();
        let lines = self.redactor().companion(field, &text, author, &mut out);
        self.out.text(field.name(), &out);
        self.buffer = out;
        if author == Author::Function {
            return;
        }
        self.several_lines = true;
        for (at, found) in lines {
            self.captures(behind(&text, at), &found);
        }
    }

    /// The statement of the client, wherever it stands, its fingerprint and its trace; and the
    /// query of a function.
    fn statements(
        &mut self,
        found: Option<&Recognized<'_>>,
        message: Option<&[u8]>,
        denial: Option<Denial<'_>>,
    ) {
        let internal = self.field(Field::InternalQuery).map(|text| text.decode());
        if let Some(text) = internal {
            self.sql(Field::InternalQuery.name(), &text);
        }
        let own = self.field(Field::Statement).map(|text| text.decode());
        let audited = self.field(Field::AuditStatement).map(|text| text.decode());
        let in_message = || statement_in(message?, found?);
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
        let shown = match self.redaction {
            Redaction::Off => text,
            _ => &said.redacted,
        };
        self.out.text(Field::Statement.name(), shown);
        self.out.text("pgmesh.fingerprint", &said.fingerprint);
        self.trace(Some(text).filter(|_| said.commented));
    }

    /// The trace that a comment of the statement names, or the application.
    fn trace(&mut self, statement: Option<&[u8]>) {
        let commented = |text: &[u8]| {
            crate::scan::find(text, b"traceparent")?;
            sqlcommenter::tags(text, &LexerOptions::default()).trace_parent()
        };
        let application = || {
            let name = self.field(Field::Application)?;
            (name.raw.len() >= 55).then_some(())?;
            let name = name.decode();
            TraceParent::in_application_name(std::str::from_utf8(&name).ok()?)
        };
        let Some(parent) = statement.and_then(commented).or_else(application) else {
            return;
        };
        self.hexadecimal("trace_id", &parent.trace_id);
        self.hexadecimal("span_id", &parent.span_id);
    }

    fn hexadecimal(&mut self, name: &str, bytes: &[u8]) {
        self.buffer.clear();
        crate::scan::write_hexadecimal(bytes, &mut self.buffer);
        self.out.text(name, &self.buffer);
    }

    /// What a statement that pgaudit wrote into a message was given.
    fn audited_parameter(&mut self, name: &str, message: &[u8]) {
        if self.redaction == Redaction::Off
            && name == "pgaudit.statement"
            && let Some(parameter) = audit_column(message, AUDITED_PARAMETER)
        {
            self.out.text(Field::AuditParameter.name(), &parameter);
        }
    }

    fn audit(&mut self) {
        for field in AUDIT {
            self.plain(field);
        }
        if let Some(text) = self.field(Field::AuditParameter)
            && self.redaction == Redaction::Off
        {
            self.out.text(Field::AuditParameter.name(), &text.decode());
        }
    }

    fn faults(&mut self) {
        if self.faults.is_empty() && !self.zone_unknown {
            return;
        }
        let zone = self.zone_unknown.then_some("time_zone_unknown");
        let names: Vec<&str> = self.faults.names().chain(zone).collect();
        self.out.text("pgmesh.faults", names.join(",").as_bytes());
    }
}

/// The statement that a message has in it: behind a duration, above a plan, or in a column of pgaudit's.
fn statement_in<'m>(message: &'m [u8], found: &Recognized<'_>) -> Option<Cow<'m, [u8]>> {
    found
        .captures(message)
        .find_map(|capture| match capture.value.name {
            "db.query.text" => Some(Cow::Borrowed(capture.text)),
            "plan" => plan::query(capture.text),
            "pgaudit.statement" => audit_column(message, AUDITED_STATEMENT),
            _ => None,
        })
}

/// A number, or a text where JSON would write the number otherwise.
fn number(out: &mut dyn Sink, name: &str, digits: &[u8]) {
    let unsigned = digits.strip_prefix(b"-").unwrap_or(digits);
    let whole = crate::scan::digits(unsigned);
    let fraction = behind(unsigned, whole);
    let fits = match fraction.strip_prefix(b".") {
        Some(rest) => !rest.is_empty() && crate::scan::digits(rest) == rest.len(),
        None => fraction.is_empty(),
    };
    let leading_zero = whole > 1 && unsigned.starts_with(b"0");
    if fits && whole > 0 && !leading_zero && digits.len() <= 20 {
        out.number(name, digits);
    } else {
        out.text(name, digits);
    }
}
