//! Holding a request against the rules of a client.

use std::rc::Rc;

use pg_sql::classify::{Classification, SettingChange, Settings, Statement, classify};
use pg_sql::{ClassifyOptions, Encoding, LexerOptions};

use super::rule::{self, Client, Rule};
use super::settings::holds_code;
use super::unit::{Scene, Unit};
use super::{Policy, Profile, REPLICATION_COMMANDS, Reason};
use crate::config::{Action, Mode, Verdict};

/// What a policy says of a request or a client.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Decision {
    /// It is denied, and why.
    pub denied: Option<Reason>,
    /// It would be denied if these were enforced.
    pub would_deny: Vec<Reason>,
    /// Rules that want it recorded.
    pub logged: Vec<u16>,
    /// The rule that allows it; `None` if it is the default, or if it is denied.
    pub allowed_by: Option<u16>,
}

impl Decision {
    pub(super) fn deny(mut self, reason: Reason, mode: Mode) -> Self {
        match mode {
            Mode::Enforce => {
                self.denied = Some(reason);
                self.allowed_by = None;
            }
            Mode::DryRun => self.would_deny.push(reason),
        }
        self
    }

    /// The strictest of two verdicts about parts of one request.
    fn and(&mut self, other: Self) {
        self.denied = self.denied.or(other.denied);
        self.allowed_by = match self.denied {
            Some(_) => None,
            None => other.allowed_by.or(self.allowed_by),
        };
        let new = |reason: &Reason| !self.would_deny.contains(reason);
        let would: Vec<_> = other.would_deny.into_iter().filter(new).collect();
        self.would_deny.extend(would);
        let new = |rule: &u16| !self.logged.contains(rule);
        let logged: Vec<_> = other.logged.into_iter().filter(new).collect();
        self.logged.extend(logged);
    }
}

/// What is asked of the policy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ask<'a> {
    /// A text.
    Text {
        /// All of it, or its beginning.
        text: &'a [u8],
        /// Bytes of the whole message.
        bytes: u64,
        /// `text` is not all of it.
        truncated: bool,
        /// It is a Query, run where it stands. What is prepared runs later, in another transaction
        /// perhaps.
        at_once: bool,
    },
    /// A function by its number.
    FunctionCall {
        /// `pg_proc.oid`
        oid: u32,
    },
}

/// What is known of the session when the request comes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SessionState {
    /// A bit of [`super::unit::transaction_bit`]; `None` while it is not settled.
    pub transaction: Option<u8>,
    /// `search_path`, if the server has reported it and nothing changes it before the names in the
    /// text are looked up.
    pub search_path: Option<Rc<[String]>>,
    /// Statements were prepared, and allowed, for what `search_path` is.
    pub path_in_use: bool,
    /// That has `$user` in it.
    pub role_in_use: bool,
    /// `standard_conforming_strings`; `None` if something under way may change it.
    pub standard_conforming_strings: Option<bool>,
    /// `client_encoding`; `None` if something under way may change it.
    pub client_encoding: Option<Encoding>,
}

/// Encodings to be tried where it is not settled: those in which a backslash may be a part of a
/// character, and two for all others, since a name says something else in UTF-8.
const ENCODINGS: &[Encoding] = &[
    Encoding::Utf8,
    Encoding::AsciiSafe,
    Encoding::Sjis,
    Encoding::Big5,
    Encoding::Gbk,
    Encoding::Uhc,
    Encoding::Gb18030,
    Encoding::Johab,
];

/// Ways the server may read the text: one, unless it depends on a setting that is not settled.
fn readings(text: &[u8], state: &SessionState) -> Vec<LexerOptions> {
    let strings: &[bool] = match state.standard_conforming_strings {
        Some(true) => &[true],
        Some(false) => &[false],
        None if text.contains(&b'\\') => &[true, false],
        None => &[true],
    };
    let one;
    let encodings: &[Encoding] = match state.client_encoding {
        Some(encoding) => {
            one = [encoding];
            &one
        }
        None if !text.is_ascii() => ENCODINGS,
        None => &[Encoding::Utf8],
    };
    let mut readings = Vec::with_capacity(strings.len().saturating_mul(encodings.len()));
    // A text that cannot be in an encoding is refused by a server that takes it to be.
    let possible = |encoding: &&Encoding| encodings.len() == 1 || encoding.admits(text);
    for encoding in encodings.iter().filter(possible) {
        for standard_conforming_strings in strings {
            readings.push(LexerOptions {
                standard_conforming_strings: *standard_conforming_strings,
                backslash_quote: encoding.is_ascii_safe(),
                encoding: *encoding,
            });
        }
    }
    readings
}

/// What a text may have done to the session once it was run.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Aftermath {
    /// It may have changed settings that decide how later texts are read.
    pub changes_reading: bool,
    /// It may have changed the role that the session acts as. What functions do is not told.
    pub changes_role: bool,
    /// It may have changed `search_path`. What functions do is not told.
    pub changes_path: bool,
    /// It was judged by what `search_path` is.
    pub by_path: bool,
    /// Bind and Execute can run it, or what it holds, again: it prepares a statement, or declares a
    /// cursor.
    pub can_be_run_again: bool,
}

impl Aftermath {
    /// Anything may have happened, but for what functions leave behind.
    pub const UNKNOWN: Self = Self {
        changes_reading: true,
        changes_role: true,
        changes_path: true,
        by_path: false,
        can_be_run_again: false,
    };
}

impl Profile {
    /// Judges a request.
    #[must_use]
    pub fn judge(
        &self,
        policy: &Policy,
        client: &Client,
        ask: Ask<'_>,
        state: &SessionState,
    ) -> (Decision, Aftermath) {
        let kept = policy.verdicts.try_borrow_mut().ok();
        let (Some(mut kept), Some(number), false) = (kept, self.number, client.replication) else {
            return self.judge_afresh(policy, client, ask, state);
        };
        match kept.find(number, ask, state) {
            Ok(verdict) => verdict,
            Err(false) => self.judge_afresh(policy, client, ask, state),
            Err(true) => {
                let mut by_tokens = true;
                let verdict = self.judge_sql(policy, ask, state, &mut by_tokens);
                if by_tokens {
                    kept.keep(verdict.clone());
                }
                verdict
            }
        }
    }

    /// Judges a request as if it were the first.
    #[must_use]
    pub fn judge_afresh(
        &self,
        policy: &Policy,
        client: &Client,
        ask: Ask<'_>,
        state: &SessionState,
    ) -> (Decision, Aftermath) {
        match ask {
            Ask::FunctionCall { oid } => {
                let mut scene = Scene::new(&[], 0, LexerOptions::default());
                scene.transaction = state.transaction;
                let mut decision = self.decide(policy, &Unit::FUNCTION_CALL, &scene);
                if self.protected.may_be_changed_by(oid) {
                    decision = decision.deny(Reason::Protected, policy.mode);
                }
                let path = self.path.as_ref().filter(|_| state.path_in_use);
                if path.is_some_and(|path| path.may_be_changed_by(oid)) {
                    decision = decision.deny(Reason::PathInUse, policy.mode);
                }
                (decision, Aftermath::UNKNOWN)
            }
            Ask::Text { text, .. } => match replication_command(client, text) {
                Some(command) => {
                    let mut scene = Scene::new(text, text.len() as u64, LexerOptions::default());
                    scene.statements = 1;
                    let unit = Unit::replication(command);
                    (self.decide(policy, &unit, &scene), Aftermath::default())
                }
                None => self.judge_sql(policy, ask, state, &mut true),
            },
        }
    }

    /// `by_tokens` is cleared where more than the tokens of the text has been looked at.
    fn judge_sql(
        &self,
        policy: &Policy,
        ask: Ask<'_>,
        state: &SessionState,
        by_tokens: &mut bool,
    ) -> (Decision, Aftermath) {
        let Ask::Text {
            text, truncated, ..
        } = ask
        else {
            return (Decision::default(), Aftermath::default());
        };
        let mut decision: Option<Decision> = None;
        let mut aftermath = Aftermath::default();
        for lexer in readings(text, state) {
            let classification = classify(text, ClassifyOptions { lexer, truncated });
            *by_tokens &= is_known_by_tokens(&classification);
            aftermath.changes_reading |= changes_reading(&classification);
            aftermath.changes_role |= changes_role(&classification);
            aftermath.changes_path |= self.changes_path(&classification, text, &lexer);
            aftermath.can_be_run_again |= can_be_run_again(&classification);
            aftermath.by_path |= self.path.is_some()
                && state.search_path.is_some()
                && has_unqualified_names(&classification);
            let reading = self.judge_reading(policy, ask, state, lexer, &classification);
            match &mut decision {
                Some(decision) => decision.and(reading),
                None => decision = Some(reading),
            }
        }
        (decision.unwrap_or_default(), aftermath)
    }

    fn judge_reading(
        &self,
        policy: &Policy,
        ask: Ask<'_>,
        state: &SessionState,
        lexer: LexerOptions,
        classification: &Classification,
    ) -> Decision {
        let Ask::Text {
            text,
            bytes,
            truncated,
            at_once,
        } = ask
        else {
            return Decision::default();
        };
        let statements = &classification.statements;
        let mut scene = Scene::new(text, bytes, lexer);
        scene.statements = statements.len();
        // A prepared statement is run later, in another transaction perhaps; later statements are
        // run when the first has done what it does.
        let prepares = |statement: &Statement| statement.command.as_str() == "PREPARE";
        let alone = statements.len() == 1 && classification.complete;
        if alone && !statements.iter().any(prepares) {
            scene.transaction = state.transaction.filter(|_| at_once);
            scene.search_path = state.search_path.as_deref();
        }
        let mut decision: Option<Decision> = None;
        let mut judge = |unit: &Unit<'_>| {
            let one = self.decide(policy, unit, &scene);
            match &mut decision {
                Some(decision) => decision.and(one),
                None => decision = Some(one),
            }
        };
        for statement in statements {
            judge(&Unit::of(statement, classification.complete));
        }
        if statements.is_empty() {
            judge(&Unit::EMPTY);
        }
        if !classification.complete {
            judge(&Unit::UNREAD);
        }
        let mut decision = decision.unwrap_or_default();
        let changes = |statement| self.protected.changed_by(statement, text, &lexer);
        let unread = !classification.complete && self.protected.may_be_changed_in(text, &lexer);
        if !self.protected.is_empty() && (unread || statements.iter().any(changes)) {
            decision = decision.deny(Reason::Protected, policy.mode);
        }
        // Nothing prepared is left after a Query of it.
        let forgets = at_once
            && statements
                .iter()
                .all(|statement| statement.command.as_str() == "DISCARD ALL");
        let moves_path = state.path_in_use
            && !(forgets && classification.complete)
            && self.changes_path(classification, text, &lexer);
        let moves_role = state.role_in_use && changes_role(classification);
        if moves_path || moves_role {
            decision = decision.deny(Reason::PathInUse, policy.mode);
        }
        let vouched = decision
            .allowed_by
            .and_then(|number| policy.rule(number))
            .is_some_and(Rule::allows_long_texts);
        if truncated && !vouched {
            decision = decision.deny(Reason::TooLong, policy.mode);
        }
        decision
    }

    /// Whether a text may change `search_path`: RESET ALL and DISCARD ALL give back what it was when
    /// the session began.
    fn changes_path(
        &self,
        classification: &Classification,
        text: &[u8],
        lexer: &LexerOptions,
    ) -> bool {
        let Some(path) = &self.path else {
            return false;
        };
        let changes = |statement: &Statement| {
            path.changed_by(statement, text, lexer) || resets_all(statement)
        };
        classification.statements.iter().any(changes)
            || (!classification.complete && path.may_be_changed_in(text, lexer))
    }

    /// The first rule that applies decides.
    fn decide(&self, policy: &Policy, unit: &Unit<'_>, scene: &Scene<'_>) -> Decision {
        let mut decision = Decision::default();
        for &number in self.index.candidates(unit, scene.search_path).iter() {
            let Some(rule) = policy.rule(number) else {
                continue;
            };
            if !rule.applies(unit, scene) {
                continue;
            }
            match (rule.action, rule.mode) {
                (Action::Log, _) => decision.logged.push(number),
                (Action::Deny, Mode::DryRun) => decision.would_deny.push(Reason::Rule(number)),
                (Action::Allow, Mode::DryRun) => {}
                (Action::Deny, Mode::Enforce) => {
                    return decision.deny(Reason::Rule(number), policy.mode);
                }
                (Action::Allow, Mode::Enforce) => {
                    decision.allowed_by = Some(number);
                    return decision;
                }
            }
        }
        match policy.default {
            Verdict::Allow => decision,
            Verdict::Deny => decision.deny(Reason::Default, policy.mode),
        }
    }
}

impl Rule {
    /// Whether it says in so many words that texts may be too long to be read.
    fn allows_long_texts(&self) -> bool {
        self.what.incomplete == Some(true) || self.what.larger_than.is_some()
    }
}

/// Whether nothing but its tokens decides about a text: what could not be read, and code that it
/// holds, is searched for words wherever they stand.
fn is_known_by_tokens(classification: &Classification) -> bool {
    let mut statements = classification.statements.iter();
    classification.complete && !statements.any(holds_code)
}

/// Commands that run nothing of what users define, and so change no setting on the side. Any other
/// may: views, defaults, triggers, operators and casts can call `set_config`.
const RUNS_NOTHING: &[&str] = &[
    "BEGIN",
    "CLOSE CURSOR",
    "DEALLOCATE",
    "LISTEN",
    "NOTIFY",
    "RELEASE",
    "SAVEPOINT",
    "SHOW",
    "START TRANSACTION",
    "UNLISTEN",
];

/// Whether a text may change how later texts are read.
fn changes_reading(classification: &Classification) -> bool {
    let runs_nothing = |command: &str| RUNS_NOTHING.binary_search(&command).is_ok();
    let mut statements = classification.statements.iter();
    !classification.complete
        || statements.any(|statement| !runs_nothing(statement.command.as_str()))
}

/// Whether a statement resets all settings of the session.
fn resets_all(statement: &Statement) -> bool {
    let all = |change: &SettingChange| change.settings == Settings::All;
    statement.settings.iter().any(all)
}

/// Whether a text may change the role: by a setting, in a DO, or in what could not be read.
fn changes_role(classification: &Classification) -> bool {
    let is_role = |change: &SettingChange| match &change.settings {
        Settings::Named(name) => matches!(name.as_str(), "role" | "session_authorization"),
        Settings::All => false,
        Settings::Unknown => true,
    };
    !classification.complete
        || classification.statements.iter().any(|statement| {
            statement.command.as_str() == "DO" || statement.settings.iter().any(is_role)
        })
}

/// Whether a text leaves a statement or a cursor that has a name.
fn can_be_run_again(classification: &Classification) -> bool {
    let mut statements = classification.statements.iter();
    let named =
        |statement: &Statement| matches!(statement.command.as_str(), "PREPARE" | "DECLARE CURSOR");
    !classification.complete || statements.any(named)
}

/// Whether the server has to look for what a name means.
fn has_unqualified_names(classification: &Classification) -> bool {
    classification.statements.iter().any(|statement| {
        let relations = statement.relations.iter().map(|relation| &relation.name);
        let mut names = relations.chain(&statement.functions);
        names.any(|name| name.schema.is_none())
    })
}

/// The command of a text of the replication protocol, if it is one.
fn replication_command(client: &Client, text: &[u8]) -> Option<&'static str> {
    if !client.replication {
        return None;
    }
    // `{space}` of `src/backend/replication/repl_scanner.l`.
    let is_space = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
    let start = text.iter().position(|byte| !is_space(byte))?;
    let text = text.get(start..)?;
    let end = text
        .iter()
        .position(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'_'))
        .unwrap_or(text.len());
    let word = text.get(..end)?;
    let known = REPLICATION_COMMANDS
        .iter()
        .find(|known| known.as_bytes().eq_ignore_ascii_case(word));
    match known {
        Some(command) => Some(command),
        // A physical walsender runs nothing else.
        None if !client.logical => Some(rule::no_command()),
        None => None,
    }
}
