//! What a user can set of log records; the names are those of the Fluent Bit filter.

use std::collections::BTreeMap;

use pg_log::{Names, Options, Prefix, Redaction, Zones};
use serde::Deserialize;

use crate::json;

/// What becomes of log records.
#[derive(Clone, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(default, deny_unknown_fields))]
pub struct Logs {
    /// Look at log records at all.
    pub enabled: bool,
    /// Look only at those of resources that have one of these attributes with one of these values;
    /// at all, if there are none.
    pub resources: BTreeMap<String, Vec<String>>,
    /// `log_line_prefix` of the server, for text logs; found out from the lines if it is not given.
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
    pub time_zones: BTreeMap<String, String>,
}

json::options!(Logs {
    enabled,
    resources,
    prefix,
    keys,
    join,
    redaction,
    hide_users,
    hide_hosts,
    time_zones,
});

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
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RedactionMode {
    /// All data, and whatever stands in quotes of a text that is not known.
    #[default]
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
            names: self.hidden(),
            zones: Zones::with(&self.time_zones).unwrap_or_default(),
        }
    }

    /// Which names are left out.
    pub(crate) const fn hidden(&self) -> Names {
        Names {
            users: self.hide_users,
            hosts: self.hide_hosts,
        }
    }

    /// Whether all of it can be used; the error names the path.
    pub(crate) fn check(&self) -> Result<(), String> {
        let prefix = self.prefix.as_deref().map(Prefix::compile).transpose();
        prefix.map_err(|error| format!("logs.prefix: {error}"))?;
        let zones = Zones::with(&self.time_zones);
        zones.map_err(|name| format!("logs.time_zones.{name}: expected such as +05:30"))?;
        Ok(())
    }

    /// The prefix, if one is given.
    pub(crate) fn compiled_prefix(&self) -> Option<Prefix> {
        Prefix::compile(self.prefix.as_ref()?).ok()
    }
}
