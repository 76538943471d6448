//! The invariants of the property tests, for the fuzz targets.

#[path = "../tests/batches/invariants.rs"]
mod invariants;

pub use invariants::{any_batch, any_lines};
