//! Starts real hosts and real servers around the built modules, and fakes where the real ones cannot
//! be made to do what a test needs.
//!
//! - [`hosts`]: PostgreSQL and Envoy, started on free ports, stopped whatever happens.
//! - [`fakes`]: what stands in for them where a test needs a fault, a clock or a count.
//! - [`net`]: a client that sends bytes as told, and a relay that hashes what passes.
//!
//! It is test code: what cannot go on stops with a message that says what to do, so the functions
//! here panic rather than hand back an error that every test would unwrap.
#![forbid(unsafe_code)]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "test code: a panic is how it reports"
)]

pub mod fakes;
pub mod hosts;
pub mod net;
