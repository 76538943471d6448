//! Edits of any message are what they are on a copy of it; the first byte says how long the script is.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some((length, rest)) = data.split_first() {
        let (script, batch) = rest.split_at(usize::from(*length).min(rest.len()));
        otlp_wire_fuzz::any_edits(batch, script);
    }
});
