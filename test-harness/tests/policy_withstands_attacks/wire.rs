//! What an attacker can do with the protocol itself: bytes that no driver sends.

use std::net::SocketAddr;
use std::time::Duration;

use test_harness::net::Client;
use test_harness::net::messages::{
    self, GSSENC_REQUEST, PROTOCOL_3_0, SSL_REQUEST, bind, copy_data, copy_done, execute, message,
    parse, query, request, sync, terminate,
};

use crate::ground::{answer, session, startup};

const STEAL: &str = "select note from app.payments";
/// Reads the table where backslashes escape, and is one literal where they do not.
const STEAL_OFF: &str = r"select '\'', note from app.payments --'";
/// The other way round.
const STEAL_ON: &str = r"select '\', note from app.payments --'";
/// In Shift JIS the second byte of the character is no backslash, and the quote ends the literal.
const STEAL_SJIS: &[u8] = b"select E'\x95\\', note from app.payments --'\0";
const OFF: &str = "set standard_conforming_strings = off";
const OFF_VIEW: &str =
    "create view loot.off as select set_config('standard_conforming_strings', 'off', false)";
const OFF_CURSOR: &str =
    "declare c cursor for select set_config('standard_conforming_strings', 'off', false)";
const OFF_DOMAIN: &str = "create domain loot.off as text \
    check (set_config('standard_conforming_strings', 'off', false) is not null)";
const SJIS_VIEW: &str =
    "create view loot.sjis as select set_config('client_encoding', 'sjis', false)";

/// What the attacker sends, and when.
pub enum Step {
    /// These bytes, without waiting for anything.
    Send(Vec<u8>),
    /// A Query whose answer is waited for.
    Ask(&'static str),
    /// One untagged byte is waited for.
    Byte,
    /// The client says no more.
    HalfClose,
    /// It stays, and listens.
    Stay,
}

use Step::{Ask, Byte, HalfClose, Send, Stay};

/// An attack by name: whether the session is opened first, and what is sent then.
pub type Attack = (&'static str, bool, Vec<Step>);

/// Parse, Bind and Execute, without a Sync.
pub fn extended(text: &str) -> Vec<u8> {
    [parse("", text), bind("", "", &[]), execute("", 0)].concat()
}

fn sends(parts: &[Vec<u8>]) -> Vec<Step> {
    vec![Send(parts.concat())]
}

/// A message that says it has another length than it has.
fn lying(tag: u8, length: u32, body: &[u8]) -> Vec<u8> {
    [&[tag][..], &length.to_be_bytes(), body].concat()
}

/// What comes to nothing on the server itself either: it ends the session, or skips what follows.
pub const FUTILE: &[&str] = &[
    // A blank from PostgreSQL 16 on.
    "a whole server behind a blank that not everybody knows",
    "a Query behind Terminate",
    "a second StartupMessage",
    "a StartupMessage behind SSLRequest",
    "one behind GSSENCRequest",
    "one behind both, each answered",
    "two SSLRequests",
    "a second text behind a zero",
    "a text without its zero",
    "a Parse with a second text",
    "a Query shorter than it says",
    "a Query longer than it says",
    "a length of less than itself",
    "a negative length",
    "a length of nothing",
    "a tag that is none",
    "a StartupMessage for a tag",
    "a Query while rows are expected",
    "half a Query and no more",
];

/// FunctionCall without arguments.
fn function_call(oid: u32) -> Vec<u8> {
    let body = [&oid.to_be_bytes()[..], &[0; 4], &[0, 0]].concat();
    message(b'F', &body)
}

pub fn attacks(peek: u32) -> Vec<Attack> {
    let steal = || query(STEAL);
    let long = format!("select '{}', note from app.payments", "x".repeat(2 << 20));
    let mut attacks: Vec<Attack> = vec![
        (
            "escape strings in a pipeline",
            true,
            sends(&[query(OFF), query(STEAL_OFF)]),
        ),
        (
            "the same in extended messages",
            true,
            sends(&[extended(OFF), extended(STEAL_OFF), sync()]),
        ),
        (
            "the same behind the StartupMessage",
            false,
            sends(&[startup(&[]), query(OFF), query(STEAL_OFF)]),
        ),
        (
            "escape strings from the start",
            false,
            sends(&[
                startup(&[("standard_conforming_strings", "off")]),
                query(STEAL_OFF),
            ]),
        ),
        (
            "escape strings by options",
            false,
            sends(&[
                startup(&[("options", "-c standard_conforming_strings=off")]),
                query(STEAL_OFF),
            ]),
        ),
        (
            "escape strings by a view",
            true,
            vec![
                Ask(OFF_VIEW),
                Send([query("table loot.off"), query(STEAL_OFF)].concat()),
            ],
        ),
        (
            "escape strings by a statement prepared before",
            true,
            vec![
                Send([parse("s", OFF), sync()].concat()),
                Send([bind("", "s", &[]), execute("", 0), query(STEAL_OFF)].concat()),
            ],
        ),
        (
            "escape strings by a statement of PREPARE, run by messages",
            true,
            vec![
                Ask("prepare s as select set_config('standard_conforming_strings', 'off', false)"),
                Ask("show work_mem"),
                Send([bind("", "s", &[]), execute("", 0), query(STEAL_OFF)].concat()),
            ],
        ),
        (
            "escape strings by a cursor, run by a message",
            true,
            vec![
                Ask("begin"),
                Ask(OFF_CURSOR),
                Ask("show work_mem"),
                Send([execute("c", 0), query(STEAL_OFF)].concat()),
            ],
        ),
        (
            "escape strings by a value that is bound",
            true,
            vec![
                Ask(OFF_DOMAIN),
                Ask("prepare s (loot.off) as select $1"),
                Ask("show work_mem"),
                Send([bind("", "s", &["x"]), query(STEAL_OFF)].concat()),
            ],
        ),
        (
            "a search path by a statement of PREPARE, run by messages",
            true,
            vec![
                Ask("prepare s as select set_config('search_path', 'app', false)"),
                Ask("show work_mem"),
                Send([bind("", "s", &[]), execute("", 0), query("table payments")].concat()),
            ],
        ),
        (
            "escape strings that a rollback takes back",
            true,
            vec![
                Ask("begin"),
                Ask(OFF),
                Send([query("rollback"), query(STEAL_ON)].concat()),
            ],
        ),
        (
            "an unsafe encoding in a pipeline",
            true,
            sends(&[
                query("set client_encoding = sjis"),
                message(b'Q', STEAL_SJIS),
            ]),
        ),
        (
            "an unsafe encoding by a view",
            true,
            vec![
                Ask(SJIS_VIEW),
                Send([query("table loot.sjis"), message(b'Q', STEAL_SJIS)].concat()),
            ],
        ),
        (
            "an unsafe encoding from the start",
            false,
            sends(&[
                startup(&[("client_encoding", "sjis")]),
                message(b'Q', STEAL_SJIS),
            ]),
        ),
        (
            "an unsafe encoding, settled",
            true,
            vec![
                Ask("set client_encoding = sjis"),
                Send(message(b'Q', STEAL_SJIS)),
            ],
        ),
        (
            "a Query behind the StartupMessage",
            false,
            sends(&[startup(&[]), steal()]),
        ),
        (
            "a Query behind Terminate",
            true,
            sends(&[terminate(), steal()]),
        ),
        (
            "a second StartupMessage",
            false,
            sends(&[startup(&[]), startup(&[]), steal()]),
        ),
        (
            "a StartupMessage behind SSLRequest",
            false,
            sends(&[request(SSL_REQUEST), startup(&[]), steal()]),
        ),
        (
            "one behind GSSENCRequest",
            false,
            sends(&[request(GSSENC_REQUEST), startup(&[]), steal()]),
        ),
        (
            "one behind both, each answered",
            false,
            vec![
                Send(request(SSL_REQUEST)),
                Byte,
                Send(request(GSSENC_REQUEST)),
                Byte,
                Send([startup(&[]), steal()].concat()),
            ],
        ),
        (
            "two SSLRequests",
            false,
            sends(&[
                request(SSL_REQUEST),
                request(SSL_REQUEST),
                startup(&[]),
                steal(),
            ]),
        ),
        (
            "the user twice",
            false,
            sends(&[
                messages::startup(
                    PROTOCOL_3_0,
                    &[
                        ("user", "postgres"),
                        ("user", "mallory"),
                        ("database", "postgres"),
                    ],
                ),
                steal(),
            ]),
        ),
        (
            "a user longer than names are",
            false,
            sends(&[
                messages::startup(
                    PROTOCOL_3_0,
                    &[("user", &"m".repeat(70)), ("database", "postgres")],
                ),
                steal(),
            ]),
        ),
        (
            "a second text behind a zero",
            true,
            sends(&[message(b'Q', b"select 1\0select note from app.payments\0")]),
        ),
        (
            "a text without its zero",
            true,
            sends(&[message(b'Q', STEAL.as_bytes())]),
        ),
        (
            "a Parse with a second text",
            true,
            sends(&[
                message(b'P', b"\0select 1\0select note from app.payments\0\0\0"),
                bind("", "", &[]),
                execute("", 0),
                sync(),
            ]),
        ),
        (
            "a Query shorter than it says",
            true,
            vec![Send(lying(b'Q', 4000, STEAL.as_bytes())), HalfClose],
        ),
        (
            "a Query longer than it says",
            true,
            sends(&[
                lying(b'Q', 12, b"select 1;select note from app.payments\0"),
                steal(),
            ]),
        ),
        (
            "a length of less than itself",
            true,
            sends(&[lying(b'S', 3, &[]), steal()]),
        ),
        (
            "a negative length",
            true,
            sends(&[lying(b'd', u32::MAX, &[]), steal()]),
        ),
        (
            "a length of nothing",
            true,
            sends(&[lying(b'H', 0, &[]), steal()]),
        ),
        (
            "a tag that is none",
            true,
            sends(&[message(b'?', &[]), steal()]),
        ),
        (
            "a StartupMessage for a tag",
            true,
            sends(&[startup(&[]), steal()]),
        ),
        (
            "a Query in CopyData",
            true,
            sends(&[copy_data(&steal()), steal()]),
        ),
        (
            "a Query while rows are expected",
            true,
            sends(&[
                query("copy app.orders from stdin"),
                steal(),
                copy_done(),
                steal(),
            ]),
        ),
        (
            "rows that look like a Query",
            true,
            sends(&[
                query("copy app.orders from stdin"),
                copy_data(&steal()),
                message(b'f', b"enough\0"),
                steal(),
            ]),
        ),
        (
            "half a Query and no more",
            true,
            vec![Send(steal()[..20].to_vec()), HalfClose],
        ),
        ("a Query and no more", true, vec![Send(steal()), HalfClose]),
        (
            "a function by its number",
            true,
            sends(&[function_call(peek)]),
        ),
        (
            "a function in a pipeline",
            true,
            sends(&[extended("select 1"), function_call(peek), sync()]),
        ),
        (
            "a text longer than is held",
            true,
            sends(&[query(&long), query("select 1")]),
        ),
        ("the same by Parse", true, sends(&[extended(&long), sync()])),
        (
            "while a denial is in flight",
            true,
            sends(&[
                steal(),
                steal(),
                extended(STEAL),
                sync(),
                query("select 1"),
                steal(),
            ]),
        ),
        (
            "a statement of a denied Parse",
            true,
            sends(&[
                parse("s", STEAL),
                sync(),
                bind("", "s", &[]),
                execute("", 0),
                sync(),
            ]),
        ),
        (
            "an old statement under a new name",
            true,
            sends(&[
                parse("", "select 1"),
                parse("", STEAL),
                bind("", "", &[]),
                execute("", 0),
                sync(),
            ]),
        ),
        (
            "SQL of a walsender",
            false,
            sends(&[startup(&[("replication", "database")]), steal()]),
        ),
        (
            "rows by logical replication",
            false,
            vec![
                Send(startup(&[("replication", "database")])),
                Send(query("START_REPLICATION SLOT changes LOGICAL 0/0")),
                Stay,
            ],
        ),
        (
            "a whole server behind a blank that not everybody knows",
            false,
            vec![
                Send(startup(&[("replication", "on")])),
                Send(query("\u{b}BASE_BACKUP (CHECKPOINT 'fast', WAIT false)")),
                Stay,
            ],
        ),
        (
            "a walsender that says it twice",
            false,
            sends(&[
                startup(&[("replication", "database"), ("replication", "on")]),
                steal(),
            ]),
        ),
    ];
    for options in [
        "-c search_path=app",
        "-csearch_path=app",
        "--search_path=app",
        "--search-path=app",
        "-c SEARCH_PATH=\\ app",
        "\t-c\n search_path=app",
    ] {
        attacks.push((
            "a search path in options",
            false,
            sends(&[startup(&[("options", options)]), query("table payments")]),
        ));
    }
    attacks
}

/// Carries out an attack in pieces of a size, and gives back all that the server said.
pub fn strike(address: SocketAddr, attack: &Attack, piece: usize) -> Vec<u8> {
    let (_, open, steps) = attack;
    let mut client = match open {
        true => session(address, &[]).expect("the attacker is let in"),
        false => Client::connect(address),
    };
    let mut seen = Vec::new();
    let mut goes = true;
    for step in steps {
        match step {
            // The other side may be gone in the middle of it.
            Send(bytes) => client.try_send_in_pieces(bytes, piece),
            Ask(sql) => {
                client.send(&query(sql));
                seen.extend(answer(&mut client));
            }
            Byte => seen.push(client.read_byte()),
            HalfClose => {
                client.half_close();
                goes = false;
            }
            Stay => goes = false,
        }
    }
    if goes {
        client.try_send_in_pieces(&terminate(), piece);
    }
    // A walsender goes on until it is told; everybody else ends by itself.
    client.patience(Duration::from_secs(2));
    while let Some(message) = client.next_message() {
        seen.push(message.tag);
        seen.extend(message.body);
    }
    seen
}
