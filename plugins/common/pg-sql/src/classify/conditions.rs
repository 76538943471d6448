//! Whether the condition of an UPDATE, DELETE or MERGE chooses rows: it does if it names a column or
//! holds a sub-query, on every side of its ORs.

/// Return addresses between a WHERE and its own ORs: that of `expression`.
const OWN_OPERATION_DEPTH: usize = 1;

/// A condition being read: whether what was read of it since its last OR names a column.
struct Condition {
    depth: usize,
    names_column: bool,
    always: bool,
}

/// The conditions that are open, from the outermost to the innermost.
#[derive(Default)]
pub(crate) struct Conditions {
    open: Vec<Condition>,
    /// What the ON of the MERGE says, and what it and the AND of its last WHEN say together.
    on_chooses: bool,
    when_chooses: bool,
}

impl Conditions {
    /// One begins, with so many return addresses on the machine's stack.
    pub(crate) fn open(&mut self, depth: usize) {
        self.open.push(Condition {
            depth,
            names_column: false,
            always: false,
        });
    }

    /// A column was named.
    pub(crate) fn column(&mut self) {
        if let Some(condition) = self.open.last_mut() {
            condition.names_column = true;
        }
    }

    /// An OR was read.
    pub(crate) fn disjunct(&mut self, depth: usize) {
        if let Some(condition) = self.open.last_mut()
            && condition.depth.saturating_add(OWN_OPERATION_DEPTH) == depth
        {
            condition.always |= !condition.names_column;
            condition.names_column = false;
        }
    }

    /// The innermost was read: whether it chooses rows. To the one around it, it is a sub-query.
    pub(crate) fn close(&mut self) -> bool {
        let condition = self.open.pop();
        self.column();
        condition.is_some_and(|condition| !condition.always && condition.names_column)
    }

    /// The ON of a MERGE was read.
    pub(crate) fn merge_on(&mut self) {
        self.on_chooses = self.close();
    }

    /// WHEN MATCHED, or NOT MATCHED.
    pub(crate) fn merge_when(&mut self) {
        self.when_chooses = self.on_chooses;
    }

    /// BY SOURCE: rows that ON does not choose.
    pub(crate) fn merge_by_source(&mut self) {
        self.when_chooses = false;
    }

    /// The AND of a WHEN was read.
    pub(crate) fn merge_and(&mut self) {
        self.when_chooses |= self.close();
    }

    /// Whether what the last WHEN does is done to chosen rows.
    pub(crate) fn merge_chooses(&self) -> bool {
        self.when_chooses
    }
}
