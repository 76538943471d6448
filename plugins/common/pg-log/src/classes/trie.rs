//! Patterns of messages, all matched at once: literal text in a tree by its bytes, values in between.
//!
//! A message is read once from its beginning, whatever the number of patterns: at each place the next
//! byte picks the one branch that can go on. Where a value stands, its end is found by its kind or by
//! the literal behind it. A value that could end in several places is tried again further on, within a
//! budget that bounds the work by the length of the message.

use super::pattern::{Hole, Kind, Piece};
use crate::scan::{before, begins, behind, byte_in, digits, find, find_byte, words};

/// Values in one pattern at most; `build.rs` holds the table to it.
pub(super) const MOST_VALUES: usize = 24;
/// Places to come back to.
const MOST_CHOICES: usize = 32;
/// What a step costs, in bytes searched through.
const STEP: usize = 32;
/// What may be spent on a text: so much on any, and so much for each of its bytes.
const LEAST: usize = 16 * 1024;
const PER_BYTE: usize = 32;

/// What may still be spent on a text, in bytes searched through. All searches in one text share it: whoever
/// wrote it could have made each of its lines cost as much as all that follows.
#[derive(Debug)]
pub(crate) struct Fuel(usize);

impl Fuel {
    /// Enough for a text.
    pub(crate) fn of(text: &[u8]) -> Self {
        Self(text.len().saturating_mul(PER_BYTE).saturating_add(LEAST))
    }

    /// Spends some; `None` once there is too little.
    fn spend(&mut self, bytes: usize) -> Option<()> {
        let left = self.0.checked_sub(bytes);
        self.0 = left.unwrap_or(0);
        left.map(|_| ())
    }
}

/// Where a pattern may end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum End {
    /// At the end of the text only.
    Text,
    /// At the end of a line too.
    Line,
}

/// The place of a value: from, to.
pub(super) type Span = (usize, usize);

/// A pattern that fits.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// Its number, in the order of insertion.
    pub(super) pattern: usize,
    /// Where it ends.
    pub(super) end: usize,
    /// Where the values stand, in their order.
    pub(super) spans: Vec<Span>,
    /// Tells the text among those that are remembered; or 0.
    pub(super) text: u64,
}

#[derive(Clone, Debug, Default)]
struct Node {
    /// First bytes of the literals, in their order, eight in a word with zeros behind the last; no two
    /// begin with the same. None where there is one literal.
    firsts: Vec<u64>,
    /// By first byte.
    literals: Vec<Branch>,
    /// The pickiest first; among those of a kind, in the order of the table.
    holes: Vec<(Hole, usize)>,
    /// The pattern that ends here.
    end: Option<usize>,
}

impl Node {
    /// The branch that goes on with a text.
    #[inline]
    fn branch(&self, rest: &[u8]) -> Option<&Branch> {
        let branch = match self.literals.as_slice() {
            [only] => only,
            several => {
                let first = rest.first()?;
                let mut words = self.firsts.iter().zip((0_usize..).step_by(8));
                let place = words
                    .find_map(|(word, place)| Some(place.wrapping_add(byte_in(*word, *first)?)))?;
                several.get(place)?
            }
        };
        branch.fits(rest).then_some(branch)
    }
}

/// A literal, and the node behind it.
#[derive(Clone, Copy, Debug)]
struct Branch {
    literal: &'static [u8],
    next: usize,
    /// The first eight bytes of the literal, with zeros behind its last, and the bits that it has there.
    head: u64,
    bits: u64,
}

impl Branch {
    fn new(literal: &'static [u8], next: usize) -> Self {
        let missing = 8_usize.saturating_sub(literal.len()) as u32;
        Self {
            literal,
            next,
            head: words(before(literal, 8)).first().copied().unwrap_or(0),
            bits: u64::MAX.wrapping_shr(missing.wrapping_mul(8)),
        }
    }

    /// Whether a text goes on with the literal.
    #[inline]
    fn fits(&self, rest: &[u8]) -> bool {
        match rest.first_chunk() {
            Some(head) if (u64::from_le_bytes(*head) ^ self.head) & self.bits != 0 => false,
            Some(_) if self.literal.len() <= 8 => true,
            _ => begins(rest, self.literal),
        }
    }
}

/// Patterns, ready to be matched.
#[derive(Clone, Debug)]
pub(super) struct Trie {
    nodes: Vec<Node>,
}

#[derive(Clone, Copy, Default)]
struct Choice {
    node: usize,
    at: usize,
    /// The value to try next.
    hole: usize,
    /// Where the value tried last ends at the earliest now, if it was a text.
    from: usize,
    count: usize,
}

impl Trie {
    /// A tree of all `patterns`; the first of two that are the same wins.
    pub(super) fn new<'p>(patterns: impl Iterator<Item = &'p [Piece]>) -> Self {
        let mut trie = Self {
            nodes: vec![Node::default()],
        };
        for (number, pieces) in patterns.enumerate() {
            trie.insert(pieces, number);
        }
        for node in &mut trie.nodes {
            let literals = node.literals.iter();
            let firsts: Vec<u8> = literals
                .filter_map(|branch| branch.literal.first().copied())
                .collect();
            if firsts.len() > 1 {
                node.firsts = words(&firsts);
            }
        }
        trie
    }

    fn insert(&mut self, pieces: &[Piece], number: usize) {
        let mut node = 0_usize;
        for piece in pieces {
            node = match piece {
                Piece::Literal(literal) => self.insert_literal(node, literal),
                Piece::Hole(hole) => self.insert_hole(node, *hole),
            };
        }
        if let Some(node) = self.nodes.get_mut(node) {
            node.end.get_or_insert(number);
        }
    }

    fn add(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len().saturating_sub(1)
    }

    fn insert_hole(&mut self, node: usize, hole: Hole) -> usize {
        let known = self.nodes.get(node).and_then(|node| {
            let mut holes = node.holes.iter();
            holes
                .find(|(known, _)| *known == hole)
                .map(|(_, next)| *next)
        });
        known.unwrap_or_else(|| {
            let next = self.add(Node::default());
            if let Some(node) = self.nodes.get_mut(node) {
                let place = node
                    .holes
                    .partition_point(|(known, _)| known.kind <= hole.kind);
                node.holes.insert(place, (hole, next));
            }
            next
        })
    }

    fn insert_literal(&mut self, node: usize, literal: &'static [u8]) -> usize {
        let (mut node, mut rest) = (node, literal);
        while !rest.is_empty() {
            let edge = self.nodes.get(node).and_then(|node| {
                let mut edges = node.literals.iter();
                let place = edges.position(|edge| edge.literal.first() == rest.first())?;
                let edge = node.literals.get(place)?;
                Some((place, edge.literal, edge.next))
            });
            let Some((place, edge, next)) = edge else {
                let next = self.add(Node::default());
                if let Some(node) = self.nodes.get_mut(node) {
                    let place = node.literals.partition_point(|edge| edge.literal < rest);
                    node.literals.insert(place, Branch::new(rest, next));
                }
                return next;
            };
            let common = edge.iter().zip(rest).take_while(|(a, b)| a == b).count();
            let (head, tail) = edge.split_at_checked(common).unwrap_or((edge, b""));
            rest = behind(rest, common);
            if tail.is_empty() {
                node = next;
                continue;
            }
            let middle = self.add(Node {
                literals: vec![Branch::new(tail, next)],
                ..Node::default()
            });
            if let Some(edge) = self
                .nodes
                .get_mut(node)
                .and_then(|node| node.literals.get_mut(place))
            {
                *edge = Branch::new(head, middle);
            }
            node = middle;
        }
        node
    }

    /// The pattern that fits `text` from its beginning, if there is fuel enough to find it.
    pub(super) fn find(&self, text: &[u8], end: End, fuel: &mut Fuel) -> Option<Found> {
        let mut search = Search {
            trie: self,
            text,
            end,
            choices: [Choice::default(); MOST_CHOICES],
            open: 0,
            spans: Vec::new(),
            fuel,
        };
        search.run()
    }
}

struct Search<'s> {
    trie: &'s Trie,
    text: &'s [u8],
    end: End,
    choices: [Choice; MOST_CHOICES],
    open: usize,
    spans: Vec<Span>,
    fuel: &'s mut Fuel,
}

impl Search<'_> {
    fn run(&mut self) -> Option<Found> {
        let (mut number, mut at) = (0_usize, 0_usize);
        loop {
            self.fuel.spend(STEP)?;
            let node = self.trie.nodes.get(number)?;
            let rest = behind(self.text, at);
            if let Some(pattern) = node.end
                && self.may_end(rest)
            {
                return Some(Found {
                    pattern,
                    end: at,
                    spans: std::mem::take(&mut self.spans),
                    text: 0,
                });
            }
            if let Some(branch) = node.branch(rest) {
                if !node.holes.is_empty() {
                    self.push(Choice {
                        node: number,
                        at,
                        hole: 0,
                        from: 0,
                        count: self.spans.len(),
                    });
                }
                number = branch.next;
                at = at.wrapping_add(branch.literal.len());
            } else {
                let value = self.value(number, at, 0, at);
                (number, at) = value.or_else(|| self.retry())?;
            }
        }
    }

    fn may_end(&self, rest: &[u8]) -> bool {
        rest.is_empty() || (self.end == End::Line && rest.starts_with(b"\n"))
    }

    fn push(&mut self, choice: Choice) {
        if let Some(place) = self.choices.get_mut(self.open) {
            *place = choice;
            self.open = self.open.saturating_add(1);
        }
    }

    fn retry(&mut self) -> Option<(usize, usize)> {
        loop {
            self.open = self.open.checked_sub(1)?;
            let choice = *self.choices.get(self.open)?;
            self.spans.truncate(choice.count);
            let from = choice.from.max(choice.at);
            let place = self.value(choice.node, choice.at, choice.hole, from);
            if place.is_some() {
                return place;
            }
        }
    }

    /// Takes a value at `at`: the one numbered `hole`, which does not end before `from`, or a later one.
    fn value(
        &mut self,
        number: usize,
        at: usize,
        hole: usize,
        mut from: usize,
    ) -> Option<(usize, usize)> {
        let node = self.trie.nodes.get(number)?;
        for (index, (hole, next)) in node.holes.iter().enumerate().skip(hole) {
            let found = self.value_end(*hole, at, from);
            from = at;
            let Some(end) = found else {
                continue;
            };
            let open = hole.kind == Kind::Text;
            self.push(Choice {
                node: number,
                at,
                hole: if open { index } else { index.saturating_add(1) },
                from: if open { end.saturating_add(1) } else { at },
                count: self.spans.len(),
            });
            if self.spans.len() < MOST_VALUES {
                self.spans.push((at, end));
            }
            return Some((*next, end));
        }
        None
    }

    /// Where a value that begins at `at` ends, not before `from`.
    fn value_end(&mut self, hole: Hole, at: usize, from: usize) -> Option<usize> {
        let rest = behind(self.text, at);
        let length = match hole.kind {
            Kind::Integer => number_length(rest)?,
            Kind::Decimal => {
                let whole = number_length(rest)?;
                let fraction = behind(rest, whole).strip_prefix(b".").map_or(0, digits);
                match fraction {
                    0 => whole,
                    _ => whole.saturating_add(fraction).saturating_add(1),
                }
            }
            Kind::Word => {
                let stop = hole.stop.first();
                let ends = |byte: &u8| {
                    byte.is_ascii_whitespace() || b",;)\"".contains(byte) || Some(byte) == stop
                };
                let length = rest.iter().position(ends).unwrap_or(rest.len());
                (length > 0).then_some(length)?
            }
            Kind::Rest if self.end == End::Line => find_byte(rest, b'\n').unwrap_or(rest.len()),
            Kind::Rest => rest.len(),
            Kind::Text => return self.text_end(hole, from),
        };
        self.fuel.spend(length)?;
        Some(at.saturating_add(length))
    }

    /// Where a text ends, not before `from`. Names have one line where patterns have.
    fn text_end(&mut self, hole: Hole, from: usize) -> Option<usize> {
        let mut rest = behind(self.text, from);
        if self.end == End::Line && !hole.lines {
            let line = find_byte(rest, b'\n').unwrap_or(rest.len());
            self.fuel.spend(line)?;
            rest = before(rest, line);
        }
        let found = find(rest, hole.stop);
        self.fuel.spend(found.unwrap_or(rest.len()))?;
        Some(from.saturating_add(found?))
    }
}

/// The length of a number without a fraction, maybe behind a sign.
fn number_length(text: &[u8]) -> Option<usize> {
    let sign = usize::from(text.first() == Some(&b'-'));
    let digits = digits(behind(text, sign));
    (digits > 0).then(|| digits.saturating_add(sign))
}
