//! `pgmesh-fluentbit-filter.wasm`: a record of Fluent Bit in, a clean, classified, redacted one out.
//!
//! ```text
//!  record (JSON) -> record (which member is the log) -> pg_log::Parser -> pg_log::Reporter -> output (JSON)
//! ```
//!
//! - [`config`]: what a user can set, and the presets.
//! - [`filter`]: from one record to the next; knows no host.
//! - `streams`: which of them are in the middle of an entry.
//! - `output`: the record that is handed back; `parts`: what it said before, and says again.
//! - `exports` and `memory`: the host's calls and the allocator, in the module only.
#![deny(unsafe_code)]

pub mod config;
pub mod filter;
mod output;
mod parts;
mod streams;

pub use config::Config;
pub use filter::{Filter, Outcome};

#[cfg(target_arch = "wasm32")]
mod exports;
#[cfg(target_arch = "wasm32")]
mod memory;
