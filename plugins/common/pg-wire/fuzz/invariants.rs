//! The invariants of the property tests, for the fuzz targets.

#[path = "../tests/common/mod.rs"]
mod common;

pub use common::invariants::{any_bytes_in_any_pieces, bodies};
