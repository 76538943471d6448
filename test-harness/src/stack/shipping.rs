//! Log lines on their way to Loki: PostgreSQL's through the filter module, Envoy's as they are.
//!
//! Where there is a `fluent-bit` on the `PATH`, it runs the shipped configuration. Elsewhere the host of
//! its [`contract`] runs the module.

#[cfg(feature = "fake-host")]
mod contract;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::background::Again;
use crate::hosts::fluent_bit::FluentBit;
use crate::hosts::{Envoy, Loki};

const PAUSE: Duration = Duration::from_millis(200);
const TIMEOUT_SECONDS: u64 = 10;

/// Ships until it is dropped.
#[derive(Debug)]
pub(super) struct Shipping {
    name: String,
    _shippers: Vec<Box<dyn std::fmt::Debug>>,
}

impl Shipping {
    #[track_caller]
    pub(super) fn start(server: &Path, envoy: &Envoy, loki: &Loki) -> Self {
        let (envoys, loki) = (envoy.log_file(), loki.address());
        if let Some(host) = FluentBit::find() {
            let version = host.version();
            return Self {
                name: version.lines().next().unwrap_or_default().to_owned(),
                _shippers: vec![Box::new(host.into_loki(server, envoys, loki))],
            };
        }
        Self {
            name: "the host of Fluent Bit's contract".to_owned(),
            _shippers: vec![
                Box::new(as_they_are(envoys, loki)),
                #[cfg(feature = "fake-host")]
                Box::new(contract::ship(server, loki)),
            ],
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

/// Ships the lines of Envoy's log.
fn as_they_are(log: &Path, loki: SocketAddr) -> Again {
    let labels = BTreeMap::from([("job".to_owned(), "envoy".to_owned())]);
    let mut lines = Tail::of(log);
    Again::and_again(move || {
        let lines = lines.lines().into_iter();
        push(loki, lines.map(|line| Line::plain(&labels, line)).collect());
    })
}

/// A line with what Loki finds it by.
struct Line {
    labels: BTreeMap<String, String>,
    metadata: BTreeMap<String, String>,
    text: String,
}

impl Line {
    fn plain(labels: &BTreeMap<String, String>, text: String) -> Self {
        Self {
            labels: labels.clone(),
            metadata: BTreeMap::new(),
            text,
        }
    }
}

/// Sends lines to Loki; without any it waits a moment.
fn push(loki: SocketAddr, lines: Vec<Line>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let mut time = now.expect("after 1970").as_nanos();
    let streams: Vec<Value> = lines
        .into_iter()
        .map(|line| {
            // No two lines of a stream have one time.
            time += 1;
            let value = json!([time.to_string(), line.text, line.metadata]);
            json!({"stream": line.labels, "values": [value]})
        })
        .collect();
    if streams.is_empty() {
        std::thread::sleep(PAUSE);
        return;
    }
    let answer = minreq::post(format!("http://{loki}/loki/api/v1/push"))
        .with_header("content-type", "application/json")
        .with_body(json!({ "streams": streams }).to_string())
        .with_timeout(TIMEOUT_SECONDS)
        .send();
    // Loki ends before whoever ships to it.
    if let Ok(answer) = answer {
        assert_eq!(answer.status_code, 204, "{:?}", answer.as_str());
    }
}

/// The lines of a file that is written to.
#[derive(Debug)]
struct Tail {
    path: PathBuf,
    file: Option<BufReader<File>>,
    begun: String,
}

impl Tail {
    fn of(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            file: None,
            begun: String::new(),
        }
    }

    /// Those that have been finished since the last call.
    fn lines(&mut self) -> Vec<String> {
        if self.file.is_none() {
            self.file = File::open(&self.path).ok().map(BufReader::new);
        }
        let mut lines = Vec::new();
        let Some(file) = &mut self.file else {
            return lines;
        };
        let mut bytes = Vec::new();
        while matches!(file.read_until(b'\n', &mut bytes), Ok(read) if read > 0) {
            self.begun.push_str(&String::from_utf8_lossy(&bytes));
            bytes.clear();
            if self.begun.ends_with('\n') {
                lines.push(self.begun.trim_end().to_owned());
                self.begun.clear();
            }
        }
        lines
    }
}
