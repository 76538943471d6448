//! What labels of points hold: by their names, as attributes of spans have them, and where these say
//! nothing by their values.

use otlp_wire::Any;

use super::queries::FINGERPRINT;
use crate::lists::is_any;
use crate::places::Places;
use crate::statement::{is_like_a_statement, is_name};
use crate::suspects::{holds_password, holds_sql, is_address};
use crate::traces::names;

/// Labels that hold query texts.
const TEXTS: [&str; 5] = [
    "query",
    "query_text",
    "statement",
    "db.query.text",
    "db.statement",
];

/// Labels that tell statements apart by number.
const IDS: [&str; 3] = ["queryid", "query_id", "postgresql.queryid"];

/// Labels by which exporters tell series apart, CloudNativePG the ready and the archived files, others
/// what `pg_stat_io` and `pg_replication_slots` do: their names have the words of those that hold data.
const DIMENSIONS: [&str; 7] = [
    "context",
    "invalidation_reason",
    "parameter",
    "plan",
    "reason",
    "value",
    "variable",
];

/// What a label is to a point.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    /// Its query text.
    Text,
    /// A text about statements, which loses its values.
    Words,
    /// Nothing but data: `?` stands for it, since points may differ in nothing else.
    Data,
    Id,
    Fingerprint,
    Plain,
}

/// What the name of a label says.
#[derive(Clone, Copy, Debug)]
enum Named {
    As(Role),
    /// Data, unless it is one word.
    Dimension,
    /// Words, of which statements are texts.
    Words,
    Nothing,
}

/// Tells roles.
#[derive(Debug)]
pub(crate) struct Roles {
    configured: Vec<String>,
    /// What names say that have come.
    known: Places<Named>,
}

impl Roles {
    pub(crate) const fn new(configured: Vec<String>) -> Self {
        Self {
            configured,
            known: Places::new(),
        }
    }

    /// What a label with this name and value is.
    #[inline(never)]
    pub(crate) fn of(&mut self, key: &[u8], value: Any<'_>) -> Role {
        let named = match self.known.get(key) {
            Some(named) => *named,
            None => {
                let named = self.named(key);
                self.known.set(key, named);
                named
            }
        };
        of_value(named, value)
    }

    #[inline(never)]
    fn named(&self, key: &[u8]) -> Named {
        use names::Role::{
            BindValue, Companion, Credentials, ExceptionMessage, Plan, Query, Quoted, Stacktrace,
            Words,
        };
        let is = |known: &str| known.as_bytes() == key;
        if is_any(key, &TEXTS) || self.configured.iter().any(|key| is(key)) {
            return Named::As(Role::Text);
        } else if is_any(key, &IDS) {
            return Named::As(Role::Id);
        } else if is(FINGERPRINT) {
            return Named::As(Role::Fingerprint);
        } else if is_any(key, &DIMENSIONS) {
            return Named::Dimension;
        }
        match names::meaning_of(key).map(|meaning| meaning.role) {
            Some(Query) => Named::As(Role::Text),
            Some(Words) => Named::Words,
            Some(
                BindValue | Quoted | Companion(_) | Credentials | ExceptionMessage | Plan
                | Stacktrace,
            ) => Named::As(Role::Data),
            _ => Named::Nothing,
        }
    }
}

fn of_value(named: Named, value: Any<'_>) -> Role {
    let text = match value {
        Any::Text(text) => text,
        _ => {
            return match named {
                Named::As(role) => role,
                // No exporter has such.
                _ if matches!(value, Any::Map(_) | Any::List(_)) => Role::Data,
                Named::Words => Role::Words,
                Named::Dimension | Named::Nothing => Role::Plain,
            };
        }
    };
    match named {
        Named::As(Role::Text) | Named::Words if is_address(text) => Role::Data,
        Named::As(role) => role,
        Named::Dimension if is_name(text) => Role::Plain,
        Named::Dimension => Role::Data,
        Named::Words if is_plain(text) => Role::Plain,
        Named::Words if is_like_a_statement(text) => Role::Text,
        Named::Words => Role::Words,
        Named::Nothing if holds_sql(text) => Role::Text,
        Named::Nothing if holds_password(text) => Role::Data,
        Named::Nothing => Role::Plain,
    }
}

/// Whether a text is a name or a command's tag.
fn is_plain(text: &[u8]) -> bool {
    let of_tag = |byte: &u8| byte.is_ascii_uppercase() || *byte == b' ';
    is_name(text) || text.iter().all(of_tag)
}
