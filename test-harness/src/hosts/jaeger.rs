//! A real Jaeger, with its spans in memory: it takes OTLP over HTTP and answers what it has got.

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
/// Another process may take a free port before Jaeger does.
const ATTEMPTS: usize = 3;

/// A running Jaeger.
#[derive(Debug)]
pub struct Jaeger {
    // The process goes before its directory.
    process: Process,
    _directory: RunDirectory,
    otlp: SocketAddr,
    query: SocketAddr,
}

/// A span as Jaeger's query API gives it.
#[derive(Debug, Clone)]
pub struct Span {
    /// 16 hex digits.
    pub id: String,
    /// The span it is a child of; empty for a root, and for one whose parent is not there.
    pub parent: String,
    /// Its name.
    pub name: String,
    /// `service.name` of the resource.
    pub service: String,
    /// Microseconds since the epoch.
    pub start: u64,
    /// Microseconds.
    pub duration: u64,
    /// Attributes, those of span and status.
    pub tags: Value,
}

impl Jaeger {
    /// Whether `make stores` has built it, which takes a Go toolchain.
    pub fn is_built() -> bool {
        program().is_ok()
    }

    /// Starts it and waits until it answers.
    #[track_caller]
    pub fn start() -> Self {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            match Self::try_start() {
                Ok(jaeger) => return jaeger,
                Err(error) => last = Some(error),
            }
        }
        panic!("{}", last.expect("an attempt was made"))
    }

    fn try_start() -> Result<Self, HostError> {
        let directory = RunDirectory::new("jaeger")?;
        let address = || SocketAddr::from(([127, 0, 0, 1], free_port()));
        let (otlp, query) = (address(), address());
        let ports = [
            ("collector.otlp.http.host-port", otlp),
            ("query.http-server.host-port", query),
            ("query.grpc-server.host-port", address()),
            ("collector.otlp.grpc.host-port", address()),
            ("collector.grpc-server.host-port", address()),
            ("collector.http-server.host-port", address()),
            ("admin.http.host-port", address()),
        ];
        let quiet = ["--log-level=error".to_owned()];
        let arguments = ports.map(|(name, address)| format!("--{name}={address}"));
        let spec = Spec::new("Jaeger", &program()?, directory.path().join("log"))
            .args(arguments)
            .args(quiet);
        let mut process = Process::start(spec)?;
        process.wait_until(START_LIMIT, || {
            get(query, "/api/services").and_then(|_| get_any(otlp))
        })?;
        Ok(Self {
            process,
            _directory: directory,
            otlp,
            query,
        })
    }

    /// Where it takes OTLP over HTTP.
    pub fn otlp(&self) -> SocketAddr {
        self.otlp
    }

    /// Where its page is.
    pub fn page(&self) -> String {
        format!("http://{}/", self.query)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The spans of a trace (32 hex digits), once there are `count` of them, by their start.
    #[track_caller]
    pub fn trace(&self, id: &str, count: usize, limit: Duration) -> Vec<Span> {
        let spans = || {
            let found = get(self.query, &format!("/api/traces/{id}"))?;
            spans_of(&found["data"][0])
        };
        let enough = wait_for(limit, || spans().filter(|spans| spans.len() >= count));
        enough.unwrap_or_else(|| panic!("fewer than {count} spans in {id}: {:?}", spans()))
    }

    /// The ids of the traces in which a span of `service` has this attribute.
    #[track_caller]
    pub fn traces_with(&self, service: &str, attribute: &str, value: &str) -> Vec<String> {
        let tags = json!({ attribute: value }).to_string();
        let (service, tags) = (percent_encoded(service), percent_encoded(&tags));
        let path = format!("/api/traces?service={service}&tags={tags}&lookback=1h&limit=100");
        let found = get(self.query, &path).unwrap_or_else(|| panic!("no answer to {path}"));
        let traces = found["data"].as_array().into_iter().flatten();
        traces
            .map(|trace| trace["traceID"].as_str().unwrap_or_default().to_owned())
            .collect()
    }
}

/// The tree of a trace as text, a line for each span.
pub fn tree_of(spans: &[Span]) -> String {
    let mut text = String::new();
    let roots = spans
        .iter()
        .filter(|span| spans.iter().all(|other| other.id != span.parent));
    for root in roots {
        write_under(&mut text, spans, root, 0);
    }
    text
}

fn write_under(text: &mut String, spans: &[Span], span: &Span, depth: usize) {
    let indent = "  ".repeat(depth);
    let time = span.duration as f64 / 1000.0;
    text.push_str(&format!(
        "{indent}{} [{}] {time:.2} ms\n",
        span.name, span.service
    ));
    for child in spans.iter().filter(|child| child.parent == span.id) {
        write_under(text, spans, child, depth + 1);
    }
}

fn program() -> Result<PathBuf, HostError> {
    let path = tree().join(".cache/jaeger");
    if path.exists() {
        return Ok(path);
    }
    let message = format!("{} is not there: run `make stores`", path.display());
    Err(HostError::new(message))
}

fn get(address: SocketAddr, path: &str) -> Option<Value> {
    let request = minreq::get(format!("http://{address}{path}")).with_timeout(TIMEOUT_SECONDS);
    serde_json::from_str(request.send().ok()?.as_str().ok()?).ok()
}

/// Any answer at all.
fn get_any(address: SocketAddr) -> Option<()> {
    let request = minreq::get(format!("http://{address}/")).with_timeout(TIMEOUT_SECONDS);
    request.send().ok().map(|_| ())
}

fn spans_of(trace: &Value) -> Option<Vec<Span>> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut spans: Vec<Span> = trace["spans"]
        .as_array()?
        .iter()
        .map(|span| {
            let references = span["references"].as_array().cloned().unwrap_or_default();
            let parent = references.iter().find(|it| it["refType"] == "CHILD_OF");
            let tags = span["tags"].as_array().cloned().unwrap_or_default();
            let process = text(&span["processID"]);
            Span {
                id: text(&span["spanID"]),
                parent: parent.map(|it| text(&it["spanID"])).unwrap_or_default(),
                name: text(&span["operationName"]),
                service: text(&trace["processes"][&process]["serviceName"]),
                start: span["startTime"].as_u64().unwrap_or_default(),
                duration: span["duration"].as_u64().unwrap_or_default(),
                tags: tags
                    .iter()
                    .map(|tag| (text(&tag["key"]), tag["value"].clone()))
                    .collect::<serde_json::Map<_, _>>()
                    .into(),
            }
        })
        .collect();
    spans.sort_by_key(|span| span.start);
    Some(spans)
}
