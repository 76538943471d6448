//! What tells by itself, whatever its name is, that a text holds data: SQL with values in it, or an
//! address with a password.

use pg_log::without_sql;

use crate::statement::is_like_a_statement;

/// A statement may have no mark but blanks and digits.
const SELECT: &[u8] = b"select";
/// What passwords are called in strings of libpq's, pgjdbc's and .NET's, and in JSON.
const PASSWORDS: [&[u8]; 3] = [b"password", b"passwd", b"pwd"];
const SCHEME: &[u8] = b"://";

/// What a text holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Suspect {
    Password,
    Sql,
}

/// What a text holds, which may be an address without a scheme or not.
#[inline(always)]
pub(crate) fn suspect(text: &[u8], is_address: impl Fn() -> bool) -> Option<Suspect> {
    let marks = Marks::of(text);
    let has_userinfo = || marks.has(Marks::AT) && has_userinfo(text) && is_address();
    if marks.is_none() {
        None
    } else if marks.tell_password(text) || has_userinfo() {
        Some(Suspect::Password)
    } else {
        marks.tell_sql(text).then_some(Suspect::Sql)
    }
}

/// Whether SQL with values in it is in a text.
#[inline(never)]
pub(crate) fn holds_sql(text: &[u8]) -> bool {
    Marks::of(text).tell_sql(text)
}

/// Whether a text has a password where an address has one, or what says how to connect:
/// `postgres://bob:secret@db/shop`, `host=db password=secret`, `{"password":"secret"}`.
#[inline(never)]
pub(crate) fn holds_password(text: &[u8]) -> bool {
    Marks::of(text).tell_password(text)
}

/// Whether a text has a password that redaction would take for a name: it is no statement, or has an
/// address outside of quotes.
pub(crate) fn is_address(text: &[u8]) -> bool {
    let has_address = || {
        let bare = text.split(|byte| *byte == b'\'').next();
        bare.is_some_and(|bare| bare.contains(&b'@'))
    };
    holds_password(text) && (has_address() || !is_like_a_statement(text))
}

/// Which bytes a text has that tell something, one bit for each kind.
#[derive(Clone, Copy)]
struct Marks(u8);

impl Marks {
    const BLANK: u8 = 1;
    const AT: u8 = 2;
    const EQUALS: u8 = 4;
    /// What stands around values, or in the place of one.
    const QUOTE: u8 = 8;
    const DIGIT: u8 = 16;
    /// A statement with numbers in it has one, and a command's tag none (`UPDATE 17`).
    const MARK: u8 = 32;
    /// What stands around keys in JSON.
    const DOUBLE_QUOTE: u8 = 64;

    /// Those of a text; none of one that can hold neither, as nearly all cannot.
    #[inline(always)]
    fn of(text: &[u8]) -> Self {
        match may_tell(text) {
            true => Self::read(text),
            false => Self(0),
        }
    }

    #[inline(never)]
    fn read(text: &[u8]) -> Self {
        let marks = text.iter().fold(0, |marks, byte| {
            marks
                | match byte {
                    b' ' | b'\t' | b'\n' => Self::BLANK,
                    b'"' => Self::DOUBLE_QUOTE,
                    b'@' => Self::AT,
                    b'=' => Self::EQUALS | Self::MARK,
                    b'\'' | b'$' => Self::QUOTE,
                    b'0'..=b'9' => Self::DIGIT,
                    b'(' | b',' | b'*' | b';' => Self::MARK,
                    _ => 0,
                }
        });
        Self(marks)
    }

    const fn is_none(self) -> bool {
        self.0 == 0
    }

    const fn has(self, mark: u8) -> bool {
        self.0 & mark != 0
    }

    #[inline(never)]
    fn tell_sql(self, text: &[u8]) -> bool {
        let is_marked = || self.has(Self::MARK) || find(text, SELECT).is_some();
        self.has(Self::BLANK)
            && (self.has(Self::QUOTE) || (self.has(Self::DIGIT) && is_marked()))
            && without_sql(text, &mut Vec::new())
    }

    #[inline(never)]
    fn tell_password(self, text: &[u8]) -> bool {
        (self.has(Self::AT) && behind_each(text, SCHEME).any(has_userinfo))
            || (self.has(Self::EQUALS | Self::DOUBLE_QUOTE) && sets_a_password(text))
    }
}

/// Whether there is a blank, an `@`, a `=` or a `"` in a text, eight bytes at a time.
#[inline(always)]
fn may_tell(text: &[u8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let has = |word: u64, byte: u8| {
        let differences = word ^ ONES.wrapping_mul(byte.into());
        differences.wrapping_sub(ONES) & !differences
    };
    let (words, rest) = text.as_chunks::<8>();
    let found = words.iter().fold(0, |found, word| {
        let word = u64::from_le_bytes(*word);
        let blanks = word.wrapping_sub(ONES.wrapping_mul(0x21)) & !word;
        found | blanks | has(word, b'@') | has(word, b'=') | has(word, b'"')
    });
    found & HIGHS != 0
        || rest
            .iter()
            .any(|byte| matches!(byte, 0..=b' ' | b'@' | b'=' | b'"'))
}

/// Whether an address without a scheme begins with `user:password@`. A password may have all in it that
/// ends an address, written as it must not be: `/` is told by the port that is none.
fn has_userinfo(address: &[u8]) -> bool {
    // Of several each is looked at once.
    let address = address.get(..find(address, SCHEME).unwrap_or(address.len()));
    let address = address.unwrap_or_default();
    let ends = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'<' | b'>');
    let address = address.split(ends).next().unwrap_or_default();
    let authority = address
        .split(|byte| *byte == b'/')
        .next()
        .unwrap_or_default();
    let mut user = authority.rsplitn(2, |byte| *byte == b'@').skip(1);
    match user.next() {
        Some(user) => user.contains(&b':'),
        None => address.contains(&b'@') && !is_host(authority),
    }
}

/// Whether there is no port, or one that is.
fn is_host(authority: &[u8]) -> bool {
    let mut parts = authority.rsplitn(2, |byte| *byte == b':');
    let port = parts.next().unwrap_or_default();
    parts.next().is_none() || port.ends_with(b"]") || port.iter().all(u8::is_ascii_digit)
}

/// Whether a text gives a password a value, and is no statement, in which a column is compared with one.
#[inline(never)]
fn sets_a_password(text: &[u8]) -> bool {
    let words = PASSWORDS.iter();
    let mut behind = words.flat_map(|word| behind_each(text, word));
    behind.any(is_set) && !is_statement(text)
}

/// Whether a value is behind the name: `=secret`, ` = secret`, `": "secret"`, `\":\"secret\"`.
fn is_set(behind: &[u8]) -> bool {
    let bare = behind.strip_prefix(b"\\").unwrap_or(behind);
    let unquoted = bare.strip_prefix(b"\"");
    let rest = unquoted.unwrap_or(behind).trim_ascii_start();
    match rest.split_first() {
        Some((b':', value)) => {
            let value = value.trim_ascii_start();
            unquoted.is_some() && (value.starts_with(b"\"") || value.starts_with(b"\\\""))
        }
        Some((b'=', _)) => true,
        _ => false,
    }
}

/// Whether a text begins like a statement.
#[inline(never)]
fn is_statement(text: &[u8]) -> bool {
    let word = text
        .trim_ascii_start()
        .split(|byte| !byte.is_ascii_alphabetic());
    word.take(1).any(is_like_a_statement)
}

/// What is behind each place where a word is, in whatever letter case.
fn behind_each<'t>(text: &'t [u8], word: &'static [u8]) -> impl Iterator<Item = &'t [u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let at = find(rest, word)?.checked_add(word.len())?;
        rest = rest.get(at..)?;
        Some(rest)
    })
}

/// Where a word is, in whatever letter case.
#[inline(never)]
pub(crate) fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
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
            "explain select 4111",
            "SELECT\t4111",
            "--c\nselect 4111",
            "SELECT\n*\nFROM\nt\nWHERE\na=4111",
            "set x = 'zwei'",
            "ALTER TABLE t ALTER c SET DEFAULT 'zwei'",
            "WITH x AS (VALUES(41111)) TABLE x",
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
    fn a_byte_that_tells_is_seen_wherever_it_stands() {
        for length in 1..20 {
            let text = vec![b'a'; length];
            assert!(!may_tell(&text));
            for (at, byte) in (0..length).flat_map(|at| b" \t\n@=\"".map(|byte| (at, byte))) {
                let mut text = text.clone();
                text[at] = byte;
                assert!(may_tell(&text), "{byte} at {at} of {length}");
            }
        }
    }

    #[test]
    fn an_address_with_a_password_is_told_from_one_without() {
        for text in [
            "postgres://bob:hunter2@db/shop",
            "host=db Password=hunter2",
            "jdbc:postgresql://db/shop?user=b&password=hunter2",
            "host=db password = 'hunter2'",
            "Host=db;Password\t=\thunter2",
            "postgres://a:5432/s,postgres://bob:hunter2@b/s",
            "redis://cache:6379 postgres://bob:hunter2@b/s",
            "postgres://bob:hun?ter2@db/s",
            "postgres://bob:hun#ter2@db/s",
            "postgres://bob:hun/ter2@db/s",
            "postgres://bob:hunter@2@db/s",
            r#"{"password":"hunter2"}"#,
            r#"{"db": {"Password" : "hunter2"}}"#,
            r#"{\"password\":\"hunter2\"}"#,
            "PGPASSWORD=hunter2 psql",
            "connect 'host=db password=hunter2'",
        ] {
            assert!(holds_password(text.as_bytes()), "{text}");
        }
        for text in [
            "db.shop.svc:5432",
            "postgres://bob@db/shop",
            "postgres://db:5432/shop?options=a@b",
            "bob@example.com",
            "https://db:5432/bob@example.com",
            "https://[::1]/bob@example.com",
            "UPDATE users SET password = $1 WHERE id = $2",
            "SELECT 1 FROM users WHERE password=crypt($1, password)",
            "the \"password\" is wrong",
            r#"{"password":null,"passwords":3}"#,
            "postgres:18@sha256:4111",
            "a:b",
            "",
        ] {
            assert!(!holds_password(text.as_bytes()), "{text}");
        }
        assert!(has_userinfo(b"bob:hunter2@db"));
        assert!(!has_userinfo(b"bob@db:5432"));
    }

    /// To look through the whole text for each would take minutes.
    #[test]
    fn what_comes_again_and_again_is_looked_at_once() {
        for part in [
            "://@",
            "://a@b",
            "password ",
            "password\"",
            "set a ",
            "alter ",
            "a=1 ",
        ] {
            let text = part.repeat((1 << 20) / part.len());
            assert!(!holds_password(text.as_bytes()), "{part}");
            assert!(!holds_sql(text.as_bytes()), "{part}");
        }
    }
}
