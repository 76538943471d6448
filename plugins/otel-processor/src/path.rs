//! Where in a configuration an error is, from the line and the column that `serde_json` gives.

use std::fmt::Write as _;

/// A list or an object that is open.
enum Open {
    /// The place of its current item.
    List(usize),
    /// The key of its current member, once its colon was read.
    Object(Option<String>),
}

/// The path to what stands at a place: `traces.scopes[0]`. Lines and columns begin at 1; the document is
/// JSON up to there. Empty at the top.
pub(crate) fn path_at(json: &str, line: usize, column: usize) -> String {
    let mut open: Vec<Open> = Vec::new();
    let mut rest = before(json, line, column);
    let mut string = "";
    while let Some(next) = rest.chars().next() {
        let tail = rest.get(next.len_utf8()..).unwrap_or_default();
        rest = tail;
        match (next, open.last_mut()) {
            ('"', _) => (string, rest) = split_string(tail),
            (':', Some(Open::Object(key))) => *key = Some(string.to_owned()),
            (',', Some(Open::Object(key))) => *key = None,
            (',', Some(Open::List(place))) => *place = place.saturating_add(1),
            ('{', _) => open.push(Open::Object(None)),
            ('[', _) => open.push(Open::List(0)),
            ('}' | ']', _) => {
                open.pop();
            }
            _ => {}
        }
    }
    written(&open)
}

fn before(json: &str, line: usize, column: usize) -> &str {
    let mut lines = json.split_inclusive('\n').take(line.saturating_sub(1));
    let start = lines.by_ref().map(str::len).sum::<usize>();
    let end = start.saturating_add(column).min(json.len());
    json.get(..end).unwrap_or(json)
}

/// The inside of a string as it is written, and what follows its closing quote.
fn split_string(text: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = text.find(|next| {
        let closes = next == '"' && !escaped;
        escaped = next == '\\' && !escaped;
        closes
    });
    end.and_then(|end| Some((text.get(..end)?, text.get(end.saturating_add(1)..)?)))
        .unwrap_or((text, ""))
}

fn written(open: &[Open]) -> String {
    let mut path = String::new();
    for step in open {
        match step {
            Open::List(place) => {
                let _ = write!(path, "[{place}]");
            }
            Open::Object(Some(key)) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(key);
            }
            Open::Object(None) => {}
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_that_of_the_value_in_front_of_the_place() {
        let json = "{\"a\": {\"b\\\"\": [1, {\"c\": 2}, 3]},\n \"d\": 4}";
        for (line, text, expected) in [
            (1, "{", ""),
            (1, "{\"a\"", ""),
            (1, "{\"a\": {\"b\\\"\": [1", "a.b\\\"[0]"),
            (1, "{\"a\": {\"b\\\"\": [1, {\"c\": 2", "a.b\\\"[1].c"),
            (1, "{\"a\": {\"b\\\"\": [1, {\"c\": 2}, 3", "a.b\\\"[2]"),
            (2, " \"d\": 4", "d"),
        ] {
            assert_eq!(path_at(json, line, text.len()), expected, "{text}");
        }
    }
}
