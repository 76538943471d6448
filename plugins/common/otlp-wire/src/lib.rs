//! OTLP as it stands on the wire (<https://protobuf.dev/programming-guides/encoding/>, messages and
//! numbers of opentelemetry-proto 1.x).
//!
//! Knows no host. [`Writer`] appends messages to bytes, fields as they come, without a tree of
//! objects in between; [`rejected`] reads what a collector says of an export.
#![forbid(unsafe_code)]

mod response;
mod writer;

pub use response::rejected;
pub use writer::Writer;
