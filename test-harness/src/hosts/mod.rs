//! Real servers and proxies, each a value that lives as long as its process.
//!
//! Starting one waits until it answers; dropping it stops it. When the test that holds it panics,
//! the end of its log is printed. When this process dies, by whatever signal, the kernel ends them.

pub mod alertmanager;
pub mod collector;
pub mod envoy;
pub mod fluent_bit;
pub mod jaeger;
pub mod loki;
pub mod places;
pub mod postgres;
pub mod postgres_exporter;
pub mod process;
pub mod prometheus;
pub mod samples;

pub use alertmanager::Alertmanager;
pub use collector::Collector;
pub use envoy::Envoy;
pub use jaeger::Jaeger;
pub use loki::Loki;
pub use postgres::{Postgres, Version};
pub use postgres_exporter::{PostgresExporter, Release};
pub use prometheus::Prometheus;
pub use samples::Samples;

use std::fmt;
use std::net::TcpListener;
use std::time::{Duration, Instant};

/// Why a host could not be started or asked, in words for the person at the terminal.
#[derive(Debug)]
pub struct HostError(String);

impl HostError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for HostError {}

/// A TCP port of 127.0.0.1 that was free a moment ago. Another process may take it before its new
/// owner binds it, so whoever uses it must be ready to try another.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .expect("127.0.0.1 has free ports")
        .port()
}

/// Asks `probe` again and again until it yields something or `limit` has passed.
pub fn wait_for<T>(limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = probe() {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
