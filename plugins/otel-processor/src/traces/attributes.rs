//! Attributes of one span, event, link or log record: those whose names tell what they are, and what
//! becomes of each.

use std::rc::Rc;

use otlp_wire::{Any, Editor, Field, KeyValue, Message, schema};
use pg_log::redact_plan;

use super::Traces;
use super::names::{self, Meaning, Role, Slot};
use super::passing::Passing;
use super::values::{Around, Kind};
use crate::Error;
use crate::config::{Exceptions, LogRedaction, Migrate};
use crate::exceptions::is_class;
use crate::statement::Said;
use crate::suspects::{Suspect, find, holds_password, suspect};

/// What stands for the class of an error that has no name (OpenTelemetry's registry, `error.type`).
pub(super) const OTHER_ERROR: &str = "_OTHER";

/// What is read of one message, and the room for it.
#[derive(Debug, Default)]
pub(crate) struct Parts<'a> {
    /// Attributes that are there, changed or not: the bits of their slots.
    pub(super) present: u32,
    /// One of them names PostgreSQL.
    pub(super) is_postgres: bool,
    /// The database by its old name, as an `AnyValue`.
    pub(super) database: Option<Message<'a>>,
    /// Attributes that may change, or be wanted under another name.
    pub(super) found: Vec<Found<'a>>,
    /// Fields in which something may change, in their order; of an attribute, where it is in `found`.
    /// One that is in no place goes.
    pub(super) fields: Vec<(Field<'a>, Option<usize>)>,
}

impl<'a> Parts<'a> {
    /// Notes what an attribute says that stays as it is.
    #[inline(always)]
    fn pass(&mut self, attribute: Message<'a>, passing: Passing) -> Result<(), Error> {
        self.present |= passing.slots;
        self.is_postgres |= passing.is_postgres;
        if passing.slots == Slot::Database.bit() {
            self.database = KeyValue::read(attribute)?.value;
        }
        Ok(())
    }
}

/// Why something was taken out that could not be read, if it was.
pub(super) type Lost = Option<otlp_wire::Error>;

/// The numbers of a message's fields.
pub(crate) struct Layout {
    /// Its attributes.
    pub(super) attributes: u32,
    /// Others in which something may change: one bit for each.
    pub(super) others: u32,
}

/// An attribute whose name tells what it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'a> {
    field: Field<'a>,
    pub(super) attribute: KeyValue<'a>,
    pub(super) value: Any<'a>,
    pub(super) meaning: &'static Meaning,
    /// It is taken out.
    gone: bool,
}

impl<'a> Found<'a> {
    pub(super) fn text(&self) -> Option<&'a [u8]> {
        match self.value {
            Any::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Lets it stay as it is.
    pub(super) fn spare(&mut self) {
        self.meaning = &names::PLAIN;
        self.gone = false;
    }
}

/// What is known of a span or record, while it is written.
#[derive(Default)]
pub(super) struct Facts<'a> {
    pub(super) said: Option<Rc<Said>>,
    /// Where among the attributes the text is of which that is said.
    pub(super) statement: Option<usize>,
    /// Attributes that are there: the bits of their slots.
    pub(super) present: u32,
    /// The database by its old name, as an `AnyValue`.
    pub(super) database: Option<Message<'a>>,
    pub(super) sqlstate: Option<[u8; 5]>,
    /// `error.type` as it stands, if it may be seen.
    pub(super) error_type: Option<&'a [u8]>,
    /// The type of the first exception.
    pub(super) exception: Option<&'a [u8]>,
    /// Its status is an error.
    pub(super) failed: bool,
    /// Of a record; a span's is strict.
    pub(super) redaction: LogRedaction,
}

impl Facts<'_> {
    pub(super) const fn has(&self, slot: Slot) -> bool {
        self.present & slot.bit() != 0
    }

    /// It has been here before, or pgmesh has made it: nothing is added.
    pub(super) const fn is_described(&self) -> bool {
        self.has(Slot::Fingerprint)
    }

    /// It is what was left of one that could not be read.
    pub(super) const fn is_stripped(&self) -> bool {
        self.has(Slot::Error)
    }
}

/// Under which name an attribute goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Name {
    /// Its own.
    Own,
    /// That of the stable conventions.
    Other(&'static str),
    /// None: another attribute has the name already.
    Taken,
}

impl Traces {
    /// Gathers the attributes whose names tell what they are, and the fields that may change.
    pub(super) fn collect<'a>(
        &mut self,
        message: Message<'a>,
        layout: &Layout,
        parts: &mut Parts<'a>,
    ) -> Result<(), Error> {
        let lost = self.collect_readable(message, layout, parts)?;
        lost.map_or(Ok(()), |error| Err(error.into()))
    }

    /// The same of what can be read, and why something cannot: such an attribute is among the fields
    /// and in no place.
    #[inline(never)]
    pub(super) fn collect_readable<'a>(
        &mut self,
        message: Message<'a>,
        layout: &Layout,
        parts: &mut Parts<'a>,
    ) -> Result<Lost, Error> {
        parts.present = 0;
        parts.is_postgres = false;
        parts.database = None;
        parts.found.clear();
        parts.fields.clear();
        let mut lost = None;
        for field in message.fields_in_place() {
            let field = field?;
            if field.number == layout.attributes {
                if let Err(Error::Malformed(error)) = self.gather(field, parts) {
                    lost = lost.or(Some(error));
                    parts.fields.push((field, None));
                }
            } else if 1_u32.wrapping_shl(field.number) & layout.others != 0 && field.number < 32 {
                parts.fields.push((field, None));
            }
        }
        Ok(lost)
    }

    /// Gathers an attribute, if it matters.
    #[inline(always)]
    fn gather<'a>(&mut self, field: Field<'a>, parts: &mut Parts<'a>) -> Result<(), Error> {
        let message = field.message()?;
        if let Some(passing) = self.passing.get(message.bytes()) {
            return parts.pass(message, passing);
        }
        let renames = self.config.migrate != Migrate::Off;
        let attribute = KeyValue::read(message)?;
        let meaning = match self.meaning(attribute.key) {
            Some(meaning) if !meaning.is_plain() => meaning,
            // We have written it.
            Some(plain) if attribute.key.starts_with(b"pgmesh.") => plain,
            // The name is that of one text or number.
            _ if attribute.may_nest() => &names::UNKNOWN,
            plain => match suspicion(&attribute).or(plain) {
                Some(meaning) => meaning,
                None => {
                    self.passing.set(message.bytes(), Passing::default());
                    return Ok(());
                }
            },
        };
        let is_postgres = meaning.role == Role::System
            && matches!(attribute.any()?, Any::Text(system) if self.is_system(system));
        if matches!(meaning.role, Role::Plain | Role::System) && !renames {
            let passing = Passing {
                slots: meaning.slot.map_or(0, Slot::bit),
                is_postgres,
            };
            parts.pass(message, passing)?;
            self.passing.set(message.bytes(), passing);
            return Ok(());
        }
        parts.is_postgres |= is_postgres;
        let value = attribute.any()?;
        let gone = self.is_taken_out((attribute.key, value), meaning.role);
        if let Some(slot) = meaning.slot.filter(|_| !gone) {
            parts.present |= slot.bit();
        }
        parts.fields.push((field, Some(parts.found.len())));
        parts.found.push(Found {
            field,
            attribute,
            value,
            meaning,
            gone,
        });
        Ok(())
    }

    /// What an attribute of this name is, if it matters.
    #[inline(always)]
    pub(super) fn meaning(&self, key: &[u8]) -> Option<&'static Meaning> {
        let meaning = names::meaning(key);
        if !self.config.query_attributes.is_empty() {
            return self.configured(key, meaning);
        }
        meaning.filter(|meaning| {
            meaning.role != Role::Plain || meaning.stable.is_some() || meaning.slot.is_some()
        })
    }

    fn configured(
        &self,
        key: &[u8],
        meaning: Option<&'static Meaning>,
    ) -> Option<&'static Meaning> {
        let mut configured = self.config.query_attributes.iter();
        match meaning {
            Some(known) if known.role != Role::Plain && known.role != Role::Words => meaning,
            _ if configured.any(|name| name.as_bytes() == key) => Some(&names::QUERY),
            _ => meaning,
        }
    }

    #[inline(always)]
    pub(super) fn is_taken_out(&self, (key, value): (&[u8], Any<'_>), role: Role) -> bool {
        match role {
            Role::BindValue => !self.keeps(key),
            Role::Credentials | Role::Quoted => true,
            Role::Address => has_credentials(value),
            Role::ExceptionMessage | Role::Stacktrace => self.config.exceptions == Exceptions::Drop,
            Role::Sqlstate => !self.has_sqlstate(value),
            _ => false,
        }
    }

    fn has_sqlstate(&self, value: Any<'_>) -> bool {
        match value {
            Any::Text(text) => self.sqlstate_of(text).is_some(),
            Any::Int(_) => true,
            _ => false,
        }
    }

    fn sqlstate_of(&self, text: &[u8]) -> Option<[u8; 5]> {
        sqlstate(text).or_else(|| self.texts.sqlstate(text))
    }

    fn keeps(&self, key: &[u8]) -> bool {
        let mut kept = self.config.keep_parameters.iter();
        kept.any(|pattern| match pattern.strip_suffix('*') {
            Some(beginning) => key.starts_with(beginning.as_bytes()),
            None => pattern.as_bytes() == key,
        })
    }

    /// What the attributes of a span or record say of it.
    pub(super) fn facts<'a>(&mut self, parts: &Parts<'a>) -> Facts<'a> {
        let found = &parts.found;
        let mut facts = Facts {
            statement: statement(found),
            present: parts.present,
            database: parts.database,
            ..Facts::default()
        };
        let text = facts.statement.and_then(|place| found.get(place)?.text());
        facts.said = text.map(|text| self.statements.say(text));
        for one in found {
            self.learn(one, &mut facts);
        }
        facts
    }

    /// What an attribute says of its span's errors.
    #[inline]
    pub(super) fn learn<'a>(&self, one: &Found<'a>, facts: &mut Facts<'a>) {
        if matches!(
            one.meaning.role,
            Role::Sqlstate | Role::ExceptionMessage | Role::Stacktrace | Role::ErrorType
        ) {
            self.learn_of_an_error(one, facts);
        }
    }

    fn learn_of_an_error<'a>(&self, one: &Found<'a>, facts: &mut Facts<'a>) {
        let Some(text) = one.text() else {
            if one.meaning.role == Role::Sqlstate {
                facts.sqlstate = facts.sqlstate.or(sqlstate_of_number(one));
            }
            return;
        };
        let told = match one.meaning.role {
            Role::Sqlstate => self.sqlstate_of(text),
            Role::ExceptionMessage | Role::Stacktrace => self.texts.sqlstate(text),
            _ if is_class(text) => {
                let place = match one.attribute.key {
                    b"exception.type" => &mut facts.exception,
                    _ => &mut facts.error_type,
                };
                place.get_or_insert(text);
                None
            }
            _ => None,
        };
        facts.sqlstate = facts.sqlstate.or(told);
    }

    /// Changes one of the attributes that were found.
    pub(super) fn attribute<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        (found, place): (&[Found<'a>], usize),
        facts: &Facts<'a>,
    ) -> Result<(), Error> {
        let Some(one) = found.get(place) else {
            return Ok(());
        };
        let name = match self.config.migrate {
            Migrate::Replace if !facts.is_stripped() => migrated(found, place),
            _ => Name::Own,
        };
        if one.gone || name == Name::Taken {
            editor.remove(&one.field);
            return Ok(());
        }
        // What is said of the statement was asked for already.
        if facts.statement == Some(place)
            && one.meaning.role == Role::Query
            && let Some(said) = &facts.said
            && name == Name::Own
            && (said.redacted.is_none() || editor.set_value(&one.field, &one.attribute, &said.any))
        {
            return Ok(());
        }
        self.rewrite(editor, one, (name, facts.redaction))
    }

    /// The same of one that goes if it cannot be read.
    pub(super) fn attribute_or_none<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        (found, place): (&[Found<'a>], usize),
    ) -> Lost {
        let one = found.get(place)?;
        or_remove(editor, &one.field, |editor| {
            self.attribute(editor, (found, place), &Facts::default())?;
            Ok(None)
        })
    }

    /// Gives an attribute its name, and its texts without their data.
    fn rewrite<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        one: &Found<'a>,
        (name, redaction): (Name, LogRedaction),
    ) -> Result<(), Error> {
        let role = one.meaning.role;
        let changes = match role {
            Role::System
            | Role::Plain
            | Role::BindValue
            | Role::Quoted
            | Role::Credentials
            | Role::Address => false,
            Role::ExceptionMessage | Role::Stacktrace => {
                self.config.exceptions == Exceptions::Redact
            }
            _ => true,
        };
        if !changes && name == Name::Own {
            return Ok(());
        }
        editor.inside(&one.field, |editor, message| {
            for field in message.fields() {
                let field = field?;
                match (field.number, name) {
                    (schema::key_value::KEY, Name::Other(name)) => {
                        editor.replace(&field, |new| new.text(schema::key_value::KEY, name));
                    }
                    (schema::key_value::VALUE, _) if changes => {
                        let around = Around {
                            redaction,
                            ..Around::of(Kind::Of(role))
                        };
                        self.value(editor, &field, around)?;
                    }
                    _ => {}
                }
            }
            Ok(())
        })
    }

    /// What may be seen of a name, or of words about a statement; `None` is all of it.
    pub(super) fn words(&mut self, text: &[u8]) -> Option<String> {
        match holds_password(text) {
            true => Some("?".to_owned()),
            false => self.statements.redact(text),
        }
    }

    /// What may be seen of an attribute's text; `None` is all of it.
    pub(super) fn seen(&mut self, role: Role, text: &[u8]) -> Option<String> {
        let seen = match role {
            Role::Plan => String::from_utf8_lossy(&redact_plan(text)).into_owned(),
            Role::Companion(field) => self.texts.companion(field, text),
            Role::ExceptionMessage => self.texts.message(text),
            Role::Stacktrace => self.texts.stacktrace(text),
            Role::ErrorType if is_class(text) => return None,
            Role::ErrorType => OTHER_ERROR.to_owned(),
            Role::Sqlstate if sqlstate(text).is_some() => return None,
            Role::Sqlstate => {
                let code = self.texts.sqlstate(text)?;
                String::from_utf8_lossy(&code).into_owned()
            }
            _ => return self.statements.redact(text),
        };
        (seen.as_bytes() != text).then_some(seen)
    }
}

/// Changes a field, or takes it out if what is in it cannot be read.
pub(super) fn or_remove<'a>(
    editor: &mut Editor<'a>,
    field: &Field<'a>,
    change: impl FnOnce(&mut Editor<'a>) -> Result<Lost, Error>,
) -> Lost {
    let mark = editor.mark();
    change(editor).unwrap_or_else(|Error::Malformed(error)| {
        editor.roll_back(mark);
        editor.remove(field);
        Some(error)
    })
}

/// The shortest value that may hold a statement or an address with a password, as an `AnyValue`.
const SHORTEST: usize = 10;

/// What an attribute is by its value, whose name says nothing, or that it holds a name or an address.
#[inline(never)]
pub(super) fn suspicion(attribute: &KeyValue<'_>) -> Option<&'static Meaning> {
    let value = attribute
        .value
        .filter(|any| any.bytes().len() >= SHORTEST)?;
    let Ok(Any::Text(text)) = Any::read(value) else {
        return None;
    };
    // That it holds a name or an address its own name says.
    let is_address = || names::meaning_of(attribute.key).is_some();
    Some(match suspect(text, is_address)? {
        Suspect::Password => &names::CREDENTIALS,
        Suspect::Sql => &names::UNKNOWN,
    })
}

/// Where the query text of a span is; of several, the stable name's.
pub(super) fn statement(found: &[Found<'_>]) -> Option<usize> {
    let mut best: Option<(u8, usize)> = None;
    for (place, one) in found.iter().enumerate() {
        if one.meaning.role == Role::Query && one.text().is_some() {
            let rank = match one.attribute.key {
                b"db.query.text" => 2,
                b"db.statement" => 1,
                _ => 0,
            };
            if best.is_none_or(|(best, _)| rank >= best) {
                best = Some((rank, place));
            }
        }
    }
    best.map(|(_, place)| place)
}

/// The name that takes the place of an attribute's own.
fn migrated(found: &[Found<'_>], place: usize) -> Name {
    let own = found.get(place);
    let Some(stable) = own.and_then(|own| own.meaning.stable) else {
        return Name::Own;
    };
    if is_taken(found, place, stable) {
        Name::Taken
    } else {
        Name::Other(stable)
    }
}

/// Whether a stable name is taken by another attribute than the one at this place.
pub(super) fn is_taken(found: &[Found<'_>], place: usize, stable: &str) -> bool {
    let mut before = found.iter().take(place);
    let mut all = found.iter();
    all.any(|other| other.attribute.key == stable.as_bytes())
        || before.any(|other| other.meaning.stable == Some(stable))
}

/// Whether an address has a place for a password in it that is taken: `postgres://bob:secret@db/shop`,
/// `jdbc:postgresql://db/shop?password=secret`. Of one that is no text nobody knows.
fn has_credentials(value: Any<'_>) -> bool {
    let Any::Text(text) = value else {
        return true;
    };
    text.contains(&b'@') || PASSWORDS.iter().any(|word| find(text, word).is_some())
}

/// How libpq, pgjdbc and .NET call it.
const PASSWORDS: [&[u8]; 3] = [b"password", b"passwd", b"pwd="];

/// The SQLSTATE that a library has taken for a number: 8006 is `08006`.
fn sqlstate_of_number(one: &Found<'_>) -> Option<[u8; 5]> {
    let Any::Int(number) = one.value else {
        return None;
    };
    format!("{number:05}").as_bytes().try_into().ok()
}

/// A SQLSTATE that is one: five digits or capitals, a digit among them (all that the server has).
pub(crate) fn sqlstate(text: &[u8]) -> Option<[u8; 5]> {
    let code: [u8; 5] = text.try_into().ok()?;
    let fits = |byte: &u8| byte.is_ascii_digit() || byte.is_ascii_uppercase();
    (code.iter().all(fits) && code.iter().any(u8::is_ascii_digit)).then_some(code)
}
