//! Judges `pg_sql::fingerprint` by libpg_query's: texts that libpg_query calls equal are equal to pg-sql
//! too, unless one of [`EXCEPTIONS`] says why not.

use pg_query::{DeparseOptions, FingerprintOptions, ParserOptions};
use pg_sql::{LexerOptions, canonical_text};
use std::collections::BTreeMap;

/// What libpg_query does not tell apart and pg-sql does, least first.
///
/// Each is a rewriting of the items of a canonical text that drops what libpg_query ignores. A pair of
/// texts is explained by the first with which (and with those before it) both read the same.
pub const EXCEPTIONS: &[Exception] = &[
    Exception {
        name: "another spelling of the same tree",
        why: "pg-sql reads tokens, libpg_query a grammar: parentheses, CAST, noise words, names of \
              types, TABLE t, SET TIME ZONE. Both texts are respelled by libpg_query before they are \
              compared.",
        drop: set_time_zone,
    },
    Exception {
        name: "the type of a constant",
        why: "libpg_query takes a cast constant for a constant: 1::int4 and 1::int8 are one.",
        drop: casts_of_constants,
    },
    Exception {
        name: "names of what is no relation",
        why: "libpg_query ignores roles, prepared statements, cursors, channels, old and new names in \
              RENAME, and the names of temporary tables.",
        drop: unread_names,
    },
    Exception {
        name: "names of results",
        why: "libpg_query ignores the names of a select list and the aliases of what is no table.",
        drop: aliases,
    },
    Exception {
        name: "options of functions and transactions",
        why: "libpg_query ignores them: COST, SET, PARALLEL SAFE, isolation levels.",
        drop: options,
    },
    Exception {
        name: "a clause that holds a constant alone",
        why: "libpg_query hashes no constant and so not what holds nothing else: LIMIT, OFFSET, DEFAULT, \
              USING, REPEATABLE, ELSE, ESCAPE, options.",
        drop: clauses_of_constants,
    },
    Exception {
        name: "order and number of the members of a list",
        why: "libpg_query sorts select lists, FROM, columns, rows, arguments and the operands of AND and \
              OR, leaves repeated ones out, and reads a list of constants as one (IN as =).",
        drop: order_and_number,
    },
];

/// A kind of difference that is none to libpg_query.
pub struct Exception {
    /// What differs.
    pub name: &'static str,
    /// Why it may.
    pub why: &'static str,
    drop: fn(&mut Vec<String>),
}

/// Types that stand before a constant, and what may stand in their names.
const TYPES: &[&str] = &[
    "interval",
    "numeric",
    "timestamp",
    "time",
    "with",
    "without",
    "zone",
    "date",
    "text",
    "int4",
    "pg_catalog",
    ".",
    "char",
    "bpchar",
    "json",
    "jsonb",
];

/// Fields of an interval.
const FIELDS: &[&str] = &["to", "year", "month", "day", "hour", "minute", "second"];

/// `? :: type`, `type ?` and `( ? )` become `?`.
fn casts_of_constants(items: &mut Vec<String>) {
    let mut kept: Vec<String> = Vec::new();
    let mut rest = std::mem::take(items).into_iter().peekable();
    while let Some(item) = rest.next() {
        if item == ")" && kept.ends_with(&["(".to_owned(), "?".to_owned()]) {
            kept.truncate(kept.len() - 2);
            kept.push("?".to_owned());
            continue;
        }
        if item == "?" {
            while kept
                .last()
                .is_some_and(|last| TYPES.contains(&last.as_str()))
            {
                kept.pop();
            }
            while rest
                .next_if(|next| FIELDS.contains(&next.as_str()))
                .is_some()
            {}
        }
        if item != "::" || kept.last().is_none_or(|last| last != "?") {
            kept.push(item);
            continue;
        }
        let mut depth = 0;
        let mut words = 0;
        while let Some(next) = rest.peek() {
            match next.as_str() {
                "(" | "[" => depth += 1,
                ")" | "]" if depth > 0 => depth -= 1,
                _ if depth > 0 => {}
                "." => words = 0,
                word if TYPES.contains(&word) && words > 0 => {}
                word if FIELDS.contains(&word) || matches!(word, "precision" | "varying") => {}
                word if words == 0 && is_name(word) => words += 1,
                _ => break,
            }
            rest.next();
        }
    }
    *items = kept;
}

fn is_name(item: &str) -> bool {
    item.starts_with(|first: char| first.is_alphabetic() || matches!(first, '_' | '"'))
}

/// Leaves out `AS name`, and a list of names behind it.
fn aliases(items: &mut Vec<String>) {
    drop_names_behind(items, &["as", ")"]);
    items.retain(|item| item != "as");
    let mut kept: Vec<String> = Vec::new();
    for item in items.drain(..) {
        kept.push(item);
        if kept.last().is_some_and(|last| last == ")")
            && let Some(open) = kept.iter().rposition(|item| item == "(")
            && kept[open + 1..kept.len() - 1]
                .iter()
                .all(|item| item == "," || is_name(item))
        {
            kept.truncate(open);
        }
    }
    *items = kept;
}

/// Leaves out the name behind words that no relation follows.
fn unread_names(items: &mut Vec<String>) {
    const BEFORE: &[&str] = &[
        "to",
        "role",
        "user",
        "group",
        "prepare",
        "execute",
        "deallocate",
        "cursor",
        "declare",
        "for",
        "by",
        "close",
        "fetch",
        "move",
        "listen",
        "notify",
        "unlisten",
        "authorization",
        "savepoint",
        "release",
        "rename",
        "schema",
        "constraint",
        "database",
    ];
    if let [command @ ("fetch" | "move" | "unlisten"), ..] =
        items.iter().map(String::as_str).collect::<Vec<_>>()[..]
    {
        *items = vec![command.to_owned()];
    }
    if items.iter().any(|item| item == "rename") {
        items.retain(|item| !matches!(item.as_str(), "column" | "attribute"));
    }
    drop_names_behind(items, BEFORE);
    let has = |word: &str| items.iter().any(|item| item == word);
    let more: &[&str] = match has {
        _ if has("rename") => &["rule", "trigger"],
        _ if has("revoke") => &["from"],
        _ if has("drop") && has("role") => &["exists"],
        _ => &[],
    };
    drop_names_behind(items, more);
    if items.iter().any(|item| item.starts_with("temp")) {
        drop_names_behind(items, &["table", "exists", "sequence"]);
    }
}

/// `SET TIME ZONE ?` is `SET timezone TO ?`.
fn set_time_zone(items: &mut Vec<String>) {
    if items.first().is_some_and(|first| first == "set") {
        replace(items, &["time", "zone"], &["timezone", "to"]);
    }
}

/// Puts `new` in the place of every `old`.
fn replace(items: &mut Vec<String>, old: &[&str], new: &[&str]) {
    while let Some(at) = items.windows(old.len()).position(|found| found == old) {
        let new = new.iter().map(|item| (*item).to_owned());
        items.splice(at..at + old.len(), new);
    }
}

/// Leaves out each name behind one of `before`.
fn drop_names_behind(items: &mut Vec<String>, before: &[&str]) {
    const NONE: &[&str] = &["execute", "select", "values", "with"];
    let mut last = String::new();
    items.retain(|item| {
        let before = before.contains(&std::mem::replace(&mut last, item.clone()).as_str());
        !before || !is_name(item) || NONE.contains(&item.as_str())
    });
}

/// The items as a set, without constants, brackets and commas.
fn order_and_number(items: &mut Vec<String>) {
    const LEFT_OUT: &[&str] = &[",", "(", ")", "[", "]", "row", "array", "any", "-", "+"];
    items.retain(|item| !LEFT_OUT.contains(&item.as_str()));
    casts_of_constants(items);
    items.retain(|item| item != "?");
    for item in items.iter_mut() {
        match item.as_str() {
            "in" => "=".clone_into(item),
            "not" => "<".clone_into(item),
            _ => {}
        }
    }
    items.sort();
    items.dedup();
}

/// Leaves out all behind LANGUAGE, TRANSACTION and ISOLATION.
fn options(items: &mut Vec<String>) {
    let is_end = |item: &String| matches!(item.as_str(), "language" | "transaction" | "isolation");
    if let Some(end) = items.iter().position(is_end) {
        items.truncate(end);
    }
}

/// Leaves out the words of clauses that a constant may be all of.
fn clauses_of_constants(items: &mut Vec<String>) {
    const WORDS: &[&str] = &[
        "limit",
        "offset",
        "default",
        "drop",
        "set",
        "for",
        "and",
        "where",
        "no",
        "value",
        "values",
        "yes",
        "standalone",
        "any",
        "distinct",
        "language",
        "plpgsql",
        "from",
        "null",
        "true",
        "false",
        "on",
        "off",
        "is",
    ];
    replace(items, &["repeatable", "(", "?", ")"], &[]);
    for word in ["using", "else", "escape"] {
        replace(items, &[word, "?"], &[]);
    }
    items.retain(|item| !WORDS.contains(&item.as_str()));
}

/// Texts by what libpg_query takes for one statement.
#[derive(Default)]
pub struct Groups {
    /// Of each, every canonical text of pg-sql with one text that has it.
    groups: BTreeMap<[u64; 2], BTreeMap<String, String>>,
    texts: usize,
}

/// What came of all texts.
#[derive(Debug, Default)]
pub struct Judged {
    /// Texts that libpg_query has a fingerprint of.
    pub texts: usize,
    /// Different fingerprints of libpg_query.
    pub groups: usize,
    /// How often each exception was needed, as [`EXCEPTIONS`] has them.
    pub excepted: [usize; EXCEPTIONS.len()],
    /// Pairs that libpg_query calls equal and pg-sql does not, for no reason listed.
    pub wrong: Vec<[String; 2]>,
}

impl Groups {
    /// Adds a text, unless the server's parser refuses it.
    pub fn add(&mut self, text: &str) {
        if let Some(group) = of_libpg_query(text) {
            self.texts += 1;
            let canonical = items(text).join(" ");
            let texts = self.groups.entry(group).or_default();
            texts.entry(canonical).or_insert_with(|| text.to_owned());
        }
    }

    /// Compares the texts of each group with its first.
    pub fn judge(&self) -> Judged {
        let mut judged = Judged {
            texts: self.texts,
            groups: self.groups.len(),
            ..Judged::default()
        };
        for group in self.groups.values() {
            let mut texts = group.values();
            let Some(first) = texts.next() else { continue };
            for other in texts {
                match exception(first, other) {
                    Some(number) => judged.excepted[number] += 1,
                    None => judged.wrong.push([first.clone(), other.clone()]),
                }
            }
        }
        judged
    }
}

/// libpg_query's fingerprints, with the options that tell the most apart: relations by their full names
/// with their schemas, and once with their aliases, once without.
pub fn of_libpg_query(text: &str) -> Option<[u64; 2]> {
    let names = FingerprintOptions::FULL_RELNAME | FingerprintOptions::RANGEVAR_INCLUDE_SCHEMA;
    let of = |options| pg_query::fingerprint(text, 0, options).ok();
    let with_aliases = of(names)?;
    let without = of(names | FingerprintOptions::RANGEVAR_IGNORE_ALIASES)?;
    Some([with_aliases.value, without.value])
}

/// The first exception that makes two texts one, alone or with those before it, by its place in
/// [`EXCEPTIONS`].
pub fn exception(one: &str, other: &str) -> Option<usize> {
    let read = [one, other].map(|text| items(&respelled(text)));
    let mut cumulative = read.clone();
    EXCEPTIONS.iter().position(|exception| {
        let mut alone = read.clone();
        [&mut alone, &mut cumulative].into_iter().any(|both| {
            both.iter_mut().for_each(exception.drop);
            both[0] == both[1]
        })
    })
}

/// As libpg_query would write a text.
fn respelled(text: &str) -> String {
    pg_query::parse(text, ParserOptions::default())
        .and_then(|parsed| parsed.deparse(DeparseOptions::default()))
        .unwrap_or_else(|_| text.to_owned())
}

fn items(text: &str) -> Vec<String> {
    let canonical = canonical_text(text.as_bytes(), &LexerOptions::default());
    let canonical = String::from_utf8_lossy(&canonical).into_owned();
    let mut items: Vec<String> = Vec::new();
    for piece in canonical.split(' ') {
        match items.last_mut() {
            // A quoted identifier may hold blanks.
            Some(last) if last.matches('"').count() % 2 == 1 => {
                last.push(' ');
                last.push_str(piece);
            }
            _ => items.push(piece.to_owned()),
        }
    }
    items
}
