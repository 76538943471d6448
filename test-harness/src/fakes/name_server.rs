//! A name server that knows one address, which may change, and gives it for every name.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;

/// Queries and answers without EDNS fit in this (RFC 1035, 4.2.1).
const MAX_MESSAGE: usize = 512;
const HEADER: usize = 12;
/// Of a question behind its name: type and class.
const QUESTION_TAIL: usize = 4;
const TYPE_A: [u8; 2] = [0, 1];

/// A name server on 127.0.0.1, for as long as the process runs.
#[derive(Debug)]
pub struct NameServer {
    address: SocketAddr,
    points_to: Arc<Mutex<Ipv4Addr>>,
}

impl NameServer {
    /// Starts it on a free port.
    pub fn start(points_to: Ipv4Addr) -> Self {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("127.0.0.1 has free ports");
        let address = socket.local_addr().expect("it is bound");
        let points_to = Arc::new(Mutex::new(points_to));
        let shared = Arc::clone(&points_to);
        thread::spawn(move || {
            let mut query = [0; MAX_MESSAGE];
            while let Ok((length, from)) = socket.recv_from(&mut query) {
                let address = *shared.lock().expect("no thread panics with it");
                if let Some(answer) = answer(&query[..length], address) {
                    // Who asked may be gone.
                    let _gone = socket.send_to(&answer, from);
                }
            }
        });
        Self { address, points_to }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every name is at this address from now on.
    pub fn point_to(&self, address: Ipv4Addr) {
        *self.points_to.lock().expect("no thread panics with it") = address;
    }
}

/// The answer to a query of one question: the address if it asks for an IPv4 address, else none.
fn answer(query: &[u8], address: Ipv4Addr) -> Option<Vec<u8>> {
    let name = query
        .get(HEADER..)?
        .iter()
        .position(|length| *length == 0)?;
    let question = query.get(HEADER..HEADER + name + 1 + QUESTION_TAIL)?;
    let asks_for_address = question.get(name + 1..name + 3)? == TYPE_A;
    let mut answer = query.get(..2)?.to_vec();
    // A response without error, recursion available; one question, so many answers.
    answer.extend([0x81, 0x80, 0, 1, 0, u8::from(asks_for_address), 0, 0, 0, 0]);
    answer.extend(question);
    if asks_for_address {
        // The name of the question, type A, class IN, a second to live, four bytes.
        answer.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
        answer.extend(address.octets());
    }
    Some(answer)
}
