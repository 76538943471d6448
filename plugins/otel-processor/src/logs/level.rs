//! Entries whose severity somebody has taken out of the line, and left the rest in the body: a
//! `regex_parser` with `move` does so.

use pg_log::{Classes, Companion, Event, Faults, Field, Fields, Format, Level, Severity, Text};

/// Words that PostgreSQL alone has for a severity, and what such a line is.
const OWN: [(&str, Option<(Companion, Field)>); 6] = [
    ("CONTEXT", Some((Companion::Context, Field::Context))),
    ("DETAIL", Some((Companion::Detail, Field::Detail))),
    ("HINT", Some((Companion::Hint, Field::Hint))),
    ("LOG", None),
    ("QUERY", Some((Companion::Query, Field::InternalQuery))),
    ("STATEMENT", Some((Companion::Statement, Field::Statement))),
];

/// The entry that `text` is at this level. With a word that other programs have, too, only where the
/// source is PostgreSQL's, or the text one of the server's messages.
pub(super) fn event<'t>(
    text: &'t [u8],
    level: &[u8],
    is_postgres: bool,
    classes: &Classes,
) -> Option<Event<'t>> {
    let own = OWN.iter().find(|(word, _)| word.as_bytes() == level);
    let (level, field) = match own {
        Some((_, Some((companion, field)))) => (Level::Companion(*companion), *field),
        Some((_, None)) => (Level::Severity(Severity::Log), Field::Message),
        None => {
            let severity = Severity::from_word(level)?;
            if !is_postgres && classes.of_message(text).is_none() {
                return None;
            }
            (Level::Severity(severity), Field::Message)
        }
    };
    let mut fields = Fields::default();
    fields.set(field, Text::plain(text));
    Some(Event {
        format: Format::Stderr,
        level,
        fields,
        names_user: false,
        faults: Faults::default(),
    })
}
