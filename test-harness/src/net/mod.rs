//! Plain TCP around the hosts: a client that speaks PostgreSQL's protocol by hand.

pub mod client;
pub mod messages;

pub use client::Client;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lets this process, and the hosts it starts from now on, open this many files. Panics, saying
/// what to do, when the machine does not allow it.
#[track_caller]
pub fn allow_open_files(count: u64) {
    let now = getrlimit(Resource::Nofile);
    if now.current.is_none_or(|current| current >= count) {
        return;
    }
    let maximum = now.maximum.map(|maximum| maximum.max(count));
    let raised = Rlimit {
        current: Some(count),
        maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        panic!("{count} open files are needed, and not allowed ({error}): run `ulimit -n {count}`");
    }
}
