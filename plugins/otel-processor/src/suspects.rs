//! What tells by itself, whatever its name is, that a text holds data: SQL with values in it, or an
//! address with a password.

use pg_log::without_sql;

/// Marks of which a statement with numbers in it has one, and a command's tag none (`UPDATE 17`).
const MARKS: &[u8] = b"=(,*;";
/// A statement that needs none of them.
const SELECT: &[u8] = b"select ";

/// Whether SQL with values in it is in a text.
#[inline(never)]
pub(crate) fn holds_sql(text: &[u8]) -> bool {
    let may_hold = text.contains(&b' ')
        && (text.contains(&b'\'')
            || text.contains(&b'$')
            || (text.iter().any(u8::is_ascii_digit)
                && (text.iter().any(|byte| MARKS.contains(byte)) || begins(text, SELECT))));
    may_hold && without_sql(text, &mut Vec::new())
}

fn begins(text: &[u8], word: &[u8]) -> bool {
    let beginning = text.get(..word.len());
    beginning.is_some_and(|beginning| beginning.eq_ignore_ascii_case(word))
}

/// How passwords begin in libpq's, pgjdbc's and .NET's strings.
const PASSWORDS: [&[u8]; 3] = [b"password=", b"passwd=", b"pwd="];
const SCHEME: &[u8] = b"://";

/// Whether a text has a password where an address has one: `postgres://bob:secret@db/shop`,
/// `host=db password=secret`.
#[inline(never)]
pub(crate) fn holds_password(text: &[u8]) -> bool {
    let behind_scheme =
        || find(text, SCHEME).and_then(|at| text.get(at.checked_add(SCHEME.len())?..));
    (text.contains(&b'@') && behind_scheme().is_some_and(has_userinfo))
        || (text.contains(&b'=') && PASSWORDS.iter().any(|word| find(text, word).is_some()))
}

/// Whether an address without a scheme begins with `user:password@`.
#[inline(never)]
pub(crate) fn has_userinfo(address: &[u8]) -> bool {
    let mut parts = address.split(|byte| matches!(byte, b'/' | b'?' | b'#' | b' ' | b'@'));
    let user = parts.next().unwrap_or_default();
    address.get(user.len()) == Some(&b'@') && user.contains(&b':')
}

#[inline(never)]
fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    let mut parts = text.windows(wanted.len());
    parts.position(|part| part.eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sql_is_told_from_words_of_a_language() {
        for text in [
            "UPDATE t SET card='4111' WHERE id=7",
            "waiting for: select * from t where a = 'x'",
            "INSERT INTO t VALUES (1)",
            "select 4111",
        ] {
            assert!(holds_sql(text.as_bytes()), "{text}");
        }
        for text in [
            "client backend",
            "select-1",
            "update 17",
            "SELECT a FROM t WHERE b = $1",
            "CREATE INDEX CONCURRENTLY",
            "PostgreSQL 18.1 on x86_64-pc-linux-gnu",
            "",
        ] {
            assert!(!holds_sql(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn an_address_with_a_password_is_told_from_one_without() {
        for text in [
            "postgres://bob:hunter2@db/shop",
            "host=db Password=hunter2",
            "jdbc:postgresql://db/shop?user=b&password=hunter2",
        ] {
            assert!(holds_password(text.as_bytes()), "{text}");
        }
        for text in [
            "db.shop.svc:5432",
            "postgres://bob@db/shop",
            "postgres://db:5432/shop?options=a@b",
            "bob@example.com",
            "postgres:18@sha256:4111",
            "a:b",
            "",
        ] {
            assert!(!holds_password(text.as_bytes()), "{text}");
        }
        assert!(has_userinfo(b"bob:hunter2@db"));
        assert!(!has_userinfo(b"bob@db:5432"));
    }
}
