//! Turns what the grammar meets into facts: relations, functions, effects, clauses, the summary.

use super::changes::{Changes, boolean, is_written_settings};
use super::conditions::Conditions;
use super::functions::effects_of;
use super::name::Parts;
use super::names::{Found, Names};
use super::scan::Token;
use super::scope::Scopes;
use super::summary::SummaryBuilder;
use super::tables::{COMMANDS, ICONST, SETTINGS};
use super::types::{Access, AuditClass, Command, Effects, Relation, Statement, Traits};
use crate::encoding::Encoding;
use std::ops::Range;

/// Names of relations, and of functions, that are kept of one statement.
pub const MAX_NAMES: usize = 512;

/// Reads inside WITH RECURSIVE that wait for its end.
const MAX_UNDECIDED: usize = 4096;

/// What the grammar asks for with `@action`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Action {
    Analyze,
    AllSettings,
    AnalyzeValue,
    Call,
    CallTable,
    Cascade,
    Cmd,
    Column,
    CopyFrom,
    CopyTo,
    CreateTableAs,
    Define,
    Disjunct,
    Enter,
    Explain,
    Field,
    FilterClose,
    Incomplete,
    Into,
    Leave,
    Limit,
    Literal,
    Local,
    Locking,
    MergeAnd,
    MergeBySource,
    MergeChange,
    MergeOn,
    MergeWhen,
    Name,
    Object,
    ObjectOfColumn,
    Off,
    On,
    Operation,
    Parameter,
    Part,
    QueryClose,
    QueryOpen,
    Read,
    Returning,
    ServerFile,
    SetOperation,
    Sets,
    Setting,
    SettingValue,
    Stored,
    ToDefault,
    Unfiltered,
    UnseenCode,
    Values,
    WhereClose,
    WhereOpen,
    WithClose,
    WithDone,
    WithName,
    WithOpen,
    WithRecursive,
    Write,
}

/// What is known of the statement that is being read.
pub(crate) struct Recorder<'t> {
    text: &'t [u8],
    encoding: Encoding,
    recent: [Option<Token>; 4],
    parts: Parts,
    relations: Names,
    uses: Vec<Access>,
    /// Relations read inside WITH RECURSIVE, until it is known that no expression has their name.
    undecided: Vec<usize>,
    functions: Names,
    attributes: Names,
    changes: Changes,
    scopes: Scopes,
    conditions: Conditions,
    nesting: usize,
    query_parentheses: usize,
    limit_inside: Option<usize>,
    /// The outermost parentheses that hold an operand of UNION, INTERSECT or EXCEPT.
    operands_inside: Option<usize>,
    command: Option<Command>,
    inner: Vec<Command>,
    class: Option<AuditClass>,
    inner_class: Option<AuditClass>,
    effects: Effects,
    own_effects: Effects,
    traits: Traits,
    explained: bool,
    analyzed: bool,
    stored: bool,
    complete: bool,
    overflowed: bool,
    summary: SummaryBuilder,
}

impl<'t> Recorder<'t> {
    pub(crate) fn new(text: &'t [u8], encoding: Encoding) -> Self {
        Self {
            text,
            encoding,
            recent: [None; 4],
            parts: Parts::default(),
            relations: Names::default(),
            uses: Vec::new(),
            undecided: Vec::new(),
            functions: Names::default(),
            attributes: Names::default(),
            changes: Changes::default(),
            scopes: Scopes::default(),
            conditions: Conditions::default(),
            nesting: 0,
            query_parentheses: 0,
            limit_inside: None,
            operands_inside: None,
            command: None,
            inner: Vec::new(),
            class: None,
            inner_class: None,
            effects: Effects::NONE,
            own_effects: Effects::NONE,
            traits: Traits::NONE,
            explained: false,
            analyzed: false,
            stored: false,
            complete: true,
            overflowed: false,
            summary: SummaryBuilder::default(),
        }
    }

    /// A token was read.
    pub(crate) fn consumed(&mut self, token: Token) {
        let [_, second, third, fourth] = self.recent;
        self.recent = [second, third, fourth, Some(token)];
        if self.changes.is_waiting() {
            self.overflowed |= !self.changes.argument(token, self.text);
        }
    }

    /// The grammar is at `action`; `depth` return addresses are on the machine's stack.
    pub(crate) fn act(&mut self, action: Action, argument: usize, depth: usize) {
        match action {
            Action::Name => self.parts = Parts::default(),
            Action::Part => self
                .last()
                .into_iter()
                .for_each(|token| self.parts.push(token)),
            Action::Column => {
                self.conditions.column();
                if self.parts.has_dot() {
                    self.field();
                }
            }
            Action::Field => self.field(),
            Action::Call => self.call(false),
            Action::CallTable => self.call(true),
            Action::Read => self.read(),
            Action::Write => self.mention(Access::WRITE, Effects::WRITES_ROWS),
            Action::Object | Action::Define => self.mention(Access::OBJECT, Effects::NONE),
            Action::ObjectOfColumn => {
                self.parts.pop();
                self.mention(Access::OBJECT, Effects::NONE);
            }
            Action::CopyFrom => {
                self.class = Some(AuditClass::Write);
                self.mention(Access::WRITE, Effects::WRITES_ROWS);
            }
            Action::CopyTo => self.mention(Access::READ, Effects::READS_ROWS),
            Action::Literal => self.traits = self.traits.and(Traits::LITERAL),
            Action::Parameter => self.traits = self.traits.and(Traits::PARAMETER),
            Action::Returning => self.traits = self.traits.and(Traits::RETURNING),
            Action::Unfiltered => self.traits = self.traits.and(Traits::UNFILTERED),
            Action::Locking => {
                self.traits = self.traits.and(Traits::LOCKING);
                self.effects = self.effects.and(Effects::LOCKS);
            }
            Action::Enter => self.nesting = self.nesting.saturating_add(1),
            Action::Leave => self.nesting = self.nesting.saturating_sub(1),
            Action::QueryOpen => self.query_parentheses = self.query_parentheses.saturating_add(1),
            Action::QueryClose => self.query_parentheses = self.query_parentheses.saturating_sub(1),
            Action::Limit | Action::SetOperation => self.limit(action),
            Action::WhereOpen => self.conditions.open(depth),
            Action::Disjunct => self.conditions.disjunct(depth),
            Action::WhereClose => {
                self.conditions.close();
            }
            Action::FilterClose => {
                let chooses = self.conditions.close();
                self.filtered(chooses);
            }
            Action::Operation => self.operation(),
            Action::Values => {
                if self.summary.is_empty() {
                    self.operation();
                }
            }
            Action::Cmd => self.command(argument),
            Action::Cascade => self.traits = self.traits.and(Traits::CASCADE),
            Action::MergeOn => self.conditions.merge_on(),
            Action::MergeWhen => self.conditions.merge_when(),
            Action::MergeBySource => self.conditions.merge_by_source(),
            Action::MergeAnd => self.conditions.merge_and(),
            Action::MergeChange => self.filtered(self.conditions.merge_chooses()),
            Action::Into => self.into(),
            Action::CreateTableAs => self.rename_command("CREATE TABLE", "CREATE TABLE AS"),
            Action::Explain => self.explained = true,
            Action::Analyze => self.analyzed = true,
            Action::AnalyzeValue => self.analyze_value(),
            Action::ServerFile => {
                self.effects = self.effects.and(Effects::TOUCHES_SERVER_FILES);
            }
            Action::UnseenCode => {
                self.own_effects = self.own_effects.and(Effects::RUNS_UNSEEN_CODE);
            }
            Action::Setting => self.setting(),
            Action::Sets => {
                let name = SETTINGS.get(argument).copied().unwrap_or_default();
                self.sets(Some(name));
            }
            Action::AllSettings => {
                let command = self.command.map_or("", Command::as_str);
                self.overflowed |= !self.changes.all(command);
            }
            Action::Local => self.changes.local = true,
            Action::On => self.changes.value(Some(true)),
            Action::Off => self.changes.value(Some(false)),
            Action::SettingValue => {
                let value = boolean(self.last_text());
                self.changes.value(value);
            }
            Action::ToDefault => self.changes.defaulted(),
            Action::Stored => self.stored = true,
            Action::Incomplete => self.complete = false,
            Action::WithOpen => self.scopes.open(self.undecided.len()),
            Action::WithRecursive => self.scopes.make_recursive(),
            Action::WithName => self.with_name(),
            Action::WithDone => self.scopes.done(),
            Action::WithClose => self.with_close(),
        }
    }

    /// The facts, once the statement has been read or given up.
    pub(crate) fn finish(mut self, range: Range<usize>, recognised: bool) -> Statement {
        let undecided = std::mem::take(&mut self.undecided);
        undecided
            .into_iter()
            .for_each(|index| self.used(index, Access::READ, Effects::READS_ROWS));
        let relations = Self::relations(self.relations, self.uses);
        let writes = relations
            .iter()
            .any(|relation| relation.access.has(Access::WRITE));
        let class = match (self.class, self.inner_class) {
            (Some(AuditClass::Misc), Some(inner)) if self.explained && self.analyzed => inner,
            (Some(AuditClass::Read), Some(inner)) => inner,
            (class, _) => class.unwrap_or(AuditClass::Misc),
        };
        let class = if class == AuditClass::Read && writes {
            AuditClass::Write
        } else {
            class
        };
        if writes && relations.iter().any(is_written_settings) {
            self.changes.unknown();
            self.effects = self.effects.and(Effects::CHANGES_SETTINGS);
        }
        let effects = match (self.explained, self.stored) {
            (true, _) if !self.analyzed => Effects::NONE,
            (_, true) => self.own_effects,
            _ => self.effects.and(self.own_effects),
        };
        Statement {
            range,
            command: self.command.unwrap_or(Command::UNKNOWN),
            inner: match self.explained && !self.analyzed {
                true => Vec::new(),
                false => self.inner,
            },
            class,
            effects,
            traits: if self.limit_inside.is_some() {
                self.traits.and(Traits::LIMIT)
            } else {
                self.traits
            },
            relations,
            functions: self.functions.into_vec(),
            attributes: self.attributes.into_vec(),
            settings: self.changes.into_vec(),
            summary: self.summary.finish(),
            complete: self.complete && recognised && !self.overflowed,
        }
    }

    fn relations(names: Names, uses: Vec<Access>) -> Vec<Relation> {
        let relations = names.into_vec().into_iter().zip(uses);
        relations
            .filter(|(_, access)| *access != Access::NONE)
            .map(|(name, access)| Relation { name, access })
            .collect()
    }

    fn last(&self) -> Option<Token> {
        let [_, _, _, last] = self.recent;
        last
    }

    fn last_text(&self) -> &'t [u8] {
        let token = self.last();
        token
            .and_then(|token| self.text.get(token.range()))
            .unwrap_or_default()
    }

    /// The index of the name just read among the relations.
    fn relation(&mut self) -> Option<usize> {
        let found = self
            .relations
            .intern(&self.parts, self.text, self.encoding, MAX_NAMES);
        let index = self.settle(found)?;
        if index >= self.uses.len() {
            self.uses.push(Access::NONE);
        }
        Some(index)
    }

    fn settle(&mut self, found: Found) -> Option<usize> {
        match found {
            Found::At(index) => return Some(index),
            Found::Full => self.overflowed = true,
            Found::Unreadable => self.complete = false,
        }
        None
    }

    /// Whether the statement holds more than is kept of one: no use in reading on.
    pub(crate) fn has_overflowed(&self) -> bool {
        self.overflowed
    }

    /// The name behind a dot was just read.
    fn field(&mut self) {
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

    fn call(&mut self, is_target: bool) {
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

    fn read(&mut self) {
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

    fn mention(&mut self, access: Access, effects: Effects) {
        if let Some(index) = self.relation() {
            self.used(index, access, effects);
        }
    }

    fn used(&mut self, index: usize, access: Access, effects: Effects) {
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
    fn with_name(&mut self) {
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

    fn with_close(&mut self) {
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

    fn limit(&mut self, action: Action) {
        if self.nesting > 0 {
            return;
        }
        let level = self.query_parentheses;
        if action == Action::SetOperation {
            self.operands_inside = Some(self.operands_inside.unwrap_or(level).min(level));
            self.limit_inside = self.limit_inside.filter(|inside| *inside <= level);
        } else if self
            .operands_inside
            .is_none_or(|operands| level <= operands)
        {
            self.limit_inside = Some(level);
        }
    }

    /// Something is updated or deleted, in chosen rows or in all.
    fn filtered(&mut self, chooses: bool) {
        let said = match chooses {
            true => Traits::FILTERED,
            false => Traits::UNFILTERED,
        };
        self.traits = self.traits.and(said);
    }

    fn operation(&mut self) {
        self.summary.operation(self.last_text());
    }

    fn command(&mut self, row: usize) {
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
    fn hold(&mut self, command: Command, class: AuditClass) {
        let is_told = command.as_str() != "SELECT" && class != AuditClass::MiscSet;
        if is_told && !self.inner.contains(&command) {
            self.inner.push(command);
        }
    }

    /// Commands that are about the statement they hold.
    fn is_wrapper(&self) -> bool {
        let command = self.command.map_or("", Command::as_str);
        matches!(command, "EXPLAIN" | "PREPARE" | "DECLARE CURSOR")
    }

    /// The words of a tag after its first (`TABLE` of CREATE TABLE), where they were just read.
    fn rest_of_operation(&mut self, command: Command) {
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

    fn rename_command(&mut self, from: &str, to: &str) {
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

    fn into(&mut self) {
        self.mention(Access::OBJECT, Effects::NONE);
        // INTO belongs to the leftmost operand of a set operation; elsewhere it is refused.
        if self.nesting == 0 && self.operands_inside.is_none() {
            self.rename_command("SELECT", "SELECT INTO");
        } else {
            self.complete = false;
        }
    }

    /// The setting that is named by the parts just read.
    fn setting(&mut self) {
        let name = self.parts.resolve(self.text, self.encoding);
        let name = name.map(|name| name.to_string().to_ascii_lowercase());
        self.sets(name.as_deref());
    }

    /// A setting is changed, `None` if it cannot be read; two of them are the role one acts as.
    fn sets(&mut self, name: Option<&str>) {
        if matches!(name, Some("role" | "session_authorization")) {
            self.rename_command("SET", "SET ROLE");
            self.own_effects = self.own_effects.and(Effects::CHANGES_ROLES);
        }
        let command = self.command.map_or("", Command::as_str);
        self.overflowed |= !self.changes.named(name, command);
    }

    /// The value of EXPLAIN's ANALYZE option, as `defGetBoolean` reads it.
    fn analyze_value(&mut self) {
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
