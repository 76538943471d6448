//! Any bytes, in any pieces, tell the same, and cost no more than a session may.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pg_wire_fuzz::any_bytes_in_any_pieces(data));
