//! Where log records come from: what was learned of one server's log must not be taken for another's,
//! whose `log_line_prefix` is its own, and whose process ids name other processes.

use pg_log::{Memory, Parser, Prefix, Stream};

/// Sources remembered; the one not heard of for longest goes first.
const MOST: usize = 64;

/// What was learned of one log.
#[derive(Debug)]
pub(super) struct Source {
    key: u64,
    heard: u64,
    pub(super) parser: Parser,
    pub(super) memory: Memory,
    /// What its last text left open.
    pub(super) stream: Stream,
    /// Whether entries of PostgreSQL's come from it.
    pub(super) is_postgres: bool,
}

/// All sources.
#[derive(Debug)]
pub(super) struct Sources {
    prefix: Option<Prefix>,
    /// Whether the user has said that all of them are PostgreSQL's.
    named: bool,
    known: Vec<Source>,
    clock: u64,
}

impl Sources {
    pub(super) const fn new(prefix: Option<Prefix>, named: bool) -> Self {
        Self {
            prefix,
            named,
            known: Vec::new(),
            clock: 0,
        }
    }

    /// The place of the source with this key, new if it is not known.
    pub(super) fn place(&mut self, key: u64) -> usize {
        self.clock = self.clock.wrapping_add(1);
        let clock = self.clock;
        let known = self.known.iter().position(|source| source.key == key);
        let place = known.unwrap_or_else(|| self.make(key));
        if let Some(source) = self.known.get_mut(place) {
            source.heard = clock;
        }
        place
    }

    fn make(&mut self, key: u64) -> usize {
        let source = Source {
            key,
            heard: self.clock,
            parser: self
                .prefix
                .clone()
                .map_or_else(Parser::new, Parser::with_prefix),
            memory: Memory::default(),
            stream: Stream::default(),
            is_postgres: self.named,
        };
        if self.known.len() < MOST {
            self.known.push(source);
            return self.known.len().saturating_sub(1);
        }
        let heard = self.known.iter().enumerate();
        let oldest = heard.min_by_key(|(_, source)| source.heard);
        let place = oldest.map_or(0, |(place, _)| place);
        if let Some(old) = self.known.get_mut(place) {
            *old = source;
        }
        place
    }

    pub(super) fn get(&mut self, place: usize) -> Option<&mut Source> {
        self.known.get_mut(place)
    }
}
