//! Denying through the server: the statement that takes the place of the one denied, and the
//! error that takes the place of the server's answer to it.
//!
//! No host call writes to the client, and an error of our own could not know where in the stream of
//! answers it belongs. So what is denied is replaced by a statement that the server must refuse: one
//! identifier, the *token*. Its answer comes in order, with the server's own handling of the
//! transaction, of the pipeline and of ReadyForQuery; it quotes the token (`syntax error at or near
//! "pgmesh_denied_..."`, `scanner_yyerror` in `src/backend/parser/scan.l`), by which it is known,
//! and is rewritten on its way back.
//!
//! The token ([`StandIn`]) holds all that the rewriting needs, so that nothing is remembered per denial. The seal
//! is SipHash-2-4 under a key of the connection: a client that sends a token of its own making, or
//! one that was answered before, gets the server's error as it is.

use std::hash::Hasher;

use pg_sql::Fingerprint;
use pg_sql::stand_in::StandIn;
use pg_wire::body::report::Fields;
use siphasher::sip::SipHasher24;

/// Why something is denied, as the token carries it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Denial {
    /// What the judge knows its reason by.
    pub code: u16,
    /// Of the statement; 0 if there is none.
    pub fingerprint: u64,
}

/// What the client is told, in the fields of an ErrorResponse.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// Field `C`.
    pub sqlstate: [u8; 5],
    /// Field `M`.
    pub message: String,
    /// Field `D`.
    pub detail: String,
    /// Field `H`; empty for none.
    pub hint: String,
}

/// Makes and recognises the tokens of one connection.
#[derive(Debug)]
pub struct Tokens {
    key: (u64, u64),
    made: u32,
    answered: u32,
}

impl Tokens {
    /// `key` is a secret of this connection.
    #[must_use]
    pub fn new(key: (u64, u64)) -> Self {
        Self {
            key,
            made: 0,
            answered: 0,
        }
    }

    /// Whether a token is on its way to the server whose answer has not come. One that the server
    /// skipped, up to a Sync, counts until a later one is answered.
    #[must_use]
    pub fn pending(&self) -> bool {
        self.made != self.answered
    }

    /// The statement to send in the place of the one denied.
    pub fn make(&mut self, label: &str, denial: Denial) -> String {
        self.made = self.made.wrapping_add(1);
        self.sealed(self.made, denial).write(label)
    }

    /// The denial that an ErrorResponse answers, if it answers one.
    pub fn answered(&mut self, fields: &Fields<'_>) -> Option<Denial> {
        let message = fields.get(b'M')?;
        let (number, denial) = self.find(message)?;
        let ahead = number.wrapping_sub(self.answered);
        let open = self.made.wrapping_sub(self.answered);
        if ahead == 0 || ahead > open {
            return None;
        }
        self.answered = number;
        Some(denial)
    }

    fn find(&self, message: &[u8]) -> Option<(u32, Denial)> {
        let (_, found) = StandIn::find(message)?;
        let denial = Denial {
            code: found.code,
            fingerprint: found.fingerprint.0,
        };
        (found == self.sealed(found.number, denial)).then_some((found.number, denial))
    }

    fn sealed(&self, number: u32, denial: Denial) -> StandIn {
        let mut hasher = SipHasher24::new_with_keys(self.key.0, self.key.1);
        hasher.write(&denial.code.to_be_bytes());
        hasher.write(&number.to_be_bytes());
        hasher.write(&denial.fingerprint.to_be_bytes());
        StandIn {
            code: denial.code,
            number,
            fingerprint: Fingerprint(denial.fingerprint),
            seal: hasher.finish(),
        }
    }
}

/// A tagged message.
#[must_use]
pub fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len().saturating_add(4)).unwrap_or(u32::MAX);
    let mut message = Vec::with_capacity(body.len().saturating_add(5));
    message.push(tag);
    message.extend_from_slice(&length.to_be_bytes());
    message.extend_from_slice(body);
    message
}

/// An ErrorResponse with the severity of the server's own `answer` and the text of the refusal.
/// Position, source file and whatever else the server said of the token is left out.
#[must_use]
pub fn error_response(answer: &Fields<'_>, refusal: &Refusal) -> Vec<u8> {
    let severity = answer.get(b'V').unwrap_or(b"FATAL");
    let mut body = Vec::new();
    for (code, value) in [
        (b'S', answer.get(b'S').unwrap_or(severity)),
        (b'V', severity),
        (b'C', &refusal.sqlstate),
        (b'M', refusal.message.as_bytes()),
        (b'D', refusal.detail.as_bytes()),
        (b'H', refusal.hint.as_bytes()),
    ] {
        if !value.is_empty() {
            body.push(code);
            body.extend(value.iter().filter(|byte| **byte != 0));
            body.push(0);
        }
    }
    body.push(0);
    message(b'E', &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DENIAL: Denial = Denial {
        code: 7,
        fingerprint: 0x0123_4567_89ab_cdef,
    };

    fn quoting(token: &str) -> Vec<u8> {
        format!("SERROR\0VERROR\0C42601\0Msyntax error at or near \"{token}\"\0P1\0\0").into_bytes()
    }

    fn answered(tokens: &mut Tokens, token: &str) -> Option<Denial> {
        tokens.answered(&Fields::read(&quoting(token)).unwrap())
    }

    #[test]
    fn a_token_is_an_identifier_and_says_what_was_denied() {
        let mut tokens = Tokens::new((1, 2));
        let token = tokens.make("No DROP, ever and ever", DENIAL);
        assert!(token.len() <= 63, "{token}");
        assert!(token.starts_with("pgmesh_denied_no_drop__eve_"), "{token}");
        assert_eq!(answered(&mut tokens, &token), Some(DENIAL));
    }

    #[test]
    fn a_token_is_answered_once_in_order_and_on_its_own_connection() {
        let mut tokens = Tokens::new((1, 2));
        let made: Vec<_> = (0..3).map(|_| tokens.make("r", DENIAL)).collect();
        assert_eq!(answered(&mut Tokens::new((1, 3)), &made[0]), None);
        assert_eq!(answered(&mut tokens, &made[1]), Some(DENIAL));
        assert_eq!(
            answered(&mut tokens, &made[0]),
            None,
            "skipped by the server"
        );
        assert_eq!(answered(&mut tokens, &made[1]), None, "answered before");
        assert!(tokens.pending());
        assert_eq!(answered(&mut tokens, &made[2]), Some(DENIAL));
        assert!(!tokens.pending());
    }

    #[test]
    fn no_changed_token_is_taken_for_ours() {
        let mut tokens = Tokens::new((1, 2));
        let token = tokens.make("r", DENIAL);
        let payload = token.rfind('_').unwrap() + 1;
        for place in payload..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[place] = if forged[place] == b'a' { b'b' } else { b'a' };
            let forged = String::from_utf8(forged).unwrap();
            // The last digit holds four bits that stand for nothing.
            if place + 1 < token.len() {
                assert_eq!(answered(&mut tokens, &forged), None, "{forged}");
            }
        }
        assert_eq!(answered(&mut tokens, &token), Some(DENIAL));
    }

    #[test]
    fn the_error_has_our_text_and_the_servers_severity() {
        let body = quoting("x");
        let fields = Fields::read(&body).unwrap();
        let refusal = Refusal {
            sqlstate: *b"42501",
            message: "no\0t here".to_owned(),
            detail: "d".to_owned(),
            hint: String::new(),
        };
        let expected = b"E\0\0\0\x2bSERROR\0VERROR\0C42501\0Mnot here\0Dd\0\0";
        let made = error_response(&fields, &refusal);
        assert_eq!(made.len(), expected.len());
        assert_eq!(made[5..], expected[5..]);
    }
}
