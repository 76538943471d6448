//! The invariants of the property tests, for the fuzz targets.

#[path = "../tests/wire/invariants.rs"]
mod invariants;

pub use invariants::{any_edits, any_fields, any_value};
