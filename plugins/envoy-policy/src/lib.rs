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
#![deny(unsafe_code)]

pub mod config;
pub mod gate;
pub mod policy;
pub mod startup;
