//! The processor's configuration: one JSON document (`plugin_config` of otelwasm), every part optional.

use std::fmt;

use serde::Deserialize;

use crate::json;

pub use crate::logs::config::{Logs, RedactionMode as LogRedaction};
pub use crate::metrics::config::{Metrics, Unify};

/// What is wrong with a configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "pgmesh configuration: {}", self.0)
    }
}

impl std::error::Error for ConfigError {}

/// What a user can set.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(default, deny_unknown_fields))]
pub struct Config {
    /// Spans.
    pub traces: Traces,
    /// Log records.
    pub logs: Logs,
    /// Metrics.
    pub metrics: Metrics,
}

json::options!(Config {
    traces,
    logs,
    metrics,
});

/// What becomes of spans.
#[derive(Clone, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(default, deny_unknown_fields))]
pub struct Traces {
    /// Look at spans at all.
    pub enabled: bool,
    /// Values of `db.system.name` and `db.system` that mean PostgreSQL, in lower case.
    pub systems: Vec<String>,
    /// Names of instrumentation scopes whose spans are PostgreSQL's although they do not say so;
    /// besides those that are known.
    pub scopes: Vec<String>,
    /// How names of attributes begin that only a statement's span has: one that names no system is
    /// PostgreSQL's then.
    pub signs: Vec<String>,
    /// What becomes of attributes that have another name in the stable conventions.
    pub migrate: Migrate,
    /// Name spans by the conventions: the summary of the query.
    pub span_names: bool,
    /// Take `db.operation.name` and `db.collection.name` from the text, where it has one of each.
    pub names_from_text: bool,
    /// What becomes of comments in query texts.
    pub comments: Comments,
    /// Attributes with bind values that stay; a `*` at the end stands for anything.
    pub keep_parameters: Vec<String>,
    /// Attributes that hold query texts, besides those that are known.
    pub query_attributes: Vec<String>,
    /// What becomes of texts of exceptions.
    pub exceptions: Exceptions,
    /// What becomes of spans of statements that only keep a pool alive.
    pub keep_alive: KeepAlive,
}

json::options!(Traces {
    enabled,
    systems,
    scopes,
    signs,
    migrate,
    span_names,
    names_from_text,
    comments,
    keep_parameters,
    query_attributes,
    exceptions,
    keep_alive,
});

impl Default for Traces {
    fn default() -> Self {
        Self {
            enabled: true,
            systems: ["postgresql", "postgres", "pgsql"]
                .map(str::to_owned)
                .to_vec(),
            scopes: Vec::new(),
            signs: ["jdbc.query[", "r2dbc.query["].map(str::to_owned).to_vec(),
            migrate: Migrate::Off,
            span_names: true,
            names_from_text: true,
            comments: Comments::Drop,
            keep_parameters: Vec::new(),
            query_attributes: Vec::new(),
            exceptions: Exceptions::Redact,
            keep_alive: KeepAlive::Keep,
        }
    }
}

/// What becomes of names from before the stable conventions.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Migrate {
    /// They stay.
    Off,
    /// They stay, and the stable name comes beside them.
    Duplicate,
    /// The stable name takes their place.
    Replace,
}

/// What becomes of comments.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Comments {
    /// They are left out.
    Drop,
    /// They are left out, and what sqlcommenter's known keys say becomes attributes.
    Promote,
    /// Of sqlcommenter's comments the known keys stay in the text.
    Sqlcommenter,
    /// They stay as they are, whatever they say.
    Keep,
}

/// What becomes of texts of exceptions, stack traces and status descriptions.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Exceptions {
    /// Data is taken out of them.
    Redact,
    /// They are taken out.
    Drop,
    /// They stay as they are.
    Keep,
}

/// What becomes of spans of statements that only keep a pool alive.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum KeepAlive {
    /// Nothing.
    Keep,
    /// They are given `pgmesh.keep_alive`.
    Mark,
    /// They are dropped, unless another span is known to be their child.
    Drop,
}

impl Config {
    /// Reads a document. Blank bytes are an empty one.
    ///
    /// # Errors
    /// When it is wrong: the path, and what was expected there.
    pub fn parse(json: &[u8]) -> Result<Self, ConfigError> {
        let text = match json.trim_ascii() {
            [] | b"null" => b"{}",
            // Serde would take a list for the fields in their order.
            text if !text.starts_with(b"{") => {
                return Err(ConfigError("expected an object".to_owned()));
            }
            text => text,
        };
        let text = std::str::from_utf8(text);
        let text = text.map_err(|_| ConfigError("expected UTF-8".to_owned()))?;
        let config: Self = json::read(text).map_err(|error| ConfigError(error.to_string()))?;
        config.traces.check().map_err(ConfigError)?;
        config.logs.check().map_err(ConfigError)?;
        config.check_names().map_err(ConfigError)?;
        Ok(config)
    }

    /// Whether names, or what they begin with, say something: an empty one would be any.
    fn check_names(&self) -> Result<(), String> {
        let Self {
            traces,
            logs,
            metrics,
        } = self;
        let lists = [
            ("traces.systems", &traces.systems),
            ("traces.scopes", &traces.scopes),
            ("traces.signs", &traces.signs),
            ("traces.query_attributes", &traces.query_attributes),
            ("logs.keys", &logs.keys),
            ("metrics.prefixes", &metrics.prefixes),
            ("metrics.query_attributes", &metrics.query_attributes),
        ];
        for (path, names) in lists {
            if let Some(number) = names.iter().position(String::is_empty) {
                return Err(format!(
                    "{path}[{number}]: expected a text that is not empty"
                ));
            }
        }
        Ok(())
    }
}

impl Traces {
    /// Whether all of it can be used; the error names the path.
    fn check(&self) -> Result<(), String> {
        for (number, pattern) in self.keep_parameters.iter().enumerate() {
            let name = pattern.strip_suffix('*').unwrap_or(pattern);
            if pattern.is_empty() || name.contains('*') {
                let path = format!("traces.keep_parameters[{number}]");
                return Err(format!(
                    "{path}: expected a name, or its beginning and a `*`"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_the_defaults() {
        for nothing in [&b""[..], b" ", b"{}", b"null", br#"{"traces":{}}"#] {
            assert_eq!(Config::parse(nothing), Ok(Config::default()));
        }
    }

    #[test]
    fn an_error_names_the_path() {
        for (text, expected) in [
            (r#"{"trace":{}}"#, "unknown field `trace`, expected"),
            (
                r#"{"traces":{"enabled":true,"enabled":true}}"#,
                "traces: duplicate field `enabled`",
            ),
            (
                r#"{"traces":{"migrate":"on"}}"#,
                "traces.migrate: unknown variant `on`",
            ),
            (
                r#"{"traces":{"scopes":[1]}}"#,
                "traces.scopes[0]: invalid type",
            ),
            (r#"{"logs":{"prefix":"%z"}}"#, "logs.prefix: no escape"),
            (
                r#"{"logs":{"time_zones":{"CST":"home"}}}"#,
                "logs.time_zones.CST: expected",
            ),
            (
                r#"{"metrics":{"unify":"yes"}}"#,
                "metrics.unify: unknown variant `yes`",
            ),
            (
                r#"{"metrics":{"max_queries":-1}}"#,
                "metrics.max_queries: invalid value",
            ),
            (
                r#"{"metrics":{"max_queries":1.5}}"#,
                "metrics.max_queries: `1.5` is no whole number",
            ),
            (
                r#"{"traces":{"migrate":false}}"#,
                "traces.migrate: invalid type: false, expected one of `off`, `duplicate`, `replace`",
            ),
            (
                r#"{"traces":{"scopes":"psycopg"}}"#,
                "traces.scopes: invalid type: \"psycopg\", expected a list",
            ),
            (
                r#"{"traces":[]}"#,
                "traces: invalid type: a list, expected an object",
            ),
            (
                r#"{"traces":{"keep_parameters":["a*","a*b"]}}"#,
                "traces.keep_parameters[1]: expected a name",
            ),
            (
                r#"{"traces":{"signs":["a.",""]}}"#,
                "traces.signs[1]: expected a text",
            ),
            (
                r#"{"traces":{"scopes":[""]}}"#,
                "traces.scopes[0]: expected a text",
            ),
            (r#"{"logs":{"keys":[""]}}"#, "logs.keys[0]: expected a text"),
            (
                r#"{"metrics":{"prefixes":["pg_",""]}}"#,
                "metrics.prefixes[1]: expected a text",
            ),
            (r#"{"traces":{}} x"#, "trailing characters"),
            ("[]", "expected an object"),
        ] {
            let error = Config::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
