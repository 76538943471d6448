//! Statements that run a command, call a function or reach a file that is denied, whatever the relation.
//! Each line is one session's Queries, one after the other.

/// Nothing here is about relations.
pub const DENIED: &str = r#"{"rules": [
    {"name": "commands", "action": "deny", "user": ["mallory"], "command": ["DELETE", "INSERT", "SET ROLE"]},
    {"name": "functions", "action": "deny", "user": ["mallory"], "functions": ["public.peek", "pg_read_file"]},
    {"name": "files", "action": "deny", "user": ["mallory"], "effect": ["touches_server_files"]}
]}"#;

/// What they need: a file that holds the secret, and a way to it.
pub const PREPARATIONS: &[&str] = &[
    "create extension file_fdw",
    "copy (select 'secret' || '-4711') to '{data}/told'",
];

/// Tells the secret to somebody who acts as `app`.
const TELL: &str = "select case current_user when 'app' then 'secret' || '-4711' end";

pub const COMMANDS: &[&[&str]] = &[
    &["explain (\"analyze\") delete from app.payments"],
    &["explain (costs off, u&\"analyz\\0065\" true) delete from app.payments"],
    &["explain (u&\"analyz!0065\" uescape '!') delete from app.payments"],
    &["prepare p as delete from app.payments", "execute p"],
    &["merge into app.payments using (values (9)) v (i) on false \
            when not matched then insert values (9, 'forged', 1)"],
    &["select set_config('role', 'app', false)", TELL],
    &["select set_config('ro' || 'le', 'app', false)", TELL],
    &[
        "select * from set_config('session_authorization', 'app', false)",
        TELL,
    ],
    &[
        "alter function peek() rename to harmless",
        "select harmless()",
    ],
    &[
        "alter function peek() set schema loot",
        "select loot.peek()",
    ],
    &[
        "create operator loot.### (rightarg = text, function = pg_read_file)",
        "select operator(loot.###) '{data}/told'",
    ],
    &[
        "create server files foreign data wrapper file_fdw",
        "create foreign table loot.t (l text) server files options (filename '{data}/told')",
        "table loot.t",
    ],
    &[
        "create server files foreign data wrapper file_fdw",
        "create foreign table loot.t (l text) server files options (program 'cat {data}/told')",
        "table loot.t",
    ],
];
