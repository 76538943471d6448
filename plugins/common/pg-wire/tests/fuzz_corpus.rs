//! The fuzz targets' invariants over what a fuzzer begins with, for a toolchain that cannot fuzz:
//! each recorded conversation, and each with one byte changed.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "tests say what they expect by panicking"
)]

mod common;

use common::Recording;
use common::invariants::{any_bytes_in_any_pieces, bodies, data_of};

#[test]
fn the_session_target_holds_for_its_corpus() {
    for recording in Recording::all() {
        let mut data = [vec![0], data_of(&recording)].concat();
        any_bytes_in_any_pieces(&data);
        let step = (data.len() / 20).max(1);
        for at in (0..data.len()).step_by(step) {
            data[at] ^= 0x11;
            any_bytes_in_any_pieces(&data);
            data[at] ^= 0x11;
        }
    }
}

#[test]
fn the_bodies_target_holds_for_its_corpus() {
    for recording in Recording::all() {
        for (_, body) in common::wire::messages(&recording) {
            bodies(&body);
            bodies(&body[..body.len() / 2]);
        }
    }
}
