//! A number for what a function of the server's says with a SQLSTATE: 24 bits, so that a table of them is
//! small. Used by `build.rs`, which makes the table, and by the crate, which looks it up.

pub(crate) fn number(function: &[u8], sqlstate: &[u8]) -> u32 {
    // FNV-1a
    let bytes = function.iter().chain(sqlstate);
    let hash = bytes.fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    });
    (hash >> 8) ^ (hash & 0xff)
}
