//! What a statement does, as one word: the command of its tag or of its first keyword.

/// The command of a statement. Rare ones are [`Operation::Other`], so that it can be a metric label.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u8)]
pub enum Operation {
    /// SELECT, TABLE, VALUES.
    Select,
    /// Everything that has no variant of its own.
    Other,
}

impl Operation {
    /// Every operation, in the order of the discriminants.
    pub const ALL: &'static [Self] = &[Self::Select, Self::Other];

    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// As it stands in metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Select => "SELECT",
            Self::Other => "OTHER",
        }
    }

    /// By the first keyword of a statement's text, past white space, comments and parentheses.
    #[must_use]
    pub fn from_text(_text: &[u8]) -> Self {
        Self::Other
    }

    /// By a CommandComplete tag (`INSERT 0 5`, `CREATE TABLE`, `SELECT 3`).
    #[must_use]
    pub fn from_command_tag(_tag: &[u8]) -> Self {
        Self::Other
    }
}
