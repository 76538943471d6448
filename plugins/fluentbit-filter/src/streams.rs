//! Which streams are in the middle of an entry. The tag of a record names its stream: `tail` with a `*` in
//! its tag gives each file one of its own.

use pg_log::Stream;

/// Streams remembered; the one that was opened first is forgotten for another.
const MOST: usize = 256;

/// The streams that are open, which most never are.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    open: Vec<(u64, Stream)>,
    current: u64,
}

impl Streams {
    /// The record at hand is of this stream.
    #[inline]
    pub(crate) fn enter(&mut self, stream: u64) {
        self.current = stream;
    }

    /// What the stream at hand is in the middle of.
    #[inline]
    pub(crate) fn current(&self) -> Stream {
        let mut open = self.open.iter();
        let found = open.find(|(stream, _)| *stream == self.current);
        found.map_or_else(Stream::default, |(_, stream)| *stream)
    }

    /// Notes what it is in the middle of now.
    pub(crate) fn put(&mut self, state: Stream) {
        let current = self.current;
        self.open.retain(|(stream, _)| *stream != current);
        if state.is_open() {
            if self.open.len() >= MOST {
                self.open.remove(0);
            }
            self.open.push((current, state));
        }
    }
}

/// A number for a tag, eight bytes at a time.
#[inline]
pub(crate) fn hash(tag: &[u8]) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, word: u64| (hash ^ word).wrapping_mul(ODD).rotate_left(29);
    let (words, rest) = tag.as_chunks::<8>();
    let hash = words
        .iter()
        .fold(ODD, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    rest.iter()
        .fold(hash, |hash, byte| mix(hash, u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_have_numbers_of_their_own() {
        let tags = (0..5000).map(|number| hash(format!("postgres.var.log.{number}").as_bytes()));
        let mut tags: Vec<u64> = tags.collect();
        tags.sort_unstable();
        tags.dedup();
        assert_eq!(tags.len(), 5000);
    }
}
