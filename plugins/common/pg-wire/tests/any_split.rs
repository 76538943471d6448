//! However the network cuts a connection's bytes, and whatever they are, a session tells the same
//! and stays small.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "tests say what they expect by panicking"
)]

mod common;

use common::invariants::{Pieces, any_split, bodies, data_of, pieces_of};
use common::{Recording, wire};
use pg_wire::Direction::{Backend, Frontend};
use pg_wire::body::Body;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

#[test]
fn a_recorded_conversation_tells_the_same_in_any_pieces() {
    for recording in Recording::all() {
        any_split(&recording.pieces, &[2, 3, 5, 7, 11, 1, 1, 13]);
        // The servers' answers in one piece with each other, as after a stall.
        any_split(&pieces_of(&data_of(&recording)), &[4]);
    }
}

#[test]
fn every_recorded_message_has_a_body_that_parses() {
    for recording in Recording::all() {
        let broken = ["breaks-the-protocol", "too-short", "gss-encryption", "4-0"];
        if broken.iter().any(|name| recording.name.contains(name)) {
            continue;
        }
        for (name, body) in wire::messages(&recording) {
            let parsed = Body::read(name, &body);
            assert!(parsed.is_ok(), "{}: {name:?} {parsed:?}", recording.name);
        }
    }
}

/// One exchange of a well-behaved session.
fn exchange() -> impl Strategy<Value = Pieces> {
    let rows = 0..20_usize;
    let size = 0..3000_usize;
    prop_oneof![
        (rows.clone(), size.clone()).prop_map(|(rows, size)| vec![
            (Frontend, wire::query("select 1")),
            (
                Backend,
                [wire::result(rows, size), wire::ready(b'I')].concat()
            ),
        ]),
        (vec(("[a-c]{0,2}", rows, 0..40_usize), 1..10), any::<bool>()).prop_map(
            |(statements, fails)| {
                let (mut sent, mut answered) = (Vec::new(), Vec::new());
                for (name, rows, size) in statements {
                    sent.extend(wire::parse(&name, "update t set a = $1"));
                    sent.extend(wire::bind("", &name));
                    sent.extend(wire::execute(""));
                    answered.extend([wire::empty(b'1'), wire::empty(b'2')].concat());
                    answered.extend(wire::result(rows, size));
                }
                if fails {
                    sent.extend(wire::parse("", "select 1/0"));
                    sent.extend(wire::bind("", ""));
                    answered.extend(wire::error("22012"));
                }
                sent.extend(wire::empty(b'S'));
                answered.extend(wire::ready(b'I'));
                // A pipeline's answers come while it is still being sent.
                let (early, late) = answered.split_at(answered.len().min(10));
                vec![
                    (Frontend, sent),
                    (Backend, early.to_vec()),
                    (Backend, late.to_vec()),
                ]
            }
        ),
        (vec(size.clone(), 0..5), any::<bool>()).prop_map(|(sizes, fails)| {
            let mut data: Vec<u8> = sizes
                .iter()
                .flat_map(|size| wire::message(b'd', &vec![b'x'; *size]))
                .collect();
            data.extend(wire::empty(b'c'));
            let end = if fails {
                wire::error("22P02")
            } else {
                wire::complete("COPY 5")
            };
            vec![
                (Frontend, wire::query("copy t from stdin")),
                (Backend, wire::message(b'G', &[0, 0, 0])),
                (Frontend, data),
                (Backend, [end, wire::ready(b'I')].concat()),
            ]
        }),
        (vec(size, 0..5)).prop_map(|sizes| {
            let mut data = wire::message(b'H', &[0, 0, 0]);
            data.extend(
                sizes
                    .iter()
                    .flat_map(|size| wire::message(b'd', &vec![b'x'; *size])),
            );
            data.extend(
                [
                    wire::empty(b'c'),
                    wire::complete("COPY 5"),
                    wire::ready(b'I'),
                ]
                .concat(),
            );
            vec![(Frontend, wire::query("copy t to stdout")), (Backend, data)]
        }),
        Just(vec![(
            Backend,
            [
                wire::message(b'A', b"\0\0\0\x01a\0b\0"),
                wire::notice("00000")
            ]
            .concat()
        )]),
    ]
}

fn session() -> impl Strategy<Value = Pieces> {
    vec(exchange(), 0..8).prop_map(|exchanges| {
        let start = vec![
            (Frontend, wire::startup("u", "d")),
            (Backend, wire::welcome()),
        ];
        std::iter::once(start).chain(exchanges).flatten().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn a_generated_conversation_tells_the_same_in_any_pieces(
        pieces in session(),
        cuts in vec(1..200_usize, 1..20),
    ) {
        let mut seen = common::Seen::default();
        let mut session = pg_wire::Session::new();
        for (direction, bytes) in &pieces {
            common::feed(&mut session, *direction, bytes, 1, &mut seen);
        }
        prop_assert!(!session.is_opaque(), "{:?}", seen.events);
        prop_assert!(session.state_bytes() < pg_wire::Limits::IDLE_STATE_BYTES + 200);
        any_split(&pieces, &cuts);
    }

    #[test]
    fn a_damaged_conversation_tells_the_same_in_any_pieces(
        recording in select(Recording::all()),
        damage in vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cuts in vec(1..50_usize, 1..20),
    ) {
        let mut pieces = recording.pieces;
        for (piece, at, byte) in damage {
            let index = piece.index(pieces.len());
            let bytes = &mut pieces[index].1;
            match byte {
                0 => drop(pieces.remove(index)),
                1 => bytes.truncate(at.index(bytes.len() + 1)),
                byte if !bytes.is_empty() => {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                }
                _ => {}
            }
            if pieces.is_empty() { break; }
        }
        any_split(&pieces, &cuts);
    }

    #[test]
    fn any_bytes_tell_the_same_in_any_pieces(
        data in vec(any::<u8>(), 0..500),
        started: bool,
        cuts in vec(1..20_usize, 1..20),
    ) {
        let mut pieces = pieces_of(&data);
        if started {
            let start = [(Frontend, wire::startup("u", "d")), (Backend, wire::welcome())];
            pieces.splice(0..0, start);
        }
        any_split(&pieces, &cuts);
    }

    #[test]
    fn messages_in_any_order_tell_the_same_in_any_pieces(
        messages in vec((any::<bool>(), select(TAGS), vec(any::<u8>(), 0..30)), 0..60),
        cuts in vec(1..20_usize, 1..20),
    ) {
        let mut pieces = vec![(Frontend, wire::startup("u", "d")), (Backend, wire::welcome())];
        pieces.extend(messages.into_iter().map(|(front, (frontend, backend), body)| {
            let (direction, tag) = if front { (Frontend, frontend) } else { (Backend, backend) };
            (direction, wire::message(tag, wire::fitting(tag, front, &body)))
        }));
        any_split(&pieces, &cuts);
    }

    #[test]
    fn any_bytes_are_a_body_or_an_error(data in vec(any::<u8>(), 0..200)) {
        bodies(&data);
    }
}

/// Tags of either direction.
const TAGS: &[(u8, u8)] = &[
    (b'Q', b'Z'),
    (b'Q', b'C'),
    (b'P', b'1'),
    (b'B', b'2'),
    (b'E', b'D'),
    (b'E', b'C'),
    (b'S', b'Z'),
    (b'd', b'd'),
    (b'c', b'G'),
    (b'f', b'H'),
    (b'C', b'3'),
    (b'D', b'T'),
    (b'D', b't'),
    (b'F', b'V'),
    (b'H', b'E'),
    (b'X', b's'),
    (b'Q', b'W'),
    (b'S', b'c'),
    (b'E', b'I'),
    (b'D', b'n'),
];
