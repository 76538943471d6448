//! One supervised child process: its log goes to a file, it is stopped when dropped, and the kernel
//! kills it when we die before that.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::places::User;
use super::{HostError, wait_for};

/// How many lines of its log a failed host shows.
const SHOWN_LOG_LINES: usize = 60;

/// What to run and how to end it.
#[derive(Debug)]
pub struct Spec {
    name: String,
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(&'static str, String)>,
    log: PathBuf,
    stop: Signal,
    orphaned: &'static str,
    unprivileged: bool,
}

impl Spec {
    /// Runs `program`, called `name` in messages, with its output in the file `log`.
    pub fn new(name: &str, program: &Path, log: PathBuf) -> Self {
        Self {
            name: name.to_owned(),
            program: program.to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            log,
            stop: Signal::TERM,
            orphaned: "KILL",
            unprivileged: false,
        }
    }

    /// Adds arguments.
    pub fn args<I: IntoIterator<Item: AsRef<OsStr>>>(mut self, arguments: I) -> Self {
        self.arguments.extend(
            arguments
                .into_iter()
                .map(|argument| argument.as_ref().to_owned()),
        );
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: &'static str, value: &str) -> Self {
        self.environment.push((name, value.to_owned()));
        self
    }

    /// The signal that ends it in good order; SIGTERM otherwise.
    pub fn stopped_by(mut self, signal: Signal) -> Self {
        self.stop = signal;
        self
    }

    /// The signal, without `SIG`, that the kernel sends it should we die first; KILL otherwise.
    pub fn orphaned_by(mut self, signal: &'static str) -> Self {
        self.orphaned = signal;
        self
    }

    /// Does not run it as root, even when we are; PostgreSQL insists on that.
    pub fn unprivileged(mut self) -> Self {
        self.unprivileged = true;
        self
    }

    /// `setpriv` changes user and asks for the parent-death signal, then becomes the program.
    fn command(&self) -> Command {
        let user = User::unprivileged();
        let mut command = Command::new("setpriv");
        command.arg(format!("--pdeathsig={}", self.orphaned));
        if self.unprivileged && rustix::process::geteuid().is_root() {
            command
                .arg(format!("--reuid={}", user.uid))
                .arg(format!("--regid={}", user.gid))
                .arg("--clear-groups");
        }
        command.arg("--").arg(&self.program).args(&self.arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).current_dir("/");
        command
    }
}

/// A running child.
#[derive(Debug)]
pub struct Process {
    child: Child,
    spec: Spec,
}

impl Process {
    /// Starts it. Whether it is ready is the caller's question.
    pub fn start(spec: Spec) -> Result<Self, HostError> {
        let failed =
            |error: std::io::Error| HostError::new(format!("cannot start {}: {error}", spec.name));
        let log = File::create(&spec.log).map_err(failed)?;
        let mut command = spec.command();
        command.stdout(log.try_clone().map_err(failed)?).stderr(log);
        let child = spawn_from_lasting_thread(command).map_err(failed)?;
        Ok(Self { child, spec })
    }

    /// The CPU time it has used so far, in user and system mode, over all its threads.
    pub fn cpu_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id())).expect("it runs");
        // proc(5): utime and stime are fields 14 and 15; the second field may hold blanks, and
        // ends with the last parenthesis.
        let (_, fields) = stat.rsplit_once(')').expect("the name is in parentheses");
        let ticks: u64 = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|ticks| ticks.parse::<u64>().expect("ticks are a number"))
            .sum();
        Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    }

    /// The memory it occupies now, in bytes (`VmRSS`).
    pub fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).expect("it runs");
        let kilobytes = status.lines().find_map(|line| {
            line.strip_prefix("VmRSS:")?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        });
        kilobytes.unwrap_or(0_u64) * 1024
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where it logs to.
    pub fn log_file(&self) -> &Path {
        &self.spec.log
    }

    /// All it has written so far.
    pub fn log(&self) -> String {
        let bytes = fs::read(&self.spec.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Its exit status, once it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Waits until `probe` yields; fails when the process ends or `limit` passes before that.
    pub fn wait_until<T>(
        &mut self,
        limit: Duration,
        mut probe: impl FnMut() -> Option<T>,
    ) -> Result<T, HostError> {
        let answer = wait_for(limit, || match probe() {
            Some(found) => Some(Ok(found)),
            None => self.ended().map(Err),
        });
        match answer {
            Some(Ok(found)) => Ok(found),
            Some(Err(status)) => Err(self.failure(&format!("ended with {status}"))),
            None => Err(self.failure(&format!("was not ready after {} s", limit.as_secs()))),
        }
    }

    /// Waits until it has ended; fails unless it says that all went well.
    pub fn wait_to_succeed(&mut self, limit: Duration) -> Result<(), HostError> {
        match wait_for(limit, || self.ended()) {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(self.failure(&format!("ended with {status}"))),
            None => Err(self.failure(&format!("still ran after {} s", limit.as_secs()))),
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.id())
            .ok()
            .and_then(Pid::from_raw)
            .expect("a child has an id");
        // It may have ended already.
        let _ = kill_process(id, signal);
    }

    /// Ends it: the orderly signal first, SIGKILL if it has not ended 10 s later.
    pub fn stop(&mut self) {
        if self.ended().is_some() {
            return;
        }
        self.signal(self.spec.stop);
        if wait_for(Duration::from_secs(10), || self.ended()).is_none() {
            eprintln!("{} did not stop when asked to; killing it", self.spec.name);
            self.kill();
        }
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn failure(&self, what: &str) -> HostError {
        HostError::new(format!("{} {what}; {}", self.spec.name, self.end_of_log()))
    }

    fn end_of_log(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let shown = &lines[lines.len().saturating_sub(SHOWN_LOG_LINES)..];
        format!("the end of its log:\n  {}", shown.join("\n  "))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            eprintln!("{}: {}", self.spec.name, self.end_of_log());
        }
    }
}

/// The parent-death signal comes when the *thread* that spawned ends, and a test's thread ends
/// before hosts that several tests share: so one thread that never ends spawns them all.
fn spawn_from_lasting_thread(command: Command) -> std::io::Result<Child> {
    type Order = (Command, Sender<std::io::Result<Child>>);
    static SPAWNER: OnceLock<Sender<Order>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (orders, received): (Sender<Order>, Receiver<Order>) = channel();
        std::thread::Builder::new()
            .name("spawner".to_owned())
            .spawn(move || {
                for (mut command, answer) in received {
                    let _ = answer.send(command.spawn());
                }
            })
            .expect("a thread can be started");
        orders
    });
    let (answer, answered) = channel();
    spawner
        .send((command, answer))
        .expect("the spawner lives as long as the process");
    answered.recv().expect("the spawner answers every order")
}
