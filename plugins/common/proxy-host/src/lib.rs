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
//! It was measured (ratio of Envoy's CPU per prepared transaction to an Envoy without a filter):
//! the same filter, copying every byte and reading the clock, costs 1.27 to 1.35 on the SDK and
//! 1.13 on the raw interface, because the SDK allocates per call and dispatches through several
//! hash maps. The SDK also panics on statuses it does not expect, and a panic closes every
//! connection of the worker. Its entry points are `#[no_mangle]` in the library, so they cannot be
//! linked beside others. The crate has its place in `test-harness/reference-plugin`, where it is
//! the reference of the interface and the anchor of the benchmark.
//!
//! # Rules that make it safe
//!
//! - A callback for a context that is not known does nothing and lets the bytes pass.
//! - A callback that comes while another one runs (the host calling back from inside a host call)
//!   does nothing: the runtime is taken out of its cell for the time of a callback.
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
pub use host::{Action, Buffer, Host, HostError, MetricId, MetricKind};
pub use runtime::{ContextId, Plugin, Runtime};
