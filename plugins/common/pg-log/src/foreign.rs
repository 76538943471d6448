//! Lines of other programs in the stream of a server: poolers, operators, backup tools, scripts of the
//! image. They are told by how they begin, since a line that nobody is known to write may continue a
//! statement whose tabs a host took off. SQL that such a line quotes is redacted.

use crate::json::Members;
use crate::redact::statement;
use crate::scan::{before, behind, digits, find, find_byte};

/// Programs that name themselves before a colon: what the server runs, and what runs it.
const PROGRAMS: [&[u8]; 40] = [
    b"aws",
    b"barman",
    b"barman-cloud-wal-archive",
    b"barman-cloud-wal-restore",
    b"bash",
    b"cat",
    b"chmod",
    b"chown",
    b"clusterdb",
    b"cp",
    b"createdb",
    b"createuser",
    b"docker-entrypoint.sh",
    b"dropdb",
    b"envdir",
    b"gpg",
    b"gsutil",
    b"gunzip",
    b"gzip",
    b"initdb",
    b"ln",
    b"lz4",
    b"mkdir",
    b"mv",
    b"pg_archivecleanup",
    b"pg_basebackup",
    b"pg_controldata",
    b"pg_ctl",
    b"pg_isready",
    b"pg_resetwal",
    b"pg_rewind",
    b"pg_upgrade",
    b"pgbackrest",
    b"rm",
    b"rsync",
    b"scp",
    b"sh",
    b"ssh",
    b"tar",
    b"zstd",
];

/// How lines of `initdb`, `pg_ctl` and the images' scripts begin.
static BEGINNINGS: &[&[u8]] = &[
    b"Data page checksums are ",
    b"Enter new superuser password",
    b"INSERT 0 ",
    b"PostgreSQL Database directory appears to contain a database",
    b"PostgreSQL init process complete",
    b"Success. You can now start the database server using",
    b"The database cluster will be initialized with ",
    b"The default database encoding has ",
    b"The default text search configuration will be ",
    b"The files belonging to this database system will be owned by user ",
    b"This user must also own the server process.",
    b"    pg_ctl -D ",
];

/// How those begin that have dots before what came of it.
static STEPS: &[&[u8]] = &[
    b"creating configuration files ... ",
    b"creating directory ",
    b"creating subdirectories ... ",
    b"fixing permissions on existing directory ",
    b"performing post-bootstrap initialization ... ",
    b"running bootstrap script ... ",
    b"selecting default ",
    b"syncing data to disk ... ",
    b"waiting for server to ",
];

/// Whole lines of theirs, and what `psql` answers to the scripts of an image.
static LINES: &[&[u8]] = &[
    b" done",
    b"ALTER DATABASE",
    b"ALTER DEFAULT PRIVILEGES",
    b"ALTER ROLE",
    b"ALTER SYSTEM",
    b"ALTER TABLE",
    b"BEGIN",
    b"COMMIT",
    b"CREATE DATABASE",
    b"CREATE EXTENSION",
    b"CREATE FUNCTION",
    b"CREATE INDEX",
    b"CREATE ROLE",
    b"CREATE SCHEMA",
    b"CREATE TABLE",
    b"CREATE TRIGGER",
    b"CREATE TYPE",
    b"CREATE VIEW",
    b"GRANT",
    b"done",
    b"ok",
    b"server promoted",
    b"server promoting",
    b"server signaled",
    b"server started",
    b"server starting",
    b"server stopped",
];

/// Words that a pooler or operator begins its message with, behind the time and the process id.
static LEVELS: &[&[u8]] = &[
    b"CRITICAL",
    b"DEBUG",
    b"ERROR",
    b"FATAL",
    b"INFO",
    b"LOG",
    b"NOISE",
    b"NOTICE",
    b"TRACE",
    b"WARN",
    b"WARNING",
];

/// What `pg_isready` says of a server.
static STATES: &[&[u8]] = &[
    b"accepting connections",
    b"no response",
    b"rejecting connections",
];

/// Times that are not the server's.
static TIMES: &[&[u8]] = &[
    b"0000-00-00 00:00:00,000 ",
    b"0000-00-00T00:00:00",
    b"0000/00/00 00:00:00 ",
];

/// Words behind a time among which a level stands: a process id and a program may come first.
const FIRST_WORDS: usize = 3;

/// Keys of a level and of a message in the JSON that operators log.
static LEVEL_KEYS: &[&[u8]] = &[b"level", b"levelname", b"severity"];
static MESSAGE_KEYS: &[&[u8]] = &[b"message", b"msg"];
/// Keys of entries of the server's, in jsonlog and as CloudNativePG wraps them.
static ENTRY_KEYS: &[&[u8]] = &[b"error_severity", b"record"];

/// Whether all lines of a text are another program's by how each begins; a blank one is nobody's.
#[must_use]
pub fn is_other_programs(text: &[u8]) -> bool {
    let mut lines = text.split(|byte| *byte == b'\n');
    lines.all(|line| is_line_of_others(line.trim_ascii_end()))
}

fn is_line_of_others(line: &[u8]) -> bool {
    let is_step = || begins_with_any(line, STEPS) && find(line, b"...").is_some();
    line.is_empty()
        || is_object(line)
        || is_timed_otherwise(line)
        || is_any(line, LINES)
        || begins_with_any(line, BEGINNINGS)
        || is_step()
        || is_named(line)
        || is_readiness(line)
}

// Few lines are looked at: what counts is that the lists are not unrolled into code.
#[inline(never)]
fn begins_with_any(line: &[u8], list: &[&[u8]]) -> bool {
    list.iter().any(|with| line.starts_with(with))
}

#[inline(never)]
fn is_any(word: &[u8], list: &[&[u8]]) -> bool {
    list.contains(&word)
}

/// A whole object that has a level and a message, as operators log: a document of a user's is another.
fn is_object(line: &[u8]) -> bool {
    let mut members = Members::of(line);
    let (mut level, mut message) = (false, false);
    for member in members.by_ref() {
        if is_any(member.key, ENTRY_KEYS) {
            return false;
        }
        level |= is_any(member.key, LEVEL_KEYS);
        message |= is_any(member.key, MESSAGE_KEYS);
    }
    level && message && members.finished().is_some_and(<[u8]>::is_empty)
}

/// What `pg_isready` says: `/run/postgresql:5432 - rejecting connections`.
fn is_readiness(line: &[u8]) -> bool {
    let Some(dash) = find(before(line, 256), b" - ") else {
        return false;
    };
    let (place, state) = (before(line, dash), behind(line, dash.saturating_add(3)));
    let port = place
        .rsplit(|byte| *byte == b':')
        .next()
        .unwrap_or_default();
    let is_port = port.len() < place.len() && digits(port) == port.len() && !port.is_empty();
    is_port && !place.contains(&b' ') && is_any(state, STATES)
}

/// `initdb: `, `/usr/bin/pg_ctl: `, `cp: `.
fn is_named(line: &[u8]) -> bool {
    let Some(colon) = find(before(line, 256), b": ") else {
        return false;
    };
    let path = before(line, colon);
    let slash = path.iter().rposition(|byte| *byte == b'/');
    let name = slash.map_or(path, |slash| behind(path, slash.saturating_add(1)));
    PROGRAMS.binary_search(&name).is_ok()
}

/// A time that is not the server's, or one that is but for the single blank behind the level.
fn is_timed_otherwise(line: &[u8]) -> bool {
    if has_shape(line, b"0000-00-00 00:00:00.000 ") {
        return is_leveled(behind(line, 24));
    }
    TIMES.iter().any(|time| has_shape(line, time)) && has_level(behind(line, 19))
}

/// Whether a line begins like this, with digits where there are zeros.
#[inline(never)]
fn has_shape(line: &[u8], shape: &[u8]) -> bool {
    shape.iter().enumerate().all(|(at, form)| {
        let byte = line.get(at);
        match form {
            b'0' => byte.is_some_and(u8::is_ascii_digit),
            form => byte == Some(form),
        }
    })
}

/// `Z INFO message`, `,123 [31] barman.server INFO: message`.
fn has_level(rest: &[u8]) -> bool {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let words = rest.split(blank).skip(1).take(FIRST_WORDS);
    let mut bare = words.map(|word| word.strip_suffix(b":").unwrap_or(word));
    bare.any(|word| is_any(word, LEVELS))
}

/// `UTC [31] LOG C-0x55: ` of pgbouncer, `P00   INFO: ` of pgBackRest.
fn is_leveled(rest: &[u8]) -> bool {
    if let Some(process) = rest.strip_prefix(b"P") {
        let number = digits(process);
        return number > 0 && behind(process, number).starts_with(b" ");
    }
    let zone = find_byte(before(rest, 8), b' ').unwrap_or(rest.len());
    let Some(process) = behind(rest, zone).strip_prefix(b" [") else {
        return false;
    };
    let number = digits(process);
    let level = behind(process, number).strip_prefix(b"] ");
    let word = level.and_then(|level| level.split(|byte| *byte == b' ').next());
    word.is_some_and(|word| is_any(word, LEVELS))
}

/// What SQL with data in it begins with; a blank is whatever stands between words.
const COMMANDS: [&[u8]; 49] = [
    b"ALTER DATABASE",
    b"ALTER DOMAIN",
    b"ALTER FOREIGN",
    b"ALTER FUNCTION",
    b"ALTER ROLE",
    b"ALTER SERVER",
    b"ALTER SUBSCRIPTION",
    b"ALTER SYSTEM",
    b"ALTER TABLE",
    b"ALTER TYPE",
    b"ALTER USER",
    b"CALL",
    b"COMMENT ON",
    b"COPY",
    b"CREATE DOMAIN",
    b"CREATE FOREIGN",
    b"CREATE FUNCTION",
    b"CREATE INDEX",
    b"CREATE MATERIALIZED",
    b"CREATE OR REPLACE",
    b"CREATE POLICY",
    b"CREATE PROCEDURE",
    b"CREATE ROLE",
    b"CREATE RULE",
    b"CREATE SERVER",
    b"CREATE SUBSCRIPTION",
    b"CREATE TABLE",
    b"CREATE TEMP",
    b"CREATE TRIGGER",
    b"CREATE TYPE",
    b"CREATE UNIQUE",
    b"CREATE USER",
    b"CREATE VIEW",
    b"DECLARE",
    b"DELETE FROM",
    b"DO $",
    b"DO '",
    b"EXECUTE",
    b"EXPLAIN",
    b"IMPORT FOREIGN",
    b"INSERT INTO",
    b"MERGE INTO",
    b"NOTIFY",
    b"PASSWORD",
    b"PREPARE",
    b"SECURITY LABEL",
    b"SELECT",
    b"UPDATE",
    b"VALUES",
];

/// Writes a line of another program's with the SQL in it redacted. Returns whether there is any that has
/// literals.
pub fn without_sql(text: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(at) = (0..text.len()).find(|at| is_command(text, *at)) else {
        return false;
    };
    let sql = behind(text, at);
    let redacted = statement(sql);
    if redacted == sql {
        return false;
    }
    out.extend_from_slice(before(text, at));
    out.extend_from_slice(&redacted);
    true
}

fn is_command(text: &[u8], at: usize) -> bool {
    let last = at.checked_sub(1).and_then(|last| text.get(last));
    let rest = behind(text, at);
    !last.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        && (COMMANDS.iter().any(|command| begins(rest, command)) || is_assignment(rest))
}

/// Whether a text begins with a command, and what may stand behind a word.
#[inline(never)]
fn begins(text: &[u8], command: &[u8]) -> bool {
    let mut both = command.iter().zip(text);
    let is_command = text.len() > command.len()
        && both.all(|(form, byte)| match form {
            b' ' => byte.is_ascii_whitespace(),
            form => form.eq_ignore_ascii_case(byte),
        });
    let is_word = command.last().is_some_and(u8::is_ascii_alphabetic);
    let next = behind(text, command.len());
    is_command && (!is_word || next.starts_with(b"/*") || next.first().is_some_and(ends_a_word))
}

fn ends_a_word(byte: &u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b'(' | b'\'' | b'"')
}

/// `SET name = value`, `SET LOCAL name TO value`: other programs set things, too.
fn is_assignment(text: &[u8]) -> bool {
    let mut rest = text;
    begins(text, b"SET")
        && (0..3).any(|word| {
            let is_name = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
            let name = rest.iter().take_while(is_name).count();
            rest = behind(rest, name).trim_ascii_start();
            word > 0 && (rest.starts_with(b"=") || begins(rest, b"TO"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_in_order_so_that_they_are_found() {
        assert!(PROGRAMS.is_sorted());
    }

    #[test]
    fn other_programs_are_told_by_how_they_begin() {
        for line in [
            "2026-11-23 03:34:37,123 INFO: no action. I am (shop-0), the leader with the lock",
            "2026-11-23 03:34:37.123 UTC [31] LOG C-0x55: shop/bob@10.0.0.1:55000 login attempt",
            "2026-11-23 03:34:37.123 P00   INFO: archive-push command begin 2.54.0",
            "2026-11-23T03:34:37Z INFO something",
            "2026-11-23 03:34:37,123 [31] barman.server INFO: Archiving",
            "2026/11/23 03:34:37 INFO something",
            "{\"level\":\"info\",\"ts\":1,\"msg\":\"x\"}",
            "{\"level\":\"info\",\"msg\":\"x\"}\n{\"levelname\":\"INFO\",\"message\":\"y\"}\n",
            "creating directory /data ... ok",
            "CREATE DATABASE",
            "/var/run/postgresql:5432 - rejecting connections",
            "initdb: hint: You can change this by editing pg_hba.conf",
            "/usr/local/bin/docker-entrypoint.sh: ignoring /docker-entrypoint-initdb.d/*",
            "cp: cannot create regular file '/archive/1': No such file or directory",
            "waiting for server to shut down.... done",
            "\n",
        ] {
            assert!(is_other_programs(line.as_bytes()), "{line}");
        }
        for line in [
            "VALUES ('hunter2')",
            "password: hunter2",
            "2026-11-23 hunter2",
            "2026-11-23 03:34:37.123 UTC [4711] bob@shop HATA: x",
            ", 46114);",
            "{\"ssn\":\"hunter2\"}",
            "{\"level\":\"hunter2\"",
            "{\"level\":\"info\",\"msg\":\"x\"} hunter2",
            "ok hunter2",
            "done hunter2",
            "creating directory hunter2",
            "server started hunter2",
            "2026-01-01T00:00:00 hunter2",
            "2026/01/01 00:00:00 hunter2",
            "2026-01-01 00:00:00,000 hunter2",
            "hunter2 - no response",
            "cp: x\n\thunter2",
        ] {
            assert!(!is_other_programs(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn the_sql_in_a_line_of_another_programs_is_redacted() {
        for (line, expected) in [
            (
                "WARNING C-0x55: query: select a from t where b = 'x' and c = 7",
                Some("WARNING C-0x55: query: select a from t where b = ? and c = ?"),
            ),
            (
                "LINE 1: ALTER USER bob PASSWORD 'x'",
                Some("LINE 1: ALTER USER bob PASSWORD ?"),
            ),
            (
                "ran alter\ttable t add check (a <> 'x')",
                Some("ran alter\ttable t add check (a <> ?)"),
            ),
            ("SELECT\n7", Some("SELECT\n?")),
            ("values(7)", Some("values(?)")),
            ("SET LOCAL a = 'x'", Some("SET LOCAL a = ?")),
            ("set a='x'", Some("set a=?")),
            ("set a to 7", Some("set a to ?")),
            ("comment on table t is 'x'", Some("comment on table t is ?")),
            ("pool set to 7 workers", None),
            ("could not create directory 'x'", None),
            ("with 7 workers", None),
            ("created table 'x'", None),
            ("select-7", None),
            ("please select one of these", None),
            ("no action", None),
        ] {
            let mut out = Vec::new();
            let found = without_sql(line.as_bytes(), &mut out);
            let out = String::from_utf8(out).unwrap();
            assert_eq!(found.then_some(out.as_str()), expected, "{line}");
        }
    }
}
