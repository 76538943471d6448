//! Messages to order.

use pg_wire::{Deframer, Direction, Limits, MessageName, Phase};

use super::Recording;

pub fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    [&[tag][..], &(body.len() as u32 + 4).to_be_bytes(), body].concat()
}

/// A message without a body.
pub fn empty(tag: u8) -> Vec<u8> {
    message(tag, b"")
}

/// A start-up packet: what follows its length word.
pub fn packet(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32 + 4).to_be_bytes(), body].concat()
}

pub fn startup(user: &str, database: &str) -> Vec<u8> {
    packet(format!("\0\x03\0\0user\0{user}\0database\0{database}\0\0").as_bytes())
}

/// The server's side of a start-up without a password.
pub fn welcome() -> Vec<u8> {
    let key = message(b'K', b"\0\0\0\x01kkkk");
    [
        message(b'R', &[0; 4]),
        message(b'S', b"a\0b\0"),
        key,
        ready(b'I'),
    ]
    .concat()
}

pub fn ready(status: u8) -> Vec<u8> {
    message(b'Z', &[status])
}

pub fn query(text: &str) -> Vec<u8> {
    message(b'Q', format!("{text}\0").as_bytes())
}

pub fn parse(statement: &str, text: &str) -> Vec<u8> {
    message(b'P', format!("{statement}\0{text}\0\0\0").as_bytes())
}

pub fn bind(portal: &str, statement: &str) -> Vec<u8> {
    message(
        b'B',
        format!("{portal}\0{statement}\0\0\0\0\0\0\0").as_bytes(),
    )
}

pub fn execute(portal: &str) -> Vec<u8> {
    message(b'E', format!("{portal}\0\0\0\0\0").as_bytes())
}

pub fn complete(tag: &str) -> Vec<u8> {
    message(b'C', format!("{tag}\0").as_bytes())
}

pub fn error(sqlstate: &str) -> Vec<u8> {
    message(
        b'E',
        format!("SFEHLER\0VERROR\0C{sqlstate}\0Mit failed\0\0").as_bytes(),
    )
}

pub fn notice(sqlstate: &str) -> Vec<u8> {
    message(
        b'N',
        format!("SNOTICE\0VNOTICE\0C{sqlstate}\0Mby the way\0\0").as_bytes(),
    )
}

/// So many rows of one column, and their command tag.
pub fn result(rows: usize, size: usize) -> Vec<u8> {
    let value = [&[0, 1][..], &(size as u32).to_be_bytes(), &vec![b'v'; size]].concat();
    [
        message(b'D', &value).repeat(rows),
        complete(&format!("SELECT {rows}")),
    ]
    .concat()
}

/// As much of a body as a message with this tag can have, and at least as much as it must.
pub fn fitting(tag: u8, frontend: bool, body: &[u8]) -> &[u8] {
    const NUL: &[u8] = b"S\0\0\0\0\0\0\0\0\0\0\0";
    match (tag, frontend) {
        (b'Z', false) => &b"ITE"[body.len() % 3..][..1],
        (b'S' | b'H' | b'X' | b'c', true)
        | (b'c' | b'1' | b'2' | b'3' | b's' | b'I' | b'n', false) => &[],
        _ if body.len() < NUL.len() => NUL,
        _ => body,
    }
}

/// The messages of a recording up to the first byte that is none, with their bodies.
pub fn messages(recording: &Recording) -> Vec<(MessageName, Vec<u8>)> {
    let limits = Limits {
        statement_text: u32::MAX,
        report: u32::MAX,
        ..Limits::DEFAULT
    };
    let mut found = Vec::new();
    let mut deframers =
        [Direction::Frontend, Direction::Backend].map(|it| Deframer::new(it, limits));
    for (direction, bytes) in &recording.pieces {
        let deframer = &mut deframers[usize::from(*direction == Direction::Backend)];
        let mut rest = bytes.as_slice();
        loop {
            if *direction == Direction::Backend {
                let asked = found.last().map(|(name, _)| *name);
                let encryption = [
                    Some(MessageName::SSLRequest),
                    Some(MessageName::GSSENCRequest),
                ];
                let answer = encryption.contains(&asked);
                deframer.set_phase(if answer { Phase::Answer } else { Phase::Tagged });
            }
            let before = rest;
            let Ok(Some(frame)) = deframer.next(&mut rest) else {
                break;
            };
            let header = frame.name.tag().map_or(4, |_| 5);
            let header = if frame.length == 1 { 0 } else { header };
            let body = before[header..frame.length as usize].to_vec();
            let name = frame.name;
            found.push((name, body));
            if name == MessageName::StartupMessage {
                deframer.set_phase(Phase::Tagged);
            }
        }
    }
    found
}
