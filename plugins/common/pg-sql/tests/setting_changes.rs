//! Which settings `classify` says a statement changes.
#![allow(
    clippy::expect_used,
    reason = "tests say what they expect by panicking"
)]

use pg_sql::classify::{ChangeKind, SettingChange, Settings};
use pg_sql::{ClassifyOptions, classify};

/// `kind name=value` of every change, `*` for all and `?` for unknown names; `!` first where the
/// text is incomplete.
fn changes(text: &str) -> String {
    let said = classify(text.as_bytes(), ClassifyOptions::default());
    let shown = said.statements.iter().flat_map(|one| &one.settings);
    let mut shown: Vec<String> = shown.map(show).collect();
    if !said.complete {
        shown.insert(0, "!".to_owned());
    }
    shown.join(", ")
}

fn show(change: &SettingChange) -> String {
    let kind = match change.kind {
        ChangeKind::Session => "session",
        ChangeKind::Transaction => "transaction",
        ChangeKind::Reset => "reset",
        ChangeKind::Stored => "stored",
        ChangeKind::Routine => "routine",
        ChangeKind::Query => "query",
    };
    let name = match &change.settings {
        Settings::Named(name) => name,
        Settings::All => "*",
        Settings::Unknown => "?",
    };
    let value = match change.boolean {
        Some(true) => "=on",
        Some(false) => "=off",
        None => "",
    };
    format!("{kind} {name}{value}")
}

fn assert_all(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(changes(text), *expected, "{text}");
    }
}

#[test]
fn set_names_what_it_sets_as_the_server_compares_names() {
    assert_all(&[
        ("set Work_Mem = 1", "session work_mem=on"),
        ("set session \"Work_MEM\" to '64MB'", "session work_mem"),
        ("set local U&\"\\0077ork_mem\" to 5", "transaction work_mem"),
        ("set /* c */ sort_mem to default", "reset work_mem"),
        ("set App.Account . id = x", "session app.account.id"),
        ("set search_path = \"$user\", public", "session search_path"),
        ("set a.b.c.d = 1", "session ?=on"),
        ("set local = 1", "session local=on"),
        (
            "set datestyle to iso, mdy; set x = -1.5",
            "session datestyle, session x",
        ),
    ]);
}

#[test]
fn clauses_of_their_own_are_the_setting_they_stand_for() {
    assert_all(&[
        ("set time zone 'UTC'", "session timezone"),
        (
            "set local time zone interval '-08:00' hour to minute",
            "transaction timezone",
        ),
        ("set names 'latin1'", "session client_encoding"),
        ("set names", "session client_encoding"),
        ("set schema 'x'", "session search_path"),
        ("set xml option document", "session xmloption"),
        ("set role admin", "session role"),
        ("set local role none", "transaction role"),
        ("set role = admin", "session role"),
        (
            "set session authorization x",
            "session session_authorization",
        ),
        (
            "set local session authorization default",
            "transaction session_authorization",
        ),
        (
            "set session session authorization x",
            "session session_authorization",
        ),
    ]);
}

#[test]
fn transaction_modes_are_settings() {
    assert_all(&[
        ("begin", ""),
        ("begin read write", "transaction transaction_read_only=off"),
        (
            "start transaction isolation level serializable, read only deferrable",
            "transaction transaction_isolation, transaction transaction_read_only=on, \
             transaction transaction_deferrable",
        ),
        (
            "begin work not deferrable, read write",
            "transaction transaction_deferrable, transaction transaction_read_only=off",
        ),
        (
            "set transaction read write",
            "transaction transaction_read_only=off",
        ),
        (
            "set local transaction isolation level read committed",
            "transaction transaction_isolation",
        ),
        ("set transaction snapshot '1'", ""),
        (
            "set session characteristics as transaction read write",
            "session default_transaction_read_only=off",
        ),
        (
            "set local session characteristics as transaction isolation level repeatable read",
            "transaction default_transaction_isolation",
        ),
        ("set constraints all deferred", ""),
        ("commit and chain", ""),
    ]);
}

#[test]
fn values_are_told_where_they_are_plain_booleans() {
    assert_all(&[
        ("set a = on", "session a=on"),
        ("set a = 'OFF'", "session a=off"),
        ("set a to tr", "session a=on"),
        ("set a to 0", "session a=off"),
        ("set a to false", "session a=off"),
        ("set a to o", "session a"),
        ("set a to E'o\\x6e'", "session a"),
        ("set a to 'on', off", "session a=on"),
    ]);
}

#[test]
fn reset_gives_back_one_or_all() {
    assert_all(&[
        ("reset Work_Mem", "reset work_mem"),
        ("reset app.x", "reset app.x"),
        ("reset all", "reset *"),
        ("discard all", "reset *"),
        ("discard plans", ""),
        ("reset time zone", "reset timezone"),
        (
            "reset transaction isolation level",
            "reset transaction_isolation",
        ),
        ("reset session authorization", "reset session_authorization"),
        ("reset role", "reset role"),
    ]);
}

#[test]
fn settings_of_roles_databases_servers_and_routines_are_told() {
    assert_all(&[
        ("alter role r set work_mem = 1", "stored work_mem=on"),
        ("alter role all in database d set role = x", "stored role"),
        ("alter user mapping set a = on", "stored a=on"),
        ("alter user mapping for u server s options (set a 'b')", ""),
        ("alter role set reset all", "stored *"),
        ("alter role r with login password 'x'", ""),
        (
            "alter database d set default_transaction_read_only to off",
            "stored default_transaction_read_only=off",
        ),
        ("alter database d set tablespace t", ""),
        ("alter database d reset sort_mem", "stored work_mem"),
        ("alter database d set time zone 'x'", "stored timezone"),
        ("alter system set a to default", "stored a"),
        ("alter function f(int) strict set a = on", "routine a=on"),
        (
            "alter function f set search_path from current",
            "routine search_path",
        ),
        ("alter function f set schema s", ""),
        ("alter procedure s.f() reset all", "routine *"),
        (
            "create function f() returns int language sql set role to x set a to b, c as 'x'",
            "routine role, routine a",
        ),
        ("alter table t set (fillfactor = 1)", ""),
    ]);
}

#[test]
fn set_config_names_a_setting_only_by_a_plain_literal() {
    assert_all(&[
        ("select set_config('Role', 'x', false)", "query role"),
        ("select pg_catalog.set_config('a.b', x, true)", "query a.b"),
        (
            "select * from \"set_config\"(E'role', 'x', true)",
            "query role",
        ),
        ("select set_config('ro' || 'le', 'x', false)", "query ?"),
        ("select set_config('role'::text, 'x', false)", "query ?"),
        ("select set_config(U&'r\\006fle', 'x', false)", "query ?"),
        ("select set_config(E'r\\157le', 'x', false)", "query ?"),
        ("select set_config('ro'\n'le', 'x', false)", "query ?"),
        ("select set_config($$role$$, 'x', false)", "query ?"),
        ("select set_config($1, $2, false)", "query ?"),
        (
            "select set_config(setting_name => 'role', new_value => 'x', is_local => true)",
            "query ?",
        ),
        ("select set_config(variadic 'role', 'x', true)", "query ?"),
        (
            "select set_config(set_config('a', 'role', false), 'x', false)",
            "query ?, query a",
        ),
        (
            "with w as (select set_config('a', '1', false)) delete from t using w",
            "query a",
        ),
        ("select set_config from t", ""),
    ]);
}

#[test]
fn an_update_of_pg_settings_sets_what_cannot_be_told() {
    assert_all(&[
        (
            "update pg_settings set setting = 'x' where name = 'role'",
            "query ?",
        ),
        (
            "update pg_catalog.\"pg_settings\" set setting = 'x'",
            "query ?",
        ),
        (
            "with w as (update pg_settings set setting = 'x') select 1",
            "query ?",
        ),
        ("update app.pg_settings set setting = 'x'", ""),
        ("select * from pg_settings", ""),
    ]);
}

#[test]
fn what_is_cut_off_is_incomplete_and_what_was_read_is_told() {
    assert_all(&[
        ("select set_config('a'", "!, query ?"),
        ("set work_mem", "!"),
        ("set role", "session role"),
        ("begin read", "!, transaction transaction_read_only"),
    ]);
}
