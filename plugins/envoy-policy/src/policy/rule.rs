//! One rule, compiled: whom it is about, what it is about, and whether it matches.
//!
//! Matching has three outcomes. A rule that denies (or logs) applies where it *may* match; a rule
//! that allows only where it *does*. So the quantifier over a statement's parts depends on the
//! action as well: `tables: [a]` denies a statement that names `a` among others, and allows one that
//! names nothing but `a`.

use std::net::IpAddr;

use pg_sql::LexerOptions;
use pg_sql::classify::{Access, Command, QualifiedName, Relation, Traits};

use super::glob::{Cidr, Glob, NameGlob};
use super::reach;
use super::unit::{Classes, Scene, Unit};
use crate::config::{Action, Mode};

/// How surely a rule matches.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Match {
    /// It does not.
    No,
    /// It may: the text cannot be judged for certain.
    Maybe,
    /// It does.
    Yes,
}

impl From<bool> for Match {
    fn from(matches: bool) -> Self {
        if matches { Self::Yes } else { Self::No }
    }
}

/// A client, as it is known once its StartupMessage is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Client {
    /// URI of its mesh certificate.
    pub principal: Option<String>,
    /// Its address.
    pub source: Option<IpAddr>,
    /// As it asked for.
    pub user: String,
    /// As it asked for, or the user.
    pub database: String,
    /// As it said.
    pub application: String,
    /// `replication` is on or `database`.
    pub replication: bool,
    /// `replication` is `database`: SQL is spoken too.
    pub logical: bool,
}

/// Conditions on the client.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Who {
    pub(super) principal: Vec<Glob>,
    pub(super) source: Vec<Cidr>,
    pub(super) user: Vec<Glob>,
    pub(super) database: Vec<Glob>,
    pub(super) application: Vec<Glob>,
    pub(super) replication: Option<bool>,
}

pub(super) fn any(globs: &[Glob], name: &str) -> bool {
    globs.is_empty() || globs.iter().any(|glob| glob.matches(name))
}

impl Who {
    pub(crate) fn matches(&self, client: &Client) -> bool {
        self.conditions(client).all(|(_, matches)| matches)
    }

    /// Every condition given, by its name in the document, and whether it is met.
    fn conditions<'a>(
        &'a self,
        client: &'a Client,
    ) -> impl Iterator<Item = (&'static str, bool)> + 'a {
        let given = |globs: &'a [Glob]| (!globs.is_empty()).then_some(globs);
        let names = move |globs, name: &str| Some(any(given(globs)?, name));
        let principal = client.principal.as_deref();
        let known = |globs| principal.is_some_and(|principal| any(globs, principal));
        let inside = |address| self.source.iter().any(|cidr| cidr.contains(address));
        let conditions = [
            ("principal", given(&self.principal).map(known)),
            (
                "source",
                (!self.source.is_empty()).then(|| client.source.is_some_and(inside)),
            ),
            ("user", names(&self.user, &client.user)),
            ("database", names(&self.database, &client.database)),
            ("application", names(&self.application, &client.application)),
            (
                "replication",
                self.replication.map(|wanted| wanted == client.replication),
            ),
        ];
        conditions
            .into_iter()
            .filter_map(|(name, matches)| Some((name, matches?)))
    }

    /// Whether every client that `other` matches is certainly matched by this one: its conditions
    /// are none, or the same ones.
    pub(super) fn covers(&self, other: &Self) -> bool {
        fn covers<T: PartialEq>(wide: &[T], narrow: &[T]) -> bool {
            wide.is_empty()
                || (!narrow.is_empty() && narrow.iter().all(|entry| wide.contains(entry)))
        }
        covers(&self.principal, &other.principal)
            && covers(&self.source, &other.source)
            && covers(&self.user, &other.user)
            && covers(&self.database, &other.database)
            && covers(&self.application, &other.application)
            && (self.replication.is_none() || self.replication == other.replication)
    }
}

/// Conditions on what is run. Empty lists and `None` are no condition.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct What {
    pub(super) classes: Classes,
    pub(super) command: Vec<Glob>,
    pub(super) effects: pg_sql::classify::Effects,
    pub(super) reads: Vec<NameGlob>,
    pub(super) writes: Vec<NameGlob>,
    pub(super) tables: Vec<NameGlob>,
    pub(super) functions: Vec<NameGlob>,
    pub(super) unfiltered: bool,
    pub(super) multiple_statements: Option<bool>,
    pub(super) copy: Option<bool>,
    pub(super) function_call: Option<bool>,
    pub(super) incomplete: Option<bool>,
    pub(super) larger_than: Option<u64>,
    pub(super) fingerprints: Vec<u64>,
    pub(super) transactions: u8,
}

impl What {
    /// Whether there is one condition, the one that `clear` takes away.
    pub(super) fn is_only(&self, clear: impl Fn(&mut Self)) -> bool {
        let mut rest = self.clone();
        clear(&mut rest);
        rest == Self::default() && *self != rest
    }
}

/// A compiled rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Unique in its policy.
    pub name: String,
    /// What it does.
    pub action: Action,
    /// Whether it does it.
    pub mode: Mode,
    pub(super) who: Who,
    pub(super) what: What,
    /// What [`Rule::given`] says.
    pub(super) given: Vec<(&'static str, Check)>,
    /// What the client is told, if the user has said.
    pub message: Option<String>,
    /// Empty for none.
    pub hint: String,
    /// If the user has said.
    pub sqlstate: Option<[u8; 5]>,
    /// Settings that sessions start with, and keep.
    pub(super) set: Vec<(String, String)>,
    /// Template of `application_name`.
    pub(super) application_name: Option<String>,
}

impl Rule {
    /// Every condition on the client, by its name in the document, and whether it is met.
    pub fn client_conditions<'a>(
        &'a self,
        client: &'a Client,
    ) -> impl Iterator<Item = (&'static str, bool)> + 'a {
        self.who.conditions(client)
    }

    /// Whether it is about clients only.
    #[must_use]
    pub fn is_about_connections(&self) -> bool {
        self.what == What::default()
    }

    /// Whether it makes a difference in which schema a name is looked up.
    pub(super) fn is_about_schemas(&self) -> bool {
        let what = &self.what;
        [&what.reads, &what.writes, &what.tables, &what.functions]
            .into_iter()
            .flatten()
            .any(|glob| glob.schema.is_some())
    }

    /// Whether a later rule for a client of this one is never come to.
    pub(super) fn ends_all(&self) -> bool {
        self.is_about_connections() && self.action != Action::Log && self.mode == Mode::Enforce
    }

    /// Whether it applies to a part of a request.
    #[must_use]
    pub fn applies(&self, unit: &Unit<'_>, scene: &Scene<'_>) -> bool {
        let matched = self.matches(unit, scene);
        match self.action {
            Action::Allow => matched == Match::Yes,
            Action::Deny | Action::Log => matched != Match::No,
        }
    }

    /// How surely it matches: as its least sure condition does.
    #[must_use]
    pub fn matches(&self, unit: &Unit<'_>, scene: &Scene<'_>) -> Match {
        let mut least = Match::Yes;
        for (_, matched) in self.conditions(unit, scene) {
            least = least.min(matched);
            if least == Match::No {
                break;
            }
        }
        least
    }

    /// Every condition given, by its name in the document, and how surely it matches; the cheap
    /// ones first.
    pub fn conditions<'a>(
        &'a self,
        unit: &'a Unit<'_>,
        scene: &'a Scene<'_>,
    ) -> impl Iterator<Item = (&'static str, Match)> + 'a {
        let held =
            move |(name, check): &(&'static str, Check)| Some((*name, check(self, unit, scene)?));
        self.given.iter().filter_map(held)
    }

    /// The conditions that are given.
    pub(super) fn given(&self) -> Vec<(&'static str, Check)> {
        let scene = Scene::new(&[], 0, LexerOptions::default());
        let is_given =
            |(_, check): &&(&'static str, Check)| check(self, &Unit::EMPTY, &scene).is_some();
        Self::CHECKS.iter().filter(is_given).copied().collect()
    }

    /// Every condition by its name in the document, the cheap ones first. One that is not given
    /// says `None` of whatever it is held against.
    const CHECKS: &[(&'static str, Check)] = &[
        ("class", Self::class),
        ("effect", Self::effect),
        ("where", Self::filter),
        ("copy", Self::copy),
        ("function_call", Self::function_call),
        ("incomplete", Self::incomplete),
        ("larger_than", Self::larger_than),
        ("multiple_statements", Self::multiple_statements),
        ("transaction", Self::transaction),
        ("command", Self::command),
        ("reads", Self::reads),
        ("writes", Self::writes),
        ("tables", Self::tables),
        ("functions", Self::functions),
        ("fingerprint", Self::fingerprint),
    ];

    fn allows(&self) -> bool {
        self.action == Action::Allow
    }

    /// Whether what is run is of a kind: `known` says so of what can be seen, and code that cannot be
    /// seen may be of any kind where that is denied.
    fn runs(&self, unit: &Unit<'_>, known: bool) -> Match {
        if known || self.allows() {
            unit.sure(known)
        } else {
            unit.deeply_sure(known)
        }
    }

    fn class(&self, unit: &Unit<'_>, _: &Scene<'_>) -> Option<Match> {
        let wanted = self.what.classes;
        (!wanted.is_empty()).then(|| {
            let inner = unit.inner.iter().map(|command| command.class());
            let mut classes = inner.chain([unit.class]);
            self.runs(
                unit,
                match self.allows() {
                    true => classes.all(|class| wanted.holds(class)),
                    false => classes.any(|class| wanted.holds(class)),
                },
            )
        })
    }

    fn command(&self, unit: &Unit<'_>, _: &Scene<'_>) -> Option<Match> {
        let globs = &self.what.command;
        (!globs.is_empty()).then(|| {
            let inner = unit.inner.iter().map(|command| command.as_str());
            let mut commands = inner.chain([unit.command]);
            self.runs(
                unit,
                match self.allows() {
                    true => commands.all(|command| any(globs, command)),
                    false => commands.any(|command| any(globs, command)),
                },
            )
        })
    }

    fn effect(&self, unit: &Unit<'_>, _: &Scene<'_>) -> Option<Match> {
        let wanted = self.what.effects;
        (wanted != Default::default()).then(|| {
            let known = if self.allows() {
                unit.effects.without(wanted) == Default::default()
            } else {
                unit.effects.without(wanted) != unit.effects
            };
            match known {
                // What is known to be done is done, whatever else is.
                true if !self.allows() && unit.certain => Match::Yes,
                known => unit.deeply_sure(known),
            }
        })
    }

    fn filter(&self, unit: &Unit<'_>, _: &Scene<'_>) -> Option<Match> {
        self.what
            .unfiltered
            .then(|| unit.deeply_sure(unit.traits.has(Traits::UNFILTERED)))
    }

    fn copy(&self, unit: &Unit<'_>, _: &Scene<'_>) -> Option<Match> {
        let wanted = self.what.copy?;
        Some(self.runs(unit, wanted == unit.command.starts_with("COPY")))
    }

    fn function_call(&self, unit: &Unit<'_>, _: &Scene<'_>) -> Option<Match> {
        Some(Match::from(self.what.function_call? == unit.function_call))
    }

    fn incomplete(&self, unit: &Unit<'_>, _: &Scene<'_>) -> Option<Match> {
        Some(Match::from(self.what.incomplete? != unit.certain))
    }

    fn larger_than(&self, _: &Unit<'_>, scene: &Scene<'_>) -> Option<Match> {
        Some(Match::from(scene.bytes > self.what.larger_than?))
    }

    fn multiple_statements(&self, unit: &Unit<'_>, scene: &Scene<'_>) -> Option<Match> {
        let wanted = self.what.multiple_statements?;
        Some(unit.sure(wanted == (scene.statements > 1)))
    }

    fn transaction(&self, _: &Unit<'_>, scene: &Scene<'_>) -> Option<Match> {
        let wanted = self.what.transactions;
        (wanted != 0).then(|| match scene.transaction {
            Some(state) => Match::from(wanted & state != 0),
            None => Match::Maybe,
        })
    }

    fn fingerprint(&self, unit: &Unit<'_>, scene: &Scene<'_>) -> Option<Match> {
        let wanted = &self.what.fingerprints;
        (!wanted.is_empty()).then(|| unit.sure(wanted.contains(&scene.fingerprint())))
    }

    fn reads(&self, unit: &Unit<'_>, scene: &Scene<'_>) -> Option<Match> {
        self.relations(&self.what.reads, Access::READ, unit, scene)
    }

    fn writes(&self, unit: &Unit<'_>, scene: &Scene<'_>) -> Option<Match> {
        self.relations(&self.what.writes, Access::WRITE, unit, scene)
    }

    fn tables(&self, unit: &Unit<'_>, scene: &Scene<'_>) -> Option<Match> {
        self.relations(&self.what.tables, Access::NONE, unit, scene)
    }

    /// A condition on relations that are accessed in a way; `NONE`: in any.
    fn relations(
        &self,
        globs: &[NameGlob],
        access: Access,
        unit: &Unit<'_>,
        scene: &Scene<'_>,
    ) -> Option<Match> {
        if globs.is_empty() {
            return None;
        }
        Some(if self.allows() {
            self.all_relations(unit, scene)
        } else {
            any_relation(globs, access, unit, scene)
        })
    }

    /// For a rule that allows: every access to every relation is one it names.
    fn all_relations(&self, unit: &Unit<'_>, scene: &Scene<'_>) -> Match {
        use pg_sql::classify::Effects;
        let beyond_tables = Effects::TOUCHES_SERVER_FILES.and(Effects::CHANGES_ROLES);
        let beyond_tables = beyond_tables.without(self.what.effects);
        let beyond = unit.effects.without(beyond_tables) != unit.effects;
        if beyond || reach::unnamed(unit, Access::NONE) {
            return Match::No;
        }
        let covered = |relation: &Relation| {
            let ways = [
                (Access::READ, &self.what.reads),
                (Access::WRITE, &self.what.writes),
            ];
            let within =
                |globs: &[NameGlob]| one_of(globs, &relation.name, Kind::Relation, scene, true);
            let mut least = Match::Yes;
            for (access, globs) in ways {
                if relation.access.has(access) {
                    least = least.min(within(globs).max(within(&self.what.tables)));
                }
            }
            if relation.access.has(Access::OBJECT) {
                least = least.min(within(&self.what.tables));
            }
            least
        };
        let least = unit.relations.iter().map(covered).min();
        unit.deeply(least.unwrap_or(Match::Yes))
    }

    fn functions(&self, unit: &Unit<'_>, scene: &Scene<'_>) -> Option<Match> {
        let globs = &self.what.functions;
        if globs.is_empty() {
            return None;
        }
        let allows = self.allows();
        // A name behind a dot may be a column: it is a function for a rule that denies, and for
        // one that allows it has to be among the allowed ones.
        let mut matches = unit
            .functions
            .iter()
            .chain(unit.attributes)
            .map(|name| one_of(globs, name, Kind::Function, scene, allows));
        let matched = if allows {
            matches.min().unwrap_or(Match::Yes)
        } else {
            matches
                .find(|matched| *matched != Match::No)
                .unwrap_or(match reach::renames_functions(unit) {
                    true => Match::Maybe,
                    false => Match::No,
                })
        };
        Some(unit.deeply(matched))
    }
}

/// How surely a condition matches; `None` if it is not given.
pub(super) type Check = fn(&Rule, &Unit<'_>, &Scene<'_>) -> Option<Match>;

/// For a rule that denies: some access is one it names.
fn any_relation(globs: &[NameGlob], access: Access, unit: &Unit<'_>, scene: &Scene<'_>) -> Match {
    let matched = unit
        .relations
        .iter()
        .map(|relation| {
            let accessed = match relation.access.has(access) {
                true => Match::Yes,
                false if redefines(unit, relation, access) => Match::Maybe,
                false if access == Access::READ && shows_changed(unit, relation) => Match::Maybe,
                false => return Match::No,
            };
            one_of(globs, &relation.name, Kind::Relation, scene, false).min(accessed)
        })
        .max()
        .unwrap_or(Match::No);
    let unnamed = || reach::unnamed(unit, access) || reach::by_catalog(unit, access);
    if matched != Match::Yes && unnamed() {
        return Match::Maybe;
    }
    unit.deeply(matched)
}

/// Beginnings of commands that, done to a relation, may change its rows: they remove or rewrite it,
/// or make a query of another one change it.
const MAY_WRITE: &[&str] = &[
    "ALTER ",
    "CREATE RULE",
    "CREATE TABLE",
    "CREATE TRIGGER",
    "DROP ",
    "SELECT INTO",
];

/// Beginnings of commands that, done to a relation, may show its rows: they run expressions over
/// them, give it another name, or send them elsewhere.
const MAY_READ: &[&str] = &[
    "ALTER ",
    "CREATE INDEX",
    "CREATE POLICY",
    "CREATE PUBLICATION",
    "CREATE RULE",
    "CREATE STATISTICS",
    "CREATE TRIGGER",
];

/// Commands that read the rows they change: in WHERE, ON, and new values (the server asks for SELECT on
/// what they name).
const READ_WHAT_THEY_CHANGE: &[&str] = &["DELETE", "MERGE", "UPDATE"];

/// Whether rows of a relation that is changed may be shown: by RETURNING, by how many there are, or by an
/// error.
fn shows_changed(unit: &Unit<'_>, relation: &Relation) -> bool {
    let inner = unit.inner.iter().map(|command| command.as_str());
    let mut commands = inner.chain([unit.command]);
    relation.access.has(Access::WRITE)
        && (unit.traits.has(Traits::RETURNING)
            || commands.any(|command| READ_WHAT_THEY_CHANGE.contains(&command)))
}

/// Whether a definition may read or write the rows of a relation.
fn redefines(unit: &Unit<'_>, relation: &Relation, access: Access) -> bool {
    let commands = match access {
        Access::WRITE => MAY_WRITE,
        _ => MAY_READ,
    };
    let inner = unit.inner.iter().map(|command| command.as_str());
    relation.access.has(Access::OBJECT)
        && inner
            .chain([unit.command])
            .any(|command| commands.iter().any(|start| command.starts_with(start)))
}

/// What a name is of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Relation,
    Function,
}

fn one_of(
    globs: &[NameGlob],
    name: &QualifiedName,
    kind: Kind,
    scene: &Scene<'_>,
    certain: bool,
) -> Match {
    globs
        .iter()
        .map(|glob| name_matches(glob, name, kind, scene, certain))
        .max()
        .unwrap_or(Match::No)
}

/// Whether a name is one of a glob. Without a schema it may be in any schema of the search path,
/// or in pg_catalog; in any schema at all if the path is not known.
fn name_matches(
    glob: &NameGlob,
    name: &QualifiedName,
    kind: Kind,
    scene: &Scene<'_>,
    certain: bool,
) -> Match {
    if !glob.name.matches(&name.name) {
        return Match::No;
    }
    let Some(schema) = &glob.schema else {
        return Match::Yes;
    };
    if let Some(named) = &name.schema {
        return Match::from(schema.matches(named));
    }
    let Some(path) = scene.search_path else {
        return Match::Maybe;
    };
    let in_catalog = kind == Kind::Function || name.name.starts_with("pg_");
    let system = in_catalog.then_some("pg_catalog");
    let mut schemas = path.iter().map(String::as_str).chain(system);
    if certain {
        Match::from(!path.is_empty() && schemas.all(|candidate| schema.matches(candidate)))
    } else if schemas.any(|candidate| schema.matches(candidate)) {
        Match::Maybe
    } else {
        Match::No
    }
}

/// The command of something that is no SQL statement.
pub(super) const fn no_command() -> &'static str {
    Command::UNKNOWN.as_str()
}
