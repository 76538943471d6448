//! The few words whose meaning a pass over tokens must know, found without a table of all key words.

/// What a word means to [`crate::canonical`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Meaning {
    /// Anything else: a name, or a key word behind which no expression begins.
    None,
    /// `true`, `false`, `null`.
    Constant,
    /// The Unicode normal forms, of which the grammar makes string constants
    /// (`unicode_normal_form`).
    NormalForm,
    /// An expression may begin behind it, so that a sign there is unary.
    BeforeExpression,
    /// `IN`: likewise, and a list may follow.
    In,
    /// `VALUES`: rows may follow.
    Values,
    /// `EXTRACT`: its first argument is a word of which the grammar makes a string constant.
    Extract,
    /// `IS`: a constant behind it is part of a test.
    Is,
    /// `NOT`: likewise behind IS; else it comes before an expression.
    Not,
    /// `LIMIT`: ALL behind it is a null constant to the grammar.
    Limit,
    /// `ON`: an expression may begin behind it, and behind the parenthesis of DISTINCT ON.
    On,
    /// `ARRAY`: a list may follow.
    Array,
    /// `CAST`.
    Cast,
    /// `AS`.
    As,
    /// May follow a string as a part of the same constant: the fields of an interval, UESCAPE.
    BehindConstant,
}

const WORDS: &[(Meaning, &str)] = &[
    (Meaning::Constant, "true false null"),
    (Meaning::NormalForm, "nfc nfd nfkc nfkd"),
    (
        Meaning::BeforeExpression,
        "select all distinct where and or like ilike similar to escape between symmetric asymmetric \
         case when then else offset fetch first next returning by using having any some \
         from for set default check rows range groups backward forward absolute relative zone \
         restart start increment minvalue maxvalue cache return value passing variadic placing \
         overlaps with until do at",
    ),
    (Meaning::In, "in"),
    (Meaning::Values, "values"),
    (Meaning::Extract, "extract"),
    (Meaning::Is, "is"),
    (Meaning::Not, "not"),
    (Meaning::Limit, "limit"),
    (Meaning::On, "on"),
    (Meaning::Array, "array"),
    (Meaning::Cast, "cast"),
    (Meaning::As, "as"),
    (
        Meaning::BehindConstant,
        "year month day hour minute second uescape",
    ),
];

static MEANINGS: Table<Meaning, 256> = Table::new(Meaning::None, WORDS);

/// What a word means; letter case does not matter.
#[inline]
pub(crate) fn meaning(word: &[u8]) -> Meaning {
    MEANINGS.get(word)
}

/// Words of at most 16 bytes and what they stand for. `SLOTS` is a power of two of more than twice the
/// words, so that most other words meet an empty slot.
pub(crate) struct Table<T: 'static, const SLOTS: usize> {
    slots: [(u128, T); SLOTS],
}

/// A word of at most 16 bytes in lower case, as a number; 0 for longer ones.
#[inline]
const fn pack(word: &[u8]) -> u128 {
    if word.len() > 16 {
        return 0;
    }
    let mut packed: u128 = 0;
    let mut rest = word;
    while let [first, tail @ ..] = rest {
        packed = packed << 8 | first.to_ascii_lowercase() as u128;
        rest = tail;
    }
    packed
}

impl<T: Copy + 'static, const SLOTS: usize> Table<T, SLOTS> {
    /// Of groups of words with blanks between them.
    #[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // evaluated by the compiler
    pub(crate) const fn new(none: T, groups: &[(T, &str)]) -> Self {
        let mut slots = [(0, none); SLOTS];
        let mut group = 0;
        while group < groups.len() {
            let (value, words) = groups[group];
            let mut rest = words.as_bytes();
            while !rest.is_empty() {
                let mut end = 0;
                while end < rest.len() && rest[end] != b' ' {
                    end += 1;
                }
                let (word, tail) = rest.split_at(end);
                if !word.is_empty() {
                    assert!(pack(word) != 0, "a word too long for the table");
                    let mut at = Self::slot(pack(word));
                    while slots[at].0 != 0 {
                        at = (at + 1) % SLOTS;
                    }
                    slots[at] = (pack(word), value);
                }
                rest = match tail {
                    [_, behind @ ..] => behind,
                    [] => tail,
                };
            }
            group += 1;
        }
        Self { slots }
    }

    #[inline]
    const fn slot(packed: u128) -> usize {
        let folded = packed as u64 ^ (packed >> 64) as u64;
        (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as usize & (SLOTS.wrapping_sub(1))
    }

    /// What a word stands for, whatever its letter case; the table's `none` for others.
    #[inline]
    pub(crate) fn get(&self, word: &[u8]) -> T {
        let packed = pack(word);
        let mut at = Self::slot(packed);
        loop {
            match self.slots.get(at) {
                Some(&(known, value)) if known == packed || known == 0 => return value,
                Some(_) => at = at.wrapping_add(1) & SLOTS.wrapping_sub(1),
                None => at = 0,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_found_in_any_case_and_no_other() {
        for (expected, words) in WORDS {
            for word in words.split_whitespace() {
                assert_eq!(meaning(word.as_bytes()), *expected, "{word}");
                assert_eq!(meaning(word.to_uppercase().as_bytes()), *expected, "{word}");
            }
        }
        for word in [
            "t",
            "nul",
            "current_timestamp",
            "a_very_long_table_name",
            "",
        ] {
            assert_eq!(meaning(word.as_bytes()), Meaning::None, "{word}");
        }
    }
}
