//! The synthetic server answers as scripted and misbehaves as told; a relay tells what passed.

use std::process::Command;
use std::time::{Duration, Instant};

use test_harness::fakes::postgres_server::{Answer, Fault, SyntheticServer};
use test_harness::hosts::Version;
use test_harness::hosts::postgres::output_of;
use test_harness::net::client::tags;
use test_harness::net::{Client, messages};
use test_harness::relay::Relay;

fn one_megabyte_row() -> Answer {
    Answer::Rows {
        count: 1,
        size: 1 << 20,
    }
}

#[test]
fn a_real_psql_can_talk_to_it() {
    let server = SyntheticServer::builder()
        .answer("select three", Answer::Rows { count: 3, size: 2 })
        .start();
    let mut psql = Command::new(Version::V18.program("psql").unwrap());
    psql.args([
        "-h",
        "127.0.0.1",
        "-p",
        &server.address().port().to_string(),
    ]);
    psql.args(["-U", "anyone", "-d", "anything", "-XAtc", "select three"]);
    assert_eq!(output_of(&mut psql).stdout, b"xx\nxx\nxx\n");
}

#[test]
fn the_extended_protocol_skips_to_sync_after_an_error() {
    let error = Answer::Error {
        sqlstate: "22012".to_owned(),
        message: "zero".to_owned(),
    };
    let server = SyntheticServer::builder().answer("bad", error).start();
    let mut client = Client::session(server.address(), "app");
    let statement = |sql| {
        [
            messages::parse("", sql),
            messages::bind("", "", &[]),
            messages::execute("", 0),
        ]
    };
    let pipeline = [statement("good"), statement("bad"), statement("good")]
        .concat()
        .concat();
    client.send_in_pieces(&[pipeline, messages::sync()].concat(), 1);
    assert_eq!(tags(&client.read_until_ready()), "12DC12EZ");
}

#[test]
fn it_cuts_a_row_in_the_middle_or_resets_the_connection() {
    for fault in [Fault::CutAfter(1000), Fault::ResetAfter(1000)] {
        let server = SyntheticServer::builder()
            .answer("big", one_megabyte_row())
            .fault(fault);
        let server = server.start();
        let mut client = Client::session(server.address(), "app");
        client.send(&messages::query("big"));
        assert!(client.read_to_end().len() <= 1000);
    }
}

#[test]
fn it_speaks_first_answers_garbage_or_is_slow() {
    let start = |fault| SyntheticServer::builder().fault(fault).start();

    let first = start(Fault::SpeaksFirst(b"220 ready".to_vec()));
    assert_eq!(Client::connect(first.address()).read_byte(), b'2');

    let garbage = start(Fault::Garbage(vec![0xff; 8]));
    let mut client = Client::session(garbage.address(), "app");
    client.send(&messages::query("anything"));
    assert_eq!(client.read_byte(), 0xff);

    let slow = start(Fault::Slow {
        wait: Duration::from_millis(5),
        piece: 10,
    });
    let mut client = Client::session(slow.address(), "app");
    let begin = Instant::now();
    assert_eq!(tags(&client.query("anything")), "TDCZ");
    assert!(begin.elapsed() >= Duration::from_millis(25));
}

#[test]
fn two_relays_in_a_row_agree_about_what_passed() {
    let server = SyntheticServer::builder()
        .answer("big", one_megabyte_row())
        .start();
    let behind = Relay::to(server.address());
    let before = Relay::to(behind.address());
    for sql in ["big", "small"] {
        let mut client = Client::session(before.address(), "app");
        assert_eq!(tags(&client.query(sql)), "TDCZ");
        client.half_close();
        assert_eq!(client.read_to_end(), b"");
    }
    let passed = before.recordings();
    assert_eq!(passed, behind.recordings());
    assert_eq!(passed.len(), 2);
    assert!(
        passed
            .iter()
            .any(|recording| recording.backend.len() > 1 << 20)
    );
}
