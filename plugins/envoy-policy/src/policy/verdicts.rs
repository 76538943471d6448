//! Verdicts that were reached before, so that a text of a shape that is known is not read again.
//!
//! A wrong hit would be a way past the policy. So the key is not a hash: it is all that a verdict can
//! depend on, byte by byte, compared whole. That is
//!
//! - the client's profile, and what of the session is known ([`SessionState`]);
//! - every token of the text but blanks and comments: kind and bytes. Of a literal its kind is
//!   enough where nothing reads what it says: pg-sql reads literals as the values of SET and
//!   EXPLAIN, as the argument of `set_config` and behind UESCAPE; a text in which any of these can
//!   stand keeps its literals in the key ([`Shape`]);
//! - how many of the policy's bounds on the length (`larger_than`) the text is beyond.
//!
//! What depends on more is not kept: texts that were not read for certain or were read in several
//! ways, DO (its body is searched, comments and all), connections for replication, profiles with
//! rules about fingerprints. `tests/verdicts.rs` holds kept verdicts against fresh ones.

use std::collections::HashMap;

use pg_sql::{Lexer, LexerOptions, TokenKind};

use super::judge::{Aftermath, Ask, Decision, SessionState};

/// Verdicts of one generation; there are two.
const GENERATION: usize = 512;

/// Bytes of the longest key.
const MAX_KEY: usize = 2048;

/// What a verdict is found by.
type Key = Box<[u8]>;

/// Verdicts that were reached, the older generation going when the younger is full.
///
/// At most 1,024 of them: some 2.5 MB when all keys are as long as they may be.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    young: HashMap<Key, (Decision, Aftermath)>,
    old: HashMap<Key, (Decision, Aftermath)>,
    /// What is being looked for.
    key: Vec<u8>,
    /// Bounds of the policy's rules on the length of a text, ascending.
    bounds: Vec<u64>,
}

impl Verdicts {
    /// For a policy with these bounds on the length.
    pub(super) fn new(bounds: impl Iterator<Item = u64>) -> Self {
        let mut bounds: Vec<u64> = bounds.collect();
        bounds.sort_unstable();
        Self {
            bounds,
            ..Self::default()
        }
    }

    /// The verdict on a text for a profile, and whether one that is reached now can be kept.
    pub(super) fn find(
        &mut self,
        profile: u32,
        ask: Ask<'_>,
        state: &SessionState,
    ) -> Result<(Decision, Aftermath), bool> {
        let known = self.write_key(profile, ask, state).is_some();
        if !known {
            return Err(false);
        }
        let key = self.key.as_slice();
        if let Some(verdict) = self.young.get(key) {
            return Ok(verdict.clone());
        }
        let Some((key, verdict)) = self.old.remove_entry(key) else {
            return Err(true);
        };
        self.put(key, verdict.clone());
        Ok(verdict)
    }

    /// Keeps the verdict on what was last looked for.
    pub(super) fn keep(&mut self, verdict: (Decision, Aftermath)) {
        let key = self.key.as_slice().into();
        self.put(key, verdict);
    }

    fn put(&mut self, key: Key, verdict: (Decision, Aftermath)) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, verdict);
    }

    /// `None` if there is none.
    fn write_key(&mut self, profile: u32, ask: Ask<'_>, state: &SessionState) -> Option<()> {
        let Ask::Text {
            text,
            bytes,
            truncated: false,
            at_once,
        } = ask
        else {
            return None;
        };
        let encoding = state.client_encoding?;
        let standard_conforming_strings = state.standard_conforming_strings?;
        let beyond = self.bounds.partition_point(|bound| *bound < bytes);
        self.key.clear();
        self.key.extend_from_slice(&profile.to_le_bytes());
        self.key.extend_from_slice(&[
            u8::from(standard_conforming_strings),
            encoding as u8,
            u8::from(at_once) | u8::from(state.path_in_use) << 1 | u8::from(state.role_in_use) << 2,
            state.transaction.unwrap_or(u8::MAX),
        ]);
        self.key
            .extend_from_slice(&u16::try_from(beyond).ok()?.to_le_bytes());
        let path = state.search_path.as_deref();
        let schemas = path.map_or(u16::MAX, |path| {
            u16::try_from(path.len()).unwrap_or(u16::MAX)
        });
        self.key.extend_from_slice(&schemas.to_le_bytes());
        for schema in path.into_iter().flatten() {
            push(&mut self.key, schema.as_bytes())?;
        }
        let lexer = LexerOptions {
            standard_conforming_strings,
            backslash_quote: encoding.is_ascii_safe(),
            encoding,
        };
        self.write_tokens(text, lexer)
    }

    /// The tokens, literals by their kind if that is enough.
    fn write_tokens(&mut self, text: &[u8], lexer: LexerOptions) -> Option<()> {
        let start = self.key.len();
        let mut shape = Shape::default();
        for with_literals in [false, true] {
            self.key.truncate(start);
            self.key.push(u8::from(with_literals));
            for token in Lexer::new(text, lexer).filter(|token| !token.kind.is_blank()) {
                if token.fault.is_some() || self.key.len() > MAX_KEY {
                    return None;
                }
                let bytes = token.of(text);
                self.key.push(token.kind as u8);
                if with_literals || !token.kind.is_literal() {
                    push(&mut self.key, bytes)?;
                }
                shape.add(token.kind, bytes);
            }
            if with_literals || shape.hides_literals() {
                break;
            }
        }
        (self.key.len() <= MAX_KEY).then_some(())
    }
}

/// Writes bytes so that where they end cannot be mistaken.
fn push(key: &mut Vec<u8>, bytes: &[u8]) -> Option<()> {
    key.extend_from_slice(&u16::try_from(bytes.len()).ok()?.to_le_bytes());
    key.extend_from_slice(bytes);
    Some(())
}

/// Words that begin a statement in which literals are data, if nothing else in it says otherwise.
const QUERIES: &[&str] = &[
    "SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "WITH", "VALUES", "TABLE",
];

/// What of a text decides whether anything reads its literals.
#[derive(Debug, Default)]
struct Shape {
    tokens: usize,
    ended: bool,
    reads_literals: bool,
}

impl Shape {
    fn add(&mut self, kind: TokenKind, bytes: &[u8]) {
        let is_query = || {
            QUERIES
                .iter()
                .any(|word| bytes.eq_ignore_ascii_case(word.as_bytes()))
        };
        let set_config = |bytes: &[u8]| bytes.eq_ignore_ascii_case(b"set_config");
        self.reads_literals |= match kind {
            // More than one statement.
            _ if self.ended => true,
            TokenKind::Word if self.tokens == 0 => !is_query(),
            _ if self.tokens == 0 => true,
            TokenKind::Word => set_config(bytes),
            TokenKind::QuotedIdentifier => bytes
                .strip_prefix(b"\"")
                .and_then(|rest| rest.strip_suffix(b"\""))
                .is_none_or(set_config),
            TokenKind::UnicodeIdentifier | TokenKind::UnicodeString => true,
            _ => false,
        };
        self.ended |= kind == TokenKind::Punctuation && bytes == b";";
        self.tokens = self.tokens.saturating_add(1);
    }

    /// Whether no literal's content can matter.
    fn hides_literals(&self) -> bool {
        !self.reads_literals
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pg_sql::Encoding;

    fn settled() -> SessionState {
        SessionState {
            transaction: Some(1),
            search_path: None,
            standard_conforming_strings: Some(true),
            client_encoding: Some(Encoding::Utf8),
            ..SessionState::default()
        }
    }

    fn key_of(text: &str, profile: u32, state: &SessionState) -> Option<Vec<u8>> {
        let mut verdicts = Verdicts::new([100].into_iter());
        let ask = Ask::Text {
            text: text.as_bytes(),
            bytes: text.len() as u64,
            truncated: false,
            at_once: true,
        };
        verdicts.write_key(profile, ask, state)?;
        Some(verdicts.key)
    }

    fn key(text: &str) -> Option<Vec<u8>> {
        key_of(text, 0, &settled())
    }

    #[test]
    fn texts_that_differ_in_data_share_a_verdict() {
        for (one, other) in [
            (
                "select * from t where a = 1",
                "select  *\nfrom t where a = 23 -- x",
            ),
            (
                "select * from t where a = 'x'",
                "select * from t where a = 'y'';'",
            ),
            (
                "insert into t values (1, E'a')",
                "insert into t values (2, E'\\n')",
            ),
            (
                "with x as (select 1) table x;",
                "with x as (select 2) table x ;",
            ),
            ("select 1 limit 1", "select 2 limit 2"),
        ] {
            assert_eq!(key(one), key(other), "{other}");
            assert!(key(one).is_some());
        }
    }

    #[test]
    fn texts_that_differ_in_what_is_read_do_not() {
        for (one, other) in [
            ("select a from t", "select b from t"),
            ("select a from t", "select \"a\" from t"),
            ("select 1", "select 1.0"),
            ("select 'a'", "select E'a'"),
            ("select 'a' 'b'", "select 'a'\n'b'"),
            ("select $1", "select $2"),
            ("select 'a', b", "select 'a, b'"),
            ("set a = 'x'", "set a = 'y'"),
            (
                "explain (analyze 'on') delete from t",
                "explain (analyze 'off') delete from t",
            ),
            (
                "select set_config('a', 'b', true)",
                "select set_config('c', 'b', true)",
            ),
            (
                "select \"set_config\"('a', '', true)",
                "select \"set_config\"('c', '', true)",
            ),
            ("select U&\"a\" UESCAPE '!'", "select U&\"a\" UESCAPE '?'"),
            (
                "select U&\"set_confi\\0067\"('a', '', true)",
                "select U&\"set_confi\\0067\"('c', '', true)",
            ),
            ("select 1; set a = 1", "select 1; set a = 2"),
            ("copy t to program 'a'", "copy t to program 'b'"),
            ("do 'a'", "do 'b'"),
        ] {
            assert_ne!(key(one), key(other), "{other}");
            assert!(key(one).is_some(), "{one}");
        }
        let long = format!("select '{}'", "x".repeat(100));
        assert_ne!(key("select 'x'"), key(&long));
    }

    #[test]
    fn other_clients_and_sessions_do_not_share() {
        let text = "select 1";
        let state = settled();
        let others = [
            SessionState {
                transaction: None,
                ..state.clone()
            },
            SessionState {
                path_in_use: true,
                ..state.clone()
            },
            SessionState {
                role_in_use: true,
                ..state.clone()
            },
            SessionState {
                search_path: Some(vec![].into()),
                ..state.clone()
            },
            SessionState {
                search_path: Some(vec!["a".to_owned(), "b".to_owned()].into()),
                ..state.clone()
            },
            SessionState {
                search_path: Some(vec!["ab".to_owned()].into()),
                ..state.clone()
            },
            SessionState {
                standard_conforming_strings: Some(false),
                ..state.clone()
            },
            SessionState {
                client_encoding: Some(Encoding::AsciiSafe),
                ..state.clone()
            },
        ];
        let mut keys: Vec<_> = others.iter().map(|other| key_of(text, 0, other)).collect();
        keys.extend([key_of(text, 0, &state), key_of(text, 1, &state)]);
        for (at, one) in keys.iter().enumerate() {
            assert!(one.is_some() && !keys[..at].contains(one), "{at}");
        }
    }

    #[test]
    fn what_is_not_settled_or_not_whole_has_no_key() {
        let unsettled = SessionState {
            standard_conforming_strings: None,
            ..settled()
        };
        assert_eq!(key_of("select 1", 0, &unsettled), None);
        assert_eq!(key("select 'x"), None);
        assert_eq!(key(&format!("select {}", "a,".repeat(2000))), None);
    }

    #[test]
    fn the_older_verdicts_go_when_there_are_too_many() {
        let mut verdicts = Verdicts::default();
        let state = settled();
        for number in 0..10_000 {
            let text = format!("select a{number}");
            let ask = Ask::Text {
                text: text.as_bytes(),
                bytes: 0,
                truncated: false,
                at_once: true,
            };
            assert_eq!(verdicts.find(0, ask, &state), Err(true));
            verdicts.keep(Default::default());
            assert!(verdicts.find(0, ask, &state).is_ok());
        }
        assert!(verdicts.young.len() <= GENERATION && verdicts.old.len() <= GENERATION);
    }
}
