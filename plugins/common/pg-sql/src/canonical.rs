//! The canonical text of statements: what is left when nothing that may differ between two runs of the
//! same statement is left. The fingerprint is its hash; [`crate::fingerprint`] holds the rules.

pub(crate) mod element;
mod rows;

use crate::words::{Meaning, meaning};
use element::{Element, Part};
use rows::Rows;

/// Lists nested deeper than this stay as they are.
const LIST_LEVELS: usize = 64;

/// What the last item was, as far as the next one cares.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Last {
    /// Something behind which an expression may begin.
    Opening,
    /// The end of an operand: a name, a closing bracket.
    Operand,
    Constant,
    /// `IS` or `IS NOT`.
    Is,
    Limit,
    On,
    In,
    Extract,
    /// `EXTRACT (`.
    ExtractArgument,
}

/// An `IN (` or `[` that is open.
#[derive(Debug)]
struct List {
    /// Bracket depth inside it.
    depth: usize,
    /// Where its elements begin.
    start: usize,
    element: Element,
}

/// Writes the canonical text, item by item.
#[derive(Debug)]
pub(crate) struct Canonical {
    out: Vec<u8>,
    last: Last,
    /// Where the signs begin that belong to the constant to come, if one comes.
    signs: Option<usize>,
    /// A `;` was read and nothing since.
    semicolon: bool,
    depth: usize,
    /// Depth outside of the parenthesis behind an ON that is open.
    on: Option<usize>,
    lists: Vec<List>,
    rows: Rows,
}

impl Canonical {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self {
            out: Vec::with_capacity(bytes),
            last: Last::Opening,
            signs: None,
            semicolon: false,
            depth: 0,
            on: None,
            lists: Vec::new(),
            rows: Rows::default(),
        }
    }

    /// As if nothing had been read.
    pub(crate) fn clear(&mut self) {
        *self = Self::with_capacity(0);
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.out
    }

    /// Starts an item.
    #[inline]
    fn separate(&mut self) {
        if self.semicolon {
            self.semicolon = false;
            self.out.extend_from_slice(b" ;");
        }
        if !self.out.is_empty() {
            self.out.push(b' ');
        }
    }

    /// An item of one byte.
    #[inline]
    fn byte(&mut self, byte: u8) {
        if self.semicolon || self.out.is_empty() {
            self.separate();
            self.out.push(byte);
        } else {
            self.out.extend_from_slice(&[b' ', byte]);
        }
    }

    /// Tells an open list what comes.
    #[inline]
    fn part(&mut self, part: Part) {
        if let Some(list) = self.lists.last_mut() {
            list.element = list.element.behind(part);
        }
    }

    /// An unquoted word.
    #[inline]
    pub(crate) fn word(&mut self, word: &[u8]) {
        let meaning = meaning(word);
        let last = match meaning {
            Meaning::NormalForm => return self.constant(),
            Meaning::Constant if self.last != Last::Is => return self.constant(),
            _ if self.last == Last::ExtractArgument => return self.constant(),
            _ if self.last == Last::Limit && word.eq_ignore_ascii_case(b"all") => {
                return self.constant();
            }
            Meaning::Limit => Last::Limit,
            Meaning::On => Last::On,
            Meaning::None
            | Meaning::Constant
            | Meaning::Array
            | Meaning::Cast
            | Meaning::BehindConstant => Last::Operand,
            Meaning::In => Last::In,
            Meaning::Extract => Last::Extract,
            Meaning::Is => Last::Is,
            Meaning::Not if self.last == Last::Is => Last::Is,
            Meaning::Not | Meaning::BeforeExpression | Meaning::Values | Meaning::As => {
                Last::Opening
            }
        };
        self.item(last);
        if !self.lists.is_empty() {
            self.part(Part::of_word(meaning, word));
        }
        self.separate();
        self.out.extend(word.iter().map(u8::to_ascii_lowercase));
        if meaning == Meaning::Values {
            self.rows.expect();
        }
    }

    /// A quoted identifier, as it stands.
    pub(crate) fn quoted(&mut self, identifier: &[u8]) {
        if self.last == Last::ExtractArgument {
            return self.constant();
        }
        self.item(Last::Operand);
        self.part(Part::Word);
        self.separate();
        self.out.extend_from_slice(identifier);
    }

    /// A literal, a parameter, or whatever stands for one.
    #[inline]
    pub(crate) fn constant(&mut self) {
        if let Some(signs) = self.signs.take() {
            self.out.truncate(signs);
        } else if self.last == Last::Constant {
            return;
        }
        self.rows.item(self.depth);
        self.last = Last::Constant;
        self.part(Part::Constant);
        self.byte(b'?');
    }

    /// `::`, `..`, `:=`.
    pub(crate) fn pair(&mut self, pair: &[u8]) {
        self.item(Last::Opening);
        self.part(if pair == b"::" {
            Part::Typecast
        } else {
            Part::Other
        });
        self.separate();
        self.out.extend_from_slice(pair);
    }

    /// A character of punctuation, of an operator, or one that means nothing.
    #[inline]
    pub(crate) fn character(&mut self, character: u8) {
        match character {
            b'?' => self.constant(),
            b'(' | b'[' => self.open(character),
            b')' | b']' => self.close(character),
            b'+' | b'-' => self.sign(character),
            b';' => self.semicolon(),
            b',' => {
                self.comma();
            }
            _ => {
                self.item(Last::Opening);
                self.part(if character == b'.' {
                    Part::Dot
                } else {
                    Part::Other
                });
                self.byte(character);
            }
        }
    }

    /// What every item but a constant, a sign, a comma and a bracket does first.
    #[inline]
    fn item(&mut self, last: Last) {
        self.rows.item(self.depth);
        self.signs = None;
        self.last = last;
    }

    #[inline]
    fn sign(&mut self, sign: u8) {
        self.rows.item(self.depth);
        if matches!(self.last, Last::Operand | Last::Constant) {
            self.part(Part::Other);
        } else if self.signs.is_none() {
            self.signs = Some(self.out.len());
        }
        self.last = Last::Opening;
        self.byte(sign);
    }

    #[inline]
    fn comma(&mut self) {
        self.signs = None;
        self.last = Last::Opening;
        self.rows.comma(self.depth, self.out.len());
        self.part(Part::Comma);
        self.byte(b',');
    }

    /// Written only when another statement follows.
    fn semicolon(&mut self) {
        self.item(Last::Opening);
        self.part(Part::Other);
        self.semicolon = !self.out.is_empty();
    }

    #[inline]
    fn open(&mut self, bracket: u8) {
        if bracket == b'(' {
            self.rows.open(self.depth, self.out.len());
        } else {
            self.rows.item(self.depth);
        }
        if self.signs.take().is_some() {
            self.part(Part::Other);
        }
        let in_type = self.lists.last().is_some_and(|list| list.element.is_type());
        // `(a, b) IN ((1, 2), (3, 4))` has rows as VALUES has.
        let has_rows = bracket == b'(' && self.last == Last::In;
        let is_list = (bracket == b'[' && !in_type) || has_rows;
        if self.last == Last::On {
            self.on = Some(self.depth);
        }
        self.last = match self.last {
            Last::Extract => Last::ExtractArgument,
            _ => Last::Opening,
        };
        self.part(if is_list { Part::Other } else { Part::Open });
        self.byte(bracket);
        self.depth = self.depth.saturating_add(1);
        if has_rows {
            self.rows.expect();
        }
        if is_list && self.lists.len() < LIST_LEVELS {
            self.lists.push(List {
                depth: self.depth,
                start: self.out.len(),
                element: Element::START,
            });
        }
    }

    #[inline]
    fn close(&mut self, bracket: u8) {
        self.signs = None;
        self.last = Last::Operand;
        if self
            .lists
            .last()
            .is_some_and(|list| list.depth == self.depth)
        {
            self.close_list();
        } else {
            self.part(Part::Close);
        }
        self.byte(bracket);
        self.depth = self.depth.saturating_sub(1);
        self.rows.close(self.depth, &mut self.out);
        if self.on == Some(self.depth) {
            self.on = None;
            self.last = Last::Opening;
        }
        while self
            .lists
            .last()
            .is_some_and(|list| list.depth > self.depth)
        {
            self.lists.pop();
        }
    }

    /// A list of nothing but constants becomes one constant.
    fn close_list(&mut self) {
        if let Some(list) = self.lists.pop()
            && list.element.ends_a_constant()
        {
            self.out.truncate(list.start);
            self.out.extend_from_slice(b" ?");
        }
    }
}
