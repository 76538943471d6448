//! `pgmesh-envoy-policy.wasm`: who may run what on which PostgreSQL database, enforced on the wire
//! by an Envoy network filter.
//!
//! ```text
//!  host callback -> filter -> gate (messages) -> judge -> policy (rules) -> verdict
//!                      <- edits <----------------'  denials go through the server
//! ```
//!
//! - [`config`]: the policy as a user writes it.
//! - [`policy`]: its rules, and what they decide.
//! - [`gate`]: cuts the stream, holds what must be judged, replaces what is denied.
//! - [`startup`]: who a StartupMessage is from, and the settings written into it.
//! - [`limits`], [`shares`]: how much a client may have, counted over all workers.
//! - [`routes`], [`cancels`]: which server a session goes to, and which a CancelRequest.
//! - `sitting`: the judge of one connection: what is known of it, and the way from gate to policy.
//! - [`cause`]: everything that can decide, and what a client is told of it.
//! - [`catalog`], [`record`]: what is counted and what is told.
//! - `filter`: the host's callbacks.
#![deny(unsafe_code)]

pub mod cancels;
pub mod catalog;
pub mod cause;
pub mod config;
mod filter;
pub mod gate;
pub mod limits;
pub mod policy;
pub mod record;
pub mod routes;
pub mod shares;
mod sitting;
pub mod startup;

pub use filter::{Connection, PolicyFilter};

#[cfg(target_arch = "wasm32")]
mod exports {
    #![allow(
        unsafe_code,
        reason = "the host finds entry points by their unmangled names"
    )]
    proxy_host::plugin!(crate::PolicyFilter);
}
