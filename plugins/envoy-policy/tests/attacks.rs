//! What somebody would write who knows the policy and wants past it. None may pass.
//!
//! The lists are what comes to mind; the generator hides a write to a protected table in wrappers,
//! spellings and noise that the server reads as nothing.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "tests say what they expect by panicking"
)]

mod generated;

use envoy_policy::policy::{Ask, Client, Policy, Reason, SessionState};
use generated::hidden_write;
use pg_sql::Encoding;
use proptest::prelude::*;

fn policy(json: &str) -> Policy {
    Policy::read(json.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

fn settled() -> SessionState {
    SessionState {
        transaction: Some(1),
        search_path: None,
        standard_conforming_strings: Some(true),
        client_encoding: Some(Encoding::Utf8),
        ..SessionState::default()
    }
}

fn judged(policy: &Policy, text: &[u8], state: &SessionState) -> Option<Reason> {
    let client = Client {
        user: "app".to_owned(),
        database: "shop".to_owned(),
        ..Client::default()
    };
    let ask = Ask::Text {
        text,
        bytes: text.len() as u64,
        truncated: false,
        at_once: true,
    };
    policy
        .profile(&client)
        .judge(policy, &client, ask, state)
        .0
        .denied
}

/// Holds every text against the policy of one rule, and says which pass.
fn assert_denied(rule: &str, texts: &[&str]) {
    let policy = policy(rule);
    let passed: Vec<&&str> = texts
        .iter()
        .filter(|text| judged(&policy, text.as_bytes(), &settled()).is_none())
        .collect();
    assert!(passed.is_empty(), "{rule} lets pass: {passed:#?}");
}

fn assert_allowed(rule: &str, texts: &[&str]) {
    let policy = policy(rule);
    let denied: Vec<&&str> = texts
        .iter()
        .filter(|text| judged(&policy, text.as_bytes(), &settled()).is_some())
        .collect();
    assert!(denied.is_empty(), "{rule} denies: {denied:#?}");
}

const NO_DELETE: &str =
    r#"{"rules": [{"name": "a", "action": "deny", "command": ["DELETE", "TRUNCATE*", "DROP *"]}]}"#;

#[test]
fn a_denied_command_is_found_inside_others() {
    assert_denied(
        NO_DELETE,
        &[
            "delete from t where id = 1",
            "with d as (delete from t returning *) select * from d",
            "with a as (with b as (delete from t returning *) table b) select 1",
            "explain analyze delete from t",
            "explain (costs off, analyze on) delete from t",
            "explain (analyze false, analyze true) delete from t",
            "explain (\"analyze\") delete from t",
            "explain (costs off, U&\"analyz\\0065\" true) delete from t",
            "prepare p as delete from t",
            "prepare p (int) as with d as (delete from t returning *) select 1",
            "copy (delete from t returning *) to stdout",
            "merge into t using u on t.id = u.id when matched then delete",
            "create rule r as on insert to t do also delete from u",
            "create rule r as on insert to t do instead (select 1; delete from u)",
            "create function f() returns int begin atomic delete from t; select 1; end",
            "create or replace procedure p() begin atomic delete from t; end",
            "begin; delete from t; commit",
            "select 1\\; delete from t",
            "drop table if exists t",
            "drop owned by current_user",
            "/**/drop/**/table/**/t",
            "DROP\tTABLE\x0ct",
            "truncate only t",
            "delete from only t",
            "(select 1); delete from t",
        ],
    );
    assert_allowed(
        NO_DELETE,
        &[
            "explain delete from t",
            "select 'delete from t'",
            "insert into \"delete\" values ('drop table t')",
            "select delete.drop from truncate delete",
        ],
    );
}

#[test]
fn a_command_that_is_allowed_brings_no_other_along() {
    let only_select = r#"{"default": "deny", "rules": [
        {"name": "a", "action": "allow", "command": ["SELECT", "EXPLAIN", "PREPARE", "COPY"]}]}"#;
    assert_denied(
        only_select,
        &[
            "with d as (delete from t returning *) select * from d",
            "explain analyze update t set a = 1",
            "prepare p as insert into t values (1)",
            "copy (insert into t values (1) returning *) to stdout",
            "select 1 into t",
            "select 1; commit",
            "select (1",
            "execute p",
            "explain analyze execute p",
            "explain analyze create table t as select 1",
            "select set_config('role', 'postgres', false)",
            "select set_config($1, $2, false)",
        ],
    );
    assert_allowed(
        only_select,
        &["select 1", "explain delete from t", "table t", "values (1)"],
    );
    assert_denied(
        r#"{"default": "deny", "rules": [{"name": "a", "action": "allow", "class": ["DDL"]}]}"#,
        &[
            "create schema s create table s.t (a int) grant all on s.t to public",
            "create rule r as on select to t do instead delete from u",
        ],
    );
}

#[test]
fn rows_come_in_by_a_merge_too() {
    let no_insert = r#"{"rules": [{"name": "a", "action": "deny", "command": ["INSERT"]}]}"#;
    assert_denied(
        no_insert,
        &["merge into t using u on t.id = u.id when not matched then insert values (1)"],
    );
    assert_allowed(
        no_insert,
        &["merge into t using u on t.id = u.id when matched then delete"],
    );
}

#[test]
fn a_role_is_taken_on_by_other_means_than_set() {
    for condition in [
        r#""command": ["SET ROLE"]"#,
        r#""effect": ["changes_roles"]"#,
    ] {
        let rule = format!(r#"{{"rules": [{{"name": "a", "action": "deny", {condition}}}]}}"#);
        assert_denied(
            &rule,
            &[
                "set role postgres",
                "select set_config('role', 'postgres', false)",
                "select * from pg_catalog.set_config('ROLE', 'postgres', false)",
                "select set_config('ro' || 'le', 'postgres', false)",
                "update pg_settings set setting = 'postgres' where name = 'role'",
                "alter role app set role = postgres",
            ],
        );
        assert_allowed(
            &rule,
            &[
                "set work_mem = 1",
                "select set_config('work_mem', '1MB', false)",
            ],
        );
    }
}

const PAYMENTS: &str = r#"{"rules": [{"name": "a", "action": "deny", "writes": ["payments.*"]}]}"#;

#[test]
fn what_changes_rows_may_show_them() {
    let unread = r#"{"rules": [{"name": "a", "action": "deny", "reads": ["payments.*"]}]}"#;
    assert_denied(
        unread,
        &[
            "update payments.cards set id = id returning *",
            "update payments.cards set id = number::int",
            "delete from payments.cards where number like '4%'",
            "insert into payments.cards values (1) returning *",
            "insert into payments.cards values (1) on conflict (id) do update set id = number::int",
            "merge into payments.cards c using t on c.number like '4%' when matched then delete",
            "with d as (delete from payments.cards returning *) select * from d",
        ],
    );
    assert_allowed(
        unread,
        &[
            "insert into payments.cards values (1)",
            "copy payments.cards from stdin",
            "truncate payments.cards",
            "update public.t set a = 1 returning *",
        ],
    );
}

#[test]
fn a_protected_table_is_found_however_it_is_spelt() {
    assert_denied(
        PAYMENTS,
        &[
            "delete from payments.cards",
            "delete from Payments.Cards",
            "delete from \"payments\".\"cards\"",
            "delete from U&\"\\0070ayments\".cards",
            "delete from u&\"\\+000070ayments\".cards",
            "delete from U&\"!0070ayments\" uescape '!'.cards",
            "delete from U&\"\\0070ayments\" -- c\n uescape '\\' . cards",
            "delete from shop.payments.cards",
            "delete from payments /* . */ . -- .\n cards",
            "delete from payments\u{b}.\u{c}cards",
            "insert into payments.cards default values",
            "update only payments.cards set a = 1 where b",
            "update payments.cards * as c set a = 1 where b",
            "insert into payments.cards as c select 1 on conflict do nothing",
            "copy payments.cards from stdin",
            "copy payments.cards (a, b) from program 'id'",
            "copy binary payments.cards from stdin",
            "truncate t, payments.cards",
            "truncate t cascade",
            "merge into only payments.cards c using t on c.id = t.id when matched then do nothing",
            "create table payments.cards2 (a int)",
            "create table payments.cards2 as select 1",
            "select 1 into payments.cards2",
            "select 1 into unlogged table payments.cards2",
            "create rule r as on update to payments.cards do instead nothing",
            "create rule r as on update to t do also delete from payments.cards",
            "create trigger g before insert on payments.cards execute function f()",
            "alter table payments.cards rename to c",
            "alter table payments.cards set schema public",
            "alter table only payments.cards add check (f(a))",
            "alter table if exists payments.cards drop a",
            "alter table t attach partition payments.cards default",
            "alter schema payments rename to p",
            "drop schema if exists x, payments",
            "drop table if exists t, payments.cards",
            "drop view payments.v",
            "drop owned by app",
            "drop type payments.t cascade",
            "refresh materialized view payments.m",
            "do 'begin delete from payments.cards; end'",
            "call payments.wipe()",
            "select query_to_xml('delete from payments.cards', true, true, '')",
            "select * from dblink('', 'delete from payments.cards') t(a int)",
            "delete from payments.cards where (",
            "delete from payments.cards; select '",
        ],
    );
    assert_allowed(
        PAYMENTS,
        &[
            "select * from payments.cards",
            "delete from paymentsx.cards",
            "delete from \"Payments\".cards",
            "delete from public.\"payments.cards\"",
            "with payments as (select 1) select * from payments",
            "delete from public.t where a in (select id from payments.cards)",
            "insert into public.t values ('payments.cards')",
        ],
    );
}

/// An unqualified name may be the protected table's: no search path is known.
#[test]
fn an_unqualified_name_is_taken_for_the_protected_one() {
    assert_denied(
        PAYMENTS,
        &[
            "delete from cards",
            "set search_path = payments; delete from cards",
            "select set_config('search_path', 'payments', false); delete from cards",
            "create schema payments create table cards (a int)",
        ],
    );
}

#[test]
fn functions_are_found_however_they_are_called() {
    let rule = r#"{"rules": [{"name": "a", "action": "deny",
            "functions": ["pg_catalog.pg_read_file", "pg_catalog.lo_import", "setval"]}]}"#;
    assert_allowed(
        rule,
        &[
            "create type t as enum ('a')",
            "create operator family f using btree",
        ],
    );
    assert_denied(
        rule,
        &[
            "alter function pg_read_file(text) rename to harmless",
            "alter routine pg_catalog.pg_read_file(text) set schema public",
            "create operator ### (rightarg = text, function = pg_read_file)",
            "create aggregate a (text) (sfunc = pg_read_file, stype = text)",
            "create cast (text as bytea) with function pg_read_file(text)",
            "alter schema s rename to t",
            "select pg_read_file('x')",
            "select Pg_Catalog . Pg_Read_File ('x')",
            "select \"pg_read_file\"('x')",
            "select U&\"pg_read_fil\\0065\"('x')",
            "select ('x').pg_read_file",
            "select ('x'::text).\"pg_read_file\"",
            "select x.pg_read_file from (values ('a'::text)) x",
            "select * from pg_read_file('x')",
            "select * from rows from (pg_read_file('x'))",
            "select lo_import('x')",
            "select 1 order by lo_import('x')",
            "select count(*) filter (where setval('s', 1) > 0)",
            "values (setval('s', 1))",
            "create table t (a int default setval('s', 1))",
            "alter table t alter a set default setval('s', 1)",
            "create index i on t (setval('s', a))",
            "alter table t alter a type int using setval('s', a)",
            "insert into t values (1) on conflict do update set a = setval('s', 1)",
            "insert into t values (1) returning setval('s', 1)",
            "merge into t using u on setval('s', 1) = 1 when matched then do nothing",
            "copy t from stdin where setval('s', 1) > 0",
            "declare c cursor for select setval('s', 1)",
            "select * from t limit setval('s', 1)",
            "select a[setval('s', 1)] from t",
            "select case when true then setval('s', 1) end",
            "select array[setval('s', 1)]",
            "select * from t tablesample system (setval('s', 1))",
            "create policy p on t using (setval('s', 1) > 0)",
            "create function f() returns int return setval('s', 1)",
            "create function f(a int default setval('s', 1)) returns int language sql as ''",
            "execute p(setval('s', 1))",
            "call p(setval('s', 1))",
            "select xmlelement(name a, setval('s', 1))",
            "select json_object('a': setval('s', 1))",
            "select * from json_table('{}', '$' columns (a int default setval('s', 1) on empty)) j",
            "select sum(1) over (order by setval('s', 1))",
            "select * from generate_series(1, setval('s', 1))",
        ],
    );
}

#[test]
fn a_where_that_chooses_nothing_is_none() {
    assert_denied(
        r#"{"rules": [{"name": "a", "action": "deny", "where": "missing"}]}"#,
        &[
            "update t set a = 1",
            "delete from t where true",
            "delete from t where 1 = 1 or id = 5",
            "delete from t where not false",
            "delete from t where now() > '2000-01-01'",
            "delete from t where $1",
            "explain analyze delete from t",
            "with d as (delete from t returning 1) select 1",
            "prepare p as update t set a = 1",
            "merge into t using (select 1) s on true when matched then delete",
            "merge into t using u on t.id = u.id when not matched by source then delete",
            "update t set a = (select 1 from u where id = 2)",
            "do 'begin delete from t; end'",
            "call wipe()",
            "create rule r as on insert to u do also delete from t",
            "delete from t; select 1 where true",
        ],
    );
}

/// The texts say one thing with `standard_conforming_strings` on, and another with it off.
#[test]
fn a_string_that_ends_elsewhere_hides_nothing() {
    let policy = policy(PAYMENTS);
    for (text, on, off) in [
        (r"select '\'; delete from payments.cards; --'", true, false),
        (
            r"select '\\\'; delete from payments.cards; --'",
            true,
            false,
        ),
        (r"select '\''; delete from payments.cards; --'", false, true),
        (r"select E'\''; delete from payments.cards; --'", true, true),
        (r"select N'\'; delete from payments.cards; --'", true, false),
        (
            r"select U&'\005c'; delete from payments.cards; --'",
            true,
            true,
        ),
        (
            "select 'a'\n'\\'; delete from payments.cards; --'",
            true,
            false,
        ),
        (
            "select E'a'\n'\\'; delete from payments.cards; --'",
            false,
            false,
        ),
        (
            "select $x$ $y$ $x$; delete from payments.cards; --$y$",
            true,
            true,
        ),
        (
            "select $x$; delete from payments.cards; --$x$",
            false,
            false,
        ),
        (
            "select a$x$, b$x$; delete from payments.cards; --$x$",
            true,
            true,
        ),
        (
            "select \"\\\"; delete from payments.cards; --\"",
            true,
            true,
        ),
        ("/* ' */ delete from payments.cards /* ' */", true, true),
        ("/* /* */ delete from payments.cards */", false, false),
        ("-- ' \n delete from payments.cards -- '", true, true),
        ("-- \r delete from payments.cards", true, true),
        (
            "select 1--/*\n; delete from payments.cards --*/",
            true,
            true,
        ),
        (
            "select 1 +--/*\n1; delete from payments.cards --*/",
            true,
            true,
        ),
        ("select 1*/*/**/*/1; delete from payments.cards", true, true),
        ("select B'1'; delete from payments.cards", true, true),
    ] {
        let denied = |standard_conforming_strings| {
            let state = SessionState {
                standard_conforming_strings,
                ..settled()
            };
            judged(&policy, text.as_bytes(), &state).is_some()
        };
        assert!(denied(Some(true)) || !on, "on: {text}");
        assert!(denied(Some(false)) || !off, "off: {text}");
        assert!(denied(None) || !(on || off), "unsettled: {text}");
    }
}

/// In these encodings the byte behind the first of a character may be a backslash or a quote.
#[test]
fn a_character_that_swallows_a_quote_hides_nothing() {
    let policy = policy(PAYMENTS);
    for (lead, encoding) in [
        (&b"\x83"[..], Encoding::Sjis),
        (b"\xa1", Encoding::Big5),
        (b"\xbf", Encoding::Gbk),
        (b"\x81", Encoding::Uhc),
        (b"\x81", Encoding::Gb18030),
        (b"\x84", Encoding::Johab),
    ] {
        let text = [b"select E'", lead, b"\\'; delete from payments.cards; --'"].concat();
        for client_encoding in [Some(encoding), None] {
            let state = SessionState {
                client_encoding,
                ..settled()
            };
            assert!(judged(&policy, &text, &state).is_some(), "{encoding:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn a_hidden_write_is_always_denied(text in hidden_write()) {
        for rule in [
            PAYMENTS,
            r#"{"rules": [{"name": "a", "action": "deny", "tables": ["payments.cards"]}]}"#,
            r#"{"rules": [{"name": "a", "action": "deny", "class": ["WRITE"]}]}"#,
            r#"{"default": "deny", "rules": [
                {"name": "a", "action": "allow", "writes": ["public.*"], "reads": ["*.t", "*.x"]}]}"#,
        ] {
            let policy = policy(rule);
            prop_assert!(judged(&policy, text.as_bytes(), &settled()).is_some(), "{rule}: {text}");
        }
    }
}

/// `set_config` has the number 2078, in a FunctionCall message as elsewhere.
#[test]
fn a_function_called_by_its_number_sets_nothing_that_is_imposed() {
    let policy = policy(
        r#"{"rules": [{"name": "a", "action": "allow", "set": {"statement_timeout": "5s"}}]}"#,
    );
    let client = Client::default();
    let judged = |oid| {
        let ask = Ask::FunctionCall { oid };
        let profile = policy.profile(&client);
        profile.judge(&policy, &client, ask, &settled()).0.denied
    };
    assert_eq!(judged(2078), Some(Reason::Protected));
    assert_eq!(judged(2924), Some(Reason::Protected));
    assert_eq!(judged(952), None);
}

/// A statement that was prepared for one search path is looked up by another when it is run.
#[test]
fn the_search_path_stays_while_statements_are_prepared_for_it() {
    let policy = policy(PAYMENTS);
    let client = Client::default();
    let profile = policy.profile(&client);
    let state = SessionState {
        search_path: Some(vec!["public".to_owned()].into()),
        path_in_use: true,
        ..settled()
    };
    let judge = |text: &str, at_once| {
        let ask = Ask::Text {
            text: text.as_bytes(),
            bytes: text.len() as u64,
            truncated: false,
            at_once,
        };
        profile.judge(&policy, &client, ask, &state)
    };
    for text in [
        "set search_path = payments",
        "set local schema 'payments'",
        "reset search_path",
        "reset all",
        "begin; reset all",
        "discard all; select 1",
        "select set_config($1, 'payments', false)",
    ] {
        for at_once in [true, false] {
            let (decision, aftermath) = judge(text, at_once);
            assert_eq!(decision.denied, Some(Reason::PathInUse), "{text}");
            assert!(aftermath.changes_path, "{text}");
        }
    }
    // A Query of it drops what was prepared, named or not; its own Parse leaves the unnamed one.
    assert_eq!(judge("discard all", true).0.denied, None);
    assert!(judge("discard all", true).1.changes_path);
    assert_eq!(
        judge("discard all", false).0.denied,
        Some(Reason::PathInUse)
    );
}
