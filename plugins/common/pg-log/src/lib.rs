//! PostgreSQL's server log: every format into one event, classified and redacted.
//!
//! Knows no host: the text of a record in, facts out. [`Parser`] reads an [`Event`] in whatever format
//! the server or an operator wrote it, borrowing all of it; [`Classes`] tells what kind of event it is
//! and where its values stand; [`Reporter`] says what may leave a module. Every function is total, and
//! linear in the text.
#![forbid(unsafe_code)]

mod author;
mod classes;
mod csvlog;
mod denial;
mod detect;
mod event;
mod field;
mod foreign;
mod heads;
mod infer;
pub mod json;
mod jsonlog;
mod memory;
mod parser;
mod passwords;
mod plan;
mod prefix;
mod redact;
mod report;
mod scan;
mod severity;
mod statements;
mod stderr;
mod stream;
mod text;
mod time;
mod unknown;
mod words;
mod wrapper;

pub use classes::{Capture, Class, Classes, Kind, Recognized, Sensitivity, Value};
pub use detect::{Detection, KNOWN_PREFIXES, detect};
pub use event::{Event, Faults, Format, Level};
pub use field::{Field, Fields};
pub use foreign::{is_other_programs, without_sql};
pub use jsonlog::{Reader, may_hold_entry};
pub use memory::{Memory, Remembered};
pub use parser::Parser;
pub use plan::redact_plan;
pub use prefix::{Prefix, PrefixError};
pub use redact::{Names, Redaction};
pub use report::{Options, Part, Reporter, Sink};
pub use scan::is_same;
pub use severity::{Companion, Severity};
pub use stream::{Stream, Unread};
pub use text::{Form, Text};
pub use time::{TimeError, Timestamp, Zones};
pub use wrapper::{inside, joined, whole};
