//! A network filter written on the `proxy-wasm` SDK, as one would who has not measured it.
//!
//! It copies every byte of both directions out of the host, reads the clock and bumps a metric, and
//! nothing else. The fake host must run it as well as our own modules, which shows that the host
//! speaks the interface and not merely our dialect of it; and the benchmark puts its cost beside
//! ours.

use std::time::Duration;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, RootContext, StreamContext};
use proxy_wasm::types::{Action, ContextType, LogLevel, MetricType};

const TICK: Duration = Duration::from_secs(1);

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Root::default()));
}}

/// The metrics, by their ids in the host.
#[derive(Clone, Copy, Default)]
struct Metrics {
    client_bytes: u32,
    server_bytes: u32,
    ticks: u32,
}

#[derive(Default)]
struct Root {
    metrics: Metrics,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _configuration_size: usize) -> bool {
        let define = |kind, name| hostcalls::define_metric(kind, name).unwrap_or_default();
        self.metrics = Metrics {
            client_bytes: define(MetricType::Counter, "reference_bytes.direction=.=client;.;"),
            server_bytes: define(MetricType::Counter, "reference_bytes.direction=.=server;.;"),
            ticks: define(MetricType::Counter, "reference_ticks"),
        };
        let configuration = self.get_plugin_configuration().unwrap_or_default();
        log::info!("configured with {} bytes", configuration.len());
        self.set_tick_period(TICK);
        configuration != b"refuse"
    }

    fn on_tick(&mut self) {
        count(self.metrics.ticks, 1);
    }

    fn create_stream_context(&self, _context_id: u32) -> Option<Box<dyn StreamContext>> {
        Some(Box::new(Stream {
            metrics: self.metrics,
            latest: self.get_current_time(),
        }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::StreamContext)
    }
}

struct Stream {
    metrics: Metrics,
    latest: std::time::SystemTime,
}

impl Context for Stream {}

impl StreamContext for Stream {
    fn on_downstream_data(&mut self, size: usize, _end: bool) -> Action {
        let bytes = self.get_downstream_data(0, size).unwrap_or_default();
        self.saw(self.metrics.client_bytes, bytes.len())
    }

    fn on_upstream_data(&mut self, size: usize, _end: bool) -> Action {
        let bytes = self.get_upstream_data(0, size).unwrap_or_default();
        self.saw(self.metrics.server_bytes, bytes.len())
    }
}

impl Stream {
    fn saw(&mut self, metric: u32, size: usize) -> Action {
        self.latest = self.get_current_time();
        count(metric, i64::try_from(size).unwrap_or(i64::MAX));
        Action::Continue
    }
}

/// Adds to a counter. Envoy refuses to add nothing, and a refusal is no reason to stop here.
fn count(metric: u32, amount: i64) {
    if amount > 0 {
        let _refused = hostcalls::increment_metric(metric, amount);
    }
}
