//! Which rules of a client a statement has to be held against.
//!
//! Each rule stands under one of its conditions, the most selective that can be looked up by what a
//! statement holds; so a thousand rules cost little more than those that are about the statement. A
//! rule that is not found by its condition does not match. Where a text is not seen through, all are
//! candidates.

use std::borrow::Cow;
use std::collections::HashMap;

use pg_sql::classify::{Access, AuditClass, Effects, QualifiedName, Relation};

use super::glob::{Glob, NameGlob};
use super::reach;
use super::rule::{self, Rule};
use super::unit::Unit;
use super::{Policy, REPLICATION_COMMANDS};
use crate::config::Action;

const CLASSES: &[AuditClass] = &[
    AuditClass::Read,
    AuditClass::Write,
    AuditClass::Function,
    AuditClass::Role,
    AuditClass::Ddl,
    AuditClass::Misc,
    AuditClass::MiscSet,
];

/// Rules under what they are about.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Index {
    all: Vec<u16>,
    /// Those that any statement is held against.
    general: Vec<u16>,
    reads: Names,
    writes: Names,
    tables: Names,
    functions: HashMap<String, Vec<u16>>,
    any_function: Vec<u16>,
    commands: HashMap<String, Vec<u16>>,
    classes: Vec<(AuditClass, Vec<u16>)>,
    effects: Vec<(Effects, Vec<u16>)>,
}

/// Rules under the names of relations they are about, or else under their schemas.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Names {
    names: HashMap<String, Vec<u16>>,
    schemas: HashMap<String, Vec<u16>>,
    /// Those whose globs say neither.
    any: Vec<u16>,
}

impl Names {
    fn put(&mut self, number: u16, places: Vec<Place<'_>>) {
        for place in places {
            let rules = match place {
                Place::Name(name) => self.names.entry(name.to_owned()).or_default(),
                Place::Schema(name) => self.schemas.entry(name.to_owned()).or_default(),
                Place::Any => &mut self.any,
            };
            rules.push(number);
        }
    }

    /// Those that may be about a relation; one without a schema may be in any of the search path,
    /// in the system's, or in any at all.
    fn find(&self, name: &QualifiedName, path: Option<&[String]>, found: &mut Vec<u16>) {
        let mut add = |rules: Option<&Vec<u16>>| {
            rules.into_iter().for_each(|rules| found.extend(rules));
        };
        add(self.names.get(&name.name));
        match (&name.schema, path) {
            (Some(schema), _) => add(self.schemas.get(schema)),
            (None, Some(path)) => {
                add(self.schemas.get("pg_catalog"));
                path.iter().for_each(|schema| add(self.schemas.get(schema)));
            }
            (None, None) => self.schemas.values().for_each(|rules| add(Some(rules))),
        }
    }
}

/// What a rule is found by.
enum Key<'r> {
    General,
    /// The relations one of which is accessed so; `NONE`: in any way.
    Relations(Access, Vec<Place<'r>>),
    /// Functions, one of which it has to call; `None`: any.
    Functions(Vec<Option<&'r str>>),
    Commands(&'r [Glob]),
    Classes(super::unit::Classes),
    Effects(Effects),
}

/// Where a relation is found.
enum Place<'r> {
    /// Under its name.
    Name(&'r str),
    /// Under its schema.
    Schema(&'r str),
    /// Anywhere.
    Any,
}

impl Index {
    /// Over these rules of the policy, in order.
    pub(super) fn new(policy: &Policy, numbers: Vec<u16>) -> Self {
        let mut index = Self::default();
        for number in &numbers {
            if let Some(rule) = policy.rule(*number) {
                index.put(*number, rule.key());
            }
        }
        index.all = numbers;
        index
    }

    /// All of them, in order.
    pub(super) fn all(&self) -> &[u16] {
        &self.all
    }

    fn put(&mut self, number: u16, key: Key<'_>) {
        match key {
            Key::General => self.general.push(number),
            Key::Relations(Access::READ, places) => self.reads.put(number, places),
            Key::Relations(Access::WRITE, places) => self.writes.put(number, places),
            Key::Relations(_, places) => self.tables.put(number, places),
            Key::Functions(names) => {
                for name in names {
                    let rules = match name {
                        Some(name) => self.functions.entry(name.to_owned()).or_default(),
                        None => &mut self.any_function,
                    };
                    rules.push(number);
                }
            }
            Key::Commands(globs) => {
                let known = pg_sql::classify::commands()
                    .chain(REPLICATION_COMMANDS.iter().copied())
                    .chain([rule::no_command()]);
                for command in known.filter(|command| rule::any(globs, command)) {
                    let command = command.to_owned();
                    self.commands.entry(command).or_default().push(number);
                }
            }
            Key::Classes(classes) => {
                for class in CLASSES.iter().filter(|class| classes.holds(**class)) {
                    put(&mut self.classes, *class, number);
                }
            }
            Key::Effects(effects) => {
                for (effect, _) in Effects::ALL.iter().filter(|(one, _)| effects.has(*one)) {
                    put(&mut self.effects, *effect, number);
                }
            }
        }
    }

    /// The rules that may match, in order.
    pub(super) fn candidates(&self, unit: &Unit<'_>, path: Option<&[String]>) -> Cow<'_, [u16]> {
        let unnamed = reach::unnamed(unit, Access::NONE)
            || reach::by_catalog(unit, Access::NONE)
            || reach::renames_functions(unit);
        if !unit.deep || unnamed || self.general.len() == self.all.len() {
            return Cow::Borrowed(&self.all);
        }
        let mut found = Vec::with_capacity(self.general.len().saturating_add(8));
        found.extend_from_slice(&self.general);
        for Relation { name, access } in unit.relations {
            // A definition of a relation may read and write it, and what changes rows may show them.
            let defined = access.has(Access::OBJECT);
            self.reads.find(name, path, &mut found);
            if defined || access.has(Access::WRITE) {
                self.writes.find(name, path, &mut found);
            }
            self.tables.find(name, path, &mut found);
        }
        let mut add = |rules: Option<&Vec<u16>>| {
            rules.into_iter().for_each(|rules| found.extend(rules));
        };
        for function in unit.functions.iter().chain(unit.attributes) {
            add(self.functions.get(&function.name));
        }
        if !(unit.functions.is_empty() && unit.attributes.is_empty()) {
            add(Some(&self.any_function));
        }
        if !unit.relations.is_empty() {
            let names = [&self.reads, &self.writes, &self.tables];
            names.into_iter().for_each(|names| add(Some(&names.any)));
        }
        let inner = unit
            .inner
            .iter()
            .map(|command| (command.as_str(), command.class()));
        for (command, class) in inner.chain([(unit.command, unit.class)]) {
            add(self.commands.get(command));
            let rules = self.classes.iter().find(|(known, _)| *known == class);
            add(rules.map(|(_, rules)| rules));
        }
        for (effect, rules) in &self.effects {
            if unit.effects.has(*effect) {
                add(Some(rules));
            }
        }
        found.sort_unstable();
        found.dedup();
        Cow::Owned(found)
    }
}

fn put<K: PartialEq>(map: &mut Vec<(K, Vec<u16>)>, key: K, number: u16) {
    match map.iter_mut().find(|(known, _)| *known == key) {
        Some((_, rules)) => rules.push(number),
        None => map.push((key, vec![number])),
    }
}

impl Rule {
    fn key(&self) -> Key<'_> {
        let what = &self.what;
        let found = || {
            let lists = [
                (Access::READ, &what.reads),
                (Access::WRITE, &what.writes),
                (Access::NONE, &what.tables),
            ];
            let mut given = lists.into_iter().filter(|(_, list)| !list.is_empty());
            let (access, list) = given.next()?;
            Some((access, list.iter().map(place).collect()))
        };
        // A rule that allows by what a statement names or does, allows one that does nothing.
        if self.action != Action::Allow {
            if let Some((access, places)) = found() {
                return Key::Relations(access, places);
            }
            if !what.functions.is_empty() {
                let names = what.functions.iter().map(|glob| glob.name.literal());
                return Key::Functions(names.collect());
            }
        }
        if !what.command.is_empty() {
            Key::Commands(&what.command)
        } else if !what.classes.is_empty() {
            Key::Classes(what.classes)
        } else if self.action != Action::Allow && what.effects != Effects::NONE {
            Key::Effects(what.effects)
        } else {
            Key::General
        }
    }
}

/// Where what a glob matches is found.
fn place(glob: &NameGlob) -> Place<'_> {
    let schema = || glob.schema.as_ref()?.literal().map(Place::Schema);
    let name = glob.name.literal().map(Place::Name);
    name.or_else(schema).unwrap_or(Place::Any)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::rule::Client;
    use crate::policy::unit::Scene;
    use pg_sql::{ClassifyOptions, LexerOptions, classify};

    const TEXTS: &[&str] = &[
        "select 1",
        "select * from a.b, c",
        "select f(1), (x).g from a.c",
        "delete from a.b",
        "with d as (delete from c returning *) select * from d",
        "explain analyze update a.c set x = 1",
        "truncate x cascade",
        "drop schema a",
        "drop table a.b",
        "alter table c rename to d",
        "create index on a.b (x)",
        "create schema s create table t (a int) grant all on t to public",
        "merge into b using c on true when matched then delete",
        "do ''",
        "call f()",
        "copy a.b to program 'x'",
        "set role x",
        "begin",
        "select (",
        "lock c",
    ];

    /// Conditions of one rule each.
    const CONDITIONS: &[&str] = &[
        r#""reads": ["a.*"]"#,
        r#""writes": ["a.*"]"#,
        r#""tables": ["a.*"]"#,
        r#""reads": ["b", "c"]"#,
        r#""writes": ["b", "a.c"]"#,
        r#""tables": ["*.c", "x"]"#,
        r#""tables": ["?", "x"]"#,
        r#""reads": ["a.*"], "writes": ["c"]"#,
        r#""functions": ["f", "g"]"#,
        r#""functions": ["g*"]"#,
        r#""command": ["DELETE", "CREATE*"]"#,
        r#""command": ["GRANT"], "tables": ["t"]"#,
        r#""class": ["WRITE"]"#,
        r#""class": ["ROLE", "MISC"]"#,
        r#""effect": ["writes_rows", "locks"]"#,
        r#""effect": ["changes_roles"], "class": ["MISC_SET"]"#,
        r#""where": "missing""#,
        r#""incomplete": true"#,
        r#""copy": true"#,
        r#""multiple_statements": false"#,
    ];

    #[test]
    fn a_rule_that_applies_is_a_candidate() {
        let mut found = 0_usize;
        for action in ["deny", "allow", "log"] {
            for condition in CONDITIONS {
                let rule = format!(r#"{{"name": "a", "action": "{action}", {condition}}}"#);
                let json = format!(r#"{{"rules": [{rule}]}}"#);
                let policy = Policy::read(json.as_bytes()).unwrap();
                let profile = policy.profile(&Client::default());
                for text in TEXTS {
                    let said = classify(text.as_bytes(), ClassifyOptions::default());
                    let scene = Scene::new(text.as_bytes(), 0, LexerOptions::default());
                    for statement in &said.statements {
                        let unit = Unit::of(statement, said.complete);
                        let applies = policy.rules()[0].applies(&unit, &scene);
                        let candidates = profile.index.candidates(&unit, None);
                        assert!(!applies || *candidates == [0], "{rule}: {text}");
                        found = found.saturating_add(usize::from(candidates.is_empty()));
                    }
                }
            }
        }
        assert!(found > 300, "the index leaves out only {found}");
    }
}
