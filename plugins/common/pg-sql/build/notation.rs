//! Reads the grammar's notation into trees.

use crate::terminals::{Set, Terminals};

/// A rule and its alternatives.
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) body: Choice,
}

/// Alternatives, in the order they are tried.
pub(crate) type Choice = Vec<Sequence>;

/// One alternative: what must be ahead, and what is then read.
#[derive(Default)]
pub(crate) struct Sequence {
    pub(crate) guards: Vec<Guard>,
    pub(crate) items: Vec<Item>,
}

/// The `ahead`-th token is (`wanted`) or is not in `set`.
pub(crate) struct Guard {
    pub(crate) ahead: u8,
    pub(crate) wanted: bool,
    pub(crate) set: Set,
}

/// What an alternative is made of.
pub(crate) enum Item {
    Token(Set),
    Call(String),
    Action {
        name: String,
        argument: Option<String>,
    },
    Group(Choice),
    Optional(Choice),
    Repeat(Choice),
}

/// All rules of one file.
pub(crate) fn parse(file: &str, text: &str, terminals: &Terminals) -> Vec<Rule> {
    let mut rules = Vec::new();
    let mut current = String::new();
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim_end());
    for line in lines.chain(["end"]) {
        if !line.starts_with(' ') && !line.is_empty() && !current.is_empty() {
            rules.push(rule(file, &std::mem::take(&mut current), terminals));
        }
        current.push(' ');
        current.push_str(line);
        if current.trim().is_empty() {
            current.clear();
        }
    }
    rules
}

fn rule(file: &str, text: &str, terminals: &Terminals) -> Rule {
    let (name, body) = text
        .split_once(" = ")
        .unwrap_or_else(|| panic!("{file}: {text}"));
    let name = name.trim().to_owned();
    let mut reader = Reader {
        place: format!("{file}: {name}"),
        rest: body,
        terminals,
    };
    let body = reader.choice();
    assert!(
        reader.rest.trim().is_empty(),
        "{}: left over: {}",
        reader.place,
        reader.rest
    );
    Rule { name, body }
}

struct Reader<'a> {
    place: String,
    rest: &'a str,
    terminals: &'a Terminals,
}

impl<'a> Reader<'a> {
    fn choice(&mut self) -> Choice {
        let mut alternatives = vec![self.sequence()];
        while self.eat("|") {
            alternatives.push(self.sequence());
        }
        alternatives
    }

    fn sequence(&mut self) -> Sequence {
        let mut sequence = Sequence::default();
        loop {
            self.rest = self.rest.trim_start();
            match self.rest.chars().next() {
                None | Some('|' | ')') => return sequence,
                Some('&' | '!') => {
                    assert!(
                        sequence.items.is_empty(),
                        "{}: a guard comes first",
                        self.place
                    );
                    sequence.guards.push(self.guard());
                }
                Some(_) => {
                    let item = self.item();
                    let item = self.repetition(item, &mut sequence.items);
                    sequence.items.push(item);
                }
            }
        }
    }

    fn guard(&mut self) -> Guard {
        let wanted = self.rest.starts_with('&');
        let ahead = self.rest.as_bytes()[1] - b'0';
        self.rest = &self.rest[2..];
        assert!(self.eat("("), "{}: a guard lists tokens", self.place);
        let mut set = Set::new();
        while !self.eat(")") {
            let word = self.word();
            set.extend(self.token(word));
        }
        Guard { ahead, wanted, set }
    }

    fn item(&mut self) -> Item {
        if self.eat("(") {
            let choice = self.choice();
            assert!(self.eat(")"), "{}: unclosed group", self.place);
            return Item::Group(choice);
        }
        let word = self.word();
        if let Some(action) = word.strip_prefix('@') {
            let argument = self.rest.starts_with('(').then(|| {
                let (argument, rest) = self.rest[1..].split_once(')').expect("a closed argument");
                self.rest = rest;
                argument.to_owned()
            });
            return Item::Action {
                name: action.to_owned(),
                argument,
            };
        }
        if word.starts_with(|c: char| c.is_ascii_lowercase()) {
            return Item::Call(word.to_owned());
        }
        Item::Token(self.token(word))
    }

    fn repetition(&mut self, item: Item, before: &mut Vec<Item>) -> Item {
        let choice = |item| match item {
            Item::Group(choice) => choice,
            other => vec![Sequence {
                guards: Vec::new(),
                items: vec![other],
            }],
        };
        if self.rest.starts_with('?') {
            self.rest = &self.rest[1..];
            return Item::Optional(choice(item));
        }
        if self.rest.starts_with('*') {
            self.rest = &self.rest[1..];
            return Item::Repeat(choice(item));
        }
        if self.rest.starts_with('+') {
            self.rest = &self.rest[1..];
            let Item::Call(rule) = item else {
                panic!("{}: + follows a rule", self.place)
            };
            before.push(Item::Call(rule.clone()));
            return Item::Repeat(choice(Item::Call(rule)));
        }
        item
    }

    fn token(&self, word: &str) -> Set {
        if let Some(class) = word.strip_prefix('%') {
            return self
                .terminals
                .classes
                .get(class)
                .cloned()
                .unwrap_or_else(|| {
                    panic!("{}: no class {word}", self.place);
                });
        }
        let number = self.terminals.numbers.get(word);
        Set::from([*number.unwrap_or_else(|| panic!("{}: no token {word}", self.place))])
    }

    fn eat(&mut self, mark: &str) -> bool {
        self.rest = self.rest.trim_start();
        let found = self.rest.strip_prefix(mark);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn word(&mut self) -> &'a str {
        self.rest = self.rest.trim_start();
        let end = if self.rest.starts_with('\'') {
            self.rest[1..].find('\'').expect("a closed quote") + 2
        } else {
            let ends = |c: char| !(c.is_ascii_alphanumeric() || "_@%".contains(c));
            self.rest.find(ends).unwrap_or(self.rest.len())
        };
        assert!(end > 0, "{}: unexpected {}", self.place, self.rest);
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }
}
