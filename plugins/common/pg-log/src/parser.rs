//! From the text of a record to an event, in whatever format it is.

use crate::detect::Detector;
use crate::event::{Event, Faults, Level};
use crate::heads::Heads;
use crate::prefix::Prefix;
use crate::stream::{Stream, Unread};
use crate::wrapper::{Chunk, Unwrapped, unwrapped};
use crate::{csvlog, jsonlog, stderr};

/// Reads entries of one log. Keeps what it has learned of `log_line_prefix` between them.
#[derive(Clone, Debug, Default)]
pub struct Parser {
    given: Option<Box<Prefix>>,
    /// Made when it is needed first.
    detector: Option<Box<Detector>>,
    /// What lines begin with, behind the prefix that is given, or else the one that is found.
    heads: Heads,
}

impl Parser {
    /// A parser that finds `log_line_prefix` out.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A parser of a log whose `log_line_prefix` is known. Lines that do not fit it are read by what
    /// they look like, and say so ([`Faults::OTHER_PREFIX`]).
    #[must_use]
    pub fn with_prefix(prefix: Prefix) -> Self {
        Self {
            given: Some(Box::new(prefix)),
            detector: None,
            heads: Heads::default(),
        }
    }

    /// The prefix that lines of text are read with, if one is given or found.
    #[must_use]
    pub fn prefix(&self) -> Option<&Prefix> {
        current(self.given.as_deref(), self.detector.as_deref())
    }

    /// Forgets what lines of sessions begin with, but not the prefix.
    pub fn forget_sessions(&mut self) {
        self.heads.clear();
    }

    /// Whether an object is an entry of jsonlog or CloudNativePG.
    #[must_use]
    pub fn is_entry(object: &[u8]) -> bool {
        jsonlog::parse(object).is_some()
    }

    /// Reads the entry that `text` begins with, and returns what follows it. `None` if there is none.
    pub fn parse<'t>(&mut self, text: &'t [u8]) -> Option<(Event<'t>, &'t [u8])> {
        let unwrapped = self.unwrapped(text);
        self.entry(&unwrapped)
    }

    /// Reads the next text of a stream, which may be a part of an entry: the one it begins with, and
    /// what follows that.
    pub fn read<'t>(
        &mut self,
        text: &'t [u8],
        stream: &mut Stream,
    ) -> Result<(Event<'t>, &'t [u8]), Unread> {
        let unwrapped = self.unwrapped(text);
        if stream.is_open() && stream.goes_on(&unwrapped) {
            return Err(Unread::Continuation);
        }
        let Some(found) = self.entry(&unwrapped) else {
            return Err(stream.judge(&unwrapped));
        };
        stream.after(&found.0, &unwrapped);
        Ok(found)
    }

    /// A text without what carried it. Where a prefix of its own begins like syslog's mark, it is one.
    fn unwrapped<'t>(&self, text: &'t [u8]) -> Unwrapped<'t> {
        let fits = |prefix: &Prefix| prefix.fits(text);
        if text.starts_with(b"[") && self.prefix().is_some_and(fits) {
            return Unwrapped::bare(text);
        }
        unwrapped(text)
    }

    fn entry<'t>(&mut self, unwrapped: &Unwrapped<'t>) -> Option<(Event<'t>, &'t [u8])> {
        let text = unwrapped.text;
        if unwrapped.chunk.is_some_and(Chunk::is_later) {
            // Only an entry's first chunk can have its severity.
            let found = stderr::parse(self.prefix()?, None, text)?;
            return matches!(found.0.level, Level::Companion(_)).then_some(found);
        }
        // Of lines that begin like rows, nothing is remembered.
        if let Some(prefix) = current(self.given.as_deref(), self.detector.as_deref())
            && let Some(found) = stderr::parse_known(prefix, &mut self.heads, text)
        {
            return Some(found);
        }
        match text.first()? {
            b'{' => {
                if let Some(found) = jsonlog::parse(text) {
                    return Some(found);
                }
                // Whatever stands in it is not behind a prefix that can be found out.
                if self.given.is_none() && text.starts_with(b"{\"") {
                    return None;
                }
            }
            b'0'..=b'9' if csvlog::looks_like(text) => {
                if let Some(found) = csvlog::parse(text) {
                    return Some(found);
                }
            }
            _ => {}
        }
        let Some(given) = &self.given else {
            return detected(&mut self.detector, Some(&mut self.heads), text);
        };
        if let Some(found) = stderr::parse(given, Some(&mut self.heads), text) {
            return Some(found);
        }
        let (mut event, rest) = detected(&mut self.detector, None, text)?;
        event.faults.insert(Faults::OTHER_PREFIX);
        Some((event, rest))
    }
}

/// The prefix that is given, or else the one that was found out.
fn current<'p>(given: Option<&'p Prefix>, detector: Option<&'p Detector>) -> Option<&'p Prefix> {
    given.or_else(|| detector?.current())
}

/// Reads a line behind a prefix that is found out.
fn detected<'t>(
    detector: &mut Option<Box<Detector>>,
    mut heads: Option<&mut Heads>,
    text: &'t [u8],
) -> Option<(Event<'t>, &'t [u8])> {
    let detector = detector.get_or_insert_default();
    if let Some(prefix) = detector.current() {
        let found = stderr::parse(prefix, heads.as_deref_mut(), text);
        if found.is_some() {
            return found;
        }
    }
    let prefix = detector.search(text)?;
    if let Some(heads) = heads {
        heads.clear();
    }
    stderr::parse(prefix, None, text)
}
