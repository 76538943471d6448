//! A TCP relay that hashes what passes: one before a proxy and one behind it tell whether the
//! proxy changed a byte.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use sha2::{Digest, Sha256};

use crate::hosts::wait_for;

/// How long connections have to end after their clients are gone.
const PATIENCE: Duration = Duration::from_secs(20);

/// What went one way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Passed {
    /// The number of bytes.
    pub bytes: u64,
    /// SHA-256 over all of them.
    pub sha256: [u8; 32],
}

/// What went through one connection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Connection {
    /// From the one who connected.
    pub from_client: Passed,
    /// From the one it was relayed to.
    pub from_server: Passed,
}

#[derive(Debug, Default)]
struct Ledger {
    accepted: AtomicUsize,
    ended: Mutex<Vec<Connection>>,
}

/// A relay. It serves until the process ends.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    ledger: Arc<Ledger>,
}

impl Relay {
    /// Starts one that passes every connection on to `server`, on a free port of 127.0.0.1.
    #[track_caller]
    pub fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("127.0.0.1 has free ports");
        let address = listener.local_addr().expect("it is bound");
        let ledger = Arc::new(Ledger::default());
        let kept = Arc::clone(&ledger);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                kept.accepted.fetch_add(1, Ordering::SeqCst);
                let ledger = Arc::clone(&kept);
                std::thread::spawn(move || {
                    let connection = relay(client, server);
                    ledger
                        .ended
                        .lock()
                        .expect("nobody panics with it")
                        .push(connection);
                });
            }
        });
        Self { address, ledger }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until every connection so far has ended, and tells what went through each, in an
    /// order that depends on the bytes alone.
    #[track_caller]
    pub fn connections(&self) -> Vec<Connection> {
        let all_ended = wait_for(PATIENCE, || {
            let ended = self.ledger.ended.lock().expect("nobody panics with it");
            (ended.len() == self.ledger.accepted.load(Ordering::SeqCst)).then(|| ended.clone())
        });
        let mut connections = all_ended.expect("the connections end when their clients are gone");
        connections.sort();
        connections
    }
}

fn relay(client: TcpStream, server: SocketAddr) -> Connection {
    let Ok(server) = TcpStream::connect(server) else {
        let nothing = Passed {
            bytes: 0,
            sha256: Sha256::digest(b"").into(),
        };
        return Connection {
            from_client: nothing.clone(),
            from_server: nothing,
        };
    };
    std::thread::scope(|scope| {
        let from_client = scope.spawn(|| pass(&client, &server));
        let from_server = pass(&server, &client);
        let from_client = from_client.join().expect("passing does not panic");
        Connection {
            from_client,
            from_server,
        }
    })
}

/// Passes bytes on until their source ends, and then the end; a reset as a reset.
fn pass(mut from: &TcpStream, mut to: &TcpStream) -> Passed {
    let _ = to.set_nodelay(true);
    let mut hash = Sha256::new();
    let mut bytes = 0;
    let mut buffer = vec![0; 65_536];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => {
                let _ = to.shutdown(Shutdown::Write);
                break;
            }
            Ok(size) => {
                hash.update(&buffer[..size]);
                bytes += size as u64;
                if to.write_all(&buffer[..size]).is_err() {
                    let _ = from.shutdown(Shutdown::Both);
                    break;
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => {
                let _ = set_socket_linger(to, Some(Duration::ZERO));
                let _ = to.shutdown(Shutdown::Both);
                break;
            }
        }
    }
    Passed {
        bytes,
        sha256: hash.finalize().into(),
    }
}
