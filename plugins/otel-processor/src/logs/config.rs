//! What a user can set of log records; the names are those of the Fluent Bit filter.

use std::collections::BTreeMap;

use pg_log::{Names, Options, Prefix, Redaction, Zones};
use serde::Deserialize;
use serde::de::{Deserializer, Error};

/// What becomes of log records.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Logs {
    /// Look at log records at all.
    pub enabled: bool,
    /// Look only at those of resources that have one of these attributes with one of these values;
    /// at all, if there are none.
    pub resources: BTreeMap<String, Vec<String>>,
    /// `log_line_prefix` of the server, for text logs; found out from the lines if it is not given.
    #[serde(deserialize_with = "prefix")]
    pub prefix: Option<String>,
    /// Members of a map in which the text of a line may stand, if the body is none; the first that is
    /// there is read.
    pub keys: Vec<String>,
    /// Join companion lines (DETAIL, STATEMENT and the like) to their message.
    pub join: bool,
    /// What is taken out.
    pub redaction: RedactionMode,
    /// Leave out names of roles.
    pub hide_users: bool,
    /// Leave out names and addresses of machines.
    pub hide_hosts: bool,
    /// Offsets of abbreviated time zones, such as `"CST": "-06:00"`.
    #[serde(deserialize_with = "time_zones")]
    pub time_zones: BTreeMap<String, String>,
}

impl Default for Logs {
    fn default() -> Self {
        Self {
            enabled: true,
            resources: BTreeMap::new(),
            prefix: None,
            keys: ["log", "message", "msg"].map(str::to_owned).to_vec(),
            join: true,
            redaction: RedactionMode::Strict,
            hide_users: false,
            hide_hosts: false,
            time_zones: BTreeMap::new(),
        }
    }
}

/// What is taken out.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum RedactionMode {
    /// All data, and whatever stands in quotes of a text that is not known.
    Strict,
    /// Literals of statements and values of parameters.
    Statements,
    /// Nothing.
    Off,
}

impl Logs {
    /// What a report has in it.
    pub(crate) fn report_options(&self) -> Options {
        Options {
            redaction: match self.redaction {
                RedactionMode::Strict => Redaction::Strict,
                RedactionMode::Statements => Redaction::Statements,
                RedactionMode::Off => Redaction::Off,
            },
            names: Names {
                users: self.hide_users,
                hosts: self.hide_hosts,
            },
            zones: Zones::with(&self.time_zones).unwrap_or_default(),
        }
    }

    /// The prefix, if one is given.
    pub(crate) fn compiled_prefix(&self) -> Option<Prefix> {
        Prefix::compile(self.prefix.as_ref()?).ok()
    }
}

/// A prefix that can be compiled.
fn prefix<'de, D: Deserializer<'de>>(source: D) -> Result<Option<String>, D::Error> {
    let prefix = Option::<String>::deserialize(source)?;
    match prefix.as_deref().map(Prefix::compile) {
        Some(Err(error)) => Err(D::Error::custom(error)),
        _ => Ok(prefix),
    }
}

/// Zones whose offsets can be read.
fn time_zones<'de, D: Deserializer<'de>>(source: D) -> Result<BTreeMap<String, String>, D::Error> {
    let zones = BTreeMap::deserialize(source)?;
    match Zones::with(&zones) {
        Err(name) => Err(D::Error::custom(format!("{name}: expected such as +05:30"))),
        Ok(_) => Ok(zones),
    }
}
