//! The invariants of the property tests, for the fuzz targets.

#[path = "../tests/common/invariants.rs"]
mod invariants;

pub use invariants::{any_bytes, classification_stays_in_the_text};
