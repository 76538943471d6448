//! What is said of a query text: the text without its data, its fingerprint, its summary.
//!
//! Applications send few texts and many of each, so what was said of a text is remembered, in a table
//! of a fixed number of places and of short texts only. Those that put values into their texts send each
//! once, but few that differ in more than the values: what was said of one holds for the others.

use std::rc::Rc;

use pg_sql::placeholders::as_parameters;
use pg_sql::sqlcommenter::{self, KEYS};
use pg_sql::{Fingerprint, RedactOptions, classify, redact_and_fingerprint};
use twox_hash::XxHash64;

use crate::config::Comments;

/// Texts remembered; a power of two.
const PLACES: usize = 512;
/// The longest text that is remembered, in bytes.
const LONGEST: usize = 4096;
/// The longest text that is read for more than its redaction and fingerprint, in bytes.
const LONGEST_CLASSIFIED: usize = 64 * 1024;

/// What is said of one text.
#[derive(Debug)]
pub(crate) struct Said {
    /// Without its data; `None` if there is none in it.
    pub(crate) redacted: Option<String>,
    pub(crate) fingerprint: Fingerprint,
    /// OpenTelemetry's summary; empty if the text is no statement.
    pub(crate) summary: String,
    /// The one command, where all statements are of one, and all of the text was understood.
    pub(crate) operation: Option<&'static str>,
    /// The one relation, as typed, where there is one, and all of the text was understood.
    pub(crate) collection: Option<String>,
    /// How many statements there are.
    pub(crate) statements: usize,
    /// All of it only keeps a pool alive.
    pub(crate) keep_alive: bool,
    /// What its sqlcommenter comment says under known keys.
    pub(crate) tags: Vec<(&'static str, String)>,
    /// Summary, operation, collection and the like hold for every text that is redacted to the same.
    alike: bool,
}

/// A text, and what is said of it.
type Remembered = (Box<[u8]>, Rc<Said>);

/// Says what there is to say of texts.
#[derive(Debug)]
pub(crate) struct Statements {
    comments: Comments,
    places: Vec<Option<Remembered>>,
    /// By their redacted texts.
    alike: Vec<Option<Rc<Said>>>,
}

impl Statements {
    pub(crate) fn new(comments: Comments) -> Self {
        Self {
            comments,
            places: Vec::new(),
            alike: Vec::new(),
        }
    }

    /// What is said of `text`.
    pub(crate) fn say(&mut self, text: &[u8]) -> Rc<Said> {
        if text.len() > LONGEST {
            return Rc::new(self.read(text));
        }
        if self.places.is_empty() {
            self.places.resize_with(PLACES, || None);
            self.alike.resize_with(PLACES, || None);
        }
        let place = place(text);
        if let Some(Some((known, said))) = self.places.get(place)
            && **known == *text
        {
            return Rc::clone(said);
        }
        let said = Rc::new(self.read(text));
        if let Some(place) = self.places.get_mut(place) {
            *place = Some((text.into(), Rc::clone(&said)));
        }
        if said.alike
            && let Some(redacted) = &said.redacted
            && let Some(alike) = self.alike.get_mut(self::place(redacted.as_bytes()))
        {
            *alike = Some(Rc::clone(&said));
        }
        said
    }

    /// What was said of another text that is redacted to the same.
    fn like(&self, redacted: &str) -> Option<&Said> {
        let said = self.alike.get(place(redacted.as_bytes()))?.as_deref()?;
        (said.redacted.as_deref() == Some(redacted)).then_some(said)
    }

    /// The text without its data, `None` if that is all of it.
    pub(crate) fn redact(&mut self, text: &[u8]) -> Option<String> {
        self.say(text).redacted.clone()
    }

    fn read(&self, text: &[u8]) -> Said {
        let unquoted = unquoted(text);
        let text = unquoted.as_deref().unwrap_or(text);
        let options = RedactOptions {
            comments: match self.comments {
                Comments::Drop | Comments::Promote => pg_sql::Comments::Drop,
                Comments::Sqlcommenter => pg_sql::Comments::Sqlcommenter,
                Comments::Keep => pg_sql::Comments::Keep,
            },
            ..RedactOptions::default()
        };
        let (redacted, fingerprint) = redact_and_fingerprint(text, &options);
        let mut said = Said {
            redacted: (redacted.text != text || unquoted.is_some())
                .then(|| String::from_utf8_lossy(&redacted.text).into_owned()),
            fingerprint,
            summary: String::new(),
            operation: None,
            collection: None,
            statements: 1,
            keep_alive: false,
            tags: self.tags(text),
            alike: false,
        };
        if text.len() <= LONGEST_CLASSIFIED {
            let parameters = as_parameters(text);
            if let Some(parameters) = &parameters {
                said.fingerprint = pg_sql::fingerprint(parameters, &options.lexer);
            }
            let like = said.redacted.as_deref().and_then(|text| self.like(text));
            match like {
                Some(like) => said.repeat(like),
                None => said.classify(parameters.as_deref().unwrap_or(text)),
            }
        }
        said
    }

    fn tags(&self, text: &[u8]) -> Vec<(&'static str, String)> {
        if self.comments != Comments::Promote || !text.contains(&b'*') {
            return Vec::new();
        }
        let tags = sqlcommenter::tags(text, &pg_sql::LexerOptions::default());
        KEYS.iter()
            .filter_map(|key| Some((*key, tags.get(key)?.to_owned())))
            .collect()
    }
}

/// A statement that somebody has printed as a string of a programming language, `"SELECT \"a\""`, as it
/// was. No statement begins with a quoted name: PostgreSQL would read all of it as one.
fn unquoted(text: &[u8]) -> Option<Vec<u8>> {
    let inside = text.trim_ascii().strip_prefix(b"\"")?;
    let inside = inside.strip_suffix(b"\"").unwrap_or(inside);
    if !inside.contains(&b' ') || !is_like_a_statement(inside) {
        return None;
    }
    let mut out = Vec::with_capacity(inside.len());
    let mut bytes = inside.iter();
    while let Some(byte) = bytes.next() {
        let escaped = match byte {
            b'\\' => bytes.next(),
            _ => None,
        };
        out.push(match escaped {
            Some(b'n' | b'r' | b't') => b' ',
            Some(other) => *other,
            None => *byte,
        });
    }
    Some(out)
}

/// Words of which a statement with data in it has one.
const STATEMENTS: [&[u8]; 11] = [
    b"alter", b"copy", b"create", b"delete", b"execute", b"insert", b"merge", b"select", b"set",
    b"update", b"values",
];

/// Whether there is a word in a text of which a statement with data has one.
pub(crate) fn is_like_a_statement(text: &[u8]) -> bool {
    let mut words = text.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_');
    words.any(|word| {
        STATEMENTS
            .iter()
            .any(|known| word.eq_ignore_ascii_case(known))
    })
}

/// Where a text is remembered.
fn place(text: &[u8]) -> usize {
    XxHash64::oneshot(0, text) as usize & PLACES.saturating_sub(1)
}

impl Said {
    fn repeat(&mut self, other: &Self) {
        self.summary.clone_from(&other.summary);
        self.operation = other.operation;
        self.collection.clone_from(&other.collection);
        self.statements = other.statements;
        self.keep_alive = other.keep_alive;
        self.alike = other.alike;
    }

    fn classify(&mut self, text: &[u8]) {
        let found = classify(text, pg_sql::classify::ClassifyOptions::default());
        self.summary = found.summary();
        self.statements = found.statements.len();
        self.keep_alive = found.complete && found.statements.iter().all(keeps_alive);
        self.alike = found.complete;
        let [first, others @ ..] = found.statements.as_slice() else {
            return;
        };
        if !found.complete {
            return;
        }
        let same_command = |other: &&pg_sql::classify::Statement| other.command == first.command;
        if others.iter().filter(same_command).count() == others.len() && first.inner.is_empty() {
            self.operation = Some(first.command.as_str());
        }
        let mut relations = found
            .statements
            .iter()
            .flat_map(|statement| &statement.relations);
        if let Some(relation) = relations.next()
            && relations.all(|other| other.name.same(&relation.name))
        {
            self.collection = Some(relation.name.typed.clone());
        }
    }
}

/// Commands that pools and drivers send to see whether a connection is alive, to clean it or to
/// bracket what applications send.
const UPKEEP: [&str; 8] = [
    "BEGIN",
    "START TRANSACTION",
    "SET",
    "SET TRANSACTION",
    "RESET",
    "SHOW",
    "DISCARD ALL",
    "DEALLOCATE ALL",
];

/// Whether a statement tells nothing of an application: `UPKEEP`, or a SELECT of constants, such as
/// `SELECT 1`. COMMIT and ROLLBACK are no such: their time is the transaction's.
fn keeps_alive(statement: &pg_sql::classify::Statement) -> bool {
    let command = statement.command.as_str();
    let constant = command == "SELECT"
        && statement.relations.is_empty()
        && statement.functions.is_empty()
        && statement.attributes.is_empty();
    constant || UPKEEP.contains(&command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(text: &str) -> Rc<Said> {
        Statements::new(Comments::Promote).say(text.as_bytes())
    }

    #[test]
    fn a_text_without_data_stays_as_it_is() {
        for text in [
            "SELECT * FROM t WHERE a = $1",
            "SELECT a FROM t WHERE b = ? AND c = %s",
        ] {
            assert_eq!(say(text).redacted, None, "{text}");
        }
        let said = say("SELECT * FROM t WHERE a = 'hunter2'");
        assert_eq!(
            said.redacted.as_deref(),
            Some("SELECT * FROM t WHERE a = ?")
        );
    }

    #[test]
    fn a_statement_has_one_fingerprint_whatever_its_driver_writes_for_parameters() {
        let server = say("SELECT a FROM t WHERE b = $1 AND c = $2").fingerprint;
        for text in [
            "SELECT a FROM t WHERE b = %s AND c = %s",
            "SELECT a FROM t WHERE b=%s AND c=%(c)s",
            "SELECT a FROM t WHERE b = ? AND c=?",
            "SELECT a FROM t WHERE b = :b AND c = :c",
            "SELECT a FROM t WHERE b = @b AND c = 7",
        ] {
            assert_eq!(say(text).fingerprint, server, "{text}");
        }
    }

    #[test]
    fn operation_and_relation_are_told_where_there_is_one_of_each() {
        let said = say("UPDATE s.t SET a = %s");
        assert_eq!(said.operation, Some("UPDATE"));
        assert_eq!(said.collection.as_deref(), Some("s.t"));
        let said = say("SELECT * FROM a JOIN b USING (id)");
        assert_eq!(
            (said.operation, said.collection.as_deref()),
            (Some("SELECT"), None)
        );
        let said = say("SELECT 1; SELECT 2; SELECT 3");
        assert_eq!(
            (said.statements, said.summary.as_str()),
            (3, "BATCH SELECT")
        );
    }

    #[test]
    fn texts_that_differ_in_their_values_are_told_as_if_each_were_the_first() {
        let mut statements = Statements::new(Comments::Promote);
        for text in [
            "SELECT a FROM t WHERE b = 1 /*route='x'*/",
            "SELECT a FROM t WHERE b = 22 /*route='y'*/",
            "SELECT a FROM T WHERE b = 22",
            "SELECT 'ping'",
            "SELECT 'a text too long for a health check'",
            "DELETE FROM t WHERE a = 'x'; DELETE FROM t WHERE a = 'y'",
            "DELETE FROM t WHERE a = 'yy'; DELETE FROM t WHERE a = 'z'",
            "SELECT a FROM t WHERE b = 1 AND",
            "SELECT a FROM t WHERE b = 2 AND",
        ] {
            let told = statements.say(text.as_bytes());
            assert_eq!(format!("{told:?}"), format!("{:?}", say(text)), "{text}");
        }
    }

    #[test]
    fn upkeep_is_told_from_work() {
        for text in [
            "SELECT 1",
            "select 'ping'",
            "BEGIN",
            "SET a = 1; SHOW b",
            "DISCARD ALL",
        ] {
            assert!(say(text).keep_alive, "{text}");
        }
        for text in [
            "SELECT f()",
            "COMMIT",
            "SELECT a FROM t",
            "BEGIN; DELETE FROM t",
            "nonsense",
        ] {
            assert!(!say(text).keep_alive, "{text}");
        }
    }

    #[test]
    fn known_keys_of_comments_are_told() {
        let said = say("SELECT a FROM t /*route='%2Fx',secret='s'*/");
        assert_eq!(said.tags, [("route", "/x".to_owned())]);
        assert_eq!(said.redacted.as_deref(), Some("SELECT a FROM t "));
    }
}
