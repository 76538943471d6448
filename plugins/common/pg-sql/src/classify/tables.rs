//! The grammar of `grammar/*.txt`, compiled by `build.rs`.

use super::record::Action;
use super::types::{AuditClass, Command, Effects};

/// A command, pgaudit's class for it, and what running it does.
pub(crate) type CommandRow = (Command, AuditClass, Effects);

include!(concat!(env!("OUT_DIR"), "/tables.rs"));
