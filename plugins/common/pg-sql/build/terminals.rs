//! The terminals of the grammar: tokens that are no key word, then the key words.

use std::collections::{BTreeSet, HashMap};

/// A set of terminals.
pub(crate) type Set = BTreeSet<u16>;

/// Tokens other than key words, in the order of their numbers; `src/classify/scan.rs` relies on it.
pub(crate) const TOKENS: &[(&str, &str)] = &[
    ("EOF", "END"),
    ("IDENT", "IDENT"),
    ("SCONST", "SCONST"),
    ("ICONST", "ICONST"),
    ("FCONST", "FCONST"),
    ("BCONST", "BCONST"),
    ("PARAM", "PARAM"),
    ("OP", "OP"),
    ("'('", "OPEN"),
    ("')'", "CLOSE"),
    ("'['", "OPEN_BRACKET"),
    ("']'", "CLOSE_BRACKET"),
    ("','", "COMMA"),
    ("';'", "SEMICOLON"),
    ("':'", "COLON"),
    ("'.'", "DOT"),
    ("'+'", "PLUS"),
    ("'-'", "MINUS"),
    ("'*'", "STAR"),
    ("'/'", "SLASH"),
    ("'%'", "PERCENT"),
    ("'^'", "CARET"),
    ("'<'", "LESS"),
    ("'>'", "GREATER"),
    ("'='", "EQUAL"),
    ("'::'", "TYPECAST"),
    ("'..'", "DOT_DOT"),
    ("':='", "COLON_EQUALS"),
    ("'=>'", "EQUALS_GREATER"),
    ("OTHER", "OTHER"),
];

/// All terminals, by name, and the classes the grammar may name with `%`.
pub(crate) struct Terminals {
    pub(crate) numbers: HashMap<String, u16>,
    pub(crate) classes: HashMap<&'static str, Set>,
    pub(crate) keywords: Vec<String>,
    pub(crate) count: u16,
}

impl Terminals {
    pub(crate) fn new(keyword_list: &str) -> Self {
        let mut numbers: HashMap<String, u16> = HashMap::new();
        for (name, _) in TOKENS {
            numbers.insert((*name).to_owned(), u16::try_from(numbers.len()).unwrap());
        }
        let ident = Set::from([numbers["IDENT"]]);
        let mut classes = HashMap::from([
            ("colid", ident.clone()),
            ("typefunc", ident.clone()),
            ("nonreserved", ident.clone()),
            ("label", ident.clone()),
            ("bare", ident),
        ]);
        let mut keywords = Vec::new();
        for line in keyword_list.lines().filter(|line| !line.starts_with('#')) {
            let mut fields = line.split_whitespace();
            let Some(word) = fields.next() else { continue };
            let category = fields.next().expect("a category");
            let number = u16::try_from(numbers.len()).unwrap();
            numbers.insert(word.to_ascii_uppercase(), number);
            keywords.push(word.to_owned());
            let mut put = |class| classes.get_mut(class).unwrap().insert(number);
            put("label");
            if fields.next().is_none() {
                put("bare");
            }
            match category {
                "u" => ["colid", "typefunc", "nonreserved"].map(put).len(),
                "c" => ["colid", "nonreserved"].map(put).len(),
                "t" => ["typefunc", "nonreserved"].map(put).len(),
                "r" => 0,
                other => panic!("{word}: no category {other}"),
            };
        }
        assert!(keywords.is_sorted(), "keywords.txt is sorted");
        let operator = [
            "OP", "'+'", "'-'", "'*'", "'/'", "'%'", "'^'", "'<'", "'>'", "'='",
        ];
        classes.insert("op", operator.iter().map(|name| numbers[*name]).collect());
        let structure = ["EOF", "'('", "')'", "'['", "']'", "';'", "OTHER"];
        let structure: Set = structure.iter().map(|name| numbers[*name]).collect();
        let count = u16::try_from(numbers.len()).unwrap();
        let any: Set = (0..count)
            .filter(|number| !structure.contains(number))
            .collect();
        let comma = numbers["','"];
        classes.insert(
            "item",
            any.iter()
                .copied()
                .filter(|number| *number != comma)
                .collect(),
        );
        classes.insert("any", any);
        Self {
            numbers,
            classes,
            keywords,
            count,
        }
    }

    /// A terminal as the grammar writes it.
    pub(crate) fn name(&self, number: u16) -> String {
        let index = usize::from(number);
        TOKENS.get(index).map_or_else(
            || self.keywords[index - TOKENS.len()].to_ascii_uppercase(),
            |(name, _)| (*name).to_owned(),
        )
    }
}
