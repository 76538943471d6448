//! What an attacker will try, against real servers through a real Envoy, and the server is the
//! judge: a protected table is not read and not written, a protected setting keeps its value.
//! Every attack is first let loose on the server itself, where it must succeed.

mod commands;
mod ground;
mod settings;
mod texts;
mod wire;

use std::net::SocketAddr;

use test_harness::hosts::Version;
use test_harness::net::Client;
use test_harness::net::client::tags;
use test_harness::net::messages::{bind, execute, parse, query, sync, terminate};

use commands::{COMMANDS, DENIED, PREPARATIONS};
use ground::{Ground, answer, session, value};
use settings::{CHANGES, DEFINITIONS, IMPOSED, KEPT, SHOWN};
use texts::{HARMLESS, TEXTS};
use wire::extended;

const PAYMENTS: &str = r#"{"rules": [
    {"name": "payments", "action": "deny", "user": ["mallory", "mmmmmmmmm*"], "tables": ["app.payments"]}
]}"#;

/// How the attacker sends a text.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// Each statement a Query of its own, whose answer is waited for.
    Simple,
    /// The same, a byte at a time.
    Bytes,
    /// All in the text of one Query.
    Joined,
    /// Each by Parse, Bind and Execute.
    Extended,
    /// As Queries, all sent before the first answer comes.
    Pipelined,
}

impl Form {
    const ALL: [Self; 5] = [
        Self::Simple,
        Self::Bytes,
        Self::Joined,
        Self::Extended,
        Self::Pipelined,
    ];

    /// Attacks, and gives back all that the server said.
    fn strike(self, address: SocketAddr, texts: &[String]) -> Vec<u8> {
        let mut client = session(address, &[]).expect("the attacker is let in");
        let mut seen = Vec::new();
        match self {
            Self::Simple | Self::Bytes | Self::Extended => {
                for text in texts {
                    match self {
                        Self::Simple => client.send(&query(text)),
                        Self::Bytes => client.send_in_pieces(&query(text), 1),
                        _ => client.send(&[extended(text), sync()].concat()),
                    }
                    seen.extend(answer(&mut client));
                }
                client.send(&terminate());
            }
            Self::Joined | Self::Pipelined => {
                let bytes = match self {
                    Self::Joined => query(&texts.join(" ; ")),
                    _ => texts.iter().flat_map(|text| query(text)).collect(),
                };
                client.send(&bytes);
                client.send(&terminate());
            }
        }
        while let Some(message) = client.next_message() {
            seen.extend(message.body);
        }
        seen
    }
}

/// Every attack in every form, and then on the server itself; the harm that was done, or was not.
fn strikes(ground: &Ground, version: Version, attacks: &[&[&str]]) -> Vec<String> {
    let mut passed = Vec::new();
    for lines in attacks {
        let made = || {
            lines
                .iter()
                .map(|text| ground.fill_in(text))
                .collect::<Vec<_>>()
        };
        let texts = made();
        for form in Form::ALL {
            let seen = form.strike(ground.through, &texts);
            if let Some(harm) = ground.harm(&seen) {
                passed.push(format!("{version:?} {form:?} {texts:?}: {harm}"));
                ground.restore();
            }
        }
        ground.restore();
        let texts = made();
        let seen = Form::Simple.strike(ground.server.address(), &texts);
        // PostgreSQL 18 as packaged has no XML.
        let has_xml = version == Version::V15 || !texts.iter().any(|text| text.contains("_xml"));
        if ground.harm(&seen).is_none() && has_xml {
            let seen = String::from_utf8_lossy(&seen).replace(char::is_control, " ");
            passed.push(format!("{version:?} {texts:?} does no harm at all: {seen}"));
        }
        ground.restore();
    }
    passed
}

#[test]
fn no_text_reads_or_writes_a_protected_table() {
    let mut passed = Vec::new();
    for version in Version::ALL {
        let ground = Ground::new(version, PAYMENTS);
        passed.extend(strikes(&ground, version, TEXTS));
    }
    assert!(passed.is_empty(), "{}", passed.join("\n"));
}

#[test]
fn no_text_runs_what_is_denied_by_what_it_does() {
    let mut passed = Vec::new();
    for version in Version::ALL {
        let ground = Ground::new(version, DENIED);
        for sql in PREPARATIONS {
            ground.ask(&ground.fill_in(sql));
        }
        passed.extend(strikes(&ground, version, COMMANDS));
    }
    assert!(passed.is_empty(), "{}", passed.join("\n"));
}

#[test]
fn what_has_nothing_to_do_with_it_goes_through() {
    for version in Version::ALL {
        let ground = Ground::new(version, PAYMENTS);
        for text in HARMLESS {
            for form in Form::ALL {
                if matches!(form, Form::Extended) && text.contains("; ") {
                    continue;
                }
                let seen = form.strike(ground.through, &[(*text).to_owned()]);
                let refused = ground::holds(&seen, b"mesh's policy");
                assert!(!refused, "{version:?} {form:?} {text}");
            }
        }
    }
}

/// A policy that imposes settings on everybody.
fn imposing(settings: &[(&str, &str)]) -> String {
    let entries: Vec<String> = settings
        .iter()
        .map(|(name, value)| format!("{name:?}: {value:?}"))
        .collect();
    let set = entries.join(", ");
    format!(r#"{{"rules": [{{"name": "bound", "action": "allow", "set": {{{set}}}}}]}}"#)
}

/// What the settings are after these texts, in a session that began with `more`.
fn after(address: SocketAddr, more: &[(&str, &str)], texts: &[&str]) -> String {
    let mut client = session(address, more).expect("the attacker is let in");
    for text in texts {
        client.send(&query(text));
        answer(&mut client);
    }
    // A transaction that has failed shows nothing.
    let shown = value(&client.query(SHOWN)).or_else(|| {
        client.query("rollback");
        value(&client.query(SHOWN))
    });
    shown.expect("the server shows its settings")
}

#[test]
fn no_text_changes_an_imposed_setting() {
    let writing: Vec<_> = IMPOSED
        .iter()
        .filter(|(name, _)| !name.ends_with("read_only"))
        .copied()
        .collect();
    let kept_writing = KEPT.replace(" on ", " off ");
    let mut changed = Vec::new();
    for version in Version::ALL {
        for (imposed, kept, attempts) in [
            (IMPOSED, KEPT, CHANGES),
            (&writing, &kept_writing, DEFINITIONS),
        ] {
            let ground = Ground::new(version, &imposing(imposed));
            for texts in attempts {
                let found = after(ground.through, &[], texts);
                if found != kept {
                    changed.push(format!("{version:?} {texts:?}: {found}"));
                }
                ground.restore();
                let has_xml = version == Version::V15 || !texts.concat().contains("_xml");
                let found = after(ground.server.address(), imposed, texts);
                if found == kept && has_xml {
                    changed.push(format!("{version:?} {texts:?} changes nothing at all"));
                }
                ground.restore();
            }
            for text in ["discard all", "reset all", "reset role", "set role app"] {
                let found = after(ground.through, &[], &[text]);
                if found != kept {
                    changed.push(format!("{version:?} {text}: {found}"));
                }
            }
        }
    }
    assert!(changed.is_empty(), "{}", changed.join("\n"));
}

#[test]
fn no_bytes_read_or_write_a_protected_table() {
    let mut passed = Vec::new();
    for version in Version::ALL {
        let ground = Ground::new(version, PAYMENTS);
        ground.ask(&format!("create role {} superuser login", "m".repeat(63)));
        let peek = ground.ask("select 'peek'::regproc::oid");
        let attacks = wire::attacks(peek.parse().expect("a number"));
        for attack in &attacks {
            let size = |step: &wire::Step| match step {
                wire::Step::Send(bytes) => bytes.len(),
                _ => 0,
            };
            let bytes: usize = attack.2.iter().map(size).sum();
            let pieces = [1, 7, usize::MAX];
            for piece in pieces.into_iter().filter(|piece| bytes / piece < 1000) {
                let seen = wire::strike(ground.through, attack, piece);
                if let Some(harm) = ground.harm(&seen) {
                    passed.push(format!("{version:?} {} by {piece}: {harm}", attack.0));
                    ground.restore();
                }
            }
            let seen = wire::strike(ground.server.address(), attack, usize::MAX);
            if ground.harm(&seen).is_none() && !wire::FUTILE.contains(&attack.0) {
                passed.push(format!("{version:?} {} does no harm at all", attack.0));
            }
            ground.restore();
        }
    }
    assert!(passed.is_empty(), "{}", passed.join("\n"));
}

/// The fields of the first ErrorResponse that the server sends in answer to these bytes.
fn first_error(client: &mut Client, bytes: &[u8]) -> String {
    client.send(bytes);
    let answer = client.read_until_ready();
    let error = answer.iter().find(|message| message.tag == b'E');
    let error = error.expect("an ErrorResponse");
    String::from_utf8_lossy(&error.body).replace('\0', "|")
}

#[test]
fn a_token_that_the_attacker_has_read_somewhere_is_a_syntax_error() {
    for version in Version::ALL {
        // What is no SQL would be denied too.
        let unread = r#"[{"name": "unread", "action": "allow", "incomplete": true},"#;
        let ground = Ground::new(version, &PAYMENTS.replacen('[', unread, 1));
        let steal = query("table app.payments");
        let mut client = session(ground.through, &[]).expect("the attacker is let in");
        let denied = first_error(&mut client, &steal);
        assert!(
            denied.contains("C42501|") && !denied.contains("pgmesh_"),
            "{denied}"
        );
        let log = ground.server.log();
        let start = log.find("pgmesh_denied_").expect("the server's log has it");
        let length = log[start..].find('"').expect("it is quoted");
        let token = &log[start..start + length];
        let mut changed = token.to_owned();
        changed.replace_range(
            length - 4..length - 3,
            if changed.as_bytes()[length - 4] == b'a' {
                "b"
            } else {
                "a"
            },
        );
        let mut other = session(ground.through, &[]).expect("the attacker is let in");
        let known = first_error(&mut client, &query(token));
        for (token, error) in [
            (token, known),
            (token, first_error(&mut other, &query(token))),
            (&changed, first_error(&mut other, &query(&changed))),
        ] {
            let servers = error.contains("C42601|") && error.contains(token);
            assert!(servers, "{error}");
        }
        // A denial that is under way makes no difference to it.
        client.send(&[query(token), steal.clone(), query(token)].concat());
        for code in ["C42601|", "C42501|", "C42601|"] {
            let answer = client.read_until_ready();
            let error = String::from_utf8_lossy(&answer[0].body).replace('\0', "|");
            assert!(error.contains(code), "{code}: {error}");
        }
        assert_eq!(value(&client.query("select 1")).as_deref(), Some("1"));
    }
}

#[test]
fn denials_come_where_they_belong_and_the_session_goes_on() {
    for version in Version::ALL {
        let ground = Ground::new(version, PAYMENTS);
        let mut client = session(ground.through, &[]).expect("the attacker is let in");
        let steal = "table app.payments";
        let long = format!("select '{}', note from app.payments", "x".repeat(3 << 20));
        for (bytes, expected) in [
            (query(steal), vec!["EZ"]),
            (
                [query("select 1"), query(steal), query("select 2")].concat(),
                vec!["TDCZ", "EZ", "TDCZ"],
            ),
            (
                [
                    extended("select 1"),
                    extended(steal),
                    extended("select 2"),
                    sync(),
                    query("select 3"),
                ]
                .concat(),
                vec!["12DCEZ", "TDCZ"],
            ),
            (
                [
                    parse("s", steal),
                    sync(),
                    bind("", "s", &[]),
                    execute("", 0),
                    sync(),
                ]
                .concat(),
                vec!["EZ", "EZ"],
            ),
            (
                [query(&long), query("select 1")].concat(),
                vec!["EZ", "TDCZ"],
            ),
            (
                [extended(&long), sync(), query("select 1")].concat(),
                vec!["EZ", "TDCZ"],
            ),
            (
                [
                    query("begin"),
                    query(steal),
                    query("select 1"),
                    query("rollback"),
                    query("select 1"),
                ]
                .concat(),
                vec!["CZ", "EZ", "EZ", "CZ", "TDCZ"],
            ),
        ] {
            client.send(&bytes);
            for expected in expected {
                let answer = client.read_until_ready();
                assert_eq!(tags(&answer), expected, "{version:?} {answer:?}");
            }
        }
    }
}
