//! Attributes that pass as they are, and came before. Those of an application's spans are mostly the same, value
//! and all, so that what was found of one need not be found again: that its name says nothing, and that its value
//! is neither a statement nor a password.

use crate::places::is_same;

/// How many are remembered, each in its place; a power of two.
const PLACES: usize = 256;
/// The longest and the shortest, as `KeyValue`s, in bytes.
const LONGEST: usize = 64;
const SHORTEST: usize = 16;

/// What an attribute says of its span.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Passing {
    /// The bit of its slot, if it has one.
    pub(super) slots: u32,
    /// It names PostgreSQL.
    pub(super) is_postgres: bool,
}

/// Attributes, each by its bytes.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Made when there is something to remember.
    places: Vec<Place>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    length: usize,
    bytes: [u8; LONGEST],
    passing: Passing,
}

impl Known {
    /// What an attribute says, if it came before.
    #[inline(always)]
    pub(super) fn get(&self, attribute: &[u8]) -> Option<Passing> {
        let known = self.places.get(place(attribute)?)?;
        let bytes = known.bytes.get(..known.length)?;
        is_same(bytes, attribute).then_some(known.passing)
    }

    /// Remembers what it says, in the place of another.
    #[inline(never)]
    pub(super) fn set(&mut self, attribute: &[u8], passing: Passing) {
        let Some(place) = place(attribute) else {
            return;
        };
        if self.places.is_empty() {
            let empty = Place {
                length: 0,
                bytes: [0; LONGEST],
                passing: Passing::default(),
            };
            self.places.resize(PLACES, empty);
        }
        if let Some(known) = self.places.get_mut(place)
            && let Some(bytes) = known.bytes.get_mut(..attribute.len())
        {
            bytes.copy_from_slice(attribute);
            known.length = attribute.len();
            known.passing = passing;
        }
    }
}

/// Where an attribute is remembered: its length, its beginning, its middle and its end tell. `None` if it is not.
#[inline(always)]
fn place(attribute: &[u8]) -> Option<usize> {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let length = attribute.len();
    if length > LONGEST {
        return None;
    }
    let first = attribute.first_chunk::<SHORTEST>()?;
    let last = attribute.last_chunk::<8>()?;
    let (_, half) = attribute.split_at_checked(length >> 1)?;
    let half = half.first_chunk::<8>()?;
    let first = u128::from_le_bytes(*first);
    let ends = (first as u64) ^ u64::from_le_bytes(*last).rotate_left(23);
    let inside = ((first >> 64) as u64).rotate_left(41) ^ u64::from_le_bytes(*half).rotate_left(7);
    let hash = (ends.wrapping_mul(FACTOR) ^ inside ^ length as u64).wrapping_mul(FACTOR);
    Some((hash >> 56) as usize % PLACES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_found_until_something_else_takes_its_place() {
        let mut known = Known::default();
        let passing = |slots| Passing {
            slots,
            is_postgres: slots % 2 == 0,
        };
        let texts: Vec<String> = (0..200_u32)
            .flat_map(|number| {
                [
                    format!("thread.name worker-{number}"),
                    format!("worker-{number} thread.name"),
                ]
            })
            .collect();
        for (number, text) in (0..).zip(&texts) {
            assert_eq!(known.get(text.as_bytes()), None);
            known.set(text.as_bytes(), passing(number));
            assert_eq!(known.get(text.as_bytes()), Some(passing(number)));
        }
        let mut found = 0;
        for (number, text) in (0..).zip(&texts) {
            let slots = known.get(text.as_bytes());
            assert!(slots.is_none_or(|slots| slots == passing(number)));
            found += usize::from(slots.is_some());
        }
        // A good hash leaves few places empty.
        assert!((PLACES * 7 / 10..=PLACES).contains(&found), "{found}");
    }

    #[test]
    fn what_is_too_short_or_too_long_is_not_remembered() {
        let mut known = Known::default();
        for length in 0..100 {
            let text = vec![b'a'; length];
            known.set(&text, Passing::default());
            let is_known = known.get(&text).is_some();
            assert_eq!(is_known, (SHORTEST..=LONGEST).contains(&length), "{length}");
        }
    }
}
