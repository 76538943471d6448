//! A collector that takes whatever it is sent over HTTP, says 200, and counts; on request it keeps it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use crate::hosts::collector::Batch;

/// A collector on a free port of 127.0.0.1, for as long as the process runs.
#[derive(Debug)]
pub struct OtlpSink {
    address: SocketAddr,
    received: Arc<Received>,
}

#[derive(Debug, Default)]
struct Received {
    requests: AtomicU64,
    bytes: AtomicU64,
    kept: Option<Mutex<Requests>>,
}

/// Path and body of each request.
type Requests = Vec<(String, Vec<u8>)>;

impl OtlpSink {
    /// Starts one that counts.
    pub fn start() -> Self {
        Self::with(Received::default())
    }

    /// Starts one that keeps what it is sent.
    pub fn keeping() -> Self {
        Self::with(Received {
            kept: Some(Mutex::default()),
            ..Received::default()
        })
    }

    fn with(received: Received) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("127.0.0.1 has free ports");
        let sink = Self {
            address: listener.local_addr().expect("it is bound"),
            received: Arc::new(received),
        };
        let received = Arc::clone(&sink.received);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let received = Arc::clone(&received);
                thread::spawn(move || {
                    // A client that leaves ends the thread, and nothing else.
                    let _left = serve(&stream, &received);
                });
            }
        });
        sink
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests answered so far.
    pub fn requests(&self) -> u64 {
        self.received.requests.load(Ordering::Relaxed)
    }

    /// Bytes of their bodies.
    pub fn bytes(&self) -> u64 {
        self.received.bytes.load(Ordering::Relaxed)
    }

    /// The bodies kept so far, whatever the signal.
    pub fn bodies(&self) -> Vec<Vec<u8>> {
        let kept = self.kept();
        kept.iter().map(|(_, body)| body.clone()).collect()
    }

    /// The batches of one signal kept so far.
    #[track_caller]
    pub fn batches<T: Batch + Default>(&self) -> Vec<T> {
        let path = T::default().path();
        let kept = self.kept();
        let bodies = kept.iter().filter(|(of, _)| of == path);
        bodies
            .map(|(_, body)| T::decode(body.as_slice()).expect("a collector exports OTLP"))
            .collect()
    }

    fn kept(&self) -> MutexGuard<'_, Requests> {
        let kept = self.received.kept.as_ref().expect("it was told to keep");
        kept.lock().expect("nobody panics while they hold it")
    }
}

fn serve(stream: &TcpStream, received: &Received) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    loop {
        let mut request = String::new();
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length is a number");
            }
            if request.is_empty() {
                request = line;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        received.bytes.fetch_add(length as u64, Ordering::Relaxed);
        if let Some(kept) = &received.kept {
            let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
            let mut kept = kept.lock().expect("nobody panics while they hold it");
            kept.push((path, body));
        }
        received.requests.fetch_add(1, Ordering::Relaxed);
        writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
    }
}
