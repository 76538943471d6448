//! Reader, editor and writer on whatever bytes there are: the invariants that the fuzz targets call.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests may panic"
)]

#[allow(unreachable_pub, reason = "the fuzz targets are another crate")]
mod invariants;

use invariants::{any_edits, any_fields, any_value};
use proptest::prelude::*;

/// Messages in each other: lengths and tags take the reader in where random bytes seldom do.
fn nested() -> impl Strategy<Value = Vec<u8>> {
    let field = prop_oneof![
        (1_u32..40, any::<u64>()).prop_map(|(number, value)| {
            let mut out = Vec::new();
            prost::encoding::encode_key(number, prost::encoding::WireType::Varint, &mut out);
            prost::encoding::encode_varint(value, &mut out);
            out
        }),
        (1_u32..40, prop::collection::vec(any::<u8>(), 0..200)).prop_map(wrapped),
    ];
    let message = prop::collection::vec(field, 0..5).prop_map(|fields| fields.concat());
    message.prop_recursive(4, 32, 4, |inner| {
        let field = (1_u32..40, inner).prop_map(wrapped);
        prop::collection::vec(field, 0..4).prop_map(|fields| fields.concat())
    })
}

fn wrapped((number, inner): (u32, Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    prost::encoding::encode_key(number, prost::encoding::WireType::LengthDelimited, &mut out);
    prost::encoding::encode_varint(inner.len() as u64, &mut out);
    out.extend(inner);
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn any_bytes_are_fields_or_an_error_in_them(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        any_fields(&bytes);
        any_value(&bytes);
    }

    #[test]
    fn any_message_is_read_as_prost_reads_it(bytes in nested()) {
        any_fields(&bytes);
        any_value(&bytes);
    }

    #[test]
    fn any_edits_of_any_message_are_what_they_are_on_a_copy(
        bytes in nested(),
        script in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        any_edits(&bytes, &script);
    }
}
