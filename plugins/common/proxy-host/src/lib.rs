//! A thin layer over the proxy-wasm 0.2.1 host interface, for network (L4) filters.
//!
//! It stands between a module's logic and the host that loads it:
//!
//! ```text
//!   Envoy --- exports ---> plugin!  -> Runtime -> your Plugin and its Connections
//!         <-- imports ---- ProxyWasm (trait Host) <-'
//! ```
//!
//! - [`plugin!`] defines the module's exports, once, in the crate that is the module.
//! - [`Runtime`] owns the root contexts and the connections and routes callbacks to them.
//! - [`Host`] is every call the host offers that we use. [`ProxyWasm`] makes it for real,
//!   [`fake::FakeHost`] in native tests.
//! - [`metrics`] adds up counters and histograms in the VM, so that a sample costs no host call.
//!
//! # Why not the `proxy-wasm` crate
//!
//! It panics on statuses that it does not expect, and when the host calls back from inside a host
//! call; a panic traps, and a trap closes every connection of the worker. Its entry points are
//! `#[no_mangle]` in the library, so they cannot be linked beside others that do not panic. It also
//! copies what the host hands over into a `Vec` per call and finds each context through several
//! hash maps: `make bench ONLY=cpu` shows a plugin on it that copies the bytes, reads the clock and
//! bumps one counter, and does nothing else, beside the whole metrics filter on this layer. That
//! plugin, `test-harness/reference-plugin`, is the crate's place here: the reference of the
//! interface and the anchor of the benchmark.
//!
//! # Rules that make it safe
//!
//! - A callback for a context that is not known does nothing and lets the bytes pass.
//! - A callback that comes while another one runs (the host calling back from inside a host call)
//!   does nothing: the runtime is taken out of its cell for the time of a callback. Only the end of
//!   a context is remembered, and done when the outer callback is over.
//! - What the host hands over lives in an arena, and is lent to a closure, never beyond it.

mod host;
mod runtime;

pub mod fake;
pub mod metrics;

#[cfg(target_arch = "wasm32")]
mod abi;
#[cfg(target_arch = "wasm32")]
mod arena;

#[cfg(target_arch = "wasm32")]
pub use abi::{ProxyWasm, VmCell, allocate};
pub use host::{
    Action, Buffer, Host, HostError, HttpCallId, HttpRequest, HttpResponse, MetricId, MetricKind,
    Side, Version,
};
pub use runtime::{ContextId, Plugin, Runtime};
