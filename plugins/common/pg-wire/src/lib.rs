//! The PostgreSQL frontend/backend protocol, read passively from both directions of a connection.
#![forbid(unsafe_code)]

pub mod body;
mod deframer;
mod event;
mod layout;
mod limits;
mod message_name;
mod session;

pub use deframer::{Deframer, Frame, FrameError, Phase};
pub use event::*;
pub use limits::Limits;
pub use message_name::MessageName;
pub use session::{IN_FLIGHT_BYTES, Session};
