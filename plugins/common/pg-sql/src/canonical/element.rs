//! Whether an element of a list is a constant, possibly signed, cast or in parentheses, read one item
//! at a time.
//!
//! PostgreSQL 18 folds such lists (`IsSquashableConstant` in `queryjumblefuncs.c`) together with their
//! casts, which is why casts must not count here either.

use crate::words::Meaning;

/// An item of an element.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Part {
    Constant,
    /// A word that may be a part of a type's name.
    Word,
    /// A word that may follow a constant: `interval '1' day`.
    Field,
    Cast,
    As,
    Dot,
    Typecast,
    Comma,
    Open,
    Close,
    Other,
}

impl Part {
    pub(crate) fn of_word(meaning: Meaning, word: &[u8]) -> Self {
        match meaning {
            Meaning::Cast => Self::Cast,
            Meaning::As => Self::As,
            Meaning::BehindConstant => Self::Field,
            _ if word.eq_ignore_ascii_case(b"to") => Self::Field,
            // `timestamp with time zone '...'`.
            _ if [&b"with"[..], b"zone"]
                .iter()
                .any(|known| word.eq_ignore_ascii_case(known)) =>
            {
                Self::Word
            }
            // No type: `IN (SELECT 1)` is no list of constants.
            Meaning::BeforeExpression
            | Meaning::Not
            | Meaning::Is
            | Meaning::In
            | Meaning::On
            | Meaning::Array
            | Meaning::Limit => Self::Other,
            _ => Self::Word,
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Start,
    /// Behind a constant, its fields, or the parenthesis around it.
    Constant,
    /// In the parentheses of `interval '1' second(3)`.
    Precision,
    /// Behind CAST.
    Cast,
    /// Behind words that are a type if a string follows: `date '...'`.
    TypeBefore,
    ModifierBefore,
    /// Behind `::` or AS.
    TypeDue,
    Type,
    Modifier,
    /// Not a constant.
    Bad,
}

/// Where an element stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Element {
    state: State,
    /// Parentheses around the constant that are open, those of CAST included.
    parentheses: u8,
}

impl Element {
    pub(crate) const START: Self = Self {
        state: State::Start,
        parentheses: 0,
    };

    /// Whether a bracket that opens now belongs to a type.
    pub(crate) fn is_type(self) -> bool {
        matches!(self.state, State::Type | State::TypeBefore)
    }

    /// Whether the list may end here with all of its elements constants.
    pub(crate) fn ends_a_constant(self) -> bool {
        self.parentheses == 0 && matches!(self.state, State::Constant | State::Type)
    }

    #[must_use]
    pub(crate) fn behind(self, part: Part) -> Self {
        let to = |state| Self { state, ..self };
        match (self.state, part) {
            (State::Bad, _) => self,
            (State::Start | State::Cast, Part::Open) => Self {
                state: State::Start,
                parentheses: self.parentheses.saturating_add(1),
            },
            (State::Start | State::TypeBefore, Part::Constant) => to(State::Constant),
            (State::Start, Part::Cast) => to(State::Cast),
            (State::Start, Part::Word | Part::Field) => to(State::TypeBefore),
            (State::TypeBefore, Part::Word | Part::Field | Part::Dot) => self,
            (State::TypeBefore, Part::Open) => to(State::ModifierBefore),
            (State::ModifierBefore, Part::Close) => to(State::TypeBefore),
            // `interval '1' day`, `U&'...' UESCAPE '!'`.
            (State::Constant, Part::Field | Part::Constant) => self,
            (State::Constant, Part::Open) => to(State::Precision),
            (State::Precision, Part::Close) => to(State::Constant),
            (
                State::ModifierBefore | State::Modifier | State::Precision,
                Part::Constant | Part::Comma,
            ) => self,
            (State::Constant | State::Type, Part::Typecast) => to(State::TypeDue),
            (State::Constant, Part::As) if self.parentheses > 0 => to(State::TypeDue),
            (State::TypeDue | State::Type, Part::Word | Part::Field) => to(State::Type),
            (State::Type, Part::Dot) => self,
            (State::Type, Part::Open) => to(State::Modifier),
            (State::Modifier, Part::Close) => to(State::Type),
            (State::Constant | State::Type, Part::Close) if self.parentheses > 0 => Self {
                state: State::Constant,
                parentheses: self.parentheses.saturating_sub(1),
            },
            (State::Constant | State::Type, Part::Comma) if self.parentheses == 0 => Self::START,
            _ => to(State::Bad),
        }
    }
}
