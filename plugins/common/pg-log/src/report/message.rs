//! A message and what stands below it, with the values of their patterns.

use super::statement::Held;
use super::{Report, written};
use crate::author::Author;
use crate::classes::{Kind, Recognized, Sensitivity, Value};
use crate::event::Format;
use crate::field::Field;
use crate::redact::{Redaction, Redactor, first_line};
use crate::scan::{behind, find_byte};
use crate::text::Form;

impl Report<'_, '_, '_> {
    pub(super) fn message(
        &mut self,
        message: &[u8],
        found: Option<&Recognized<'_>>,
        held: Option<&Held<'_>>,
    ) {
        let form = self.field(Field::Message).map(|text| text.form);
        let one_line = self.event.format == Format::Stderr && form == Some(Form::Plain);
        self.several_lines = !one_line && find_byte(message, b'\n').is_some();
        if let Some(found) = found
            && self.redactor().keeps(message, found, self.several_lines)
        {
            self.out.text(Field::Message.name(), message);
            self.captures(message, found);
            return;
        }
        let mut out = std::mem::take(&mut self.buffer);
        out.clear();
        let redactor = Redactor {
            plan: held.and_then(Held::plan),
            ..self.redactor()
        };
        redactor.message(message, self.author, found, &mut out);
        self.out.text(Field::Message.name(), &out);
        self.buffer = out;
        if let Some(found) = found {
            self.captures(message, found);
        }
    }

    /// The values of a pattern, but for those that are data, or SQL, which has its own place, and those that
    /// the event has a field for.
    fn captures(&mut self, whole: &[u8], found: &Recognized<'_>) {
        let redactor = self.redactor();
        let fields = &self.event.fields;
        let has_field = |value: &Value| value.field.is_some_and(|field| fields.has(&[field]));
        let mut rewritten = Vec::new();
        for capture in found.captures(whole) {
            let value = capture.value;
            let mut text = capture.text;
            match value.sensitivity {
                _ if has_field(value) => continue,
                Sensitivity::Lines => {
                    self.report_lines(text);
                    continue;
                }
                Sensitivity::Sql => {
                    self.audited_parameter(value.name, whole);
                    continue;
                }
                sensitivity if redactor.hides(sensitivity, value.name) => continue,
                sensitivity if sensitivity.is_rewritten() => {
                    rewritten.clear();
                    redactor.value(sensitivity, value.name, text, &mut rewritten);
                    text = &rewritten;
                }
                _ => {}
            }
            if self.redaction == Redaction::Strict && self.several_lines {
                text = first_line(text);
            }
            if text.is_empty() || text == b"?" || !self.say(value) {
                continue;
            }
            match value.kind {
                Kind::Integer | Kind::Decimal => written(self.out, value.full_name, text),
                _ => self.out.text(value.full_name, text),
            }
        }
    }

    /// Whether a name is new.
    fn say(&mut self, value: &Value) -> bool {
        // Each name stands in one place only.
        let is_it = |said: &&str| std::ptr::eq(*said, value.full_name);
        let is_new = !self.said.iter().any(is_it);
        if is_new {
            self.said.push(value.full_name);
        }
        is_new
    }

    fn report_lines(&mut self, text: &[u8]) {
        for line in text.split(|byte| *byte == b'\n') {
            if let Some(found) = self.reporter.classes.report(line) {
                self.captures(line, &found);
            }
        }
    }

    /// A DETAIL, HINT or CONTEXT, and the values in its lines.
    pub(super) fn companion(&mut self, field: Field, author: Author) {
        let Some(text) = self.field(field) else {
            return;
        };
        let text = text.decode();
        let mut out = std::mem::take(&mut self.buffer);
        out.clear();
        let lines = self.redactor().companion(field, &text, author, &mut out);
        self.out.text(field.name(), &out);
        self.buffer = out;
        if author == Author::Function {
            return;
        }
        self.several_lines = true;
        for (at, found) in lines {
            self.captures(behind(&text, at), &found);
        }
    }
}
