//! Settings that a policy imposes: the server enforces them, and the client must not change them.
//!
//! What a statement changes is told by pg-sql. In what it could not read, and in the body of a DO,
//! any word that such a change takes counts as one. What hides in functions cannot be seen.

use pg_sql::classify::{ChangeKind, SettingChange, Settings, Statement, setting_name};
use pg_sql::{Lexer, LexerOptions, Token};

/// Start-up parameters that are no settings, or that say who the client is.
const NOT_SETTINGS: &[&str] = &["database", "options", "replication", "user"];

/// Settings that say the same as others, or undo what they say.
const ALIASES: &[(&str, &[&str])] = &[
    (
        "default_transaction_deferrable",
        &["transaction_deferrable"],
    ),
    ("default_transaction_isolation", &["transaction_isolation"]),
    ("default_transaction_read_only", &["transaction_read_only"]),
    ("role", &["session_authorization"]),
    ("session_authorization", &["role"]),
];

/// Words that change a setting without its name.
const CLAUSES: &[(&str, &str)] = &[
    ("client_encoding", "names"),
    ("default_transaction_deferrable", "deferrable"),
    ("default_transaction_isolation", "isolation"),
    ("default_transaction_read_only", "write"),
    ("search_path", "schema"),
    ("session_authorization", "authorization"),
    ("timezone", "zone"),
    ("xmloption", "xml"),
];

/// What it takes to change a setting without writing its name: to put it together, or to write it in
/// escapes.
const MEANS: &[&str] = &["set_config", "execute", "pg_settings", "u&", "\\"];

/// Functions of the server, and of its contrib modules, that run a text as SQL in the session.
const RUNS_SQL: &[&str] = &[
    "connectby",
    "crosstab",
    "crosstab2",
    "crosstab3",
    "crosstab4",
    "query_to_xml",
    "query_to_xml_and_xmlschema",
    "query_to_xmlschema",
    "ts_rewrite",
    "ts_stat",
    "xpath_table",
];

/// Functions of large objects by number (`src/include/catalog/pg_proc.dat`), for which clients use
/// FunctionCall; any other may be `set_config`, or call it.
const LARGE_OBJECTS: &[u32] = &[
    715, 764, 765, 767, 952, 953, 954, 955, 956, 957, 958, 964, 1004, 3170, 3171, 3172, 3457, 3458,
    3459, 3460,
];

/// Definitions that hold code, or give it another name.
const HOLD_CODE: &[&str] = &[
    "ALTER AGGREGATE",
    "ALTER FUNCTION",
    "ALTER PROCEDURE",
    "ALTER ROUTINE",
    "CREATE AGGREGATE",
    "CREATE CAST",
    "CREATE FUNCTION",
    "CREATE OPERATOR",
    "CREATE PROCEDURE",
    "CREATE TYPE",
    "DO",
];

/// Languages in whose code a setting is changed by writing its name, or one of [`MEANS`].
const PLAIN_LANGUAGES: &[&[u8]] = &[b"plpgsql", b"sql"];

/// # Errors
/// Why it cannot be imposed.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    let plausible = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
    if name.is_empty() || !name.bytes().all(plausible) {
        return Err("expected the name of a setting".to_owned());
    }
    if NOT_SETTINGS.contains(&name.to_ascii_lowercase().as_str()) {
        return Err("this is who the client is, not a setting".to_owned());
    }
    Ok(())
}

/// What may stand in a template of `application_name`.
pub(super) const PLACEHOLDERS: &[&str] =
    &["application", "principal", "user", "database", "source"];

/// # Errors
/// What is wrong with it.
pub(super) fn check_template(template: &str) -> Result<(), String> {
    for part in template.split('{').skip(1) {
        let name = part.split_once('}').map(|(name, _)| name);
        match name {
            Some(name) if PLACEHOLDERS.contains(&name) => {}
            Some(name) => return Err(format!("there is no `{{{name}}}`")),
            None => return Err("a `{` is not closed".to_owned()),
        }
    }
    Ok(())
}

/// A setting that a client must not change, as [`setting_name`] has it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Imposed {
    name: String,
    /// What it is set to, if that is `on` or `off`: setting it to the same changes nothing.
    boolean: Option<bool>,
}

/// Settings that a client must not change.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Protected {
    settings: Vec<Imposed>,
    /// Words one of which stands in any SQL that changes one of them.
    words: Vec<String>,
}

impl Protected {
    /// These, each with its value, and what says the same.
    pub(super) fn new<'a>(imposed: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut protected = Self::default();
        for (name, value) in imposed {
            let name = setting_name(name);
            let boolean = match value {
                "on" => Some(true),
                "off" => Some(false),
                _ => None,
            };
            let aliases = ALIASES.iter().filter(|(known, _)| *known == name);
            for alias in aliases.flat_map(|(_, aliases)| *aliases) {
                protected.add((*alias).to_owned(), boolean);
            }
            protected.add(name, boolean);
        }
        if !protected.settings.is_empty() {
            let means = MEANS.iter().map(|word| (*word).to_owned());
            protected.words.extend(means);
        }
        protected
    }

    fn add(&mut self, name: String, boolean: Option<bool>) {
        let clauses = CLAUSES.iter().filter(|(known, _)| *known == name);
        self.words
            .extend(clauses.map(|(_, word)| (*word).to_owned()));
        // Blanks may stand around the dots of a name.
        let last = name.rsplit('.').next().unwrap_or_default();
        self.words.push(last.to_owned());
        self.settings.push(Imposed { name, boolean });
    }

    /// Whether nothing is protected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.settings.is_empty()
    }

    /// Whether a setting is, by any of its names.
    #[must_use]
    pub fn holds(&self, name: &[u8]) -> bool {
        let name = setting_name(&String::from_utf8_lossy(name));
        self.settings.iter().any(|imposed| imposed.name == name)
    }

    /// Whether a statement may change one.
    #[must_use]
    pub fn changed_by(&self, statement: &Statement, text: &[u8], lexer: &LexerOptions) -> bool {
        if self.is_empty() {
            return false;
        }
        let text = text.get(statement.range.clone()).unwrap_or(text);
        let unread = !statement.complete || holds_code(statement);
        statement.settings.iter().any(|change| self.is_in(change))
            || (unread && self.may_be_changed_in(text, lexer))
            || makes_a_view_of_settings(statement)
            || statement
                .functions
                .iter()
                .chain(&statement.attributes)
                .any(|function| RUNS_SQL.binary_search(&function.name.as_str()).is_ok())
    }

    /// Whether a call of the function of this number may change one.
    #[must_use]
    pub fn may_be_changed_by(&self, oid: u32) -> bool {
        !self.is_empty() && LARGE_OBJECTS.binary_search(&oid).is_err()
    }

    fn is_in(&self, change: &SettingChange) -> bool {
        let name = match &change.settings {
            Settings::Named(name) => name,
            Settings::Unknown => return true,
            // The server gives back what the session began with: what was imposed.
            Settings::All => return change.kind == ChangeKind::Stored,
        };
        let found = self.settings.iter().find(|imposed| imposed.name == *name);
        let same =
            |imposed: &Imposed| imposed.boolean.is_some() && imposed.boolean == change.boolean;
        found.is_some_and(|imposed| !same(imposed))
    }

    /// Whether SQL that was not understood, or is in a literal, may change one.
    #[must_use]
    pub fn may_be_changed_in(&self, text: &[u8], lexer: &LexerOptions) -> bool {
        let words = &self.words;
        words
            .iter()
            .any(|word| contains_ignoring_case(text, word.as_bytes()))
            || is_in_another_language(text, lexer)
    }
}

/// Whether a statement holds code that is not read, or gives it another name.
pub(super) fn holds_code(statement: &Statement) -> bool {
    HOLD_CODE.binary_search(&statement.command.as_str()).is_ok()
}

/// Whether it is a definition over `pg_settings`, an UPDATE of which is a `set_config`.
fn makes_a_view_of_settings(statement: &Statement) -> bool {
    let mut relations = statement.relations.iter();
    statement.command.as_str().starts_with("CREATE ")
        && relations.any(|relation| relation.name.name == "pg_settings")
}

/// Whether code is in a language in which SQL can be put together in any way.
fn is_in_another_language(text: &[u8], lexer: &LexerOptions) -> bool {
    let mut tokens = Lexer::new(text, *lexer).filter(|token| !token.kind.is_blank());
    let is = |token: Token, word: &[u8]| token.of(text).eq_ignore_ascii_case(word);
    let quoted = |token: &Token| {
        let name = token.of(text);
        let inner = name
            .strip_prefix(b"'")
            .and_then(|name| name.strip_suffix(b"'"));
        inner.unwrap_or(name)
    };
    let plain = |token: &Token| {
        let name = quoted(token);
        PLAIN_LANGUAGES
            .iter()
            .any(|plain| plain.eq_ignore_ascii_case(name))
    };
    tokens.any(|token| is(token, b"language")) && !tokens.next().is_some_and(|token| plain(&token))
}

fn contains_ignoring_case(text: &[u8], word: &[u8]) -> bool {
    let Some(first) = word.first() else {
        return false;
    };
    let starts = text
        .iter()
        .enumerate()
        .filter(|(_, byte)| byte.eq_ignore_ascii_case(first));
    let word_at = |start: usize| {
        text.get(start..start.saturating_add(word.len()))
            .is_some_and(|found| found.eq_ignore_ascii_case(word))
    };
    starts.map(|(start, _)| start).any(word_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_protected_by_its_old_name_and_by_what_undoes_it() {
        let imposed = [("Sort_Mem", "4MB"), ("role", "reader")];
        let protected = Protected::new(imposed.into_iter());
        for name in ["work_mem", "SORT_MEM", "role", "session_authorization"] {
            assert!(protected.holds(name.as_bytes()), "{name}");
        }
        assert!(!protected.holds(b"statement_timeout"));
    }
}
