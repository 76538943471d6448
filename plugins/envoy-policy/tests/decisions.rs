//! What a policy decides about texts: the rules' own meaning, and what an attacker would write.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests say what they expect by panicking"
)]

use envoy_policy::policy::{Ask, Client, Policy, Reason, SessionState};
use pg_sql::Encoding;

fn policy(json: &str) -> Policy {
    Policy::read(json.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

fn settled() -> SessionState {
    SessionState {
        transaction: Some(1),
        search_path: Some(["app".to_owned(), "public".to_owned()].into()),
        standard_conforming_strings: Some(true),
        client_encoding: Some(Encoding::Utf8),
        ..SessionState::default()
    }
}

fn app() -> Client {
    Client {
        user: "app".to_owned(),
        database: "shop".to_owned(),
        ..Client::default()
    }
}

fn judged(policy: &Policy, client: &Client, text: &str, state: &SessionState) -> Option<Reason> {
    let ask = Ask::Text {
        text: text.as_bytes(),
        bytes: text.len() as u64,
        truncated: false,
        at_once: true,
    };
    let profile = policy.profile(client);
    profile.judge(policy, client, ask, state).0.denied
}

fn denied(policy: &Policy, text: &str) -> bool {
    judged(policy, &app(), text, &settled()).is_some()
}

#[test]
fn the_first_rule_that_matches_decides() {
    let policy = policy(
        r#"{"default": "deny", "rules": [
            {"name": "no drop", "action": "deny", "command": ["DROP *"]},
            {"name": "ddl for migrate", "action": "allow", "user": ["migrate"]},
            {"name": "read", "action": "allow", "class": ["READ"]},
            {"name": "never", "action": "deny", "class": ["WRITE"]}
        ]}"#,
    );
    for (user, text, expected) in [
        ("app", "select 1", None),
        ("app", "drop table t", Some(Reason::Rule(0))),
        ("migrate", "drop table t", Some(Reason::Rule(0))),
        ("migrate", "create table t (a int)", None),
        ("app", "create table t (a int)", Some(Reason::Default)),
        ("app", "delete from t", Some(Reason::Rule(3))),
        ("app", "select 1; delete from t", Some(Reason::Rule(3))),
    ] {
        let client = Client {
            user: user.to_owned(),
            ..app()
        };
        let reason = judged(&policy, &client, text, &settled());
        assert_eq!(reason, expected, "{user}: {text}");
    }
}

#[test]
fn a_rule_that_allows_tables_allows_nothing_else() {
    let policy = policy(
        r#"{"default": "deny", "rules": [
            {"name": "orders", "action": "allow", "reads": ["app.orders"], "writes": ["app.carts"]}
        ]}"#,
    );
    let allowed = [
        "select * from app.orders",
        "insert into app.carts select 1 from app.orders",
        "select 1",
        "execute known",
    ];
    for text in allowed {
        assert!(!denied(&policy, text), "{text}");
    }
    for text in [
        "select * from orders",
        "select * from app.orders, app.users",
        "delete from app.orders",
        "with x as (delete from app.users returning *) select * from app.orders, x",
        "drop table app.carts",
        "copy app.orders to '/tmp/x'",
        "copy app.orders to program 'cat'",
        "do $$ begin delete from app.users; end $$",
        "call f()",
        "drop schema app cascade",
        "set role admin",
        "select * from app.orders where",
    ] {
        assert!(denied(&policy, text), "{text}");
    }
}

const PAYMENTS: &str = r#"{"rules": [
    {"name": "payments", "action": "deny", "tables": ["payments.*"]},
    {"name": "files", "action": "deny", "effect": ["touches_server_files"]},
    {"name": "roles", "action": "deny", "effect": ["changes_roles"]},
    {"name": "unseen", "action": "deny", "effect": ["runs_unseen_code"]},
    {"name": "where", "action": "deny", "where": "missing"},
    {"name": "read file", "action": "deny", "functions": ["pg_read_file", "lo_import", "dblink*"]}
]}"#;

#[test]
fn what_an_attacker_writes_is_denied() {
    let policy = policy(PAYMENTS);
    for text in [
        "select * from payments.cards",
        "select * from payments . cards",
        "select * from payments/**/./**/cards",
        "select * from \"payments\".cards",
        "select * from PAYMENTS.cards",
        "select * from U&\"\\0070ayments\".cards",
        "select * from U&\"!0070ayments\" UESCAPE '!'.cards",
        "select 1; select * from payments.cards",
        "select 'a\\', 1 from payments.cards --'",
        "select $a$ $b$ $a$ from payments.cards",
        "/* /* */ select 1 */ select * from payments.cards",
        "-- select 1\nselect * from payments.cards",
        "select (select count(*) from payments.cards)",
        "with x as (delete from payments.cards returning *) select 1 from x",
        "explain analyze delete from payments.cards where id = 1",
        "prepare p as select * from payments.cards",
        "declare c cursor for select * from payments.cards",
        "create table t as select * from payments.cards",
        "select * into t from payments.cards",
        "create view v as select * from payments.cards",
        "copy payments.cards to stdout",
        "copy (select * from payments.cards) to stdout",
        "table payments.cards",
        "merge into t using payments.cards c on t.id = c.id when matched then delete",
        "lock table payments.cards",
        "truncate payments.cards",
        "drop schema payments cascade",
        "grant select on all tables in schema payments to public",
        "create rule r as on insert to t do also delete from payments.cards where id = 1",
        "copy t from program 'id'",
        "copy t to '/tmp/x'",
        "select pg_read_file('/etc/passwd')",
        "select pg_catalog.pg_read_file('/etc/passwd')",
        "select ('/etc/passwd').pg_read_file",
        "select lo_import('/etc/passwd')",
        "set role admin",
        "set session authorization admin",
        "set local role admin",
        "do $$ begin perform 1; end $$",
        "call f()",
        "create function f() returns int language sql as 'select 1'",
        "update t set a = 1",
        "delete from t where true",
        "delete from t where 1 = 1",
        "select dblink_exec('x', 'drop table t')",
        "select 'unterminated from payments.cards",
        "selec * from payments.cards",
    ] {
        assert!(denied(&policy, text), "{text}");
    }
    for text in [
        "select 'payments.cards'",
        "select payments.cards from app.orders payments",
        "select 1 -- payments.cards",
        "update t set a = 1 where id = 2",
        "begin",
        "select * from cards",
        "",
    ] {
        assert!(!denied(&policy, text), "{text}");
    }
}

#[test]
fn an_unqualified_name_may_be_in_any_schema_of_the_path_or_in_any_at_all() {
    let policy = policy(PAYMENTS);
    let path = |path: Option<&[&str]>| SessionState {
        search_path: path.map(|path| path.iter().map(|one| (*one).to_owned()).collect()),
        ..settled()
    };
    let text = "select * from cards";
    let with = |state| judged(&policy, &app(), text, &state).is_some();
    assert!(!with(path(Some(&["public"]))));
    assert!(with(path(Some(&["public", "payments"]))));
    assert!(with(path(None)));
    // Prepared statements are looked up again whenever they are run.
    let text = "prepare p as select * from cards";
    assert!(judged(&policy, &app(), text, &path(Some(&["public"]))).is_some());
    let text = "set search_path = payments; select * from cards";
    assert!(judged(&policy, &app(), text, &path(Some(&["public"]))).is_some());
}

#[test]
fn a_text_whose_meaning_is_not_settled_is_denied_if_any_meaning_is() {
    let policy = policy(PAYMENTS);
    // With the setting on the string ends at the second quote, with it off at the third.
    let on = r"select '\', a from payments.cards --'";
    let off = r"select '\'', a from payments.cards --'";
    let strings = |standard_conforming_strings| SessionState {
        standard_conforming_strings,
        ..settled()
    };
    assert!(judged(&policy, &app(), on, &strings(Some(true))).is_some());
    assert!(judged(&policy, &app(), on, &strings(None)).is_some());
    assert!(judged(&policy, &app(), off, &strings(Some(false))).is_some());
    assert!(judged(&policy, &app(), off, &strings(None)).is_some());
    let plain = r"select 'C:\dir' from t";
    assert!(judged(&policy, &app(), plain, &strings(Some(true))).is_none());
    // In SJIS the backslash is a part of the character, and the string ends at the next quote.
    let sjis = b"select E'\x83\\', a from payments.cards --'";
    let ask = Ask::Text {
        text: sjis,
        bytes: 0,
        truncated: false,
        at_once: true,
    };
    let profile = policy.profile(&app());
    let unsettled = SessionState {
        client_encoding: None,
        ..settled()
    };
    let judged = |state| profile.judge(&policy, &app(), ask, state).0.denied;
    assert!(judged(&unsettled).is_some());
}

#[test]
fn settings_that_are_imposed_cannot_be_changed() {
    let policy = policy(
        r#"{"rules": [{"name": "ro", "action": "allow", "user": ["app"], "set": {
            "default_transaction_read_only": "on", "statement_timeout": "5s", "search_path": "app"}}]}"#,
    );
    for text in [
        "set statement_timeout = 0",
        "set local statement_timeout to 0",
        "set session statement_timeout = default",
        "SET \"Statement_Timeout\" = 0",
        "SET U&\"statement_timeou\\0074\" = 0",
        "set/**/statement_timeout = 0",
        "reset statement_timeout",
        "select set_config('statement_timeout', '0', false)",
        "select set_config('statement_' || 'timeout', '0', false)",
        "select set_config($1, '0', false)",
        "select set_config(E'statement_timeout', '0', false)",
        "select pg_catalog.set_config('Statement_Timeout', '0', false)",
        "select set_config('work_mem', set_config('statement_timeout', '0', false), false)",
        "with x as (select set_config('statement_timeout', '0', false)) select 1",
        "select * from set_config('statement_timeout', '0', false)",
        "alter role app set statement_timeout = 0",
        "alter role app reset all",
        "alter database shop set statement_timeout = 0",
        "alter system set statement_timeout = 0",
        "begin read write",
        "start transaction read write",
        "begin isolation level serializable, read write",
        "set transaction read write",
        "set session characteristics as transaction read write",
        "set transaction_read_only = off",
        "set default_transaction_read_only = off",
        "set search_path = public",
        "set schema 'public'",
        "do $$ begin set statement_timeout = 0; end $$",
        "do $$ begin perform set_config('statement_' || 'timeout', '0', false); end $$",
        "select 1; set statement_timeout = 0",
        "set statement_timeout = ",
        "set U&\"statement_timeou\\0074\" = ",
        "update pg_settings set setting = '0' where name = 'x'",
        "select query_to_xml('select set_con' || 'fig(...)', true, true, '')",
        "do E'begin perform s\\x65t_config(1); end'",
        "do language plperl $$ spi_exec_query('S' . 'ET x = 1'); $$",
        "alter function f(int) set statement_timeout = 0",
        "create function f() returns int language sql set statement_timeout = 0 return 1",
        "set default_transaction_read_only to default",
    ] {
        assert_eq!(
            judged(&policy, &app(), text, &settled()),
            Some(Reason::Protected),
            "{text}"
        );
    }
    for text in [
        "set work_mem = '1MB'",
        "select set_config('work_mem', '1MB', false)",
        "set application_name = 'statement_timeout'",
        "begin",
        "begin read only",
        "set session characteristics as transaction read only",
        "set default_transaction_read_only to 'on'",
        "reset all",
        "discard all",
        "alter function f(int) set work_mem = 1",
        "do $$ begin update t set a = 1; end $$",
        "do language plpgsql $$ begin null; end $$",
        "selec 1",
        "reset work_mem",
        "select statement_timeout from t",
        "set time zone 'UTC'",
    ] {
        assert_eq!(judged(&policy, &app(), text, &settled()), None, "{text}");
    }
}

#[test]
fn dry_run_tells_and_lets_pass() {
    let policy = policy(
        r#"{"default": "deny", "rules": [
            {"name": "a", "action": "deny", "mode": "dry_run", "class": ["READ"]},
            {"name": "b", "action": "log", "class": ["READ"]},
            {"name": "c", "action": "allow", "class": ["READ"]}]}"#,
    );
    let ask = Ask::Text {
        text: b"select 1",
        bytes: 8,
        truncated: false,
        at_once: true,
    };
    let decision = policy
        .profile(&app())
        .judge(&policy, &app(), ask, &settled())
        .0;
    assert_eq!(decision.denied, None);
    assert_eq!(decision.would_deny, [Reason::Rule(0)]);
    assert_eq!(decision.logged, [1]);
    assert_eq!(decision.allowed_by, Some(2));
}

#[test]
fn clients_are_let_in_by_the_first_rule_about_connections() {
    let policy = policy(
        r#"{"default": "deny", "rules": [
            {"name": "no replication", "action": "deny", "replication": true},
            {"name": "reader", "action": "allow", "user": ["reader"], "class": ["READ"]},
            {"name": "pay", "action": "allow", "principal": ["spiffe://td/ns/pay/*"],
             "source": ["10.0.0.0/8"]}]}"#,
    );
    let client = |user: &str, principal: Option<&str>, source: &str, replication| Client {
        user: user.to_owned(),
        principal: principal.map(str::to_owned),
        source: source.parse().ok(),
        replication,
        ..app()
    };
    let pay = Some("spiffe://td/ns/pay/sa/api");
    for (client, expected) in [
        (client("app", pay, "10.1.1.1", false), None),
        (client("app", pay, "10.1.1.1", true), Some(Reason::Rule(0))),
        (client("app", pay, "11.1.1.1", false), Some(Reason::Default)),
        (
            client("app", None, "10.1.1.1", false),
            Some(Reason::Default),
        ),
        (client("reader", None, "11.1.1.1", false), None),
    ] {
        assert_eq!(
            policy.profile(&client).admission.denied,
            expected,
            "{client:?}"
        );
    }
}

#[test]
fn a_bad_policy_says_where_and_why() {
    for (json, expected) in [
        ("", "a policy is needed"),
        (
            r#"{"rule": []}"#,
            "rule: unknown field, expected one of mode",
        ),
        (
            r#"{"rules": [{"name": "a", "action": "allow", "user": "x"}]}"#,
            "rules[0].user: expected a list, found a string",
        ),
        (
            r#"{"rules": [{"name": "a", "action": "allow", "user": []}]}"#,
            "rules[0].user: expected at least one entry",
        ),
        (
            r#"{"rules": [{"name": "a", "action": "allow", "class": []}]}"#,
            "rules[0].class: expected at least one entry",
        ),
        (
            r#"{"rules": [{"name": "a", "action": "deny", "source": ["10.0.0.1/8"]}]}"#,
            "rules[0].source[0]: `10.0.0.1/8` has bits",
        ),
        (
            r#"{"rules": [{"name": "a", "action": "deny", "class": ["READS"]}]}"#,
            "rules[0].class[0]: expected one of READ, WRITE",
        ),
        (
            r#"{"rules": [{"name": "a", "action": "deny", "command": ["DROP TABEL"]}]}"#,
            "rules[0].command[0]: no command is named `DROP TABEL`",
        ),
        (
            r#"{"rules": [{"name": "a", "action": "deny", "tables": ["a.b.c.d"]}]}"#,
            "rules[0].tables[0]: expected `schema.name`",
        ),
        (
            r#"{"rules": [{"name": "a", "action": "deny", "sqlstate": "4250"}]}"#,
            "rules[0].sqlstate: expected five",
        ),
        (
            r#"{"rules": [{"name": "a", "action": "deny", "fingerprint": ["xyz"]}]}"#,
            "rules[0].fingerprint[0]: expected 16 hex",
        ),
        (
            r#"{"rules": [{"name": "a", "action": "allow", "set": {"user": "x"}}]}"#,
            "rules[0].set.user: this is who",
        ),
        (
            r#"{"rules": [{"name": "a", "action": "allow", "application_name": "{who}"}]}"#,
            "rules[0].application_name: there is no `{who}`",
        ),
        (
            r#"{"rules": [{"name": "a", "action": "deny", "copy": true}, {"name": "a", "action": "allow"}]}"#,
            "rules[1].name: there is a rule `a` already",
        ),
        (
            r#"{"rules": [{"name": "a", "action": "allow"}, {"name": "b", "action": "deny", "copy": true}]}"#,
            "rules[1]: `b` is never come to: `a` decides",
        ),
        (
            r#"{"max_statement_bytes": 1}"#,
            "max_statement_bytes: expected 1024 to",
        ),
        (
            r#"{"protocol_versions": ["three"]}"#,
            "protocol_versions[0]: expected `3.0`",
        ),
        (r#"{} {}"#, "trailing characters"),
    ] {
        let error = Policy::read(json.as_bytes()).expect_err(json);
        assert!(error.starts_with(expected), "{json}: {error}");
    }
}
