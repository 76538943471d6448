//! The filter's configuration: a JSON document, every part of it optional.

use proxy_host::metrics::HistogramStore;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Upper bounds of the duration histograms unless configured: 50 us to 10 s.
pub const DURATION_BUCKETS: &[u64] = &[
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000,
];

/// The most buckets a histogram may have: each is a time series per set of labels.
const MAX_BUCKETS: usize = 64;

/// What a user can set.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Which labels of the session every metric carries.
    pub labels: Labels,
    /// Sets of session labels kept apart, per worker; sessions beyond count as `other`.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 100_000)))]
    pub max_label_sets: u32,
    /// Milliseconds between two hand-overs of the counters to Envoy.
    #[cfg_attr(feature = "schema", schemars(range(min = 100, max = 60_000)))]
    pub flush_interval_ms: u32,
    /// Who keeps the histograms.
    pub histograms: Histograms,
    /// Upper bounds of the duration histograms in microseconds, ascending.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 64)))]
    pub duration_buckets_microseconds: Vec<u64>,
    /// Names of metrics that are not wanted, without the prefix `pgmesh_`.
    pub disable: Vec<String>,
    /// Bytes of a statement's text that the query log, the traces and the top statements look at.
    #[cfg_attr(feature = "schema", schemars(range(min = 1024, max = 65_536)))]
    pub max_statement_bytes: u32,
    /// One line of JSON in the host's log for each statement chosen. Off unless it is here.
    pub query_log: Option<QueryLog>,
    /// What each statement has cost, reported at intervals. Off unless it is here.
    pub top_statements: Option<TopStatements>,
    /// A span for each statement and transaction block, sent to `export`. Off unless it is here.
    pub traces: Option<Traces>,
    /// The collector that takes traces, and the query log and the top statements if they are to go
    /// there.
    pub export: Option<Export>,
    /// Attributes of the resource that all that is exported belongs to, beside and before those that
    /// the host knows.
    pub resource: BTreeMap<String, String>,
}

/// Which statements get a line in the log.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct QueryLog {
    /// Those that took at least so many milliseconds.
    pub slower_than_ms: Option<u32>,
    /// Those that failed, or were cut off by the end of the connection.
    pub failed: bool,
    /// One in so many; 1 for all, 0 for none. Two proxies on the way of a session choose the same.
    pub one_in: u32,
    /// Lines that a fingerprint may have in a minute; 0 for any number.
    pub per_fingerprint_and_minute: u32,
    /// Whether the server's error message is shown: it can hold values.
    pub messages: bool,
    /// Whether lines go to `export` as log records, in place of the host's log.
    pub export: bool,
}

/// Which spans there are.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Traces {
    /// Of the statements and blocks that nobody names a parent for, one in so many; 0 for none.
    pub root_one_in: u32,
    /// Whether a transaction block has a span that holds those of its statements.
    pub transactions: bool,
    /// Whether a session's start-up, authentication included, has a span.
    pub startup: bool,
    /// On whose side the spans stand.
    pub kind: SpanKind,
}

impl Default for Traces {
    fn default() -> Self {
        Self {
            root_one_in: 100,
            transactions: true,
            startup: false,
            kind: SpanKind::default(),
        }
    }
}

/// `Span.SpanKind` of OpenTelemetry.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SpanKind {
    /// `SERVER` on a listener that the host calls inbound, as Istio's sidecar of the server does;
    /// `CLIENT` anywhere else.
    #[default]
    Auto,
    /// `CLIENT`.
    Client,
    /// `SERVER`.
    Server,
}

/// Where to send OTLP, as protobuf over HTTP.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// The host's cluster that the collector is in.
    pub cluster: String,
    /// The `Host` header; the cluster's name unless it is here.
    #[serde(default)]
    pub authority: Option<String>,
    /// What stands before `/v1/traces`, `/v1/logs` and `/v1/metrics`.
    #[serde(default)]
    pub path_prefix: String,
    /// Headers of every request, for tenants and tokens.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// How long an answer may take.
    #[serde(default = "five_seconds")]
    #[cfg_attr(feature = "schema", schemars(range(min = 100, max = 60_000)))]
    pub timeout_ms: u32,
    /// Milliseconds after which what has come together is sent, however little it is.
    #[serde(default = "fifth_of_a_second")]
    #[cfg_attr(feature = "schema", schemars(range(min = 50, max = 60_000)))]
    pub interval_ms: u32,
    /// Items in a request.
    #[serde(default = "batch_items")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 10_000)))]
    pub batch_items: u32,
    /// Bytes that may wait, per worker; beyond them the oldest are dropped.
    #[serde(default = "four_megabytes")]
    #[cfg_attr(feature = "schema", schemars(range(min = 65_536, max = 67_108_864)))]
    pub max_queue_bytes: u32,
    /// Requests under way at once, per worker.
    #[serde(default = "one")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 16)))]
    pub in_flight: u32,
}

fn five_seconds() -> u32 {
    5000
}

fn fifth_of_a_second() -> u32 {
    200
}

fn batch_items() -> u32 {
    512
}

fn four_megabytes() -> u32 {
    4 * 1024 * 1024
}

fn one() -> u32 {
    1
}

/// How the top statements are kept and reported.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct TopStatements {
    /// How many are reported; so many times five are kept.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1000)))]
    pub top: u32,
    /// Seconds between two reports.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 86_400)))]
    pub interval_s: u32,
    /// How many are counters in Envoy's stats too. Over the life of the process four times as many
    /// get counters; all others count as `other`.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 100)))]
    pub stats: u32,
    /// Whether they go to `export` as OTLP metrics, beside the line in the host's log.
    pub export: bool,
}

impl Default for TopStatements {
    fn default() -> Self {
        Self {
            top: 100,
            interval_s: 60,
            stats: 0,
            export: false,
        }
    }
}

/// Labels of the session. What a client may choose freely is off unless asked for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Labels {
    /// The database the client connected to.
    pub database: bool,
    /// The user the client connected as.
    pub user: bool,
    /// `application_name`, from the StartupMessage or a later SET.
    pub application: bool,
}

/// Who keeps the histograms.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Histograms {
    /// The filter, as cumulative `_bucket`, `_sum` and `_count` counters: no host call per sample.
    #[default]
    Buckets,
    /// Envoy, as its own histograms with its own buckets: one host call per sample.
    Envoy,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            labels: Labels::default(),
            max_label_sets: 1000,
            flush_interval_ms: 1000,
            histograms: Histograms::default(),
            duration_buckets_microseconds: DURATION_BUCKETS.to_vec(),
            disable: Vec::new(),
            max_statement_bytes: 4096,
            query_log: None,
            top_statements: None,
            traces: None,
            export: None,
            resource: BTreeMap::new(),
        }
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self {
            database: true,
            user: true,
            application: false,
        }
    }
}

impl From<Histograms> for HistogramStore {
    fn from(histograms: Histograms) -> Self {
        match histograms {
            Histograms::Buckets => Self::Vm,
            Histograms::Envoy => Self::Host,
        }
    }
}

impl Config {
    /// Reads a configuration; nothing at all, or `null`, means the defaults.
    ///
    /// # Errors
    /// One line that names the path of what is wrong, and what was expected.
    pub fn read(json: &[u8]) -> Result<Self, String> {
        if json.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        let mut json = serde_json::Deserializer::from_slice(json);
        let config: Option<Self> = serde_path_to_error::deserialize(&mut json)
            .map_err(|error| format!("{}: {}", error.path(), error.inner()))?;
        json.end()
            .map_err(|error| format!("after the document: {error}"))?;
        let config = config.unwrap_or_default();
        config.check()?;
        Ok(config)
    }

    fn check_export(&self) -> Result<(), String> {
        let Some(export) = &self.export else {
            let wants = |path: &str| format!("{path}: expected `export` to say where to send it");
            let logs = self.query_log.as_ref().is_some_and(|log| log.export);
            let top = self.top_statements.as_ref().is_some_and(|top| top.export);
            let wanting = [
                ("traces", self.traces.is_some()),
                ("query_log.export", logs),
                ("top_statements.export", top),
            ];
            let first = wanting.iter().find(|(_, exported)| *exported);
            return first.map_or(Ok(()), |(path, _)| Err(wants(path)));
        };
        within("export.timeout_ms", export.timeout_ms, 100, 60_000)?;
        within("export.interval_ms", export.interval_ms, 50, 60_000)?;
        within("export.batch_items", export.batch_items, 1, 10_000)?;
        let bytes = export.max_queue_bytes;
        within("export.max_queue_bytes", bytes, 65_536, 67_108_864)?;
        within("export.in_flight", export.in_flight, 1, 16)
    }

    fn check(&self) -> Result<(), String> {
        within("max_label_sets", self.max_label_sets, 1, 100_000)?;
        within("flush_interval_ms", self.flush_interval_ms, 100, 60_000)?;
        within(
            "max_statement_bytes",
            self.max_statement_bytes,
            1024,
            65_536,
        )?;
        if let Some(top) = &self.top_statements {
            within("top_statements.top", top.top, 1, 1000)?;
            within("top_statements.interval_s", top.interval_s, 1, 86_400)?;
            within("top_statements.stats", top.stats, 0, 100)?;
        }
        self.check_export()?;
        let buckets = &self.duration_buckets_microseconds;
        if buckets.is_empty() || buckets.len() > MAX_BUCKETS {
            return Err(format!(
                "duration_buckets_microseconds: expected 1 to {MAX_BUCKETS} bounds, found {}",
                buckets.len()
            ));
        }
        if let Some((index, _)) = buckets
            .iter()
            .zip(buckets.iter().skip(1))
            .enumerate()
            .find(|(_, (a, b))| a >= b)
        {
            return Err(format!(
                "duration_buckets_microseconds[{}]: expected a bound above the one before it",
                index.saturating_add(1)
            ));
        }
        let unknown = self
            .disable
            .iter()
            .enumerate()
            .find(|(_, name)| crate::catalog::names().all(|known| known != name.as_str()));
        match unknown {
            Some((index, name)) => Err(format!("disable[{index}]: no metric is named `{name}`")),
            None => Ok(()),
        }
    }
}

fn within(path: &str, value: u32, min: u32, max: u32) -> Result<(), String> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(format!("{path}: expected {min} to {max}, found {value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(json: &str) -> String {
        Config::read(json.as_bytes()).expect_err(json)
    }

    #[test]
    fn no_configuration_at_all_means_the_defaults() {
        for nothing in ["", " \n", "null", "{}"] {
            assert_eq!(Config::read(nothing.as_bytes()), Ok(Config::default()));
        }
    }

    #[test]
    fn an_unknown_field_is_refused_by_its_path() {
        let error = error(r#"{"labels": {"databse": true}}"#);
        assert!(
            error.starts_with("labels.databse: unknown field `databse`"),
            "{error}"
        );
    }

    #[test]
    fn a_wrong_type_is_refused_by_its_path() {
        let error = error(r#"{"disable": ["notices_total", 7]}"#);
        assert!(
            error.starts_with("disable[1]: invalid type: integer `7`"),
            "{error}"
        );
    }

    #[test]
    fn values_out_of_range_say_what_was_expected() {
        assert_eq!(
            error(r#"{"max_label_sets": 0}"#),
            "max_label_sets: expected 1 to 100000, found 0"
        );
        assert_eq!(
            error(r#"{"duration_buckets_microseconds": [10, 10]}"#),
            "duration_buckets_microseconds[1]: expected a bound above the one before it"
        );
        assert_eq!(
            error(r#"{"disable": ["bytes"]}"#),
            "disable[0]: no metric is named `bytes`"
        );
    }

    #[test]
    fn what_is_to_be_exported_needs_somewhere_to_go() {
        assert_eq!(
            error(r#"{"traces": {}}"#),
            "traces: expected `export` to say where to send it"
        );
        assert!(error(r#"{"query_log": {"export": true}}"#).starts_with("query_log.export: "));
        let error_of_top = error(r#"{"top_statements": {"export": true}}"#);
        assert!(error_of_top.starts_with("top_statements.export: "));
        assert!(error(r#"{"export": {}}"#).contains("missing field `cluster`"));
    }

    #[test]
    fn text_behind_the_document_is_refused() {
        assert!(error("{} {}").starts_with("after the document"));
    }
}
