//! Lines of any log are records.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &str| otel_processor_fuzz::any_lines(data));
