//! PostgreSQL SQL text: lexing, normalising, redaction, fingerprint, classification.
//!
//! Knows no host and no protocol: bytes in, facts out. Every function is total.
#![forbid(unsafe_code)]

mod canonical;
pub mod classify;
mod doubt;
mod encoding;
mod fingerprint;
mod lexer;
mod normalize;
mod operation;
pub mod placeholders;
mod redact;
mod scrub;
mod settings;
pub mod shape;
mod split;
pub mod sqlcommenter;
pub mod stand_in;
mod words;

pub use classify::{ClassifyOptions, classify, summary};
pub use encoding::Encoding;
pub use fingerprint::{Fingerprint, canonical_text, fingerprint};
pub use lexer::{Fault, Lexer, LexerOptions, Token, TokenKind};
pub use normalize::{MAX_TOKENS, ServerVersion, normalize, normalize_with};
pub use operation::Operation;
pub use redact::{Comments, RedactOptions, Redacted, redact, redact_and_fingerprint};
pub use shape::shape;
pub use split::split;
