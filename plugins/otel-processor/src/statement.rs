//! What is said of a query text: the text without its data, its fingerprint, its summary, and the
//! attributes that say so.
//!
//! Applications send few texts and many of each, so what was said of a text is remembered, in a table
//! of a fixed number of places and of short texts only. Those that put values into their texts send each
//! once, but few that differ in more than the values: what was said of one holds for all of its shape.

use std::rc::Rc;

use otlp_wire::{Message, Writer, schema};
use pg_sql::placeholders::as_parameters;
use pg_sql::shape::COMMENT;
use pg_sql::sqlcommenter::{self, KEYS};
use pg_sql::{Fingerprint, RedactOptions, classify, redact_and_fingerprint};

use crate::config::Comments;
use crate::places::Places;
use crate::suspects::is_address;
use crate::traces::names::{self, Slot};

/// The longest text that is remembered, in bytes.
const LONGEST: usize = 4096;
/// The longest text that is read for more than its redaction and fingerprint, in bytes.
const LONGEST_CLASSIFIED: usize = 64 * 1024;

/// What is said of one text.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    /// Without its data; `None` if there is none in it.
    pub(crate) redacted: Option<String>,
    /// That as an `AnyValue`.
    pub(crate) any: Vec<u8>,
    pub(crate) fingerprint: Fingerprint,
    /// OpenTelemetry's summary; empty if the text is no statement.
    pub(crate) summary: String,
    /// That as the name of a span.
    pub(crate) name: Vec<u8>,
    /// The one command, where all statements are of one, and all of the text was understood.
    operation: Option<&'static str>,
    /// The one relation, as typed, where there is one, and all of the text was understood.
    collection: Option<String>,
    /// How many statements there are.
    statements: usize,
    /// All of it only keeps a pool alive.
    pub(crate) keep_alive: bool,
    /// What its sqlcommenter comment says under known keys.
    tags: Vec<(&'static str, String)>,
    /// All of the text was understood, so that this holds for every text of its shape.
    complete: bool,
    pub(crate) added: Added,
}

/// Attributes that say what is said, written already.
#[derive(Clone, Debug, Default)]
pub(crate) struct Added {
    /// As attributes of a span, one behind the other.
    pub(crate) bytes: Vec<u8>,
    /// Which they are.
    pub(crate) slots: u32,
    each: Vec<Slot>,
}

impl Added {
    fn add(&mut self, slot: Slot, write: impl FnOnce(&mut Writer<'_>)) {
        write(&mut Writer::new(&mut self.bytes));
        self.slots |= slot.bit();
        self.each.push(slot);
    }

    /// Each attribute, as the bytes of its message.
    pub(crate) fn each(&self) -> impl Iterator<Item = (Slot, &[u8])> {
        let attributes = Message::new(&self.bytes).fields().flatten();
        let slots = self.each.iter().copied();
        slots.zip(attributes.filter_map(|attribute| attribute.bytes().ok()))
    }
}

/// What there is to say of texts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// What becomes of comments.
    pub(crate) comments: Comments,
    /// Whether operation and relation are told.
    pub(crate) names: bool,
    /// Whether upkeep is told.
    pub(crate) upkeep: bool,
}

/// Says what there is to say of texts.
#[derive(Debug)]
pub(crate) struct Statements {
    options: Options,
    /// By texts, of those without data, and those without a shape.
    texts: Places<Rc<Said>>,
    /// By shapes.
    shapes: Places<Rc<Said>>,
    /// Room for a shape.
    shape: Vec<u8>,
}

impl Statements {
    pub(crate) const fn new(options: Options) -> Self {
        Self {
            options,
            texts: Places::new(),
            shapes: Places::new(),
            shape: Vec::new(),
        }
    }

    /// What is said of `text`.
    pub(crate) fn say(&mut self, text: &[u8]) -> Rc<Said> {
        if text.len() > LONGEST {
            return Rc::new(self.read(text));
        }
        if let Some(said) = self.texts.get(text) {
            return Rc::clone(said);
        }
        let dropped = matches!(self.options.comments, Comments::Drop | Comments::Promote);
        if !pg_sql::shape(text, dropped, &mut self.shape) || self.shape == text {
            return self.remember(text);
        }
        let said = match self.shapes.get(&self.shape) {
            Some(said) => Rc::clone(said),
            None => {
                let said = Rc::new(self.read(text));
                if !said.complete {
                    self.texts.set(text, Rc::clone(&said));
                    return said;
                }
                self.shapes.set(&self.shape, Rc::clone(&said));
                said
            }
        };
        if self.options.comments == Comments::Promote && self.shape.contains(&COMMENT) {
            return self.tagged(said, text);
        }
        said
    }

    fn remember(&mut self, text: &[u8]) -> Rc<Said> {
        let said = self.tagged(Rc::new(self.read(text)), text);
        self.texts.set(text, Rc::clone(&said));
        said
    }

    /// The text without its data, `None` if that is all of it.
    pub(crate) fn redact(&mut self, text: &[u8]) -> Option<String> {
        if is_name(text) {
            return None;
        }
        self.say(text).redacted.clone()
    }

    /// What is said of the text of a shape, with what its own comment says.
    fn tagged(&self, said: Rc<Said>, text: &[u8]) -> Rc<Said> {
        let tags = self.tags(text);
        if tags.is_empty() {
            return said;
        }
        let mut said = Rc::unwrap_or_clone(said);
        said.tags = tags;
        said.write(self.options);
        Rc::new(said)
    }

    fn read(&self, text: &[u8]) -> Said {
        let unquoted = match is_json(text) || is_address(text) {
            true => Some(b"?".to_vec()),
            false => unquoted(text),
        };
        let text = unquoted.as_deref().unwrap_or(text);
        let options = RedactOptions {
            comments: match self.options.comments {
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
            any: Vec::new(),
            fingerprint,
            summary: String::new(),
            name: Vec::new(),
            operation: None,
            collection: None,
            statements: 1,
            keep_alive: false,
            tags: Vec::new(),
            complete: false,
            added: Added::default(),
        };
        if text.len() <= LONGEST_CLASSIFIED {
            let parameters = as_parameters(text);
            if let Some(parameters) = &parameters {
                said.fingerprint = pg_sql::fingerprint(parameters, &options.lexer);
            }
            said.classify(parameters.as_deref().unwrap_or(text));
        }
        if let Some(redacted) = &said.redacted {
            Writer::new(&mut said.any).text(schema::any::TEXT, redacted);
        }
        said.write(self.options);
        said
    }

    fn tags(&self, text: &[u8]) -> Vec<(&'static str, String)> {
        if self.options.comments != Comments::Promote || !text.contains(&b'*') {
            return Vec::new();
        }
        let tags = sqlcommenter::tags(text, &pg_sql::LexerOptions::default());
        KEYS.iter()
            .filter_map(|key| Some((*key, tags.get(key)?.to_owned())))
            .collect()
    }
}

/// Whether a text is one name, in which there is no data.
pub(crate) fn is_name(text: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    text.iter().all(plain) && !text.first().is_some_and(u8::is_ascii_digit)
}

/// Whether a text is a JSON object or list, as some write a statement with its parameters. What stands
/// in its quotes are no names. (`{call f(?)}` is JDBC's.)
fn is_json(text: &[u8]) -> bool {
    let mut marks = text.iter().filter(|byte| !byte.is_ascii_whitespace());
    matches!(
        (marks.next(), marks.next()),
        (Some(b'{' | b'['), Some(b'"')) | (Some(b'['), Some(b'{' | b'['))
    )
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
const STATEMENTS: &str = "alter copy create delete execute insert merge select set update values";

/// Whether there is a word in a text of which a statement with data has one.
pub(crate) fn is_like_a_statement(text: &[u8]) -> bool {
    let mut words = text.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_');
    words.any(|word| names::has_word(STATEMENTS, word))
}

impl Said {
    /// Writes the attributes that say it.
    fn write(&mut self, options: Options) {
        const ATTRIBUTES: u32 = schema::span::ATTRIBUTES;
        let mut added = Added::default();
        let mut text = |slot: Slot, name: &str, value: &str| {
            added.add(slot, |new| new.text_attribute(ATTRIBUTES, name, value));
        };
        if !self.summary.is_empty() {
            text(Slot::Summary, names::SUMMARY, &self.summary);
        }
        let fingerprint = self.fingerprint.to_string();
        text(Slot::Fingerprint, names::FINGERPRINT, &fingerprint);
        if let Some(operation) = self.operation.filter(|_| options.names) {
            text(Slot::Operation, names::OPERATION, operation);
        }
        if let Some(collection) = self.collection.as_ref().filter(|_| options.names) {
            text(Slot::Collection, names::COLLECTION, collection);
        }
        for (key, value) in &self.tags {
            text(Slot::Tag, &format!("{}{key}", names::TAGS), value);
        }
        if self.statements > 1 {
            let size = i64::try_from(self.statements).unwrap_or(i64::MAX);
            added.add(Slot::BatchSize, |new| {
                new.int_attribute(ATTRIBUTES, names::BATCH_SIZE, size);
            });
        }
        if self.keep_alive && options.upkeep {
            added.add(Slot::KeepAlive, |new| {
                new.bool_attribute(ATTRIBUTES, names::KEEP_ALIVE, true);
            });
        }
        self.added = added;
    }

    fn classify(&mut self, text: &[u8]) {
        let found = classify(text, pg_sql::classify::ClassifyOptions::default());
        self.summary = found.summary();
        Writer::new(&mut self.name).text(schema::span::NAME, &self.summary);
        self.statements = found.statements.len();
        self.keep_alive = found.complete && found.statements.iter().all(keeps_alive);
        self.complete = found.complete;
        let [first, others @ ..] = found.statements.as_slice() else {
            return;
        };
        if !found.complete {
            return;
        }
        let same_command = |other: &&pg_sql::classify::Statement| other.command == first.command;
        if others.iter().filter(same_command).count() == others.len() && is_one_command(first) {
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

/// Whether a statement is one command: those in MERGE and behind ON CONFLICT are parts of it, those in
/// WITH and EXPLAIN are not, which the summary names.
fn is_one_command(statement: &pg_sql::classify::Statement) -> bool {
    let named = |command: &pg_sql::classify::Command| {
        let mut words = statement.summary.split(' ');
        words.any(|word| word.eq_ignore_ascii_case(command.as_str()))
    };
    match statement.command.as_str() {
        "MERGE" => true,
        "INSERT" => !statement.inner.iter().any(named),
        _ => statement.inner.is_empty(),
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

    const OPTIONS: Options = Options {
        comments: Comments::Promote,
        names: true,
        upkeep: true,
    };

    fn say(text: &str) -> Rc<Said> {
        Statements::new(OPTIONS).say(text.as_bytes())
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
        for (text, operation) in [
            (
                "INSERT INTO t VALUES (%s) ON CONFLICT (a) DO UPDATE SET b = 1",
                Some("INSERT"),
            ),
            (
                "MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DELETE",
                Some("MERGE"),
            ),
            (
                "WITH u AS (UPDATE t SET a = 1 RETURNING a) INSERT INTO t SELECT a FROM u",
                None,
            ),
            ("EXPLAIN ANALYZE DELETE FROM t", None),
        ] {
            let said = say(text);
            assert_eq!(said.operation, operation, "{text}: {}", said.summary);
        }
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
        let mut statements = Statements::new(OPTIONS);
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
            for _ in 0..2 {
                let told = statements.say(text.as_bytes());
                assert_eq!(format!("{told:?}"), format!("{:?}", say(text)), "{text}");
            }
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
