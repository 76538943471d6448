//! What kind of event a message is, and where its values stand: the tables `classes.txt`,
//! `companions.txt` and `reports.txt` beside the sources, made into trees of patterns. What has no pattern,
//! as in other languages, is known by the function that said it (`places.txt`) and by its SQLSTATE.

mod known;
mod pattern;
#[path = "../../build/place.rs"]
mod place;
mod trie;

pub use pattern::{Kind, Sensitivity, Value};

use std::cell::RefCell;

use crate::event::Event;
use crate::field::Field;
use known::Known;
use pattern::Pattern;
use trie::{End, Found, Trie};

pub(crate) use pattern::Holder;
pub(crate) use trie::Fuel;

include!(concat!(env!("OUT_DIR"), "/tables.rs"));

/// A kind of event.
#[derive(Debug)]
pub struct Class {
    /// Its stable name, in snake_case.
    pub name: &'static str,
    /// SQLSTATEs that are enough to tell, whatever the language of the message.
    pub sqlstates: &'static [&'static str],
    patterns: &'static [&'static str],
}

impl Class {
    /// All of them.
    #[must_use]
    pub fn all() -> &'static [Self] {
        CLASSES
    }

    /// The SQLSTATE that each of its messages has, if it is one and the same.
    #[must_use]
    pub fn sqlstate(&self) -> Option<&'static str> {
        let [code] = self.sqlstates else {
            return None;
        };
        let is_sure = SURE.split(' ').any(|sure| sure == *code);
        is_sure.then_some(*code)
    }

    /// The values that its messages may have, each name once.
    #[must_use]
    pub fn values(&self) -> Vec<Value> {
        let mut values: Vec<Value> = Vec::new();
        let patterns = self.patterns.iter().map(|source| Pattern::parse(source));
        for value in patterns.flat_map(|pattern| pattern.values) {
            if !values.iter().any(|known| known.name == value.name) {
                values.push(value);
            }
        }
        values
    }
}

/// A value found in a text.
#[derive(Clone, Copy, Debug)]
pub struct Capture<'c, 't> {
    /// What the table says of it.
    pub value: &'c Value,
    /// Where it stands: from, to.
    pub span: (usize, usize),
    /// Its text.
    pub text: &'t [u8],
}

/// A message, or a line of a companion, that has a pattern.
#[derive(Clone, Debug)]
pub struct Recognized<'c> {
    /// The class whose pattern it is.
    pub class: &'static Class,
    row: &'c Row,
    found: Found,
}

impl<'c> Recognized<'c> {
    /// The values in `text`, which must be the one that was recognised.
    pub fn captures<'t>(&self, text: &'t [u8]) -> impl Iterator<Item = Capture<'c, 't>> {
        let spans = self.found.spans.iter();
        spans.zip(&self.row.values).map(|(span, value)| Capture {
            value,
            span: *span,
            text: text.get(span.0..span.1).unwrap_or_default(),
        })
    }

    /// What the statement of the client is in, and the text of that.
    pub(crate) fn statement<'t>(&self, text: &'t [u8]) -> Option<(Holder, &'t [u8])> {
        let (number, holder) = self.row.statement?;
        let (from, to) = self.found.spans.get(number)?;
        Some((holder, text.get(*from..*to).unwrap_or_default()))
    }

    /// Whether all of its values may be seen as they are, names of people and machines aside.
    pub(crate) fn is_harmless(&self) -> bool {
        self.row.harmless
    }

    /// Whether one of its values has to be looked at before it may be seen.
    pub(crate) fn is_rewritten(&self) -> bool {
        self.row.rewritten
    }

    /// Tells the text among those that came before; or 0.
    pub(crate) fn text(&self) -> u64 {
        self.found.text
    }

    /// Whether it keeps whatever follows its literal text.
    pub(crate) fn keeps_the_rest(&self) -> bool {
        self.row.values.last().is_some_and(|last| {
            last.kind == Kind::Rest
                && matches!(last.sensitivity, Sensitivity::None | Sensitivity::Prose)
        })
    }

    /// The pattern, as the table has it.
    #[must_use]
    pub fn pattern(&self) -> &'static str {
        self.row.source
    }

    /// Where the pattern ends in the text.
    #[must_use]
    pub fn end(&self) -> usize {
        self.found.end
    }
}

/// A pattern of a table.
#[derive(Clone, Debug)]
struct Row {
    class: &'static Class,
    source: &'static str,
    values: Vec<Value>,
    /// Which of them the statement of the client is in.
    statement: Option<(usize, Holder)>,
    /// None of them is data, or has it in it.
    harmless: bool,
    /// One of them goes in part.
    rewritten: bool,
}

impl Row {
    fn new(class: &'static Class, source: &'static str, values: Vec<Value>) -> Self {
        let held = |(number, value): (usize, &Value)| Some((number, value.holder?));
        let harmless = |value: &Value| {
            matches!(
                value.sensitivity,
                Sensitivity::None | Sensitivity::User | Sensitivity::Host
            )
        };
        Self {
            class,
            source,
            statement: values.iter().enumerate().find_map(held),
            harmless: values.iter().all(harmless),
            rewritten: values.iter().any(|value| value.sensitivity.is_rewritten()),
            values,
        }
    }
}

/// A table, ready to be matched.
#[derive(Clone, Debug)]
struct Table {
    patterns: Vec<Row>,
    trie: Trie,
}

impl Table {
    fn new(classes: &'static [Class]) -> Self {
        let sources = classes
            .iter()
            .flat_map(|class| class.patterns.iter().map(move |source| (class, *source)));
        let parsed: Vec<(&'static Class, &'static str, Pattern)> = sources
            .map(|(class, source)| (class, source, Pattern::parse(source)))
            .collect();
        Self {
            trie: Trie::new(parsed.iter().map(|(.., pattern)| pattern.pieces.as_slice())),
            patterns: parsed
                .into_iter()
                .map(|(class, source, pattern)| Row::new(class, source, pattern.values))
                .collect(),
        }
    }

    fn find(&self, text: &[u8], end: End, fuel: &mut Fuel) -> Option<Recognized<'_>> {
        self.recognized(self.trie.find(text, end, fuel)?)
    }

    fn recognized(&self, found: Found) -> Option<Recognized<'_>> {
        let row = self.patterns.get(found.pattern)?;
        Some(Recognized {
            class: row.class,
            row,
            found,
        })
    }
}

/// All tables.
#[derive(Clone, Debug)]
pub struct Classes {
    messages: Table,
    known: RefCell<Known>,
    companions: Table,
    reports: Table,
    /// SQLSTATEs that tell the class, in order.
    sqlstates: Vec<(&'static str, &'static Class)>,
}

impl Default for Classes {
    fn default() -> Self {
        Self::new()
    }
}

impl Classes {
    /// Knows every class.
    #[must_use]
    pub fn new() -> Self {
        Self::with(CLASSES.len())
    }

    /// Knows the first `count` classes only, to show that the number costs nothing.
    #[must_use]
    pub fn with(count: usize) -> Self {
        let classes = CLASSES.get(..count).unwrap_or(CLASSES);
        let mut sqlstates: Vec<(&'static str, &'static Class)> = Vec::new();
        for class in classes {
            for code in class.sqlstates {
                let place = sqlstates.partition_point(|(known, _)| known <= code);
                sqlstates.insert(place, (code, class));
            }
        }
        Self {
            messages: Table::new(classes),
            known: RefCell::default(),
            companions: Table::new(COMPANIONS),
            reports: Table::new(REPORTS),
            sqlstates,
        }
    }

    /// The class of a message by its text.
    #[must_use]
    pub fn of_message(&self, message: &[u8]) -> Option<Recognized<'_>> {
        let find = || {
            let trie = &self.messages.trie;
            trie.find(message, End::Text, &mut Fuel::of(message))
        };
        let found = match self.known.try_borrow_mut() {
            Ok(mut known) => known.or_else(message, find),
            Err(_) => find(),
        };
        self.messages.recognized(found?)
    }

    /// The class that a SQLSTATE alone tells.
    #[must_use]
    pub fn of_sqlstate(&self, sqlstate: &[u8]) -> Option<&'static Class> {
        let found = self
            .sqlstates
            .binary_search_by(|(code, _)| code.as_bytes().cmp(sqlstate))
            .ok()?;
        self.sqlstates.get(found).map(|(_, class)| *class)
    }

    /// The class that a function of the server's tells by saying something with this SQLSTATE.
    fn of_place(function: &[u8], sqlstate: &[u8]) -> Option<&'static Class> {
        let number = place::number(function, sqlstate);
        let found = PLACES
            .binary_search_by_key(&number, |entry| entry >> 8)
            .ok()?;
        let entry = PLACES.get(found)?;
        CLASSES.get((entry & 0xff) as usize)
    }

    /// The class of an event whose message says nothing: by the function it comes from, else by its SQLSTATE.
    #[must_use]
    pub fn without_text(&self, event: &Event<'_>) -> Option<&'static Class> {
        let sqlstate = event.fields.get(Field::Sqlstate).map(|text| text.raw);
        let function = event.fields.get(Field::Function);
        let by_place =
            function.and_then(|text| Self::of_place(text.raw, sqlstate.unwrap_or(b"00000")));
        by_place.or_else(|| self.of_sqlstate(sqlstate?))
    }

    /// The class of an event: by its message, else without.
    #[must_use]
    pub fn of(&self, event: &Event<'_>) -> Option<&'static Class> {
        let message = event.fields.get(Field::Message).map(|text| text.decode());
        let by_message = message.and_then(|message| Some(self.of_message(&message)?.class));
        by_message.or_else(|| self.without_text(event))
    }

    /// The line of a DETAIL or CONTEXT that `text` begins with.
    #[must_use]
    pub fn companion(&self, text: &[u8]) -> Option<Recognized<'_>> {
        self.next_companion(text, &mut Fuel::of(text))
    }

    /// The same of one line of many, which share their fuel.
    pub(crate) fn next_companion(&self, text: &[u8], fuel: &mut Fuel) -> Option<Recognized<'_>> {
        self.companions.find(text, End::Line, fuel)
    }

    /// The line of a report that `text` is.
    #[must_use]
    pub fn report(&self, text: &[u8]) -> Option<Recognized<'_>> {
        self.reports.find(text, End::Line, &mut Fuel::of(text))
    }
}
