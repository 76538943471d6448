//! What may leave a module of an event: named values, redacted, in a fixed order.

mod message;
mod session;
mod statement;

pub(crate) use session::SESSION_FIELDS;
use statement::Held;

use std::cell::{Cell, RefCell};

use crate::author::Author;
use crate::classes::{Class, Classes, Recognized};
use crate::denial::{self, Denial};
use crate::event::{Event, Faults, Format, Level};
use crate::field::{self, Field};
use crate::memory::{Memory, Remembered};
use crate::passwords;
use crate::redact::{Names, Redaction, Redactor};
use crate::scan::{behind, digits};
use crate::severity::Severity;
use crate::statements::Statements;
use crate::text::{Form, Text};
use crate::time::{Minute, Zones};

/// Takes the values of an event, one by one. A name comes once per event.
pub trait Sink {
    /// A text; UTF-8 unless the log's encoding was another.
    fn text(&mut self, name: &str, value: &[u8]);
    /// A text that JSON writes as it is: ASCII without quotes, backslashes and control characters.
    fn plain(&mut self, name: &str, value: &[u8]) {
        self.text(name, value);
    }
    /// A number in decimal, as JSON writes it.
    fn number(&mut self, name: &str, digits: &[u8]);
    /// A severity, by its name and its number.
    fn severity(&mut self, severity: Severity) {
        self.plain("severity", severity.name().as_bytes());
        self.number("severity_number", severity.digits().as_bytes());
    }
    /// Takes again what it took of a part; `false` if it does not remember.
    fn recall(&mut self, part: Part) -> bool {
        let _ = part;
        false
    }
    /// What came since [`recall`](Self::recall) is all there is of that part.
    fn remember(&mut self, part: Part) {
        let _ = part;
    }
}

/// What of a report comes again in others: what is said of a session, or of a message and all behind it. It is
/// the same as long as the reporter's options are.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Part {
    /// Which session or message.
    number: u64,
    /// The fields that a message is among; of a session, 0.
    fields: u64,
}

impl Part {
    /// Places that sessions, or messages, are remembered in.
    pub const PLACES: usize = 128;

    /// Where this one is remembered.
    #[must_use]
    pub fn place(self) -> usize {
        self.number as usize % Self::PLACES
    }

    /// Whether it is a session.
    #[must_use]
    pub fn is_session(self) -> bool {
        self.fields == 0
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
    /// Of the time that was read last.
    minute: Cell<Minute>,
}

/// Room for the usual text that has to be made.
const BUFFER: usize = 256;
/// Values that most patterns have no more of.
const VALUES: usize = 8;

/// What may stand beside a message of which the same is said again.
const BESIDE_A_MESSAGE: u64 =
    field::bits(&SESSION_FIELDS) | field::bits(&[Field::LogTime, Field::Sqlstate, Field::Message]);

/// What stands below a message and has patterns of its own.
const COMPANIONS: [Field; 3] = [Field::Detail, Field::Hint, Field::Context];

/// The server's own words: nothing in them is a user's.
const SOURCE: [Field; 4] = [Field::Function, Field::File, Field::Line, Field::Backtrace];

impl Reporter {
    /// Reports as told.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            classes: Classes::new(),
            options,
            statements: RefCell::default(),
            minute: Cell::default(),
        }
    }

    /// Reports otherwise from now on; what it knows stays. What sinks remember of parts does not hold any more.
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
            said: Vec::with_capacity(VALUES),
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
        self.level(remembered);
        if let Some(class) = class {
            self.out.plain("postgresql.event", class.name.as_bytes());
        }
        self.session();
        let part = found.as_ref().and_then(|found| self.part(found));
        let part = part.filter(|_| denial.is_none());
        if part.is_some_and(|part| self.out.recall(part)) {
            return class;
        }
        let held = message
            .as_deref()
            .and_then(|message| Held::of(message, found.as_ref()?));
        if let Some(message) = &message {
            self.message(message, found.as_ref(), held.as_ref());
        }
        let fields = &self.event.fields;
        if fields.has(&COMPANIONS) {
            for field in COMPANIONS {
                self.companion(field, self.author_of(field, remembered));
            }
        }
        self.statements(held, denial);
        self.audit();
        if fields.has(&SOURCE) {
            for field in SOURCE {
                self.plain(field);
            }
        }
        self.faults();
        if let Some(part) = part {
            self.out.remember(part);
        }
        class
    }

    /// A message that came before, if nothing else tells what is said of it.
    fn part(&self, found: &Recognized<'_>) -> Option<Part> {
        let number = Some(found.text()).filter(|number| *number != 0)?;
        let fields = self.event.fields.only(BESIDE_A_MESSAGE)?;
        let form = self.field(Field::Message)?.form;
        let one_line = self.event.format == Format::Stderr && form == Form::Plain;
        let sound = self.faults.is_empty() && !self.zone_unknown;
        let traced = self.trace_in_application().is_some();
        (one_line && sound && !traced).then_some(Part { number, fields })
    }

    fn redactor(&self) -> Redactor<'r> {
        Redactor {
            classes: &self.reporter.classes,
            redaction: self.redaction,
            names: self.reporter.options.names,
            statements: &self.reporter.statements,
            plan: None,
        }
    }

    /// The class that a function and a SQLSTATE tell, or pgaudit's fields do.
    fn class_without_text(&self) -> Option<&'static Class> {
        if self.field(Field::AuditClass).is_some() {
            return self.reporter.class(self.event);
        }
        self.reporter.classes.without_text(self.event)
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

    fn faults(&mut self) {
        if self.faults.is_empty() && !self.zone_unknown {
            return;
        }
        let zone = self.zone_unknown.then_some("time_zone_unknown");
        let names: Vec<&str> = self.faults.names().chain(zone).collect();
        self.out.plain("pgmesh.faults", names.join(",").as_bytes());
    }
}

/// A number, or a text where JSON would write the number otherwise.
fn number(out: &mut dyn Sink, name: &str, text: &[u8]) {
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(unsigned);
    let fraction = behind(unsigned, whole);
    let is_one = match fraction.strip_prefix(b".") {
        Some(rest) => !rest.is_empty() && digits(rest) == rest.len(),
        None => fraction.is_empty(),
    };
    if is_one && whole > 0 {
        written(out, name, text);
    } else {
        out.text(name, text);
    }
}

/// A number, maybe with a fraction; JSON would write a long one, or zeros before it, otherwise.
fn written(out: &mut dyn Sink, name: &str, number: &[u8]) {
    let unsigned = number.strip_prefix(b"-").unwrap_or(number);
    let leading_zero = matches!(unsigned, [b'0', b'0'..=b'9', ..]);
    if leading_zero || number.len() > 20 {
        out.plain(name, number);
    } else {
        out.number(name, number);
    }
}
