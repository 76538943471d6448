//! Commands: the statement's own, those it holds, and the words of the summary that they are.

use super::Recorder;
use crate::classify::name::identifier;
use crate::classify::tables::{COMMANDS, ICONST};
use crate::classify::types::{Access, AuditClass, Command, Effects};

impl Recorder<'_> {
    pub(super) fn operation(&mut self) {
        self.summary.operation(self.last_text());
    }

    pub(super) fn command(&mut self, row: usize) {
        let Some((command, class, effects)) = COMMANDS.get(row).copied() else {
            return;
        };
        self.effects = self.effects.and(effects);
        self.rest_of_operation(command);
        if self.nesting > 0 || self.command.is_some() {
            self.hold(command, class);
        }
        if self.nesting > 0 {
            return;
        }
        if self.command.is_none() {
            self.command = Some(command);
            self.class = Some(class);
            self.own_effects = self.own_effects.and(effects);
        } else if self.inner_class.is_none() && self.is_wrapper() {
            self.inner_class = Some(class);
        }
    }

    /// A command that is not the statement's own, unless it only reads or is a clause (SET).
    pub(super) fn hold(&mut self, command: Command, class: AuditClass) {
        let is_told = command.as_str() != "SELECT" && class != AuditClass::MiscSet;
        if is_told && !self.inner.contains(&command) {
            self.inner.push(command);
        }
    }

    /// Commands that are about the statement they hold.
    pub(super) fn is_wrapper(&self) -> bool {
        let command = self.command.map_or("", Command::as_str);
        matches!(command, "EXPLAIN" | "PREPARE" | "DECLARE CURSOR")
    }

    /// The words of a tag after its first (`TABLE` of CREATE TABLE), where they were just read.
    pub(super) fn rest_of_operation(&mut self, command: Command) {
        let words = command.as_str().split(' ').skip(1);
        let count = words.clone().count();
        let recent = self
            .recent
            .iter()
            .skip(self.recent.len().saturating_sub(count));
        let typed: Option<Vec<&[u8]>> = recent
            .map(|token| self.text.get(token.as_ref()?.range()))
            .collect();
        let typed = typed.unwrap_or_default();
        let same = |(typed, word): (&&[u8], &str)| typed.eq_ignore_ascii_case(word.as_bytes());
        if typed.len() == count && typed.iter().zip(words).all(same) {
            typed
                .into_iter()
                .for_each(|word| self.summary.operation(word));
        }
    }

    pub(super) fn rename_command(&mut self, from: &str, to: &str) {
        let row = COMMANDS
            .iter()
            .find(|(command, _, _)| command.as_str() == to);
        let Some((command, class, effects)) = row.copied() else {
            return;
        };
        self.effects = self.effects.and(effects);
        if self.command.is_some_and(|command| command.as_str() == from) {
            self.command = Some(command);
            self.class = Some(class);
            self.own_effects = self.own_effects.and(effects);
        } else {
            self.inner.retain(|held| held.as_str() != from);
            self.hold(command, class);
        }
    }

    /// A role is taken on by other means than SET: by `set_config`, or where a setting is stored.
    pub(super) fn role_taken(&mut self) {
        let row = COMMANDS
            .iter()
            .find(|(command, _, _)| command.as_str() == "SET ROLE");
        let Some((command, _, effects)) = row.copied() else {
            return;
        };
        self.effects = self.effects.and(effects);
        if self.command != Some(command) && !self.inner.contains(&command) {
            self.inner.push(command);
        }
    }

    /// An option of EXPLAIN that is no key word: in quotes it may be ANALYZE all the same. What it is set
    /// to is not asked.
    pub(super) fn explain_option(&mut self) {
        let typed = std::str::from_utf8(self.last_text()).unwrap_or_default();
        let escape = self.last().map_or(0, |token| token.escape);
        self.analyzed |= identifier(typed, escape).is_some_and(|name| name == "analyze");
    }

    pub(super) fn into(&mut self) {
        self.mention(Access::OBJECT, Effects::NONE);
        // INTO belongs to the leftmost operand of a set operation; elsewhere it is refused.
        if self.nesting == 0 && self.operands_inside.is_none() {
            self.rename_command("SELECT", "SELECT INTO");
        } else {
            self.complete = false;
        }
    }

    /// The value of EXPLAIN's ANALYZE option, as `defGetBoolean` reads it.
    pub(super) fn analyze_value(&mut self) {
        let quoted = self.last_text();
        let value = quoted
            .strip_prefix(b"'")
            .and_then(|rest| rest.strip_suffix(b"'"));
        let value = value.unwrap_or(quoted);
        let number = self.last().is_some_and(|token| token.terminal == ICONST);
        let off = [&b"false"[..], b"off"]
            .iter()
            .any(|word| value.eq_ignore_ascii_case(word));
        self.analyzed = !(off || (number && value.iter().all(|digit| *digit == b'0')));
    }
}
