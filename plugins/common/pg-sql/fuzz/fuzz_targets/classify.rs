//! Any bytes are classified, in a bounded stack, as statements that lie in the text.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pg_sql_fuzz::classification_stays_in_the_text(data));
