//! What the tests share with the fuzz targets.
#![allow(
    clippy::expect_used,
    unreachable_pub,
    reason = "the fuzz targets are another crate"
)]

pub mod invariants;
