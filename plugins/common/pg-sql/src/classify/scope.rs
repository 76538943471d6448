//! Names of common table expressions and where they hold.
//!
//! `parse_cte.c`: without RECURSIVE an expression sees those before it; with RECURSIVE it sees all
//! of its list, itself and those after it included. Inner names hide outer ones, a name with a
//! schema is never one of them, and the target of INSERT, UPDATE, DELETE or MERGE is none either.

/// Common table expressions visible at once.
const MAX_EXPRESSIONS: usize = 256;

/// The lists that are open, from the outermost to the innermost.
#[derive(Debug, Default)]
pub(crate) struct Scopes {
    open: Vec<Scope>,
    expressions: Vec<Expression>,
}

#[derive(Debug)]
struct Scope {
    first_expression: usize,
    first_undecided: usize,
    recursive: bool,
}

#[derive(Debug)]
struct Expression {
    name: String,
    visible: bool,
}

impl Scopes {
    /// A WITH begins, while so many relations are undecided.
    pub(crate) fn open(&mut self, undecided: usize) {
        self.open.push(Scope {
            first_expression: self.expressions.len(),
            first_undecided: undecided,
            recursive: false,
        });
    }

    /// Whether an expression that is still to come may give a name another meaning.
    pub(crate) fn any_recursive(&self) -> bool {
        self.open.iter().any(|scope| scope.recursive)
    }

    /// It is WITH RECURSIVE.
    pub(crate) fn make_recursive(&mut self) {
        if let Some(scope) = self.open.last_mut() {
            scope.recursive = true;
        }
    }

    /// In WITH RECURSIVE, the number of relations that were undecided when it began.
    pub(crate) fn recursive_from(&self) -> Option<usize> {
        self.open
            .last()
            .filter(|scope| scope.recursive)
            .map(|scope| scope.first_undecided)
    }

    /// Another expression of the innermost list; false when there are too many.
    pub(crate) fn name(&mut self, name: String) -> bool {
        if self.expressions.len() >= MAX_EXPRESSIONS {
            return false;
        }
        let visible = self.recursive_from().is_some();
        self.expressions.push(Expression { name, visible });
        true
    }

    /// The query of the last expression has been read.
    pub(crate) fn done(&mut self) {
        if let Some(expression) = self.expressions.last_mut() {
            expression.visible = true;
        }
    }

    /// The statement of the innermost WITH has been read.
    pub(crate) fn close(&mut self) {
        if let Some(scope) = self.open.pop() {
            self.expressions.truncate(scope.first_expression);
        }
    }

    /// Whether an unqualified name is a common table expression's here.
    pub(crate) fn names(&self, name: &str) -> bool {
        self.expressions
            .iter()
            .any(|expression| expression.visible && expression.name == name)
    }
}
