//! PostgreSQL SQL text: lexing, normalising, redaction, fingerprint, classification.
//!
//! Knows no host and no protocol: bytes in, facts out. Every function is total.
#![forbid(unsafe_code)]

mod operation;

pub use operation::Operation;
