//! Turns rules into code words, token sets and tables.

use crate::notation::{Choice, Guard, Item, Rule, Sequence};
use crate::terminals::{Set, TOKENS, Terminals};
use std::collections::HashMap;
use std::fmt::Write as _;

/// Operation codes, in the upper four bits of a word; `src/classify/machine.rs` runs them.
const TOKEN: u16 = 0;
const SET: u16 = 1;
const JUMP: u16 = 2;
const CALL: u16 = 3;
const RETURN: u16 = 4;
const ACTION: u16 = 5;
const UNLESS_AHEAD: u16 = 6;
const IF_AHEAD: u16 = 9;
const FAIL: u16 = 12;
const SWITCH: u16 = 13;

/// With this many alternatives a table by token is smaller than a row of tests is slow.
const SWITCH_FROM: usize = 6;

/// The generated source.
pub(crate) fn generate(rules: &[Rule], terminals: &Terminals, commands: &str) -> String {
    let mut generator = Generator::new(rules, terminals, commands);
    for rule in rules {
        let address = generator.here();
        generator.addresses.insert(rule.name.clone(), address);
        generator.rule.clone_from(&rule.name);
        generator.choice(&rule.body, true);
    }
    generator.link();
    generator.print()
}

struct Generator<'a> {
    rules: HashMap<&'a str, &'a Choice>,
    terminals: &'a Terminals,
    commands: Vec<&'a str>,
    firsts: HashMap<&'a str, (Set, bool)>,
    code: Vec<u16>,
    calls: Vec<(usize, String)>,
    addresses: HashMap<String, u16>,
    sets: Vec<Set>,
    actions: Vec<String>,
    settings: Vec<String>,
    switches: Vec<Vec<u16>>,
    rule: String,
}

impl<'a> Generator<'a> {
    fn new(rules: &'a [Rule], terminals: &'a Terminals, commands: &'a str) -> Self {
        let commands = commands
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let mut generator = Self {
            rules: HashMap::new(),
            terminals,
            commands: commands.collect(),
            firsts: HashMap::new(),
            code: Vec::new(),
            calls: Vec::new(),
            addresses: HashMap::new(),
            sets: Vec::new(),
            actions: Vec::new(),
            settings: Vec::new(),
            switches: Vec::new(),
            rule: String::new(),
        };
        for rule in rules {
            let twice = generator.rules.insert(&rule.name, &rule.body);
            assert!(twice.is_none(), "rule {} is written twice", rule.name);
            generator.firsts.insert(&rule.name, (Set::new(), false));
        }
        generator.find_firsts(rules);
        generator
    }

    /// FIRST sets and nullability of all rules, to the fixed point.
    fn find_firsts(&mut self, rules: &'a [Rule]) {
        loop {
            let mut changed = false;
            for rule in rules {
                let first = self.choice_first(&rule.body);
                let known = self.firsts.get_mut(rule.name.as_str()).unwrap();
                if *known != first {
                    *known = first;
                    changed = true;
                }
            }
            if !changed {
                return;
            }
        }
    }

    fn choice_first(&self, choice: &Choice) -> (Set, bool) {
        let mut all = (Set::new(), false);
        for sequence in choice {
            let (set, nullable) = self.sequence_first(sequence);
            all.0.extend(set);
            all.1 |= nullable && sequence.guards.is_empty();
        }
        all
    }

    fn sequence_first(&self, sequence: &Sequence) -> (Set, bool) {
        let mut first = Set::new();
        let mut nullable = true;
        for item in &sequence.items {
            let (set, empty) = match item {
                Item::Token(set) => (set.clone(), false),
                Item::Call(rule) => {
                    let known = self.firsts.get(rule.as_str());
                    known.unwrap_or_else(|| panic!("no rule {rule}")).clone()
                }
                Item::Action { .. } => (Set::new(), true),
                Item::Group(choice) => self.choice_first(choice),
                Item::Optional(choice) | Item::Repeat(choice) => {
                    (self.choice_first(choice).0, true)
                }
            };
            first.extend(set);
            if !empty {
                nullable = false;
                break;
            }
        }
        for guard in sequence.guards.iter().filter(|guard| guard.ahead == 1) {
            if nullable && guard.wanted {
                first = guard.set.clone();
            } else {
                first.retain(|token| guard.set.contains(token) == guard.wanted);
            }
        }
        (first, nullable)
    }

    /// Tokens a rule may start with only where more tokens ahead allow it.
    fn unsure(&self, choice: &Choice) -> Set {
        let mut sure = Set::new();
        let mut unsure = Set::new();
        for sequence in choice {
            let first = self.sequence_first(sequence).0;
            if sequence.guards.iter().any(|guard| guard.ahead > 1) {
                unsure.extend(first);
                continue;
            }
            let inner = self.unsure_of_sequence(sequence);
            sure.extend(first.difference(&inner));
            unsure.extend(inner);
        }
        unsure.difference(&sure).copied().collect()
    }

    fn unsure_of_sequence(&self, sequence: &Sequence) -> Set {
        let first = sequence
            .items
            .iter()
            .find(|item| !matches!(item, Item::Action { .. }));
        match first {
            Some(Item::Call(rule)) => self.unsure(self.rules[rule.as_str()]),
            Some(Item::Group(choice)) => self.unsure(choice),
            _ => Set::new(),
        }
    }

    /// A rule that is entered and then finds that it does not fit cannot be left again: where there
    /// is another way, its guards must stand at the choice itself.
    fn check_entry(&self, choice: &Choice, other_way: bool) {
        for (index, sequence) in choice.iter().enumerate() {
            let unsure = self.unsure_of_sequence(sequence);
            let guarded = sequence.guards.iter().any(|guard| guard.ahead > 1);
            let later = choice[index + 1..]
                .iter()
                .map(|other| self.sequence_first(other));
            let taken_later = later
                .into_iter()
                .any(|(set, nullable)| nullable || !set.is_disjoint(&unsure));
            let names: Vec<String> = unsure
                .iter()
                .map(|token| self.terminals.name(*token))
                .collect();
            assert!(
                guarded || names.is_empty() || !(other_way || taken_later),
                "{}: entered without its guards at {names:?}",
                self.rule
            );
        }
    }

    fn here(&self) -> u16 {
        u16::try_from(self.code.len()).expect("the grammar fits 64 Ki words")
    }

    fn emit(&mut self, code: u16, operand: usize) {
        assert!(operand < 4096, "operand {operand} needs more than 12 bits");
        self.code.push(code << 12 | u16::try_from(operand).unwrap());
    }

    /// A word that will hold an address.
    fn reserve(&mut self) -> usize {
        self.code.push(0);
        self.code.len() - 1
    }

    fn set(&mut self, set: &Set) -> usize {
        self.sets
            .iter()
            .position(|known| known == set)
            .unwrap_or_else(|| {
                self.sets.push(set.clone());
                self.sets.len() - 1
            })
    }

    /// Code that picks an alternative and runs it; in tail position it returns instead of falling through.
    fn choice(&mut self, choice: &Choice, tail: bool) {
        self.check_entry(choice, false);
        let mut ends = Vec::new();
        let mut defaulted = false;
        let switch = self.switch(choice);
        for (index, sequence) in choice.iter().enumerate() {
            if let Some(table) = switch {
                let here = self.here();
                let target = u16::try_from(index + 1).unwrap();
                for entry in self.switches[table]
                    .iter_mut()
                    .filter(|entry| **entry == target)
                {
                    *entry = here | 0x8000;
                }
            }
            let (first, nullable) = self.sequence_first(sequence);
            let is_default = nullable && sequence.guards.is_empty();
            assert!(!defaulted, "an alternative after one that always fits");
            let misses = self.tests(&sequence.guards, (!is_default).then_some(&first));
            self.items(&sequence.items, tail);
            defaulted = is_default;
            if !tail && !is_default {
                self.emit(JUMP, 0);
                ends.push(self.reserve());
            }
            let here = self.here();
            misses.into_iter().for_each(|word| self.code[word] = here);
        }
        if !defaulted {
            self.emit(FAIL, 0);
        }
        let here = self.here();
        ends.into_iter().for_each(|word| self.code[word] = here);
    }

    /// A first jump by the next token for choices with many alternatives.
    fn switch(&mut self, choice: &Choice) -> Option<usize> {
        if choice.len() < SWITCH_FROM {
            return None;
        }
        let mut table = vec![0; usize::from(self.terminals.count)];
        for (index, sequence) in choice.iter().enumerate() {
            let (first, nullable) = self.sequence_first(sequence);
            for (token, entry) in table.iter_mut().enumerate() {
                let token = u16::try_from(token).unwrap();
                let fits = first.contains(&token) || (nullable && sequence.guards.is_empty());
                if *entry == 0 && fits {
                    *entry = u16::try_from(index + 1).unwrap();
                }
            }
        }
        self.switches.push(table);
        self.emit(SWITCH, self.switches.len() - 1);
        Some(self.switches.len() - 1)
    }

    /// Tests that jump away where the alternative does not fit; the words to fill with that address.
    fn tests(&mut self, guards: &[Guard], first: Option<&Set>) -> Vec<usize> {
        let mut misses = Vec::new();
        if let Some(first) = first {
            let set = self.set(first);
            self.emit(UNLESS_AHEAD, set);
            misses.push(self.reserve());
        }
        for guard in guards
            .iter()
            .filter(|guard| first.is_none() || guard.ahead > 1)
        {
            let set = self.set(&guard.set);
            let code = if guard.wanted { UNLESS_AHEAD } else { IF_AHEAD };
            self.emit(code + u16::from(guard.ahead) - 1, set);
            misses.push(self.reserve());
        }
        misses
    }

    fn items(&mut self, items: &[Item], tail: bool) {
        for (index, item) in items.iter().enumerate() {
            let last = tail && index + 1 == items.len();
            self.item(item, last);
            if last && matches!(item, Item::Call(_) | Item::Group(_)) {
                return;
            }
        }
        if tail {
            self.emit(RETURN, 0);
        }
    }

    fn item(&mut self, item: &Item, last: bool) {
        match item {
            Item::Token(set) if set.len() == 1 => {
                self.emit(TOKEN, usize::from(*set.first().unwrap()));
            }
            Item::Token(set) => {
                let set = self.set(set);
                self.emit(SET, set);
            }
            Item::Call(rule) => {
                self.emit(if last { JUMP } else { CALL }, 0);
                let word = self.reserve();
                self.calls.push((word, rule.clone()));
            }
            Item::Action { name, argument } => self.action(name, argument.as_deref()),
            Item::Group(choice) => self.choice(choice, last),
            Item::Optional(choice) => {
                let misses = self.skip_test(choice);
                self.choice_or_skip(choice, misses);
            }
            Item::Repeat(choice) => {
                let start = self.here();
                let misses = self.skip_test(choice);
                self.repeated(choice, start, misses);
            }
        }
    }

    /// The cheap test whether an optional part may start here at all.
    fn skip_test(&mut self, choice: &Choice) -> Vec<usize> {
        let (first, nullable) = self.choice_first(choice);
        assert!(!nullable, "an optional part that may be empty");
        self.tests(&[], Some(&first))
    }

    fn choice_or_skip(&mut self, choice: &Choice, mut misses: Vec<usize>) {
        let ends = self.alternatives(choice, &mut misses);
        let here = self.here();
        ends.into_iter()
            .chain(misses)
            .for_each(|word| self.code[word] = here);
    }

    fn repeated(&mut self, choice: &Choice, start: u16, mut misses: Vec<usize>) {
        let ends = self.alternatives(choice, &mut misses);
        ends.into_iter().for_each(|word| self.code[word] = start);
        let here = self.here();
        misses.into_iter().for_each(|word| self.code[word] = here);
    }

    /// Alternatives none of which need fit; the last one's misses are left to the caller.
    fn alternatives(&mut self, choice: &Choice, misses: &mut Vec<usize>) -> Vec<usize> {
        self.check_entry(choice, true);
        let mut ends = Vec::new();
        let mut pending: Vec<usize> = Vec::new();
        for sequence in choice {
            let here = self.here();
            pending.drain(..).for_each(|word| self.code[word] = here);
            let only = choice.len() == 1;
            let first = self.sequence_first(sequence).0;
            pending = if only {
                let beyond_first = sequence.guards.iter().filter(|guard| guard.ahead > 1);
                let mut words = Vec::new();
                for guard in beyond_first {
                    words.extend(self.tests(std::slice::from_ref(guard), None));
                }
                words
            } else {
                self.tests(&sequence.guards, Some(&first))
            };
            self.items(&sequence.items, false);
            self.emit(JUMP, 0);
            ends.push(self.reserve());
        }
        misses.append(&mut pending);
        ends
    }

    fn action(&mut self, name: &str, argument: Option<&str>) {
        let argument = match argument {
            None => 0,
            Some(setting) if name == "sets" => self.setting(setting),
            Some(command) => self.command(command),
        };
        let variant: String = name
            .split('_')
            .map(|word| word[..1].to_ascii_uppercase() + &word[1..])
            .collect();
        let entry = format!("(Action::{variant}, {argument})");
        let known = self.actions.iter().position(|known| *known == entry);
        let index = known.unwrap_or_else(|| {
            self.actions.push(entry);
            self.actions.len() - 1
        });
        self.emit(ACTION, index);
    }

    /// The row of a command, by its tag with `_` for blanks.
    fn command(&self, name: &str) -> usize {
        let tag = name.replace('_', " ");
        let mut rows = self.commands.iter();
        let found = rows.position(|line| line.split('|').next().unwrap().trim() == tag);
        found.unwrap_or_else(|| panic!("commands.txt has no {tag}"))
    }

    /// The row of a setting's name.
    fn setting(&mut self, name: &str) -> usize {
        let known = self.settings.iter().position(|known| known == name);
        known.unwrap_or_else(|| {
            self.settings.push(name.to_owned());
            self.settings.len() - 1
        })
    }

    fn link(&mut self) {
        for (word, rule) in &self.calls {
            self.code[*word] = *self
                .addresses
                .get(rule)
                .unwrap_or_else(|| panic!("no rule {rule}"));
        }
        assert!(
            self.code.len() < 0x8000,
            "addresses in switches have 15 bits"
        );
        for table in &mut self.switches {
            for entry in table {
                *entry &= 0x7fff;
            }
        }
    }

    fn print(&self) -> String {
        let words = usize::from(self.terminals.count).div_ceil(32);
        let mut out = String::new();
        let mut array = |name: &str, kind: &str, len: usize, items: String| {
            let _ = writeln!(
                out,
                "pub(crate) static {name}: [{kind}; {len}] = [{items}];"
            );
        };
        array("CODE", "u16", self.code.len(), list(&self.code));
        let sets = self.sets.iter().map(|set| {
            let mut bits = vec![0_u32; words];
            set.iter()
                .for_each(|token| bits[usize::from(*token) / 32] |= 1 << (token % 32));
            format!("[{}]", list(&bits))
        });
        let sets: Vec<String> = sets.collect();
        array(
            "SETS",
            &format!("[u32; {words}]"),
            sets.len(),
            sets.join(","),
        );
        let switches: Vec<String> = self
            .switches
            .iter()
            .map(|table| format!("[{}]", list(table)))
            .collect();
        array(
            "SWITCHES",
            &format!("[u16; {}]", self.terminals.count),
            switches.len(),
            switches.join(","),
        );
        array(
            "ACTIONS",
            "(Action, u8)",
            self.actions.len(),
            self.actions.join(","),
        );
        let settings: Vec<String> = self
            .settings
            .iter()
            .map(|name| format!("{name:?}"))
            .collect();
        array("SETTINGS", "&str", settings.len(), settings.join(","));
        let commands: Vec<String> = self.commands.iter().map(|line| command(line)).collect();
        array("COMMANDS", "CommandRow", commands.len(), commands.join(","));
        let keywords: Vec<String> = self
            .terminals
            .keywords
            .iter()
            .map(|word| format!("{word:?}"))
            .collect();
        array("KEYWORDS", "&str", keywords.len(), keywords.join(","));
        let buckets = keyword_buckets(&self.terminals.keywords);
        array("KEYWORD_BUCKETS", "u16", buckets.len(), list(&buckets));
        for (number, (_, name)) in TOKENS.iter().enumerate() {
            let _ = writeln!(out, "pub(crate) const {name}: u16 = {number};");
        }
        let _ = writeln!(
            out,
            "pub(crate) const FIRST_KEYWORD: u16 = {};",
            TOKENS.len()
        );
        for word in ["NCHAR", "UESCAPE"] {
            let number = self.terminals.numbers[word];
            let _ = writeln!(out, "pub(crate) const {word}: u16 = {number};");
        }
        let _ = writeln!(
            out,
            "pub(crate) const STATEMENT: u16 = {};",
            self.addresses["statement"]
        );
        out
    }
}

/// One row of `commands.txt`: tag | class | effects.
fn command(line: &str) -> String {
    let fields: Vec<&str> = line.split('|').map(str::trim).collect();
    let [tag, class, effects] = fields[..] else {
        panic!("commands.txt: {line}")
    };
    let effects: Vec<String> = effects
        .split_whitespace()
        .map(|effect| format!(".and(Effects::{effect})"))
        .collect();
    format!(
        "(Command({tag:?}), AuditClass::{class}, Effects::NONE{})",
        effects.concat()
    )
}

/// An open-addressed hash table of the key words: 0 is empty, else the index + 1.
fn keyword_buckets(keywords: &[String]) -> Vec<u16> {
    let mut buckets = vec![0_u16; 2048];
    for (index, word) in keywords.iter().enumerate() {
        let mut slot = keyword_hash(word.as_bytes()) as usize % buckets.len();
        while buckets[slot] != 0 {
            slot = (slot + 1) % buckets.len();
        }
        buckets[slot] = u16::try_from(index + 1).unwrap();
    }
    buckets
}

/// FNV-1a over 32 bits; `src/classify/scan.rs` has the same.
fn keyword_hash(word: &[u8]) -> u32 {
    word.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

fn list<T: ToString>(items: &[T]) -> String {
    items
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(",")
}
