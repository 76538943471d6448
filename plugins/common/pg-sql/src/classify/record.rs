//! Turns what the grammar meets into facts: relations, functions, effects, clauses, the summary.
//!
//! The grammar calls [`Recorder::act`] with what it asks for (`action`) wherever it says `@...`;
//! `relations` settles names, `commands` what the statement is.

mod action;
mod commands;
mod relations;

pub(crate) use action::Action;

use super::changes::{Changes, boolean, is_role, is_written_settings};
use super::conditions::Conditions;
use super::functions::effects_of_planning;
use super::name::Parts;
use super::names::Names;
use super::scope::Scopes;
use super::summary::SummaryBuilder;
use super::tables::SETTINGS;
use super::terminals::Token;
use super::types::{Access, AuditClass, Command, Effects, Statement, Traits};
use crate::encoding::Encoding;
use std::ops::Range;

/// Names of relations, and of functions, that are kept of one statement.
pub const MAX_NAMES: usize = 512;

/// Reads inside WITH RECURSIVE that wait for its end.
const MAX_UNDECIDED: usize = 4096;

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
            Action::ExplainOption => self.explain_option(),
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
        let relations = Self::relations(
            std::mem::take(&mut self.relations),
            std::mem::take(&mut self.uses),
        );
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
        if self.changes.may_take_role() {
            self.role_taken();
        }
        let (functions, attributes) = (self.functions.into_vec(), self.attributes.into_vec());
        let effects = match (self.explained, self.stored) {
            (true, _) if !self.analyzed => effects_of_planning(functions.iter().chain(&attributes)),
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
            functions,
            attributes,
            settings: self.changes.into_vec(),
            summary: self.summary.finish(),
            complete: self.complete && recognised && !self.overflowed,
        }
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

    /// Whether the statement holds more than is kept of one: no use in reading on.
    pub(crate) fn has_overflowed(&self) -> bool {
        self.overflowed
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

    /// The setting that is named by the parts just read.
    fn setting(&mut self) {
        let name = self.parts.resolve(self.text, self.encoding);
        let name = name.map(|name| name.to_string().to_ascii_lowercase());
        self.sets(name.as_deref());
    }

    /// A setting is changed, `None` if it cannot be read; two of them are the role one acts as.
    fn sets(&mut self, name: Option<&str>) {
        if name.is_some_and(is_role) {
            self.rename_command("SET", "SET ROLE");
            self.own_effects = self.own_effects.and(Effects::CHANGES_ROLES);
        }
        let command = self.command.map_or("", Command::as_str);
        self.overflowed |= !self.changes.named(name, command);
    }
}
