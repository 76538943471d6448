//! What holds for any bytes at all: used by the property tests, and by the fuzz targets of
//! `fuzz/`, which call one function each.

use pg_wire::body::Body;
use pg_wire::body::replication::{BackupMessage, ServerMessage, StandbyMessage};
use pg_wire::{Direction, Limits, MessageName, Session};

use super::{Recording, Seen, feed, wire};

/// A conversation's pieces: who sent what at once.
pub type Pieces = Vec<(Direction, Vec<u8>)>;

/// Reads any bytes as a conversation: a byte that says who sends how much, then that.
pub fn pieces_of(data: &[u8]) -> Pieces {
    let mut pieces = Vec::new();
    let mut rest = data;
    while let [header, after @ ..] = rest {
        let direction = if header & 0x80 == 0 {
            Direction::Frontend
        } else {
            Direction::Backend
        };
        let length = usize::from(header & 0x7f).min(after.len());
        pieces.push((direction, after[..length].to_vec()));
        rest = &after[length..];
    }
    pieces
}

/// The same, the other way round.
pub fn data_of(recording: &Recording) -> Vec<u8> {
    let mut data = Vec::new();
    for (direction, bytes) in &recording.pieces {
        for piece in bytes.chunks(0x7f) {
            data.push(
                piece.len() as u8
                    | if *direction == Direction::Backend {
                        0x80
                    } else {
                        0
                    },
            );
            data.extend(piece);
        }
    }
    data
}

/// Any bytes as a conversation, from its first byte or behind a start-up that went well, in pieces
/// that follow from the bytes themselves.
pub fn any_bytes_in_any_pieces(data: &[u8]) {
    let cuts: Vec<usize> = data
        .iter()
        .take(16)
        .map(|byte| usize::from(byte % 13) + 1)
        .collect();
    let [started, rest @ ..] = data else { return };
    let mut pieces = pieces_of(rest);
    if started % 2 == 1 {
        let start = (Direction::Frontend, wire::startup("u", "d"));
        pieces.splice(0..0, [start, (Direction::Backend, wire::welcome())]);
    }
    any_split(&pieces, &cuts);
}

/// However a conversation is cut, and whether or not the rest of a body is seen, it tells the same;
/// what it costs is bounded.
pub fn any_split(pieces: &Pieces, cuts: &[usize]) {
    let whole = observe(pieces, |bytes| vec![bytes.len()], false);
    let single = observe(pieces, |bytes| vec![1; bytes.len()], false);
    assert_eq!(whole, single, "one byte at a time");
    let mut cuts = cuts.iter().copied().cycle();
    let mut random = |bytes: &[u8]| {
        let mut left = bytes.len();
        let mut lengths = Vec::new();
        while left > 0 {
            let length = cuts.next().unwrap_or(1).clamp(1, left);
            lengths.push(length);
            left -= length;
        }
        lengths
    };
    assert_eq!(whole, observe(pieces, &mut random, false), "in pieces");
    assert_eq!(
        whole,
        observe(pieces, &mut random, true),
        "in pieces, the rest of bodies left out"
    );
    check(&whole, pieces);
}

fn observe(pieces: &Pieces, mut cut: impl FnMut(&[u8]) -> Vec<usize>, leave_out: bool) -> Seen {
    let mut seen = Seen::default();
    let mut session = Session::new();
    let mut now = 0;
    for (direction, bytes) in pieces {
        now += 1;
        let mut rest = bytes.as_slice();
        for length in cut(bytes) {
            let (mut piece, after) = rest.split_at(length);
            rest = after;
            if leave_out {
                let unseen = session.skip(*direction).min(piece.len() as u64);
                session.skipped(*direction, unseen);
                piece = &piece[unseen as usize..];
            }
            feed(&mut session, *direction, piece, now, &mut seen);
            let bound = Limits::DEFAULT.max_state_bytes();
            assert!(
                session.state_bytes() <= bound,
                "{} bytes",
                session.state_bytes()
            );
        }
    }
    session.close(now + 1, &mut seen);
    let told = seen.clone();
    session.close(now + 2, &mut seen);
    session.frontend(b"Q\0\0\0\x05\0", now + 3, &mut seen);
    session.backend(b"Z\0\0\0\x05I", now + 3, &mut seen);
    assert_eq!(told, seen, "nothing is told of a closed connection");
    assert!(session.state_bytes() <= Limits::IDLE_STATE_BYTES);
    seen
}

/// What any list of events obeys.
fn check(seen: &Seen, pieces: &Pieces) {
    let opaque = seen
        .events
        .iter()
        .position(|event| event.starts_with("Opaque"));
    assert!(
        opaque.is_none_or(|at| at + 1 == seen.events.len()),
        "{:?}",
        seen.events
    );
    for it in &seen.statements {
        assert!(
            it.received <= it.started && it.started <= it.finished,
            "{it:?}"
        );
        assert!(it.first_row.is_none_or(|row| row <= it.finished), "{it:?}");
        assert_eq!(it.first_row.is_some(), it.data_rows > 0, "{it:?}");
    }
    // All but the last message of each direction was there to its end.
    let sent: usize = pieces.iter().map(|(_, bytes)| bytes.len()).sum();
    let last = |direction| {
        let mut backwards = seen.messages.iter().rev();
        backwards
            .find(|(name, _)| name.direction() == direction)
            .map_or(0, |(_, length)| *length)
    };
    let unfinished = last(Direction::Frontend) + last(Direction::Backend);
    let counted: u64 = seen.messages.iter().map(|(_, length)| length).sum();
    assert!(counted <= sent as u64 + unfinished);
}

/// Any bytes are a body of every message, or an error that says why not.
pub fn bodies(data: &[u8]) {
    for name in MessageName::ALL {
        match Body::read(*name, data) {
            Ok(body) => assert!(!format!("{body:?}").is_empty()),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    let replication = (ServerMessage::read(data), StandbyMessage::read(data));
    assert!(!format!("{replication:?} {:?}", BackupMessage::read(data)).is_empty());
}
