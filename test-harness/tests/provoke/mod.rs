//! Makes a real server print every kind of event that can be had from it, to stderr, csvlog and
//! jsonlog at once.

pub mod aged;
pub mod clients;
pub mod faults;
pub mod languages;
pub mod record;
pub mod replicas;
pub mod sessions;
pub mod situations;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use test_harness::hosts::postgres::Builder;
use test_harness::hosts::process::{Process, Spec};
use test_harness::hosts::{Postgres, Version, wait_for};

/// Says all there is to say, so that stderr can be compared with the other two.
pub const PREFIX: &str = "%m|%p|%a|%u|%d|%r|%b|%i|%c|%l|%s|%v|%x|%P|%Q|";

/// Until the logger has written all.
const LIMIT: Duration = Duration::from_secs(10);

/// Connections the server has room for.
const CONNECTIONS: usize = 24;

/// What servers of one version logged.
pub struct Logs {
    pub version: Version,
    /// Where they lived.
    pub directories: Vec<PathBuf>,
    /// What each said in all formats: the primary first.
    pub servers: Vec<Formats>,
    /// What was said to stderr alone, before there was a logger.
    pub early: Vec<u8>,
}

/// One log in all formats.
pub struct Formats {
    pub stderr: Vec<u8>,
    pub csvlog: Vec<u8>,
    pub jsonlog: Vec<u8>,
}

impl Formats {
    /// Stops a server and reads what it has written to a directory.
    fn of(server: &mut Postgres, directory: &str) -> Self {
        server.stop();
        // The logger still writes when the server has gone.
        let read = |name: &str| {
            let path = server.data_directory().join(directory).join(name);
            let whole = || fs::read(&path).ok().filter(|text| has_end(text));
            wait_for(LIMIT, whole).unwrap_or_else(|| panic!("{} has no end", path.display()))
        };
        Self {
            stderr: read("server.log"),
            csvlog: read("server.csv"),
            jsonlog: read("server.json"),
        }
    }
}

/// A server that says all there is to say, in three formats, and maybe in another language.
fn builder(version: Version, language: Option<&'static str>) -> Builder {
    let connections = if version == Version::V18 { "all" } else { "on" };
    Postgres::builder(version)
        .languages(language.as_slice())
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
        .setting("max_connections", &CONNECTIONS.to_string())
        .setting("archive_mode", "on")
        .setting("archive_command", "false")
        .setting("compute_query_id", "on")
        .setting("restart_after_crash", "on")
        // A standby can be copied, too.
        .setting("full_page_writes", "on")
        // One of them is nobody's.
        .setting("listen_addresses", "127.0.0.1,192.0.2.1")
}

/// Runs all situations on servers of this version, which speak this language.
#[track_caller]
pub fn run(version: Version, language: Option<&'static str>) -> Logs {
    let mut early = Vec::new();
    let mut servers = thread::scope(|scope| {
        let aged = scope.spawn(move || aged::run(version, language));
        let unusable = scope.spawn(move || unusable(version, language));
        let mut builder = builder(version, language);
        if version == Version::V15 {
            builder = builder.tls();
        }
        let server = builder.start();
        let standbys = suffer(&server);
        let aged = aged.join().expect("it grows old");
        early.push(unusable.join().expect("it does not start"));
        let [first, second] = standbys;
        [
            (server, "log"),
            (second, "second"),
            (first, "first"),
            (aged, "log"),
        ]
    });
    let (server, _) = &servers[0];
    early.extend([server.log(), start_in_vain(server)]);
    let early = early.concat().into_bytes();
    sessions::shut_the_door(server);
    let places = servers.iter().map(|(server, _)| server.socket_directory());
    let directories = places.map(Path::to_owned).collect();
    let read = |(server, directory): &mut (Postgres, &str)| Formats::of(server, directory);
    Logs {
        version,
        directories,
        servers: servers.iter_mut().map(read).collect(),
        early,
    }
}

/// What a server of 15 that speaks this language logs of what SQL alone can cause.
pub fn run_sql(language: Option<&'static str>) -> Formats {
    let mut server = builder(Version::V15, language).start();
    for situation in situations::SITUATIONS {
        psql(&server, situation.sql);
    }
    Formats::of(&mut server, "log")
}

/// All that one server can show, and its standbys.
fn suffer(server: &Postgres) -> [Postgres; 2] {
    for situation in situations::SITUATIONS {
        psql(server, situation.sql);
    }
    sessions::run(server);
    clients::run(server);
    faults::run(server);
    let standbys = replicas::run(server);
    faults::damage(server);
    sessions::crash(server, Signal::KILL);
    sessions::crash(server, Signal::QUIT);
    faults::read_damaged(server);
    faults::orphan_goes(server);
    standbys
}

/// What a server says that does not start on the data directory of another: which runs, or which has ended
/// and left something amiss.
fn start_in_vain(server: &Postgres) -> String {
    let log = server.socket_directory().join("in-vain.log");
    let program = server.version().program("postgres").expect("installed");
    let spec = Spec::new("a second server", &program, log)
        .unprivileged()
        .args(["-D".as_ref(), server.data_directory().as_os_str()]);
    let mut second = Process::start(spec).expect("it starts");
    let ended = wait_for(LIMIT, || second.ended());
    ended.expect("it cannot go on");
    second.log()
}

/// What is said of data directories that cannot be used: open to everybody, of another version, without WAL.
fn unusable(version: Version, language: Option<&'static str>) -> String {
    let mut server = builder(version, language)
        .setting("logging_collector", "off")
        .start();
    server.stop();
    let data = server.data_directory();
    let open_to = |mode: u32| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(&data, mode).expect("it is ours");
    };
    open_to(0o755);
    let open = start_in_vain(&server);
    open_to(0o700);
    let mark = data.join("PG_VERSION");
    let own = fs::read(&mark).expect("it is there");
    fs::write(&mark, "9.6\n").expect("written");
    let other = start_in_vain(&server);
    fs::write(&mark, own).expect("written");
    for file in fs::read_dir(data.join("pg_wal")).expect("it is there") {
        let path = file.expect("read").path();
        if path.is_file() {
            fs::remove_file(path).expect("it was there");
        }
    }
    let all = [open, other, start_in_vain(&server)].concat();
    all.replace(&*server.socket_directory().to_string_lossy(), "/data")
}

/// Changes a setting of a running server.
pub(crate) fn set(server: &Postgres, setting: &str) {
    psql(
        server,
        &format!("ALTER SYSTEM SET {setting}; SELECT pg_reload_conf(); SELECT pg_sleep(0.15)"),
    );
}

/// Takes a change back.
pub(crate) fn reset(server: &Postgres, name: &str) {
    psql(
        server,
        &format!("ALTER SYSTEM RESET {name}; SELECT pg_reload_conf(); SELECT pg_sleep(0.15)"),
    );
}

/// Whether a log has the last that a server says, in any language: where it says it stands below.
fn has_end(log: &[u8]) -> bool {
    let mut lines = log.rsplit(|byte| *byte == b'\n').take(3);
    lines.any(|line| String::from_utf8_lossy(line).contains("UnlinkLockFiles"))
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
