//! The PostgreSQL frontend/backend protocol, read passively from both directions of a connection.
#![forbid(unsafe_code)]

mod event;
mod message_name;

pub use event::*;
pub use message_name::MessageName;
