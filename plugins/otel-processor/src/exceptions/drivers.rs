//! What tells of an error on somebody else's span that a driver of PostgreSQL, or SQLAlchemy over one,
//! has raised it: its text may quote the statement, its parameters and the row.

/// Lines that are read of a text.
const LINES: usize = 256;

/// How types of such errors begin, in `exception.type` and at the beginning of a line.
const TYPES: [&str; 12] = [
    "*pgconn.",
    "*pq.Error",
    "Npgsql.",
    "PG::",
    "Postgrex.Error",
    "asyncpg.exceptions.",
    // sqlx.
    "error returned from database: ",
    "org.postgresql.",
    "psycopg.",
    "psycopg2.",
    "sqlalchemy.exc.",
    "tokio_postgres::",
];

/// What stands before a type on its line.
const BEFORE: [&str; 5] = ["Caused by: ", "(", "---> ", "** (", "! "];

/// How lines begin in which SQLAlchemy quotes a statement and its parameters.
const QUOTES: [&str; 2] = ["[SQL: ", "[parameters: "];

/// Whether an `exception.type` is a driver's.
pub(crate) fn is_type(name: &str) -> bool {
    TYPES.iter().any(|known| name.starts_with(known))
}

/// Whether a message or a stack trace is a driver's.
pub(crate) fn tells(text: &str) -> bool {
    text.split('\n').take(LINES).any(|line| {
        let line = line.trim();
        let bare = BEFORE.iter().find_map(|before| line.strip_prefix(before));
        let quotes = || QUOTES.iter().any(|quote| line.starts_with(quote));
        is_type(bare.unwrap_or(line)) || quotes() || has_a_sqlstate(line)
    })
}

/// pgx: `ERROR: text (SQLSTATE 23505)`.
fn has_a_sqlstate(line: &str) -> bool {
    let code = line
        .strip_suffix(')')
        .and_then(|line| line.rsplit_once("(SQLSTATE "));
    code.is_some_and(|(_, code)| crate::traces::sqlstate(code.as_bytes()).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drivers_text_is_told_from_others() {
        for text in [
            "(psycopg.errors.UniqueViolation) duplicate key\n[SQL: INSERT INTO t]\n[parameters: (1,)]",
            "Traceback (most recent call last):\nsqlalchemy.exc.IntegrityError: x",
            "java.lang.RuntimeException: x\n\tat a.b(C.java:1)\nCaused by: org.postgresql.util.PSQLException: y",
            "insert failed: ERROR: duplicate key (SQLSTATE 23505)",
            "PG::UniqueViolation: ERROR:  duplicate key",
            " ---> Npgsql.PostgresException (0x80004005): 23505: duplicate key",
            "** (Postgrex.Error) ERROR 23505 (unique_violation)",
        ] {
            assert!(tells(text), "{text}");
        }
        for text in [
            "card 4111 refused",
            "see [SQL: x]",
            "psycopg is a driver",
            "(SQLSTATE unknown)",
            "",
        ] {
            assert!(!tells(text), "{text}");
        }
    }
}
