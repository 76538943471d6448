//! One JSON object on one line, written from front to back: the query log's lines and the report of
//! the top statements.

use std::fmt::Write;

/// What a statement's fields are written to: a line, or the attributes of a log record.
pub(crate) trait Fields {
    /// A field that is text.
    fn text(&mut self, key: &str, value: &str);

    /// A field that is a whole number.
    fn number(&mut self, key: &str, value: u64);

    /// As [`Fields::text`], left out where there is none.
    fn text_if_any(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.text(key, value);
        }
    }

    /// A duration: given in nanoseconds, written in microseconds.
    fn duration(&mut self, key: &str, nanoseconds: u64) {
        self.number(key, nanoseconds.checked_div(1000).unwrap_or(0));
    }
}

/// An object that is being written.
pub(crate) struct Object<'a> {
    out: &'a mut String,
    empty: bool,
}

impl<'a> Object<'a> {
    /// Writes one object behind what `out` holds.
    pub(crate) fn write(out: &'a mut String, fill: impl FnOnce(&mut Object<'_>)) {
        out.push('{');
        let mut object = Object { out, empty: true };
        fill(&mut object);
        object.out.push('}');
    }

    fn key(&mut self, key: &str) {
        if !std::mem::take(&mut self.empty) {
            self.out.push(',');
        }
        push_string(self.out, key);
        self.out.push(':');
    }

    /// A member that is a list of objects.
    pub(crate) fn list<T>(
        &mut self,
        key: &str,
        items: impl IntoIterator<Item = T>,
        mut fill: impl FnMut(&mut Object<'_>, T),
    ) {
        self.key(key);
        let mut separator = '[';
        for item in items {
            self.out.push(separator);
            separator = ',';
            Object::write(self.out, |object| fill(object, item));
        }
        if separator == '[' {
            self.out.push('[');
        }
        self.out.push(']');
    }
}

impl Fields for Object<'_> {
    fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        push_string(self.out, value);
    }

    fn number(&mut self, key: &str, value: u64) {
        self.key(key);
        // A String takes whatever is written.
        let _written = write!(self.out, "{value}");
    }
}

/// RFC 8259, section 7: quotes, backslashes and control characters are escaped.
fn push_string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            control if control.is_control() => {
                let _written = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

/// Lower-case hex digits, as trace and span ids are written.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        let _written = write!(digits, "{byte:02x}");
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_text_holds_the_line_is_one_line_of_json() {
        let text = "a\"b\\c\nd\te\r\u{0}\u{1b}\u{85}\u{e9}";
        let mut line = String::new();
        Object::write(&mut line, |object| {
            object.text("text", text);
            object.number("n", u64::MAX);
            object.list("none", [0; 0], |_, _| {});
            object.list("some", [1, 2], |object, n| object.number("n", n));
        });
        assert_eq!(line.lines().count(), 1);
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        let expected = serde_json::json!({
            "text": text, "n": u64::MAX, "none": [], "some": [{"n": 1}, {"n": 2}],
        });
        assert_eq!(read, expected);
    }
}
