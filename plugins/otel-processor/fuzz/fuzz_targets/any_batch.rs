//! Any bytes are handled or refused as a batch of each signal; what comes of OTLP is OTLP.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| otel_processor_fuzz::any_batch(data));
