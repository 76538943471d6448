//! The fuzz targets' invariants on random bytes and random lines: what `make fuzz` looks for in hours.

use proptest::prelude::*;

use crate::fuzz;
use crate::fuzz::invariants::{any_batch, any_lines, processors};

proptest! {
    #[test]
    fn any_bytes_are_handled_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        any_batch(&mut processors(), &bytes);
    }

    /// Lengths and tags of messages make the reader go in where random bytes seldom do.
    #[test]
    fn nested_messages_are_handled_or_refused(
        fields in prop::collection::vec((1_u8..16, prop::collection::vec(any::<u8>(), 0..20)), 1..8),
    ) {
        let batch = fields.iter().fold(Vec::new(), |inner, (number, bytes)| {
            let content = [inner, bytes.clone()].concat();
            let length = u8::try_from(content.len() & 0x7f).expect("seven bits");
            [vec![number << 3 | 2, length], content].concat()
        });
        any_batch(&mut processors(), &batch);
        fuzz::any_batch(&batch);
    }

    #[test]
    fn any_lines_are_records(log in "(2026-11-23 03:34:37 UTC\\|7\\||LOG:  |ERROR:  |DETAIL:  |STATEMENT:  |\t|\"|,|\\{|\n|'|\\PC){0,60}") {
        any_lines(&mut processors(), &log);
        fuzz::any_lines(&log);
    }
}
