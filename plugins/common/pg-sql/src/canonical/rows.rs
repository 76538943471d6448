//! Rows behind VALUES or `IN (`: a row that reads as the one before it is left out.

/// VALUES nested deeper than this keep all of their rows.
const LEVELS: usize = 64;

/// A VALUES whose rows are read.
#[derive(Debug)]
struct Values {
    /// Bracket depth outside of its rows.
    depth: usize,
    /// Where the row that is open begins.
    row: usize,
    /// The last row that was kept.
    kept: Option<(usize, usize)>,
    /// Where the comma behind the last row stands.
    comma: Option<usize>,
}

/// Every VALUES that is open, outermost first.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// VALUES or `IN (` was the last item.
    expected: bool,
    open: Vec<Values>,
}

impl Rows {
    /// Behind the word VALUES, or behind `IN (`.
    pub(super) fn expect(&mut self) {
        self.expected = true;
    }

    /// An item other than a comma and a bracket.
    #[inline]
    pub(super) fn item(&mut self, depth: usize) {
        self.expected = false;
        if let Some(values) = self.open.last()
            && values.depth >= depth
        {
            self.leave(depth);
        }
    }

    /// Behind the rows of those at `depth` and deeper.
    fn leave(&mut self, depth: usize) {
        while self.open.last().is_some_and(|values| values.depth >= depth) {
            self.open.pop();
        }
    }

    /// A comma that will be written at `at`.
    #[inline]
    pub(super) fn comma(&mut self, depth: usize, at: usize) {
        self.expected = false;
        match self.open.last_mut() {
            Some(values) if values.depth == depth => values.comma = Some(at),
            _ => {}
        }
    }

    /// `(` at `depth`, that will be written at `at`.
    pub(super) fn open(&mut self, depth: usize, at: usize) {
        if std::mem::take(&mut self.expected) {
            if self.open.len() < LEVELS {
                self.open.push(Values {
                    depth,
                    row: at,
                    kept: None,
                    comma: None,
                });
            }
            return;
        }
        match self.open.last_mut() {
            Some(values) if values.depth == depth && values.comma.is_some() => values.row = at,
            Some(values) if values.depth == depth => self.leave(depth),
            _ => {}
        }
    }

    /// A bracket that was written at the end of `out` and led back to `depth`.
    pub(super) fn close(&mut self, depth: usize, out: &mut Vec<u8>) {
        self.expected = false;
        self.leave(depth.saturating_add(1));
        let Some(values) = self.open.last_mut() else {
            return;
        };
        if values.depth != depth {
            return;
        }
        let row = (values.row, out.len());
        let text = |(start, end): (usize, usize)| out.get(start..end);
        match (values.kept, values.comma.take()) {
            (Some(kept), Some(comma)) if text(kept) == text(row) => out.truncate(comma),
            _ => values.kept = Some(row),
        }
    }
}
