//! One number for one statement, whoever saw it and in whatever form: on the wire, in the server's log,
//! as a line of `pg_stat_statements` of any version, or redacted.
//!
//! # The algorithm
//! The fingerprint is XXH64 with seed 0 of the statement's *canonical text*, printed as 16 hex digits.
//! It is stable for ever: the golden file `tests/golden/fingerprints.txt` pins it. Others can implement
//! it from what follows. The canonical text is made of items, one blank between two of them.
//!
//! 1. The text is read by the rules of PostgreSQL's `scan.l`. White space and comments are dropped, and
//!    so is the `N` of `N'...'`. From a token on that cannot be read (an open quote or comment, bytes
//!    that are not UTF-8) all is one constant, and before it from the first string on that ends in a
//!    backslash or runs into a word. With a backslash outside of quotes, it is all from behind the `;`
//!    before that.
//! 2. A constant is the item `?`. Constants are: strings of every form, numbers, parameters (`$1`), the
//!    words `true`, `false` and `null` except behind `IS` and `IS NOT`, the words `nfc`, `nfd`, `nfkc`
//!    and `nfkd`, the first word behind `EXTRACT (`, ALL behind LIMIT, and a `?` in an operator.
//! 3. An unquoted word is an item in ASCII lower case. Where `$` and digits stand in it, as in
//!    `date$1`, these are a constant and split it. A quoted identifier is an item as it stands.
//! 4. Of an operator, each character is an item of its own; `!=` reads `<>`. `::`, `..` and `:=` are one
//!    item, all other punctuation is by the character. `;` is an item only between statements.
//! 5. A run of `+` and `-` right before a constant is dropped unless an operand comes before it: a
//!    name, a constant, or a closing bracket but that of `ON (...)`. A word is a name unless it is one
//!    of the words behind which an expression may begin (`src/words.rs`).
//! 6. Constants in a row are one constant.
//! 7. The elements of a list become one constant when all of them are constants. A list is what stands
//!    in `[...]`, or in parentheses behind `IN`. Here, casts and a type before a string do not
//!    matter: `1::int8`, `CAST('1' AS int)`, `date '...'`, `interval '1' hour to minute` and `(1)` are
//!    constants too.
//! 8. A row behind VALUES or `IN (` that reads as the row before it is left out with its comma.
//! 9. What stands in the place of data in a utility statement is a constant, whatever its form
//!    (`src/settings.rs`): behind PASSWORD in CREATE and ALTER of a ROLE, USER or GROUP up to the next
//!    option, in OPTIONS of foreign data, behind CONNECTION of a subscription up to PUBLICATION, the
//!    payload of NOTIFY, and the code of DO.
//! 10. Names of savepoints and prepared statements behind SAVEPOINT, RELEASE, ROLLBACK TO and DEALLOCATE
//!     are constants, and so is the whole value of a setting in SET and in the SET clauses of ALTER,
//!     CREATE FUNCTION and CREATE PROCEDURE (DEFAULT is none).
//!
//! # What it does not do
//! It reads tokens, not a grammar. `"a"` and `a` differ, `a AS b` and `a b` differ, and so do operands
//! in another order. Brackets that are nested more than 64 lists deep are left as they are. One form
//! has another fingerprint than what `pg_stat_statements` makes of it: it prints `-(5)` as `$15)`,
//! which is not SQL any more.
//!
//! # Against libpg_query
//! Two texts that libpg_query's fingerprint takes for one have one fingerprint here, but for what it
//! leaves out and `pg_stat_statements` or an operator would tell apart. The list with its reasons is the
//! table `EXCEPTIONS` of `test-harness/oracle/src/fingerprints.rs`, which the oracle's tests go by and
//! whose use `make oracle` counts:
//! - another spelling of the same tree (parentheses, CAST, noise words, `TABLE t`),
//! - the type a constant is cast to (`1::int4`, `1::int8`),
//! - names of roles, prepared statements, cursors, channels, temporary tables, and what is renamed,
//! - names of results and aliases of what is no table,
//! - options of functions and transactions,
//! - clauses that hold nothing but a constant (LIMIT, OFFSET, ELSE, SET DEFAULT),
//! - order, repetition and number of the members of a list.
//!
//! It is judged with the options that tell the most apart: by default it also ignores schemas and digits
//! in the names of relations, which are part of a statement's identity here.

use std::fmt;

use twox_hash::XxHash64;

use crate::canonical::Canonical;
use crate::lexer::LexerOptions;
use crate::scrub::scrub;

/// The identity of a statement, without its data.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Fingerprint(pub u64);

impl Fingerprint {
    pub(crate) fn of_canonical(text: &[u8]) -> Self {
        Self(XxHash64::oneshot(0, text))
    }
}

impl fmt::Display for Fingerprint {
    /// 16 hex digits.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

/// The fingerprint of a statement, or of a text of several.
///
/// ```
/// use pg_sql::fingerprint;
/// let options = Default::default();
/// let raw = fingerprint(b"SELECT * FROM t WHERE a IN (-1, 2) -- mine", &options);
/// let seen_by_server = fingerprint(b"select * from T where a in ($1 /*, ... */)", &options);
/// assert_eq!(raw, seen_by_server);
/// ```
#[must_use]
pub fn fingerprint(text: &[u8], options: &LexerOptions) -> Fingerprint {
    Fingerprint::of_canonical(&canonical_text(text, options))
}

/// What [`fingerprint`] hashes. It holds no data, but it is not meant to be read.
#[must_use]
pub fn canonical_text(text: &[u8], options: &LexerOptions) -> Vec<u8> {
    let mut canonical = Canonical::with_capacity(text.len());
    scrub(text, *options, None, Some(&mut canonical));
    canonical.finish()
}
