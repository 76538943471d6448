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
    /// The one heard of last: the next record is nearly always its.
    last: Source,
    /// The others, in the order in which they were heard of.
    others: Vec<Source>,
}

impl Sources {
    pub(super) fn new(prefix: Option<Prefix>, named: bool) -> Self {
        Self {
            last: Source::new(0, prefix.as_ref(), named),
            others: Vec::new(),
            prefix,
            named,
        }
    }

    /// The source with this key, new if it is not known.
    #[inline]
    pub(super) fn get(&mut self, key: u64) -> &mut Source {
        if self.last.key != key {
            self.turn_to(key);
        }
        &mut self.last
    }

    #[inline(never)]
    fn turn_to(&mut self, key: u64) {
        let place = self.others.iter().position(|source| source.key == key);
        let source = match place {
            Some(place) => self.others.remove(place),
            None => Source::new(key, self.prefix.as_ref(), self.named),
        };
        self.others.push(std::mem::replace(&mut self.last, source));
        if self.others.len() >= MOST {
            self.others.remove(0);
        }
    }
}

impl Source {
    fn new(key: u64, prefix: Option<&Prefix>, named: bool) -> Self {
        let prefix = prefix.cloned();
        Self {
            key,
            parser: prefix.map_or_else(Parser::new, Parser::with_prefix),
            memory: Memory::default(),
            stream: Stream::default(),
            is_postgres: named,
            is_text: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_not_heard_of_for_longest_is_forgotten() {
        let mut sources = Sources::new(None, false);
        let all = MOST as u64;
        for key in (1..=all).chain([1]) {
            sources.get(key).is_text = true;
        }
        assert!(!sources.get(all + 1).is_text);
        for key in (3..=all).chain([1]) {
            assert!(sources.get(key).is_text, "{key}");
        }
        assert!(!sources.get(2).is_text);
    }
}
