//! What an entry says of its time, its level and its session.

use super::{Part, Report, number};
use crate::classes::Sensitivity;
use crate::event::Level;
use crate::field::Field;
use crate::memory::{LEAST_WITH_ID, Remembered};
use crate::time::{LONGEST_UTC, TimeError, Timestamp};

/// Fields in the order of a report; those behind the message have functions of their own.
pub(crate) const SESSION_FIELDS: [Field; 18] = [
    Field::UserName,
    Field::DatabaseName,
    Field::Application,
    Field::ClientAddress,
    Field::ClientPort,
    Field::ServerAddress,
    Field::ProcessId,
    Field::BackendType,
    Field::LeaderPid,
    Field::SessionId,
    Field::SessionLine,
    Field::SessionStart,
    Field::CommandTag,
    Field::VirtualTransactionId,
    Field::TransactionId,
    Field::QueryId,
    Field::Position,
    Field::InternalPosition,
];

/// Those of them that the message tells: where in a statement an error is.
const POSITIONS: [Field; 2] = [Field::Position, Field::InternalPosition];

impl Report<'_, '_, '_> {
    /// A time in UTC, or as it is if its zone is not known.
    pub(super) fn time(&mut self, field: Field) {
        let Some(text) = self.field(field) else {
            return;
        };
        let mut minute = self.reporter.minute.get();
        if let Some(utc) = minute.utc(text.raw, &mut [0; LONGEST_UTC]) {
            self.reporter.minute.set(minute);
            self.out.plain(field.name(), utc);
            return;
        }
        self.buffer.clear();
        match Timestamp::parse(text.raw, &self.reporter.options.zones) {
            Ok(time) => {
                time.write(&mut self.buffer);
                self.out.plain(field.name(), &self.buffer);
            }
            Err(TimeError::UnknownZone) => {
                self.zone_unknown = true;
                self.out.text("postgresql.local_time", text.raw);
            }
            Err(TimeError::Malformed) => {}
        }
    }

    pub(super) fn level(&mut self, remembered: Option<&Remembered>) {
        let severity = match self.event.level {
            Level::Severity(severity) => Some(severity),
            Level::Companion(companion) => {
                self.out
                    .plain("postgresql.companion", companion.name().as_bytes());
                remembered.map(|message| message.severity)
            }
        };
        if let Some(severity) = severity {
            self.out.severity(severity);
        }
        if let Some(remembered) = remembered
            && severity >= Some(LEAST_WITH_ID)
        {
            self.out.plain("postgresql.event_id", &remembered.id());
        }
        let own = self.field(Field::Sqlstate).map(|text| text.raw);
        let code = own.or(remembered.and_then(|message| message.sqlstate()));
        if let Some(code) = code {
            self.out.text(Field::Sqlstate.name(), code);
        }
    }

    pub(super) fn session(&mut self) {
        let part = Part {
            number: self.event.fields.session,
            fields: 0,
        };
        if part != Part::default() && !self.event.fields.has(&POSITIONS) {
            if !self.out.recall(part) {
                self.session_fields();
                self.out.remember(part);
            }
            return;
        }
        self.session_fields();
    }

    fn session_fields(&mut self) {
        for field in SESSION_FIELDS {
            match field {
                Field::SessionStart => self.time(field),
                Field::UserName => self.named(field, Sensitivity::User),
                Field::ClientAddress | Field::ServerAddress => {
                    self.named(field, Sensitivity::Host);
                }
                _ => self.plain(field),
            }
        }
    }

    /// A field that is kept unless asked.
    fn named(&mut self, field: Field, sensitivity: Sensitivity) {
        if !self.redactor().hides(sensitivity, field.name()) {
            self.plain(field);
        }
    }

    pub(super) fn plain(&mut self, field: Field) {
        if let Some(text) = self.field(field) {
            let text = text.decode();
            if field.is_number() {
                number(self.out, field.name(), &text);
            } else {
                self.out.text(field.name(), &text);
            }
        }
    }
}
