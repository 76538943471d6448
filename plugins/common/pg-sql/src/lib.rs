//! PostgreSQL SQL text: lexing, normalising, redaction, fingerprint, classification.
//!
//! Knows no host and no protocol: bytes in, facts out. Every function is total.
#![forbid(unsafe_code)]

pub mod classify;
mod encoding;
mod lexer;
mod operation;

pub use classify::{ClassifyOptions, classify, summary};
pub use encoding::Encoding;
pub use lexer::{Fault, Lexer, LexerOptions, Token, TokenKind};
pub use operation::Operation;
