//! Where a password may stand outside of a statement's literals: in connection strings, in settings and
//! in what commands were given. Whoever wants to see data does not want to see these: an event that may
//! have one is reported without any data, unless nothing at all is to be taken out.

use crate::event::Event;
use crate::field::Field;

/// What a server prints beside a password, whatever the language of the message: names of options and
/// settings, parts of URLs and variables, and its own words for a text that it could not read as such.
const WORDS: [&str; 11] = [
    "passw",
    "passphrase",
    "pwd",
    "secret",
    "credential",
    "token",
    "://",
    "conninfo",
    "connection string",
    "connection info",
    "connection option",
];

/// Texts that such words may stand in.
const TEXTS: [Field; 6] = [
    Field::Message,
    Field::Detail,
    Field::Hint,
    Field::Context,
    Field::InternalQuery,
    Field::Statement,
];

/// The class of the SQLSTATEs of connections that fail: a library may have said why, in any language.
const CONNECTIONS: &[u8] = b"08";

/// Whether a password may stand in one of the event's texts.
pub(crate) fn are_near(event: &Event<'_>) -> bool {
    let code = event.fields.get(Field::Sqlstate).unwrap_or_default();
    if code.raw.starts_with(CONNECTIONS) {
        return true;
    }
    let texts = TEXTS
        .into_iter()
        .filter_map(|field| event.fields.get(field));
    texts.into_iter().any(|text| mentions(&text.decode()))
}

fn mentions(text: &[u8]) -> bool {
    (0..text.len()).any(|at| {
        WORDS.iter().any(|word| {
            let part = text.get(at..at.saturating_add(word.len()));
            part.is_some_and(|part| part.eq_ignore_ascii_case(word.as_bytes()))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_beside_a_password_is_known() {
        for text in [
            "parameter \"primary_conninfo\" changed to \"host=a\"",
            "Parameter »x« auf »host=a PASSWORD=b« gesetzt",
            "could not connect to \"postgresql://bob:b@a/c\"",
            "The failed archive command was: PGPASSWORD=b cp a b",
        ] {
            assert!(mentions(text.as_bytes()), "{text}");
        }
        assert!(!mentions(b"relation \"t\" does not exist"));
        assert!(!mentions(b""));
    }
}
