//! Plans of auto_explain without their data: the query is SQL, and so is what is computed, filtered
//! or compared; what a plan counts and what it names stays.
//!
//! Source: `src/backend/commands/explain.c`; formats `text`, `json` and `yaml`. XML goes as a whole.

use crate::json;
use crate::redact::{Brackets, quoted, statement};
use crate::scan::{before, behind, find, find_byte};

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
    redact(text, &mut out);
    out
}

/// Writes a plan as it may be seen.
pub(crate) fn redact(text: &[u8], out: &mut Vec<u8>) {
    match text.first() {
        Some(b'<') => out.push(b'?'),
        Some(b'{' | b'[') => in_json(text, out),
        // A statement does not begin with a quote: this is YAML's.
        _ if text.starts_with(b"Query Text: \"") => lines(text, member, out),
        _ => in_text(text, out),
    }
}

fn lines(text: &[u8], line: fn(&[u8], &mut Vec<u8>), out: &mut Vec<u8>) {
    for (number, one) in text.split(|byte| *byte == b'\n').enumerate() {
        if number > 0 {
            out.push(b'\n');
        }
        line(one, out);
    }
}

fn in_text(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    if let Some(query) = text.strip_prefix(b"Query Text: ") {
        let end = end_of_query(query);
        out.extend_from_slice(b"Query Text: ");
        out.extend_from_slice(&statement(before(query, end)));
        rest = behind(query, end);
    }
    lines(rest, line_of_text, out);
}

/// Where the plan begins behind the query: at the first line that has a cost, or the end.
fn end_of_query(query: &[u8]) -> usize {
    let mut at = 0_usize;
    while let Some(newline) = find_byte(behind(query, at), b'\n') {
        let line = at.saturating_add(newline);
        let next = behind(query, line.saturating_add(1));
        let end = find_byte(next, b'\n').unwrap_or(next.len());
        if find(before(next, end), b"  (cost=").is_some() || next.starts_with(b"Query Parameters:")
        {
            return line;
        }
        at = line.saturating_add(1);
    }
    query.len()
}

/// A node, or `Label: value` below one.
fn line_of_text(line: &[u8], out: &mut Vec<u8>) {
    let indent = line.iter().take_while(|byte| **byte == b' ').count();
    let inner = behind(line, indent);
    let label = find(inner, b": ").filter(|_| find(inner, b"  (cost=").is_none());
    let Some(label) = label else {
        quoted(line, Brackets::Keep, out);
        return;
    };
    let name = before(inner, label);
    let counts = COUNTS.contains(&name) || COUNTS_OF.iter().any(|begin| name.starts_with(begin));
    if counts {
        quoted(line, Brackets::Keep, out);
    } else {
        let value = indent.saturating_add(label).saturating_add(2);
        out.extend_from_slice(before(line, value));
        out.extend_from_slice(&statement(behind(line, value)));
    }
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
        quoted(line, Brackets::Keep, out);
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
        quoted(behind(line, value), Brackets::Keep, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(plan: &str) -> String {
        let mut out = Vec::new();
        redact(plan.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
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
            ("<explain>\n<Query-Text>SELECT 7</Query-Text>", "?"),
        ] {
            assert_eq!(redacted(plan), expected);
        }
    }
}
