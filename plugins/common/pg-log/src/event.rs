//! One entry of the server's log, borrowed from the text it was read from.

use std::fmt;

use crate::field::Fields;
use crate::severity::Companion;
use crate::severity::Severity;

/// What an entry was written as.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// Lines of text, each behind `log_line_prefix`.
    Stderr,
    /// `log_destination = csvlog`, 12 to 18.
    Csvlog,
    /// `log_destination = jsonlog`, 15 and later.
    Jsonlog,
    /// CloudNativePG's JSON around a csvlog line.
    CloudNativePg,
}

impl Format {
    /// Its name in a record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stderr => "stderr",
            Self::Csvlog => "csvlog",
            Self::Jsonlog => "jsonlog",
            Self::CloudNativePg => "cloudnativepg",
        }
    }
}

/// What about an entry cannot be relied upon.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub struct Faults(u8);

impl Faults {
    /// The prefix can be read in more than one way, as when an application name imitates it: the
    /// severity may be somebody's invention.
    pub const AMBIGUOUS_PREFIX: Self = Self(1);
    /// The text ends inside a quoted value.
    pub const TRUNCATED: Self = Self(2);
    /// A line without a prefix was taken for the continuation of the one before it.
    pub const UNPREFIXED_LINE: Self = Self(4);
    /// More entries follow in the same text.
    pub const MORE_FOLLOW: Self = Self(8);
    /// The number of columns is not one that PostgreSQL 12 to 18 writes.
    pub const COLUMNS: Self = Self(16);

    /// The word for the severity is of no language that is known; what the SQLSTATE tells stands in for it.
    pub const SEVERITY_UNKNOWN: Self = Self(32);
    /// The line does not fit the prefix that was given; it was read by what it looks like.
    pub const OTHER_PREFIX: Self = Self(64);

    const NAMES: [(Self, &'static str); 7] = [
        (Self::AMBIGUOUS_PREFIX, "ambiguous_prefix"),
        (Self::TRUNCATED, "truncated"),
        (Self::UNPREFIXED_LINE, "unprefixed_line"),
        (Self::MORE_FOLLOW, "more_follow"),
        (Self::COLUMNS, "columns"),
        (Self::SEVERITY_UNKNOWN, "severity_unknown"),
        (Self::OTHER_PREFIX, "other_prefix"),
    ];

    /// None.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `other` is among them.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Adds one.
    pub fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// The names of those that are there.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES
            .into_iter()
            .filter(move |(fault, _)| self.contains(*fault))
            .map(|(_, name)| name)
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list().entries(self.names()).finish()
    }
}

/// What kind of line an entry begins with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Level {
    /// A message.
    Severity(Severity),
    /// A line that belongs to a message before it, which the host did not hand over with it.
    Companion(Companion),
}

/// One entry of the log.
#[derive(Clone, Debug)]
pub struct Event<'t> {
    /// What it was written as.
    pub format: Format,
    /// Its severity, or which companion of a message it is.
    pub level: Level,
    /// All that the server says.
    pub fields: Fields<'t>,
    /// Whether the log would name the user of the process, if it had one.
    pub names_user: bool,
    /// What cannot be relied upon.
    pub faults: Faults,
}

impl Event<'_> {
    /// Its severity, unless it is a companion line on its own.
    #[must_use]
    pub const fn severity(&self) -> Option<Severity> {
        match self.level {
            Level::Severity(severity) => Some(severity),
            Level::Companion(_) => None,
        }
    }
}
