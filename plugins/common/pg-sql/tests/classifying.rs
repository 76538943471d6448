//! What `classify` says of statements: commands, classes, effects, relations, functions, clauses.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::string_slice,
    reason = "tests say what they expect by panicking"
)]

use pg_sql::classify::{Access, AuditClass, Effects, Statement, Traits};
use pg_sql::{ClassifyOptions, LexerOptions, classify};

/// The one statement of a text, which must be complete.
fn one(text: &str) -> Statement {
    let mut said = classify(text.as_bytes(), ClassifyOptions::default());
    assert!(said.complete, "incomplete: {text}");
    assert_eq!(said.statements.len(), 1, "{text}");
    said.statements.remove(0)
}

/// Relations as `schema.name:uses`, the first letters of the uses.
fn relations(text: &str) -> String {
    let shown = one(text).relations.into_iter().map(|relation| {
        let uses: String = relation
            .access
            .names()
            .filter_map(|word| word.chars().next())
            .collect();
        format!("{}:{uses}", relation.name)
    });
    shown.collect::<Vec<_>>().join(" ")
}

fn functions(text: &str) -> String {
    let shown = one(text).functions.into_iter().map(|name| name.to_string());
    shown.collect::<Vec<_>>().join(" ")
}

fn effects(text: &str) -> String {
    one(text).effects.names().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_write_is_found_wherever_it_stands() {
    for text in [
        "with d as (delete from t returning *) select * from d",
        "with a as (with b as (insert into t values (1) returning *) table b) select 1",
        "explain analyze delete from t",
        "explain (analyze, costs off) update t set a = 1 where a = 2",
        "explain (analyze 'on') merge into t using u on true when matched then delete",
        "prepare p as insert into t select 1",
        "copy (delete from t returning a) to stdout",
        "copy t from stdin",
        "truncate t",
    ] {
        let said = one(text);
        assert_eq!(said.class, AuditClass::Write, "{text}");
        assert!(said.effects.has(Effects::WRITES_ROWS), "{text}");
        let written = |name: &str| {
            said.relations
                .iter()
                .any(|r| r.name.name == name && r.access.has(Access::WRITE))
        };
        assert!(written("t"), "{text}");
    }
}

#[test]
fn a_plain_explain_does_nothing_but_names_what_it_plans() {
    for text in [
        "explain delete from t",
        "explain (analyze false) delete from t",
        "explain (analyze, analyze off) delete from t",
        "explain (analyze 0) delete from t",
    ] {
        let said = one(text);
        assert_eq!(
            (said.class, said.effects),
            (AuditClass::Misc, Effects::NONE),
            "{text}"
        );
        assert_eq!(relations(text), "t:w", "{text}");
    }
    // The planner runs it, to estimate rows.
    let planned = "explain select 1 from t where a = table_to_xml('u', true, true, '')::text";
    assert_eq!(effects(planned), "runs_unseen_code");
}

/// An option's name is a name like others; what it is set to is asked of the key word only.
#[test]
fn a_name_in_quotes_makes_explain_run_what_it_explains() {
    for option in [
        "\"analyze\"",
        "U&\"analyz\\0065\"",
        "U&\"analyz!0065\" uescape '!'",
        "\"analyze\" off",
        "costs off, \"analyze\" on",
    ] {
        let said = one(&format!("explain ({option}) delete from t"));
        assert_eq!(said.class, AuditClass::Write, "{option}");
    }
    let said = one("explain (\"ANALYZE\", \"analyse\") delete from t");
    assert_eq!(said.class, AuditClass::Misc);
}

#[test]
fn common_table_expressions_are_no_relations_where_they_are_visible() {
    for (text, expected) in [
        ("with x as (select 1) select * from x", ""),
        ("with x as (select * from x) select * from x", "x:r"),
        ("with recursive x as (select * from x) select * from x", ""),
        (
            "with recursive x as (select * from y), y as (select * from x) table y",
            "",
        ),
        (
            "with x as (select * from y), y as (select * from x) table y",
            "y:r",
        ),
        ("with x as (select 1) select * from s.x, \"X\"", "s.x:r X:r"),
        ("with \"X\" as (select 1) select * from x", "x:r"),
        ("with x as (select 1) insert into x select * from x", "x:w"),
        ("with x as (select 1) delete from x using x", "x:w"),
        ("select * from (with x as (select 1) table x) q, x", "x:r"),
        (
            "with x as (with y as (select 1) table y) select * from y, x",
            "y:r",
        ),
        (
            "with recursive x as (select (select 1 from z)), z as (select 1) table x",
            "",
        ),
        ("select 1 from z; with z as (select 1) table z", "z:r"),
        ("create recursive view v (a) as select 1 from v", "v:o"),
        ("with recursive as (select 1 from t) table recursive", "t:r"),
    ] {
        let said = classify(text.as_bytes(), ClassifyOptions::default());
        assert!(said.complete, "{text}");
        let first = text.split(';').next().expect("a statement");
        assert_eq!(relations(first), expected, "{text}");
    }
}

#[test]
fn names_are_read_as_the_server_reads_them() {
    for (typed, name) in [
        ("Orders", "orders"),
        ("\"Orders\"", "Orders"),
        ("\"a\"\"b\"", "a\"b"),
        ("U&\"d\\0061t\\+000061\"", "data"),
        ("U&\"d!0061ta\" UESCAPE '!'", "data"),
        ("U&\"\\D83D\\DE00\"", "\u{1f600}"),
        ("ORDERS", "orders"),
        ("\u{c4}B", "\u{c4}b"),
    ] {
        assert_eq!(one(&format!("table {typed}")).relations[0].name.name, name);
    }
    let long = "x".repeat(70);
    assert_eq!(
        one(&format!("table {long}")).relations[0].name.name,
        "x".repeat(63)
    );
    let wide = format!("table \"{}\u{e4}\"", "x".repeat(62));
    assert_eq!(one(&wide).relations[0].name.name, "x".repeat(62));
    let named = &one("delete from S . /* c */ \"T\"").relations[0].name;
    assert_eq!(
        (named.schema.as_deref(), named.typed.as_str()),
        (Some("s"), "S.\"T\"")
    );
}

#[test]
fn a_name_the_server_has_no_reading_for_is_incomplete() {
    for text in [
        "table a.b.c.d",
        "table U&\"\\D83D\"",
        "table U&\"\\00\"",
        "table \"\"",
    ] {
        assert!(
            !classify(text.as_bytes(), ClassifyOptions::default()).complete,
            "{text}"
        );
    }
    assert!(!classify(b"table \"\xff\"", ClassifyOptions::default()).complete);
}

#[test]
fn functions_are_reported_as_called_and_types_are_not() {
    for (text, expected) in [
        (
            "select f(g(1)), s.h(), count(*) over (order by f(2))",
            "f g s.h count",
        ),
        (
            "select * from generate_series(1, 2), lateral unnest(array[1])",
            "generate_series unnest",
        ),
        (
            "select 'x'::numeric(10, 2), cast(1 as varchar(3)), numeric(3) '1'",
            "",
        ),
        (
            "select extract(year from now()), trim(both 'x' from a)",
            "extract now trim",
        ),
        ("select coalesce(a, 1), greatest(f(1)), nullif(1, 2)", "f"),
        ("select 1 group by rollup (a), cube (b)", ""),
        ("select cube(1)", "cube"),
        ("call p(f(1))", "p f"),
        (
            "create table t (a int default nextval('s') check (ok(a)))",
            "nextval ok",
        ),
    ] {
        assert_eq!(functions(text), expected, "{text}");
    }
}

/// `x.f` is `f(x)` where x has no column f: `select ('/etc/passwd').pg_read_file` reads the file.
#[test]
fn names_behind_a_dot_are_told_since_the_server_may_call_them() {
    let said = one("select ('/etc/passwd').Pg_Read_File, q.count, s.t.\"F\" from q where q.* = a");
    let names: Vec<&str> = said
        .attributes
        .iter()
        .map(|name| name.name.as_str())
        .collect();
    assert_eq!(names, ["pg_read_file", "count", "F"]);
    assert!(said.effects.has(Effects::TOUCHES_SERVER_FILES));
    assert!(said.functions.is_empty());
}

#[test]
fn a_call_that_may_be_a_literal_of_a_type_is_incomplete() {
    assert!(!classify(b"select foo(3) 'x'", ClassifyOptions::default()).complete);
}

#[test]
fn effects_say_what_running_it_does() {
    for (text, expected) in [
        ("select 1", "reads_rows"),
        ("select nextval('s')", "reads_rows writes_rows"),
        (
            "select set_config('work_mem', '1MB', false)",
            "reads_rows changes_settings",
        ),
        (
            "select set_config('role', 'x', false)",
            "reads_rows changes_roles changes_settings",
        ),
        (
            "select set_config($1, $2, false)",
            "reads_rows changes_roles changes_settings",
        ),
        (
            "select pg_catalog.pg_read_file('/etc/passwd')",
            "reads_rows touches_server_files",
        ),
        ("select * from t for no key update", "reads_rows locks"),
        ("copy t to program 'sh'", "reads_rows touches_server_files"),
        ("copy t from '/tmp/f'", "writes_rows touches_server_files"),
        ("copy t to stdout", "reads_rows"),
        (
            "create view v as select * from t for update",
            "changes_schema",
        ),
        (
            "create function f() returns int language c as 'x'",
            "changes_schema runs_unseen_code",
        ),
        ("create function f() returns int return 1", "changes_schema"),
        (
            "create rule r as on insert to t do also delete from u",
            "changes_schema",
        ),
        (
            "create table t as select * from u",
            "reads_rows writes_rows changes_schema",
        ),
        ("do 'x'", "runs_unseen_code"),
        (
            "create foreign table t (a text) server s options (program 'sh')",
            "changes_schema touches_server_files",
        ),
        ("execute p(1)", "runs_unseen_code"),
        ("set role admin", "changes_roles changes_settings"),
        ("set local \"role\" = x", "changes_roles changes_settings"),
        (
            "set session authorization x",
            "changes_roles changes_settings",
        ),
        ("reset role", "changes_roles changes_settings"),
        ("grant a to b", "changes_roles"),
        (
            "alter role r set work_mem = 1",
            "changes_roles changes_settings",
        ),
        (
            "alter system set x = 1",
            "changes_settings touches_server_files",
        ),
        ("lock table t", "locks"),
        ("commit", "controls_transaction"),
        ("listen c", ""),
    ] {
        assert_eq!(effects(text), expected, "{text}");
    }
}

#[test]
fn classes_are_those_of_pgaudit() {
    for (text, class) in [
        ("select 1", "READ"),
        ("copy (select 1) to stdout", "READ"),
        ("declare c cursor for select 1", "READ"),
        ("select 1 into t", "DDL"),
        ("create user u password 'x'", "ROLE"),
        ("drop owned by r", "DDL"),
        (
            "alter default privileges grant select on tables to r",
            "ROLE",
        ),
        ("do ''", "FUNCTION"),
        ("call p()", "FUNCTION"),
        ("vacuum t", "MISC"),
        ("begin", "MISC"),
        ("set a = 1", "MISC_SET"),
        ("reset all", "MISC_SET"),
        ("refresh materialized view v", "DDL"),
    ] {
        assert_eq!(one(text).class.as_str(), class, "{text}");
    }
}

#[test]
fn a_where_that_chooses_no_rows_counts_as_none() {
    for (text, filtered) in [
        ("delete from t", false),
        ("delete from t where true", false),
        ("delete from t where 1 = 1", false),
        ("delete from t where $1", false),
        ("delete from t where now() is not null", false),
        ("delete from t where id = 5 or 1 = 1", false),
        ("delete from t where 1=1 or id = 5", false),
        ("delete from t where id = 5", true),
        ("delete from t where id = 5 and true", true),
        (
            "delete from t where id = any (array[1, 2]) or name = 'x'",
            true,
        ),
        ("delete from t where (id = 5 or name is null)", true),
        (
            "delete from t where exists (select from u where true)",
            true,
        ),
        ("delete from t where current of c", true),
        ("update t set a = 1", false),
        ("update t set a = (select b from u where u.id = 1)", false),
        ("update t set a = 1 from u where u.id = t.id", true),
        ("insert into t select 1 where true", true),
    ] {
        assert_eq!(
            !one(text).traits.has(Traits::UNFILTERED),
            filtered,
            "{text}"
        );
    }
    assert!(
        !one("insert into t select 1 where a")
            .traits
            .has(Traits::FILTERED)
    );
}

#[test]
fn clauses_of_the_outermost_query_and_of_any() {
    for (text, expected) in [
        ("select a from t limit 5", "limit literal"),
        ("select a from t limit $1", "limit parameter"),
        ("select a from t limit all", ""),
        ("select a from t fetch first row only", "limit"),
        ("(select a from t limit 1)", "limit literal"),
        ("(select a from t limit 1) union select b", "literal"),
        ("select a from (select b limit 1) q", "literal"),
        ("select a from t for share", "locking"),
        (
            "update t set a = b where c returning *",
            "returning filtered",
        ),
    ] {
        let said = one(text);
        assert_eq!(
            said.traits.names().collect::<Vec<_>>().join(" "),
            expected,
            "{text}"
        );
    }
}

#[test]
fn a_text_of_several_statements_is_several() {
    let text = b"; select 1;; delete from t; create function f() returns int begin atomic; select 1; end; commit";
    let said = classify(text, ClassifyOptions::default());
    assert!(said.complete);
    let commands: Vec<&str> = said
        .statements
        .iter()
        .map(|one| one.command.as_str())
        .collect();
    assert_eq!(commands, ["SELECT", "DELETE", "CREATE FUNCTION", "COMMIT"]);
    assert_eq!(&text[said.statements[1].range.clone()], b"delete from t");
}

#[test]
fn what_is_not_understood_is_said_and_what_follows_is_read_all_the_same() {
    let said = classify(
        b"select from from; delete from t",
        ClassifyOptions::default(),
    );
    assert!(!said.complete && !said.statements[0].complete && said.statements[1].complete);
    for text in [
        "selct 1",
        "select 'x",
        "select /* x",
        "select $1x",
        "select (",
        "drop",
        "select 1 )",
    ] {
        assert!(
            !classify(text.as_bytes(), ClassifyOptions::default()).complete,
            "{text}"
        );
    }
    let truncated = ClassifyOptions {
        truncated: true,
        ..ClassifyOptions::default()
    };
    assert!(!classify(b"select 1", truncated).complete);
}

#[test]
fn a_backslash_hides_a_write_only_where_the_session_says_so() {
    let text = br"select '\'; delete from t; --'";
    let conforming = classify(text, ClassifyOptions::default());
    assert_eq!(conforming.statements.len(), 2);
    let lexer = LexerOptions {
        standard_conforming_strings: false,
        ..LexerOptions::default()
    };
    let old = classify(
        text,
        ClassifyOptions {
            lexer,
            truncated: false,
        },
    );
    assert_eq!((old.statements.len(), old.complete), (1, true));
}

#[test]
fn commands_name_what_they_are_about() {
    for (text, expected) in [
        (
            "create table s.t (like u, a int references v) inherits (w)",
            "s.t:o u:o v:o w:o",
        ),
        ("create index i on t (a)", "t:o"),
        ("alter table t attach partition p default", "t:o p:o"),
        ("drop view v, s.w", "v:o s.w:o"),
        ("grant select on t, u to r", "t:o u:o"),
        ("grant all on schema s to r", ""),
        ("comment on column s.t.c is 'x'", "s.t:o"),
        ("drop trigger g on t", "t:o"),
        ("vacuum analyze t (a), u", "t:o u:o"),
        ("lock t, only u", "t:o u:o"),
        ("cluster i on t", "t:o"),
        ("select * into t from u", "t:o u:r"),
        ("copy t (a) from stdin where a > 1", "t:w"),
        (
            "merge into t using u on t.a = u.a when matched then do nothing",
            "t:w u:r",
        ),
        (
            "create policy p on t using (exists (select from u))",
            "t:o u:r",
        ),
    ] {
        assert_eq!(relations(text), expected, "{text}");
    }
}

#[test]
fn commands_inside_others_are_told_but_for_those_that_only_read() {
    for (text, expected) in [
        ("select (select 1)", ""),
        ("insert into t values (1)", ""),
        ("with d as (delete from t returning *) select 1", "DELETE"),
        (
            "with d as (delete from t returning *) delete from u",
            "DELETE",
        ),
        ("explain analyze delete from t", "DELETE"),
        ("explain delete from t", ""),
        ("explain (analyze) select 1 into t", "SELECT INTO"),
        (
            "explain analyze create table t as select 1",
            "CREATE TABLE AS",
        ),
        ("explain analyze execute p", "EXECUTE"),
        ("create table t as execute p", "EXECUTE"),
        ("create table t as select 1", ""),
        ("prepare p as insert into t select 1", "INSERT"),
        ("copy (update t set a = 1 returning a) to stdout", "UPDATE"),
        (
            "merge into t using u on t.a = u.a when matched then delete when not matched then insert values (1)",
            "DELETE INSERT",
        ),
        (
            "insert into t values (1) on conflict do update set a = 1",
            "UPDATE",
        ),
        (
            "create rule r as on insert to t do also (delete from u; insert into v select 1)",
            "DELETE INSERT",
        ),
        (
            "create schema s create table t (a int) grant select on t to r",
            "CREATE TABLE GRANT",
        ),
        (
            "create function f() returns int begin atomic delete from t; end",
            "DELETE",
        ),
        ("alter role r set role = x", "SET ROLE"),
        ("select set_config('Role', 'x', true)", "SET ROLE"),
        ("select set_config(a, 'x', true) from t", "SET ROLE"),
        ("set session authorization x", ""),
        ("reset role", ""),
    ] {
        let inner = one(text).inner;
        let shown: Vec<&str> = inner.iter().map(|command| command.as_str()).collect();
        assert_eq!(shown.join(" "), expected, "{text}");
    }
}

#[test]
fn a_merge_that_changes_all_rows_counts_as_without_where() {
    for (when, filtered) in [
        ("on t.id = u.id when matched then delete", true),
        ("on true when matched then delete", false),
        ("on 1 = 1 when matched then update set a = 1", false),
        ("on true when matched and t.id = 1 then delete", true),
        ("on true when matched and 1 = 1 then delete", false),
        ("on false when not matched then insert values (1)", true),
        (
            "on t.id = u.id when not matched by source then delete",
            false,
        ),
        (
            "on t.id = u.id when not matched by source and t.old then delete",
            true,
        ),
    ] {
        let traits = one(&format!("merge into t using u {when}")).traits;
        assert_eq!(!traits.has(Traits::UNFILTERED), filtered, "{when}");
    }
}

#[test]
fn cascade_is_told() {
    for text in [
        "truncate t cascade",
        "drop table t, u cascade",
        "create publication p for all tables",
        "alter publication p add table t, tables in schema s",
    ] {
        assert!(one(text).traits.has(Traits::CASCADE), "{text}");
    }
    for text in ["truncate t", "create publication p for table t"] {
        assert!(!one(text).traits.has(Traits::CASCADE), "{text}");
    }
}
