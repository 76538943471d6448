//! A real OpenTelemetry Collector: takes OTLP over HTTP, runs a module over each batch, exports OTLP.
//!
//! There are two builds of it. [`Build::Ours`] (`test-harness/collector`) can be built wherever there
//! is Go, and has a `wasm` processor that repeats otelwasm's ABI. [`Build::Otelwasm`] is the real
//! otelwasm, run too when there is an `otelwasmcol` on the `PATH`.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

use prost::Message;
use serde_json::{Value, json};

use super::places::{RunDirectory, built_module, tree};
use super::process::{Process, Spec};
use super::{HostError, free_port};

/// The interpreter compiles nothing; the compiler takes a few seconds on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);
const TIMEOUT_SECONDS: u64 = 60;
/// Another process may take a free port before the Collector does.
const ATTEMPTS: usize = 3;
/// What the Collector logs once it takes requests.
const READY: &str = "Everything is ready";

/// Which program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Build {
    /// Our own host for tests.
    Ours,
    /// The real otelwasm.
    Otelwasm,
}

impl Build {
    /// Those that are here. Says so aloud when the real otelwasm is not among them: past the
    /// test harness, which swallows what a passing test prints.
    pub fn all() -> Vec<Self> {
        static SAY: Once = Once::new();
        if otelwasmcol().is_some() {
            return vec![Self::Ours, Self::Otelwasm];
        }
        SAY.call_once(|| {
            let line = "\nNOT TESTED in the real otelwasm: no otelwasmcol on the PATH\n";
            // Where there is no standard error there is nobody to tell.
            let _ = std::io::stderr().write_all(line.as_bytes());
        });
        vec![Self::Ours]
    }

    fn program(self) -> Result<PathBuf, HostError> {
        let ours = tree().join(".cache/collector");
        match self {
            Self::Ours if ours.exists() => Ok(ours),
            Self::Ours => {
                let message = format!("{} is not there: run `make stores`", ours.display());
                Err(HostError::new(message))
            }
            Self::Otelwasm => {
                otelwasmcol().ok_or_else(|| HostError::new("no otelwasmcol on the PATH"))
            }
        }
    }
}

fn otelwasmcol() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join("otelwasmcol"))
        .find(|candidate| candidate.is_file())
}

/// How a module is run: otelwasm's `runtime.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Interpreter,
    Compiled,
}

impl Mode {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Interpreter, Self::Compiled];

    fn name(self) -> &'static str {
        match self {
            Self::Interpreter => "interpreter",
            Self::Compiled => "compiled",
        }
    }
}

/// The Collector's configuration: OTLP in, these processors for each signal, OTLP out.
#[derive(Debug, Clone)]
pub struct Pipeline {
    filelog: Option<Value>,
    processors: Vec<(&'static str, Value)>,
    exporter: SocketAddr,
}

impl Pipeline {
    /// No processor; exports to the OTLP/HTTP receiver at this address.
    pub fn to(exporter: SocketAddr) -> Self {
        Self {
            filelog: None,
            processors: Vec::new(),
            exporter,
        }
    }

    /// Reads the lines of a file too, from its beginning, with these settings of filelog besides.
    pub fn filelog(mut self, file: &Path, settings: &Value) -> Self {
        let mut filelog = json!({
            "include": [file],
            "start_at": "beginning",
            "poll_interval": "50ms",
            "max_log_size": "4MiB",
        });
        for (name, value) in settings.as_object().into_iter().flatten() {
            filelog[name] = value.clone();
        }
        self.filelog = Some(filelog);
        self
    }

    /// Adds a processor and what is configured for it.
    pub fn processor(mut self, name: &'static str, configuration: Value) -> Self {
        self.processors.push((name, configuration));
        self
    }

    /// Adds a batch processor that sends on when it has `records`, or after a fifth of a second.
    pub fn batches_of(self, records: u32) -> Self {
        let configuration = json!({
            "send_batch_size": records, "send_batch_max_size": records, "timeout": "200ms"
        });
        self.processor("batch", configuration)
    }

    /// Adds our processor module with this `plugin_config`.
    #[track_caller]
    pub fn module(self, mode: Mode, plugin_config: Value) -> Self {
        self.module_at(&built_module("otel-processor"), mode, plugin_config)
    }

    /// Adds some other module.
    pub fn module_at(self, path: &Path, mode: Mode, plugin_config: Value) -> Self {
        let configuration = json!({
            "path": path,
            "plugin_config": plugin_config,
            "runtime": {"mode": mode.name()},
        });
        self.processor("wasm", configuration)
    }

    /// The configuration as JSON, which is YAML too.
    fn text(&self, receiver: SocketAddr) -> String {
        let names: Vec<&str> = self.processors.iter().map(|(name, _)| *name).collect();
        let processors: serde_json::Map<String, Value> = self
            .processors
            .iter()
            .map(|(name, configuration)| ((*name).to_owned(), configuration.clone()))
            .collect();
        let pipeline = json!({
            "receivers": ["otlp"], "processors": names, "exporters": ["otlp_http"]
        });
        let mut logs = pipeline.clone();
        let mut receivers = json!({
            "otlp": {"protocols": {"http": {"endpoint": receiver.to_string()}}}
        });
        if let Some(filelog) = &self.filelog {
            logs["receivers"] = json!(["otlp", "filelog"]);
            receivers["filelog"] = filelog.clone();
        }
        json!({
            "receivers": receivers,
            "processors": processors,
            "exporters": {"otlp_http": {
                "endpoint": format!("http://{}", self.exporter),
                "compression": "none",
                // What cannot be exported is told to the client at once.
                "sending_queue": {"enabled": false},
                "retry_on_failure": {"enabled": false},
            }},
            "service": {
                "telemetry": {"metrics": {"level": "none"}},
                "pipelines": {"traces": pipeline, "metrics": pipeline, "logs": logs},
            },
        })
        .to_string()
    }
}

/// A running Collector.
#[derive(Debug)]
pub struct Collector {
    // The process goes before its directory.
    process: Process,
    _directory: RunDirectory,
    otlp: SocketAddr,
}

impl Collector {
    /// Starts it with this pipeline and waits until it takes requests.
    #[track_caller]
    pub fn start(build: Build, pipeline: &Pipeline) -> Self {
        Self::with_configuration(build, |receiver| pipeline.text(receiver))
    }

    /// Starts it with a configuration whose OTLP/HTTP receiver listens on the address it is given.
    #[track_caller]
    pub fn with_configuration(build: Build, text: impl Fn(SocketAddr) -> String) -> Self {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            match Self::try_start(build, &text) {
                Ok(collector) => return collector,
                Err(error) => last = Some(error),
            }
        }
        panic!("{}", last.expect("an attempt was made"))
    }

    fn try_start(build: Build, text: impl Fn(SocketAddr) -> String) -> Result<Self, HostError> {
        let program = build.program()?;
        let directory = RunDirectory::new("collector")?;
        let otlp = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let configuration = directory.path().join("config.yaml");
        fs::write(&configuration, text(otlp))
            .map_err(|error| HostError::new(format!("{}: {error}", configuration.display())))?;
        let log = directory.path().join("log");
        let spec = Spec::new("the Collector", &program, log.clone())
            .args(["--config".as_ref(), configuration.as_os_str()]);
        let mut process = Process::start(spec)?;
        process.wait_until(START_LIMIT, || {
            let ready = fs::read_to_string(&log).is_ok_and(|log| log.contains(READY));
            ready.then_some(())
        })?;
        Ok(Self {
            process,
            _directory: directory,
            otlp,
        })
    }

    /// Where it takes OTLP over HTTP.
    pub fn otlp(&self) -> SocketAddr {
        self.otlp
    }

    /// Its process, for what it costs.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Ends it in good order, so that what it has batched is sent; what it has logged.
    pub fn stop(mut self) -> String {
        self.process.stop();
        self.log()
    }

    /// Sends a batch to `/v1/traces`, `/v1/metrics` or `/v1/logs`, whatever `batch` is; the reason
    /// when the Collector does not take it.
    #[track_caller]
    pub fn send(&self, batch: &impl Batch) -> Result<(), String> {
        self.send_bytes(batch.path(), batch.encode_to_vec())
    }

    /// The same with bytes that nobody has looked at.
    #[track_caller]
    pub fn send_bytes(&self, path: &str, body: Vec<u8>) -> Result<(), String> {
        let answer = minreq::post(format!("http://{}{path}", self.otlp))
            .with_header("content-type", "application/x-protobuf")
            .with_body(body)
            .with_timeout(TIMEOUT_SECONDS)
            .send()
            .unwrap_or_else(|error| panic!("the Collector did not answer: {error}"));
        if answer.status_code == 200 {
            return Ok(());
        }
        let reason = String::from_utf8_lossy(answer.as_bytes()).into_owned();
        Err(format!("{}: {reason}", answer.status_code))
    }
}

/// A batch of one signal, as OpenTelemetry's own messages.
pub trait Batch: Message {
    /// Where OTLP over HTTP sends it.
    fn path(&self) -> &'static str;
}

impl Batch for opentelemetry_proto::tonic::trace::v1::TracesData {
    fn path(&self) -> &'static str {
        "/v1/traces"
    }
}

impl Batch for opentelemetry_proto::tonic::metrics::v1::MetricsData {
    fn path(&self) -> &'static str {
        "/v1/metrics"
    }
}

impl Batch for opentelemetry_proto::tonic::logs::v1::LogsData {
    fn path(&self) -> &'static str {
        "/v1/logs"
    }
}
