//! One message of the server, as the table has it: literal text and values in between.
//!
//! `{name:kind}` is a value; an exclamation mark before the closing brace says that it is data of the
//! user's. Kinds: `int`, `float`, `word` (no blank in it), `text` (the default: up to the literal that
//! follows), `rest` (all that follows), `sql` (text or rest that is SQL), `expression` (columns of an index
//! or partition key, which may be SQL), `prose` (what a library said, which quotes what it was given),
//! `path` (a file, which a statement may have named), `user` and `host` (text that names a person's account
//! or machine), `lines` (a report of several lines with its own patterns).

use super::NAMES;
use crate::field::Field;
use crate::report::SESSION_FIELDS;

/// What a value looks like. In the order in which they are tried.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// Digits, maybe behind a sign.
    Integer,
    /// The same, maybe with a fraction.
    Decimal,
    /// Anything without blanks, commas, semicolons, quotes, closing parentheses and the byte that
    /// follows it in the pattern.
    Word,
    /// Anything up to the literal that follows.
    Text,
    /// Anything that follows.
    Rest,
}

/// How a value is treated when it leaves a module.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sensitivity {
    /// The server's own, or a name of the schema: kept.
    None,
    /// Data: replaced by `?`.
    Data,
    /// SQL: redacted by `pg-sql`.
    Sql,
    /// Names, or SQL in the place of one: redacted by `pg-sql`.
    Expression,
    /// A library's words: kept but for what stands in quotes.
    Prose,
    /// A file: kept if it is the server's own.
    Path,
    /// Name of a role: kept unless asked.
    User,
    /// Name or address of a machine: kept unless asked.
    Host,
    /// A report: its lines have patterns of their own.
    Lines,
}

impl Sensitivity {
    /// Whether a part of the value goes, so that all of it has to be looked at.
    pub(crate) const fn is_rewritten(self) -> bool {
        matches!(
            self,
            Self::Sql | Self::Expression | Self::Prose | Self::Path
        )
    }
}

/// A value in a pattern, as the tree needs it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Hole {
    pub(super) kind: Kind,
    /// The literal that follows a text or word.
    pub(super) stop: &'static [u8],
    /// It may have several lines: it is data or SQL.
    pub(super) lines: bool,
}

/// A piece of a pattern.
#[derive(Clone, Copy, Debug)]
pub(super) enum Piece {
    Literal(&'static [u8]),
    Hole(Hole),
}

/// A value in a pattern.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Value {
    /// Its name in the table.
    pub name: &'static str,
    /// The name it leaves a module under.
    pub full_name: &'static str,
    /// What it looks like.
    pub kind: Kind,
    /// How it is treated.
    pub sensitivity: Sensitivity,
    /// The field of a session that has the same name: what the prefix says of it goes first.
    pub(crate) field: Option<Field>,
    /// Whether the statement of the client is in it.
    pub(crate) holder: Option<Holder>,
}

/// What the statement of the client is in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Holder {
    /// Nothing else.
    Text,
    /// A plan, which begins with it.
    Plan,
    /// A line of pgaudit's, of which it is a column.
    Audit,
}

/// A pattern taken apart.
#[derive(Clone, Debug, Default)]
pub(super) struct Pattern {
    pub(super) pieces: Vec<Piece>,
    pub(super) values: Vec<Value>,
}

impl Pattern {
    /// Takes a pattern apart. What is not closed stands for itself.
    pub(super) fn parse(source: &'static str) -> Self {
        let mut pattern = Self::default();
        let mut rest = source;
        while let Some((literal, value, behind)) = next_value(rest) {
            if !literal.is_empty() {
                pattern.pieces.push(Piece::Literal(literal.as_bytes()));
            }
            let value = Value::parse(value);
            let stop = behind.split_once('{').map_or(behind, |(stop, _)| stop);
            let kind = match value.kind {
                Kind::Text if stop.is_empty() => Kind::Rest,
                kind => kind,
            };
            let stop: &[u8] = match kind {
                Kind::Text | Kind::Word => stop.as_bytes(),
                _ => b"",
            };
            let lines = matches!(
                value.sensitivity,
                Sensitivity::Data | Sensitivity::Sql | Sensitivity::Expression
            );
            pattern.pieces.push(Piece::Hole(Hole { kind, stop, lines }));
            pattern.values.push(Value { kind, ..value });
            rest = behind;
        }
        if !rest.is_empty() {
            pattern.pieces.push(Piece::Literal(rest.as_bytes()));
        }
        pattern
    }
}

/// The text before the first value, its inside, and the text behind it.
fn next_value(source: &'static str) -> Option<(&'static str, &'static str, &'static str)> {
    let (literal, rest) = source.split_once('{')?;
    let (value, behind) = rest.split_once('}')?;
    Some((literal, value, behind))
}

impl Value {
    fn parse(source: &'static str) -> Self {
        let (source, data) = match source.strip_suffix('!') {
            Some(source) => (source, true),
            None => (source, false),
        };
        let (name, kind) = source.split_once(':').unwrap_or((source, "text"));
        let (kind, sensitivity) = match kind {
            "int" => (Kind::Integer, Sensitivity::None),
            "float" => (Kind::Decimal, Sensitivity::None),
            "word" => (Kind::Word, Sensitivity::None),
            "rest" => (Kind::Rest, Sensitivity::None),
            "sql" => (Kind::Text, Sensitivity::Sql),
            "expression" => (Kind::Text, Sensitivity::Expression),
            "prose" => (Kind::Text, Sensitivity::Prose),
            "path" => (Kind::Text, Sensitivity::Path),
            "user" => (Kind::Text, Sensitivity::User),
            "host" => (Kind::Text, Sensitivity::Host),
            "lines" => (Kind::Rest, Sensitivity::Lines),
            _ => (Kind::Text, Sensitivity::None),
        };
        let bare = |full: &&'static str| full.strip_prefix("postgresql.").unwrap_or(full);
        let full_name = NAMES
            .binary_search_by_key(&name, bare)
            .ok()
            .and_then(|place| NAMES.get(place));
        Self {
            name,
            full_name: full_name.map_or(name, |full| full),
            kind,
            field: SESSION_FIELDS
                .into_iter()
                .find(|field| field.name() == name),
            holder: match name {
                "db.query.text" => Some(Holder::Text),
                "plan" => Some(Holder::Plan),
                "pgaudit.statement" => Some(Holder::Audit),
                _ => None,
            },
            sensitivity: if data { Sensitivity::Data } else { sensitivity },
        }
    }
}
