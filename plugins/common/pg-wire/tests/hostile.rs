//! Peers that no real server would be: start-ups that go wrong, lengths that lie, floods.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "tests say what they expect by panicking"
)]

mod common;

use common::wire::{self, empty, message, packet, query, ready, startup, welcome};
use common::{Seen, feed};
use pg_wire::Direction::{self, Backend, Frontend};
use pg_wire::{DesyncReason, Event, Limits, MessageName, Observer, OpaqueReason, Session};

/// What a session tells of these pieces, still open.
fn told(pieces: &[(Direction, Vec<u8>)]) -> Seen {
    let (mut session, mut seen) = (Session::new(), Seen::default());
    for (direction, bytes) in pieces {
        feed(&mut session, *direction, bytes, 1, &mut seen);
    }
    seen
}

/// As `told`, behind the start of a session.
fn told_in_session(pieces: &[(Direction, Vec<u8>)]) -> Seen {
    let start = [(Frontend, startup("u", "d")), (Backend, welcome())];
    told(&[&start, pieces].concat())
}

#[track_caller]
fn ends_opaque(seen: &Seen, reason: OpaqueReason) {
    assert_eq!(
        seen.events.last(),
        Some(&format!("{:?}", Event::Opaque(reason)))
    );
    assert_eq!(seen.events_named("Opaque").len(), 1);
}

fn desync(direction: Direction, reason: DesyncReason) -> OpaqueReason {
    OpaqueReason::Desync(direction, reason)
}

const SSL: &[u8] = b"\x04\xd2\x16\x2f";
const GSS: &[u8] = b"\x04\xd2\x16\x30";
const CANCEL: &[u8] = b"\x04\xd2\x16\x2e";

/// Bytes that decode as nothing, and must not.
const TLS_RECORD: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00";

#[test]
fn trap_2_after_s_or_g_the_stream_is_opaque() {
    for (code, answer, reason) in [
        (SSL, b"S", OpaqueReason::Tls),
        (GSS, b"G", OpaqueReason::Gss),
    ] {
        let seen = told(&[
            (Frontend, packet(code)),
            (Backend, answer.to_vec()),
            (Frontend, TLS_RECORD.to_vec()),
            (Backend, TLS_RECORD.to_vec()),
        ]);
        ends_opaque(&seen, reason);
        assert_eq!(seen.messages.len(), 2);
    }
}

#[test]
fn trap_2_direct_tls_begins_with_a_record() {
    ends_opaque(
        &told(&[(Frontend, TLS_RECORD.to_vec())]),
        OpaqueReason::DirectTls,
    );
}

#[test]
fn trap_2_a_request_for_encryption_can_be_answered_by_an_error() {
    let seen = told(&[(Frontend, packet(SSL)), (Backend, wire::error("57P03"))]);
    assert_eq!(seen.brief, ["connection failed 57P03"]);
    // A postmaster that cannot fork says so without a length.
    let plain = b"Ecould not fork new process for connection: no memory\n\0";
    for request in [packet(SSL), startup("u", "d")] {
        let seen = told(&[(Frontend, request), (Backend, plain.to_vec())]);
        assert_eq!(seen.brief.last().unwrap(), "connection failed ?????");
    }
}

#[test]
fn trap_2_a_client_may_start_up_without_waiting_for_the_answer() {
    let sent = [packet(SSL), packet(GSS), startup("u", "d")].concat();
    let seen = told(&[
        (Frontend, sent),
        (Backend, [b"NN".to_vec(), welcome()].concat()),
    ]);
    assert_eq!(seen.brief.last().unwrap(), "ready");
    assert!(seen.events_named("Notice").is_empty());
}

#[test]
fn trap_2_an_answer_that_was_not_asked_for_is_unexpected() {
    let reason = desync(Backend, DesyncReason::Unexpected);
    for answer in [b"G", b"X", b"\0"] {
        ends_opaque(
            &told(&[(Frontend, packet(SSL)), (Backend, answer.to_vec())]),
            reason,
        );
    }
    ends_opaque(
        &told(&[(Frontend, packet(GSS)), (Backend, b"S".to_vec())]),
        reason,
    );
}

#[test]
fn trap_3_a_cancel_request_is_no_session() {
    for length in [4, 32, 256] {
        let key = vec![b'k'; length];
        let request = packet(&[CANCEL, b"\0\0\0\x2a", &key].concat());
        let seen = told(&[(Frontend, request), (Frontend, b"what?".to_vec())]);
        assert_eq!(seen.messages.len(), 1);
        assert_eq!(
            seen.events,
            ["CancelRequest(CancelRequest { process_id: 42, .. })"]
        );
    }
    let seen = told(&[(
        Frontend,
        packet(&[CANCEL, b"\0\0\0\x2a", &[b'k'; 257]].concat()),
    )]);
    ends_opaque(&seen, OpaqueReason::NotPostgresql);
}

#[test]
fn a_server_that_speaks_first_is_unexpected() {
    let reason = desync(Backend, DesyncReason::Unexpected);
    ends_opaque(&told(&[(Backend, wire::error("53300"))]), reason);
    ends_opaque(
        &told(&[(Frontend, b"\0\0".to_vec()), (Backend, b"S".to_vec())]),
        reason,
    );
    ends_opaque(
        &told_in_session(&[(Backend, wire::complete("SELECT 1"))]),
        reason,
    );
    ends_opaque(&told_in_session(&[(Backend, ready(b'I'))]), reason);
}

#[test]
fn what_is_no_start_up_packet_is_not_postgresql() {
    let http = b"GET / HTTP/1.1\r\n".to_vec();
    let lengths = [0_u32, 3, 7, 10_001, 0x7fff_ffff, 0xffff_ffff];
    let packets = lengths.map(|length| [length.to_be_bytes(), [0, 3, 0, 0]].concat());
    let versions = [[0, 2, 0, 0], [0, 4, 0, 0], [0x04, 0xd2, 0x16, 0x31]].map(|it| packet(&it));
    let unterminated = packet(b"\0\x03\0\0user");
    for bytes in [
        vec![http, unterminated],
        packets.to_vec(),
        versions.to_vec(),
    ]
    .concat()
    {
        let seen = told(&[(Frontend, bytes.clone())]);
        assert_eq!(
            seen.events_named("Opaque"),
            ["Opaque(NotPostgresql)"],
            "{bytes:?}"
        );
    }
}

#[test]
fn the_longest_start_up_packet_is_read_and_costs_no_more_than_its_length() {
    let longest = startup("u", &"d".repeat(10_000 - startup("u", "").len()));
    assert_eq!(longest.len(), 10_000);
    let (mut session, mut seen) = (Session::new(), Seen::default());
    for byte in &longest {
        session.frontend(&[*byte], 1, &mut seen);
        assert!(session.state_bytes() <= 2 * 10_000 + Limits::IDLE_STATE_BYTES);
    }
    assert_eq!(seen.events_named("Startup").len(), 1);
    assert!(session.state_bytes() < Limits::IDLE_STATE_BYTES);
}

#[test]
fn lengths_that_no_message_has_are_refused_at_once() {
    for length in [0_u32, 3, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff] {
        let lie = |tag: u8| [&[tag][..], &length.to_be_bytes()].concat();
        let seen = told_in_session(&[(Frontend, lie(b'Q'))]);
        ends_opaque(&seen, desync(Frontend, DesyncReason::BadLength));
        let seen = told_in_session(&[(Frontend, query("x")), (Backend, lie(b'D'))]);
        ends_opaque(&seen, desync(Backend, DesyncReason::BadLength));
    }
    let seen = told_in_session(&[(Frontend, message(b'E', &[0; 9_997]))]);
    ends_opaque(&seen, desync(Frontend, DesyncReason::BadLength));
    let seen = told_in_session(&[(Frontend, query("x")), (Backend, message(b'Z', b"II"))]);
    ends_opaque(&seen, desync(Backend, DesyncReason::BadLength));
}

#[test]
fn a_tag_and_a_body_that_cannot_be_are_told_once() {
    let seen = told_in_session(&[(Frontend, b"\xff".to_vec()), (Frontend, query("select 1"))]);
    ends_opaque(&seen, desync(Frontend, DesyncReason::UnknownTag));
    let seen = told_in_session(&[(Frontend, query("x")), (Backend, ready(b'?'))]);
    ends_opaque(&seen, desync(Backend, DesyncReason::BadBody));
}

#[test]
fn a_row_of_a_gigabyte_costs_nothing_and_need_not_be_seen() {
    let (mut session, mut seen) = (Session::new(), Seen::default());
    feed(&mut session, Frontend, &startup("u", "d"), 1, &mut seen);
    feed(&mut session, Backend, &welcome(), 1, &mut seen);
    feed(&mut session, Frontend, &query("select 1"), 1, &mut seen);
    let body = 0x3fff_fff0_u32;
    let header = [&b"D"[..], &(body + 4).to_be_bytes()].concat();
    feed(&mut session, Backend, &header, 2, &mut seen);
    assert_eq!(session.skip(Backend), u64::from(body));
    session.skipped(Backend, u64::from(body) - 10);
    assert_eq!(session.skip(Backend), 10);
    assert!(session.state_bytes() < Limits::IDLE_STATE_BYTES);
    let rest = [vec![0; 10], wire::complete("SELECT 1"), ready(b'I')].concat();
    feed(&mut session, Backend, &rest, 3, &mut seen);
    assert_eq!(seen.length(MessageName::DataRow), u64::from(body) + 5);
    assert_eq!(seen.story(), ["SELECT 1", "commit"]);
}

#[test]
fn a_million_tiny_messages_end_in_a_bounded_queue() {
    struct Count(u64, Option<OpaqueReason>);
    impl Observer for Count {
        fn message(&mut self, _: MessageName, _: u64) {
            self.0 += 1;
        }
        fn event(&mut self, event: Event<'_>) {
            if let Event::Opaque(reason) = event {
                self.1 = Some(reason);
            }
        }
    }
    for tiny in [
        empty(b'S'),
        query(""),
        wire::execute(""),
        wire::parse("", ""),
    ] {
        let (mut session, mut count) = (Session::new(), Count(0, None));
        session.frontend(&startup("u", "d"), 1, &mut count);
        session.backend(&welcome(), 1, &mut count);
        let thousand = tiny.repeat(1000);
        let mut most = 0;
        for _ in 0..1000 {
            session.frontend(&thousand, 1, &mut count);
            most = most.max(session.state_bytes());
        }
        assert_eq!(count.1, Some(desync(Frontend, DesyncReason::TooMuchState)));
        assert!(most <= Limits::DEFAULT.max_state_bytes());
        assert!(session.is_opaque() && session.state_bytes() < Limits::IDLE_STATE_BYTES);
    }
    // Ones that draw no answer cost nothing however many come.
    for tiny in [
        empty(b'H'),
        message(b'd', b""),
        empty(b'c'),
        message(b'f', b"\0"),
    ] {
        let (mut session, mut count) = (Session::new(), Count(0, None));
        session.frontend(&startup("u", "d"), 1, &mut count);
        session.backend(&welcome(), 1, &mut count);
        for _ in 0..1000 {
            session.frontend(&tiny.repeat(1000), 1, &mut count);
        }
        assert_eq!(count.0, 1_000_000 + 1 + 4);
        assert!(session.state_bytes() < Limits::IDLE_STATE_BYTES);
    }
}

#[test]
fn a_client_that_has_not_been_let_in_holds_little() {
    let floods = [
        packet(SSL).repeat(100_000),
        [startup("u", "d"), empty(b'S').repeat(100_000)].concat(),
    ];
    for flood in floods {
        let (mut session, mut seen, mut most) = (Session::new(), Seen::default(), 0);
        for piece in flood.chunks(1000) {
            feed(&mut session, Frontend, piece, 1, &mut seen);
            most = most.max(session.state_bytes());
        }
        ends_opaque(&seen, desync(Frontend, DesyncReason::TooMuchState));
        assert!(most <= Limits::STARTING_STATE_BYTES, "{most} bytes");
    }
}

#[test]
fn more_names_than_a_session_holds_are_not_told_apart_but_all_else_goes_on() {
    let limits = Limits {
        prepared: 10,
        portals: 10,
        ..Limits::DEFAULT
    };
    let (mut session, mut seen) = (Session::with(limits), Seen::default());
    feed(&mut session, Frontend, &startup("u", "d"), 1, &mut seen);
    feed(&mut session, Backend, &welcome(), 1, &mut seen);
    for index in 0..100 {
        let name = format!("s{index}");
        let sent = [
            wire::parse(&name, "delete from t"),
            wire::bind(&name, &name),
            wire::execute(&name),
            empty(b'S'),
        ];
        feed(&mut session, Frontend, &sent.concat(), 1, &mut seen);
        let failed = wire::error("22012");
        let answer = [empty(b'1'), empty(b'2'), failed, ready(b'I')].concat();
        feed(&mut session, Backend, &answer, 1, &mut seen);
    }
    assert_eq!(session.prepared_statements(), 10);
    assert_eq!(seen.statements.len(), 100);
    let known = |name: &str| seen.brief.iter().filter(|it| it.starts_with(name)).count();
    assert_eq!((known("DELETE failed"), known("OTHER failed")), (10, 90));
    assert!(session.state_bytes() <= limits.max_state_bytes());
}

#[test]
fn an_idle_session_shrinks_back() {
    let (mut session, mut seen) = (Session::new(), Seen::default());
    feed(
        &mut session,
        Frontend,
        &startup("user", "database"),
        1,
        &mut seen,
    );
    feed(&mut session, Backend, &welcome(), 1, &mut seen);
    feed(
        &mut session,
        Frontend,
        &query("select 1").repeat(5000),
        1,
        &mut seen,
    );
    assert!(session.state_bytes() > 100_000);
    let answer = [wire::complete("SELECT 1"), ready(b'I')].concat();
    feed(&mut session, Backend, &answer.repeat(5000), 1, &mut seen);
    let split = query(&"x".repeat(2000));
    feed(&mut session, Frontend, &split[..900], 1, &mut seen);
    feed(&mut session, Frontend, &split[900..], 1, &mut seen);
    feed(&mut session, Backend, &answer, 1, &mut seen);
    assert!(
        session.state_bytes() < Limits::IDLE_STATE_BYTES,
        "{}",
        session.state_bytes()
    );
}

#[test]
fn a_new_session_is_small() {
    assert!(
        Session::new().state_bytes() <= 512,
        "{}",
        Session::new().state_bytes()
    );
}

#[test]
fn a_clock_that_goes_backwards_gives_no_negative_times() {
    let (mut session, mut seen) = (Session::new(), Seen::default());
    let pieces = [
        (Frontend, startup("u", "d")),
        (Backend, welcome()),
        (Frontend, query("begin")),
        (Backend, [wire::complete("BEGIN"), ready(b'T')].concat()),
        (Frontend, query("commit")),
        (Backend, [wire::complete("COMMIT"), ready(b'I')].concat()),
    ];
    for (ago, (direction, bytes)) in pieces.iter().enumerate() {
        feed(&mut session, *direction, bytes, 100 - ago as u64, &mut seen);
    }
    assert_eq!(seen.events_named("Ready"), ["Ready { duration: 0 }"]);
    assert_eq!(seen.transactions[0].duration, 0);
}
