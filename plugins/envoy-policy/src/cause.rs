//! Everything that can be the cause of a decision, its name, its number in a token, and what a
//! client is told of it.

use crate::gate::Uninspectable;
use crate::gate::denial::Refusal;
use crate::limits::{Kind, Reached};
use crate::policy::{Policy, Reason};
use crate::startup::StartupError;

/// The cause of a decision.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Cause {
    /// The rule of this number.
    Rule(u16),
    /// No rule.
    Default,
    /// `max_statement_bytes`, or `max_held_bytes`.
    TooLong,
    /// A setting that the policy imposes.
    Protected,
    /// `search_path`, under statements that were prepared for what it was.
    PathInUse,
    /// The protocol version is not one of `protocol_versions`.
    ProtocolVersion,
    /// A StartupMessage that the server would read in another way, or not at all.
    Startup(StartupError),
    /// The session cannot be read.
    Uninspectable(Uninspectable),
    /// A limit.
    Limit(Reached),
}

/// What a client is told of a cause that is no rule.
struct Words {
    cause: Cause,
    /// In metrics and tokens.
    label: &'static str,
    sqlstate: &'static [u8; 5],
    message: &'static str,
    hint: &'static str,
}

const INSUFFICIENT_PRIVILEGE: &[u8; 5] = b"42501";
const INVALID_AUTHORIZATION: &[u8; 5] = b"28000";
const PROGRAM_LIMIT: &[u8; 5] = b"54000";
const PROTOCOL_VIOLATION: &[u8; 5] = b"08P01";
const NAME_TOO_LONG: &[u8; 5] = b"42622";
const TOO_MANY_CONNECTIONS: &[u8; 5] = b"53300";
const LIMIT_EXCEEDED: &[u8; 5] = b"53400";
const OBJECT_IN_USE: &[u8; 5] = b"55006";
const NOT_SUPPORTED: &[u8; 5] = b"0A000";

const fn words(
    cause: Cause,
    label: &'static str,
    sqlstate: &'static [u8; 5],
    message: &'static str,
    hint: &'static str,
) -> Words {
    Words {
        cause,
        label,
        sqlstate,
        message,
        hint,
    }
}

/// First number of the causes that are no rules.
const FIRST: u16 = 0xF000;
/// First number of limits: four for each, by kind.
const FIRST_LIMIT: u16 = 0xF800;

const WORDS: &[Words] = &[
    words(
        Cause::Default,
        "default",
        INSUFFICIENT_PRIVILEGE,
        "not allowed by any rule of the mesh's policy",
        "",
    ),
    words(
        Cause::TooLong,
        "too_long",
        PROGRAM_LIMIT,
        "statement is too long to be judged by the mesh's policy",
        "Send data as parameters or by COPY, or ask for a larger max_statement_bytes.",
    ),
    words(
        Cause::Protected,
        "protected_setting",
        INSUFFICIENT_PRIVILEGE,
        "a setting that the mesh's policy imposes cannot be changed",
        "",
    ),
    words(
        Cause::PathInUse,
        "search_path_in_use",
        OBJECT_IN_USE,
        "search_path cannot be changed: statements were prepared for what it is",
        "Set it before the first statement is prepared, or write schema.table.",
    ),
    words(
        Cause::ProtocolVersion,
        "protocol_version",
        NOT_SUPPORTED,
        "the mesh's policy does not admit this protocol version",
        "With libpq 18 or later, set min_protocol_version and max_protocol_version.",
    ),
    words(
        Cause::Startup(StartupError::NameTooLong),
        "name_too_long",
        NAME_TOO_LONG,
        "user or database name is longer than 63 bytes",
        "",
    ),
    words(
        Cause::Startup(StartupError::NoUser),
        "no_user",
        INVALID_AUTHORIZATION,
        "no PostgreSQL user name specified in startup packet",
        "",
    ),
    words(
        Cause::Startup(StartupError::BadOptions),
        "bad_options",
        INVALID_AUTHORIZATION,
        "the mesh's policy cannot read the startup parameter \"options\"",
        "Use -c name=value only.",
    ),
    words(
        Cause::Startup(StartupError::Protected),
        "protected_startup_setting",
        INSUFFICIENT_PRIVILEGE,
        "the startup packet asks for a setting that the mesh's policy imposes",
        "Leave it out of the connection string and of PGOPTIONS.",
    ),
    words(
        Cause::Startup(StartupError::TooLong),
        "startup_too_long",
        PROGRAM_LIMIT,
        "the startup packet is too long for the settings that the mesh's policy imposes",
        "",
    ),
    words(
        Cause::Uninspectable(Uninspectable::Tls),
        "tls",
        INVALID_AUTHORIZATION,
        "the mesh's policy refuses sessions that it cannot read: the server accepted TLS",
        "Set sslmode=disable and leave encryption to the mesh.",
    ),
    words(
        Cause::Uninspectable(Uninspectable::Gss),
        "gss",
        INVALID_AUTHORIZATION,
        "the mesh's policy refuses sessions that it cannot read: the server accepted GSSAPI encryption",
        "Set gssencmode=disable and leave encryption to the mesh.",
    ),
    words(
        Cause::Uninspectable(Uninspectable::DirectTls),
        "direct_tls",
        INVALID_AUTHORIZATION,
        "the mesh's policy refuses sessions that it cannot read: the client began with TLS",
        "Set sslmode=disable, or let the proxy terminate TLS.",
    ),
    words(
        Cause::Uninspectable(Uninspectable::NotPostgresql),
        "not_postgresql",
        PROTOCOL_VIOLATION,
        "the mesh's policy refuses what is not PostgreSQL's protocol",
        "",
    ),
    words(
        Cause::Uninspectable(Uninspectable::FrontendDesync),
        "frontend_desync",
        PROTOCOL_VIOLATION,
        "the client sent a message that the protocol does not have",
        "",
    ),
    words(
        Cause::Uninspectable(Uninspectable::BackendDesync),
        "backend_desync",
        PROTOCOL_VIOLATION,
        "the server sent a message that the protocol does not have",
        "",
    ),
];

impl From<Reason> for Cause {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Rule(number) => Self::Rule(number),
            Reason::Default => Self::Default,
            Reason::TooLong => Self::TooLong,
            Reason::Protected => Self::Protected,
            Reason::PathInUse => Self::PathInUse,
        }
    }
}

impl Cause {
    /// How many causes are no rules.
    pub const OTHERS: usize = WORDS.len();

    /// Its number in a token.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::Rule(number) => number,
            Self::Limit(reached) => {
                let number = u16::from(reached.limit) << 2 | reached.kind as u16;
                FIRST_LIMIT.saturating_add(number)
            }
            other => {
                let place = WORDS.iter().position(|words| words.cause == other);
                let place = place.and_then(|place| u16::try_from(place).ok());
                FIRST.saturating_add(place.unwrap_or(0))
            }
        }
    }

    /// By its number.
    #[must_use]
    pub fn of_code(code: u16) -> Self {
        if let Some(number) = code.checked_sub(FIRST_LIMIT) {
            let kind = Kind::ALL.get(usize::from(number & 3));
            return Self::Limit(Reached {
                limit: u8::try_from(number >> 2).unwrap_or(u8::MAX),
                kind: kind.copied().unwrap_or(Kind::Rate),
            });
        }
        match code.checked_sub(FIRST) {
            None => Self::Rule(code),
            Some(place) => WORDS
                .get(usize::from(place))
                .map_or(Self::Default, |words| words.cause),
        }
    }

    /// Its place among the rules of a policy and the other causes.
    #[must_use]
    pub fn index(self, policy: &Policy) -> usize {
        match self {
            Self::Rule(number) => usize::from(number),
            other => {
                usize::from(other.code().saturating_sub(FIRST)).saturating_add(policy.rules().len())
            }
        }
    }

    fn words(self) -> Option<&'static Words> {
        WORDS.iter().find(|words| words.cause == self)
    }

    /// As metrics, records and tokens name it.
    #[must_use]
    pub fn label(self, policy: &Policy) -> &str {
        match self {
            Self::Rule(number) => policy.rule(number).map_or("", |rule| rule.name.as_str()),
            Self::Limit(reached) => policy
                .limits
                .get(usize::from(reached.limit))
                .map_or("", |limit| limit.name.as_str()),
            other => other.words().map_or("", |words| words.label),
        }
    }

    /// What the client is told, of a statement with this fingerprint or of its connection.
    #[must_use]
    pub fn refusal(self, policy: &Policy, fingerprint: Option<u64>) -> Refusal {
        let label = self.label(policy);
        let (sqlstate, message, hint) = match self {
            Self::Rule(number) => {
                let rule = policy.rule(number);
                let default = match fingerprint {
                    Some(_) => INSUFFICIENT_PRIVILEGE,
                    None => INVALID_AUTHORIZATION,
                };
                let what = match fingerprint {
                    Some(_) => "statement",
                    None => "connection",
                };
                (
                    rule.and_then(|rule| rule.sqlstate).unwrap_or(*default),
                    rule.and_then(|rule| rule.message.clone())
                        .unwrap_or_else(|| format!("{what} denied by the mesh's policy")),
                    rule.map_or("", |rule| rule.hint.as_str()),
                )
            }
            Self::Limit(Reached { kind, .. }) => limit_words(kind),
            other => other
                .words()
                .map_or((*INSUFFICIENT_PRIVILEGE, String::new(), ""), |words| {
                    (*words.sqlstate, words.message.to_owned(), words.hint)
                }),
        };
        let detail = match fingerprint {
            _ if matches!(self, Self::Limit(_)) => format!("Limit \"{label}\"."),
            Some(fingerprint) => format!("Rule \"{label}\", fingerprint {fingerprint:016x}."),
            None => format!("Rule \"{label}\"."),
        };
        Refusal {
            sqlstate,
            message,
            detail,
            hint: hint.to_owned(),
        }
    }
}

/// SQLSTATE, message and hint.
fn limit_words(kind: Kind) -> ([u8; 5], String, &'static str) {
    let (sqlstate, message, hint) = match kind {
        Kind::Connections => (
            TOO_MANY_CONNECTIONS,
            "too many connections for the mesh's policy",
            "Close idle connections, or use a smaller pool.",
        ),
        Kind::Rate => (
            LIMIT_EXCEEDED,
            "too many statements per second for the mesh's policy",
            "Try again later.",
        ),
        Kind::Busy => (
            LIMIT_EXCEEDED,
            "too many sessions wait for the server at once for the mesh's policy",
            "Try again later.",
        ),
        Kind::Time => (LIMIT_EXCEEDED, "took too long for the mesh's policy", ""),
    };
    (*sqlstate, message.to_owned(), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_words_and_a_code_of_its_own() {
        for reason in Uninspectable::ALL {
            assert!(
                Cause::Uninspectable(*reason).words().is_some(),
                "{reason:?}"
            );
        }
        for Words { cause, .. } in WORDS {
            assert_eq!(Cause::of_code(cause.code()), *cause);
        }
        assert_eq!(Cause::of_code(Cause::Rule(7).code()), Cause::Rule(7));
        for kind in Kind::ALL {
            let cause = Cause::Limit(Reached { limit: 63, kind });
            assert_eq!(Cause::of_code(cause.code()), cause);
        }
    }
}
