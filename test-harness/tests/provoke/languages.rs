//! What is known of messages in other languages, judged by what the same places of the server's source
//! say in English.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use pg_log::{Classes, Event, Field, Text};

/// Where the server's source says something, and the SQLSTATE it says it with.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Place {
    function: String,
    line: String,
    sqlstate: String,
}

impl Place {
    /// Nothing for what a function of a user's says: it says it in one language only.
    fn of(event: &Event<'_>) -> Option<Self> {
        let text = |field| {
            let text = event.fields.get(field)?;
            Some(String::from_utf8_lossy(text.raw).into_owned())
        };
        let function = text(Field::Function).filter(|function| function != "exec_stmt_raise")?;
        Some(Self {
            function,
            line: text(Field::Line)?,
            sqlstate: text(Field::Sqlstate).unwrap_or_else(|| "00000".to_owned()),
        })
    }
}

/// The class of what each place says in English, where it is always the same.
pub fn in_english(logs: &[Vec<Event<'_>>]) -> BTreeMap<Place, &'static str> {
    let classes = Classes::new();
    let mut places: BTreeMap<Place, BTreeSet<Option<&'static str>>> = BTreeMap::new();
    for event in logs.iter().flatten() {
        let message = event.fields.get(Field::Message).unwrap_or_default();
        let class = classes.of_message(&message.decode());
        if let Some(place) = Place::of(event) {
            let name = class.map(|class| class.class.name);
            places.entry(place).or_default().insert(name);
        }
    }
    let sure = places.into_iter().filter_map(|(place, classes)| {
        let mut classes = classes.into_iter();
        match (classes.next(), classes.next()) {
            (Some(Some(class)), None) => Some((place, class)),
            _ => None,
        }
    });
    sure.collect()
}

/// How many of the places that have a class in English have it in another language.
#[derive(Debug, Default)]
pub struct Known {
    pub places: usize,
    /// By SQLSTATE, and by texts that are not translated.
    pub by_sqlstate: usize,
    /// By the function, too, which `log_error_verbosity = verbose` shows.
    pub by_place: usize,
    /// Classes of places that have none.
    unknown: BTreeSet<&'static str>,
    /// Classes, and those that they are taken for.
    pub mistaken: BTreeSet<(&'static str, &'static str)>,
}

impl Known {
    pub fn of(english: &BTreeMap<Place, &'static str>, logs: &[Vec<Event<'_>>]) -> Self {
        let classes = Classes::new();
        let name = |event: &Event<'_>| classes.of(event).map(|class| class.name);
        let mut seen = BTreeSet::new();
        let mut known = Self::default();
        for event in logs.iter().flatten() {
            let place = Place::of(event).filter(|place| seen.insert(place.clone()));
            let class = place.and_then(|place| english.get(&place).copied());
            let Some(class) = class else {
                continue;
            };
            let mut brief = event.clone();
            brief.fields.set(Field::Function, Text::default());
            known.places += 1;
            known.by_sqlstate += usize::from(name(&brief) == Some(class));
            match name(event) {
                Some(found) if found == class => known.by_place += 1,
                Some(other) => drop(known.mistaken.insert((class, other))),
                None => drop(known.unknown.insert(class)),
            }
        }
        known
    }
}

impl fmt::Display for Known {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "of {} places {} are known by SQLSTATE, {} by function and SQLSTATE; not known: {:?}",
            self.places, self.by_sqlstate, self.by_place, self.unknown
        )
    }
}
