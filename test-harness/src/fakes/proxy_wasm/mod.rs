//! A fake Envoy for network filters: loads a **built** module and drives it through connections
//! that the test scripts, byte by byte if it likes.
//!
//! It behaves as Envoy 1.40 was measured to: the same buffer rules, the same answers, the same
//! order of callbacks. Beyond that it does what Envoy cannot: its clock stands still until told,
//! any host call can be made to fail, and everything the module asks for is counted and kept.
//!
//! ```no_run
//! use test_harness::fakes::proxy_wasm::{Action, ClosedBy, Host};
//! use test_harness::hosts::places::built_module;
//!
//! let host = Host::load(&built_module("envoy-metrics")).start();
//! let connection = host.connect();
//! let delivery = connection.client_sends(b"...");
//! assert_eq!((delivery.action, &*delivery.delivered), (Action::Continue, &b"..."[..]));
//! connection.close(ClosedBy::Remote);
//! host.tick();
//! assert_eq!(host.samples().value("pgmesh_connections_total", &[]), 1.0);
//! ```

mod abi;
mod guest;
mod imports;
mod metrics;
mod state;
mod vm;

pub use abi::{Action, ClosedBy, LogLevel, Status, Stream};
pub use metrics::{Metric, MetricKind};
pub use state::{HttpCall, LogLine};

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use crate::hosts::Samples;
use state::Fault;
use vm::Vm;

/// A module that would not start, as Envoy would refuse it.
#[derive(Debug)]
pub struct Refused {
    /// What went wrong.
    pub reason: String,
    /// What the module logged before that.
    pub logs: Vec<LogLine>,
}

impl fmt::Display for Refused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}; the module logged {:?}", self.reason, self.logs)
    }
}

/// A module and its configuration, before it starts.
#[derive(Debug, Clone)]
pub struct Builder {
    module: PathBuf,
    configuration: Vec<u8>,
    log_level: LogLevel,
    properties: BTreeMap<Vec<u8>, Vec<u8>>,
    faults: Vec<(String, Status)>,
}

impl Builder {
    /// The plugin's configuration; empty otherwise.
    pub fn configuration(mut self, configuration: &str) -> Self {
        self.configuration = configuration.as_bytes().to_vec();
        self
    }

    /// The host's log level; Info otherwise.
    pub fn log_level(mut self, level: LogLevel) -> Self {
        self.log_level = level;
        self
    }

    /// A property that every context sees, such as `["xds", "cluster_name"]`.
    pub fn property(mut self, path: &[&str], value: &[u8]) -> Self {
        self.properties.insert(property_path(path), value.to_vec());
        self
    }

    /// Lets every call of `import` (`proxy_...`) fail from the start.
    pub fn failing(mut self, import: &str, status: Status) -> Self {
        self.faults.push((import.to_owned(), status));
        self
    }

    /// Loads, starts and configures the module. Panics when it is refused.
    #[track_caller]
    pub fn start(self) -> Host {
        self.try_start()
            .unwrap_or_else(|refused| panic!("{refused}"))
    }

    /// As [`start`](Self::start), where the refusal is what one wants to see.
    pub fn try_start(self) -> Result<Host, Refused> {
        let mut vm = Vm::load(&self.module).map_err(|reason| Refused {
            reason,
            logs: Vec::new(),
        })?;
        let state = vm.state();
        state.log_level = self.log_level;
        let fault = |status| Fault {
            status,
            times: u64::MAX,
        };
        state.faults = self
            .faults
            .into_iter()
            .map(|(import, status)| (import, fault(status)))
            .collect();
        match vm.start(&self.configuration, self.properties) {
            Ok(()) => Ok(Host(Rc::new(RefCell::new(vm)))),
            Err(reason) => Err(Refused {
                reason,
                logs: vm.state().logs.clone(),
            }),
        }
    }
}

/// A host with one module running in it.
#[derive(Debug, Clone)]
pub struct Host(Rc<RefCell<Vm>>);

impl Host {
    /// A host for the module in this file.
    pub fn load(module: &Path) -> Builder {
        Builder {
            module: module.to_owned(),
            configuration: Vec::new(),
            log_level: LogLevel::Info,
            properties: BTreeMap::new(),
            faults: Vec::new(),
        }
    }

    /// A client connects.
    pub fn connect(&self) -> Connection {
        self.connect_with(&[])
    }

    /// A client connects on whose connection these properties hold, as in
    /// `(&["source", "address"], b"10.0.0.1:40000")`.
    pub fn connect_with(&self, properties: &[(&[&str], &[u8])]) -> Connection {
        let properties = properties
            .iter()
            .map(|(path, value)| (property_path(path), value.to_vec()))
            .collect();
        let (id, action) = self.0.borrow_mut().connect(properties);
        Connection {
            host: self.clone(),
            id,
            action,
        }
    }

    /// The timer fires, whether the module has asked for one or not.
    pub fn tick(&self) {
        self.0.borrow_mut().tick();
    }

    /// The milliseconds between ticks that the module has asked for; 0 if none.
    pub fn tick_period(&self) -> u32 {
        self.0.borrow_mut().state().tick_period
    }

    /// Time passes. It does not by itself.
    pub fn advance(&self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).expect("less than 584 years");
        self.0.borrow_mut().state().clock += nanoseconds;
    }

    /// Sets the clock, to nanoseconds since the epoch; backwards too.
    pub fn set_clock(&self, nanoseconds: u64) {
        self.0.borrow_mut().state().clock = nanoseconds;
    }

    /// Lets the next `times` calls of `import` fail.
    pub fn fail(&self, import: &str, status: Status, times: u64) {
        let fault = Fault { status, times };
        self.0
            .borrow_mut()
            .state()
            .faults
            .insert(import.to_owned(), fault);
    }

    /// What a foreign function answers from now on. Others are not found.
    pub fn foreign_function(&self, name: &str, result: Result<&[u8], Status>) {
        let result = result.map(<[u8]>::to_vec);
        self.0
            .borrow_mut()
            .state()
            .foreign_functions
            .insert(name.to_owned(), result);
    }

    /// The calls of foreign functions so far: name and argument.
    pub fn foreign_calls(&self) -> Vec<(String, Vec<u8>)> {
        self.0.borrow_mut().state().foreign_calls.clone()
    }

    /// The HTTP calls so far.
    pub fn http_calls(&self) -> Vec<HttpCall> {
        self.0.borrow_mut().state().http_calls.clone()
    }

    /// An answer comes to the HTTP call with this token; no headers at all say that it failed.
    pub fn answer_http_call(&self, token: u32, headers: &[(&str, &str)], body: &[u8]) {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let headers = headers.iter().map(owned).collect();
        self.0.borrow_mut().answer_http_call(token, headers, body);
    }

    /// All metrics as the module has defined them, in that order.
    pub fn metrics(&self) -> Vec<Metric> {
        self.0.borrow_mut().state().metrics.all().to_vec()
    }

    /// The metrics as a scrape of Envoy with our `stats_tags` gives them.
    pub fn samples(&self) -> Samples {
        self.0.borrow_mut().state().metrics.samples()
    }

    /// What the module has logged so far.
    pub fn logs(&self) -> Vec<LogLine> {
        self.0.borrow_mut().state().logs.clone()
    }

    /// How often each import was called since the start or since [`forget_calls`](Self::forget_calls).
    pub fn calls(&self) -> BTreeMap<&'static str, u64> {
        self.0.borrow_mut().state().calls.clone()
    }

    /// Starts counting calls and instructions anew.
    pub fn forget_calls(&self) {
        let mut vm = self.0.borrow_mut();
        vm.state().calls.clear();
        vm.instructions = 0;
    }

    /// Roughly how many wasm instructions the module has run since then. The same exchange gives
    /// the same number on every machine.
    pub fn instructions(&self) -> u64 {
        self.0.borrow().instructions
    }

    /// Asks the module for memory outside of any host call, where Envoy never does; what it
    /// answers, 0 for none.
    pub fn allocate(&self, size: u32) -> u32 {
        self.0.borrow_mut().allocate(size)
    }

    /// The size of the module's memory in bytes. It never shrinks.
    pub fn memory_bytes(&self) -> usize {
        self.0.borrow_mut().memory_bytes()
    }
}

/// What became of bytes that one side has sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// What the module decided.
    pub action: Action,
    /// What reached the other side in this callback.
    pub delivered: Vec<u8>,
    /// How many bytes the host now holds back for the next callback.
    pub held: usize,
}

/// One connection between a client and a server, with the module in its middle.
#[derive(Debug)]
pub struct Connection {
    host: Host,
    id: u32,
    action: Action,
}

impl Connection {
    /// What the module said to the new connection.
    pub fn action(&self) -> Action {
        self.action
    }

    /// Bytes come from the client, in one piece.
    pub fn client_sends(&self, bytes: &[u8]) -> Delivery {
        self.host
            .0
            .borrow_mut()
            .data(self.id, Stream::Downstream, bytes, false)
    }

    /// Bytes come from the server, in one piece.
    pub fn server_sends(&self, bytes: &[u8]) -> Delivery {
        self.host
            .0
            .borrow_mut()
            .data(self.id, Stream::Upstream, bytes, false)
    }

    /// The client will send no more.
    pub fn client_ends(&self) -> Delivery {
        self.host
            .0
            .borrow_mut()
            .data(self.id, Stream::Downstream, b"", true)
    }

    /// The server will send no more.
    pub fn server_ends(&self) -> Delivery {
        let mut vm = self.host.0.borrow_mut();
        let delivery = vm.data(self.id, Stream::Upstream, b"", true);
        vm.server_closed(self.id);
        delivery
    }

    /// All that has reached the server so far, what was released after a pause too.
    pub fn server_received(&self) -> Vec<u8> {
        self.host.0.borrow().received(self.id, Stream::Upstream)
    }

    /// All that has reached the client so far.
    pub fn client_received(&self) -> Vec<u8> {
        self.host.0.borrow().received(self.id, Stream::Downstream)
    }

    /// Whether the module has closed this side.
    pub fn closed_by_module(&self, side: Stream) -> bool {
        self.host
            .0
            .borrow_mut()
            .state()
            .closed
            .contains(&(self.id, side))
    }

    /// The connection is gone.
    pub fn close(self, by: ClosedBy) {
        self.host.0.borrow_mut().close(self.id, by);
    }
}

/// A property's path as it crosses the interface: its parts joined by NUL.
fn property_path(parts: &[&str]) -> Vec<u8> {
    parts.join("\0").into_bytes()
}
