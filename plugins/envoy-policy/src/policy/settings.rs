//! Settings that a policy imposes: the server enforces them, and the client must not change them.
//!
//! Whether a statement changes one is judged by its tokens: a statement that can change settings and
//! names a protected one anywhere, in whatever quotes, is taken to change it. What hides in functions
//! cannot be seen.

use pg_sql::classify::{Effects, Statement};
use pg_sql::{Lexer, LexerOptions, TokenKind};

/// Start-up parameters that are no settings, or that say who the client is.
const NOT_SETTINGS: &[&str] = &["database", "options", "replication", "user"];

/// Settings that say the same as others.
const ALIASES: &[(&str, &[&str])] = &[
    ("default_transaction_read_only", &["transaction_read_only"]),
    ("default_transaction_isolation", &["transaction_isolation"]),
    (
        "default_transaction_deferrable",
        &["transaction_deferrable"],
    ),
    ("search_path", &["schema"]),
    ("timezone", &["time"]),
    ("client_encoding", &["names"]),
    ("role", &["session_authorization", "authorization"]),
    ("session_authorization", &["role", "authorization"]),
];

/// Words that change what `default_transaction_*` says, for one transaction.
const MODES: &[(&str, &str)] = &[
    ("default_transaction_read_only", "write"),
    ("default_transaction_isolation", "isolation"),
    ("default_transaction_deferrable", "deferrable"),
];

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

/// Names of settings that a client must not change, in lower case.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Protected {
    names: Vec<String>,
    modes: Vec<&'static str>,
}

impl Protected {
    /// These, and what says the same.
    pub(super) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut protected = Self::default();
        for name in names {
            protected.names.push(name.to_owned());
            let aliases = ALIASES.iter().filter(|(known, _)| *known == name);
            for alias in aliases.flat_map(|(_, aliases)| *aliases) {
                protected.names.push((*alias).to_owned());
            }
            let modes = MODES.iter().filter(|(known, _)| *known == name);
            protected.modes.extend(modes.map(|(_, word)| *word));
        }
        protected
    }

    /// Whether nothing is protected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Whether a setting is.
    #[must_use]
    pub fn holds(&self, name: &[u8]) -> bool {
        self.names
            .iter()
            .any(|known| known.as_bytes().eq_ignore_ascii_case(name))
    }

    /// Whether a statement may change one.
    #[must_use]
    pub fn changed_by(&self, statement: &Statement, text: &[u8], lexer: &LexerOptions) -> bool {
        if self.is_empty() {
            return false;
        }
        let command = statement.command.as_str();
        let sets = statement
            .functions
            .iter()
            .chain(&statement.attributes)
            .any(|function| function.name == "set_config");
        let text = text.get(statement.range.clone()).unwrap_or(text);
        match command {
            _ if !statement.complete => self.is_named_in(text),
            "DISCARD ALL" | "RESET" => Words::of(text, lexer)
                .any(|word| word.is("all") || word.is_escaped() || self.holds(word.bare())),
            "DO" => self.is_named_in(text),
            "BEGIN" | "START TRANSACTION" | "SET TRANSACTION" => self.changes_mode(text, lexer),
            "SET" | "ALTER ROLE" | "ALTER DATABASE" | "ALTER SYSTEM" | "SET ROLE" => {
                self.changes_mode(text, lexer) || self.is_a_word_of(text, lexer)
            }
            _ if sets => !self.sets_other_settings_only(text, lexer),
            _ if statement.effects.has(Effects::CHANGES_SETTINGS) => self.is_a_word_of(text, lexer),
            _ => false,
        }
    }

    /// Whether the text holds a protected name, or the means to put one together.
    #[must_use]
    pub fn is_named_in(&self, text: &[u8]) -> bool {
        let means = ["set_config", "execute", "reset", "discard"];
        let names = self.names.iter().map(String::as_str);
        names
            .chain(means)
            .any(|name| contains_ignoring_case(text, name.as_bytes()))
    }

    fn changes_mode(&self, text: &[u8], lexer: &LexerOptions) -> bool {
        Words::of(text, lexer).any(|word| self.modes.iter().any(|mode| word.is(mode)))
    }

    fn is_a_word_of(&self, text: &[u8], lexer: &LexerOptions) -> bool {
        let dotted = self.names.iter().any(|name| name.contains('.'));
        Words::of(text, lexer).any(|word| {
            let all = word.is("all");
            let named = self.holds(word.bare())
                || (dotted && self.names.iter().any(|name| is_part(name, word.bare())));
            word.is_escaped() || all || named
        })
    }

    /// Every call of set_config names a setting, as a plain string, that is not protected.
    fn sets_other_settings_only(&self, text: &[u8], lexer: &LexerOptions) -> bool {
        let mut tokens = Lexer::new(text, *lexer).filter(|token| !token.kind.is_blank());
        while let Some(token) = tokens.next() {
            let name = trim_quotes(token.of(text));
            if !name.eq_ignore_ascii_case(b"set_config") {
                continue;
            }
            if tokens.next().is_none_or(|token| token.of(text) != b"(") {
                return false;
            }
            let Some(setting) = tokens.next() else {
                return false;
            };
            let plain = setting.kind == TokenKind::String && setting.of(text).starts_with(b"'");
            let value = trim_quotes(setting.of(text));
            if !plain || value.contains(&b'\\') || value.contains(&b'\'') || self.holds(value) {
                return false;
            }
            // A string goes on in the next line, and an operator or a cast can make it another.
            if tokens.next().is_none_or(|token| token.of(text) != b",") {
                return false;
            }
        }
        true
    }
}

/// Whether a word is one of the dotted parts of a name.
fn is_part(name: &str, word: &[u8]) -> bool {
    name.split('.')
        .next_back()
        .is_some_and(|part| part.as_bytes().eq_ignore_ascii_case(word))
}

fn contains_ignoring_case(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len().max(1))
        .any(|window| window.eq_ignore_ascii_case(word))
}

fn trim_quotes(text: &[u8]) -> &[u8] {
    let quote = |byte: &u8| matches!(byte, b'"' | b'\'');
    let text = text.strip_prefix(b"\"").unwrap_or(text);
    let start = text.iter().position(|byte| !quote(byte));
    let end = text.iter().rposition(|byte| !quote(byte));
    match (start, end) {
        (Some(start), Some(end)) => text.get(start..=end).unwrap_or_default(),
        _ => &[],
    }
}

/// The words and identifiers of a text.
struct Words<'t> {
    text: &'t [u8],
    lexer: Lexer<'t>,
}

struct Word<'t> {
    kind: TokenKind,
    text: &'t [u8],
}

impl<'t> Words<'t> {
    fn of(text: &'t [u8], lexer: &LexerOptions) -> Self {
        Self {
            text,
            lexer: Lexer::new(text, *lexer),
        }
    }
}

impl<'t> Iterator for Words<'t> {
    type Item = Word<'t>;

    fn next(&mut self) -> Option<Word<'t>> {
        let name = |kind| {
            matches!(
                kind,
                TokenKind::Word | TokenKind::QuotedIdentifier | TokenKind::UnicodeIdentifier
            )
        };
        let token = self.lexer.by_ref().find(|token| name(token.kind))?;
        Some(Word {
            kind: token.kind,
            text: token.of(self.text),
        })
    }
}

impl<'t> Word<'t> {
    /// Whether it is this key word.
    fn is(&self, word: &str) -> bool {
        self.kind == TokenKind::Word && self.text.eq_ignore_ascii_case(word.as_bytes())
    }

    /// Without its quotes.
    fn bare(&self) -> &'t [u8] {
        trim_quotes(self.text)
    }

    /// Written so that what it says is not what it looks like.
    fn is_escaped(&self) -> bool {
        self.kind == TokenKind::UnicodeIdentifier || self.bare().contains(&b'"')
    }
}
