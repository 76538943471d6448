//! A table of a fixed number of places, in which what is remembered last takes the place of what was
//! there.

/// How many; a power of two.
const PLACES: usize = 512;

/// What is remembered by texts.
#[derive(Debug)]
pub(crate) struct Places<T> {
    places: Vec<Option<(Box<[u8]>, T)>>,
}

impl<T> Places<T> {
    pub(crate) const fn new() -> Self {
        Self { places: Vec::new() }
    }

    #[inline]
    pub(crate) fn get(&self, text: &[u8]) -> Option<&T> {
        let (known, value) = self.places.get(place(text))?.as_ref()?;
        is_same(known, text).then_some(value)
    }

    pub(crate) fn set(&mut self, text: &[u8], value: T) {
        if self.places.is_empty() {
            self.places.resize_with(PLACES, || None);
        }
        if let Some(place) = self.places.get_mut(place(text)) {
            *place = Some((text.into(), value));
        }
    }
}

/// Where a text is remembered: its length, its beginning, its middle and its end tell.
#[inline(always)]
fn place(text: &[u8]) -> usize {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let (words, rest) = text.as_chunks::<8>();
    let mut hash = text.len() as u64;
    let mut mix = |word: u64| hash = (hash.rotate_left(5) ^ word).wrapping_mul(FACTOR);
    let quarter = words.len() >> 2;
    for at in [
        0,
        1,
        quarter,
        quarter.wrapping_mul(2),
        quarter.wrapping_mul(3),
    ] {
        if let Some(word) = words.get(at) {
            mix(u64::from_le_bytes(*word));
        }
    }
    mix(last_word(text, rest));
    // Each bit counts for the highest, which tell the place.
    let hash = (hash ^ hash >> 32).wrapping_mul(FACTOR);
    (hash >> 48) as usize & PLACES.wrapping_sub(1)
}

/// The last eight bytes, some of which may be in other words too, or fewer of a short text.
#[inline(always)]
fn last_word(text: &[u8], rest: &[u8]) -> u64 {
    match text.last_chunk::<8>() {
        Some(last) => u64::from_le_bytes(*last),
        None => rest
            .iter()
            .fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// Whether two texts are the same, without a call for each.
#[inline(always)]
pub(crate) fn is_same(one: &[u8], other: &[u8]) -> bool {
    let (words, rest) = one.as_chunks::<8>();
    let (other_words, other_rest) = other.as_chunks::<8>();
    one.len() == other.len()
        && last_word(one, rest) == last_word(other, other_rest)
        && words
            .iter()
            .zip(other_words)
            .all(|(one, other)| one == other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_found_until_something_else_takes_its_place() {
        let mut places = Places::new();
        assert_eq!(places.get(b"a"), None);
        let texts: Vec<String> = (0..2000)
            .map(|number| format!("a text, {number}"))
            .collect();
        for text in &texts {
            places.set(text.as_bytes(), text.clone());
            assert_eq!(places.get(text.as_bytes()), Some(text));
        }
        let found = texts.iter().filter(|text| {
            let found = places.get(text.as_bytes());
            assert!(found.is_none_or(|found| found == *text));
            found.is_some()
        });
        // A good hash leaves few places empty.
        assert!((PLACES * 9 / 10..=PLACES).contains(&found.count()));
    }

    #[test]
    fn same_is_same() {
        for (one, other) in [
            ("", ""),
            ("a", "b"),
            ("abcdefgh", "abcdefgi"),
            ("abcdefghi", "abcdefghj"),
            ("abcdefgh", "abcdefghi"),
        ] {
            assert_eq!(is_same(one.as_bytes(), other.as_bytes()), one == other);
            assert!(is_same(other.as_bytes(), other.as_bytes()));
        }
    }
}
