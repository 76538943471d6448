//! The PostgreSQL frontend/backend protocol, read passively from both directions of a connection.
//!
//! A [`Session`] is fed with whatever pieces of a connection its caller has, and tells an
//! [`Observer`] of messages and [`Event`]s. It sends nothing, changes nothing, knows no host and no
//! clock; what it holds is bounded by [`Limits`]. From the first byte that cannot be, it decodes
//! nothing more: it never looks for a place to go on from, since the tags of the two directions,
//! and the bytes of any row, look alike.
//!
//! - [`Deframer`] cuts bytes into messages and keeps no more of them than their heads.
//! - `session` pairs requests and answers: statements, transactions, copies, prepared names.
//! - [`body`] parses whole bodies, for those who judge or change messages.
//!
//! Terms, field names and rules are PostgreSQL's (docs: "Frontend/Backend Protocol"), versions 3.0
//! and 3.2; servers 15 and 18 are the judges (`tests/`).
//!
//! ```
//! use pg_wire::{Event, MessageName, Observer, Session};
//!
//! #[derive(Default)]
//! struct Statements(u64);
//!
//! impl Observer for Statements {
//!     fn message(&mut self, _name: MessageName, _bytes: u64) {}
//!
//!     fn event(&mut self, event: Event<'_>) {
//!         if let Event::Statement(_) = event {
//!             self.0 += 1;
//!         }
//!     }
//! }
//!
//! let (mut session, mut statements) = (Session::new(), Statements::default());
//! session.frontend(b"\0\0\0\x10\0\x03\0\0user\0u\0\0", 0, &mut statements);
//! session.backend(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I", 1, &mut statements);
//! session.frontend(b"Q\0\0\0\x0dselect 1\0", 2, &mut statements);
//! session.backend(b"C\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I", 3, &mut statements);
//! session.close(4, &mut statements);
//! assert_eq!(statements.0, 1);
//! ```
#![forbid(unsafe_code)]

pub mod body;
mod deframer;
mod event;
mod layout;
mod limits;
mod message_name;
mod session;

pub use deframer::{Deframer, Frame, FrameError, Phase, startup_header, tagged_header};
pub use event::*;
pub use limits::Limits;
pub use message_name::MessageName;
pub use session::{IN_FLIGHT_BYTES, Session};
