//! One connection, seen from between: both directions' bytes in, [`Event`]s out.
//!
//! The deframers cut bytes into messages; what the client sends is queued for its answer
//! (`requests`), what the server sends is held against the queue (`answers`). Nothing is ever
//! answered or changed here, and time is an argument.

mod answers;
mod names;
mod queue;
mod requests;
mod split;
mod state;
mod text;
mod transactions;

pub(crate) use names::{PORTAL_BYTES, PREPARED_BYTES};
pub use queue::IN_FLIGHT_BYTES;

use queue::Request;
use state::{Mode, State};

use crate::deframer::{Deframer, FrameError, Phase};
use crate::{
    DesyncReason, Direction, Event, Limits, MessageName, Nanos, Observer, OpaqueReason, Report,
    Severity, SqlState,
};

const UNEXPECTED: OpaqueReason = OpaqueReason::Desync(Direction::Backend, DesyncReason::Unexpected);

/// What one connection says, decoded from both directions.
#[derive(Debug)]
pub struct Session {
    frontend: Deframer,
    backend: Deframer,
    state: State,
}

impl Default for Session {
    fn default() -> Self {
        Self::new()
    }
}

impl Session {
    /// For a connection whose first byte has not been seen, with [`Limits::DEFAULT`].
    #[must_use]
    pub fn new() -> Self {
        Self::with(Limits::DEFAULT)
    }

    /// As [`Session::new`], with other limits.
    #[must_use]
    pub fn with(limits: Limits) -> Self {
        Self {
            frontend: Deframer::new(Direction::Frontend, limits),
            backend: Deframer::new(Direction::Backend, limits),
            state: State::new(limits),
        }
    }

    /// The client sent these bytes, which follow the last ones given (or skipped).
    pub fn frontend(&mut self, bytes: &[u8], now: Nanos, observer: &mut impl Observer) {
        if !self.is_decoding() {
            return;
        }
        let mut rest = bytes;
        while self.is_decoding() {
            let frame = match self.frontend.next(&mut rest) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => {
                    self.state.flush_copied(Direction::Frontend, observer);
                    return self.frontend_error(error, observer);
                }
            };
            observer.message(frame.name, frame.length);
            let name = frame.name;
            if let Err(reason) = self.state.request(frame, now, observer) {
                return self.turn_opaque(reason, observer);
            }
            if name == MessageName::StartupMessage {
                self.frontend.set_phase(Phase::Tagged);
            }
        }
        self.state.flush_copied(Direction::Frontend, observer);
        self.forget_if_over();
    }

    /// The server sent these bytes, which follow the last ones given (or skipped).
    pub fn backend(&mut self, bytes: &[u8], now: Nanos, observer: &mut impl Observer) {
        if !self.is_decoding() {
            return;
        }
        let mut rest = bytes;
        while self.is_decoding() {
            if self.state.mode != Mode::Open && !rest.is_empty() && !self.expects_answer() {
                return self.turn_opaque(UNEXPECTED, observer);
            }
            let frame = match self.backend.next(&mut rest) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => {
                    self.state.flush_copied(Direction::Backend, observer);
                    return self.backend_error(error, observer);
                }
            };
            observer.message(frame.name, frame.length);
            if let Err(reason) = self.state.answer(frame, now, observer) {
                return self.turn_opaque(reason, observer);
            }
        }
        self.state.flush_copied(Direction::Backend, observer);
        self.forget_if_over();
    }

    /// Bytes at the front of the next input that the session need not see, the rest of a body
    /// whose head it has; `u64::MAX` once nothing is decoded any more. A caller that leaves them
    /// out says so to [`Session::skipped`].
    #[must_use]
    pub fn skip(&self, direction: Direction) -> u64 {
        if !self.is_decoding() {
            return u64::MAX;
        }
        match direction {
            Direction::Frontend => self.frontend.skip(),
            Direction::Backend => self.backend.skip(),
        }
    }

    /// So many of the bytes of [`Session::skip`] went by unseen.
    pub fn skipped(&mut self, direction: Direction, bytes: u64) {
        match direction {
            Direction::Frontend => self.frontend.skipped(bytes),
            Direction::Backend => self.backend.skipped(bytes),
        }
    }

    /// Bytes went by unseen that are none of [`Session::skip`]: what follows them cannot be decoded.
    pub fn missed(&mut self, direction: Direction, observer: &mut impl Observer) {
        if self.is_decoding() {
            let reason = OpaqueReason::Desync(direction, DesyncReason::Missed);
            self.turn_opaque(reason, observer);
        }
    }

    /// The connection has ended, from whichever side. What is open ends as disconnected. Further
    /// calls do nothing.
    pub fn close(&mut self, now: Nanos, observer: &mut impl Observer) {
        if self.is_decoding() {
            self.state.disconnect(now, observer);
            self.drop_state(Mode::Over);
        }
    }

    /// Whether decoding has stopped because the bytes cannot be understood; an [`Event::Opaque`]
    /// has said why.
    #[must_use]
    pub fn is_opaque(&self) -> bool {
        self.state.mode == Mode::Opaque
    }

    /// Named prepared statements that are open, up to [`Limits::prepared`].
    #[must_use]
    pub fn prepared_statements(&self) -> u32 {
        self.state.prepared.count()
    }

    /// Bytes held for this connection, in itself and on the heap.
    #[must_use]
    pub fn state_bytes(&self) -> usize {
        size_of::<Self>()
            .saturating_add(self.frontend.heap_bytes())
            .saturating_add(self.backend.heap_bytes())
            .saturating_add(self.state.heap_bytes())
    }

    #[inline]
    fn is_decoding(&self) -> bool {
        !matches!(self.state.mode, Mode::Over | Mode::Opaque)
    }

    /// Before the session is open: whether the server has been asked for anything, and in what form
    /// it answers. A client may send its StartupMessage behind an SSLRequest without waiting.
    fn expects_answer(&mut self) -> bool {
        let Some(entry) = self.state.queue.front() else {
            return false;
        };
        self.backend.set_phase(match entry.request {
            Request::Encryption { .. } => Phase::Answer,
            _ => Phase::Tagged,
        });
        true
    }

    /// After a CancelRequest or a refused start-up.
    fn forget_if_over(&mut self) {
        if self.state.mode == Mode::Over {
            self.drop_state(Mode::Over);
        }
    }

    #[cold]
    fn frontend_error(&mut self, error: FrameError, observer: &mut impl Observer) {
        self.turn_opaque(
            match error {
                FrameError::DirectTls => OpaqueReason::DirectTls,
                FrameError::NotStartup => OpaqueReason::NotPostgresql,
                FrameError::UnknownTag => {
                    OpaqueReason::Desync(Direction::Frontend, DesyncReason::UnknownTag)
                }
                FrameError::BadLength(_) => {
                    OpaqueReason::Desync(Direction::Frontend, DesyncReason::BadLength)
                }
            },
            observer,
        );
    }

    #[cold]
    fn backend_error(&mut self, error: FrameError, observer: &mut impl Observer) {
        let asked = self.state.queue.front().map(|entry| entry.request);
        let reason = match (error, asked) {
            // A postmaster that cannot fork says so in plain text behind an E
            // (`report_fork_failure_to_client`, `src/backend/postmaster/postmaster.c`).
            (
                FrameError::BadLength(MessageName::ErrorResponse),
                Some(Request::Encryption { .. } | Request::Startup),
            ) => {
                self.drop_state(Mode::Over);
                return observer.event(Event::ConnectionFailed(Report {
                    severity: Severity::Unknown,
                    sqlstate: SqlState::UNKNOWN,
                    message: &[],
                }));
            }
            (FrameError::BadLength(_), _) => DesyncReason::BadLength,
            _ => DesyncReason::UnknownTag,
        };
        self.turn_opaque(OpaqueReason::Desync(Direction::Backend, reason), observer);
    }

    /// What is open at this point is not told of: how it ends cannot be known.
    #[cold]
    fn turn_opaque(&mut self, reason: OpaqueReason, observer: &mut impl Observer) {
        self.state.clear_prepared(observer);
        self.drop_state(Mode::Opaque);
        observer.event(Event::Opaque(reason));
    }

    /// Keeps nothing but the fact that nothing is kept.
    fn drop_state(&mut self, mode: Mode) {
        let limits = self.state.limits;
        *self = Self::with(limits);
        self.state.mode = mode;
    }
}
