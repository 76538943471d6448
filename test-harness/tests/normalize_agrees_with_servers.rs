//! `pg_sql::normalize` prints what `pg_stat_statements` of real servers prints, for every statement
//! of `plugins/common/pg-sql/tests/normalized`. What the servers printed is kept in golden files, so that
//! the fast tests need none: `PGMESH_BLESS=1` writes them anew. That the statements cover every command
//! of the SQL reference is asked of the servers' own psql.

#[path = "../../plugins/common/pg-sql/tests/normalized/mod.rs"]
mod normalized;

use std::fmt::Write as _;
use std::path::Path;

use normalized::{Case, Run, escaped};
use pg_sql::{LexerOptions, RedactOptions, ServerVersion, fingerprint, normalize, redact};
use test_harness::hosts::postgres::output_of;
use test_harness::hosts::{Postgres, Version};
use test_harness::net::Client;
use test_harness::net::client::Message;

const DATABASE: &str = "postgres";

#[test]
fn normalize_agrees_with_postgresql_15() {
    agrees(Version::V15, ServerVersion::V15);
}

#[test]
fn normalize_agrees_with_postgresql_18() {
    agrees(Version::V18, ServerVersion::V18);
}

fn agrees(version: Version, rules: ServerVersion) {
    let mut server = Server::start(version);
    let (mut golden, mut wrong, mut recorded) = (String::new(), String::new(), 0);
    let mut uncovered = server.commands();
    assert!(uncovered.len() > 150, "too few commands: {uncovered:?}");
    for case in normalized::cases() {
        let answer = server.run(&case);
        if answer.understood {
            uncovered.retain(|command| !is_command(&case.text, command));
        }
        let Some(seen) = answer.line else {
            golden.push_str("-\n");
            continue;
        };
        recorded += 1;
        writeln!(golden, "{}", escaped(&seen)).unwrap();
        let made = normalize(case.text.as_bytes(), rules);
        if made != seen {
            let [seen, made] = [&seen, &made].map(|text| escaped(text));
            writeln!(wrong, "sent {}\nseen {seen}\nmade {made}", case.text).unwrap();
        }
        let of = |text: &[u8]| fingerprint(text, &LexerOptions::default());
        let redacted = redact(case.text.as_bytes(), &RedactOptions::default()).text;
        let numbers = [of(case.text.as_bytes()), of(&seen), of(&redacted)];
        // The server prints `-(5)` as `$1)`, which is not SQL any more.
        if numbers != [numbers[0]; 3] && !case.text.contains("-(") && !case.text.contains("- (") {
            writeln!(wrong, "three fingerprints {numbers:?}: {}", case.text).unwrap();
        }
    }
    println!("{recorded} statements recorded by {version:?}");
    assert!(
        uncovered.is_empty(),
        "commands without a statement: {uncovered:?}"
    );
    assert!(wrong.is_empty(), "{wrong}");
    assert!(recorded > 2000, "too few of the corpus run: {recorded}");
    let name = format!(
        "../plugins/common/pg-sql/tests/normalized/printed-by-{}.txt",
        version.number()
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    if std::env::var_os("PGMESH_BLESS").is_some() {
        std::fs::write(&path, &golden).unwrap();
    }
    let kept = std::fs::read_to_string(&path).expect("the golden file is there");
    assert!(kept == golden, "{path:?} is not what the server prints");
}

struct Server {
    server: Postgres,
    session: Client,
    control: Client,
}

impl Server {
    fn start(version: Version) -> Self {
        let server = Postgres::builder(version)
            .preload("pg_stat_statements")
            .setting("max_prepared_transactions", "5")
            .setting("log_min_messages", "panic")
            // A tablespace without a place of its own.
            .setting("allow_in_place_tablespaces", "on")
            .start();
        let mut control = Client::session(server.address(), DATABASE);
        control.query("CREATE EXTENSION pg_stat_statements");
        control.query("SET pg_stat_statements.track = 'none'");
        for statement in normalized::setup() {
            let answer = control.query(statement);
            assert!(!failed(&answer), "the corpus cannot be set up: {statement}");
        }
        let session = Client::session(server.address(), DATABASE);
        Self {
            server,
            session,
            control,
        }
    }

    /// Every command that the SQL reference has a page for, by the help of this version's psql.
    fn commands(&self) -> Vec<String> {
        let output = output_of(self.server.client("psql").args(["-X", "-c", "\\h *"]));
        let help = String::from_utf8(output.stdout).unwrap();
        let titles = help
            .lines()
            .filter_map(|line| line.strip_prefix("Command:"));
        titles.map(|title| title.trim().to_owned()).collect()
    }

    /// Runs a statement alone.
    fn run(&mut self, case: &Case) -> Answer {
        if let Run::InBlock(before) = &case.run {
            self.session.query("BEGIN");
            for statement in before {
                self.session.query(statement);
            }
        }
        self.control.query("SELECT pg_stat_statements_reset()");
        let answer = self.session.query(&case.text);
        let failed = failed(&answer);
        if case.text.starts_with("PREPARE stmt ") && !failed {
            // Its line shows only once the statement runs; without its parameters, it does not.
            self.session.query("EXECUTE stmt");
        }
        let lines = rows(
            &self
                .control
                .query("SELECT query FROM pg_stat_statements WHERE toplevel AND calls = 1"),
        );
        self.session
            .query("ROLLBACK; RESET ALL; RESET ROLE; RESET SESSION AUTHORIZATION");
        self.session.query("DEALLOCATE ALL");
        Answer {
            understood: !is_syntax_error(&answer),
            line: match lines.as_slice() {
                [line] if !failed => Some(line.clone()),
                _ => None,
            },
        }
    }
}

/// What the server made of a statement.
struct Answer {
    /// Its grammar took it.
    understood: bool,
    /// The one line that it left in `pg_stat_statements`, if the server ran it.
    line: Option<Vec<u8>>,
}

fn is_syntax_error(answer: &[Message]) -> bool {
    answer.iter().any(|message| {
        let mut fields = message.body.split(|byte| *byte == 0);
        message.tag == b'E' && fields.any(|field| field == b"C42601")
    })
}

/// Words that the reference does not count as a part of the command.
const MODIFIERS: &[&str] = &[
    "OR",
    "REPLACE",
    "TEMP",
    "TEMPORARY",
    "UNLOGGED",
    "UNIQUE",
    "TRUSTED",
    "PROCEDURAL",
    "WORK",
];

/// Whether a statement is one of a command, such as `CREATE TABLE AS`.
fn is_command(text: &str, command: &str) -> bool {
    let text = text.to_uppercase();
    let mut words = text
        .split(|character: char| !character.is_alphabetic())
        .filter(|word| !word.is_empty() && !MODIFIERS.contains(word));
    // What `CREATE TABLE AS` and `SELECT INTO` end in stands somewhere behind.
    let (head, tail) = match command.rsplit_once(' ') {
        Some((head, tail @ ("AS" | "INTO"))) if head != "INSERT" => (head, Some(tail)),
        _ => (command, None),
    };
    head.split(' ').all(|word| words.next() == Some(word))
        && tail.is_none_or(|tail| words.any(|word| word == tail))
}

fn failed(answer: &[Message]) -> bool {
    answer.iter().any(|message| message.tag == b'E')
}

/// The one column of each DataRow.
fn rows(answer: &[Message]) -> Vec<Vec<u8>> {
    answer
        .iter()
        .filter(|message| message.tag == b'D')
        .map(|message| message.body[6..].to_vec())
        .collect()
}
