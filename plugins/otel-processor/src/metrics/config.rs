//! What a user can set for metrics: `metrics` of the processor's configuration.

use serde::Deserialize;

use crate::json;

/// What becomes of metrics.
#[derive(Clone, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(default, deny_unknown_fields))]
pub struct Metrics {
    /// Look at metrics at all.
    pub enabled: bool,
    /// How names of PostgreSQL's metrics begin; all others are left as they are.
    pub prefixes: Vec<String>,
    /// What becomes of exporters' names for what the Collector's receiver has a name for.
    pub unify: Unify,
    /// Add gauges that are computed from the others.
    pub derive: bool,
    /// Statements that are told apart in each server's metrics; all others are `other`.
    #[cfg_attr(feature = "schema", schemars(range(max = 4_294_967_295_u64)))]
    pub max_queries: u32,
    /// Attributes that hold query texts, besides those that are known.
    pub query_attributes: Vec<String>,
}

json::options!(Metrics {
    enabled,
    prefixes,
    unify,
    derive,
    max_queries,
    query_attributes,
});

impl Default for Metrics {
    fn default() -> Self {
        Self {
            enabled: true,
            prefixes: ["pg_", "cnpg_", "ccp_", "postgresql.", "postgresql_"]
                .map(str::to_owned)
                .to_vec(),
            unify: Unify::Off,
            derive: true,
            max_queries: 500,
            query_attributes: Vec::new(),
        }
    }
}

/// What becomes of exporters' names.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Unify {
    /// They stay.
    Off,
    /// The receiver's names take their place.
    Rename,
    /// They stay, and the same under the receiver's names comes beside them.
    Duplicate,
}
