//! The gate: both directions' bytes in, what may pass out.
//!
//! It stands between the host's buffers and the [`Judge`]. It cuts what the client sends into
//! messages; those that can make the server run something (StartupMessage, CancelRequest, Query,
//! Parse, Execute, FunctionCall) are held until the judge can be asked, everything else passes by
//! its length. What the judge denies is replaced (`denial`), and the server's answer is rewritten.
//!
//! ```text
//! client -> frontend -> Judge -> edits -> host's buffer -> server
//! client <- host's buffer <- edits <- backend <- server
//! ```
//!
//! Nothing here knows a host or a rule. Invariants, each a test in `tests/gate.rs`:
//!
//! - the bytes that reach the server are whole messages the judge has let pass, or tokens;
//! - any split of the input gives the same bytes;
//! - at most [`Limits::held`] bytes and one start-up packet are held.

mod backend;
mod copy;
pub mod denial;
pub mod edits;
mod frontend;

use pg_sql::sqlcommenter::TraceParent;
use pg_wire::body::query::TransactionStatus;
use pg_wire::body::startup::{CancelRequest, StartupMessage};
use pg_wire::{Direction, SubProtocol};

use copy::CopyIn;
use denial::{Denial, Refusal, Tokens};
use edits::Edits;

/// A StartupMessage may be this long (`MAX_STARTUP_PACKET_LENGTH`, `src/include/libpq/pqcomm.h`).
pub const MAX_STARTUP_PACKET: usize = 10_000;

/// Why what a session says cannot be judged.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u8)]
pub enum Uninspectable {
    /// The server accepted an SSLRequest.
    Tls,
    /// The server accepted a GSSENCRequest.
    Gss,
    /// The client began with a TLS record (PostgreSQL 17's direct TLS).
    DirectTls,
    /// The first bytes are no PostgreSQL start-up packet.
    NotPostgresql,
    /// The client sent what no client may send.
    FrontendDesync,
    /// The server sent what no server may send.
    BackendDesync,
}

impl Uninspectable {
    /// Every reason, in the order of the discriminants.
    pub const ALL: &'static [Self] = &[
        Self::Tls,
        Self::Gss,
        Self::DirectTls,
        Self::NotPostgresql,
        Self::FrontendDesync,
        Self::BackendDesync,
    ];

    /// As metrics and records print it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Gss => "gss",
            Self::DirectTls => "direct_tls",
            Self::NotPostgresql => "not_postgresql",
            Self::FrontendDesync => "frontend_desync",
            Self::BackendDesync => "backend_desync",
        }
    }
}

/// What the client wants the server to run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Request<'a> {
    /// The text of a Query or Parse, whole.
    Text {
        /// Which of the two.
        protocol: SubProtocol,
        /// Without its zero.
        text: &'a [u8],
    },
    /// A Query or Parse too long to be held, and its beginning.
    TooLong {
        /// Which of the two.
        protocol: SubProtocol,
        /// As much as was held.
        text: &'a [u8],
        /// Bytes of the whole message.
        bytes: u64,
    },
    /// A portal, whose statement was judged at its Parse.
    Execute,
    /// A function by its identifier.
    FunctionCall {
        /// `pg_proc.oid`
        oid: u32,
    },
}

/// What the judge makes of a StartupMessage.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Admission {
    /// It goes on as it came.
    Pass,
    /// This packet goes on instead, length word included.
    Rewrite(Vec<u8>),
    /// The client is refused.
    Deny(Denial),
}

/// Who decides, and who wants to know.
pub trait Judge {
    /// A client wants in.
    fn startup(&mut self, packet: &StartupMessage<'_>) -> Admission;

    /// Whether a CancelRequest may pass.
    fn cancel(&mut self, request: &CancelRequest<'_>) -> bool;

    /// The client wants something run. `settled` says that the server has answered all that came
    /// before, so that what it last reported of its settings holds for this request.
    ///
    /// # Errors
    /// It must not.
    fn request(&mut self, request: Request<'_>, settled: bool) -> Result<(), Denial>;

    /// The session can no longer be judged: whether it may go on unseen.
    ///
    /// # Errors
    /// It may not.
    fn uninspectable(&mut self, reason: Uninspectable) -> Result<(), Denial>;

    /// The server let the client in, and will take a CancelRequest with this key (BackendKeyData).
    fn backend_key(&mut self, process_id: u32, secret_key: &[u8]);

    /// The server reported a setting (ParameterStatus); `None` if the value is too long to be read.
    fn parameter(&mut self, name: &[u8], value: Option<&[u8]>);

    /// The server is ready for the next Query; `settled` says that it has answered all that came.
    fn ready(&mut self, status: TransactionStatus, settled: bool);

    /// What stands in a token to name the reason of a denial in the server's log.
    fn label(&self, denial: Denial) -> &str;

    /// The trace context that a denied text names, which then stands behind the token.
    fn trace_parent(&self, text: &[u8]) -> Option<TraceParent>;

    /// What the client is told.
    fn refusal(&self, denial: Denial) -> Refusal;

    /// Whether so many more bytes may be held for this connection.
    fn may_hold(&mut self, bytes: usize) -> bool;
}

/// Bounds of one connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Bytes of a Query's or Parse's body that are held at most, once the client is let in; of one that
    /// nobody knows yet, no more than of its start-up packet.
    pub held: usize,
}

/// What both directions share.
#[derive(Debug)]
struct Shared {
    limits: Limits,
    tokens: Tokens,
    /// SSLRequest and GSSENCRequest that the server has not answered, oldest first.
    asked: Vec<Uninspectable>,
    /// The StartupMessage has gone to the server.
    started: bool,
    /// The server has let the client in: it was ready once.
    open: bool,
    /// It asked for physical replication.
    physical: bool,
    /// Messages sent that end in a ReadyForQuery which has not come. A server that skips some of
    /// them, after an error, leaves it too high: on the safe side.
    unready: u32,
    /// Extended messages sent with no Sync behind them.
    unsynced: bool,
    copy: CopyIn,
    /// The connection is being refused: the server's FATAL is to say why.
    refusing: Option<Denial>,
    /// Nothing more is to come of this connection, which the host should close.
    doomed: bool,
    /// The judge lets the rest pass unseen.
    unseen: bool,
}

impl Shared {
    /// Bytes of a text that are held at most.
    fn may_hold(&self) -> usize {
        match self.open {
            true => self.limits.held,
            false => self.limits.held.min(MAX_STARTUP_PACKET),
        }
    }
}

/// One connection through the gate.
#[derive(Debug)]
pub struct Gate {
    shared: Shared,
    frontend: frontend::Frontend,
    backend: backend::Backend,
}

impl Gate {
    /// For a connection whose first byte has not been seen; `key` is its secret.
    #[must_use]
    pub fn new(limits: Limits, key: (u64, u64)) -> Self {
        Self {
            shared: Shared {
                limits,
                tokens: Tokens::new(key),
                asked: Vec::new(),
                started: false,
                open: false,
                physical: false,
                unready: 0,
                unsynced: false,
                copy: CopyIn::default(),
                refusing: None,
                doomed: false,
                unseen: false,
            },
            frontend: frontend::Frontend::default(),
            backend: backend::Backend::default(),
        }
    }

    /// The client sent these bytes, which stand at `at` in the buffer that `edits` is about.
    pub fn frontend(&mut self, bytes: &[u8], at: usize, judge: &mut impl Judge, edits: &mut Edits) {
        if self.shared.doomed {
            return edits.drop_bytes(at, bytes.len());
        }
        self.frontend
            .feed(Window::new(bytes, at), &mut self.shared, judge, edits);
    }

    /// The server sent these bytes.
    pub fn backend(&mut self, bytes: &[u8], at: usize, judge: &mut impl Judge, edits: &mut Edits) {
        self.backend
            .feed(Window::new(bytes, at), &mut self.shared, judge, edits);
    }

    /// Bytes at the front of the next input that pass, or go, whatever they are: they need not be
    /// shown if [`Gate::skipped`] is told of them.
    #[must_use]
    pub fn skip(&self, direction: Direction) -> u64 {
        match direction {
            _ if self.shared.unseen => u64::MAX,
            Direction::Frontend => self.frontend.skip(),
            Direction::Backend => self.backend.skip(),
        }
    }

    /// So many of the bytes of [`Gate::skip`], from `at` on, were not shown.
    pub fn skipped(&mut self, direction: Direction, at: usize, bytes: usize, edits: &mut Edits) {
        if self.shared.unseen {
            return;
        }
        match direction {
            Direction::Frontend => self.frontend.skipped(at, bytes, edits),
            Direction::Backend => self.backend.skipped(at, bytes, edits),
        }
    }

    /// Whether anything has gone to the server, or may.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.shared.started
            || self.shared.unseen
            || self.shared.doomed
            || self.frontend.has_asked_for_encryption()
    }

    /// Whether the connection has been refused, and should be closed once what was written has
    /// gone out.
    #[must_use]
    pub fn is_doomed(&self) -> bool {
        self.shared.doomed
    }

    /// Messages the server has not declared itself ready after.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.shared.unready
    }

    /// Bytes held for this connection, in itself and on the heap.
    #[must_use]
    pub fn state_bytes(&self) -> usize {
        size_of::<Self>()
            .saturating_add(self.held_bytes())
            .saturating_add(self.shared.asked.capacity())
    }

    /// Bytes of messages held.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.frontend
            .held_bytes()
            .saturating_add(self.backend.held_bytes())
    }
}

/// The part of a host's buffer at hand, read from front to back.
struct Window<'a> {
    rest: &'a [u8],
    /// Where `rest` stands in the buffer.
    at: usize,
}

impl<'a> Window<'a> {
    fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { rest: bytes, at }
    }

    /// Goes on by up to `len` bytes, and returns them.
    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at_checked(len).unwrap_or((self.rest, &[]));
        self.rest = rest;
        self.at = self.at.saturating_add(taken.len());
        taken
    }

    /// Moves up to `len` bytes to `held`, out of the buffer.
    fn hold(&mut self, len: usize, held: &mut Vec<u8>, edits: &mut Edits) {
        let at = self.at;
        let taken = self.take(len);
        edits.drop_bytes(at, taken.len());
        held.extend_from_slice(taken);
    }

    /// Lets up to `len` bytes go from the buffer.
    fn drop_bytes(&mut self, len: usize, edits: &mut Edits) {
        let at = self.at;
        let taken = self.take(len);
        edits.drop_bytes(at, taken.len());
    }
}

/// The rest of a message that is dealt with.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Rest {
    /// There is none.
    #[default]
    None,
    /// So many bytes pass.
    Pass(u64),
    /// So many bytes go.
    Drop(u64),
}

impl Rest {
    fn pass(bytes: usize) -> Self {
        match bytes {
            0 => Self::None,
            bytes => Self::Pass(bytes as u64),
        }
    }

    fn drop(bytes: usize) -> Self {
        match bytes {
            0 => Self::None,
            bytes => Self::Drop(bytes as u64),
        }
    }

    fn bytes(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Pass(bytes) | Self::Drop(bytes) => bytes,
        }
    }

    /// Deals with `bytes` of it, which stand at `at`.
    fn skipped(&mut self, at: usize, bytes: usize, edits: &mut Edits) {
        if matches!(self, Self::Drop(_)) {
            edits.drop_bytes(at, bytes);
        }
        let left = self.bytes().saturating_sub(bytes as u64);
        *self = match self {
            _ if left == 0 => Self::None,
            Self::Drop(_) => Self::Drop(left),
            _ => Self::Pass(left),
        };
    }

    /// Deals with what of it is in the window.
    fn advance(&mut self, window: &mut Window<'_>, edits: &mut Edits) {
        let here = usize::try_from(self.bytes()).unwrap_or(usize::MAX);
        let at = window.at;
        let taken = window.take(here).len();
        self.skipped(at, taken, edits);
    }
}
