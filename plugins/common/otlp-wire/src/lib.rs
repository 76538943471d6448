//! OTLP as it stands on the wire (<https://protobuf.dev/programming-guides/encoding/>, messages and
//! numbers of opentelemetry-proto 1.x).
//!
//! Knows no host, and no generated code. [`Message`] reads fields where they stand; [`Editor`] changes
//! some of them, and every other byte stays as it was, fields that nobody here knows included;
//! [`Writer`] appends messages to bytes, fields as they come, without a tree of objects in between;
//! [`rejected`] reads what a collector says of an export. [`schema`] has the numbers.
#![forbid(unsafe_code)]

mod any;
mod editor;
mod reader;
mod response;
pub mod schema;
mod writer;

pub use any::{Any, KeyValue, MAX_DEPTH};
pub use editor::{Editor, Mark};
pub use reader::{Error, Fault, Field, Fields, InPlace, Message, Value};
pub use response::rejected;
pub use writer::Writer;
