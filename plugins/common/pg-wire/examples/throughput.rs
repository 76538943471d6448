//! How fast a session reads, natively: `cargo run --release -p pg-wire --example throughput`.
//!
//! Each load is a conversation in memory, fed in pieces of the size a proxy reads; the best of
//! some rounds is printed. It measures, it judges nothing.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "a measurement, not a module"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use pg_wire::Direction::{self, Backend, Frontend};
use pg_wire::{Event, MessageName, Observer, Session};

/// What a proxy reads from a socket at once.
const PIECE: usize = 16 * 1024;
const ROUNDS: usize = 15;

/// Counts as a metrics filter would: messages and bytes by name, events by kind.
struct Counts {
    messages: [(u64, u64); MessageName::COUNT],
    events: u64,
}

impl Observer for Counts {
    #[inline]
    fn message(&mut self, name: MessageName, bytes: u64) {
        if let Some((messages, sum)) = self.messages.get_mut(name as usize) {
            *messages += 1;
            *sum += bytes;
        }
    }

    fn event(&mut self, event: Event<'_>) {
        black_box(event);
        self.events += 1;
    }
}

/// What one side sends, then the other.
type Exchange = Vec<(Direction, Vec<u8>)>;

fn main() {
    println!(
        "{:38} {:>9} {:>14} {:>12}",
        "load", "MB/s", "messages/s", "ns/exchange"
    );
    let small = rows(1_000, 6);
    measure(
        "1,000 rows of one int (17 bytes each)",
        100,
        &[(Frontend, query()), (Backend, small)],
    );
    measure(
        "1,000 rows of 60 bytes",
        100,
        &[(Frontend, query()), (Backend, rows(1_000, 53))],
    );
    measure(
        "100 rows of 16 KB",
        100,
        &[(Frontend, query()), (Backend, rows(100, 16_000))],
    );
    measure(
        "pgbench -S, simple",
        10_000,
        &[(Frontend, query()), (Backend, simple_answer())],
    );
    measure(
        "pgbench -S -M prepared",
        10_000,
        &[(Frontend, prepared()), (Backend, answer())],
    );
    measure(
        "copy out, rows of 100 bytes",
        100,
        &[(Frontend, query()), (Backend, copy_out())],
    );
}

fn measure(load: &str, repeat: usize, exchange: &[(Direction, Vec<u8>)]) {
    let mut best = Duration::MAX;
    let mut messages = 0;
    for _ in 0..ROUNDS {
        let mut counts = Counts {
            messages: [(0, 0); MessageName::COUNT],
            events: 0,
        };
        let mut session = Session::new();
        for (direction, bytes) in start() {
            feed(&mut session, direction, &bytes, &mut counts);
        }
        let started = Instant::now();
        for _ in 0..repeat {
            for (direction, bytes) in exchange {
                feed(&mut session, *direction, black_box(bytes), &mut counts);
            }
        }
        best = best.min(started.elapsed());
        assert!(!session.is_opaque());
        messages = counts.messages.iter().map(|(messages, _)| messages).sum();
    }
    let bytes = repeat * exchange.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
    let seconds = best.as_secs_f64();
    println!(
        "{load:38} {:>9.0} {:>14.0} {:>12.0}",
        bytes as f64 / 1e6 / seconds,
        messages as f64 / seconds,
        seconds * 1e9 / repeat as f64,
    );
}

fn feed(session: &mut Session, direction: Direction, bytes: &[u8], counts: &mut Counts) {
    for piece in bytes.chunks(PIECE) {
        match direction {
            Frontend => session.frontend(piece, 1, counts),
            Backend => session.backend(piece, 2, counts),
        }
    }
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    [&[tag][..], &(body.len() as u32 + 4).to_be_bytes(), body].concat()
}

fn start() -> Exchange {
    let body = b"\0\x03\0\0user\0bench\0\0";
    let packet = [&(body.len() as u32 + 4).to_be_bytes(), &body[..]].concat();
    let text = "UPDATE pgbench_accounts SET abalance = abalance + $1 WHERE aid = $2";
    let parse = message(b'P', format!("P_0\0{text}\0\0\0").as_bytes());
    vec![
        (Frontend, packet),
        (
            Backend,
            [message(b'R', &[0; 4]), message(b'Z', b"I")].concat(),
        ),
        (Frontend, [parse, message(b'S', b"")].concat()),
        (Backend, [message(b'1', b""), message(b'Z', b"I")].concat()),
    ]
}

fn query() -> Vec<u8> {
    message(
        b'Q',
        b"SELECT abalance FROM pgbench_accounts WHERE aid = 4242;\0",
    )
}

fn description() -> Vec<u8> {
    message(b'T', &[&[0, 1][..], b"abalance\0", &[0; 18]].concat())
}

fn row(size: usize) -> Vec<u8> {
    message(
        b'D',
        &[&[0, 1][..], &(size as u32).to_be_bytes(), &vec![b'7'; size]].concat(),
    )
}

fn end(tag: &str) -> Vec<u8> {
    [
        message(b'C', format!("{tag}\0").as_bytes()),
        message(b'Z', b"I"),
    ]
    .concat()
}

fn rows(count: usize, size: usize) -> Vec<u8> {
    [
        description(),
        row(size).repeat(count),
        end(&format!("SELECT {count}")),
    ]
    .concat()
}

fn simple_answer() -> Vec<u8> {
    rows(1, 4)
}

fn prepared() -> Vec<u8> {
    let bind = message(b'B', b"\0P_0\0\0\0\0\x01\0\0\0\x044242\0\0");
    let execute = message(b'E', b"\0\0\0\0\0");
    [bind, message(b'D', b"P\0"), execute, message(b'S', b"")].concat()
}

fn answer() -> Vec<u8> {
    [message(b'2', b""), description(), row(4), end("SELECT 1")].concat()
}

fn copy_out() -> Vec<u8> {
    let data = message(b'd', &[b'x'; 100]).repeat(1_000);
    [
        message(b'H', &[0, 0, 0]),
        data,
        message(b'c', b""),
        end("COPY 1000"),
    ]
    .concat()
}
