//! Any bytes are a body of every message, or an error that says why not.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pg_wire_fuzz::bodies(data));
