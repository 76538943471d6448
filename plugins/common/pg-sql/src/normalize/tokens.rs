//! One statement as a list of its tokens without blanks, each with its key word and what is known of
//! it.

use std::ops::Range;

use crate::lexer::{Lexer, LexerOptions, Token, TokenKind};
use crate::words::Table;

/// Signs and parentheses before a number beyond this many are not read as part of it, so that a long
/// run of them is not walked once for each.
const MOST_SIGNS: usize = 64;

/// Key words that decide where constants are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Keyword {
    /// A name, or a key word that decides nothing.
    None,
    /// A reserved word behind which an expression may begin.
    BeforeExpression,
    Absent,
    All,
    As,
    Asc,
    By,
    Call,
    Cast,
    Columns,
    Create,
    Cube,
    CurrentTime,
    Cycle,
    Deallocate,
    Declare,
    Default,
    Desc,
    Distinct,
    End,
    Except,
    Execute,
    Explain,
    Extract,
    Fetch,
    Field,
    Filter,
    First,
    For,
    From,
    Group,
    Having,
    In,
    Insert,
    Intersect,
    Interval,
    Into,
    Is,
    Limit,
    NormalForm,
    Normalize,
    Normalized,
    Not,
    Null,
    Nulls,
    Offset,
    On,
    Order,
    Over,
    Partition,
    Prepare,
    Query,
    Release,
    Returning,
    Rollback,
    Rollup,
    Row,
    Savepoint,
    Select,
    Set,
    Sets,
    Timestamp,
    To,
    Truth,
    Uescape,
    Union,
    /// A call whose arguments the jumble leaves out.
    Unjumbled,
    Using,
    Values,
    Where,
    Window,
    With,
    Within,
    Zone,
}

const KEYWORDS: &[(Keyword, &str)] = &[
    (
        Keyword::BeforeExpression,
        "and or like ilike similar between symmetric asymmetric case when then else any some check \
         escape placing passing leading trailing both variadic",
    ),
    (Keyword::Absent, "absent"),
    (Keyword::All, "all"),
    (Keyword::As, "as"),
    (Keyword::Asc, "asc"),
    (Keyword::By, "by"),
    (Keyword::Call, "call"),
    (Keyword::Cast, "cast treat xmlserialize"),
    (Keyword::Columns, "columns"),
    (Keyword::Create, "create"),
    (Keyword::Cube, "cube"),
    (
        Keyword::CurrentTime,
        "current_time localtime localtimestamp",
    ),
    (Keyword::Cycle, "cycle"),
    (Keyword::Deallocate, "deallocate"),
    (Keyword::Declare, "declare"),
    (Keyword::Default, "default"),
    (Keyword::Desc, "desc"),
    (Keyword::Distinct, "distinct"),
    (Keyword::End, "end"),
    (Keyword::Except, "except"),
    (Keyword::Execute, "execute"),
    (Keyword::Explain, "explain"),
    (Keyword::Extract, "extract"),
    (Keyword::Fetch, "fetch"),
    (Keyword::Field, "year month day hour minute second"),
    (Keyword::Filter, "filter"),
    (Keyword::First, "first next"),
    (Keyword::For, "for"),
    (Keyword::From, "from"),
    (Keyword::Group, "group"),
    (Keyword::Having, "having"),
    (Keyword::In, "in"),
    (Keyword::Insert, "insert"),
    (Keyword::Intersect, "intersect"),
    (Keyword::Interval, "interval"),
    (Keyword::Into, "into"),
    (Keyword::Is, "is"),
    (Keyword::Limit, "limit"),
    (Keyword::NormalForm, "nfc nfd nfkc nfkd"),
    (Keyword::Normalize, "normalize"),
    (Keyword::Normalized, "normalized"),
    (Keyword::Not, "not"),
    (Keyword::Null, "null"),
    (Keyword::Nulls, "nulls"),
    (Keyword::Offset, "offset"),
    (Keyword::On, "on"),
    (Keyword::Order, "order"),
    (Keyword::Over, "over"),
    (Keyword::Partition, "partition"),
    (Keyword::Prepare, "prepare"),
    (Keyword::Query, "update delete merge table"),
    (Keyword::Release, "release"),
    (Keyword::Returning, "returning"),
    (Keyword::Rollback, "rollback"),
    (Keyword::Rollup, "rollup"),
    (Keyword::Row, "rows range groups"),
    (Keyword::Savepoint, "savepoint"),
    (Keyword::Select, "select"),
    (Keyword::Set, "set"),
    (Keyword::Sets, "sets"),
    (Keyword::Timestamp, "time timestamp"),
    (Keyword::To, "to"),
    (Keyword::Truth, "true false"),
    (Keyword::Uescape, "uescape"),
    (Keyword::Union, "union"),
    (Keyword::Unjumbled, "grouping xmlnamespaces"),
    (Keyword::Using, "using"),
    (Keyword::Values, "values"),
    (Keyword::Where, "where"),
    (Keyword::Window, "window"),
    (Keyword::With, "with without"),
    (Keyword::Within, "within"),
    (Keyword::Zone, "zone"),
];

static TABLE: Table<Keyword, 512> = Table::new(Keyword::None, KEYWORDS);

fn keyword(word: &[u8]) -> Keyword {
    // One byte longer than the table takes.
    if word.eq_ignore_ascii_case(b"current_timestamp") {
        return Keyword::CurrentTime;
    }
    TABLE.get(word)
}

/// What the walk found out about a token.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Mark {
    /// It is what it looks like.
    #[default]
    Plain,
    /// It looks like a constant and is none, or the analyser drops it.
    Kept,
    /// The grammar makes a constant of it.
    Constant,
}

struct Entry {
    token: Token,
    keyword: Keyword,
    mark: Mark,
    /// Of a bracket, the other one; past the end if there is none.
    partner: usize,
    /// A query begins here, behind parentheses perhaps.
    query: bool,
}

/// The tokens of a statement.
pub(super) struct Statement<'t> {
    text: &'t [u8],
    entries: Vec<Entry>,
    /// What [`Statement::keep_inside`] has marked last: brackets nest, so marking each token once is
    /// what keeps it linear.
    kept: Range<usize>,
}

impl<'t> Statement<'t> {
    /// None for one of more than `most` tokens.
    pub(super) fn read(text: &'t [u8], options: LexerOptions, most: usize) -> Option<Self> {
        let entries: Vec<Entry> = Lexer::new(text, options)
            .filter(|token| !token.kind.is_blank())
            .map(|token| Entry {
                keyword: match token.kind {
                    TokenKind::Word => keyword(token.of(text)),
                    _ => Keyword::None,
                },
                token,
                mark: Mark::Plain,
                partner: usize::MAX,
                query: false,
            })
            .take(most.saturating_add(1))
            .collect();
        if entries.len() > most {
            return None;
        }
        let mut statement = Self {
            text,
            entries,
            kept: 0..0,
        };
        statement.pair_brackets();
        statement.find_queries();
        Some(statement)
    }

    fn pair_brackets(&mut self) {
        let mut open = Vec::new();
        for index in 0..self.len() {
            match self.bytes(index) {
                b"(" | b"[" => open.push(index),
                b")" | b"]" => {
                    let Some(partner) = open.pop() else { continue };
                    for (one, other) in [(index, partner), (partner, index)] {
                        if let Some(entry) = self.entries.get_mut(one) {
                            entry.partner = other;
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn find_queries(&mut self) {
        let mut behind = false;
        for index in (0..self.len()).rev() {
            behind = match self.keyword(index) {
                Keyword::Select | Keyword::Values | Keyword::Insert | Keyword::Query => true,
                Keyword::With => self.is(index, b"with"),
                _ => behind && self.is(index, b"("),
            };
            if let Some(entry) = self.entries.get_mut(index) {
                entry.query = behind;
            }
        }
    }

    /// Whether a query begins at the token, behind parentheses perhaps.
    pub(super) fn begins_query(&self, index: usize) -> bool {
        self.entries.get(index).is_some_and(|entry| entry.query)
    }

    /// The bracket that belongs to the one at `index`; past the end if there is none.
    pub(super) fn partner(&self, index: usize) -> usize {
        self.entries
            .get(index)
            .map_or(usize::MAX, |entry| entry.partner)
    }

    /// The token behind the bracket that closes the one at `index`.
    pub(super) fn behind_bracket(&self, index: usize) -> usize {
        self.partner(index).saturating_add(1)
    }

    /// Marks what looks like a constant between two brackets as none.
    pub(super) fn keep_inside(&mut self, open: usize) {
        let close = self.partner(open).min(self.len());
        let known = if self.kept.start < close && open < self.kept.end {
            self.kept.clone()
        } else {
            open..open
        };
        for index in (open..known.start.min(close)).chain(known.end.max(open)..close) {
            if self.looks_constant(index) {
                self.mark(index, Mark::Kept);
            }
        }
        self.kept = open.min(known.start)..close.max(known.end);
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn keyword(&self, index: usize) -> Keyword {
        self.entries
            .get(index)
            .map_or(Keyword::None, |entry| entry.keyword)
    }

    /// The key word `count` tokens before.
    pub(super) fn keyword_before(&self, index: usize, count: usize) -> Keyword {
        index
            .checked_sub(count)
            .map_or(Keyword::None, |index| self.keyword(index))
    }

    /// `Other` past the end.
    pub(super) fn kind(&self, index: usize) -> TokenKind {
        self.entries
            .get(index)
            .map_or(TokenKind::Other, |entry| entry.token.kind)
    }

    pub(super) fn bytes(&self, index: usize) -> &'t [u8] {
        self.entries
            .get(index)
            .map_or(b"", |entry| entry.token.of(self.text))
    }

    /// Whether the token is this operator, punctuation or word in lower case.
    pub(super) fn is(&self, index: usize, bytes: &[u8]) -> bool {
        self.bytes(index).eq_ignore_ascii_case(bytes)
    }

    pub(super) fn is_before(&self, index: usize, bytes: &[u8]) -> bool {
        index
            .checked_sub(1)
            .is_some_and(|index| self.is(index, bytes))
    }

    pub(super) fn start(&self, index: usize) -> usize {
        self.entries
            .get(index)
            .map_or(self.text.len(), |entry| entry.token.start)
    }

    pub(super) fn end(&self, index: usize) -> usize {
        self.entries
            .get(index)
            .map_or(self.text.len(), |entry| entry.token.end)
    }

    pub(super) fn mark(&mut self, index: usize, mark: Mark) {
        if let Some(entry) = self.entries.get_mut(index) {
            entry.mark = mark;
        }
    }

    /// A word that is no key word, or a quoted identifier: it may be a name.
    pub(super) fn is_name(&self, index: usize) -> bool {
        match self.kind(index) {
            TokenKind::QuotedIdentifier | TokenKind::UnicodeIdentifier => true,
            TokenKind::Word => matches!(
                self.keyword(index),
                Keyword::None
                    | Keyword::Absent
                    | Keyword::By
                    | Keyword::Call
                    | Keyword::Columns
                    | Keyword::Cycle
                    | Keyword::Deallocate
                    | Keyword::Declare
                    | Keyword::Execute
                    | Keyword::Explain
                    | Keyword::Field
                    | Keyword::Filter
                    | Keyword::First
                    | Keyword::NormalForm
                    | Keyword::Normalized
                    | Keyword::Nulls
                    | Keyword::Over
                    | Keyword::Partition
                    | Keyword::Prepare
                    | Keyword::Release
                    | Keyword::Rollback
                    | Keyword::Row
                    | Keyword::Savepoint
                    | Keyword::Set
                    | Keyword::Sets
                    | Keyword::Within
                    | Keyword::Zone
                    | Keyword::Insert
                    | Keyword::Timestamp
                    | Keyword::Interval
                    | Keyword::Values
                    | Keyword::Extract
                    | Keyword::Normalize
            ),
            _ => false,
        }
    }

    /// Whether the token becomes a `$n` unless it is part of a list that does.
    pub(super) fn is_constant(&self, index: usize) -> bool {
        let Some(entry) = self.entries.get(index) else {
            return false;
        };
        match entry.mark {
            Mark::Plain => self.looks_constant(index),
            Mark::Kept => false,
            Mark::Constant => true,
        }
    }

    pub(super) fn looks_constant(&self, index: usize) -> bool {
        self.kind(index).is_literal()
            || (matches!(self.keyword(index), Keyword::Null | Keyword::Truth)
                // Behind these it is a name.
                && !self.is_before(index, b".")
                && self.keyword_before(index, 1) != Keyword::As)
    }

    /// Whether an operand ends with the token, so that a sign behind it is binary.
    pub(super) fn ends_operand(&self, index: usize) -> bool {
        match self.kind(index) {
            TokenKind::Word => match self.keyword(index) {
                Keyword::Null | Keyword::Truth | Keyword::End | Keyword::CurrentTime => true,
                Keyword::By | Keyword::Zone => false,
                Keyword::First => self.keyword_before(index, 1) != Keyword::Fetch,
                Keyword::Row => !self.is_before(index, b"between"),
                _ => self.is_name(index),
            },
            TokenKind::Punctuation => match self.bytes(index) {
                b")" => !self.closes_distinct_on(index),
                bytes => bytes == b"]",
            },
            TokenKind::Operator | TokenKind::Other | TokenKind::NationalPrefix => false,
            _ => true,
        }
    }

    fn closes_distinct_on(&self, index: usize) -> bool {
        let open = self.partner(index);
        self.keyword_before(open, 1) == Keyword::On
            && self.keyword_before(open, 2) == Keyword::Distinct
    }

    /// Whether a unary minus is part of the number behind it (`doNegate`): more signs and parentheses
    /// may be between them, but no cast behind, which binds tighter.
    pub(super) fn folds_into_constant(&self, minus: usize) -> bool {
        let mut index = minus.saturating_add(1);
        let mut parentheses: usize = 0;
        for _ in 0..MOST_SIGNS {
            if self.is(index, b"(") {
                parentheses = parentheses.saturating_add(1);
            } else if !self.is_unary_minus(index) {
                break;
            }
            index = index.saturating_add(1);
        }
        let mut behind = index.saturating_add(1);
        while parentheses > 0 && self.is(behind, b")") {
            parentheses = parentheses.saturating_sub(1);
            behind = behind.saturating_add(1);
        }
        self.kind(index).is_literal() && parentheses == 0 && !self.is(behind, b"::")
    }

    /// Whether the token goes on with the expression that ends before it.
    pub(super) fn goes_on(&self, index: usize) -> bool {
        match self.kind(index) {
            TokenKind::Operator => true,
            TokenKind::Punctuation => matches!(self.bytes(index), b"::" | b"[" | b"."),
            _ => false,
        }
    }

    pub(super) fn is_unary_minus(&self, index: usize) -> bool {
        self.is(index, b"-")
            && index
                .checked_sub(1)
                .is_none_or(|before| !self.ends_operand(before))
    }

    pub(super) fn highest_parameter(&self) -> u64 {
        let number = |entry: &Entry| {
            let digits = entry.token.of(self.text).strip_prefix(b"$")?;
            std::str::from_utf8(digits).ok()?.parse().ok()
        };
        self.entries
            .iter()
            .filter(|entry| entry.token.kind == TokenKind::Parameter)
            .filter_map(number)
            .max()
            .unwrap_or(0)
    }
}
