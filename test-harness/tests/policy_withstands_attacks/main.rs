//! What an attacker will try, against real servers through a real Envoy, and the server is the
//! judge: a protected table is not read and not written, a protected setting keeps its value.
//! Every attack is first let loose on the server itself, where it must succeed.

mod ground;
mod settings;
mod texts;

use std::net::SocketAddr;

use test_harness::hosts::Version;
use test_harness::net::messages::{bind, execute, parse, query, sync, terminate};

use ground::{Ground, answer, session, value};
use settings::{CHANGES, DEFINITIONS, IMPOSED, KEPT, SHOWN};
use texts::{HARMLESS, TEXTS};

const PAYMENTS: &str = r#"{"rules": [
    {"name": "payments", "action": "deny", "user": ["mallory"], "tables": ["app.payments"]}
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
                        _ => client.send(&extended(text)),
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

fn extended(text: &str) -> Vec<u8> {
    [parse("", text), bind("", "", &[]), execute("", 0), sync()].concat()
}

#[test]
fn no_text_reads_or_writes_a_protected_table() {
    let mut passed = Vec::new();
    for version in Version::ALL {
        let ground = Ground::new(version, PAYMENTS);
        for lines in TEXTS {
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
            let has_xml =
                version == Version::V15 || !texts.iter().any(|text| text.contains("_xml"));
            if ground.harm(&seen).is_none() && has_xml {
                let seen = String::from_utf8_lossy(&seen).replace(char::is_control, " ");
                passed.push(format!("{version:?} {texts:?} does no harm at all: {seen}"));
            }
            ground.restore();
        }
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
