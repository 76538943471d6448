//! What the policy lets pass does not write to the table that it protects: a real server is asked.
//!
//! Generated texts write to payments.cards and hide it. As they are, the server runs most of them,
//! and the policy denies all. With mistakes in them some mean something else: those that the policy
//! lets pass are run, and a trigger on the table tells whether it was reached.

#[path = "../../plugins/envoy-policy/tests/generated/mod.rs"]
mod generated;

use envoy_policy::policy::{Ask, Client as Who, Policy, SessionState};
use pg_sql::Encoding;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use test_harness::hosts::{Postgres, Version};
use test_harness::net::{Client, messages};

const POLICY: &str =
    r#"{"rules": [{"name": "cards", "action": "deny", "writes": ["payments.*"]}]}"#;

const SCHEMA: &str = "CREATE SCHEMA payments; CREATE TABLE payments.cards (id int, a int); \
    CREATE TABLE t (id int, a int, \"select\" int, \"'\" int); \
    CREATE FUNCTION reached() RETURNS trigger LANGUAGE plpgsql \
        AS $$ BEGIN RAISE EXCEPTION 'the table was reached'; END $$; \
    CREATE TRIGGER reached BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON payments.cards \
        FOR EACH STATEMENT EXECUTE FUNCTION reached()";

struct Judge(Policy);

impl Judge {
    fn denies(&self, text: &str, standard_conforming_strings: bool) -> bool {
        let state = SessionState {
            transaction: Some(1),
            search_path: None,
            standard_conforming_strings: Some(standard_conforming_strings),
            client_encoding: Some(Encoding::Utf8),
            ..SessionState::default()
        };
        let ask = Ask::Text {
            text: text.as_bytes(),
            bytes: text.len() as u64,
            truncated: false,
            at_once: true,
        };
        let who = Who::default();
        let profile = self.0.profile(&who);
        profile.judge(&self.0, &who, ask, &state).0.denied.is_some()
    }
}

/// Runs a text in a transaction that is rolled back. Whether it reached the table.
fn reaches(server: &mut Client, text: &str) -> bool {
    let mut reached = false;
    for text in ["BEGIN", text, "ROLLBACK", "DEALLOCATE ALL"] {
        server.send(&messages::query(text));
        loop {
            let message = server.read_message();
            match message.tag {
                b'G' => server.send(&messages::copy_fail("no data")),
                b'E' => reached |= String::from_utf8_lossy(&message.body).contains("was reached"),
                b'Z' => break,
                _ => {}
            }
        }
    }
    reached
}

fn samples(strategy: impl Strategy<Value = String>, count: usize) -> Vec<String> {
    let mut runner = TestRunner::deterministic();
    let sample = || {
        let tree = strategy.new_tree(&mut runner).expect("a text");
        tree.current()
    };
    std::iter::repeat_with(sample).take(count).collect()
}

#[test]
fn what_the_policy_lets_pass_does_not_reach_the_table() {
    let judge = Judge(Policy::read(POLICY.as_bytes()).expect("a policy"));
    let attacks = samples(generated::hidden_write(), 400);
    let mistaken = samples(generated::mistaken_write(), 100_000);
    for version in Version::ALL {
        let host = Postgres::start(version);
        let mut server = Client::session(host.address(), "postgres");
        server.query(SCHEMA);
        let run = attacks.iter().filter(|text| reaches(&mut server, text));
        assert!(run.count() > 150, "the attacks are none");
        for (setting, on) in [("on", true), ("off", false)] {
            server.query(&format!("SET standard_conforming_strings = {setting}"));
            let mut passed = 0;
            for text in attacks.iter().chain(&mistaken) {
                if judge.denies(text, on) {
                    continue;
                }
                passed += 1;
                assert!(
                    !reaches(&mut server, text),
                    "{version:?}, {setting}: {text}"
                );
            }
            assert!(passed > 100, "only {passed} texts are let pass");
        }
    }
}
