//! Messages that came before, and what they were recognised as: many have no value in them that differs
//! from one to the next.

use super::trie::Found;
use crate::scan::is_same;

/// Messages remembered. One that comes again takes the place of another.
const PLACES: usize = 64;
/// The longest that is remembered, in bytes.
const LONGEST: usize = 512;

/// Messages that came before.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// Made when there is something to remember.
    places: Vec<Place>,
    /// How many there were.
    count: u64,
}

#[derive(Clone, Debug, Default)]
struct Place {
    /// Tells the message that came last; it is remembered when it comes again.
    last: u64,
    text: Box<[u8]>,
    found: Option<Found>,
}

impl Known {
    /// What `text` is, by `find` unless it is remembered.
    #[inline]
    pub(super) fn or_else(
        &mut self,
        text: &[u8],
        find: impl FnOnce() -> Option<Found>,
    ) -> Option<Found> {
        let Some(telling) = telling(text) else {
            return find();
        };
        if self.places.is_empty() {
            self.places.resize(PLACES, Place::default());
        }
        let number = (telling >> 58) as usize;
        let place = self.places.get_mut(number)?;
        if is_same(&place.text, text) {
            return place.found.clone();
        }
        let mut found = find();
        if place.last == telling {
            self.count = self.count.wrapping_add(1);
            if let Some(found) = &mut found {
                found.text = self.count.wrapping_mul(PLACES as u64) | number as u64;
            }
            place.text = text.into();
            place.found.clone_from(&found);
        }
        place.last = telling;
        found
    }
}

/// A number for a message: its length, its end, and a word of each quarter. `None` if it is too long to be
/// remembered, or too short to be worth it.
#[inline]
fn telling(text: &[u8]) -> Option<u64> {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    if text.len() > LONGEST {
        return None;
    }
    let words = text.as_chunks::<8>().0;
    let quarter = words.len() >> 2;
    let mut number = text.len() as u64;
    let mut mix = |word: &[u8; 8]| {
        number = (number.rotate_left(29) ^ u64::from_le_bytes(*word)).wrapping_mul(FACTOR);
    };
    mix(words.get(quarter)?);
    mix(words.get(quarter.wrapping_mul(2))?);
    mix(words.get(quarter.wrapping_mul(3))?);
    mix(text.last_chunk()?);
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Classes;

    #[test]
    fn a_message_is_what_it_is_whatever_came_before() {
        let remembering = Classes::new();
        let texts = [
            "connection authorized: user=a database=b",
            "connection authorized: user=c database=b",
            "connection authorized: user=a database=c",
            "duplicate key value violates unique constraint \"t_pkey\"",
            "duplicate key value violates unique constraint \"u_pkey\"",
            "no message of the server's",
            "x",
            "",
        ];
        for text in texts.iter().cycle().take(texts.len() * 5) {
            let seen = |classes: &Classes| {
                let found = classes.of_message(text.as_bytes())?;
                let values = found.captures(text.as_bytes());
                let values: Vec<_> = values.map(|value| (value.value.name, value.span)).collect();
                Some((found.class.name, found.pattern(), found.end(), values))
            };
            assert_eq!(seen(&remembering), seen(&Classes::new()), "{text}");
        }
    }

    #[test]
    fn places_are_as_many_as_a_number_can_tell() {
        assert_eq!(PLACES, 1 << (64 - 58));
        assert!(telling(b"short").is_none());
    }
}
