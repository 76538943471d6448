//! Starts real hosts and real servers around the built modules, and fakes where the real ones cannot
//! be made to do what a test needs.
//!
//! - [`authority`]: certificates as a mesh gives them to workloads.
//! - [`background`]: what goes on beside a test.
//! - [`hosts`]: PostgreSQL and Envoy, started on free ports, stopped whatever happens.
//! - [`fakes`]: what stands in for them where a test needs a fault, a clock or a count.
//! - [`manifests`]: what judges the manifests that users copy.
//! - [`net`]: a client that sends bytes as told.
//! - [`dashboards`]: those that users copy.
//! - [`drivers`]: applications in the languages people use.
//! - [`relay`]: writes down what passes between any two of them.
//! - [`rules`]: the Prometheus rules that users copy, and what is made of them.
//! - [`shipped`]: the configuration files that users copy, as the tests run them.
//! - [`stack`]: all hosts at once, as a user would put them together.
//! - [`top_statements`]: the report that the metrics filter writes to Envoy's log.
//!
//! It is test code: what cannot go on stops with a message that says what to do, so the functions
//! here panic rather than hand back an error that every test would unwrap.
#![forbid(unsafe_code)]

pub mod authority;
pub mod background;
pub mod dashboards;
pub mod drivers;
pub mod fakes;
pub mod hosts;
pub mod manifests;
pub mod net;
pub mod otlp;
pub mod relay;
pub mod rules;
pub mod shipped;
pub mod stack;
pub mod top_statements;
