//! Runs every `.sql` file of a folder on real servers of every version and compares what
//! `pg_stat_statements` remembers of each statement with `pg_sql::normalize`.
//!
//! `make oracle SQL=<folder>` runs it behind libpg_query's judgement. The files are run the way psql would,
//! one session each, all in one database, so that each statement meets the tables of those before it; what
//! a server refuses is counted and judges nothing.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use pg_sql::{LexerOptions, ServerVersion, normalize_with, split};
use test_harness::hosts::{Postgres, Version};
use test_harness::net::client::Message;
use test_harness::net::{Client, messages};

/// Differences shown for each server.
const SHOWN: usize = 40;
/// Of a thousand statements that a server records, so many must be equal.
const REQUIRED: usize = 999;
/// Runs before all others where a folder has it, as in PostgreSQL's own suite.
const FIRST: &str = "test_setup.sql";

fn main() -> ExitCode {
    let Some(folder) = std::env::args().nth(1) else {
        eprintln!("usage: normalize <folder of .sql files>");
        return ExitCode::FAILURE;
    };
    let mut files = match sql_files(Path::new(&folder)) {
        Ok(files) => files,
        Err(error) => {
            eprintln!("{folder}: {error}");
            return ExitCode::FAILURE;
        }
    };
    files.sort_by_key(|file| (!file.ends_with(FIRST), file.clone()));
    let mut enough = true;
    for (version, rules) in [
        (Version::V15, ServerVersion::V15),
        (Version::V18, ServerVersion::V18),
    ] {
        let mut judged = Judged::default();
        let server = Server::start(version);
        for file in &files {
            let text = std::fs::read(file).unwrap_or_default();
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            server.run(&String::from_utf8_lossy(&text), |text, options, seen| {
                let made = normalize_with(text.as_bytes(), rules, options);
                judged.take(&name, text, seen, &made);
            });
        }
        judged.print(version);
        enough &= judged.is_enough();
    }
    if enough {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Every `.sql` file under a folder.
fn sql_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(sql_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "sql") {
            files.push(path);
        }
    }
    Ok(files)
}

#[derive(Default)]
struct Judged {
    sent: usize,
    recorded: usize,
    wrong: Vec<String>,
}

impl Judged {
    /// `seen` is None where the server has no line that is this statement's.
    fn take(&mut self, file: &str, text: &str, seen: Option<&[u8]>, made: &[u8]) {
        self.sent += 1;
        let Some(seen) = seen else { return };
        self.recorded += 1;
        if seen != made {
            let [seen, made] = [seen, made].map(String::from_utf8_lossy);
            self.wrong
                .push(format!("{file}: {text}\n  seen: {seen}\n  made: {made}"));
        }
    }

    fn is_enough(&self) -> bool {
        let equal = self.recorded - self.wrong.len();
        self.recorded > 0 && equal * 1000 >= self.recorded * REQUIRED
    }

    fn print(&self, version: Version) {
        let equal = self.recorded - self.wrong.len();
        println!(
            "normalize, PostgreSQL {}: {} statements sent, {} recorded, {equal} equal ({:.3} %)",
            version.number(),
            self.sent,
            self.recorded,
            equal as f64 * 100.0 / self.recorded.max(1) as f64
        );
        let shown = self.wrong.iter().take(SHOWN);
        shown.for_each(|wrong| println!("differs: {wrong}"));
    }
}

struct Server {
    server: Postgres,
}

impl Server {
    fn start(version: Version) -> Self {
        let server = Postgres::builder(version)
            .preload("pg_stat_statements")
            .setting("max_prepared_transactions", "5")
            .setting("statement_timeout", "10s")
            .setting("log_min_messages", "panic")
            .start();
        server.sql("CREATE EXTENSION pg_stat_statements");
        Self { server }
    }

    /// Hands each statement of a file to `judge`, with the settings of the session it ran in.
    fn run(&self, file: &str, mut judge: impl FnMut(&str, &LexerOptions, Option<&[u8]>)) {
        let mut control = Client::session(self.server.address(), "postgres");
        control.query("SET pg_stat_statements.track = 'none'");
        let mut session = Session::start(&self.server);
        for text in statements(file) {
            control.query("SELECT pg_stat_statements_reset()");
            let options = session.options;
            let outcome = session.run(&text);
            let lines = lines(&mut control);
            let seen = match (outcome, lines.as_slice()) {
                (Outcome::Done, [line]) if !is_execute(&text) => Some(line.as_slice()),
                _ => None,
            };
            judge(&text, &options, seen);
            if outcome == Outcome::Lost {
                session = Session::start(&self.server);
            }
        }
    }
}

/// What is counted as what was prepared.
fn is_execute(text: &str) -> bool {
    pg_sql::Operation::from_text(text.as_bytes()).as_str() == "EXECUTE"
}

/// What the server remembers.
fn lines(control: &mut Client) -> Vec<Vec<u8>> {
    let answer = control.query("SELECT query FROM pg_stat_statements WHERE toplevel");
    let rows = answer.iter().filter(|message| message.tag == b'D');
    rows.map(|row| row.body[6..].to_vec()).collect()
}

#[derive(Clone, Copy, PartialEq)]
enum Outcome {
    Done,
    Failed,
    /// The server has ended the session.
    Lost,
}

/// The session of a file, and what it has set of what decides how a text is read.
struct Session {
    client: Client,
    options: LexerOptions,
}

impl Session {
    fn start(server: &Postgres) -> Self {
        Self {
            client: Client::session(server.address(), "postgres"),
            options: LexerOptions::default(),
        }
    }

    fn run(&mut self, text: &str) -> Outcome {
        self.client.send(&messages::query(text));
        let mut outcome = Outcome::Done;
        loop {
            let Some(message) = self.client.next_message() else {
                return Outcome::Lost;
            };
            match message.tag {
                b'E' => outcome = Outcome::Failed,
                // COPY FROM STDIN: no data.
                b'G' => self.client.send(&[b'c', 0, 0, 0, 4]),
                b'S' => self.set(&message),
                b'Z' => return outcome,
                _ => {}
            }
        }
    }

    /// What the server says of its parameters.
    fn set(&mut self, message: &Message) {
        if let Some(value) = message.body.strip_prefix(b"standard_conforming_strings\0") {
            self.options.standard_conforming_strings = value.starts_with(b"on");
        }
    }
}

/// The statements of a file: psql's own commands and the data of COPY FROM STDIN are left out.
fn statements(file: &str) -> Vec<String> {
    let mut kept = String::new();
    let mut in_data = false;
    for line in file.lines() {
        if in_data {
            in_data = line != "\\.";
            continue;
        }
        if line.starts_with('\\') {
            continue;
        }
        // `\gset` and the like end a statement as `;` does.
        let (sql, ends) = match line.find(" \\g") {
            Some(at) => (&line[..at], ";"),
            None => (line, ""),
        };
        kept.push_str(sql);
        kept.push_str(ends);
        kept.push('\n');
        let lower = sql.to_ascii_lowercase();
        in_data = lower.contains("copy ") && lower.contains("from stdin") && lower.ends_with(';');
    }
    let ranges = split(kept.as_bytes(), &LexerOptions::default());
    let texts = ranges.into_iter().filter_map(|range| kept.get(range));
    texts.map(str::to_owned).collect()
}
