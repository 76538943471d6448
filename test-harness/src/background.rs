//! What goes on beside a test: each is at work as long as its value lives.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::hosts::Postgres;
use crate::net::Client;

/// A thread that does something again and again.
#[derive(Debug)]
pub struct Again {
    running: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Again {
    /// Runs `step` again and again.
    pub fn and_again(mut step: impl FnMut() + Send + 'static) -> Self {
        let running = Arc::new(AtomicBool::new(true));
        let goes_on = Arc::clone(&running);
        let thread = thread::spawn(move || {
            while goes_on.load(Ordering::Relaxed) {
                step();
            }
        });
        Self {
            running,
            thread: Some(thread),
        }
    }

    /// Sends these queries in turn, with a pause after each.
    pub fn queries(mut client: Client, pause: Duration, queries: &'static [&'static str]) -> Self {
        Self::and_again(move || {
            for query in queries {
                client.query(query);
                thread::sleep(pause);
            }
        })
    }
}

impl Drop for Again {
    fn drop(&mut self) {
        self.running.store(false, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // What went wrong in it has been printed.
            let _ended = thread.join();
        }
    }
}

/// A program that runs until it is no longer needed.
#[derive(Debug)]
pub struct Program(Child);

impl Program {
    /// Starts it; nobody reads what it says.
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Self(command.stderr(Stdio::null()).spawn().expect("it starts"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _killed = self.0.kill();
        let _ended = self.0.wait();
    }
}

/// A process of a server stands still.
#[derive(Debug)]
pub struct Stopped(Pid);

impl Stopped {
    /// The process whose id a query gives.
    #[track_caller]
    pub fn process(server: &Postgres, query: &str) -> Self {
        Self::id(server.sql(query).parse().expect("a process id"))
    }

    /// The process of this id.
    #[track_caller]
    pub fn id(process: u32) -> Self {
        let pid = i32::try_from(process).ok().and_then(Pid::from_raw);
        let pid = pid.expect("the id of a process");
        kill_process(pid, Signal::STOP).expect("it is there");
        Self(pid)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // It may be gone.
        let _continued = kill_process(self.0, Signal::CONT);
    }
}
