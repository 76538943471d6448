//! The settings a statement changes.

use super::record::MAX_NAMES;
use super::tables::{COMMA, SCONST};
use super::terminals::Token;
use super::types::{Access, ChangeKind, Relation, SettingChange, Settings};

/// Names of old that the server still takes (`map_old_guc_names`, `src/backend/utils/misc/guc.c`).
const OLD_NAMES: &[(&str, &str)] = &[
    ("sort_mem", "work_mem"),
    ("ssl_ecdh_curve", "ssl_groups"),
    ("vacuum_mem", "maintenance_work_mem"),
];

/// How a command changes the settings it names.
const KINDS: &[(&str, ChangeKind)] = &[
    ("ALTER DATABASE", ChangeKind::Stored),
    ("ALTER FUNCTION", ChangeKind::Routine),
    ("ALTER PROCEDURE", ChangeKind::Routine),
    ("ALTER ROLE", ChangeKind::Stored),
    ("ALTER ROUTINE", ChangeKind::Routine),
    ("ALTER SYSTEM", ChangeKind::Stored),
    ("BEGIN", ChangeKind::Transaction),
    ("CREATE FUNCTION", ChangeKind::Routine),
    ("CREATE PROCEDURE", ChangeKind::Routine),
    ("RESET", ChangeKind::Reset),
    ("SET TRANSACTION", ChangeKind::Transaction),
    ("START TRANSACTION", ChangeKind::Transaction),
];

/// The first argument of a `set_config` that was just opened.
#[derive(Debug, Default)]
enum Argument {
    /// No call was opened.
    #[default]
    None,
    /// The argument is to come.
    First,
    /// It began with this literal; a comma must follow if it is to be all of it.
    Literal(Option<String>),
}

/// What is known of a statement's changes while it is read.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    changes: Vec<SettingChange>,
    argument: Argument,
    /// SET LOCAL
    pub(crate) local: bool,
}

impl Changes {
    pub(crate) fn into_vec(mut self) -> Vec<SettingChange> {
        if self.is_waiting() {
            self.unknown();
        }
        self.changes
    }

    /// False when there are too many.
    fn push(&mut self, settings: Settings, kind: ChangeKind) -> bool {
        self.changes.push(SettingChange {
            settings,
            kind,
            boolean: None,
        });
        self.changes.len() <= MAX_NAMES
    }

    /// `command` changes a setting by name, as [`Settings::Named`] has it. False when there are too
    /// many.
    pub(crate) fn named(&mut self, name: Option<&str>, command: &str) -> bool {
        let kind = self.kind(command);
        let settings = name.map_or(Settings::Unknown, |name| Settings::Named(current(name)));
        self.push(settings, kind)
    }

    /// `command` resets all. False when there are too many.
    pub(crate) fn all(&mut self, command: &str) -> bool {
        let kind = match self.kind(command) {
            kind @ (ChangeKind::Stored | ChangeKind::Routine) => kind,
            _ => ChangeKind::Reset,
        };
        self.push(Settings::All, kind)
    }

    fn kind(&self, command: &str) -> ChangeKind {
        let kind = KINDS.iter().find(|(known, _)| *known == command);
        match kind {
            Some((_, kind)) => *kind,
            None if self.local => ChangeKind::Transaction,
            None => ChangeKind::Session,
        }
    }

    /// Whether one of them takes on another role, or may: now, or later where it is stored.
    pub(crate) fn may_take_role(&self) -> bool {
        self.is_waiting()
            || self.changes.iter().any(|change| match &change.settings {
                Settings::Named(name) => is_role(name) && change.kind != ChangeKind::Reset,
                Settings::Unknown => change.kind == ChangeKind::Query,
                Settings::All => false,
            })
    }

    /// It changes settings that cannot be told.
    pub(crate) fn unknown(&mut self) {
        self.push(Settings::Unknown, ChangeKind::Query);
    }

    /// The value of the last change.
    pub(crate) fn value(&mut self, boolean: Option<bool>) {
        if let Some(change) = self.changes.last_mut() {
            change.boolean = boolean;
        }
    }

    /// The last change is `TO DEFAULT`.
    pub(crate) fn defaulted(&mut self) {
        if let Some(change) = self.changes.last_mut()
            && change.kind != ChangeKind::Stored
            && change.kind != ChangeKind::Routine
        {
            change.kind = ChangeKind::Reset;
        }
    }

    /// `set_config` was called, and its parenthesis read. False when there are too many.
    pub(crate) fn called(&mut self) -> bool {
        let kept = !self.is_waiting() || self.push(Settings::Unknown, ChangeKind::Query);
        self.argument = Argument::First;
        kept
    }

    /// Whether the tokens that follow decide what a `set_config` sets.
    pub(crate) fn is_waiting(&self) -> bool {
        !matches!(self.argument, Argument::None)
    }

    /// The next token of the call. False when there are too many changes.
    pub(crate) fn argument(&mut self, token: Token, text: &[u8]) -> bool {
        let settings = match std::mem::take(&mut self.argument) {
            Argument::None => return true,
            Argument::First if token.terminal == SCONST && token.escape == 0 => {
                let typed = text.get(token.range()).unwrap_or_default();
                self.argument = Argument::Literal(plain_string(typed).map(setting_name));
                return true;
            }
            Argument::Literal(Some(name)) if token.terminal == COMMA => Settings::Named(name),
            Argument::First | Argument::Literal(_) => Settings::Unknown,
        };
        self.push(settings, ChangeKind::Query)
    }
}

/// Whether a setting is the role that the session acts as.
pub(crate) fn is_role(name: &str) -> bool {
    matches!(name, "role" | "session_authorization")
}

/// A setting's name as [`Settings::Named`] has it.
#[must_use]
pub fn setting_name(name: &str) -> String {
    current(&name.to_ascii_lowercase())
}

/// The name a setting has now, given one in lower case.
fn current(name: &str) -> String {
    let old = OLD_NAMES.iter().find(|(old, _)| *old == name);
    old.map_or(name, |(_, new)| new).to_owned()
}

/// What a string says that needs no decoding: ASCII, without a quote or backslash in it.
fn plain_string(typed: &[u8]) -> Option<&str> {
    let typed = std::str::from_utf8(typed).ok()?;
    let inner = typed
        .strip_prefix(['e', 'E'])
        .unwrap_or(typed)
        .strip_prefix('\'')?
        .strip_suffix('\'')?;
    let is_plain = inner.is_ascii() && !inner.contains(['\'', '\\']);
    is_plain.then_some(inner)
}

/// `parse_bool`: on, yes, true, 1 and their opposites, and what of them is not ambiguous.
pub(crate) fn boolean(typed: &[u8]) -> Option<bool> {
    let value = plain_string(typed).map_or(typed, str::as_bytes);
    let begins = |word: &str| {
        let beginning = word.as_bytes().get(..value.len());
        beginning.is_some_and(|beginning| beginning.eq_ignore_ascii_case(value))
    };
    let is_ambiguous = value.is_empty() || value.eq_ignore_ascii_case(b"o");
    match value {
        _ if is_ambiguous => None,
        _ if begins("true") || begins("yes") || begins("on") || value == b"1" => Some(true),
        _ if begins("false") || begins("no") || begins("off") || value == b"0" => Some(false),
        _ => None,
    }
}

/// Whether it is `pg_settings`, whose rule turns an UPDATE into `set_config`.
pub(crate) fn is_written_settings(relation: &Relation) -> bool {
    let schema = relation.name.schema.as_deref();
    relation.access.has(Access::WRITE)
        && relation.name.name == "pg_settings"
        && schema.is_none_or(|schema| schema == "pg_catalog")
}
