//! Any bytes are fields, or an error that stands in them; any `AnyValue` is what prost takes it for.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    otlp_wire_fuzz::any_fields(data);
    otlp_wire_fuzz::any_value(data);
});
