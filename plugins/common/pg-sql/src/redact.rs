//! Statement text without its data: what may leave a module.
//!
//! Stricter than the server's own `pg_stat_statements`, which leaves utility statements as they are:
//! every literal becomes `?` wherever it stands, in role passwords, NOTIFY payloads, function bodies,
//! defaults, type modifiers and `ORDER BY 1` alike; so does every value of a setting, and a comment is
//! dropped. TRUE and FALSE are literals but behind IS and IS NOT, as they are to the server and in
//! OpenTelemetry's list of what is to be replaced. Parameters, identifiers, key words and operators stay.
//! NULL is one of these, although the server replaces it where it is a value: it stands for no data, and
//! tokens alone do not tell it from that of `NOT NULL`, `SET NULL` or `NULL ON EMPTY`. (The fingerprint
//! takes all three for constants except behind IS and IS NOT.)
//!
//! Fails closed: where a text cannot be read (an open quote, bytes that are not the encoding's), all
//! that follows is one `?`, and [`Redacted::lexed_to`] says where. That is from the first literal on that
//! may have been closed too early (`'it\'s'`, `'O'Brien'`), if there is one; with a backslash
//! outside of quotes, which is psql's or COPY's, it is that whole statement and all behind it. Two such
//! mistakes in one text that close each other's quotes (`'O'Brien', 'O'Neil'`), and a quote closed too
//! early before a blank (`'the boys' names'`), cannot be told from a good text: what stands outside of the
//! quotes is names, as it is to the server. Where a password, a connection string or another value of a
//! utility statement is due, nothing of such a mistake is shown.
//! Redacting twice changes nothing, and the result is never more than one byte longer than the text.

use crate::canonical::Canonical;
use crate::fingerprint::Fingerprint;
use crate::lexer::LexerOptions;
use crate::scrub::scrub;
use crate::settings::Role;
use crate::sqlcommenter;

/// What becomes of comments.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Comments {
    /// Left out.
    #[default]
    Drop,
    /// Kept as they are, whatever they say.
    Keep,
    /// Left out but for the pairs whose keys the sqlcommenter specification names
    /// ([`sqlcommenter::KEYS`]).
    Sqlcommenter,
}

/// How to redact.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RedactOptions {
    /// How the text is to be read.
    pub lexer: LexerOptions,
    /// What becomes of comments.
    pub comments: Comments,
}

/// A redacted text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Redacted {
    /// In the encoding of the original.
    pub text: Vec<u8>,
    /// Bytes of the original that could be read; all of it, or the rest became `?`.
    pub lexed_to: usize,
}

/// Replaces data by `?`.
///
/// ```
/// let redacted = pg_sql::redact(b"ALTER ROLE bob PASSWORD 'hunter2'", &Default::default());
/// assert_eq!(redacted.text, b"ALTER ROLE bob PASSWORD ?");
/// ```
#[must_use]
pub fn redact(text: &[u8], options: &RedactOptions) -> Redacted {
    let mut redactor = Redactor::new(text.len(), options.comments);
    let lexed_to = scrub(text, options.lexer, Some(&mut redactor), None);
    redactor.finish(lexed_to)
}

/// [`redact`] and [`crate::fingerprint`] in one pass.
#[must_use]
pub fn redact_and_fingerprint(text: &[u8], options: &RedactOptions) -> (Redacted, Fingerprint) {
    let mut redactor = Redactor::new(text.len(), options.comments);
    let mut canonical = Canonical::with_capacity(text.len());
    let lexed_to = scrub(
        text,
        options.lexer,
        Some(&mut redactor),
        Some(&mut canonical),
    );
    (
        redactor.finish(lexed_to),
        Fingerprint::of_canonical(&canonical.finish()),
    )
}

/// Writes the redacted text.
#[derive(Debug)]
pub(crate) struct Redactor {
    out: Vec<u8>,
    comments: Comments,
    /// The last thing written is the value of a setting.
    in_value: bool,
    /// A blank was read behind it.
    blank_due: bool,
}

impl Redactor {
    fn new(capacity: usize, comments: Comments) -> Self {
        Self {
            out: Vec::with_capacity(capacity.saturating_add(1)),
            comments,
            in_value: false,
            blank_due: false,
        }
    }

    /// As if nothing had been written.
    pub(crate) fn clear(&mut self) {
        self.out.clear();
        self.in_value = false;
        self.blank_due = false;
    }

    fn finish(self, lexed_to: usize) -> Redacted {
        Redacted {
            text: self.out,
            lexed_to,
        }
    }

    #[inline]
    pub(crate) fn blank(&mut self, text: &[u8]) {
        if self.in_value {
            self.blank_due = true;
        } else {
            self.out.extend_from_slice(text);
        }
    }

    /// Ends the value of a setting, the parts of which became one `?`.
    #[inline]
    fn end_value(&mut self) {
        if std::mem::take(&mut self.in_value) && std::mem::take(&mut self.blank_due) {
            self.out.push(b' ');
        }
    }

    #[inline]
    pub(crate) fn keep(&mut self, text: &[u8]) {
        if self.in_value {
            self.end_value();
        }
        match text {
            [byte] => self.out.push(*byte),
            _ => self.out.extend_from_slice(text),
        }
    }

    #[inline]
    pub(crate) fn constant(&mut self, role: Role) {
        match (role, self.in_value) {
            (Role::Value, true) => self.blank_due = false,
            (Role::Value, false) => {
                self.in_value = true;
                self.out.push(b'?');
            }
            _ => {
                self.end_value();
                self.out.push(b'?');
            }
        }
    }

    pub(crate) fn comment(&mut self, text: &[u8]) {
        if self.in_value {
            self.blank_due = true;
            return;
        }
        match self.comments {
            Comments::Keep => return self.out.extend_from_slice(text),
            Comments::Sqlcommenter => {
                if sqlcommenter::write_known(text, &mut self.out) {
                    return;
                }
            }
            Comments::Drop => {}
        }
        if self
            .out
            .last()
            .is_some_and(|last| !last.is_ascii_whitespace())
        {
            self.out.push(b' ');
        }
    }
}
