//! Records whose text is no entry: parts of one, lines that cannot be read, and those of other programs
//! between a server's.

use pg_log::json::{self, Kind};
use pg_log::{Format, Sink, Unread};

use super::{Buffers, Filter, Outcome};
use crate::config::RedactionMode;
use crate::output::{Output, Place};

/// A text that goes as a whole.
const WITHHELD: &[u8] = b"?";

impl Filter {
    /// Whether texts that are no entries stay as they are.
    fn keeps_texts(&self) -> bool {
        let keep = self.config.keep_raw || self.config.classify_only;
        keep || self.config.redaction == RedactionMode::Off
    }

    /// Writes a record whose texts, those taken, cannot be read.
    pub(super) fn withhold(&mut self, all: &mut [Place<'_>], unread: Unread) -> Outcome {
        if self.keeps_texts() {
            return Outcome::Unchanged;
        }
        for place in all.iter_mut().filter(|place| place.taken) {
            place.put(WITHHELD);
        }
        let fault = match unread {
            Unread::Continuation => "continuation",
            Unread::Unreadable | Unread::Foreign => "unreadable",
        };
        self.with_fault(all, fault)
    }

    /// Handles a record that no text of is an entry. Between the entries of a server a line passes if it
    /// is known to be another program's, but for the literals of SQL in it.
    pub(super) fn foreign(&mut self, all: &mut [Place<'_>], buffers: &mut Buffers) -> Outcome {
        let Some(format) = self.streams.current().format else {
            return Outcome::Unchanged;
        };
        if self.keeps_texts() {
            return Outcome::Unchanged;
        }
        let texts = all.iter().map(|place| {
            let holder = self.any_holder(&place.member)?;
            let text = buffers.text_of(&holder);
            match is_other_programs(format, text) {
                true => without_sql(text),
                false => Some(WITHHELD.to_vec()),
            }
        });
        let texts: Vec<Option<Vec<u8>>> = texts.collect();
        if texts.iter().all(Option::is_none) {
            return Outcome::Unchanged;
        }
        let unknown = texts.iter().flatten().any(|text| text == WITHHELD);
        // The texts have not lived as long as the record.
        let mut all: Vec<Place<'_>> = all.to_vec();
        for (place, text) in all.iter_mut().zip(&texts) {
            if let Some(text) = text {
                place.put(text);
            }
        }
        let fault = if unknown {
            "unknown_line"
        } else {
            "sql_redacted"
        };
        self.with_fault(&all, fault)
    }

    /// Writes a record with its texts as they are now.
    fn with_fault(&mut self, all: &[Place<'_>], fault: &str) -> Outcome {
        let style = self.style();
        let mut output = Output::begin(&mut self.output, all, style);
        output.members();
        output.text("pgmesh.faults", fault.as_bytes());
        if let Some(error) = &self.error {
            output.text("pgmesh.config_error", error.as_bytes());
        }
        output.end();
        Outcome::Replaced
    }
}

impl<'r> Place<'r> {
    /// Puts a text, inside of a JSON string, in the place of its own.
    fn put(&mut self, text: &'r [u8]) {
        self.member.kind = Kind::String;
        self.member.plain = false;
        self.member.value = text;
    }
}

/// A line of another program's without the literals of SQL in it, inside of a JSON string.
fn without_sql(text: &[u8]) -> Option<Vec<u8>> {
    let mut redacted = Vec::new();
    pg_log::without_sql(text, &mut redacted).then(|| {
        let mut value = Vec::new();
        json::escape(&redacted, &mut value);
        value
    })
}

/// Whether a line without an entry is another program's, in the stream of a server that writes in this
/// format. Nothing but rows is in a file of csvlog.
fn is_other_programs(format: Format, text: &[u8]) -> bool {
    match format {
        Format::Csvlog => text.trim_ascii().is_empty(),
        _ => pg_log::is_other_programs(text),
    }
}
