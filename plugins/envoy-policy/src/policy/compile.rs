//! From the document to rules: every glob, network and code read once, and what cannot be meant
//! refused with its path.

use std::collections::HashSet;

use pg_sql::classify::{AuditClass, Effects};
use pg_wire::body::query::TransactionStatus;

use super::glob::{Cidr, Glob, NameGlob};
use super::rule::{Rule, What, Who};
use super::settings;
use super::unit::{Classes, transaction_bit};
use crate::config::{Action, Class, Effect, RouteDocument, RuleDocument, Transaction};

/// Rules that a token can number.
const MAX_RULES: usize = 60_000;
/// Bytes of a rule's name.
const MAX_NAME: usize = 63;

/// Compiles the rules of a document.
///
/// # Errors
/// One line that names the path of what is wrong, and why.
pub(super) fn rules(documents: &[RuleDocument]) -> Result<Vec<Rule>, String> {
    if documents.len() > MAX_RULES {
        return Err(format!("rules: expected at most {MAX_RULES}"));
    }
    let mut names = HashSet::new();
    let mut rules: Vec<Rule> = Vec::with_capacity(documents.len());
    for (index, document) in documents.iter().enumerate() {
        let rule = rule(document).map_err(|reason| format!("rules[{index}].{reason}"))?;
        if !names.insert(document.name.as_str()) {
            return Err(format!(
                "rules[{index}].name: there is a rule `{}` already",
                document.name
            ));
        }
        let shadow = |earlier: &&Rule| {
            earlier.mode == crate::config::Mode::Enforce
                && earlier.action != Action::Log
                && earlier.who.covers(&rule.who)
                && (earlier.is_about_connections()
                    || (earlier.action == rule.action && earlier.what == rule.what))
        };
        if let Some(earlier) = rules.iter().find(shadow) {
            return Err(format!(
                "rules[{index}]: `{}` is never come to: `{}` decides about all it matches",
                rule.name, earlier.name
            ));
        }
        rules.push(rule);
    }
    Ok(rules)
}

/// What a user may want to know of rules that are in order.
pub(super) fn warnings(rules: &[Rule]) -> Vec<String> {
    let grants = rules.iter().filter(|rule| rule.action == Action::Allow);
    let warning = |rule: &Rule| {
        let reason = if rule.what.incomplete == Some(true) {
            "texts that could not be read for certain: they may do anything"
        } else if rule.what.is_only(|what| what.fingerprints.clear()) {
            "by fingerprint alone, which can be forged: add conditions on what the statement does"
        } else if rule.what.is_only(|what| what.functions.clear()) {
            "whatever calls no other function: add conditions on what the statement does"
        } else {
            return None;
        };
        Some(format!("rule `{}` allows {reason}", rule.name))
    };
    grants.filter_map(warning).collect()
}

/// Reads the entries of a list, and names the one that is wrong.
fn each<T>(
    field: &str,
    entries: &[String],
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    entries
        .iter()
        .enumerate()
        .map(|(index, entry)| read(entry).map_err(|reason| format!("{field}[{index}]: {reason}")))
        .collect()
}

fn rule(document: &RuleDocument) -> Result<Rule, String> {
    let name = &document.name;
    if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(format!("name: expected 1 to {MAX_NAME} printable bytes"));
    }
    let who = who(document)?;
    let what = what(document)?;
    let sqlstate = document.sqlstate.as_deref().map(sqlstate).transpose()?;
    for name in document.set.keys() {
        settings::check_name(name).map_err(|reason| format!("set.{name}: {reason}"))?;
    }
    if let Some(template) = &document.application_name {
        settings::check_template(template)
            .map_err(|reason| format!("application_name: {reason}"))?;
    }
    let imposes = !document.set.is_empty() || document.application_name.is_some();
    if imposes && document.action == Action::Deny && what == What::default() {
        return Err("set: the rule lets nobody in whose session could have settings".to_owned());
    }
    let mut rule = Rule {
        name: name.clone(),
        action: document.action,
        mode: document.mode,
        who,
        what,
        given: Vec::new(),
        message: document.message.clone(),
        hint: document.hint.clone().unwrap_or_default(),
        sqlstate,
        set: document
            .set
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
            .collect(),
        application_name: document.application_name.clone(),
    };
    rule.given = rule.given();
    Ok(rule)
}

fn who(document: &RuleDocument) -> Result<Who, String> {
    Ok(Who {
        principal: each("principal", &document.principal, |glob| {
            let plausible = glob.contains(':') || glob.starts_with(['*', '?']);
            match plausible {
                true => Glob::new(glob),
                false => Err("expected a URI such as `spiffe://domain/ns/*`".to_owned()),
            }
        })?,
        source: each("source", &document.source, Cidr::new)?,
        user: each("user", &document.user, short)?,
        database: each("database", &document.database, short)?,
        application: each("application", &document.application, short)?,
        replication: document.replication,
    })
}

impl Who {
    /// The conditions of a route.
    pub(crate) fn of_route(document: &RouteDocument) -> Result<Self, String> {
        Ok(Self {
            user: each("user", &document.user, short)?,
            database: each("database", &document.database, short)?,
            application: each("application", &document.application, short)?,
            replication: document.replication,
            ..Self::default()
        })
    }
}

/// A glob of a name that the server cuts to 63 bytes.
fn short(pattern: &str) -> Result<Glob, String> {
    let glob = Glob::new(pattern)?;
    if glob.literal().is_some_and(|name| name.len() > MAX_NAME) {
        return Err(format!("no name is longer than {MAX_NAME} bytes"));
    }
    Ok(glob)
}

fn relation(pattern: &str) -> Result<NameGlob, String> {
    let glob = NameGlob::new(pattern)?;
    let parts = glob.schema.iter().chain([&glob.name]);
    for part in parts {
        if part.literal().is_some_and(|name| name.len() > MAX_NAME) {
            return Err(format!("no name is longer than {MAX_NAME} bytes"));
        }
    }
    if pattern.contains('"') {
        return Err("names are written as the server keeps them, without quotes".to_owned());
    }
    Ok(glob)
}

fn command(pattern: &str) -> Result<Glob, String> {
    if pattern.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return Err("command tags are in capitals: `DROP TABLE`".to_owned());
    }
    let glob = Glob::new(pattern)?;
    let known = pg_sql::classify::commands().any(|command| glob.matches(command))
        || super::REPLICATION_COMMANDS
            .iter()
            .any(|known| glob.matches(known));
    match known {
        true => Ok(glob),
        false => Err(format!("no command is named `{pattern}`")),
    }
}

fn hex(text: &str) -> Result<u64, String> {
    let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    digits
        .then(|| u64::from_str_radix(text, 16).ok())
        .flatten()
        .ok_or_else(|| "expected 16 hex digits".to_owned())
}

fn sqlstate(code: &str) -> Result<[u8; 5], String> {
    let bytes = <[u8; 5]>::try_from(code.as_bytes()).ok();
    let good = |code: &[u8; 5]| {
        code.iter()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
            && !code.starts_with(b"00")
    };
    bytes
        .filter(good)
        .ok_or_else(|| format!("sqlstate: expected five of A-Z and 0-9, found `{code}`"))
}

fn what(document: &RuleDocument) -> Result<What, String> {
    let mut what = What {
        command: each("command", &document.command, command)?,
        reads: each("reads", &document.reads, relation)?,
        writes: each("writes", &document.writes, relation)?,
        tables: each("tables", &document.tables, relation)?,
        functions: each("functions", &document.functions, relation)?,
        fingerprints: each("fingerprint", &document.fingerprint, hex)?,
        unfiltered: document.r#where.is_some(),
        multiple_statements: document.multiple_statements,
        copy: document.copy,
        function_call: document.function_call,
        incomplete: document.incomplete,
        larger_than: document.larger_than,
        ..What::default()
    };
    what.classes = Classes::default();
    for class in document.class.iter() {
        what.classes.add(audit_class(*class));
    }
    for effect in document.effect.iter() {
        what.effects = what.effects.and(effects(*effect));
    }
    for state in document.transaction.iter() {
        what.transactions |= transaction_bit(match state {
            Transaction::Idle => TransactionStatus::Idle,
            Transaction::Open => TransactionStatus::Block,
            Transaction::Failed => TransactionStatus::FailedBlock,
        });
    }
    Ok(what)
}

const fn audit_class(class: Class) -> AuditClass {
    match class {
        Class::Read => AuditClass::Read,
        Class::Write => AuditClass::Write,
        Class::Function => AuditClass::Function,
        Class::Role => AuditClass::Role,
        Class::Ddl => AuditClass::Ddl,
        Class::Misc => AuditClass::Misc,
        Class::MiscSet => AuditClass::MiscSet,
    }
}

const fn effects(effect: Effect) -> Effects {
    match effect {
        Effect::ReadsRows => Effects::READS_ROWS,
        Effect::WritesRows => Effects::WRITES_ROWS,
        Effect::ChangesSchema => Effects::CHANGES_SCHEMA,
        Effect::ChangesRoles => Effects::CHANGES_ROLES,
        Effect::ChangesSettings => Effects::CHANGES_SETTINGS,
        Effect::Locks => Effects::LOCKS,
        Effect::RunsUnseenCode => Effects::RUNS_UNSEEN_CODE,
        Effect::TouchesServerFiles => Effects::TOUCHES_SERVER_FILES,
        Effect::ControlsTransaction => Effects::CONTROLS_TRANSACTION,
    }
}
