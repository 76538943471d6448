//! `pgmesh-envoy-metrics.wasm`: PostgreSQL metrics read off the wire, as an Envoy network filter.
//!
//! It stands between the client and the server, sees every byte of both directions and changes
//! none:
//!
//! ```text
//!  host callback -> filter -> pg_wire::Session -> recorder -> series -> (on the tick) Envoy's stats
//! ```
//!
//! - [`config`]: what a user can set.
//! - [`catalog`]: every metric in one table.
//! - `filter`: the host's callbacks.
//! - `recorder`: from a session's events to counts.
//! - [`series`]: label sets and the slots they count in.
//! - `follow`: statements one by one, if that is turned on.
//! - `hints`: what the log says about connections that cannot be decoded.
#![deny(unsafe_code)]

pub mod catalog;
pub mod config;
mod filter;
mod follow;
mod hints;
mod recorder;
pub mod series;

pub use filter::{Connection, Metrics};

#[cfg(target_arch = "wasm32")]
mod exports {
    #![allow(
        unsafe_code,
        reason = "the host finds entry points by their unmangled names"
    )]
    proxy_host::plugin!(crate::Metrics);
}
