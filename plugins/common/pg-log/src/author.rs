//! Who wrote a text: the server, whose words are known, or a function of a user's, whose words may be
//! data. A message of a function's can have any SQLSTATE and severity; what gives it away is a SQLSTATE
//! that nobody else has, or the CONTEXT line of the function itself.
//!
//! Source: `exec_stmt_raise` of `src/pl/plpgsql/src/pl_exec.c`; `PLy_output` and `PLy_elog` of
//! `src/pl/plpython`, `do_util_elog` of `src/pl/plperl`, `pltcl_elog` of `src/pl/tcl`.

use crate::event::Event;
use crate::field::Field;
use crate::scan::find;
use crate::severity::Severity;
use crate::text::Form;

/// Who may have written a text.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Author {
    /// The server.
    Server,
    /// A function, maybe: a text of no pattern is whatever its author made of the data.
    #[default]
    Unknown,
    /// A function, for certain: even a text that has a pattern is.
    Function,
}

impl Author {
    /// The author of an event's message, as far as it can be told without reading that.
    pub(crate) fn of(event: &Event<'_>) -> Self {
        let code = event.fields.get(Field::Sqlstate).map(|text| text.raw);
        if matches!(code, Some(b"P0001" | b"P0004")) || is_in_function(event) {
            return Self::Function;
        }
        match code {
            // What RAISE WARNING has, elog() of any language, and an exception that nobody caught.
            Some(b"01000" | b"XX000" | [b'3', b'8' | b'9', ..]) => Self::Unknown,
            Some(_) => Self::Server,
            None => Self::by_severity(event),
        }
    }

    /// PANIC is the server's alone, FATAL nearly so, and so is the LOG of processes without a user.
    fn by_severity(event: &Event<'_>) -> Self {
        let has_user = || event.fields.get(Field::UserName).is_some();
        match event.severity() {
            Some(Severity::Fatal | Severity::Panic) => Self::Server,
            Some(Severity::Log | Severity::Debug) if !has_user() && event.names_user => {
                Self::Server
            }
            _ => Self::Unknown,
        }
    }

    /// The author of a companion of a message that has a pattern or not.
    pub(crate) fn of_companion(self, known: bool) -> Self {
        match self {
            Self::Unknown if known => Self::Server,
            author => author,
        }
    }
}

/// Whether CONTEXT says that the message is a function's: PL/pgSQL's RAISE and ASSERT are named so in
/// every language, and other languages have no messages but their functions'.
fn is_in_function(event: &Event<'_>) -> bool {
    let Some(context) = event.fields.get(Field::Context) else {
        return false;
    };
    let raw = context.raw;
    let end = match context.form {
        Form::Json => find(raw, b"\\n"),
        _ => find(raw, b"\n"),
    };
    let first = raw.get(..end.unwrap_or(raw.len())).unwrap_or_default();
    let has = |text: &[u8], word: &[u8]| find(text, word).is_some();
    let raises = has(first, b"PL/pgSQL") && (has(first, b"RAISE") || has(first, b"ASSERT"));
    raises || OTHER_LANGUAGES.iter().any(|language| has(raw, language))
}

/// What the CONTEXT of functions in other languages than SQL and PL/pgSQL has in it.
const OTHER_LANGUAGES: [&[u8]; 4] = [
    b"PL/Python",
    b"PL/Perl",
    b"PL/Tcl",
    b"Traceback (most recent call last):",
];

/// Whether a line of a CONTEXT is the server's though it has no pattern, as in other languages.
pub(crate) fn is_servers_context(line: &[u8]) -> bool {
    [b"PL/pgSQL".as_slice(), b"SQL", b"COPY "]
        .iter()
        .any(|word| find(line, word).is_some())
}
