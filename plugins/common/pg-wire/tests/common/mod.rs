//! Recorded conversations, and an observer that remembers.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses a part of it"
)]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests say what they expect by panicking"
)]

pub mod invariants;
pub mod wire;

use std::fs;
use std::path::{Path, PathBuf};

use pg_wire::{
    Direction, Event, MessageName, Nanos, Observer, Outcome, Session, Statement, StatementText,
    TextId, Transaction, TransactionOutcome,
};

/// What `test-harness/src/bin/record.rs` wrote down.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// The conversation's name, and the version of the server.
    pub name: String,
    /// What was sent or received at once, in order.
    pub pieces: Vec<(Direction, Vec<u8>)>,
    /// `xact_commit`, `xact_rollback` of pg_stat_database; `calls`, `rows` of pg_stat_statements.
    counters: Vec<(String, u64)>,
}

impl Recording {
    /// The conversation with this name, as both servers held it.
    pub fn load(name: &str) -> Vec<Self> {
        let file = name.replace(", ", " ").replace([' ', '.'], "-") + ".txt";
        let found: Vec<_> = Self::all()
            .into_iter()
            .filter(|it| it.name.ends_with(&file))
            .collect();
        assert!(!found.is_empty(), "no recording of {name:?}");
        found
    }

    /// Every conversation with every server.
    pub fn all() -> Vec<Self> {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let mut files: Vec<PathBuf> = ["15", "18"]
            .iter()
            .flat_map(|version| fs::read_dir(fixtures.join(version)).unwrap())
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        files.iter().map(|file| Self::read(file)).collect()
    }

    fn read(file: &Path) -> Self {
        let name = file.components().rev().take(2).collect::<PathBuf>();
        let name = name
            .components()
            .rev()
            .collect::<PathBuf>()
            .display()
            .to_string();
        let mut recording = Self {
            name,
            ..Self::default()
        };
        for line in fs::read_to_string(file).unwrap().lines() {
            match line.split_at(2) {
                ("> ", bytes) => recording
                    .pieces
                    .push((Direction::Frontend, unescape(bytes))),
                ("< ", bytes) => recording.pieces.push((Direction::Backend, unescape(bytes))),
                ("= ", counter) => {
                    let (name, value) = counter.split_once(' ').unwrap();
                    recording
                        .counters
                        .push((name.to_owned(), value.parse().unwrap()));
                }
                _ => panic!("{}: {line}", file.display()),
            }
        }
        recording
    }

    pub fn counter(&self, name: &str) -> u64 {
        self.counters
            .iter()
            .find(|(counter, _)| counter == name)
            .unwrap()
            .1
    }

    /// What a session makes of it, a nanosecond passing with each piece.
    pub fn observe(&self) -> Seen {
        let mut seen = Seen::default();
        let mut session = Session::new();
        let mut now = 0;
        for (direction, bytes) in &self.pieces {
            now += 1;
            feed(&mut session, *direction, bytes, now, &mut seen);
        }
        session.close(now + 1, &mut seen);
        seen
    }
}

pub fn feed(
    session: &mut Session,
    direction: Direction,
    bytes: &[u8],
    now: Nanos,
    observer: &mut impl Observer,
) {
    match direction {
        Direction::Frontend => session.frontend(bytes, now, observer),
        Direction::Backend => session.backend(bytes, now, observer),
    }
}

pub fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next() {
                Some(b'n') => b'\n',
                Some(b'0') => 0,
                Some(b'x') => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                other => other.unwrap(),
            },
            byte => byte,
        });
    }
    bytes
}

/// Everything an observer was told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Every message with its length on the wire.
    pub messages: Vec<(MessageName, u64)>,
    /// Every event as it prints; what is told once per call is added up.
    pub events: Vec<String>,
    pub brief: Vec<String>,
    pub statements: Vec<Statement>,
    pub transactions: Vec<Transaction>,
    /// Name, text and whether it was cut; a [`TextId`] is a place here, from 1 on.
    pub texts: Vec<(Vec<u8>, Vec<u8>, bool)>,
    copied: Option<(&'static str, Direction, u64)>,
}

impl Observer for Seen {
    fn message(&mut self, name: MessageName, bytes: u64) {
        self.messages.push((name, bytes));
    }

    fn text(&mut self, text: StatementText<'_>) -> TextId {
        self.texts
            .push((text.name.to_vec(), text.text.to_vec(), text.truncated));
        TextId(self.texts.len() as u32)
    }

    fn event(&mut self, event: Event<'_>) {
        let copied = match event {
            Event::CopyData { direction, bytes } => Some(("CopyData", direction, bytes)),
            Event::ReplicationData { direction, bytes } => {
                Some(("ReplicationData", direction, bytes))
            }
            _ => None,
        };
        if let (Some((kind, direction, bytes)), Some((last, towards, sum))) =
            (copied, &mut self.copied)
            && (kind, direction) == (*last, *towards)
        {
            *sum += bytes;
            let sum = *sum;
            *self.events.last_mut().unwrap() = format!("{kind} {direction:?} {sum}");
            return;
        }
        self.copied = copied;
        self.brief.extend(brief(&event));
        match (event, copied) {
            (_, Some((kind, direction, bytes))) => {
                self.events.push(format!("{kind} {direction:?} {bytes}"));
                return;
            }
            (Event::Statement(statement), _) => self.statements.push(statement),
            (Event::Transaction(transaction), _) => self.transactions.push(transaction),
            _ => {}
        }
        self.events.push(format!("{event:?}"));
    }
}

/// An event in few words; ones that every conversation is full of in none.
fn brief(event: &Event<'_>) -> Option<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(match event {
        Event::Statement(it) => {
            let operation = it.operation.as_str();
            match it.outcome {
                Outcome::Completed => format!("{operation} {}", it.rows),
                Outcome::Failed(state) => format!("{operation} failed {}", text(&state.0)),
                Outcome::Disconnected => format!("{operation} disconnected"),
            }
        }
        Event::Transaction(it) => {
            let explicit = if it.explicit { " block" } else { "" };
            format!("{:?}{explicit}", it.outcome).to_lowercase()
        }
        Event::Startup(it) => {
            let (major, minor) = (it.version.major, it.version.minor);
            format!(
                "startup {major}.{minor} {}@{}",
                text(it.user),
                text(it.database)
            )
        }
        Event::Ready { .. } => "ready".into(),
        Event::ConnectionFailed(it) => format!("connection failed {}", text(&it.sqlstate.0)),
        Event::Error(it) => format!("{:?} {}", it.severity, text(&it.sqlstate.0)).to_lowercase(),
        Event::Notice(it) => format!("{:?} {}", it.severity, text(&it.sqlstate.0)).to_lowercase(),
        Event::PreparedStatements { count } => format!("prepared {count}"),
        Event::ParameterStatus { name, value } => format!("{} = {}", text(name), text(value)),
        Event::CopyDone { direction, rows } => {
            format!("copied {rows} {direction:?}").to_lowercase()
        }
        Event::IdleInTransaction { .. } | Event::Pipeline { .. } | Event::Parsed => return None,
        Event::CopyData { .. } | Event::ReplicationData { .. } => return None,
        other => format!("{other:?}"),
    })
}

impl Seen {
    /// The conversation in few words, from the first ReadyForQuery on.
    pub fn story(&self) -> Vec<&str> {
        let start = self
            .brief
            .iter()
            .position(|event| event == "ready")
            .map_or(0, |at| at + 1);
        self.brief[start..].iter().map(String::as_str).collect()
    }

    /// The text of each statement that has ended.
    pub fn texts_run(&self) -> Vec<&str> {
        let text = |it: &Statement| match it.text {
            TextId::UNTOLD => "?",
            TextId(id) => std::str::from_utf8(&self.texts[id as usize - 1].1).unwrap(),
        };
        self.statements.iter().map(text).collect()
    }

    /// How many messages of this name went by.
    pub fn count(&self, name: MessageName) -> usize {
        self.messages
            .iter()
            .filter(|(candidate, _)| *candidate == name)
            .count()
    }

    /// Length on the wire of the first message of this name.
    pub fn length(&self, name: MessageName) -> u64 {
        self.messages
            .iter()
            .find(|(candidate, _)| *candidate == name)
            .unwrap()
            .1
    }

    pub fn ended(&self, outcome: TransactionOutcome) -> u64 {
        self.transactions
            .iter()
            .filter(|it| it.outcome == outcome)
            .count() as u64
    }

    pub fn completed(&self) -> impl Iterator<Item = &Statement> {
        self.statements
            .iter()
            .filter(|it| it.outcome == Outcome::Completed)
    }

    /// The events whose name this is.
    pub fn events_named(&self, name: &str) -> Vec<&str> {
        let named = self.events.iter().map(String::as_str);
        named
            .filter(|event| event.split([' ', '(']).next() == Some(name))
            .collect()
    }
}
