//! The fuzz targets' invariants on statements that were damaged: what `make fuzz` looks for in hours, in
//! the seconds that every test run has, with no compiler of its own.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "helpers of tests may panic"
)]

mod common;
#[allow(
    dead_code,
    unreachable_pub,
    reason = "the test that has servers uses the rest"
)]
#[path = "normalized/mod.rs"]
mod normalized;

use std::sync::LazyLock;

use common::PIECES;
use common::invariants::{any_bytes, classification_stays_in_the_text};
use proptest::prelude::*;
use proptest::sample::Index;

/// The corpus of `normalize`.
static STATEMENTS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let cases = normalized::cases().into_iter();
    cases.map(|case| case.text.into_bytes()).collect()
});

/// One way to damage a text.
#[derive(Clone, Debug)]
enum Damage {
    Cut(Index),
    Delete(Index, u8),
    Repeat(Index, u8),
    Insert(Index, &'static str),
    Byte(Index, u8),
    Splice(Index, Index, Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<Index>;
    prop_oneof![
        1 => at().prop_map(Damage::Cut),
        2 => (at(), 1..9_u8).prop_map(|(at, bytes)| Damage::Delete(at, bytes)),
        2 => (at(), 1..30_u8).prop_map(|(at, bytes)| Damage::Repeat(at, bytes)),
        4 => (at(), prop::sample::select(PIECES)).prop_map(|(at, piece)| Damage::Insert(at, piece)),
        2 => (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Byte(at, byte)),
        2 => (at(), at(), at()).prop_map(|(at, other, from)| Damage::Splice(at, other, from)),
    ]
}

fn damaged(mut text: Vec<u8>, damages: &[Damage]) -> Vec<u8> {
    for damage in damages {
        let place = |at: &Index| at.index(text.len() + 1);
        match damage {
            Damage::Cut(at) => text.truncate(place(at)),
            Damage::Delete(at, bytes) => {
                let start = place(at);
                let end = text.len().min(start + usize::from(*bytes));
                text.drain(start..end);
            }
            Damage::Repeat(at, bytes) => {
                let start = place(at);
                let end = text.len().min(start + usize::from(*bytes));
                let again = text[start..end].to_vec();
                text.splice(end..end, again);
            }
            Damage::Insert(at, piece) => {
                let start = place(at);
                text.splice(start..start, piece.bytes());
            }
            Damage::Byte(at, byte) => {
                let start = place(at);
                if let Some(found) = text.get_mut(start) {
                    *found = *byte;
                }
            }
            Damage::Splice(at, other, from) => {
                let start = place(at);
                let other = &STATEMENTS[other.index(STATEMENTS.len())];
                let from = from.index(other.len() + 1);
                text.splice(start.., other[from..].iter().copied());
            }
        }
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32_768, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_damaged_keeps_the_invariants(
        statement: Index,
        damages in prop::collection::vec(damage(), 1..6),
    ) {
        let text = damaged(STATEMENTS[statement.index(STATEMENTS.len())].clone(), &damages);
        any_bytes(&text);
        classification_stays_in_the_text(&text);
    }
}
