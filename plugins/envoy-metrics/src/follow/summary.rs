//! `db.query.summary` of the statements that a proxy sees most, without the grammar.
//!
//! [`pg_sql::summary`] reads any statement, and its tables are as large as the rest of this module:
//! here only SELECT, INSERT, UPDATE and DELETE are read, token by token, and whatever is not plain
//! (WITH, SELECT INTO, nested VALUES) has no summary, in place of one that might be wrong. What is
//! said is what `pg_sql::summary` says; a test holds the two together.

use pg_sql::classify::MAX_SUMMARY;
use pg_sql::{Lexer, LexerOptions, TokenKind};

/// Parentheses in parentheses that are followed.
const MAX_DEPTH: usize = 64;

/// Words that end a FROM clause.
const ENDS: &[&[u8]] = &[
    b"WHERE",
    b"GROUP",
    b"ORDER",
    b"HAVING",
    b"LIMIT",
    b"OFFSET",
    b"FETCH",
    b"FOR",
    b"WINDOW",
    b"UNION",
    b"INTERSECT",
    b"EXCEPT",
    b"SET",
    b"VALUES",
    b"RETURNING",
    b"DEFAULT",
    b"OVERRIDING",
];

/// Words whose statements are left alone.
const NOT_PLAIN: &[&[u8]] = &[
    b"WITH",
    b"MERGE",
    b"TABLE",
    b"TABLESAMPLE",
    b"ROWS",
    b"XMLTABLE",
    b"JSON_TABLE",
    b"CURRENT",
];

/// The summary of one statement; empty where it cannot be told.
pub(crate) fn summary(text: &[u8]) -> String {
    Summary::default().of(text).unwrap_or_default()
}

/// Where in a clause the next token stands.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Place {
    #[default]
    Elsewhere,
    /// A relation follows.
    Target,
    /// Behind a relation, where a comma or JOIN leads to the next.
    Listed,
}

/// What the parentheses around a token hold.
#[derive(Clone, Copy, Debug, Default)]
struct Frame {
    place: Place,
    /// A SELECT or DELETE, whose FROM names relations.
    query: bool,
}

#[derive(Debug, Default)]
struct Summary {
    out: String,
    characters: usize,
    full: bool,
    outer: Vec<Frame>,
    now: Frame,
    /// The statement's first word.
    verb: Option<Verb>,
    /// A name that is being read, with the dots in it.
    name: String,
    dotted: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verb {
    Select,
    Insert,
    Update,
    Delete,
}

impl Summary {
    fn of(mut self, text: &[u8]) -> Option<String> {
        let mut before: &[u8] = b"";
        for token in Lexer::new(text, LexerOptions::default()) {
            if token.kind.is_blank() {
                continue;
            }
            let word = token.of(text);
            match token.kind {
                TokenKind::UnicodeIdentifier => return None,
                TokenKind::QuotedIdentifier => self.part_of_name(word)?,
                TokenKind::Word => self.word(word, before)?,
                _ => self.punctuation(word)?,
            }
            before = word;
        }
        self.end_name();
        self.verb?;
        Some(self.out)
    }

    /// `None` where the statement is not plain.
    fn word(&mut self, word: &[u8], before: &[u8]) -> Option<()> {
        let is = |other: &[u8]| word.eq_ignore_ascii_case(other);
        if self.dotted {
            return self.part_of_name(word);
        }
        if self.verb.is_none() {
            return self.begin(word);
        }
        if NOT_PLAIN.iter().any(|other| is(other)) {
            return None;
        }
        if is(b"SELECT") {
            self.end_name();
            self.push(word);
            self.now = Frame {
                place: Place::Elsewhere,
                query: true,
            };
        } else if is(b"FROM") {
            let distinct = before.eq_ignore_ascii_case(b"DISTINCT");
            let update = self.verb == Some(Verb::Update) && self.outer.is_empty();
            if (self.now.query || update) && !distinct {
                self.now.place = Place::Target;
            }
        } else if is(b"JOIN") {
            self.end_name();
            self.now.place = Place::Target;
        } else if is(b"INTO") {
            if self.verb != Some(Verb::Insert) || !before.eq_ignore_ascii_case(b"INSERT") {
                return None;
            }
            self.now.place = Place::Target;
        } else if is(b"USING") && self.verb == Some(Verb::Delete) && self.outer.is_empty() {
            self.end_name();
            self.now.place = Place::Target;
        } else if self.now.place == Place::Target && is(b"VALUES") {
            return None;
        } else if ENDS.iter().any(|end| is(end)) {
            self.end_name();
            self.now.place = Place::Elsewhere;
        } else if self.now.place == Place::Target && !is(b"ONLY") && !is(b"LATERAL") {
            return self.part_of_name(word);
        } else {
            self.end_name();
        }
        Some(())
    }

    /// The first word of the statement.
    fn begin(&mut self, word: &[u8]) -> Option<()> {
        let (verb, frame) = match word.to_ascii_uppercase().as_slice() {
            b"SELECT" => (Verb::Select, (Place::Elsewhere, true)),
            b"INSERT" => (Verb::Insert, (Place::Elsewhere, false)),
            b"UPDATE" => (Verb::Update, (Place::Target, false)),
            b"DELETE" => (Verb::Delete, (Place::Elsewhere, true)),
            _ => return None,
        };
        self.verb = Some(verb);
        self.now = Frame {
            place: frame.0,
            query: frame.1,
        };
        self.push(word);
        Some(())
    }

    /// A word, or a quoted identifier, where a relation is named.
    fn part_of_name(&mut self, word: &[u8]) -> Option<()> {
        if !self.dotted && self.now.place != Place::Target {
            self.end_name();
            return Some(());
        }
        self.name.push_str(std::str::from_utf8(word).ok()?);
        self.dotted = false;
        self.now.place = Place::Listed;
        Some(())
    }

    fn punctuation(&mut self, token: &[u8]) -> Option<()> {
        match token {
            b"." if !self.name.is_empty() => {
                self.name.push('.');
                self.dotted = true;
            }
            b"(" => {
                self.end_name();
                if self.outer.len() >= MAX_DEPTH || self.verb.is_none() && !self.outer.is_empty() {
                    return None;
                }
                let inside = Frame {
                    place: match self.now.place {
                        Place::Target => Place::Target,
                        _ => Place::Elsewhere,
                    },
                    query: false,
                };
                if self.now.place == Place::Target {
                    self.now.place = Place::Listed;
                }
                self.outer.push(std::mem::replace(&mut self.now, inside));
            }
            b")" => {
                self.end_name();
                self.now = self.outer.pop()?;
            }
            b"," => {
                self.end_name();
                let lists = self.verb != Some(Verb::Insert) || self.now.query;
                if self.now.place == Place::Listed && lists {
                    self.now.place = Place::Target;
                }
            }
            _ => {
                self.end_name();
                // A relation's place taken by something that is no name.
                if self.now.place == Place::Target && token != b"*" {
                    return None;
                }
            }
        }
        Some(())
    }

    fn end_name(&mut self) {
        let name = std::mem::take(&mut self.name);
        self.dotted = false;
        if !name.is_empty() {
            self.push(name.as_bytes());
        }
    }

    fn push(&mut self, word: &[u8]) {
        let word = String::from_utf8_lossy(word);
        let space = usize::from(!self.out.is_empty());
        let longer = self
            .characters
            .saturating_add(space)
            .saturating_add(word.chars().count());
        self.full |= longer > MAX_SUMMARY;
        if self.full {
            return;
        }
        if space > 0 {
            self.out.push(' ');
        }
        self.out.push_str(&word);
        self.characters = longer;
    }
}

#[cfg(test)]
mod tests {
    use super::summary;
    use pg_sql::{ClassifyOptions, redact};

    /// Statements of the kinds that applications send, and some that are meant to confuse.
    const STATEMENTS: &[&str] = &[
        "SELECT * FROM wuser_table WHERE username = ?",
        "select a, b from Users u, app.orders o where u.id = $1 and o.x in (1, 2)",
        "INSERT INTO shipping_details (order_id, address) SELECT order_id, address FROM orders",
        "SELECT order_date FROM (SELECT * FROM orders o JOIN customers c ON o.customer_id = c.customer_id) x",
        "SELECT * FROM \"song list\", app . \"T\"",
        "UPDATE t SET a = (SELECT max(b) FROM u), c = 1 FROM v WHERE x = 2 RETURNING *",
        "DELETE FROM t USING u WHERE t.a = u.a",
        "delete from only t where a in (select b from c)",
        "insert into t values (1, 2), (3, 4) on conflict (a) do update set b = excluded.b",
        "insert into t default values",
        "SELECT extract(year from ts), substring(a from 1 for 2), trim(both from b) FROM t",
        "select 1 where a is distinct from b",
        "select count(*) filter (where x) from t left join u using (id) group by a, b order by c, d",
        "select * from t union all select * from u order by 1",
        "select * from (a join b on a.x = b.x) join c on true",
        "select * from t where exists (select 1 from u where u.a = t.a) limit 1 for update of t",
        "select a, (select max(x) from y), b from z, w",
        "select * from a, lateral (select * from b where b.x = a.x) l, c",
        "select f(a, b), g from generate_series(1, 3) s, t",
        "(select 1 from t) union (select 2 from u)",
        "select",
        "select 1",
        "update a.b.c set x = 1",
        "select array(select a from b), case when c then 1 else 2 end from d",
        "with x as (select 1) select * from x",
        "select * into n from t",
        "select * from (values (1), (2)) v",
        "merge into t using u on true when matched then delete",
        "select * from t tablesample system (10)",
        "select a.* from a cross join b natural join c",
        "select * from t as x (a, b), u",
        "create table t as select * from u",
        "begin",
        "set local x = 'y'",
        "selec from t",
        "",
        "select * from",
        "insert into",
    ];

    #[test]
    fn it_says_what_the_grammar_says_or_nothing() {
        let mut told = 0;
        for text in STATEMENTS {
            let ours = summary(&redact(text.as_bytes(), &Default::default()).text);
            let judge = pg_sql::summary(text.as_bytes(), ClassifyOptions::default());
            assert!(
                ours.is_empty() || ours == judge,
                "{text}: {ours:?}, not {judge:?}"
            );
            told += usize::from(!ours.is_empty());
        }
        assert!(told >= 26, "{told}");
    }
}
