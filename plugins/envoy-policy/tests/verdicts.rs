//! A verdict that was kept is the one that would be reached afresh, whatever came before.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "tests say what they expect by panicking"
)]

use envoy_policy::policy::{Ask, Client, Policy, SessionState};
use pg_sql::Encoding;
use proptest::prelude::*;
use proptest::sample::select;

const POLICIES: &[&str] = &[
    r#"{"rules": [
        {"name": "a", "action": "deny", "where": "missing"},
        {"name": "b", "action": "deny", "effect": ["touches_server_files", "changes_roles"]},
        {"name": "c", "action": "log", "larger_than": 60},
        {"name": "d", "action": "deny", "multiple_statements": true, "transaction": ["open"]},
        {"name": "e", "action": "allow", "class": ["READ", "MISC_SET"],
         "set": {"statement_timeout": "5s", "default_transaction_read_only": "on"}},
        {"name": "f", "action": "deny", "tables": ["s.t"]}]}"#,
    r#"{"default": "deny", "rules": [
        {"name": "a", "action": "allow", "reads": ["s.*"], "writes": ["s.t"]},
        {"name": "b", "action": "allow", "command": ["EXPLAIN", "SET", "BEGIN"]},
        {"name": "c", "action": "allow", "fingerprint": ["0123456789abcdef"]}]}"#,
    r#"{"mode": "dry_run", "rules": [
        {"name": "a", "action": "deny", "incomplete": true},
        {"name": "b", "action": "deny", "functions": ["set_config", "pg_read_file"]}]}"#,
];

/// Texts with a hole where a literal stands.
const SHAPES: &[&str] = &[
    "select * from s.t where a = @",
    "select @, @ from s.t limit @",
    "select * from t where @ = @",
    "delete from s.t where @",
    "delete from s.t where a = @ or @ = @",
    "update s.t set a = @ where b = @",
    "insert into s.t values (@, @)",
    "select set_config(@, @, false)",
    "select \"set_config\"(@, @, false)",
    "select U&\"set_confi\\0067\"(@, @, false)",
    "select U&\"s!0065t_config\" UESCAPE @",
    "with x as (select set_config(@, '0', true)) delete from s.t using x",
    "set statement_timeout = @",
    "set default_transaction_read_only to @",
    "set work_mem = @",
    "explain (analyze @) delete from s.t where a = 1",
    "explain analyze select @",
    "copy s.t to @",
    "copy s.t to program @",
    "copy (select @) to stdout",
    "do @",
    "do language plpgsql @",
    "select @; set role x",
    "select 1; set statement_timeout = @",
    "select 1; set default_transaction_read_only = @",
    "select @; select @",
    "begin",
    "select (@).pg_read_file",
    "select @::regclass",
    "prepare p as select @",
    "select * from s.t where a = @ and",
    "execute p(@)",
    "alter role x set statement_timeout = @",
    "select interval @, date @ from s.t",
    "select * from json_table(@, '$' columns (a int path @)) x",
    "comment on table s.t is @",
    "create function f() returns int language sql as @",
];

const LITERALS: &[&str] = &[
    "1",
    "0",
    "2.5",
    "'a'",
    "''",
    "'on'",
    "'off'",
    "'!'",
    "'role'",
    "'statement_timeout'",
    "'work_mem'",
    "'begin perform set_config(a, b); end'",
    "E'statement_\\x74imeout'",
    "$$ set role x $$",
    "U&'\\0061'",
    "B'1'",
    "'a''; delete from s.t; --'",
    "'a long one that is beyond the bound of sixty bytes, as it is'",
    "on",
    "true",
    "null",
    "$1",
    "a",
    "set_config",
];

const BLANKS: &[&str] = &[" ", "\n", " /* statement_timeout */ ", " -- set role\n"];

/// Texts of one shape.
fn texts() -> impl Strategy<Value = Vec<String>> {
    let literals = prop::collection::vec(select(LITERALS), 3);
    let filling = prop::collection::vec((literals, select(BLANKS)), 32);
    (select(SHAPES), filling).prop_map(|(shape, filling)| {
        let filled = filling
            .into_iter()
            .map(|(literals, blank)| fill(shape, &literals, blank));
        filled.collect()
    })
}

fn fill(shape: &str, literals: &[&str], blank: &str) -> String {
    let mut literals = literals.iter().cycle();
    let mut text = String::new();
    for part in shape.split('@') {
        if !text.is_empty() {
            text.push_str(literals.next().expect("some"));
        }
        text.push_str(part);
    }
    text.replace(' ', blank)
}

fn state() -> impl Strategy<Value = SessionState> {
    let path = prop_oneof![Just(None), Just(Some(vec!["s".to_owned()]))];
    let transaction = select(vec![Some(1), Some(2), None]);
    let in_use = (any::<bool>(), any::<bool>());
    (any::<bool>(), transaction, path, in_use).prop_map(
        |(standard_conforming_strings, transaction, path, (path_in_use, role_in_use))| {
            SessionState {
                transaction,
                search_path: path.map(Into::into),
                path_in_use,
                role_in_use,
                standard_conforming_strings: Some(standard_conforming_strings),
                client_encoding: Some(Encoding::Utf8),
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_kept_verdict_is_the_one_reached_afresh(
        texts in texts(),
        state in state(),
        at_once in any::<bool>(),
    ) {
        for json in POLICIES {
            let policy = Policy::read(json.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
            let client = Client { user: "app".to_owned(), ..Client::default() };
            let profile = policy.profile(&client);
            for text in &texts {
                let ask = Ask::Text {
                    text: text.as_bytes(),
                    bytes: text.len() as u64,
                    truncated: false,
                    at_once,
                };
                let judged = profile.judge(&policy, &client, ask, &state);
                let afresh = profile.judge_afresh(&policy, &client, ask, &state);
                prop_assert_eq!(judged, afresh, "{}", text);
            }
        }
    }
}
