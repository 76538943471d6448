//! Ways to change a setting that the session began with.

/// The policy imposes these on everybody.
pub const IMPOSED: &[(&str, &str)] = &[
    ("statement_timeout", "5s"),
    ("default_transaction_read_only", "on"),
    ("role", "app"),
    ("work_mem", "5MB"),
];

/// Shows all of them, and the state of the transaction.
pub const SHOWN: &str = "select concat_ws(' ', current_setting('statement_timeout'), \
    current_setting('transaction_read_only'), current_user, current_setting('work_mem'))";

/// What [`SHOWN`] shows as long as nothing has changed.
pub const KEPT: &str = "5s on app 5MB";

/// Each line is one session's Queries, one after the other; then [`SHOWN`] is asked.
pub const CHANGES: &[&[&str]] = &[
    &["set statement_timeout = 0"],
    &["SET \"Statement_Timeout\" TO '0'"],
    &["set session statement_timeout = 0"],
    &["begin; set local statement_timeout = 0"],
    &["set u&\"statement\\005ftimeout\" = 0"],
    &["set /**/ statement_timeout -- x\n = 0"],
    &["set statement_timeout from current; set statement_timeout = 0"],
    &["set sort_mem = '9MB'"],
    &["select set_config('statement_timeout', '0', false)"],
    &["select set_config('STATEMENT_' || 'TIMEOUT', '0', false)"],
    &["select pg_catalog.\"set_config\"('statement_timeout', '0', false)"],
    &["select U&\"set\\005fconfig\"('statement_timeout', '0', false)"],
    &["select set_config(name, '0', false) from pg_settings where name like 'statement_t%'"],
    &["with x as (select set_config('statement_timeout', '0', false)) select * from x"],
    &["explain analyze select set_config('statement_timeout', '0', false)"],
    &[
        "prepare p as select set_config($1, $2, false)",
        "execute p('statement_timeout', '0')",
    ],
    &["copy (select set_config('statement_timeout', '0', false)) to stdout"],
    &[
        "declare c cursor with hold for select set_config('statement_timeout', '0', false)",
        "fetch all from c",
    ],
    &["do $$ begin perform set_config('statement_timeout', '0', false); end $$"],
    &["do $$ begin execute 'set statement' || '_timeout = 0'; end $$"],
    &["do 'begin set statement_timeout = 0; end'"],
    &[
        "select query_to_xml('select set_config(''statement_'' || ''timeout'', ''0'', false)', true, true, '')",
    ],
    &[
        "select * from ts_stat('select to_tsvector(set_config(''statement_timeout'', ''0'', false))')",
    ],
    &["begin read write"],
    &["start transaction read write"],
    &["begin; set transaction read write"],
    &[
        "begin",
        "set transaction isolation level serializable, read write",
    ],
    &["set session characteristics as transaction read write"],
    &["set default_transaction_read_only = off"],
    &["begin; set transaction_read_only = off"],
    &["set role postgres"],
    &["set role none"],
    &["set session authorization postgres; set role none"],
    &["set session authorization mallory"],
    &["select set_config('role', 'none', false)"],
    &["begin", "set local role mallory"],
];

/// The same, for a session that is not read only.
pub const DEFINITIONS: &[&[&str]] = &[
    &["update pg_settings set setting = '0' where name = 'statement_timeout'"],
    &["update pg_catalog.pg_settings as s set setting = '0' where s.name = 'statement_timeout'"],
    &[
        "create aggregate loot.a (text, bool) (sfunc = set_config, stype = text, initcond = 'statement_timeout')",
        "select loot.a('0', false)",
    ],
    &[
        "create view loot.v as select set_config('statement_timeout', '0', false)",
        "table loot.v",
    ],
    &[
        "create view loot.v as select * from pg_settings",
        "update loot.v set setting = '0' where name = 'statement_timeout'",
    ],
    &[
        "create function loot.f() returns text language sql as $$ select set_config('statement_timeout', '0', false) $$",
        "select loot.f()",
    ],
    &[
        "create function loot.f() returns void language plpgsql as $$ begin execute 'set statement_' || 'timeout = 0'; end $$",
        "select loot.f()",
    ],
    &[
        "create function loot.f() returns text language internal as 'set_config_by_name'",
        "create function loot.f(text, text, bool) returns text language internal as 'set_config_by_name'",
        "select loot.f('statement_timeout', '0', false)",
    ],
    &[
        "create table loot.t (a text default set_config('statement_timeout', '0', false))",
        "insert into loot.t default values",
    ],
    &[
        "create domain loot.d as text check (set_config('statement_timeout', '0', false) is not null)",
        "select 'x'::loot.d",
    ],
    &[
        "create procedure loot.p() language sql as 'set statement_timeout = 0'",
        "call loot.p()",
    ],
    &[
        "create rule r as on insert to app.parent do also select set_config('statement_timeout', '0', false)",
        "insert into app.parent values (1)",
    ],
];
