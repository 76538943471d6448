//! A PostgreSQL client that sends exactly the bytes it is told to, in the pieces it is told to.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;

use super::messages;

/// No answer for so long is a failure.
const PATIENCE: Duration = Duration::from_secs(30);

/// A message of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its tag.
    pub tag: u8,
    /// What follows its length.
    pub body: Vec<u8>,
}

/// A connection to a server, or to a proxy before one.
#[derive(Debug)]
pub struct Client(TcpStream);

impl Client {
    /// Opens the connection; nothing is sent.
    #[track_caller]
    pub fn connect(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server)
            .unwrap_or_else(|error| panic!("cannot connect to {server}: {error}"));
        stream.set_nodelay(true).expect("TCP has it");
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        Self(stream)
    }

    /// Opens a session as `postgres` without a password, and waits until it is ready.
    #[track_caller]
    pub fn session(server: SocketAddr, database: &str) -> Self {
        let mut client = Self::connect(server);
        let parameters = [("user", "postgres"), ("database", database)];
        client.send(&messages::startup(messages::PROTOCOL_3_0, &parameters));
        client.read_until_ready();
        client
    }

    /// Sends bytes in one piece.
    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        self.0
            .write_all(bytes)
            .expect("the other side takes the bytes");
    }

    /// Sends bytes in pieces of `size`, each a TCP segment of its own.
    #[track_caller]
    pub fn send_in_pieces(&mut self, bytes: &[u8], size: usize) {
        for piece in bytes.chunks(size) {
            self.send(piece);
        }
    }

    /// The same, where the other side may end the connection meanwhile.
    pub fn try_send_in_pieces(&mut self, bytes: &[u8], size: usize) {
        for piece in bytes.chunks(size) {
            if self.0.write_all(piece).is_err() {
                return;
            }
        }
    }

    /// Waits no longer than this for what is read.
    pub fn patience(&mut self, limit: Duration) {
        self.0.set_read_timeout(Some(limit)).expect("not zero");
    }

    /// Reads the one untagged byte that answers an SSLRequest or GSSENCRequest.
    #[track_caller]
    pub fn read_byte(&mut self) -> u8 {
        let mut byte = [0];
        self.0.read_exact(&mut byte).expect("the server answers");
        byte[0]
    }

    /// Reads the next message.
    #[track_caller]
    pub fn read_message(&mut self) -> Message {
        let mut header = [0; 5];
        self.0
            .read_exact(&mut header)
            .expect("the server sends a message");
        let [tag, length @ ..] = header;
        let size = u32::from_be_bytes(length)
            .checked_sub(4)
            .expect("a length counts itself");
        let mut body = vec![0; size as usize];
        self.0.read_exact(&mut body).expect("the message is whole");
        Message { tag, body }
    }

    /// Reads the next message, or `None` where the other side has ended the connection.
    #[track_caller]
    pub fn next_message(&mut self) -> Option<Message> {
        let mut header = [0; 5];
        self.0.read_exact(&mut header).ok()?;
        let [tag, length @ ..] = header;
        let size = u32::from_be_bytes(length).checked_sub(4)?;
        let mut body = vec![0; size as usize];
        self.0.read_exact(&mut body).ok()?;
        Some(Message { tag, body })
    }

    /// Reads up to and with the next ReadyForQuery.
    #[track_caller]
    pub fn read_until_ready(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        loop {
            let message = self.read_message();
            let ready = message.tag == b'Z';
            messages.push(message);
            if ready {
                return messages;
            }
        }
    }

    /// Sends a Query and reads its whole answer.
    #[track_caller]
    pub fn query(&mut self, sql: &str) -> Vec<Message> {
        self.send(&messages::query(sql));
        self.read_until_ready()
    }

    /// Reads until the other side ends the connection. A reset is an end too.
    #[track_caller]
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.0.read_to_end(&mut bytes) {
            Ok(_) => bytes,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => bytes,
            Err(error) => panic!("the connection did not end: {error}"),
        }
    }

    /// Says that no more will be sent, and goes on reading. The other side may have reset the connection by then.
    #[track_caller]
    pub fn half_close(&mut self) {
        match self.0.shutdown(Shutdown::Write) {
            Err(error) if error.kind() == ErrorKind::NotConnected => {}
            done => done.expect("it is open"),
        }
    }

    /// Ends the connection with an RST.
    #[track_caller]
    pub fn reset(self) {
        set_socket_linger(&self.0, Some(Duration::ZERO)).expect("TCP has it");
    }
}

/// The tags of messages, as a string: `1 2 D C Z` without the blanks.
pub fn tags(messages: &[Message]) -> String {
    messages
        .iter()
        .map(|message| char::from(message.tag))
        .collect()
}
