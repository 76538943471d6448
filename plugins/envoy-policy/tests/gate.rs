//! The gate's promises, with a judge who denies every text that holds the word `denied`, and a
//! model of the two peers: what leaves the gate is cut into messages again and looked at.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "tests say what they expect by panicking"
)]

use envoy_policy::gate::denial::{Denial, Refusal};
use envoy_policy::gate::edits::Edits;
use envoy_policy::gate::{Admission, Gate, Judge, Limits, Request, Uninspectable};
use pg_sql::LexerOptions;
use pg_sql::sqlcommenter::{self, TraceParent};
use pg_wire::body::query::TransactionStatus;
use pg_wire::body::startup::{CancelRequest, StartupMessage};
use pg_wire::{Direction, MessageName, tagged_header};
use proptest::prelude::*;

const HELD: usize = 300;

/// Denies by a word, and remembers what it was asked.
#[derive(Debug, Default)]
struct ByWord {
    allow_unseen: bool,
    unseen: Vec<Uninspectable>,
    texts: Vec<(Vec<u8>, bool)>,
    parameters: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    keys: Vec<(u32, Vec<u8>)>,
    ready: u32,
    rewrite_startup: Option<Vec<u8>>,
    deny_startup: bool,
    deny_execute: bool,
}

const DENIAL: Denial = Denial {
    code: 3,
    fingerprint: 99,
};

fn holds_the_word(text: &[u8]) -> bool {
    text.windows(6).any(|window| window == b"denied")
}

impl Judge for ByWord {
    fn startup(&mut self, _: &StartupMessage<'_>) -> Admission {
        match &self.rewrite_startup {
            _ if self.deny_startup => Admission::Deny(DENIAL),
            Some(packet) => Admission::Rewrite(packet.clone()),
            None => Admission::Pass,
        }
    }

    fn cancel(&mut self, request: &CancelRequest<'_>) -> bool {
        request.process_id == 1
    }

    fn request(&mut self, request: Request<'_>, settled: bool) -> Result<(), Denial> {
        match request {
            Request::Text { text, .. } => {
                self.texts.push((text.to_vec(), settled));
                (!holds_the_word(text)).then_some(()).ok_or(DENIAL)
            }
            Request::TooLong { .. } => Err(DENIAL),
            Request::Execute => (!self.deny_execute).then_some(()).ok_or(DENIAL),
            Request::FunctionCall { oid } => (oid == 1).then_some(()).ok_or(DENIAL),
        }
    }

    fn uninspectable(&mut self, reason: Uninspectable) -> Result<(), Denial> {
        self.unseen.push(reason);
        self.allow_unseen.then_some(()).ok_or(DENIAL)
    }

    fn backend_key(&mut self, process_id: u32, secret_key: &[u8]) {
        self.keys.push((process_id, secret_key.to_vec()));
    }

    fn parameter(&mut self, name: &[u8], value: Option<&[u8]>) {
        self.parameters
            .push((name.to_vec(), value.map(<[u8]>::to_vec)));
    }

    fn ready(&mut self, _: TransactionStatus, _: bool) {
        self.ready += 1;
    }

    fn label(&self, _: Denial) -> &str {
        "rule"
    }

    fn trace_parent(&self, text: &[u8]) -> Option<TraceParent> {
        sqlcommenter::tags(text, &LexerOptions::default()).trace_parent()
    }

    fn refusal(&self, denial: Denial) -> Refusal {
        Refusal {
            sqlstate: *b"42501",
            message: format!("refused by {}", denial.code),
            detail: String::new(),
            hint: String::new(),
        }
    }

    fn may_hold(&mut self, _: usize) -> bool {
        true
    }
}

struct Connection {
    gate: Gate,
    judge: ByWord,
    /// What has reached the server, and the client.
    to_server: Vec<u8>,
    to_client: Vec<u8>,
}

impl Connection {
    fn new(judge: ByWord) -> Self {
        Self {
            gate: Gate::new(Limits { held: HELD }, (1, 2)),
            judge,
            to_server: Vec::new(),
            to_client: Vec::new(),
        }
    }

    /// Past a StartupMessage and the first ReadyForQuery.
    fn open(judge: ByWord) -> Self {
        let mut open = Self::new(judge);
        open.client(&startup());
        open.server(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I");
        assert_eq!(open.to_server, startup());
        open.to_server.clear();
        open.to_client.clear();
        open
    }

    /// One callback of the host: what can be skipped is, as the filter does.
    fn pass(&mut self, direction: Direction, bytes: &[u8]) {
        let mut edits = Edits::default();
        let mut at = 0;
        while at < bytes.len() {
            let skip = usize::try_from(self.gate.skip(direction)).unwrap_or(usize::MAX);
            let skip = skip.min(bytes.len() - at);
            if skip > 0 {
                self.gate.skipped(direction, at, skip, &mut edits);
                at += skip;
                continue;
            }
            let window = &bytes[at..bytes.len().min(at + 64)];
            match direction {
                Direction::Frontend => self.gate.frontend(window, at, &mut self.judge, &mut edits),
                Direction::Backend => self.gate.backend(window, at, &mut self.judge, &mut edits),
            }
            at += window.len();
        }
        let passed = edits.apply(bytes);
        if let Some((dropped, inserted)) = edits.as_prefix() {
            assert_eq!(passed, [inserted, &bytes[dropped..]].concat());
        }
        if edits.is_empty() {
            assert_eq!(passed, bytes);
        }
        match direction {
            Direction::Frontend => self.to_server.extend(passed),
            Direction::Backend => self.to_client.extend(passed),
        }
    }

    fn client(&mut self, bytes: &[u8]) {
        self.pass(Direction::Frontend, bytes);
    }

    fn server(&mut self, bytes: &[u8]) {
        self.pass(Direction::Backend, bytes);
    }

    /// The token in what the server has got last.
    fn token(&self) -> String {
        let text = String::from_utf8_lossy(&self.to_server);
        let start = text.rfind("pgmesh_denied_").expect("a token");
        text[start..].split('\0').next().unwrap().to_owned()
    }
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[tag][..], &length.to_be_bytes(), body].concat()
}

fn query(text: &str) -> Vec<u8> {
    message(b'Q', format!("{text}\0").as_bytes())
}

fn parse(name: &str, text: &str) -> Vec<u8> {
    message(b'P', format!("{name}\0{text}\0\0\0").as_bytes())
}

fn packet(code: u32, rest: &[u8]) -> Vec<u8> {
    let length = u32::try_from(rest.len() + 8).unwrap();
    [&length.to_be_bytes()[..], &code.to_be_bytes(), rest].concat()
}

fn startup() -> Vec<u8> {
    packet(196_608, b"user\0u\0\0")
}

fn syntax_error(token: &str) -> Vec<u8> {
    let body =
        format!("SFEHLER\0VERROR\0C42601\0MSyntaxfehler bei \u{bb}{token}\u{ab}\0P1\0Fscan.l\0\0");
    message(b'E', body.as_bytes())
}

fn fields(error: &[u8]) -> String {
    String::from_utf8_lossy(&error[5..]).replace('\0', "|")
}

#[test]
fn the_trace_of_a_denied_text_stands_behind_its_token_and_nothing_else_of_it() {
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let text = format!("denied /*route='%2Fpay',traceparent='{parent}'*/");
    for (sent, tail) in [(query(&text), "\0"), (parse("s", &text), "\0\0\0")] {
        let mut connection = Connection::open(ByWord::default());
        connection.client(&sent);
        let received = String::from_utf8_lossy(&connection.to_server).into_owned();
        let token = connection.token();
        let (token, comment) = token.split_once(' ').expect("a comment");
        assert_eq!(comment, format!("/*traceparent='{parent}'*/"));
        assert!(
            received.ends_with(&format!("{token} {comment}{tail}")),
            "{received}"
        );
        connection.server(&syntax_error(token));
        let told = String::from_utf8_lossy(&connection.to_client).into_owned();
        assert!(!told.contains("pgmesh_denied"), "{told}");
    }
    // A hostile value is no trace context.
    let mut connection = Connection::open(ByWord::default());
    connection.client(&query("denied /*traceparent='00-*/ select 1 /*-01'*/"));
    assert!(!connection.token().contains(' '), "{}", connection.token());
}

#[test]
fn what_the_judge_allows_passes_unchanged() {
    let mut connection = Connection::open(ByWord::default());
    let sent = [
        query("select 1"),
        parse("s", "select $1"),
        message(b'B', b"\0s\0\0\0\0\0\0\0"),
        message(b'E', b"\0\0\0\0\0"),
        message(b'S', b""),
        message(b'd', &[7; 1000]),
        message(b'F', b"\0\0\0\x01\0\0\0\0\0\0"),
    ]
    .concat();
    connection.client(&sent);
    assert_eq!(connection.to_server, sent);
}

#[test]
fn a_denied_query_becomes_a_token_and_its_answer_our_error() {
    let mut connection = Connection::open(ByWord::default());
    connection.client(&[query("select denied"), query("select 1")].concat());
    let token = connection.token();
    let expected = [query(&token), query("select 1")].concat();
    assert_eq!(connection.to_server, expected);
    connection.server(&[syntax_error(&token), message(b'Z', b"I")].concat());
    let (error, ready) = connection
        .to_client
        .split_at(connection.to_client.len() - 6);
    assert_eq!(fields(error), "SFEHLER|VERROR|C42501|Mrefused by 3||");
    assert_eq!(ready, b"Z\0\0\0\x05I");
}

#[test]
fn a_denied_parse_keeps_its_name_and_a_denied_execute_becomes_a_parse() {
    let mut connection = Connection::open(ByWord {
        deny_execute: true,
        ..ByWord::default()
    });
    connection.client(&parse("s1", "denied"));
    let token = connection.token();
    assert_eq!(connection.to_server, parse("s1", &token));
    connection.to_server.clear();
    connection.client(&message(b'E', b"portal\0\0\0\0\0"));
    let token = connection.token();
    assert_eq!(connection.to_server, parse(&token, &token));
}

#[test]
fn a_denied_function_call_becomes_a_query() {
    let mut connection = Connection::open(ByWord::default());
    connection.client(&message(b'F', &[0, 0, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8]));
    let token = connection.token();
    assert_eq!(connection.to_server, query(&token));
}

#[test]
fn a_text_that_is_too_long_is_swallowed_by_its_length() {
    let mut connection = Connection::open(ByWord::default());
    let long = "x".repeat(10 * HELD);
    connection.client(&[query(&long), query("select 1")].concat());
    let token = connection.token();
    let expected = [query(&token), query("select 1")].concat();
    assert_eq!(connection.to_server, expected);
    assert!(connection.gate.held_bytes() <= HELD + 1024);
}

#[test]
fn an_error_that_only_looks_like_ours_passes_unchanged() {
    let mut connection = Connection::open(ByWord::default());
    connection.client(&query("select denied"));
    let error = syntax_error("pgmesh_denied_rule_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    connection.server(&error);
    assert_eq!(connection.to_client, error);
}

#[test]
fn a_refused_startup_is_one_the_server_refuses_and_what_follows_is_lost() {
    let mut connection = Connection::new(ByWord {
        deny_startup: true,
        ..ByWord::default()
    });
    connection.client(&[startup(), query("select 1")].concat());
    assert_eq!(connection.to_server, [0, 0, 0, 8, 0, 9, 0, 0]);
    connection.server(&message(b'E', b"SFATAL\0VFATAL\0C0A000\0Munsupported\0\0"));
    assert_eq!(
        fields(&connection.to_client),
        "SFATAL|VFATAL|C42501|Mrefused by 3||"
    );
}

#[test]
fn a_startup_can_be_rewritten() {
    let other = packet(196_608, b"user\0v\0\0");
    let mut connection = Connection::new(ByWord {
        rewrite_startup: Some(other.clone()),
        ..ByWord::default()
    });
    connection.client(&startup());
    assert_eq!(connection.to_server, other);
}

#[test]
fn tls_that_the_server_accepts_is_refused_with_an_error_in_its_place() {
    let mut connection = Connection::new(ByWord::default());
    connection.client(&packet(80_877_103, b""));
    connection.server(b"S");
    assert_eq!(connection.judge.unseen, [Uninspectable::Tls]);
    assert_eq!(
        fields(&connection.to_client),
        "SFATAL|VFATAL|C42501|Mrefused by 3||"
    );
    assert!(connection.gate.is_doomed());
    connection.to_server.clear();
    connection.client(b"\x16\x03\x01");
    assert_eq!(connection.to_server, b"");
}

#[test]
fn tls_that_the_server_declines_leads_to_a_startup_in_the_clear() {
    let mut connection = Connection::new(ByWord::default());
    connection.client(&packet(80_877_104, b""));
    connection.server(b"N");
    connection.client(&packet(80_877_103, b""));
    connection.server(b"N");
    connection.client(&startup());
    assert_eq!(connection.to_client, b"NN");
    assert!(connection.to_server.ends_with(&startup()));
    assert_eq!(connection.judge.unseen, []);
}

#[test]
fn what_cannot_be_seen_passes_if_the_judge_lets_it() {
    let mut connection = Connection::new(ByWord {
        allow_unseen: true,
        ..ByWord::default()
    });
    connection.client(&packet(80_877_103, b""));
    connection.server(b"S\x16");
    connection.client(b"\x16\x03denied");
    assert!(connection.to_server.ends_with(b"\x16\x03denied"));
    assert_eq!(connection.to_client, b"S\x16");
}

#[test]
fn first_bytes_that_are_not_postgresql_are_refused_by_reason() {
    type Case = (&'static [u8], Uninspectable);
    let cases: [Case; 5] = [
        (b"\x16\x03\x01\x02\0", Uninspectable::DirectTls),
        (b"GET / HTTP/1.1\r\n", Uninspectable::NotPostgresql),
        (b"\0\0\0\x08\0\x02\0\0", Uninspectable::NotPostgresql),
        (b"\0\0\0\x04\0\x03\0\0", Uninspectable::NotPostgresql),
        (b"\0\0\0\x09\0\x03\0\0x", Uninspectable::NotPostgresql),
    ];
    for (bytes, reason) in cases {
        let mut connection = Connection::new(ByWord::default());
        connection.client(bytes);
        assert_eq!(connection.judge.unseen, [reason], "{bytes:?}");
        assert_eq!(connection.to_server, [0, 0, 0, 8, 0, 9, 0, 0], "{bytes:?}");
    }
}

#[test]
fn a_second_request_for_tls_is_refused() {
    let mut connection = Connection::new(ByWord::default());
    connection.client(&[packet(80_877_103, b""), packet(80_877_103, b"")].concat());
    assert_eq!(connection.judge.unseen, [Uninspectable::NotPostgresql]);
}

#[test]
fn a_client_out_of_step_is_ended_by_the_server() {
    for bytes in [
        b"\x07\0\0\0\x04".to_vec(),
        message(b'S', b"x"),
        message(b'Q', b"no zero"),
        message(b'Q', b"select 1\0select 2\0"),
        message(b'P', b"s\0select 1\0\0\x01"),
    ] {
        let mut connection = Connection::open(ByWord::default());
        connection.client(&[bytes.clone(), query("select 1")].concat());
        assert_eq!(
            connection.judge.unseen,
            [Uninspectable::FrontendDesync],
            "{bytes:?}"
        );
        assert_eq!(
            connection.to_server,
            [1, 0, 0, 0, 4, 1, 0, 0, 0, 4],
            "{bytes:?}"
        );
        connection.server(&message(b'E', b"VERROR\0C08P01\0Munexpected in COPY\0\0"));
        let copy = connection.to_client.len();
        assert!(fields(&connection.to_client).contains("COPY"));
        connection.server(&message(b'E', b"VFATAL\0C08P01\0Minvalid type\0\0"));
        assert!(fields(&connection.to_client[copy..]).contains("Mrefused by 3"));
    }
}

#[test]
fn nothing_passes_behind_terminate_or_a_cancel_request() {
    let mut connection = Connection::open(ByWord::default());
    connection.client(&[message(b'X', b""), query("select 1")].concat());
    assert_eq!(connection.to_server, message(b'X', b""));

    let cancel = packet(80_877_102, &[0, 0, 0, 1, 9, 9, 9, 9]);
    let mut connection = Connection::new(ByWord::default());
    connection.client(&[cancel.clone(), startup()].concat());
    assert_eq!(connection.to_server, cancel);

    let unknown = packet(80_877_102, &[0, 0, 0, 2, 9, 9, 9, 9]);
    let mut connection = Connection::new(ByWord::default());
    connection.client(&unknown);
    assert_eq!(connection.to_server, b"");
    assert!(connection.gate.is_doomed());
}

#[test]
fn what_the_server_reports_reaches_the_judge() {
    let mut connection = Connection::open(ByWord::default());
    let long = [&b"search_path\0"[..], &[b'x'; 5000], &[0]].concat();
    connection.server(
        &[
            message(b'S', b"client_encoding\0UTF8\0"),
            message(b'S', &long),
            message(b'K', b"\0\0\0\x05abcd"),
            message(b'Z', b"T"),
        ]
        .concat(),
    );
    let judge = &connection.judge;
    assert_eq!(
        judge.parameters,
        [
            (b"client_encoding".to_vec(), Some(b"UTF8".to_vec())),
            (b"search_path".to_vec(), None)
        ]
    );
    assert_eq!(judge.keys, [(5, b"abcd".to_vec())]);
    assert_eq!(judge.ready, 2);
}

#[test]
fn a_request_is_settled_only_once_all_before_it_is_answered() {
    let mut connection = Connection::open(ByWord::default());
    let settled = |connection: &Connection| connection.judge.texts.last().unwrap().1;
    connection.client(&query("a"));
    assert!(settled(&connection));
    connection.client(&query("b"));
    assert!(!settled(&connection));
    connection.server(&[message(b'Z', b"I"), message(b'Z', b"I")].concat());
    connection.client(&parse("", "c"));
    assert!(settled(&connection));
    connection.client(&parse("", "d"));
    assert!(!settled(&connection), "no Sync was sent");
    connection.client(&message(b'S', b""));
    connection.client(&parse("", "e"));
    assert!(!settled(&connection), "it was not answered");
    connection.server(&message(b'Z', b"I"));
    connection.client(&message(b'S', b""));
    connection.server(&message(b'Z', b"I"));
    connection.client(&query("f"));
    assert!(settled(&connection));
}

/// The server takes no notice of a Sync while it waits for rows, and says so to nobody.
#[test]
fn a_sync_that_a_copy_passes_over_is_not_waited_for() {
    let asks = [
        parse("", "copy"),
        message(b'B', b"\0\0\0\0\0\0\0\0"),
        message(b'E', b"\0\0\0\0\0"),
        message(b'S', b""),
    ]
    .concat();
    let waits = [
        message(b'1', b""),
        message(b'2', b""),
        message(b'G', b"\0\0\0"),
    ]
    .concat();
    let complete = message(b'C', b"COPY 1\0");
    let (row, done, sync) = (
        message(b'd', b"1\n"),
        message(b'c', b""),
        message(b'S', b""),
    );
    let ready = message(b'Z', b"I");
    let start = || {
        let mut connection = Connection::open(ByWord::default());
        connection.client(&asks);
        connection.server(&waits);
        connection
    };
    let settled = |connection: &mut Connection| {
        connection.client(&query("next"));
        connection.judge.texts.last().unwrap().1
    };

    let mut connection = start();
    connection.client(&[row.clone(), done.clone(), sync.clone()].concat());
    connection.server(&[complete.clone(), ready.clone()].concat());
    assert!(settled(&mut connection));

    let mut connection = start();
    connection.client(&[row.clone(), done.clone()].concat());
    connection.server(&complete);
    assert!(
        !settled(&mut connection),
        "what it changed is not reported yet"
    );

    let mut connection = start();
    connection.client(&[row.clone(), done.clone()].concat());
    connection.server(&complete);
    connection.client(&sync);
    connection.server(&ready);
    assert!(settled(&mut connection));

    let mut connection = start();
    connection.client(&[row.clone(), done.clone(), sync.clone()].concat());
    let failed = message(b'E', b"SERROR\0\0");
    connection.server(&[failed, ready.clone()].concat());
    assert!(!settled(&mut connection), "the Sync may have been answered");

    let mut connection = start();
    connection.client(&[done.clone(), sync.clone(), asks.clone(), done.clone()].concat());
    connection.server(&[complete.clone(), ready].concat());
    assert!(!settled(&mut connection), "another COPY is under way");
    connection.server(&[waits, complete].concat());
    assert!(!settled(&mut connection));
}

#[test]
fn a_server_that_cannot_fork_is_heard() {
    let mut connection = Connection::new(ByWord::default());
    connection.client(&startup());
    connection.server(b"Ecould not fork new process\n\0");
    assert_eq!(connection.to_client, b"Ecould not fork new process\n\0");
}

#[test]
fn a_server_out_of_step_is_cut_off() {
    let mut connection = Connection::open(ByWord::default());
    connection.server(b"\x07\0\0\0\x04secret");
    assert_eq!(connection.to_client, b"");
    assert_eq!(connection.judge.unseen, [Uninspectable::BackendDesync]);
    assert!(connection.gate.is_doomed());
}

/// A message of a client, well-formed or not.
fn frontend_message() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        Just("select 1".to_owned()),
        Just("denied".to_owned()),
        "[a-z' ]{0,40}",
        "[a-z]{280,320}",
        "[a-z]{900,1000}"
    ];
    prop_oneof![
        4 => word.clone().prop_map(|text| query(&text)),
        4 => ("[a-z]{0,5}", word).prop_map(|(name, text)| parse(&name, &text)),
        1 => Just(message(b'S', b"")),
        1 => Just(message(b'E', b"\0\0\0\0\0")),
        1 => (0..200_usize).prop_map(|size| message(b'd', &vec![b'Q'; size])),
        1 => Just(message(b'B', b"\0denied\0\0\0\0\0\0\0")),
        1 => (0..3_u8).prop_map(|oid| message(b'F', &[0, 0, 0, oid, 0, 0, 0, 0, 0, 0])),
        1 => Just(message(b'X', b"")),
        1 => proptest::collection::vec(any::<u8>(), 1..20),
    ]
}

/// What a server would run of these bytes: it reads them as it does any client's.
fn texts_run(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut texts = Vec::new();
    while let Some((header, rest)) = bytes.split_first_chunk() {
        let Ok((name, length)) = tagged_header(Direction::Frontend, *header) else {
            return texts;
        };
        let Some((body, after)) = rest.split_at_checked(length) else {
            return texts;
        };
        match name {
            MessageName::Query => texts.push(body.to_vec()),
            MessageName::Parse => {
                let name = body.iter().position(|byte| *byte == 0).unwrap_or(0);
                texts.push(body[name + 1..].to_vec());
            }
            MessageName::FunctionCall if body.get(..4) != Some(&[0, 0, 0, 1]) => {
                texts.push(b"denied function".to_vec());
            }
            MessageName::Terminate => return texts,
            _ => {}
        }
        bytes = after;
    }
    texts
}

fn cut(bytes: &[u8], places: &[prop::sample::Index]) -> Vec<Vec<u8>> {
    let mut at: Vec<_> = places
        .iter()
        .map(|place| place.index(bytes.len() + 1))
        .collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2)
        .map(|pair| bytes[pair[0]..pair[1]].to_vec())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn no_denied_text_reaches_the_server_and_any_split_is_the_same(
        messages in proptest::collection::vec(frontend_message(), 1..12),
        places in proptest::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let sent = messages.concat();
        let mut whole = Connection::open(ByWord::default());
        whole.client(&sent);
        let mut split = Connection::open(ByWord::default());
        for piece in cut(&sent, &places) {
            split.client(&piece);
            prop_assert!(split.gate.held_bytes() <= 2 * (HELD + 5).max(1024));
        }
        // A message that has not come to its end is held by the one and may have passed by the
        // other; what a server would run of it is the same.
        for connection in [&whole, &split] {
            for text in texts_run(&connection.to_server) {
                let token = text.starts_with(b"pgmesh_denied_");
                prop_assert!(token || !holds_the_word(&text), "{}", String::from_utf8_lossy(&text));
            }
        }
        prop_assert_eq!(texts_run(&whole.to_server), texts_run(&split.to_server));
        prop_assert_eq!(&whole.judge.texts, &split.judge.texts);
    }

    #[test]
    fn no_bytes_of_either_side_break_the_gate(
        pieces in proptest::collection::vec(
            (any::<bool>(), proptest::collection::vec(any::<u8>(), 0..200)), 0..20),
        open in any::<bool>(),
        allow_unseen in any::<bool>(),
    ) {
        let judge = ByWord { allow_unseen, ..ByWord::default() };
        let mut connection = if open { Connection::open(judge) } else { Connection::new(judge) };
        for (client, bytes) in pieces {
            if client { connection.client(&bytes) } else { connection.server(&bytes) }
        }
        for text in texts_run(&connection.to_server) {
            let token = text.starts_with(b"pgmesh_denied_");
            prop_assert!(allow_unseen || token || !holds_the_word(&text));
        }
    }

    #[test]
    fn answers_in_any_split_reach_the_client_the_same(
        places in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut whole = Connection::open(ByWord::default());
        let mut split = Connection::open(ByWord::default());
        for connection in [&mut whole, &mut split] {
            connection.client(&query("denied"));
        }
        let answer = [
            message(b'N', b"VNOTICE\0C00000\0Mhello\0\0"),
            syntax_error(&whole.token()),
            message(b'S', b"search_path\0public\0"),
            message(b'Z', b"I"),
        ]
        .concat();
        whole.server(&answer);
        for piece in cut(&answer, &places) {
            split.server(&piece);
        }
        prop_assert_eq!(&whole.to_client, &split.to_client);
        prop_assert_eq!(&whole.judge.parameters, &split.judge.parameters);
        prop_assert_eq!(whole.judge.ready, split.judge.ready);
        prop_assert!(!String::from_utf8_lossy(&split.to_client).contains("pgmesh_denied"));
    }
}

#[test]
fn what_is_held_of_a_text_takes_no_more_room_than_the_limit() {
    for piece in [1, 7, 64] {
        let mut connection = Connection::open(ByWord::default());
        let sent = query(&"x".repeat(10 * HELD));
        for bytes in sent.chunks(piece) {
            connection.client(bytes);
            assert!(connection.gate.held_bytes() <= HELD + 5, "{piece}");
        }
    }
}
