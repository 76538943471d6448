//! Query texts in attributes of points, as the families have them for rows of `pg_stat_statements`.
//!
//! A text is redacted, and its point given the statement's fingerprint; what is data and nothing else
//! becomes `?` (`roles` tells). Each server's points tell so many
//! statements apart; all others are `other`. Points that become alike by that, for only data told them
//! apart, become one point: the sum of those, or the largest or smallest where the metric's name says
//! that it is a mean, a maximum or a minimum.

use std::rc::Rc;

use otlp_wire::Any;

use super::point::{Attribute, Number, Point};
use super::roles::{Role, Roles};
use crate::bounded::{Bounded, Entry, Words, hash};
use crate::config::Comments;
use crate::statement::{Options, Said, Statements};

/// What the server says in the place of a text that the exporter's role may not see.
const HIDDEN: &[u8] = b"<insufficient privilege>";

pub(crate) const FINGERPRINT: &str = "pgmesh.fingerprint";
/// Text and fingerprint of statements that are not told apart.
pub(crate) const OTHER: &str = "other";

/// After so long without it a statement makes room for another.
const IDLE_NANOSECONDS: u64 = 3_600_000_000_000;
/// Statements remembered over all servers.
const MOST: usize = 65_536;

/// What a point shows of its statement.
#[derive(Clone, Debug, Default)]
pub(crate) enum Shown {
    /// It has none: nothing changes.
    #[default]
    Nothing,
    /// The text without its data.
    Text,
    /// That, and its fingerprint.
    Statement(Rc<Said>),
    /// That it is one of the others.
    Other,
}

/// What becomes of a point.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fate {
    pub(crate) shown: Shown,
    /// What it and those that became like it say together.
    pub(crate) total: Option<Number>,
    /// It is in the total of another.
    pub(crate) gone: bool,
}

/// Handles query texts.
#[derive(Debug)]
pub(crate) struct Queries {
    statements: Statements,
    pub(crate) roles: Roles,
    told_apart: ToldApart,
}

impl Queries {
    pub(crate) fn new(configured: Vec<String>, most: u32) -> Self {
        Self {
            statements: Statements::new(Options {
                comments: Comments::Drop,
                names: false,
                upkeep: false,
            }),
            roles: Roles::new(configured),
            told_apart: ToldApart::new(most),
        }
    }

    fn role(&mut self, attribute: &Attribute<'_>) -> Role {
        self.roles.of(attribute.key, attribute.value)
    }

    /// A text without its data; None if there is none in it.
    pub(crate) fn redact(&mut self, text: &[u8]) -> Option<String> {
        self.statements.redact(text)
    }

    /// What becomes of the points of a metric; nothing if none of them has a query text or other data.
    pub(crate) fn fates(&mut self, server: u64, name: &[u8], points: &[Point<'_>]) -> Vec<Fate> {
        if !points.iter().any(|point| self.changes(point)) {
            return Vec::new();
        }
        let fold = Fold::of(name);
        let mut fates: Vec<Fate> = Vec::with_capacity(points.len());
        let mut first = Bounded::new(points.len());
        for (place, point) in points.iter().enumerate() {
            let shown = self.shown(server, point);
            let changes = !matches!(shown, Shown::Nothing) || self.changes(point);
            let mut fate = Fate {
                shown,
                total: None,
                gone: false,
            };
            if changes {
                let identity = self.identity(point, &fate.shown);
                match first.get(identity) {
                    None => {
                        first.set(identity, place as u64);
                    }
                    Some(before) => {
                        let before = before as usize;
                        fate.gone = true;
                        let value = points.get(before).and_then(|first| first.value);
                        if let Some(first) = fates.get_mut(before) {
                            first.total = fold.both(first.total.or(value), point.value);
                        }
                    }
                }
            }
            fates.push(fate);
        }
        fates
    }

    /// Whether a label of a point changes, whatever it shows of a statement.
    fn changes(&mut self, point: &Point<'_>) -> bool {
        let mut attributes = point.attributes.iter();
        attributes
            .any(|attribute| matches!(self.role(attribute), Role::Text | Role::Words | Role::Data))
    }

    fn shown(&mut self, server: u64, point: &Point<'_>) -> Shown {
        let mut attributes = point.attributes.iter();
        let Some(text) = attributes.find(|attribute| self.role(attribute) == Role::Text) else {
            return Shown::Nothing;
        };
        let Any::Text(text) = text.value else {
            return Shown::Text;
        };
        if text.is_empty() || text == HIDDEN || text == OTHER.as_bytes() {
            return Shown::Text;
        }
        let said = self.statements.say(text);
        let ids = point.attributes.iter();
        let ids = ids.filter(|attribute| self.role(attribute) == Role::Id);
        let statement = ids.fold(said.fingerprint.0, |sum, id| {
            sum.wrapping_add(part(id.key, id.any))
        });
        if self.told_apart.admits(server, statement, point.time) {
            Shown::Statement(said)
        } else {
            Shown::Other
        }
    }

    /// A number for the time and the attributes that a point will have, in whatever order.
    fn identity(&mut self, point: &Point<'_>, shown: &Shown) -> u64 {
        let mut identity = part(b"", &point.time.to_le_bytes());
        for attribute in &point.attributes {
            let part = match (self.role(attribute), shown) {
                (Role::Text, Shown::Other) => part(attribute.key, OTHER.as_bytes()),
                (Role::Text | Role::Words, _) => self.redacted_part(attribute),
                (Role::Data, _) => part(attribute.key, b""),
                (Role::Id, Shown::Other) | (Role::Fingerprint, _) => continue,
                _ => part(attribute.key, attribute.any),
            };
            identity = identity.wrapping_add(part);
        }
        identity
    }

    fn redacted_part(&mut self, attribute: &Attribute<'_>) -> u64 {
        let Any::Text(text) = attribute.value else {
            return part(attribute.key, attribute.any);
        };
        let redacted = self.redact(text);
        part(
            attribute.key,
            redacted.as_deref().map_or(text, str::as_bytes),
        )
    }
}

fn part(key: &[u8], value: &[u8]) -> u64 {
    hash(hash(0, key), value)
}

/// How points that became alike become one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fold {
    Sum,
    Largest,
    Smallest,
}

impl Fold {
    /// As the words of a metric's name have it.
    fn of(name: &[u8]) -> Self {
        let mut words = name.split(|byte| matches!(byte, b'_' | b'.'));
        words
            .find_map(|word| match word {
                b"mean" | b"avg" | b"max" | b"stddev" => Some(Self::Largest),
                b"min" => Some(Self::Smallest),
                _ => None,
            })
            .unwrap_or(Self::Sum)
    }

    fn both(self, one: Option<Number>, other: Option<Number>) -> Option<Number> {
        let (Some(first), Some(second)) = (one, other) else {
            return one.or(other);
        };
        Some(match self {
            Self::Sum => first.fold(second, i64::saturating_add, |one, other| one + other),
            Self::Largest => first.fold(second, i64::max, f64::max),
            Self::Smallest => first.fold(second, i64::min, f64::min),
        })
    }
}

/// The statements that are told apart, first come, first served.
#[derive(Debug)]
struct ToldApart {
    /// For each server.
    most: u64,
    statements: Bounded<Seen>,
    /// How many statements each server has.
    counts: Bounded<u64>,
    newest: u64,
    /// When it was last looked for idle ones.
    swept: u64,
}

/// A server's statement.
#[derive(Clone, Copy, Debug)]
struct Seen {
    server: u64,
    last: u64,
}

impl Entry for Seen {
    fn to_words(self) -> Words {
        [self.server, self.last, 0]
    }

    fn from_words([server, last, _]: Words) -> Self {
        Self { server, last }
    }
}

impl ToldApart {
    const fn new(most: u32) -> Self {
        Self {
            most: most as u64,
            statements: Bounded::new(MOST),
            counts: Bounded::new(MOST),
            newest: 0,
            swept: 0,
        }
    }

    fn admits(&mut self, server: u64, statement: u64, time: u64) -> bool {
        let key = part(&server.to_le_bytes(), &statement.to_le_bytes());
        self.newest = self.newest.max(time);
        if let Some(known) = self.statements.get(key) {
            let last = known.last.max(time);
            return self.statements.set(key, Seen { server, last });
        }
        let seen = Seen { server, last: time };
        self.inserts(key, seen) || {
            self.forget_idle();
            self.inserts(key, seen)
        }
    }

    fn inserts(&mut self, key: u64, seen: Seen) -> bool {
        let count = self.counts.get(seen.server).unwrap_or(0);
        count < self.most
            && self.statements.set(key, seen)
            && self.counts.set(seen.server, count.saturating_add(1))
    }

    /// Once for each time that the points have.
    fn forget_idle(&mut self) {
        if self.swept == self.newest {
            return;
        }
        self.swept = self.newest;
        let oldest = self.newest.saturating_sub(IDLE_NANOSECONDS);
        self.statements.retain(|seen| seen.last >= oldest);
        self.counts = Bounded::new(MOST);
        for seen in self.statements.iter() {
            let count = self.counts.get(seen.server).unwrap_or(0);
            self.counts.set(seen.server, count.saturating_add(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_together_have_so_many_statements_and_no_more() {
        let mut told_apart = ToldApart::new(u32::MAX);
        let most = MOST as u64;
        let admitted = (0..most).filter(|it| told_apart.admits(it % 7, *it, 1));
        assert_eq!(admitted.count(), MOST);
        assert!(!told_apart.admits(7, most, 2));
        assert!(told_apart.admits(0, 0, IDLE_NANOSECONDS + 2));
        assert!(told_apart.admits(7, most, IDLE_NANOSECONDS + 2));
    }
}
