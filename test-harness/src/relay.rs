//! A TCP relay that writes down what passes: put before and behind a proxy, it shows whether the
//! proxy changed a byte.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use pg_wire::Direction;

/// What passed on one connection in the order in which it came: whoever answers has been asked.
pub type Exchange = Vec<(Direction, Vec<u8>)>;

/// What passed on one connection.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Recording {
    /// Bytes from the client.
    pub frontend: Vec<u8>,
    /// Bytes from the server.
    pub backend: Vec<u8>,
}

/// A running relay; it accepts connections until the process ends.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    exchanges: Arc<Mutex<Vec<Arc<Mutex<Exchange>>>>>,
}

impl From<&Exchange> for Recording {
    fn from(exchange: &Exchange) -> Self {
        let mut recording = Self::default();
        for (direction, bytes) in exchange {
            match direction {
                Direction::Frontend => recording.frontend.extend_from_slice(bytes),
                Direction::Backend => recording.backend.extend_from_slice(bytes),
            }
        }
        recording
    }
}

impl Relay {
    /// Passes every connection on to `target` as it comes.
    #[must_use]
    pub fn to(target: SocketAddr) -> Self {
        Self::in_pieces(target, usize::MAX)
    }

    /// Passes every connection on, no more than `piece` bytes to a write.
    #[must_use]
    pub fn in_pieces(target: SocketAddr, piece: usize) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("127.0.0.1 has free ports");
        let address = listener
            .local_addr()
            .expect("a bound listener has an address");
        let exchanges = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&exchanges);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let exchange = Arc::new(Mutex::new(Exchange::new()));
                lock(&shared).push(Arc::clone(&exchange));
                thread::spawn(move || relay(client, target, piece, &exchange));
            }
        });
        Self { address, exchanges }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port it listens on, of 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What has passed so far, by connection, in the order of their content: two relays accept
    /// connections that are opened at once in different orders.
    #[must_use]
    pub fn recordings(&self) -> Vec<Recording> {
        let mut recordings: Vec<Recording> = self.exchanges().iter().map(Recording::from).collect();
        recordings.sort();
        recordings
    }

    /// The same with the order of the bytes of both directions, by connection as accepted.
    #[must_use]
    pub fn exchanges(&self) -> Vec<Exchange> {
        lock(&self.exchanges)
            .iter()
            .map(|one| lock(one).clone())
            .collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn relay(client: TcpStream, target: SocketAddr, piece: usize, exchange: &Arc<Mutex<Exchange>>) {
    let Ok(server) = TcpStream::connect(target) else {
        return;
    };
    for stream in [&client, &server] {
        stream.set_nodelay(true).expect("TCP_NODELAY can be set");
    }
    let clone = |stream: &TcpStream| stream.try_clone().expect("a socket can be shared");
    let (from_server, to_client) = (clone(&server), clone(&client));
    let back = Arc::clone(exchange);
    let answers = thread::spawn(move || {
        copy(from_server, to_client, piece, &back, Direction::Backend);
    });
    copy(client, server, piece, exchange, Direction::Frontend);
    let _ended = answers.join();
}

/// Copies one direction to its end: an end of stream is passed on as such, anything worse closes
/// both ways.
fn copy(
    mut from: TcpStream,
    mut to: TcpStream,
    piece: usize,
    exchange: &Mutex<Exchange>,
    direction: Direction,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let bytes = match from.read(&mut buffer) {
            Ok(0) => {
                let _gone = to.shutdown(Shutdown::Write);
                return;
            }
            Ok(read) => &buffer[..read],
            Err(_) => break,
        };
        lock(exchange).push((direction, bytes.to_vec()));
        if bytes
            .chunks(piece)
            .any(|piece| to.write_all(piece).is_err())
        {
            break;
        }
    }
    for stream in [&from, &to] {
        let _gone = stream.shutdown(Shutdown::Both);
    }
}
