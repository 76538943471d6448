//! Holds the conversations of `plugins/common/pg-wire/tests/fixtures/scripts.txt` with real servers
//! and writes down, beside it, every byte of both sides and what the server counted meanwhile.
//!
//! A recording holds `> bytes` and `< bytes`, a line for what was sent or received at once, and
//! `= name number` for the server's own counters. Secrets are written over, lengths kept.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use test_harness::hosts::postgres::output_of;
use test_harness::hosts::{Postgres, Version};

/// What a server is given before the first conversation.
const SET_UP: &str = "
    create role with_password login password 'dummy';
    create role app login;
    create table published (a int);
    create publication recorder for table published;
    create procedure commits_twice() language plpgsql
        as $$ begin perform 1; commit; perform 2; commit; end $$;
";
const PATIENCE: Duration = Duration::from_secs(10);
/// Stands where a secret key stood.
const SCRUBBED: u8 = b'k';

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let fixtures =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/common/pg-wire/tests/fixtures");
    let scripts = fs::read_to_string(fixtures.join("scripts.txt"))?;
    let wanted = std::env::args().nth(1).unwrap_or_default();
    for version in Version::ALL {
        let server = start(version)?;
        let directory = fixtures.join(version.number().to_string());
        fs::create_dir_all(&directory)?;
        for script in scripts
            .split("\n# ")
            .skip(1)
            .filter(|script| script.contains(&wanted))
        {
            let (name, steps) = script.split_once('\n').ok_or("a script without steps")?;
            let (name, only) = name
                .strip_suffix(')')
                .and_then(|name| name.split_once(" ("))
                .unwrap_or((name, ""));
            if !only.is_empty() && only != version.number().to_string() {
                continue;
            }
            let recording = Recorder::new(&server)
                .record(steps)
                .map_err(|error| format!("PostgreSQL {}, {name}: {error}", version.number()))?;
            fs::write(file_of(&directory, name), recording)?;
        }
        println!("PostgreSQL {}: recorded", version.number());
    }
    Ok(())
}

fn file_of(directory: &Path, name: &str) -> PathBuf {
    directory
        .join(name.replace(", ", " ").replace([' ', '.'], "-"))
        .with_extension("txt")
}

fn start(version: Version) -> Result<Postgres> {
    let server = Postgres::builder(version)
        .preload("pg_stat_statements")
        .setting("pg_stat_statements.track_utility", "on")
        .setting("max_prepared_transactions", "4")
        .setting("wal_sender_timeout", "2s")
        .try_start()
        .map_err(|error| error.to_string())?;
    let hba = server.data_directory().join("pg_hba.conf");
    let rules = fs::read_to_string(&hba)?;
    fs::write(
        &hba,
        format!("host all with_password all password\n{rules}"),
    )?;
    server.reload();
    server.sql("create extension pg_stat_statements");
    server.sql("create database app");
    in_app(&server, SET_UP);
    Ok(server)
}

/// Runs SQL in the database of the conversations.
fn in_app(server: &Postgres, sql: &str) -> String {
    let mut psql = server.client("psql");
    psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", "app", "-c", sql]);
    String::from_utf8_lossy(&output_of(&mut psql).stdout)
        .trim()
        .to_owned()
}

/// One conversation.
struct Recorder<'a> {
    server: &'a Postgres,
    stream: Option<TcpStream>,
    /// To be sent at the next wait.
    unsent: Vec<u8>,
    /// Received, and not yet taken by a wait.
    unread: Vec<u8>,
    recording: String,
    process_id: u32,
    secret_key: Vec<u8>,
}

impl<'a> Recorder<'a> {
    fn new(server: &'a Postgres) -> Self {
        Self {
            server,
            stream: None,
            unsent: Vec::new(),
            unread: Vec::new(),
            recording: String::new(),
            process_id: 0,
            secret_key: Vec::new(),
        }
    }

    fn record(mut self, steps: &str) -> Result<String> {
        let before = self.reset_counters();
        let stream = TcpStream::connect(self.server.address())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        self.stream = Some(stream);
        for step in steps.lines().filter(|line| !line.is_empty()) {
            self.step(step)
                .map_err(|error| format!("{step}: {error}"))?;
        }
        self.flush()?;
        self.stream = None;
        self.write_counters(before)?;
        Ok(self.recording)
    }

    fn step(&mut self, step: &str) -> Result<()> {
        let (word, rest) = step.split_once(' ').unwrap_or((step, ""));
        match word {
            "wait" => return self.wait(rest),
            "byte" => return self.wait_for(|unread| (!unread.is_empty()).then_some(1)),
            "cancel" => {
                self.flush()?;
                sleep(Duration::from_millis(200));
                let mut packet = (12 + self.secret_key.len() as u32).to_be_bytes().to_vec();
                packet.extend(80_877_102_u32.to_be_bytes());
                packet.extend(self.process_id.to_be_bytes());
                packet.extend(&self.secret_key);
                TcpStream::connect(self.server.address())?.write_all(&packet)?;
            }
            "terminate" => {
                self.flush()?;
                sleep(Duration::from_millis(200));
                self.server
                    .sql(&format!("select pg_terminate_backend({})", self.process_id));
            }
            "sql" => {
                in_app(self.server, rest);
            }
            "start" => {
                let user = if rest.contains("user=") {
                    ""
                } else {
                    "user=postgres "
                };
                let database = if rest.contains("database=") || rest.contains("replication=true") {
                    ""
                } else {
                    "database=app "
                };
                self.unsent
                    .extend(startup(&format!("3.0 {user}{database}{rest}"))?);
            }
            "startup" => self.unsent.extend(startup(rest)?),
            "ssl" => self.unsent.extend([0, 0, 0, 8, 4, 210, 22, 47]),
            "gss" => self.unsent.extend([0, 0, 0, 8, 4, 210, 22, 48]),
            "raw" => self.unsent.extend(unescape(rest)),
            tag => {
                let lsn = || self.server.sql("select pg_current_wal_flush_lsn()");
                let rest = if rest.contains("{lsn}") {
                    rest.replace("{lsn}", &lsn())
                } else {
                    rest.to_owned()
                };
                self.unsent.extend(message(tag, &rest)?);
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let unsent = std::mem::take(&mut self.unsent);
        if !unsent.is_empty() {
            self.stream.as_mut().ok_or("closed")?.write_all(&unsent)?;
            writeln!(self.recording, "> {}", escape(&unsent))?;
        }
        Ok(())
    }

    fn wait(&mut self, what: &str) -> Result<()> {
        if what == "close" {
            return self.wait_for_end();
        }
        let (tag, count) = what.split_once(' ').unwrap_or((what, "1"));
        let (tag, count) = (tag.as_bytes()[0], count.parse::<usize>()?);
        self.wait_for(|unread| {
            let ends = ends_of(unread, tag);
            ends.get(count - 1).copied()
        })
    }

    /// Receives until `enough` says how many bytes were waited for.
    fn wait_for(&mut self, enough: impl Fn(&[u8]) -> Option<usize>) -> Result<()> {
        self.flush()?;
        loop {
            if let Some(count) = enough(&self.unread) {
                let read = self.unread.drain(..count).collect::<Vec<_>>();
                return self.received(read);
            }
            if self.receive()? == 0 {
                let left = escape(&self.unread);
                return Err(format!("the server closed after {left}").into());
            }
        }
    }

    fn wait_for_end(&mut self) -> Result<()> {
        self.flush()?;
        while self.receive()? > 0 {}
        let read = std::mem::take(&mut self.unread);
        self.received(read)
    }

    fn receive(&mut self) -> Result<usize> {
        let mut buffer = [0; 65536];
        let read = match self.stream.as_mut().ok_or("closed")?.read(&mut buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
            Err(error) => return Err(format!("{error}, after {}", escape(&self.unread)).into()),
        };
        self.unread.extend(&buffer[..read]);
        Ok(read)
    }

    fn received(&mut self, mut read: Vec<u8>) -> Result<()> {
        if let Some(&end) = ends_of(&read, b'K').first() {
            let start = read.windows(1).take(end).rposition(|tag| tag == b"K");
            let key = starts_of_key(&read, end).or(start).ok_or("no key")?;
            self.process_id = u32::from_be_bytes(read[key + 5..key + 9].try_into()?);
            self.secret_key = read[key + 9..end].to_vec();
            read[key + 9..end].fill(SCRUBBED);
        }
        if !read.is_empty() {
            writeln!(self.recording, "< {}", escape(&read))?;
        }
        Ok(())
    }

    /// Transactions of the database so far, after emptying pg_stat_statements.
    fn reset_counters(&self) -> (u64, u64) {
        self.wait_for_sessions_to_end();
        self.server.sql("select pg_stat_statements_reset()");
        self.transactions()
    }

    fn transactions(&self) -> (u64, u64) {
        let counted = self.server.sql(
            "select xact_commit || ' ' || xact_rollback from pg_stat_database where datname = 'app'",
        );
        let (commits, rollbacks) = counted.split_once(' ').unwrap_or_default();
        (commits.parse().unwrap_or(0), rollbacks.parse().unwrap_or(0))
    }

    fn wait_for_sessions_to_end(&self) {
        let others = "select count(*) from pg_stat_activity where pid <> pg_backend_pid() \
                      and backend_type in ('client backend', 'walsender')";
        let started = Instant::now();
        while self.server.sql(others) != "0" && started.elapsed() < PATIENCE {
            sleep(Duration::from_millis(20));
        }
    }

    /// Waits for the session's end, when it hands its counters in, and writes them down.
    fn write_counters(&mut self, before: (u64, u64)) -> Result<()> {
        self.wait_for_sessions_to_end();
        let after = self.transactions();
        writeln!(self.recording, "= xact_commit {}", after.0 - before.0)?;
        writeln!(self.recording, "= xact_rollback {}", after.1 - before.1)?;
        let statements = self.server.sql(
            "select coalesce(sum(calls), 0) || ' ' || coalesce(sum(rows), 0) from pg_stat_statements \
             join pg_database on dbid = pg_database.oid where datname = 'app'",
        );
        let (calls, rows) = statements.split_once(' ').ok_or("no statements")?;
        writeln!(self.recording, "= calls {calls}\n= rows {rows}")?;
        Ok(())
    }
}

/// Where each whole message with this tag ends, as long as `bytes` begins with a message.
fn ends_of(bytes: &[u8], tag: u8) -> Vec<usize> {
    messages(bytes)
        .filter(|(start, _)| bytes[*start] == tag)
        .map(|(_, end)| end)
        .collect()
}

fn starts_of_key(bytes: &[u8], end: usize) -> Option<usize> {
    messages(bytes)
        .find(|(_, ends)| *ends == end)
        .map(|(start, _)| start)
}

/// Start and end of each whole message.
fn messages(bytes: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let length = u32::from_be_bytes(bytes.get(at + 1..at + 5)?.try_into().ok()?) as usize;
        let (start, end) = (at, at + 1 + length);
        at = end;
        (end <= bytes.len()).then_some((start, end))
    })
}

fn startup(text: &str) -> Result<Vec<u8>> {
    let mut words = text.split(' ').filter(|word| !word.is_empty()).peekable();
    let version = words.next().ok_or("no version")?;
    let (major, minor) = version.split_once('.').ok_or("no minor version")?;
    let mut body = major.parse::<u16>()?.to_be_bytes().to_vec();
    body.extend(minor.parse::<u16>()?.to_be_bytes());
    while let Some(word) = words.next() {
        let mut word = word.to_owned();
        while word.ends_with('\\') {
            word.pop();
            word = format!("{word} {}", words.next().unwrap_or_default());
        }
        let (name, value) = word.split_once('=').ok_or("no value")?;
        body.extend([name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
    }
    body.push(0);
    Ok([&(body.len() as u32 + 4).to_be_bytes()[..], &body].concat())
}

/// A message of the client's, by its tag.
fn message(tag: &str, text: &str) -> Result<Vec<u8>> {
    let parts: Vec<&str> = text.split('|').collect();
    let part = |index: usize| parts.get(index).copied().unwrap_or_default();
    let mut body = Vec::new();
    match tag {
        "Q" => body = [text.as_bytes(), b"\0"].concat(),
        "P" => {
            let (name, sql) = text.split_once('|').ok_or("no text")?;
            body = [name.as_bytes(), b"\0", sql.as_bytes(), b"\0\0\0"].concat();
        }
        "B" => {
            body = [part(0).as_bytes(), b"\0", part(1).as_bytes(), b"\0\0\0"].concat();
            let parameters: Vec<&str> = parts
                .iter()
                .skip(2)
                .copied()
                .filter(|p| !p.is_empty())
                .collect();
            body.extend((parameters.len() as u16).to_be_bytes());
            for parameter in parameters {
                body.extend((parameter.len() as u32).to_be_bytes());
                body.extend(parameter.as_bytes());
            }
            body.extend([0, 0]);
        }
        "E" => {
            let (portal, limit) = text.split_once('|').unwrap_or(("", text));
            body = [portal.as_bytes(), b"\0"].concat();
            body.extend(limit.parse::<u32>()?.to_be_bytes());
        }
        "C" | "D" => {
            let (kind, name) = text.split_once(' ').ok_or("no kind")?;
            body = [kind.as_bytes(), name.as_bytes(), b"\0"].concat();
        }
        "F" => {
            body = text.parse::<u32>()?.to_be_bytes().to_vec();
            body.extend([0, 0, 0, 0, 0, 0]);
        }
        "p" | "f" => body = [text.as_bytes(), b"\0"].concat(),
        "d" => body = unescape(text),
        "S" | "H" | "X" | "c" => {}
        _ => return Err("no such step".into()),
    }
    Ok([
        tag.as_bytes(),
        &(body.len() as u32 + 4).to_be_bytes(),
        &body,
    ]
    .concat())
}

fn escape(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        match byte {
            0 => text.push_str("\\0"),
            b'\n' => text.push_str("\\n"),
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => {
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
        text
    })
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next() {
                Some(b'n') => b'\n',
                Some(b'0') => 0,
                Some(b'x') => {
                    let digits = [rest.next().unwrap_or(b'0'), rest.next().unwrap_or(b'0')];
                    u8::from_str_radix(&String::from_utf8_lossy(&digits), 16).unwrap_or(0)
                }
                other => other.unwrap_or(b'\\'),
            },
            byte => byte,
        });
    }
    bytes
}
