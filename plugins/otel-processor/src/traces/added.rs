//! Attributes that a span or record does not have, and gets.

use otlp_wire::{Editor, Message, Writer, schema};

use super::Traces;
use super::attributes::{Facts, Found, Lost, OTHER_ERROR, is_taken};
use super::names::{self, Role, Slot};
use crate::config::Migrate;
use crate::statement::Said;

impl Traces {
    /// Adds the attributes that are missing, as fields of this number.
    pub(super) fn add<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        (message, number): (Message<'a>, u32),
        found: &[Found<'a>],
        facts: &Facts<'a>,
    ) {
        if facts.is_stripped() {
            return;
        }
        editor.append(message, |new| {
            if !facts.has(Slot::System) {
                new.text_attribute(number, names::SYSTEM, "postgresql");
            }
            match self.config.migrate {
                Migrate::Duplicate => self.duplicate(new, number, found),
                Migrate::Off if !facts.has(Slot::Namespace) => {
                    // The conventions ask for it whenever it is known.
                    if let Some(database) = facts.database {
                        new.attribute(number, names::NAMESPACE, database.bytes());
                    }
                }
                Migrate::Off | Migrate::Replace => {}
            }
            if facts.sqlstate.is_some() || facts.failed {
                add_errors(new, number, facts);
            }
            if let Some(said) = facts.said.as_ref().filter(|_| !facts.is_described()) {
                add_said(new, number, (said, found, facts.present));
            }
        });
    }

    /// Says in the message that is entered what it has lost, if nobody has said so before.
    pub(super) fn say_lost<'a>(
        editor: &mut Editor<'a>,
        (message, number): (Message<'a>, u32),
        (lost, present): (Lost, u32),
    ) {
        if let Some(error) = lost.filter(|_| present & Slot::Error.bit() == 0) {
            editor.append(message, |new| {
                new.text_attribute(number, names::ERROR, &error.to_string());
            });
        }
    }

    /// Adds older attributes under their names in the stable conventions.
    fn duplicate(&mut self, new: &mut Writer<'_>, number: u32, found: &[Found<'_>]) {
        for (place, one) in found.iter().enumerate() {
            let Some(stable) = one.meaning.stable else {
                continue;
            };
            if is_taken(found, place, stable) {
                continue;
            }
            match (one.meaning.role, one.text()) {
                (Role::Query | Role::Words, Some(text)) => {
                    let redacted = self.statements.redact(text);
                    let text = redacted.map_or_else(|| text.to_vec(), String::into_bytes);
                    let text = String::from_utf8_lossy(&text);
                    new.text_attribute(number, stable, &text);
                }
                (Role::Plain | Role::System, _) => {
                    let any = one.attribute.value.map_or(&b""[..], Message::bytes);
                    new.attribute(number, stable, any);
                }
                _ => {}
            }
        }
    }
}

fn add_errors(new: &mut Writer<'_>, number: u32, facts: &Facts<'_>) {
    let utf8 = |text| std::str::from_utf8(text).ok();
    let code = facts.sqlstate.as_ref().and_then(|code| utf8(code));
    if let Some(code) = code.filter(|_| !facts.has(Slot::StatusCode)) {
        new.text_attribute(number, names::STATUS_CODE, code);
    }
    // The conventions ask for one of whatever failed.
    let exception = facts.exception.and_then(utf8).unwrap_or(OTHER_ERROR);
    let class = code.or(facts.failed.then_some(exception));
    if let Some(class) = class.filter(|_| !facts.has(Slot::ErrorType)) {
        new.text_attribute(number, names::ERROR_TYPE, class);
    }
}

fn add_said(new: &mut Writer<'_>, number: u32, (said, found, present): (&Said, &[Found<'_>], u32)) {
    let added = &said.added;
    if number == schema::span::ATTRIBUTES && added.slots & present == 0 {
        new.fields(&added.bytes);
        return;
    }
    for (slot, attribute) in added.each() {
        let is_there = match slot {
            // There are several, which the slot does not tell apart.
            Slot::Tag => present & slot.bit() != 0 && has_tag(found, attribute),
            _ => present & slot.bit() != 0,
        };
        if !is_there {
            new.bytes(number, attribute);
        }
    }
}

/// Whether there is an attribute of the same name as one that is written already.
fn has_tag(found: &[Found<'_>], written: &[u8]) -> bool {
    let written = otlp_wire::KeyValue::read(Message::new(written));
    written.is_ok_and(|written| {
        let mut found = found.iter();
        found.any(|one| one.attribute.key == written.key)
    })
}
