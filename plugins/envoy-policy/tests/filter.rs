//! The whole filter in a fake host: what it makes of clients, and what it holds for them.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "tests say what they expect by panicking"
)]

use envoy_policy::PolicyFilter;
use proxy_host::fake::FakeHost;
use proxy_host::{ContextId, Plugin, Runtime};

struct Envoy {
    host: FakeHost,
    runtime: Runtime<PolicyFilter>,
}

fn id(number: u32) -> ContextId {
    ContextId::from(number)
}

const ROOT: u32 = 1;

impl Envoy {
    fn start(policy: &str) -> Self {
        let host = FakeHost::default();
        let mut runtime = Runtime::default();
        runtime.create(id(ROOT), id(0));
        host.buffer.replace(policy.as_bytes().to_vec());
        assert!(runtime.configure(&host, id(ROOT), policy.len()), "{policy}");
        Self { host, runtime }
    }

    /// What goes on of what a client, or the server, sends.
    fn pass(&mut self, connection: u32, from_client: bool, bytes: &[u8]) -> Vec<u8> {
        self.host.buffer.replace(bytes.to_vec());
        let (host, connection) = (&self.host, id(connection));
        if from_client {
            self.runtime
                .downstream_data(host, connection, bytes.len(), false);
        } else {
            self.runtime
                .upstream_data(host, connection, bytes.len(), false);
        }
        self.host.buffer.take()
    }

    fn client(&mut self, connection: u32, bytes: &[u8]) -> Vec<u8> {
        self.pass(connection, true, bytes)
    }

    fn connect(&mut self, connection: u32) {
        self.runtime.create(id(connection), id(ROOT));
    }

    /// A connection that the server has let in.
    fn open(&mut self, connection: u32) {
        self.connect(connection);
        self.client(connection, &startup(&[("user", "u")]));
        self.pass(connection, false, b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I");
    }

    fn property(&self, name: &str) -> String {
        let properties = self.host.properties.borrow();
        let value = properties.get(name).cloned().unwrap_or_default();
        String::from_utf8_lossy(&value).into_owned()
    }
}

fn packet(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap_or(0);
    [&length.to_be_bytes()[..], body].concat()
}

fn startup(parameters: &[(&str, &str)]) -> Vec<u8> {
    let pairs: String = parameters
        .iter()
        .map(|(name, value)| format!("{name}\0{value}\0"))
        .collect();
    packet(&[b"\0\x03\0\0", pairs.as_bytes(), b"\0"].concat())
}

fn query(text: &str) -> Vec<u8> {
    [b"Q", packet(&[text.as_bytes(), b"\0"].concat()).as_slice()].concat()
}

fn holds(bytes: &[u8], part: &str) -> bool {
    bytes
        .windows(part.len())
        .any(|window| window == part.as_bytes())
}

#[test]
fn dry_run_refuses_nobody_and_imposes_nothing() {
    let long = "u".repeat(64);
    let cancel = packet(b"\x04\xd2\x16\x2e\0\0\0\x01\0\0\0\x02");
    let packets = [
        startup(&[("user", "u")]),
        startup(&[("user", &long)]),
        startup(&[("user", "u"), ("options", "-f ih")]),
        startup(&[("user", "u"), ("options", "-c statement_timeout=0")]),
        startup(&[("user", "u"), ("options", "-c role=admin")]),
        startup(&[("user", "u"), ("application_name", "a")]),
        cancel,
        b"\x16\x03\x01 a TLS record".to_vec(),
    ];
    let policy = |mode: &str| {
        format!(
            r#"{{"mode": "{mode}", "protocol_versions": ["3.2"], "cancel": "strict", "default": "deny",
                "rules": [{{"name": "a", "action": "deny", "command": ["SET ROLE"]}},
                    {{"name": "b", "action": "allow", "set": {{"statement_timeout": "5s"}},
                    "application_name": "{{application}}@{{user}}"}}]}}"#
        )
    };
    for packet in packets {
        for (mode, passes) in [("dry_run", true), ("enforce", false)] {
            let mut envoy = Envoy::start(&policy(mode));
            envoy.connect(2);
            assert_eq!(envoy.client(2, &packet) == packet, passes, "{packet:?}");
        }
    }
}

#[test]
fn a_rule_in_dry_run_imposes_nothing() {
    let mut envoy = Envoy::start(
        r#"{"rules": [{"name": "a", "action": "allow", "mode": "dry_run",
            "set": {"default_transaction_read_only": "on"}, "application_name": "{user}"}]}"#,
    );
    envoy.open(2);
    let asks = startup(&[("user", "u"), ("default_transaction_read_only", "off")]);
    envoy.connect(3);
    assert_eq!(envoy.client(3, &asks), asks);
    let sets = query("set default_transaction_read_only = off");
    assert_eq!(envoy.client(2, &sets), sets);
}

#[test]
fn what_was_held_and_is_no_more_leaves_room_for_others() {
    let mut envoy = Envoy::start(r#"{"max_held_bytes": 65536, "max_statement_bytes": 65536}"#);
    let text = query(&format!("select '{}'", "x".repeat(50_000)));
    let (beginning, end) = text.split_at(40_000);
    envoy.open(2);
    for _ in 0..10 {
        let passed = [envoy.client(2, beginning), envoy.client(2, end)].concat();
        assert!(passed == text, "one second's statements count together");
    }
    envoy.client(2, beginning);
    envoy.open(3);
    let passed = [envoy.client(3, beginning), envoy.client(3, end)].concat();
    assert!(holds(&passed, "pgmesh_denied_too_long"));
    envoy.runtime.delete(&envoy.host, id(2));
    envoy.open(4);
    let passed = [envoy.client(4, beginning), envoy.client(4, end)].concat();
    assert!(passed == text, "who is gone holds nothing");
}

#[test]
fn little_is_held_for_a_client_that_the_server_does_not_know() {
    let mut envoy = Envoy::start("{}");
    let text = query(&format!("select '{}'", "x".repeat(50_000)));
    let (beginning, end) = text.split_at(20_000);
    envoy.connect(2);
    envoy.client(2, &startup(&[("user", "u")]));
    assert!(holds(&envoy.client(2, beginning), "pgmesh_denied_too_long"));
    assert_eq!(envoy.client(2, end), b"");
    let short = query("select 1");
    assert_eq!(envoy.client(2, &short), short);
}

#[test]
fn names_do_not_break_the_lines_of_an_access_log() {
    let mut envoy = Envoy::start("{}");
    envoy.connect(2);
    envoy.client(
        2,
        &startup(&[("user", "u\n[now] \"forged\""), ("database", "d")]),
    );
    assert_eq!(envoy.property("pgmesh_user"), "u\u{fffd}[now] \"forged\"");
    assert_eq!(envoy.property("pgmesh_database"), "d");
}

#[test]
fn the_stamp_stands_where_the_server_shows_it() {
    let policy = r#"{"rules": [{"name": "a", "action": "allow",
        "application_name": "{application}@{user}"}]}"#;
    for (application, shown) in [
        ("psql".to_owned(), "psql@u".to_owned()),
        ("x".repeat(63), format!("{}@u", "x".repeat(61))),
        ("a@admin\u{e9}".to_owned(), "a@admin?@u".to_owned()),
    ] {
        let mut envoy = Envoy::start(policy);
        envoy.connect(2);
        let sent = startup(&[("user", "u"), ("application_name", &application)]);
        let passed = envoy.client(2, &sent);
        assert!(
            holds(&passed, &format!("application_name\0{shown}\0")),
            "{application}"
        );
    }
}

#[test]
fn a_policy_that_cannot_be_read_starts_no_filter() {
    assert!(PolicyFilter::configure(&FakeHost::default(), b"").is_err());
}
