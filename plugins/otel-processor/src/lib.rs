//! `pgmesh-otel-processor.wasm`: batches of OTLP in, the same batches out, in which PostgreSQL's spans,
//! log records and metrics follow OpenTelemetry's semantic conventions and hold no data.
//!
//! ```text
//!  TracesData  -> traces (which spans are PostgreSQL's, what their attributes are) -> otlp_wire::Editor
//!  LogsData    -> logs (which records are entries of PostgreSQL's log; pg-log reads them) ------> otlp_wire::Editor
//!  MetricsData -> metrics (which are PostgreSQL's, what they are called) --------------------> otlp_wire::Editor
//! ```
//!
//! [`Processor`] knows no host. It changes what it understands, where it stands in the batch, and leaves
//! every other byte as it was; a batch with nothing to do comes back as the slice it came in.
//!
//! - [`config`]: what a user can set.
//! - `traces`: spans.
//! - `logs`: log records.
//! - `metrics`: metrics.
//! - `statement`: what is said of a query text, remembered for texts that come again (`places`).
//! - `exceptions`: what may be seen of an error's text.
//! - `lists`: names and words.
//! - `suspects`: what tells by itself that a text holds data.
//! - `strip`: what is left of what cannot be read.
//! - `exports`: otelwasm's calls, in the module only.
#![deny(unsafe_code)]

mod bounded;
pub mod config;
mod exceptions;
mod json;
mod lists;
mod logs;
mod metrics;
mod places;
mod statement;
mod strip;
mod suspects;
mod traces;

use std::borrow::Cow;
use std::fmt;

pub use config::{Config, ConfigError};

#[cfg(all(target_arch = "wasm32", feature = "otelwasm"))]
mod exports;

/// Why a batch could not be handled. It then must not pass: nobody has looked at it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Error {
    /// The bytes are no OTLP.
    Malformed(otlp_wire::Error),
}

impl From<otlp_wire::Error> for Error {
    fn from(error: otlp_wire::Error) -> Self {
        Self::Malformed(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => write!(out, "the batch is no OTLP: {error}"),
        }
    }
}

impl std::error::Error for Error {}

/// The logic of one instance, with what it has learned.
#[derive(Debug)]
pub struct Processor {
    traces: traces::Traces,
    logs: logs::Logs,
    metrics: metrics::Metrics,
    /// For what comes of the next batch.
    room: Vec<u8>,
}

impl Processor {
    /// A processor as a JSON document sets it; blank bytes are an empty document.
    ///
    /// # Errors
    /// When the document is wrong: the path, and what was expected there.
    pub fn configure(json: &[u8]) -> Result<Self, ConfigError> {
        let config = Config::parse(json)?;
        Ok(Self {
            metrics: metrics::Metrics::new(config.metrics, config.traces.systems.clone()),
            traces: traces::Traces::new(config.traces),
            logs: logs::Logs::new(config.logs),
            room: Vec::new(),
        })
    }

    /// Handles a `TracesData`.
    ///
    /// # Errors
    /// When it is none.
    pub fn process_traces<'a>(&mut self, batch: &'a [u8]) -> Result<Cow<'a, [u8]>, Error> {
        self.traces.process(batch, &mut self.room)
    }

    /// Handles a `LogsData`.
    ///
    /// # Errors
    /// When it is none.
    pub fn process_logs<'a>(&mut self, batch: &'a [u8]) -> Result<Cow<'a, [u8]>, Error> {
        self.logs.process(batch, &mut self.room, &mut self.traces)
    }

    /// Handles a `MetricsData`.
    ///
    /// # Errors
    /// When it is none.
    pub fn process_metrics<'a>(&mut self, batch: &'a [u8]) -> Result<Cow<'a, [u8]>, Error> {
        self.metrics
            .process(batch, &mut self.room, &mut self.traces)
    }

    /// Takes back what came of a batch, once the host has it: room for the next.
    pub fn recycle(&mut self, handled: Vec<u8>) {
        self.room = handled;
    }
}
