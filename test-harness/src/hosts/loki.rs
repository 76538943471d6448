//! A real Loki with its files in a directory of its own: it takes log lines and answers LogQL.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::places::{RunDirectory, tree};
use super::process::{Process, Spec};
use super::prometheus::percent_encoded;
use super::{HostError, free_port, wait_for};

const START_LIMIT: Duration = Duration::from_secs(60);
const TIMEOUT_SECONDS: u64 = 10;
/// Another process may take a free port before Loki does.
const ATTEMPTS: usize = 3;

/// A running Loki.
#[derive(Debug)]
pub struct Loki {
    // The process goes before its directory.
    process: Process,
    _directory: RunDirectory,
    address: SocketAddr,
}

/// A line, and the labels and structured metadata it was found with.
#[derive(Debug, Clone)]
pub struct Line {
    /// As it was sent.
    pub text: String,
    /// Labels and structured metadata, one object for both.
    pub labels: Value,
}

impl Loki {
    /// Whether `make stores` has built it, which takes a Go toolchain.
    pub fn is_built() -> bool {
        program().is_ok()
    }

    /// Starts it and waits until it takes lines.
    #[track_caller]
    pub fn start() -> Self {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            match Self::try_start() {
                Ok(loki) => return loki,
                Err(error) => last = Some(error),
            }
        }
        panic!("{}", last.expect("an attempt was made"))
    }

    fn try_start() -> Result<Self, HostError> {
        let program = program()?;
        let directory = RunDirectory::new("loki")?;
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let path = directory.path().join("config.yaml");
        let text = configuration(address.port(), directory.path());
        fs::write(&path, text.to_string())
            .map_err(|error| HostError::new(format!("{}: {error}", path.display())))?;
        let spec = Spec::new("Loki", &program, directory.path().join("log"))
            .args([format!("-config.file={}", path.display())]);
        let mut process = Process::start(spec)?;
        process.wait_until(START_LIMIT, || get(address, "/ready").map(|_| ()))?;
        Ok(Self {
            process,
            _directory: directory,
            address,
        })
    }

    /// Where it takes lines and answers.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The lines of the last days that a LogQL query finds, the latest first; the reason when Loki
    /// refuses it.
    #[track_caller]
    pub fn query(&self, logql: &str) -> Result<Vec<Line>, String> {
        let found = self.ask(&format!(
            "query_range?since=72h&limit=1000&query={}",
            percent_encoded(logql)
        ))?;
        Ok(lines(&found["data"]["result"]))
    }

    /// How many streams or series a LogQL query gives now. Panics, with Loki's own words, when it is not
    /// a query.
    #[track_caller]
    pub fn count(&self, logql: &str) -> usize {
        let found = self.range(logql, Duration::from_secs(600), 20);
        found["data"]["result"].as_array().map_or(0, Vec::len)
    }

    /// The whole answer to a query for the time that has passed, by `step` seconds.
    #[track_caller]
    pub fn range(&self, logql: &str, since: Duration, step: u64) -> Value {
        let since = since.as_secs();
        let query = percent_encoded(logql);
        let question = format!("query_range?since={since}s&step={step}&limit=1000&query={query}");
        self.ask(&question)
            .unwrap_or_else(|error| panic!("{logql}: {error}"))
    }

    /// The whole answer to a query for this moment.
    #[track_caller]
    pub fn now(&self, logql: &str) -> Value {
        self.ask(&format!("query?query={}", percent_encoded(logql)))
            .unwrap_or_else(|error| panic!("{logql}: {error}"))
    }

    #[track_caller]
    fn ask(&self, question: &str) -> Result<Value, String> {
        let answer = minreq::get(format!("http://{}/loki/api/v1/{question}", self.address))
            .with_timeout(TIMEOUT_SECONDS)
            .send()
            .unwrap_or_else(|error| panic!("Loki did not answer: {error}"));
        let text = String::from_utf8_lossy(answer.as_bytes());
        if answer.status_code != 200 {
            return Err(text.into_owned());
        }
        Ok(serde_json::from_str(&text).expect("JSON"))
    }

    /// The same, once there are `count` lines.
    #[track_caller]
    pub fn lines(&self, logql: &str, count: usize, limit: Duration) -> Vec<Line> {
        let found = || {
            self.query(logql)
                .unwrap_or_else(|error| panic!("{logql}: {error}"))
        };
        wait_for(limit, || Some(found()).filter(|lines| lines.len() >= count))
            .unwrap_or_else(|| panic!("fewer than {count} lines for {logql}: {:?}", found()))
    }
}

fn lines(streams: &Value) -> Vec<Line> {
    let streams = streams.as_array().into_iter().flatten();
    let lines = streams.flat_map(|stream| {
        let values = stream["values"].as_array().into_iter().flatten();
        values.map(|value| Line {
            text: value[1].as_str().unwrap_or_default().to_owned(),
            labels: stream["stream"].clone(),
        })
    });
    lines.collect()
}

/// One process that keeps everything in files, with structured metadata. It is JSON, which is YAML too.
fn configuration(port: u16, directory: &std::path::Path) -> Value {
    json!({
        "auth_enabled": false,
        "analytics": {"reporting_enabled": false},
        "server": {
            "http_listen_address": "127.0.0.1", "http_listen_port": port,
            "grpc_listen_address": "127.0.0.1", "grpc_listen_port": free_port(),
            "log_level": "error",
        },
        "common": {
            "instance_addr": "127.0.0.1",
            "path_prefix": directory,
            "storage": {"filesystem": {
                "chunks_directory": directory.join("chunks"),
                "rules_directory": directory.join("rules"),
            }},
            "replication_factor": 1,
            "ring": {"kvstore": {"store": "inmemory"}},
        },
        "ingester": {"lifecycler": {"min_ready_duration": "0s"}},
        "schema_config": {"configs": [{
            "from": "2024-01-01", "store": "tsdb", "object_store": "filesystem", "schema": "v13",
            "index": {"prefix": "index_", "period": "24h"},
        }]},
        "limits_config": {"allow_structured_metadata": true, "reject_old_samples": false},
    })
}

fn program() -> Result<PathBuf, HostError> {
    let path = tree().join(".cache/loki");
    if path.exists() {
        return Ok(path);
    }
    let message = format!("{} is not there: run `make stores`", path.display());
    Err(HostError::new(message))
}

fn get(address: SocketAddr, path: &str) -> Option<String> {
    let answer = minreq::get(format!("http://{address}{path}"))
        .with_timeout(TIMEOUT_SECONDS)
        .send()
        .ok()?;
    (answer.status_code == 200).then(|| String::from_utf8_lossy(answer.as_bytes()).into_owned())
}
