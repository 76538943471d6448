//! Lists of names and words, asked by functions that stay functions: unrolled into the code of each place
//! that asks they cost some two thousand bytes.

/// Whether a text is one of these.
#[inline(never)]
pub(crate) fn is_any(text: &[u8], list: &[&str]) -> bool {
    list.iter().any(|one| one.as_bytes() == text)
}

/// Whether a text begins with one of these.
#[inline(never)]
pub(crate) fn begins_with_any(text: &[u8], list: &[&str]) -> bool {
    list.iter().any(|one| text.starts_with(one.as_bytes()))
}
