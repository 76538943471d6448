//! What is remembered by hashes: a table that never has more than so many entries.

use std::marker::PhantomData;

use twox_hash::XxHash64;

/// A number to remember something by.
#[inline(never)]
pub(crate) fn hash(seed: u64, bytes: &[u8]) -> u64 {
    XxHash64::oneshot(seed, bytes)
}

/// The first number of places; a power of two.
const FIRST: usize = 16;

/// An entry as it is kept, so that one table serves them all.
pub(crate) type Words = [u64; 3];

/// What is remembered.
pub(crate) trait Entry: Copy {
    fn to_words(self) -> Words;
    fn from_words(words: Words) -> Self;
}

impl Entry for u64 {
    fn to_words(self) -> Words {
        [self, 0, 0]
    }

    fn from_words([value, ..]: Words) -> Self {
        value
    }
}

/// Entries by numbers that are hashes already.
#[derive(Debug)]
pub(crate) struct Bounded<E> {
    table: Table,
    entries: PhantomData<E>,
}

impl<E: Entry> Bounded<E> {
    pub(crate) const fn new(most: usize) -> Self {
        Self {
            table: Table {
                places: Vec::new(),
                entries: 0,
                most,
            },
            entries: PhantomData,
        }
    }

    pub(crate) fn get(&self, key: u64) -> Option<E> {
        self.table.get(key).map(E::from_words)
    }

    /// Sets an entry; false if it is not there yet and there is no room.
    pub(crate) fn set(&mut self, key: u64, entry: E) -> bool {
        self.table.set(key, entry.to_words())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = E> {
        let entries = self.table.places.iter().flatten();
        entries.map(|(_, words)| E::from_words(*words))
    }

    /// Forgets all entries but those that pass.
    pub(crate) fn retain(&mut self, passes: impl Fn(E) -> bool) {
        let room = self.table.places.len();
        self.table.fill(room, &|words| passes(E::from_words(words)));
    }
}

/// Whether an entry stays.
type Passes<'p> = &'p dyn Fn(Words) -> bool;

#[derive(Debug)]
struct Table {
    /// A power of two of places, at least half of them free; an entry stands in the first free one from
    /// its number's own on.
    places: Vec<Option<(u64, Words)>>,
    entries: usize,
    most: usize,
}

impl Table {
    #[inline(never)]
    fn get(&self, key: u64) -> Option<Words> {
        let (_, words) = self.places.get(self.place(key)?)?.as_ref()?;
        Some(*words)
    }

    #[inline(never)]
    fn set(&mut self, key: u64, words: Words) -> bool {
        if self.get(key).is_none() {
            if self.entries >= self.most {
                return false;
            }
            if self.entries.saturating_mul(2) >= self.places.len() {
                let room = self.places.len().saturating_mul(2).max(FIRST);
                self.fill(room, &|_| true);
            }
        }
        self.put(key, words);
        true
    }

    /// Moves the entries that pass to so many places.
    fn fill(&mut self, room: usize, passes: Passes<'_>) {
        let before = std::mem::take(&mut self.places);
        self.places.resize(room, None);
        self.entries = 0;
        for (key, words) in before.into_iter().flatten() {
            if passes(words) {
                self.put(key, words);
            }
        }
    }

    fn put(&mut self, key: u64, words: Words) {
        if let Some(place) = self.place(key)
            && let Some(place) = self.places.get_mut(place)
        {
            self.entries = self.entries.saturating_add(usize::from(place.is_none()));
            *place = Some((key, words));
        }
    }

    /// Where an entry is, or would be.
    fn place(&self, key: u64) -> Option<usize> {
        let last = self.places.len().checked_sub(1)?;
        let own = key as usize & last;
        let mut places = (own..=last).chain(0..own);
        places.find(|place| match self.places.get(*place) {
            Some(Some((other, _))) => *other == key,
            _ => true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_until_there_is_no_room_and_after_others_are_forgotten() {
        let mut table = Bounded::new(100);
        assert_eq!(table.get(7), None);
        // All of them want the same place.
        let key = |number: u64| number << 32;
        for number in 0..100 {
            assert!(table.set(key(number), 0_u64));
            assert!(table.set(key(number), number));
        }
        assert!(!table.set(key(100), 100));
        table.retain(|number| number % 3 == 0);
        for number in 0..101 {
            let expected = (number % 3 == 0 && number < 100).then_some(number);
            assert_eq!(table.get(key(number)), expected);
        }
        assert_eq!(table.iter().count(), 34);
        assert!(table.set(key(100), 100));
    }
}
