//! Makes a real server print every kind of event that can be had from it, to stderr, csvlog and
//! jsonlog at once.

pub mod record;
pub mod sessions;
pub mod situations;

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use test_harness::hosts::{Postgres, Version, wait_for};

/// Says all there is to say, so that stderr can be compared with the other two.
pub const PREFIX: &str = "%m|%p|%a|%u|%d|%r|%b|%i|%c|%l|%s|%v|%x|%P|%Q|";

/// Until the logger has written all.
const LIMIT: Duration = Duration::from_secs(10);

/// The three logs of one server.
pub struct Logs {
    pub version: Version,
    /// Where the server lived.
    pub directory: PathBuf,
    pub stderr: Vec<u8>,
    pub csvlog: Vec<u8>,
    pub jsonlog: Vec<u8>,
}

/// Runs all situations on a server of this version.
#[track_caller]
pub fn run(version: Version) -> Logs {
    let connections = if version == Version::V18 { "all" } else { "on" };
    let server = Postgres::builder(version)
        .authentication("scram-sha-256")
        .setting("logging_collector", "on")
        .setting("log_destination", "stderr,csvlog,jsonlog")
        .setting("log_directory", "log")
        .setting("log_filename", "server.log")
        .setting("log_rotation_age", "0")
        .setting("log_rotation_size", "0")
        .setting("log_line_prefix", PREFIX)
        .setting("log_error_verbosity", "verbose")
        .setting("log_connections", connections)
        .setting("log_disconnections", "on")
        .setting("log_min_duration_statement", "0")
        .setting("log_checkpoints", "on")
        .setting("log_lock_waits", "on")
        .setting("log_replication_commands", "on")
        .setting("deadlock_timeout", "100ms")
        .setting("log_temp_files", "0")
        .setting("log_min_messages", "info")
        .setting("log_autovacuum_min_duration", "0")
        .setting("autovacuum", "on")
        .setting("autovacuum_naptime", "1s")
        .setting("archive_mode", "on")
        .setting("archive_command", "false")
        .setting("compute_query_id", "on")
        .setting("restart_after_crash", "on")
        .start();
    for situation in situations::SITUATIONS {
        psql(&server, situation.sql);
    }
    sessions::run(&server);
    let directory = server.data_directory().join("log");
    let mut server = server;
    server.stop();
    // The logger still writes when the server has gone.
    let read = |name: &str| {
        let path = directory.join(name);
        let whole = || fs::read(&path).ok().filter(|text| has_end(text));
        wait_for(LIMIT, whole).unwrap_or_else(|| panic!("{} has no end", path.display()))
    };
    Logs {
        version,
        directory: server.socket_directory().to_owned(),
        stderr: read("server.log"),
        csvlog: read("server.csv"),
        jsonlog: read("server.json"),
    }
}

/// Whether a log has the last that a server says.
fn has_end(log: &[u8]) -> bool {
    let mut lines = log.rsplit(|byte| *byte == b'\n').take(3);
    lines.any(|line| String::from_utf8_lossy(line).contains("database system is shut down"))
}

/// A psql that goes on after errors. That of 18, since 15's cannot bind parameters.
pub(crate) fn command(server: &Postgres) -> Command {
    let program = Version::V18
        .program("psql")
        .expect("make setup installs it");
    let mut command = Command::new(program);
    command
        .args(["-Xq", "-f", "-"])
        .env("PGHOST", server.socket_directory())
        .env("PGPORT", server.port().to_string())
        .env("PGUSER", "postgres")
        .env("PGDATABASE", "postgres")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Runs SQL; what fails is what is wanted.
pub(crate) fn psql(server: &Postgres, sql: &str) {
    run_with(command(server), sql);
}

pub(crate) fn run_with(mut command: Command, sql: &str) {
    let mut child = command.spawn().expect("psql starts");
    let mut input = child.stdin.take().expect("it has one");
    // A session that is terminated does not read to the end.
    let _ = writeln!(input, "{sql}\n;");
    drop(input);
    child.wait().expect("psql ends");
}
