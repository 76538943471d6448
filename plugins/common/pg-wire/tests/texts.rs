//! Each statement leads back to the text that the client sent for it, whoever keeps the texts.
#![allow(
    clippy::indexing_slicing,
    reason = "tests say what they expect by panicking"
)]

mod common;

use common::{Recording, Seen, feed, wire};
use pg_wire::{Block, Direction, Limits, Session};

fn conversation(limits: Limits, pieces: &[(Direction, Vec<u8>)]) -> Seen {
    let mut seen = Seen::default();
    let mut session = Session::with(limits);
    feed(
        &mut session,
        Direction::Frontend,
        &wire::startup("u", "d"),
        0,
        &mut seen,
    );
    feed(
        &mut session,
        Direction::Backend,
        &wire::welcome(),
        0,
        &mut seen,
    );
    for (direction, bytes) in pieces {
        feed(&mut session, *direction, bytes, 1, &mut seen);
    }
    session.close(2, &mut seen);
    seen
}

fn client(messages: &[Vec<u8>]) -> (Direction, Vec<u8>) {
    (Direction::Frontend, messages.concat())
}

fn server(messages: &[Vec<u8>]) -> (Direction, Vec<u8>) {
    (Direction::Backend, messages.concat())
}

#[test]
fn an_execution_leads_to_the_text_that_its_name_was_parsed_from() {
    let run = |name| [wire::bind("", name), wire::execute("")].concat();
    let ran = || [wire::empty(b'2'), wire::complete("SELECT 0")].concat();
    let seen = conversation(
        Limits::DEFAULT,
        &[
            client(&[
                wire::parse("a", "select 1"),
                wire::parse("b", "select 2"),
                wire::empty(b'S'),
            ]),
            server(&[wire::empty(b'1'), wire::empty(b'1'), wire::ready(b'I')]),
            client(&[run("b"), run("a"), run("b"), wire::empty(b'S')]),
            server(&[ran(), ran(), ran(), wire::ready(b'I')]),
        ],
    );
    assert_eq!(seen.texts_run(), ["select 2", "select 1", "select 2"]);
    assert_eq!(seen.texts[0].0, b"a");
}

#[test]
fn the_statements_of_a_query_share_its_text_and_are_numbered() {
    for recording in Recording::load("many results of one query, the third failing") {
        let seen = recording.observe();
        let places: Vec<_> = seen
            .statements
            .iter()
            .map(|it| (it.text.0, it.index))
            .collect();
        let first = places[0].0;
        assert_eq!(
            places[..3],
            [(first, 0), (first, 1), (first, 2)],
            "{places:?}"
        );
    }
}

#[test]
fn a_statement_tells_whether_it_ran_in_a_block() {
    for recording in Recording::load("transaction blocks") {
        let seen = recording.observe();
        let blocks: Vec<Block> = seen.statements.iter().map(|it| it.block).collect();
        let (out, inside, failed) = (Block::Outside, Block::Inside, Block::Failed);
        // begin; select 1; commit; begin; select 1/0; select 1; commit
        assert_eq!(
            blocks[..7],
            [out, inside, inside, out, inside, failed, failed]
        );
    }
}

#[test]
fn a_text_is_cut_at_its_limit_and_says_so_whatever_its_name_leaves_room_for() {
    let limits = Limits {
        statement_text: 10,
        ..Limits::DEFAULT
    };
    let texts = |message: Vec<u8>| conversation(limits, &[client(&[message])]).texts;
    for (text, cut) in [("select 12", false), ("select 1234", true)] {
        let shown = text.as_bytes()[..text.len().min(10)].to_vec();
        for name in ["", "s", &"n".repeat(63)] {
            let expected = (name.as_bytes().to_vec(), shown.clone(), cut);
            assert_eq!(texts(wire::parse(name, text)), [expected]);
        }
        assert_eq!(texts(wire::query(text)), [(vec![], shown, cut)]);
    }
}
