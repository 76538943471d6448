//! Finding bytes, eight at a time: the hosts that run the modules have no SIMD to do it with.

use std::slice::Iter;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Eight bytes in a word, with zeros behind the last.
pub(crate) fn words(text: &[u8]) -> Vec<u64> {
    let (words, rest) = text.as_chunks::<8>();
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    let last = (!rest.is_empty()).then(|| tail(text, rest));
    words.chain(last).collect()
}

/// Where in a word a byte first stands.
#[inline]
pub(crate) fn byte_in(word: u64, byte: u8) -> Option<usize> {
    let found = equal(word, repeated(byte));
    (found != 0).then(|| found.trailing_zeros() as usize / 8)
}

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

/// The bytes of `text` behind its last whole word, which are `rest`, with zeros behind them.
#[inline]
fn tail(text: &[u8], rest: &[u8]) -> u64 {
    let bits = |bytes: usize| (bytes as u32).wrapping_mul(8);
    if let Some(last) = text.last_chunk::<8>() {
        // Those before them are in the words.
        let others = 64_u32.wrapping_sub(bits(rest.len()));
        return u64::from_le_bytes(*last).checked_shr(others).unwrap_or(0);
    }
    if let (Some(head), Some(last)) = (rest.first_chunk::<4>(), rest.last_chunk::<4>()) {
        let last = u64::from(u32::from_le_bytes(*last));
        let before = bits(rest.len().wrapping_sub(4));
        return u64::from(u32::from_le_bytes(*head)) | last.wrapping_shl(before);
    }
    // Of one and of two bytes, some are the same.
    let half = rest.len() / 2;
    let byte = |at: usize| {
        let byte = rest.get(at).copied().unwrap_or(0);
        u64::from(byte).wrapping_shl(bits(at))
    };
    byte(0) | byte(half) | byte(rest.len().wrapping_sub(1))
}

/// Where a byte first stands in `text` that `exact` finds among eight, and that is `accepted` there. The lowest
/// bit that it sets must be right; borrows may set others above it, so that it is asked about bytes that are none.
/// Of sixteen bytes none is looked at if none is `likely` to be one.
#[inline]
fn first(
    text: &[u8],
    likely: impl Fn(u64) -> u64,
    mut exact: impl FnMut(u64) -> u64,
    accepted: impl Fn(usize) -> bool,
) -> Option<usize> {
    let mut at = 0_usize;
    let mut among = |word: u64, at: usize| {
        let mut found = exact(word);
        while found != 0 {
            let place = at.wrapping_add(found.trailing_zeros() as usize / 8);
            if place >= text.len() || accepted(place) {
                return Some(place);
            }
            found &= found.wrapping_sub(1);
        }
        None
    };
    for pair in text.as_chunks::<16>().0 {
        let pair = u128::from_le_bytes(*pair);
        let (one, other) = (pair as u64, (pair >> 64) as u64);
        if (likely(one) | likely(other)) & HIGHS != 0 {
            let found = among(one, at).or_else(|| among(other, at.wrapping_add(8)));
            if found.is_some() {
                return found;
            }
        }
        at = at.wrapping_add(16);
    }
    if let Some(word) = behind(text, at).first_chunk() {
        let found = among(u64::from_le_bytes(*word), at);
        if found.is_some() {
            return found;
        }
        at = at.wrapping_add(8);
    }
    let rest = behind(text, at);
    among(tail(text, rest), at).filter(|place| *place < text.len())
}

/// Sets the high bit of (at least) each byte that equals the repeated byte `needle`; of ASCII, hardly any other.
#[inline]
fn likely_equal(word: u64, needle: u64) -> u64 {
    (word ^ needle).wrapping_sub(ONES)
}

/// Where `needle` first stands in `text`.
#[inline]
pub(crate) fn find_byte(text: &[u8], needle: u8) -> Option<usize> {
    let repeated = repeated(needle);
    first(
        text,
        |word| likely_equal(word, repeated),
        |word| equal(word, repeated),
        |_| true,
    )
}

/// Where the first of two bytes stands in `text` that is `accepted` there; it is asked about others too.
#[inline]
pub(crate) fn find_either(
    text: &[u8],
    one: u8,
    other: u8,
    accepted: impl Fn(usize) -> bool,
) -> Option<usize> {
    let (one, other) = (repeated(one), repeated(other));
    first(
        text,
        |word| likely_equal(word, one) | likely_equal(word, other),
        |word| equal(word, one) | equal(word, other),
        accepted,
    )
}

/// The high bit of each byte is set that cannot stand in a JSON string as it is: quotes, backslashes and control
/// characters. Those of bytes that are not ASCII mean nothing.
#[inline]
fn likely_json_special(word: u64) -> u64 {
    // With this bit turned around, quotes stand right behind the control characters.
    let low = (word ^ repeated(0x02)).wrapping_sub(repeated(0x21));
    low | likely_equal(word, repeated(b'\\'))
}

/// The first of the bytes in a word that cannot stand in a JSON string as they are.
#[inline]
fn json_special(word: u64) -> u64 {
    likely_json_special(word) & !word & HIGHS
}

/// Where a byte first stands that cannot stand in a JSON string as it is. Notes in `bits` those of all bytes that
/// were looked at and are not ASCII.
#[inline]
pub(crate) fn find_json_special(text: &[u8], bits: &mut u64) -> Option<usize> {
    first(
        text,
        |word| likely_json_special(word) | word,
        |word| {
            *bits |= word;
            json_special(word)
        },
        |_| true,
    )
}

/// Of each byte in a word the high bit, if it cannot stand in a JSON string as it is.
#[inline]
fn json_specials(word: u64) -> u64 {
    // What is ASCII has room for a carry. With one bit turned around, quotes stand right behind the control characters.
    let low = !HIGHS;
    let others = ((word ^ repeated(0x02)) & low).wrapping_add(repeated(0x5f))
        & ((word ^ repeated(b'\\')) & low).wrapping_add(low);
    !(others | word) & HIGHS
}

/// Those bytes of a text, in their order, that cannot stand in a JSON string as they are: quotes, backslashes and
/// control characters. All are looked at once, eight at a time, whatever they are part of.
#[derive(Clone, Debug)]
pub(crate) struct JsonSpecials<'t> {
    /// Words that were not looked at, and what is behind the last.
    words: Iter<'t, [u8; 8]>,
    last: Option<u64>,
    length: usize,
    /// Where the word at hand begins, and those in it.
    begin: usize,
    found: u64,
    /// The bits of all bytes that were looked at.
    bits: u64,
}

impl<'t> JsonSpecials<'t> {
    pub(crate) fn of(text: &'t [u8]) -> Self {
        let (words, rest) = text.as_chunks::<8>();
        Self {
            words: words.iter(),
            last: Some(tail(text, rest)),
            length: text.len(),
            begin: 0_usize.wrapping_sub(8),
            found: 0,
            bits: 0,
        }
    }

    /// Where the first one stands from `place` on, which is not before that of the last call.
    #[inline]
    pub(crate) fn from(&mut self, place: usize) -> Option<usize> {
        loop {
            let skipped = place.saturating_sub(self.begin);
            let behind = match skipped {
                0..8 => self.found & u64::MAX.wrapping_shl(skipped.wrapping_mul(8) as u32),
                _ => 0,
            };
            if behind != 0 {
                let at = self
                    .begin
                    .wrapping_add(behind.trailing_zeros() as usize / 8);
                return (at < self.length).then_some(at);
            }
            self.find()?;
        }
    }

    /// The next word that has one, or the last of all.
    #[inline(never)]
    fn find(&mut self) -> Option<()> {
        let left = self.words.len();
        let mut bits = self.bits;
        let mut is_first = true;
        let found = self.words.by_ref().find_map(|word| {
            let word = u64::from_le_bytes(*word);
            bits |= word;
            // Most words have one; behind one that has none is a long string.
            let looks = std::mem::take(&mut is_first);
            let found = match looks || (likely_json_special(word) | word) & HIGHS != 0 {
                true => json_specials(word),
                false => 0,
            };
            (found != 0).then_some(found)
        });
        self.bits = bits;
        let passed = left.wrapping_sub(self.words.len());
        self.begin = self.begin.wrapping_add(passed.wrapping_mul(8));
        self.found = match found {
            Some(found) => found,
            None => {
                let word = self.last.take()?;
                self.bits |= word;
                self.begin = self.begin.wrapping_add(8);
                json_specials(word)
            }
        };
        Some(())
    }

    /// Whether all that was looked at is ASCII.
    #[inline]
    pub(crate) fn are_among_ascii(&self) -> bool {
        is_ascii_bits(self.bits)
    }
}

/// Whether bits that were noted are those of ASCII.
#[inline]
pub(crate) fn is_ascii_bits(bits: u64) -> bool {
    bits & HIGHS == 0
}

/// Whether `text` can stand in a JSON string as it is: ASCII, no control character, quote or backslash.
pub(crate) fn is_plain(text: &[u8]) -> bool {
    let mut bits = 0;
    find_json_special(text, &mut bits).is_none() && is_ascii_bits(bits)
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

/// Whether two texts are the same, sixteen bytes at a time: `==` compares one by one where these modules run.
#[inline]
#[must_use]
pub fn is_same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let (Some(last), Some(other_last)) = (one.last_chunk(), other.last_chunk()) else {
        return is_same_short(one, other);
    };
    let chunks = one.as_chunks().0.iter().zip(other.as_chunks().0);
    let differences = chunks.fold(difference(last, other_last), |bits, (one, other)| {
        bits | difference(one, other)
    });
    differences == 0
}

/// The bits in which sixteen bytes differ from others, one half on top of the other.
#[inline]
fn difference(one: &[u8; 16], other: &[u8; 16]) -> u64 {
    let bits = u128::from_le_bytes(*one) ^ u128::from_le_bytes(*other);
    bits as u64 | (bits >> 64) as u64
}

/// The same of less than sixteen bytes.
#[inline]
fn is_same_short(one: &[u8], other: &[u8]) -> bool {
    let heads = (one.first_chunk::<8>(), other.first_chunk::<8>());
    let (Some(head), Some(other_head)) = heads else {
        return tail(one, one) == tail(other, other);
    };
    let is_same = u64::from_le_bytes(*head) == u64::from_le_bytes(*other_head);
    is_same && tail(one, behind(one, 8)) == tail(other, behind(other, 8))
}

/// Whether `text` begins with `head`.
#[inline]
pub(crate) fn begins(text: &[u8], head: &[u8]) -> bool {
    text.get(..head.len())
        .is_some_and(|begin| is_same(begin, head))
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
        if begins(behind, tail) {
            return Some(at);
        }
        from = at.saturating_add(1);
    }
}

/// How many of the first bytes of `text` are decimal digits.
#[inline]
pub(crate) fn digits(text: &[u8]) -> usize {
    // Of a digit, at most this much is left when a zero is taken off.
    let most = repeated(0x76);
    let other = |word: u64| {
        let odd = word ^ repeated(b'0');
        (odd.wrapping_add(most) | odd) & HIGHS
    };
    first(text, |_| HIGHS, other, |_| true).unwrap_or(text.len())
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

/// A number as 16 digits.
pub(crate) fn hexadecimal(number: u64) -> [u8; 16] {
    let half = |half: u64| {
        // Two, four, eight pieces: the digits, each in a byte, the last one first.
        let pairs = (half | half << 16) & 0x0000_ffff_0000_ffff;
        let bytes = (pairs | pairs << 8) & 0x00ff_00ff_00ff_00ff;
        let digits = (bytes | bytes << 4) & 0x0f0f_0f0f_0f0f_0f0f;
        // Of a digit beyond 9, six more than it is carries.
        let letters = (digits.wrapping_add(repeated(6)) >> 4) & ONES;
        let letters = letters.wrapping_mul(u64::from(b'a' - b'9' - 1));
        u128::from((digits | repeated(b'0')).wrapping_add(letters))
    };
    (half(number >> 32) << 64 | half(number & 0xffff_ffff)).to_be_bytes()
}

/// A number in decimal, if it fits.
pub(crate) fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    if text.len() <= 8 {
        return short_number(text);
    }
    text.iter().try_fold(0_u64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| byte & 0x0f)?;
        sum.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// A number of up to eight digits, two, four and eight of them at once.
#[inline]
fn short_number(text: &[u8]) -> Option<u64> {
    let missing = 8_u32.wrapping_sub(text.len() as u32).wrapping_mul(8);
    let zeros = repeated(b'0');
    let digits = (tail(text, text) ^ zeros).wrapping_shl(missing);
    let odd = (digits.wrapping_add(repeated(0x76)) | digits) & HIGHS;
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_ffff_0000_ffff;
    let all = fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xffff_ffff;
    (odd == 0).then_some(all)
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
                assert_eq!(find_json_special(&text, &mut 0), special);
            }
        }
    }

    #[test]
    fn all_of_json_s_special_bytes_are_found_once() {
        let bytes = [
            b'"', b'\\', 0x1f, 0x00, b' ', b'!', b'#', b'[', 0x7f, 0x80, 0xa2, 0xdc, 0x9f,
        ];
        for length in 0..60_usize {
            let text: Vec<u8> = (0..length)
                .map(|at| bytes[at * at * 31 % 97 * (length + 5) % bytes.len()])
                .collect();
            let expected = |at: &usize| matches!(text[*at], b'"' | b'\\' | 0..32);
            let expected: Vec<usize> = (0..length).filter(expected).collect();
            let mut specials = JsonSpecials::of(&text);
            let mut place = 0;
            let found: Vec<usize> = std::iter::from_fn(|| {
                let found = specials.from(place)?;
                place = found + 1;
                Some(found)
            })
            .collect();
            assert_eq!(found, expected, "{text:?}");
            assert_eq!(specials.are_among_ascii(), text.is_ascii());
            let half = JsonSpecials::of(&text).from(length / 2);
            assert_eq!(half, expected.iter().copied().find(|at| *at >= length / 2));
        }
    }

    #[test]
    fn numbers_are_read_whatever_their_length() {
        for number in (0..64).map(|bits| u64::MAX >> bits) {
            let digits = number.to_string();
            assert_eq!(super::number(digits.as_bytes()), Some(number));
            for odd in ["/", ":", "x", "\u{b0}"] {
                let text = digits.replacen('1', odd, 1);
                assert_eq!(super::number(text.as_bytes()).is_some(), text == digits);
            }
            let expected = format!("{number:016x}");
            assert_eq!(hexadecimal(number), expected.as_bytes());
        }
        assert_eq!(number(b"18446744073709551616"), None);
        assert_eq!(number(b""), None);
    }

    #[test]
    fn texts_are_the_same_if_no_byte_differs() {
        for length in 0..40 {
            let text: Vec<u8> = (0..length).collect();
            assert!(is_same(&text, &text.clone()));
            for at in 0..text.len() {
                let mut other = text.clone();
                other[at] ^= 0x80;
                assert!(!is_same(&text, &other), "{at} of {length}");
                assert!(!is_same(&text, &text[at + 1..]));
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
