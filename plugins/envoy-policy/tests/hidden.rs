//! What neither names the relation it gets at, nor the setting it changes: each was once let pass,
//! and did harm on a real server (`test-harness/tests/policy_withstands_attacks`).
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests say what they expect by panicking"
)]

use envoy_policy::policy::{Ask, Client, Decision, Policy, Reason, SessionState};
use pg_sql::Encoding;

const PAYMENTS: &str =
    r#"{"rules": [{"name": "payments", "action": "deny", "tables": ["app.payments"]}]}"#;

fn client() -> Client {
    Client {
        user: "mallory".to_owned(),
        database: "shop".to_owned(),
        ..Client::default()
    }
}

fn settled() -> SessionState {
    SessionState {
        transaction: Some(1),
        search_path: Some(["public".to_owned()].into()),
        standard_conforming_strings: Some(true),
        client_encoding: Some(Encoding::Utf8),
        ..SessionState::default()
    }
}

fn text(text: &str, at_once: bool) -> Ask<'_> {
    Ask::Text {
        text: text.as_bytes(),
        bytes: text.len() as u64,
        truncated: false,
        at_once,
    }
}

fn judge(policy: &str, client: &Client, ask: Ask<'_>, state: &SessionState) -> (Decision, bool) {
    let policy = Policy::read(policy.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    let (decision, aftermath) = policy.profile(client).judge(&policy, client, ask, state);
    (decision, aftermath.changes_reading)
}

fn denied(policy: &str, sql: &str) -> Option<Reason> {
    judge(policy, &client(), text(sql, true), &settled())
        .0
        .denied
}

#[test]
fn a_relation_is_protected_from_what_reaches_it_by_other_means() {
    for sql in [
        "create foreign table t (a int) server s options (table_name 'payments')",
        "alter foreign table t options (set table_name 'payments')",
        "create server s foreign data wrapper postgres_fdw options (host '127.0.0.1')",
        "alter server s options (set host '127.0.0.1')",
        "create user mapping for mallory server s options (user 'postgres')",
        "create subscription s connection 'host=evil' publication p",
        "alter subscription s refresh publication",
        "select * from pg_logical_slot_peek_changes('s', null, null)",
        "select pg_read_binary_file('base/5/16384')",
        "select ('base/5/16384').pg_read_binary_file",
        "select lo_import('base/5/16384')",
        "copy t from 'base/5/16384'",
        "copy t from program 'cat base/5/16384'",
        "load 'pgoutput'",
        "select get_raw_page('app.payments', 0)",
        "select heap_force_kill('app.payments', array['(0,1)']::tid[])",
        "select * from crosstab('table app.payments') as (a text)",
        "truncate app.orders cascade",
        "select most_common_vals from pg_stats",
        "table pg_catalog.pg_statistic",
        "select pg_mcv_list_items(stxdmcv) from pg_statistic_ext_data",
        "update pg_class set relname = 'p' where relname = 'payments'",
        "insert into pg_catalog.pg_inherits values (1, 2, 3)",
        "create publication p for all tables",
        "alter publication p add table app.orders, tables in schema app",
        "drop text search configuration c cascade",
        "explain select 1 from t where a = table_to_xml('app.payments', true, true, '')::text",
    ] {
        assert!(denied(PAYMENTS, sql).is_some(), "{sql}");
    }
    for sql in [
        "select pg_ls_waldir()",
        "copy t from stdin",
        "truncate app.orders",
        "select * from app.pg_stats",
        "select * from pg_class",
        "update pg_settings set setting = 'a' where name = 'b'",
        "create publication p for table app.orders",
    ] {
        assert_eq!(denied(PAYMENTS, sql), None, "{sql}");
    }
}

#[test]
fn the_replication_protocol_sends_every_relation() {
    let walsender = Client {
        replication: true,
        logical: true,
        ..client()
    };
    for (sql, passes) in [
        ("START_REPLICATION SLOT s LOGICAL 0/0", false),
        ("base_backup", false),
        ("IDENTIFY_SYSTEM", true),
        ("table app.payments", false),
    ] {
        let (decision, _) = judge(PAYMENTS, &walsender, text(sql, true), &settled());
        assert_eq!(decision.denied.is_none(), passes, "{sql}");
    }
    // The server's scanner passes over more than other software takes for a blank, and physical
    // replication has no SQL that could be read instead.
    let physical = Client {
        logical: false,
        ..walsender
    };
    for sql in ["\u{b}BASE_BACKUP", " \u{b}\u{c}start_replication 0/0", "?"] {
        let (decision, _) = judge(PAYMENTS, &physical, text(sql, true), &settled());
        assert!(decision.denied.is_some(), "{sql:?}");
    }
}

#[test]
fn code_that_is_not_seen_may_run_any_command() {
    let policies = [
        r#"{"rules": [{"name": "a", "action": "deny", "command": ["DROP TABLE"]}]}"#,
        r#"{"rules": [{"name": "a", "action": "deny", "class": ["WRITE"]}]}"#,
        r#"{"rules": [{"name": "a", "action": "deny", "copy": true}]}"#,
    ];
    for policy in policies {
        for sql in [
            "do $$ begin drop table t; end $$",
            "call p()",
            "create function f() returns int language sql as 'select 1'",
        ] {
            assert_eq!(denied(policy, sql), Some(Reason::Rule(0)), "{policy} {sql}");
        }
        assert_eq!(denied(policy, "execute p"), None, "{policy}");
    }
    let allows = r#"{"default": "deny", "rules": [
        {"name": "a", "action": "allow", "command": ["CALL"]}]}"#;
    assert_eq!(denied(allows, "call p()"), None);
}

#[test]
fn a_statement_is_run_in_another_transaction_than_it_was_prepared_in() {
    let policy = r#"{"rules": [
        {"name": "a", "action": "deny", "class": ["WRITE"], "transaction": ["open"]}]}"#;
    for (sql, at_once, passes) in [
        ("delete from t", true, true),
        ("delete from t", false, false),
        ("prepare p as delete from t", true, false),
        ("begin; delete from t", true, false),
    ] {
        let (decision, _) = judge(policy, &client(), text(sql, at_once), &settled());
        assert_eq!(decision.denied.is_none(), passes, "{sql}");
    }
}

#[test]
fn whatever_runs_what_users_define_may_change_how_texts_are_read() {
    for (sql, changes) in [
        ("begin", false),
        ("show search_path", false),
        ("table a_view", true),
        ("insert into t default values", true),
        ("select 1 +++ 2", true),
        ("select lower(a)", true),
        ("commit", true),
    ] {
        let (_, found) = judge(PAYMENTS, &client(), text(sql, true), &settled());
        assert_eq!(found, changes, "{sql}");
    }
}

#[test]
fn a_name_is_read_in_every_encoding_that_it_may_be_in() {
    let policy = r#"{"rules": [{"name": "a", "action": "deny", "tables": ["app.ré"]}]}"#;
    let latin1 = Ask::Text {
        text: b"table app.r\xe9",
        bytes: 12,
        truncated: false,
        at_once: true,
    };
    let unsettled = SessionState::default();
    assert!(
        judge(policy, &client(), latin1, &unsettled)
            .0
            .denied
            .is_some()
    );
    // What no server takes for text in GBK is not read as if it were.
    let literal = text("select '日', a from t", true);
    assert_eq!(judge(policy, &client(), literal, &unsettled).0.denied, None);
}

const BOUND: &str = r#"{"rules": [{"name": "bound", "action": "allow",
    "set": {"statement_timeout": "5s", "search_path": "app"},
    "application_name": "{application}@{user}"}]}"#;

#[test]
fn an_imposed_setting_is_protected_from_code_that_changes_it() {
    for sql in [
        "create aggregate a (text, bool) (sfunc = set_config, stype = text, initcond = 'x')",
        "alter function set_config(text, text, bool) rename to harmless",
        "create function f() returns text language sql as $$ select set_config('a', 'b', false) $$",
        "create function f() returns void language plpgsql as 'begin execute $1; end'",
        "create function f() returns void language plperl as '1'",
        "create procedure p() language sql as 'set statement_timeout = 0'",
        "create view v as select * from pg_settings",
        "set application_name = 'somebody else'",
        "select set_config('application_name', 'x', false)",
    ] {
        assert_eq!(denied(BOUND, sql), Some(Reason::Protected), "{sql}");
    }
    for sql in [
        "create function f() returns int language sql as 'select 1'",
        "create function f() returns int as 'select 1' language 'sql'",
        "select * from pg_settings",
        "discard all",
        "reset all",
    ] {
        assert_eq!(denied(BOUND, sql), None, "{sql}");
    }
}

#[test]
fn an_imposed_setting_is_protected_from_function_calls() {
    let (set_config, lo_open) = (2078, 952);
    for (oid, expected) in [(set_config, Some(Reason::Protected)), (lo_open, None)] {
        let (decision, _) = judge(BOUND, &client(), Ask::FunctionCall { oid }, &settled());
        assert_eq!(decision.denied, expected, "{oid}");
    }
}
