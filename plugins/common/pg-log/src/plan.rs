//! Plans of auto_explain without their data: the query is SQL, and so is what is computed, filtered
//! or compared; what a plan counts and what it names stays.
//!
//! Source: `src/backend/commands/explain.c`; formats `text`, `json` and `yaml`. Of XML nothing stays; its query
//! is read all the same.

use std::borrow::Cow;

use pg_sql::{Lexer, LexerOptions, TokenKind};

use crate::json;
use crate::redact::{self, statement};
use crate::scan::{before, behind, find, find_byte};
use crate::unknown::{self, QUOTES_ONLY};

/// Labels of text plans whose values are counts, sizes and times.
const COUNTS: [&[u8]; 32] = [
    b"Batches",
    b"Buckets",
    b"Buffers",
    b"Cache Mode",
    b"Conflicting Tuples",
    b"Disk",
    b"Estimates",
    b"Execution Time",
    b"Full-sort Groups",
    b"Functions",
    b"Heap Blocks",
    b"Heap Fetches",
    b"Hits",
    b"I/O Timings",
    b"Index Searches",
    b"JIT",
    b"Maximum Storage",
    b"Options",
    b"Peak Memory",
    b"Planned Partitions",
    b"Planning",
    b"Planning Time",
    b"Pre-sorted Groups",
    b"Query Identifier",
    b"Sort Method",
    b"Storage",
    b"Subplans Removed",
    b"Timing",
    b"Tuples Inserted",
    b"WAL",
    b"Workers Launched",
    b"Workers Planned",
];
/// The same where what follows differs: `Rows Removed by Filter`, `Worker 0`, `Trigger t`.
const COUNTS_OF: [&[u8]; 3] = [b"Rows Removed by ", b"Worker ", b"Trigger "];

/// Keys of plans in JSON whose strings are SQL.
const EXPRESSIONS: [&[u8]; 22] = [
    b"Cache Key",
    b"Conflict Filter",
    b"Filter",
    b"Function Call",
    b"Group Key",
    b"Hash Cond",
    b"Hash Key",
    b"Index Cond",
    b"Join Filter",
    b"Merge Cond",
    b"One-Time Filter",
    b"Order By",
    b"Output",
    b"Presorted Key",
    b"Query Parameters",
    b"Query Text",
    b"Recheck Cond",
    b"Remote SQL",
    b"Run Condition",
    b"Sort Key",
    b"TID Cond",
    b"Table Function Call",
];

/// Labels of text plans whose values are SQL or lists of names, besides those.
const MORE_EXPRESSIONS: [&[u8]; 8] = [
    b"Conflict Arbiter Indexes",
    b"Conflict Resolution",
    b"Key",
    b"Relations",
    b"Repeatable Seed",
    b"Sampling",
    b"Settings",
    b"Window",
];
/// How those of extensions end.
const EXPRESSIONS_END: [&[u8]; 3] = [b" Cond", b" Filter", b" Key"];

/// Keys of plans in JSON and YAML whose strings are the schema's or the planner's words.
const NAMES: [&[u8]; 16] = [
    b"Alias",
    b"CTE Name",
    b"Command",
    b"Function Name",
    b"Index Name",
    b"Join Type",
    b"Node Type",
    b"Operation",
    b"Parent Relationship",
    b"Partial Mode",
    b"Relation Name",
    b"Scan Direction",
    b"Schema",
    b"Sort Method",
    b"Strategy",
    b"Subplan Name",
];

/// A plan as it may be seen, in any of `EXPLAIN`'s formats; in JSON on one line, too.
#[must_use]
pub fn redact_plan(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    Plan::of(text).redact(&mut out);
    out
}

/// A plan, in whatever format it is.
#[derive(Debug)]
pub(crate) struct Plan<'t> {
    text: &'t [u8],
    /// The same with nothing in its strings and comments, if it is text: what it is of is found by it, and what
    /// may be seen.
    masked: Option<Vec<u8>>,
}

impl<'t> Plan<'t> {
    pub(crate) fn of(text: &'t [u8]) -> Self {
        let other = matches!(text.first(), Some(b'<' | b'{' | b'[')) || text.starts_with(YAML);
        Self {
            text,
            masked: (!other).then(|| masked(text)),
        }
    }

    /// Writes it as it may be seen.
    pub(crate) fn redact(&self, out: &mut Vec<u8>) {
        match (self.text.first(), &self.masked) {
            (_, Some(masked)) => in_text(self.text, masked, out),
            (Some(b'<'), _) => out.push(b'?'),
            (Some(b'{' | b'['), _) => in_json(self.text, out),
            _ => {
                for (number, line) in self.text.split(|byte| *byte == b'\n').enumerate() {
                    newline(number, out);
                    member(line, out);
                }
            }
        }
    }

    /// The statement that it is of.
    pub(crate) fn query(&self) -> Option<Cow<'t, [u8]>> {
        if let Some(masked) = &self.masked {
            let end = end_of_query(masked.strip_prefix(QUERY)?);
            return Some(Cow::Borrowed(before(behind(self.text, QUERY.len()), end)));
        }
        let inside = match self.text.first()? {
            b'<' => return Some(Cow::Owned(query_in_xml(self.text)?)),
            b'{' | b'[' => {
                let object = behind(self.text, find_byte(self.text, b'{')?);
                let mut members = json::Members::of(object);
                members.find(|member| member.key == b"Query Text")?.value
            }
            _ => {
                let inside = self.text.strip_prefix(YAML)?;
                before(inside, end_of_string(inside)?)
            }
        };
        let mut query = Vec::new();
        json::unescape(inside, &mut query);
        Some(Cow::Owned(query))
    }
}

/// What `escape_xml` of `src/backend/utils/adt/xml.c` writes, behind its `&`, for bytes that have a meaning in XML.
const XML_ESCAPES: [(&[u8], u8); 4] = [
    (b"amp;", b'&'),
    (b"lt;", b'<'),
    (b"gt;", b'>'),
    (b"#x0d;", b'\r'),
];

/// The query of a plan in XML, if all of it is there.
fn query_in_xml(plan: &[u8]) -> Option<Vec<u8>> {
    const BEGIN: &[u8] = b"<Query-Text>";
    const END: &[u8] = b"</Query-Text>";
    let begin = find(plan, BEGIN)?.checked_add(BEGIN.len())?;
    let inside = behind(plan, begin);
    let mut rest = before(inside, find(inside, END)?);
    let mut query = Vec::with_capacity(rest.len());
    while let Some(at) = find_byte(rest, b'&') {
        query.extend_from_slice(before(rest, at));
        let escaped = behind(rest, at.saturating_add(1));
        let mut escapes = XML_ESCAPES.iter();
        let (name, byte) = escapes.find(|(name, _)| escaped.starts_with(name))?;
        query.push(*byte);
        rest = behind(escaped, name.len());
    }
    query.extend_from_slice(rest);
    Some(query)
}

fn newline(number: usize, out: &mut Vec<u8>) {
    if number > 0 {
        out.push(b'\n');
    }
}

/// The query, and the lines of its plan. A string or comment may have newlines, and lines behind them that
/// look like a plan's: where lines end is asked of a text that has neither.
fn in_text(text: &[u8], masked: &[u8], out: &mut Vec<u8>) {
    let mut at = 0_usize;
    if let Some(query) = masked.strip_prefix(QUERY) {
        let end = end_of_query(query);
        let query = before(behind(text, QUERY.len()), end);
        let redacted = redact::sql(query);
        out.extend_from_slice(QUERY);
        out.extend_from_slice(&redacted.text);
        at = QUERY.len().saturating_add(end);
        if at < text.len() && redacted.lexed_to < query.len() {
            // Where its strings end is not sure, nor is where those of the plan do.
            out.extend_from_slice(b"\n?");
            return;
        }
    }
    for (number, line) in behind(masked, at).split(|byte| *byte == b'\n').enumerate() {
        newline(number, out);
        let whole = before(behind(text, at), line.len());
        line_of_text(whole, line, out);
        at = at.saturating_add(line.len()).saturating_add(1);
    }
}

/// What stands before the query.
const QUERY: &[u8] = b"Query Text: ";
/// The same in YAML, with the quote: a statement does not begin with one.
const YAML: &[u8] = b"Query Text: \"";

/// A text with nothing in its strings and comments, byte for byte as long.
fn masked(text: &[u8]) -> Vec<u8> {
    let mut masked = text.to_vec();
    for token in Lexer::new(text, LexerOptions::default()) {
        let comment = matches!(token.kind, TokenKind::LineComment | TokenKind::BlockComment);
        let hidden = comment || token.kind.is_string();
        if hidden && let Some(inside) = masked.get_mut(token.start..token.end) {
            inside.fill(b'x');
        }
    }
    masked
}

/// Where the plan begins behind the query: at the first line that has a cost, or the end.
fn end_of_query(query: &[u8]) -> usize {
    let mut at = 0_usize;
    while let Some(newline) = find_byte(behind(query, at), b'\n') {
        let line = at.saturating_add(newline);
        let next = behind(query, line.saturating_add(1));
        let end = find_byte(next, b'\n').unwrap_or(next.len());
        if is_node(before(next, end)) || next.starts_with(b"Query Parameters:") {
            return line;
        }
        at = line.saturating_add(1);
    }
    query.len()
}

/// Whether a line has the estimates of a node, which no SQL can have.
fn is_node(line: &[u8]) -> bool {
    find(line, b"  (cost=")
        .map(|cost| behind(line, cost))
        .is_some_and(|cost| find(cost, b" rows=").is_some() && find(cost, b"..").is_some())
}

/// A node, or `Label: value` below one; `masked` is the same without its strings. Of a label that is not
/// known the value goes: a foreign table's is a program or a file.
fn line_of_text(line: &[u8], masked: &[u8], out: &mut Vec<u8>) {
    let indent = masked.iter().take_while(|byte| **byte == b' ').count();
    let inner = behind(masked, indent);
    let label = find(inner, b": ").filter(|_| !is_node(inner));
    let Some(label) = label else {
        unknown::write(line, QUOTES_ONLY, out);
        return;
    };
    let name = before(inner, label);
    let counts = COUNTS.contains(&name) || COUNTS_OF.iter().any(|begin| name.starts_with(begin));
    if counts {
        unknown::write(line, QUOTES_ONLY, out);
    } else {
        let value = indent.saturating_add(label).saturating_add(2);
        out.extend_from_slice(before(line, value));
        if is_expression(name) {
            out.extend_from_slice(&statement(behind(line, value)));
        } else {
            out.push(b'?');
        }
    }
}

fn is_expression(label: &[u8]) -> bool {
    EXPRESSIONS.contains(&label)
        || MORE_EXPRESSIONS.contains(&label)
        || EXPRESSIONS_END.iter().any(|end| label.ends_with(end))
}

/// Strings, each by the key before it, and what stands between them if it is JSON's.
fn in_json(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    let mut key: &[u8] = b"";
    loop {
        let quote = find_byte(rest, b'"');
        let between = before(rest, quote.unwrap_or(rest.len()));
        if between.split(|byte| is_punctuation(*byte)).all(is_scalar) {
            out.extend_from_slice(between);
        } else {
            out.push(b'?');
        }
        let Some(quote) = quote else {
            return;
        };
        let inside = behind(rest, quote.saturating_add(1));
        let Some(end) = end_of_string(inside) else {
            out.extend_from_slice(b"\"?");
            return;
        };
        let (string, next) = (before(inside, end), behind(inside, end.saturating_add(1)));
        out.push(b'"');
        if next.trim_ascii_start().starts_with(b":") {
            key = string;
            out.extend_from_slice(string);
        } else {
            string_of_json(key, string, out);
        }
        out.push(b'"');
        rest = next;
    }
}

fn string_of_json(key: &[u8], string: &[u8], out: &mut Vec<u8>) {
    if NAMES.contains(&key) {
        out.extend_from_slice(string);
    } else if EXPRESSIONS.contains(&key) {
        let mut sql = Vec::new();
        json::unescape(string, &mut sql);
        json::escape(&statement(&sql), out);
    } else {
        out.push(b'?');
    }
}

/// Where the string ends whose inside `text` begins with.
fn end_of_string(text: &[u8]) -> Option<usize> {
    let mut at = 0_usize;
    loop {
        let special = behind(text, at)
            .iter()
            .position(|byte| matches!(byte, b'"' | b'\\'))?;
        at = at.saturating_add(special);
        if text.get(at) == Some(&b'"') {
            return Some(at);
        }
        at = at.saturating_add(2);
    }
}

fn is_punctuation(byte: u8) -> bool {
    byte.is_ascii_whitespace() || b"{}[],:".contains(&byte)
}

fn is_scalar(text: &[u8]) -> bool {
    let number = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
    matches!(text, b"true" | b"false" | b"null") || text.iter().all(number)
}

/// `Key: "value"` of YAML: a string stays if it is a name.
fn member(line: &[u8], out: &mut Vec<u8>) {
    let Some(colon) = find(line, b": ") else {
        // Elements of lists are expressions.
        unknown::write(line, QUOTES_ONLY, out);
        return;
    };
    let marks = |byte: &u8| matches!(byte, b' ' | b'"' | b'-');
    let key = before(line, colon);
    let blank = key.iter().take_while(|byte| marks(byte)).count();
    let key = behind(key, blank);
    let key = key.strip_suffix(b"\"").unwrap_or(key);
    let value = colon.saturating_add(2);
    if NAMES.contains(&key) {
        out.extend_from_slice(line);
    } else {
        out.extend_from_slice(before(line, value));
        unknown::write(behind(line, value), QUOTES_ONLY, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(plan: &str) -> String {
        let mut out = Vec::new();
        Plan::of(plan.as_bytes()).redact(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_query_of_a_plan_in_xml_is_the_one_that_was_sent() {
        let query = |text: &str| {
            let plan = format!("<explain>\n  <Query-Text>{text}\n  <Plan>");
            let query = Plan::of(plan.as_bytes()).query();
            query.map(|query| String::from_utf8(query.into_owned()).unwrap())
        };
        let sent = "SELECT a &lt;&gt; 'x' &amp; &amp;lt;\n&#x0d;FROM t</Query-Text>";
        assert_eq!(query(sent).unwrap(), "SELECT a <> 'x' & &lt;\n\rFROM t");
        assert_eq!(query("SELECT 'cut sh"), None);
        assert_eq!(query("SELECT &unknown;</Query-Text>"), None);
    }

    #[test]
    fn a_plan_keeps_its_shape_and_loses_its_values() {
        for (plan, expected) in [
            (
                "Query Text: SELECT 7\nLimit  (cost=0.00..1.0 rows=1 width=4)\n  ->  Seq Scan on t  (cost=0.00..1.0 rows=1 width=4)\n        Filter: (a = 7)\n        Rows Removed by Filter: 12",
                "Query Text: SELECT ?\nLimit  (cost=0.00..1.0 rows=1 width=4)\n  ->  Seq Scan on t  (cost=0.00..1.0 rows=1 width=4)\n        Filter: (a = ?)\n        Rows Removed by Filter: 12",
            ),
            (
                "{\n  \"Query Text\": \"SELECT 'a: b' \\\"x\\\"\",\n  \"Plan\": {\n    \"Node Type\": \"Seq Scan\",\n    \"Plan Rows\": 5,\n    \"Output\": [\n      \"(a + 7)\"\n    ],\n    \"Filter\": \"(a = 7)\"\n  }\n}",
                "{\n  \"Query Text\": \"SELECT ? \\\"x\\\"\",\n  \"Plan\": {\n    \"Node Type\": \"Seq Scan\",\n    \"Plan Rows\": 5,\n    \"Output\": [\n      \"(a + ?)\"\n    ],\n    \"Filter\": \"(a = ?)\"\n  }\n}",
            ),
            (
                r#"[{"Plan":{"Node Type":"Seq Scan","Filter":"(a = 'x''\\')","Total Cost":1.5e3,"Settings":{"search_path":"x"}}}]"#,
                r#"[{"Plan":{"Node Type":"Seq Scan","Filter":"(a = ?)","Total Cost":1.5e3,"Settings":{"search_path":"?"}}}]"#,
            ),
            (
                r#"{"Node Type": "A", x, "Filter": "b = 'x"#,
                r#"{"Node Type": "A"?"Filter": "?"#,
            ),
            (
                "Query Text: \"SELECT 7\"\nPlan: \n  Node Type: \"Seq Scan\"\n  Filter: \"(a = 7)\"",
                "Query Text: \"?\"\nPlan: \n  Node Type: \"Seq Scan\"\n  Filter: \"?\"",
            ),
            (
                "Query Text: SELECT 'a\nSeq Scan on b  (cost=0.00..1.0 rows=1 width=4)\nsecret', f  (cost=7)\nResult  (cost=0.00..1.0 rows=1 width=4)\n  Output: 'c\nsecret'\n  One-Time Filter: (8 = 9)",
                "Query Text: SELECT ?, f  (cost=?)\nResult  (cost=0.00..1.0 rows=1 width=4)\n  Output: ?\n  One-Time Filter: (? = ?)",
            ),
            ("<explain>\n<Query-Text>SELECT 7</Query-Text>", "?"),
        ] {
            assert_eq!(redacted(plan), expected);
        }
    }
}
