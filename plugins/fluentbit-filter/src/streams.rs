//! What is known of each stream of records: two servers whose logs come through one filter have each its
//! own `log_line_prefix`, its own processes, and its own entry that is not finished. The tag of a record
//! names its stream, and so do the members that say which file or pipe it was read from.

use std::mem::{replace, swap};

use pg_log::{Format, Parser, Prefix, Stream};

use crate::output::Place;

/// Streams remembered; the one that was met first is forgotten for another.
const MOST: usize = 256;

/// Members that `tail`, container parsers and `path_key` name a stream in.
const KEYS: [&[u8]; 6] = [
    b"stream",
    b"file",
    b"filename",
    b"file_name",
    b"path",
    b"container_id",
];

/// What is known of a stream.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) key: u64,
    pub(crate) parser: Parser,
    /// What its last text left open.
    pub(crate) stream: Stream,
    /// How PostgreSQL's last entry in it was written; there has been none otherwise.
    pub(crate) format: Option<Format>,
}

impl Source {
    /// A stream that nothing is known of but the prefix, if one is given.
    fn new(key: u64, prefix: Option<&Prefix>) -> Self {
        let prefix = prefix.cloned();
        Self {
            key,
            parser: prefix.map_or_else(Parser::new, Parser::with_prefix),
            stream: Stream::default(),
            format: None,
        }
    }
}

/// All streams that PostgreSQL writes to.
#[derive(Debug)]
pub(crate) struct Streams {
    prefix: Option<Prefix>,
    current: Source,
    others: Vec<Source>,
    /// The place of the one that goes next.
    oldest: usize,
}

impl Streams {
    /// No stream yet; a prefix that is given holds for all.
    pub(crate) fn new(prefix: Option<Prefix>) -> Self {
        Self {
            current: Source::new(0, prefix.as_ref()),
            others: Vec::new(),
            oldest: 0,
            prefix,
        }
    }

    /// The stream of the record at hand.
    #[inline]
    pub(crate) fn current(&mut self) -> &mut Source {
        &mut self.current
    }

    /// The record at hand is of this stream. Returns whether the last was of another.
    #[inline]
    pub(crate) fn enter(&mut self, key: u64) -> bool {
        let other = self.current.key != key;
        if other {
            self.change(key);
        }
        other
    }

    fn change(&mut self, key: u64) {
        // What makes lines of one session quick to read is too much to keep of each stream.
        self.current.parser.forget_sessions();
        let known = self.others.iter_mut().find(|source| source.key == key);
        if let Some(known) = known {
            swap(known, &mut self.current);
            return;
        }
        let source = Source::new(key, self.prefix.as_ref());
        let last = replace(&mut self.current, source);
        if last.format.is_some() || last.stream.is_open() {
            self.keep(last);
        }
    }

    fn keep(&mut self, source: Source) {
        if self.others.len() < MOST {
            self.others.push(source);
            return;
        }
        if let Some(oldest) = self.others.get_mut(self.oldest) {
            *oldest = source;
        }
        self.oldest = self.oldest.saturating_add(1).checked_rem(MOST).unwrap_or(0);
    }
}

/// A number for the stream of a record.
#[inline]
pub(crate) fn key(tag: &[u8], record: &[Place<'_>]) -> u64 {
    let named = record
        .iter()
        .filter(|place| KEYS.contains(&place.member.key));
    named.fold(hash(tag), |key, place| {
        key.rotate_left(1) ^ hash(place.member.value)
    })
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
