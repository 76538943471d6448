//! Where log records come from: what was learned of one server's log must not be taken for another's,
//! whose `log_line_prefix` is its own, and whose process ids name other processes.

use pg_log::{Memory, Parser, Prefix, Stream};

/// Sources remembered; the one not heard of for longest goes first.
const MOST: usize = 64;

/// What was learned of one log.
#[derive(Debug)]
pub(super) struct Source {
    key: u64,
    pub(super) parser: Parser,
    pub(super) memory: Memory,
    /// What its last text left open.
    pub(super) stream: Stream,
    /// Whether entries of PostgreSQL's come from it.
    pub(super) is_postgres: bool,
    /// Whether they are text, in which whatever is no entry may go on with the last.
    pub(super) is_text: bool,
}

/// All sources.
#[derive(Debug)]
pub(super) struct Sources {
    prefix: Option<Prefix>,
    /// Whether the user has said that all of them are PostgreSQL's.
    named: bool,
    /// The one heard of last is last.
    known: Vec<Source>,
}

impl Sources {
    pub(super) const fn new(prefix: Option<Prefix>, named: bool) -> Self {
        Self {
            prefix,
            named,
            known: Vec::new(),
        }
    }

    /// The source with this key, new if it is not known.
    pub(super) fn get(&mut self, key: u64) -> &mut Source {
        let place = self.known.iter().position(|source| source.key == key);
        if place.is_none() && self.known.len() >= MOST {
            self.known.remove(0);
        }
        let source = place.map(|place| self.known.remove(place));
        let source = source.unwrap_or_else(|| self.make(key));
        self.known.push_mut(source)
    }

    fn make(&self, key: u64) -> Source {
        let prefix = self.prefix.clone();
        Source {
            key,
            parser: prefix.map_or_else(Parser::new, Parser::with_prefix),
            memory: Memory::default(),
            stream: Stream::default(),
            is_postgres: self.named,
            is_text: false,
        }
    }
}
