//! Finding bytes, eight at a time: the hosts that run the modules have no SIMD to do it with.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Bits set in (at least) the first byte of `word` that equals the repeated byte `needle`.
#[inline]
fn equal(word: u64, needle: u64) -> u64 {
    let differences = word ^ needle;
    differences.wrapping_sub(ONES) & !differences & HIGHS
}

#[inline]
fn repeated(byte: u8) -> u64 {
    ONES.wrapping_mul(u64::from(byte))
}

/// Where `wanted` first stands in `text`, given a quick test of eight bytes for it.
#[inline]
fn first(text: &[u8], quick: impl Fn(u64) -> u64, wanted: impl Fn(u8) -> bool) -> Option<usize> {
    let mut at = 0_usize;
    let (words, rest) = text.as_chunks::<8>();
    for word in words {
        let found = quick(u64::from_le_bytes(*word));
        if found != 0 {
            // The lowest bit that is set is exact, whatever borrows did to those above it.
            return Some(at.saturating_add(found.trailing_zeros() as usize / 8));
        }
        at = at.saturating_add(8);
    }
    let inside = rest.iter().position(|byte| wanted(*byte))?;
    Some(at.saturating_add(inside))
}

/// Where `needle` first stands in `text`.
#[inline]
pub(crate) fn find_byte(text: &[u8], needle: u8) -> Option<usize> {
    let repeated = repeated(needle);
    first(text, |word| equal(word, repeated), |byte| byte == needle)
}

/// Where a byte first stands that cannot stand in a JSON string as it is: a quote, a backslash or a
/// control character.
#[inline]
pub(crate) fn find_json_special(text: &[u8]) -> Option<usize> {
    let (quote, backslash, blank) = (repeated(b'"'), repeated(b'\\'), repeated(b' '));
    first(
        text,
        |word| {
            let control = word.wrapping_sub(blank) & !word & HIGHS;
            equal(word, quote) | equal(word, backslash) | control
        },
        |byte| byte < b' ' || byte == b'"' || byte == b'\\',
    )
}

/// Whether `text` can stand in a JSON string as it is: printable ASCII, no quote, no backslash.
#[inline]
pub(crate) fn is_plain(text: &[u8]) -> bool {
    let (quote, backslash, blank) = (repeated(b'"'), repeated(b'\\'), repeated(b' '));
    let odd = |word: u64| {
        let control = word.wrapping_sub(blank);
        (equal(word, quote) | equal(word, backslash) | control | word) & HIGHS
    };
    let (words, rest) = text.as_chunks::<8>();
    words.iter().all(|word| odd(u64::from_le_bytes(*word)) == 0)
        && rest
            .iter()
            .all(|byte| matches!(byte, b' ' | b'!' | b'#'..=b'[' | b']'..=0x7f))
}

/// Whether `text` is ASCII.
#[inline]
#[must_use]
pub(crate) fn is_ascii(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks::<8>();
    let bits = words
        .iter()
        .fold(0, |bits, word| bits | u64::from_le_bytes(*word));
    bits & HIGHS == 0 && rest.iter().all(u8::is_ascii)
}

/// Where `needle` first stands in `text`; an empty one stands at the beginning.
pub(crate) fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    let Some((head, tail)) = needle.split_first() else {
        return Some(0);
    };
    let mut from = 0_usize;
    loop {
        let rest = text.get(from..)?;
        let at = from.saturating_add(find_byte(rest, *head)?);
        let behind = text.get(at.saturating_add(1)..)?;
        if behind.starts_with(tail) {
            return Some(at);
        }
        from = at.saturating_add(1);
    }
}

/// How many of the first bytes of `text` are decimal digits.
#[inline]
pub(crate) fn digits(text: &[u8]) -> usize {
    text.iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len())
}

/// `text` behind its first `length` bytes; empty if there are not that many.
#[inline]
pub(crate) fn behind(text: &[u8], length: usize) -> &[u8] {
    text.get(length..).unwrap_or_default()
}

/// The first `length` bytes of `text`, or all of it.
#[inline]
pub(crate) fn before(text: &[u8], length: usize) -> &[u8] {
    text.get(..length).unwrap_or(text)
}

/// Two digits for each byte.
pub(crate) fn write_hexadecimal(bytes: &[u8], out: &mut Vec<u8>) {
    let digit = |digit: u8| match digit {
        0..=9 => b'0'.wrapping_add(digit),
        _ => b'a'.wrapping_sub(10).wrapping_add(digit),
    };
    out.extend(
        bytes
            .iter()
            .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]),
    );
}

/// A number in decimal, if it fits.
pub(crate) fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| byte & 0x0f)?;
        sum.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_found_where_a_plain_search_finds_them() {
        let mut text = Vec::new();
        for length in 0..40 {
            for at in 0..length {
                text.clear();
                text.resize(length, b'-');
                text[at] = b'"';
                for earlier in 0..at {
                    // Bytes that differ from the needle by one bit are where borrows go wrong.
                    text[earlier] = [b'#', b'!', 0x00, 0xa2][earlier % 4];
                }
                assert_eq!(find_byte(&text, b'"'), Some(at));
                assert_eq!(find_byte(&text, b'\n'), None);
                let special = text.iter().position(|byte| *byte < 32 || *byte == b'"');
                assert_eq!(find_json_special(&text), special);
            }
        }
    }

    #[test]
    fn a_needle_is_found_behind_its_own_beginnings() {
        assert_eq!(find(b"aaab", b"aab"), Some(1));
        assert_eq!(find(b"aaab", b"abb"), None);
        assert_eq!(find(b"", b""), Some(0));
    }
}
