//! The filter's configuration: a JSON object in the record's `pgmesh` member, every part optional, on
//! top of the preset whose function the host calls.

use std::collections::BTreeMap;

use pg_log::{Class, Names, Options, Prefix, Redaction, Severity, Zones};
use serde::Deserialize;

/// The member that carries a configuration.
pub const MEMBER: &[u8] = b"pgmesh";

/// What stands before the room for defaults in the finished module.
pub const DEFAULTS_MARK: &[u8; 16] = b"pgmesh defaults:";
/// Bytes of a JSON object that fit there, less one for the zero behind it.
pub const DEFAULTS_ROOM: usize = 4096;

/// What a user can set.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `log_line_prefix` of the server, for text logs; found out from the lines if it is not given.
    pub prefix: Option<String>,
    /// Members in which the text of a line may stand; the first that is there is read.
    pub keys: Vec<String>,
    /// What is taken out.
    pub redaction: RedactionMode,
    /// Leave out names of roles.
    pub hide_users: bool,
    /// Leave out names and addresses of machines.
    pub hide_hosts: bool,
    /// Offsets of abbreviated time zones, such as `"CST": "-06:00"`.
    pub time_zones: BTreeMap<String, String>,
    /// Keep the text as it was, unredacted, beside what is made of it.
    pub keep_raw: bool,
    /// Keep the text as it was, and add severity, SQLSTATE and event only.
    pub classify_only: bool,
    /// How what is added is called.
    pub names: NameStyle,
    /// Events whose records are dropped.
    pub drop: Vec<String>,
    /// Records of a lower severity are dropped.
    pub min_severity: Option<String>,
    /// Events of which one record in so many is kept.
    pub sample: BTreeMap<String, u32>,
    /// Seconds between two records that carry the filter's counters; 0 for never.
    pub counters_interval_seconds: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            prefix: None,
            keys: ["log", "message", "msg", "record", "MESSAGE"]
                .map(str::to_owned)
                .to_vec(),
            redaction: RedactionMode::Strict,
            hide_users: false,
            hide_hosts: false,
            time_zones: BTreeMap::new(),
            keep_raw: false,
            classify_only: false,
            names: NameStyle::Dotted,
            drop: Vec::new(),
            min_severity: None,
            sample: BTreeMap::new(),
            counters_interval_seconds: 0,
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

/// How the members that are added are called.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum NameStyle {
    /// As OpenTelemetry has it: `db.namespace`.
    Dotted,
    /// As Loki has it, and for outputs whose record accessors know no dots: `db_namespace`.
    Underscored,
}

/// A function the host may be told to call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Preset {
    /// `pgmesh`: the defaults.
    Standard,
    /// `pgmesh_keep_raw`
    KeepRaw,
    /// `pgmesh_statements`
    Statements,
    /// `pgmesh_no_redaction`
    NoRedaction,
    /// `pgmesh_classify_only`
    ClassifyOnly,
}

impl Preset {
    /// What it sets.
    #[must_use]
    pub fn object(self) -> Object {
        let set: Option<(&str, serde_json::Value)> = match self {
            Self::Standard => None,
            Self::KeepRaw => Some(("keep_raw", true.into())),
            Self::Statements => Some(("redaction", "statements".into())),
            Self::NoRedaction => Some(("redaction", "off".into())),
            Self::ClassifyOnly => Some(("classify_only", true.into())),
        };
        set.into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }
}

/// A configuration as JSON, before it is read.
pub type Object = serde_json::Map<String, serde_json::Value>;

/// `base` with what `text`, a JSON object, says in its place.
pub fn merged(base: &Object, text: &[u8]) -> Result<Object, String> {
    let given: serde_json::Value =
        serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let serde_json::Value::Object(given) = given else {
        return Err("expected an object".to_owned());
    };
    let mut merged = base.clone();
    merged.extend(given);
    Ok(merged)
}

impl Config {
    /// Reads a configuration on top of `base`. The error names the path and what was expected.
    pub fn parse(base: &Object, text: &[u8]) -> Result<Self, String> {
        Self::read(merged(base, text)?)
    }

    /// Reads a whole configuration.
    pub fn read(object: Object) -> Result<Self, String> {
        let object = serde_json::Value::Object(object);
        let config: Self =
            serde_path_to_error::deserialize(object).map_err(|error| error.to_string())?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        self.compiled_prefix()?;
        self.zones()?;
        self.lowest_severity()?;
        for name in self.drop.iter().chain(self.sample.keys()) {
            if !Class::all().iter().any(|class| class.name == name) {
                return Err(format!("no event is called {name}"));
            }
        }
        if let Some((name, _)) = self.sample.iter().find(|(_, every)| **every == 0) {
            return Err(format!("sample.{name}: expected at least 1"));
        }
        Ok(())
    }

    /// The prefix, if one is given.
    pub fn compiled_prefix(&self) -> Result<Option<Prefix>, String> {
        let compile = |prefix: &String| Prefix::compile(prefix);
        let compiled = self.prefix.as_ref().map(compile).transpose();
        compiled.map_err(|error| format!("prefix: {error}"))
    }

    /// The severity below which records are dropped.
    pub fn lowest_severity(&self) -> Result<Option<Severity>, String> {
        let Some(word) = &self.min_severity else {
            return Ok(None);
        };
        let known = Severity::ALL.into_iter().find(|known| known.name() == word);
        known
            .map(Some)
            .ok_or_else(|| format!("min_severity: no severity is called {word}"))
    }

    fn zones(&self) -> Result<Zones, String> {
        Zones::with(&self.time_zones)
            .map_err(|name| format!("time_zones.{name}: expected such as +05:30"))
    }

    /// What a report has in it.
    pub fn report_options(&self) -> Result<Options, String> {
        Ok(Options {
            redaction: match self.redaction {
                RedactionMode::Strict => Redaction::Strict,
                RedactionMode::Statements => Redaction::Statements,
                RedactionMode::Off => Redaction::Off,
            },
            names: Names {
                users: self.hide_users,
                hosts: self.hide_hosts,
            },
            zones: self.zones()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_goes_on_top_of_the_preset() {
        let base = Preset::KeepRaw.object();
        let config = Config::parse(&base, br#"{"drop":["connection_received"]}"#).unwrap();
        assert!(config.keep_raw);
        assert_eq!(config.drop, ["connection_received"]);
    }

    #[test]
    fn an_error_names_the_path() {
        for (text, expected) in [
            (r#"{"redacted":"strict"}"#, "unknown field `redacted`"),
            (r#"{"redaction":"none"}"#, "redaction: unknown variant"),
            (r#"{"drop":["nothing"]}"#, "no event is called nothing"),
            (r#"{"prefix":"%z"}"#, "prefix: no escape"),
            (r#"{"sample":{"duration":0}}"#, "sample.duration"),
            (r#"{"time_zones":{"CST":"home"}}"#, "time_zones.CST"),
            (r#"{"min_severity":"BAD"}"#, "min_severity"),
            ("[]", "expected an object"),
        ] {
            let error = Config::parse(&Object::new(), text.as_bytes()).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
