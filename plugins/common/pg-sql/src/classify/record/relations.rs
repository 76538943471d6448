//! Names: the relations that are read, written or otherwise the command's object, those that common
//! table expressions hide, and the functions called.

use super::{MAX_NAMES, MAX_UNDECIDED, Recorder};
use crate::classify::functions::effects_of;
use crate::classify::name::Parts;
use crate::classify::names::{Found, Names};
use crate::classify::types::{Access, Effects, Relation};

impl Recorder<'_> {
    pub(super) fn relations(names: Names, uses: Vec<Access>) -> Vec<Relation> {
        let relations = names.into_vec().into_iter().zip(uses);
        relations
            .filter(|(_, access)| *access != Access::NONE)
            .map(|(name, access)| Relation { name, access })
            .collect()
    }

    /// The index of the name just read among the relations.
    pub(super) fn relation(&mut self) -> Option<usize> {
        let found = self
            .relations
            .intern(&self.parts, self.text, self.encoding, MAX_NAMES);
        let index = self.settle(found)?;
        if index >= self.uses.len() {
            self.uses.push(Access::NONE);
        }
        Some(index)
    }

    pub(super) fn settle(&mut self, found: Found) -> Option<usize> {
        match found {
            Found::At(index) => return Some(index),
            Found::Full => self.overflowed = true,
            Found::Unreadable => self.complete = false,
        }
        None
    }

    /// The name behind a dot was just read.
    pub(super) fn field(&mut self) {
        let mut parts = Parts::default();
        self.last().into_iter().for_each(|token| parts.push(token));
        let found = self
            .attributes
            .intern(&parts, self.text, self.encoding, MAX_NAMES);
        let Some(index) = self.settle(found) else {
            return;
        };
        if let Some(name) = self.attributes.get(index) {
            self.effects = self.effects.and(effects_of(&name.name));
        }
    }

    pub(super) fn call(&mut self, is_target: bool) {
        let found = self
            .functions
            .intern(&self.parts, self.text, self.encoding, MAX_NAMES);
        let Some(index) = self.settle(found) else {
            return;
        };
        let Some(name) = self.functions.get(index) else {
            return;
        };
        self.effects = self.effects.and(effects_of(&name.name));
        if name.name == "set_config" {
            self.overflowed |= !self.changes.called();
        }
        if is_target {
            self.summary.target(&name.typed);
        }
    }

    pub(super) fn read(&mut self) {
        self.conditions.column();
        let Some(index) = self.relation() else { return };
        let Some(name) = self.relations.get(index) else {
            return;
        };
        if name.schema.is_none() && self.scopes.names(&name.name) {
            return;
        }
        if !self.scopes.any_recursive() {
            self.used(index, Access::READ, Effects::READS_ROWS);
            return;
        }
        self.summary.target(&name.typed);
        self.undecided.push(index);
        self.overflowed |= self.undecided.len() > MAX_UNDECIDED;
    }

    pub(super) fn mention(&mut self, access: Access, effects: Effects) {
        if let Some(index) = self.relation() {
            self.used(index, access, effects);
        }
    }

    pub(super) fn used(&mut self, index: usize, access: Access, effects: Effects) {
        self.effects = self.effects.and(effects);
        if let Some(uses) = self.uses.get_mut(index) {
            *uses = uses.and(access);
        }
        if let Some(name) = self.relations.get(index) {
            self.summary.target(&name.typed);
        }
    }

    /// The name of a common table expression. In WITH RECURSIVE it is visible in the expressions
    /// before it too: what they took for a relation of this name is none.
    pub(super) fn with_name(&mut self) {
        let Some(named) = self.relation() else { return };
        let Some(name) = self.relations.get(named).map(|name| name.name.clone()) else {
            return;
        };
        if let Some(first) = self.scopes.recursive_from() {
            let earlier = self.undecided.split_off(first.min(self.undecided.len()));
            self.undecided
                .extend(earlier.into_iter().filter(|index| *index != named));
        }
        self.overflowed |= !self.scopes.name(name);
    }

    pub(super) fn with_close(&mut self) {
        self.scopes.close();
        if self.scopes.any_recursive() {
            return;
        }
        for index in std::mem::take(&mut self.undecided) {
            self.effects = self.effects.and(Effects::READS_ROWS);
            if let Some(uses) = self.uses.get_mut(index) {
                *uses = uses.and(Access::READ);
            }
        }
    }
}
