//! One walk over a statement, bracket level by bracket level: finds the items of clauses, the types
//! that only their surroundings tell, and lists of constants.

use std::ops::Range;

use super::ServerVersion;
use super::items::{Clause, Item, resolve};
use super::marks;
use super::tokens::{Keyword, Mark, Statement};
use crate::canonical::element::{Element, Part};
use crate::lexer::TokenKind;
use crate::words::meaning;

/// Tokens of a column's default that are read.
const LONGEST_DEFAULT: usize = 256;

/// What stands between two brackets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Inside {
    Query,
    /// `OVER (...)` and `WINDOW w AS (...)`.
    Window,
    /// `WITHIN GROUP (...)`.
    Within,
    /// Arguments of a function.
    Call,
    /// `CAST (... AS type)`.
    Cast,
    DistinctOn,
    /// `ROLLUP (...)` and the like, and rows in GROUP BY.
    Grouping,
    /// Columns of XMLTABLE and JSON_TABLE.
    Columns,
    Other,
}

/// A clause that is read: its kind, and where its item begins.
type Open = Option<(Clause, usize)>;

struct Level {
    inside: Inside,
    /// The SELECT or call that items belong to.
    block: usize,
    clause: Open,
    window_clause: bool,
}

/// A list that may turn out to be nothing but constants.
struct List {
    open: usize,
    element: Element,
    elements: usize,
}

struct Walk<'s, 't> {
    statement: &'s mut Statement<'t>,
    levels: Vec<Level>,
    level: Level,
    lists: Vec<List>,
    constant_lists: Vec<Range<usize>>,
    items: Vec<Item>,
    blocks: usize,
    windows: usize,
}

/// Marks the tokens of a statement from `first` on, and returns its lists of two constants or more:
/// the indexes of their brackets, in order.
pub(super) fn walk(
    statement: &mut Statement<'_>,
    first: usize,
    version: ServerVersion,
) -> Vec<Range<usize>> {
    let mut walk = Walk {
        levels: Vec::new(),
        level: Level {
            inside: Inside::Query,
            block: 0,
            clause: None,
            window_clause: false,
        },
        lists: Vec::new(),
        constant_lists: Vec::new(),
        items: Vec::new(),
        blocks: 0,
        windows: 0,
        statement,
    };
    for index in first..walk.statement.len() {
        marks::mark(walk.statement, index);
        walk.token(index);
    }
    let end = walk.statement.len();
    walk.end_clause(end);
    resolve(walk.statement, walk.items, version);
    walk.constant_lists.sort_by_key(|list| list.start);
    walk.constant_lists
}

impl Walk<'_, '_> {
    fn token(&mut self, index: usize) {
        match self.statement.bytes(index) {
            b"(" | b"[" => self.open(index),
            b")" | b"]" => self.close(index),
            b"," => self.comma(index),
            _ => {
                self.part(index);
                if self.statement.kind(index) == TokenKind::Word {
                    self.word(index);
                }
            }
        }
    }

    fn new_block(&mut self) -> usize {
        self.blocks = self.blocks.saturating_add(1);
        self.blocks
    }

    fn open(&mut self, index: usize) {
        let inside = self.inside(index);
        let next = index.saturating_add(1);
        let block = match inside {
            Inside::Call | Inside::Within | Inside::Query => self.new_block(),
            _ => self.level.block,
        };
        if matches!(inside, Inside::Window | Inside::Within) {
            self.windows = self.windows.saturating_add(1);
        }
        let clause = match inside {
            Inside::Call => Some((Clause::Targets, next)),
            Inside::DistinctOn => Some((Clause::DistinctOn, next)),
            Inside::Grouping => Some((Clause::GroupBy, next)),
            _ => None,
        };
        self.open_list(index);
        let level = Level {
            inside,
            block,
            clause,
            window_clause: false,
        };
        let outer = std::mem::replace(&mut self.level, level);
        self.levels.push(outer);
        if inside == Inside::Columns {
            // Of the columns of JSON_TABLE, nothing is jumbled.
            self.statement.keep_inside(index);
        }
    }

    fn inside(&self, index: usize) -> Inside {
        let statement = &self.statement;
        let before = |count| statement.keyword_before(index, count);
        if statement.is(index, b"[") {
            return Inside::Other;
        }
        match (before(1), before(2)) {
            (Keyword::Over, _) => return Inside::Window,
            (Keyword::As, _) if self.level.window_clause => return Inside::Window,
            (Keyword::Group, Keyword::Within) => return Inside::Within,
            (Keyword::Cast, _) => return Inside::Cast,
            (Keyword::On, Keyword::Distinct) => return Inside::DistinctOn,
            (Keyword::Columns, _) if self.level.inside == Inside::Call => return Inside::Columns,
            (Keyword::Columns, _) if self.level.inside == Inside::Columns => {
                return Inside::Columns;
            }
            _ => {}
        }
        let grouped = self.level.inside == Inside::Grouping
            || matches!(self.level.clause, Some((Clause::GroupBy, _)));
        let starts_item = matches!(self.level.clause, Some((_, start)) if start == index);
        if grouped
            && (starts_item || matches!(before(1), Keyword::Rollup | Keyword::Cube | Keyword::Sets))
            && !statement.begins_query(index)
            && !statement.goes_on(statement.behind_bracket(index))
        {
            return Inside::Grouping;
        }
        // `f(SELECT ...)` is no call, but `LATERAL (SELECT ...)` is a query.
        if matches!(
            statement.keyword(index.saturating_add(1)),
            Keyword::Select | Keyword::With
        ) {
            return Inside::Query;
        }
        let named = index
            .checked_sub(1)
            .is_some_and(|name| statement.is_name(name) && before(1) != Keyword::Values);
        if named {
            return Inside::Call;
        }
        if statement.begins_query(index) {
            return Inside::Query;
        }
        Inside::Other
    }

    fn close(&mut self, index: usize) {
        self.end_clause(index);
        if self.level.inside == Inside::Window {
            let start = self.statement.partner(index).saturating_add(1);
            let named = self.levels.last().is_some_and(|outer| outer.window_clause);
            let clause = if named {
                Clause::NamedWindow
            } else {
                Clause::Window
            };
            self.item(clause, start, index);
        }
        self.close_list(index);
        if let Some(outer) = self.levels.pop() {
            self.level = outer;
        }
    }

    fn comma(&mut self, index: usize) {
        let next = index.saturating_add(1);
        self.part(index);
        if let Some((clause, start)) = self.level.clause {
            self.item(clause, start, index);
            self.level.clause = Some((clause, next));
        }
        if self.level.inside == Inside::Columns {
            self.column(next);
        }
    }

    fn item(&mut self, clause: Clause, start: usize, end: usize) {
        // A row in GROUP BY is read column by column.
        let row = clause == Clause::GroupBy
            && self.statement.is(start, b"(")
            && self.statement.partner(start) == end.saturating_sub(1);
        if start >= end || row {
            return;
        }
        self.items.push(Item {
            block: self.level.block,
            clause,
            tokens: start..end,
        });
    }

    fn end_clause(&mut self, end: usize) {
        if let Some((clause, start)) = self.level.clause.take() {
            self.item(clause, start, end);
        }
    }

    fn word(&mut self, index: usize) {
        if self.statement.is_before(index, b".") {
            return;
        }
        let next = index.saturating_add(1);
        let keyword = self.statement.keyword(index);
        match (self.level.inside, keyword) {
            (Inside::Cast, Keyword::As) => {
                marks::type_name(self.statement, next);
            }
            (Inside::Call, Keyword::Returning) => {
                marks::type_name(self.statement, next);
            }
            (Inside::Columns, Keyword::Default) => self.column_default(next),
            (Inside::Call, Keyword::Columns) if !self.statement.is(next, b"(") => {
                self.level.inside = Inside::Columns;
                self.level.clause = None;
                self.column(next);
            }
            (Inside::Columns, Keyword::Null)
                if self.statement.keyword_before(index, 1) != Keyword::Default =>
            {
                self.statement.mark(index, Mark::Kept);
            }
            (Inside::Call, Keyword::Distinct | Keyword::All) if matches!(self.level.clause, Some((_, start)) if start == index) =>
            {
                self.level.clause = Some((Clause::Targets, next));
            }
            (_, Keyword::Order | Keyword::Group | Keyword::Partition)
                if self.statement.keyword(next) == Keyword::By =>
            {
                self.by(index, keyword);
            }
            (_, Keyword::Asc | Keyword::Desc | Keyword::Nulls | Keyword::Using) => {
                if let Some((clause, start)) = self.level.clause
                    && clause != Clause::Targets
                {
                    self.item(clause, start, index);
                    // No item goes on behind it, but a comma starts the next one.
                    self.level.clause = Some((clause, usize::MAX));
                }
            }
            (Inside::Window, Keyword::Row) => self.end_clause(index),
            (Inside::Query, _) => self.word_of_query(index, keyword),
            _ => {}
        }
    }

    fn by(&mut self, index: usize, keyword: Keyword) {
        self.end_clause(index);
        let mut start = index.saturating_add(2);
        let clause = match (self.level.inside, keyword) {
            (Inside::Window, Keyword::Partition) => Clause::Inner(self.windows, 1),
            (Inside::Window | Inside::Within | Inside::Call, _) => Clause::Inner(self.windows, 0),
            (_, Keyword::Group) => {
                if matches!(
                    self.statement.keyword(start),
                    Keyword::Distinct | Keyword::All
                ) {
                    start = start.saturating_add(1);
                }
                Clause::GroupBy
            }
            _ => Clause::OrderBy,
        };
        self.level.clause = Some((clause, start));
    }

    fn word_of_query(&mut self, index: usize, keyword: Keyword) {
        let next = index.saturating_add(1);
        let before = |count| self.statement.keyword_before(index, count);
        match keyword {
            Keyword::Select => {
                self.end_clause(index);
                self.level.block = self.new_block();
                self.level.window_clause = false;
                self.level.clause = Some((Clause::Targets, next));
            }
            Keyword::Distinct | Keyword::All if before(1) == Keyword::Select => {
                let on = self.statement.keyword(next) == Keyword::On;
                let start = if on {
                    let open = next.saturating_add(1);
                    self.statement.behind_bracket(open)
                } else {
                    next
                };
                self.level.clause = Some((Clause::Targets, start));
            }
            Keyword::From
                if before(1) == Keyword::Distinct
                    && matches!(before(2), Keyword::Is | Keyword::Not) => {}
            Keyword::From
            | Keyword::Into
            | Keyword::Where
            | Keyword::Union
            | Keyword::Intersect
            | Keyword::Except
            | Keyword::Limit
            | Keyword::Offset
            | Keyword::Fetch
            | Keyword::For
            | Keyword::Returning
            | Keyword::Values => {
                if keyword != Keyword::Values || before(1) != Keyword::None {
                    self.end_clause(index);
                }
                self.level.window_clause = false;
            }
            Keyword::Having => {
                self.end_clause(index);
                self.level.clause = Some((Clause::Having, next));
            }
            Keyword::Window => {
                self.end_clause(index);
                self.level.window_clause = true;
            }
            _ => {}
        }
    }

    /// A column of XMLTABLE or JSON_TABLE: its name and type.
    fn column(&mut self, index: usize) {
        let next = index.saturating_add(1);
        if self.statement.keyword(next) != Keyword::For && !self.statement.is(index, b"nested") {
            marks::type_name(self.statement, next);
        }
    }

    /// The jumble leaves out what a column of XMLTABLE defaults to.
    fn column_default(&mut self, start: usize) {
        let mut index = start;
        let end = start
            .saturating_add(LONGEST_DEFAULT)
            .min(self.statement.len());
        while index < end && !matches!(self.statement.bytes(index), b"," | b")") {
            if self.statement.is(index, b"(") {
                self.statement.keep_inside(index);
                index = self.statement.behind_bracket(index);
                continue;
            }
            if self.statement.looks_constant(index) {
                self.statement.mark(index, Mark::Kept);
            }
            index = index.saturating_add(1);
        }
    }

    fn open_list(&mut self, index: usize) {
        let in_type = self.lists.last().is_some_and(|list| list.element.is_type());
        let is_list = if self.statement.is(index, b"[") {
            !in_type
        } else {
            self.statement.keyword_before(index, 1) == Keyword::In
                && !self.statement.begins_query(index.saturating_add(1))
        };
        if !is_list {
            return self.tell(Part::Open);
        }
        self.tell(Part::Other);
        self.lists.push(List {
            open: index,
            element: Element::START,
            elements: 1,
        });
    }

    fn close_list(&mut self, index: usize) {
        let own = |list: &List| list.open == self.statement.partner(index);
        if !self.lists.last().is_some_and(own) {
            return self.tell(Part::Close);
        }
        if let Some(list) = self.lists.pop()
            && list.elements > 1
            && list.element.ends_a_constant()
        {
            self.constant_lists.push(list.open..index);
        }
    }

    fn tell(&mut self, part: Part) {
        if let Some(list) = self.lists.last_mut() {
            list.element = list.element.behind(part);
            if part == Part::Comma && list.element == Element::START {
                list.elements = list.elements.saturating_add(1);
            }
        }
    }

    /// Tells an open list about a token that is no bracket.
    fn part(&mut self, index: usize) {
        if self.lists.is_empty() {
            return;
        }
        let bytes = self.statement.bytes(index);
        let part = match self.statement.kind(index) {
            TokenKind::Operator if self.statement.is_unary_minus(index) => {
                if self.statement.folds_into_constant(index) {
                    return;
                }
                Part::Other
            }
            TokenKind::Parameter => Part::Constant,
            TokenKind::NationalPrefix => Part::Word,
            _ if self.statement.looks_constant(index) => Part::Constant,
            TokenKind::Word => Part::of_word(meaning(bytes), bytes),
            TokenKind::QuotedIdentifier | TokenKind::UnicodeIdentifier => Part::Word,
            TokenKind::Punctuation => match bytes {
                b"," => Part::Comma,
                b"." => Part::Dot,
                b"::" => Part::Typecast,
                _ => Part::Other,
            },
            _ => Part::Other,
        };
        self.tell(part);
    }
}
