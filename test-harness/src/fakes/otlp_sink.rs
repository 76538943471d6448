//! A collector for OTLP over HTTP that answers as it is told to: well, late, wrongly, or not at all.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Instant;

use crate::hosts::collector::Batch;

/// What each request is answered with, once it has been read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Answer {
    /// `200`, and no more.
    #[default]
    Accept,
    /// This status, with these headers and this body.
    Status(u16, &'static [(&'static str, &'static str)], &'static [u8]),
    /// Bytes that are no HTTP.
    Garbage,
    /// The connection ends.
    HangUp,
    /// None, until another answer is chosen.
    Hold,
}

/// A request that came in.
#[derive(Debug, Clone)]
pub struct Received {
    /// Such as `/v1/traces`.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Empty unless the sink [keeps](OtlpSink::keeping) bodies.
    pub body: Vec<u8>,
    /// When it was complete.
    pub at: Instant,
}

impl Received {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(header, _)| header == name)?;
        Some(&found.1)
    }
}

/// A collector on 127.0.0.1, for as long as the process runs.
#[derive(Debug)]
pub struct OtlpSink {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    keeps_bodies: bool,
}

#[derive(Debug, Default)]
struct State {
    answer: Answer,
    received: Vec<Received>,
    answered: u64,
    bytes: u64,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics with it")
    }
}

impl OtlpSink {
    /// Starts it on a free port; it counts, and forgets what it was sent.
    pub fn start() -> Self {
        Self::on(SocketAddr::from(([127, 0, 0, 1], 0)), Shared::default())
    }

    /// Starts it on a free port; it keeps all it is sent.
    pub fn keeping() -> Self {
        Self::keeping_at(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// The same on a port that somebody knows already.
    pub fn keeping_at(address: SocketAddr) -> Self {
        let shared = Shared {
            keeps_bodies: true,
            ..Shared::default()
        };
        Self::on(address, shared)
    }

    fn on(address: SocketAddr, shared: Shared) -> Self {
        let listener = TcpListener::bind(address).expect("the port is free");
        let shared = Arc::new(shared);
        let sink = Self {
            address: listener.local_addr().expect("it is bound"),
            shared: Arc::clone(&shared),
        };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    // A client that leaves ends the thread, and nothing else.
                    let _left = serve(&stream, &shared);
                });
            }
        });
        sink
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How it answers from now on, requests on hold too.
    pub fn answer(&self, answer: Answer) {
        self.shared.state().answer = answer;
        self.shared.changed.notify_all();
    }

    /// Requests that have come in so far.
    pub fn received(&self) -> Vec<Received> {
        self.shared.state().received.clone()
    }

    /// How many of them it has answered, in whatever way.
    pub fn answered(&self) -> u64 {
        self.shared.state().answered
    }

    /// The bodies kept so far, whatever the signal.
    pub fn bodies(&self) -> Vec<Vec<u8>> {
        let received = self.received();
        received.into_iter().map(|request| request.body).collect()
    }

    /// The batches of one signal kept so far.
    #[track_caller]
    pub fn batches<T: Batch + Default>(&self) -> Vec<T> {
        assert!(self.shared.keeps_bodies, "it was not told to keep");
        let path = T::default().path();
        let received = self.received();
        let bodies = received.iter().filter(|request| request.path == path);
        bodies
            .map(|request| T::decode(request.body.as_slice()).expect("OTLP"))
            .collect()
    }

    /// Bytes of their bodies.
    pub fn bytes(&self) -> u64 {
        self.shared.state().bytes
    }
}

fn serve(stream: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    while let Some(request) = read_request(&mut reader)? {
        let mut state = shared.state();
        state.bytes += request.body.len() as u64;
        state.received.push(Received {
            body: match shared.keeps_bodies {
                true => request.body,
                false => Vec::new(),
            },
            ..request
        });
        while state.answer == Answer::Hold {
            state = shared
                .changed
                .wait(state)
                .expect("no thread panics with it");
        }
        state.answered += 1;
        let answer = state.answer.clone();
        drop(state);
        match answer {
            Answer::Accept => write_response(&mut writer, 200, &[], b"")?,
            Answer::Status(status, headers, body) => {
                write_response(&mut writer, status, headers, body)?;
            }
            Answer::Garbage => writer.write_all(b"\0\xff\x16 no HTTP \r\n\r\n")?,
            Answer::HangUp | Answer::Hold => return Ok(()),
        }
    }
    Ok(())
}

/// `None` where the client has left between two requests.
fn read_request(reader: &mut BufReader<&TcpStream>) -> std::io::Result<Option<Received>> {
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let path = first.split(' ').nth(1).expect("a request line").to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.map_or(0, |(_, value)| value.parse().expect("a length"));
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Received {
        path,
        headers,
        body,
        at: Instant::now(),
    }))
}

fn write_response(
    writer: &mut impl Write,
    status: u16,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    writer.write_all(&[head.as_bytes(), body].concat())
}
