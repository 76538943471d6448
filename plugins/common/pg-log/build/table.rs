//! Reads a table of messages: sections, classes, their patterns, and an example of each pattern.
//!
//! ```text
//! # Section
//!
//! class_name SQLSTATE...
//! = a pattern of {values}
//! 15 18 < what PostgreSQL 15 and 18 printed
//! = another pattern
//! source < what the source says the server prints
//!
//! class_that_only_its_SQLSTATE_tells SQLSTATE
//! 15 18 < what they printed
//! ```
//!
//! The SQLSTATEs are enough to tell the class; `SQLSTATE!` is also that of each message of its. `\n` in a
//! pattern or an example is a newline. Used by `build.rs` and by the tests.

/// A class.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) section: String,
    pub(crate) name: String,
    pub(crate) sqlstates: Vec<String>,
    /// The one that each of its messages has.
    pub(crate) sqlstate: Option<String>,
    pub(crate) patterns: Vec<Pattern>,
    /// Of messages without a pattern, which their SQLSTATE tells.
    pub(crate) examples: Vec<Example>,
}

/// A pattern with its examples.
#[derive(Debug)]
pub(crate) struct Pattern {
    pub(crate) text: String,
    pub(crate) examples: Vec<Example>,
}

/// Who printed what.
#[derive(Debug)]
pub(crate) struct Example {
    /// `15`, `18`, `15 18` or `source`.
    pub(crate) origin: String,
    pub(crate) text: String,
}

/// Reads a table; an error names the line.
pub(crate) fn read(text: &str) -> Result<Vec<Row>, String> {
    let mut rows: Vec<Row> = Vec::new();
    let mut section = String::new();
    for (number, line) in (1..).zip(text.lines()) {
        let wrong = |what: &str| format!("line {}: {what}", number);
        if let Some(title) = line.strip_prefix("# ") {
            section = title.to_owned();
        } else if let Some(pattern) = line.strip_prefix("= ") {
            let row = rows
                .last_mut()
                .ok_or_else(|| wrong("a pattern without a class"))?;
            let text = pattern.replace("\\n", "\n");
            if text.matches('{').count() > 24 {
                return Err(wrong("more values than a pattern may have"));
            }
            row.patterns.push(Pattern {
                text,
                examples: Vec::new(),
            });
        } else if let Some((origin, example)) = line.split_once(" < ") {
            let row = rows.last_mut();
            let row = row.ok_or_else(|| wrong("an example without a class"))?;
            let examples = match row.patterns.last_mut() {
                Some(pattern) => &mut pattern.examples,
                None => &mut row.examples,
            };
            examples.push(Example {
                origin: origin.to_owned(),
                text: example.replace("\\n", "\n"),
            });
        } else if !line.is_empty() {
            let mut words = line.split(' ');
            let name = words.next().unwrap_or_default().to_owned();
            if !name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
            {
                return Err(wrong("no class, pattern or example"));
            }
            if rows.iter().any(|row| row.name == name) {
                return Err(wrong("a class that is there already"));
            }
            let codes: Vec<&str> = words.collect();
            let bare = |code: &str| code.trim_end_matches('!').to_owned();
            rows.push(Row {
                section: section.clone(),
                name,
                sqlstates: codes.iter().map(|code| bare(code)).collect(),
                sqlstate: match codes.as_slice() {
                    [code] => code.strip_suffix('!').map(str::to_owned),
                    _ => None,
                },
                patterns: Vec::new(),
                examples: Vec::new(),
            });
        }
    }
    check(&rows)?;
    Ok(rows)
}

/// Each class stands in a section, each pattern has an example, and each example says who printed it.
fn check(rows: &[Row]) -> Result<(), String> {
    for row in rows {
        if row.section.is_empty() {
            return Err(format!("{} stands in no section", row.name));
        }
        for pattern in &row.patterns {
            if pattern.examples.is_empty() {
                return Err(format!("no example of: {}", pattern.text));
            }
            let known = |one: &Example| {
                ["15", "18", "15 18", "source"].contains(&one.origin.as_str())
                    && !one.text.is_empty()
            };
            if !pattern.examples.iter().all(known) {
                return Err(format!("an example of nobody's: {}", pattern.text));
            }
        }
    }
    Ok(())
}
