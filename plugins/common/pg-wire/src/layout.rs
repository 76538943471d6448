//! What is known of a message before its body is read: which name its tag stands for, how long it
//! can be, and how much of its body a passive reader needs.
//!
//! Bounds are the ones the receivers enforce: `SocketBackend` in `src/backend/tcop/postgres.c` for
//! what a client sends, `pqParseInput3` in `src/interfaces/libpq/fe-protocol3.c` for the answers.

use crate::{Direction, Limits, MessageName};

/// How much of a body is looked at; the rest is skipped by its length.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Head {
    /// Nothing: the message is only counted.
    None,
    /// So many bytes.
    Bytes(u16),
    /// [`Limits::statement_text`] bytes.
    Text,
    /// A statement's name, then [`Limits::statement_text`] bytes.
    NameAndText,
    /// [`Limits::report`] bytes.
    Report,
}

/// Value of the length word (itself included) that this message can have, and the head it needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) min: u32,
    pub(crate) max: u32,
    pub(crate) head: Head,
}

/// Names of statements and portals end at 63 bytes (`NAMEDATALEN`) and a zero.
pub(crate) const NAME: u16 = 64;

/// A StartupMessage may be this long (`MAX_STARTUP_PACKET_LENGTH`, `src/include/libpq/pqcomm.h`).
pub(crate) const MAX_STARTUP_PACKET: u32 = 10_000;

/// `PQ_SMALL_MESSAGE_LIMIT` of the server.
const SMALL: u32 = 10_000;
/// What libpq takes for a message that has no business being longer.
const ANSWER: u32 = 30_000;
/// `PG_MAX_AUTH_TOKEN_LENGTH`.
const TOKEN: u32 = 65_535 + 4;
/// `MaxAllocSize`: nothing in PostgreSQL is longer.
const LARGE: u32 = 0x4000_0000;

const fn layout(min: u32, max: u32, head: Head) -> Layout {
    Layout { min, max, head }
}

impl Layout {
    /// The layout of a message.
    pub(crate) const fn of(name: MessageName) -> Self {
        use MessageName::*;
        match name {
            StartupMessage => layout(
                8,
                MAX_STARTUP_PACKET,
                Head::Bytes(MAX_STARTUP_PACKET as u16),
            ),
            SSLRequest | GSSENCRequest => layout(8, 8, Head::Bytes(4)),
            CancelRequest => layout(12, 12 + 256, Head::Bytes(8 + 256)),
            EncryptionResponse => layout(0, 0, Head::Bytes(1)),

            Bind => layout(4 + 8, LARGE, Head::Bytes(2 * NAME)),
            Close | Describe => layout(4 + 2, SMALL, Head::Bytes(1 + NAME)),
            Execute => layout(4 + 5, SMALL, Head::Bytes(NAME)),
            Flush | Sync | Terminate => layout(4, 4, Head::None),
            FunctionCall => layout(4 + 10, LARGE, Head::None),
            Parse => layout(4 + 4, LARGE, Head::NameAndText),
            AuthenticationResponse => layout(4, TOKEN, Head::None),
            Query => layout(4 + 1, LARGE, Head::Text),
            CopyFail => layout(4 + 1, SMALL, Head::None),
            FrontendCopyData | BackendCopyData => layout(4, LARGE, Head::None),
            FrontendCopyDone | BackendCopyDone => layout(4, 4, Head::None),

            AuthenticationRequest => layout(4 + 4, TOKEN, Head::None),
            // Its process id; the key behind it is a secret.
            BackendKeyData => layout(4 + 8, 4 + 4 + 256, Head::Bytes(4)),
            BindComplete | CloseComplete | EmptyQueryResponse | NoData | ParseComplete
            | PortalSuspended => layout(4, 4, Head::None),
            CommandComplete => layout(4 + 1, ANSWER, Head::Bytes(64)),
            CopyBothResponse | CopyInResponse | CopyOutResponse => {
                layout(4 + 3, 4 + 3 + 2 * 65_535, Head::None)
            }
            DataRow => layout(4 + 2, LARGE, Head::None),
            ErrorResponse | NoticeResponse => layout(4 + 1, LARGE, Head::Report),
            FunctionCallResponse => layout(4 + 4, LARGE, Head::None),
            NegotiateProtocolVersion => layout(4 + 8, ANSWER, Head::None),
            NotificationResponse => layout(4 + 6, LARGE, Head::None),
            ParameterDescription => layout(4 + 2, 4 + 2 + 4 * 65_535, Head::None),
            ParameterStatus => layout(4 + 2, ANSWER, Head::Bytes(512)),
            ReadyForQuery => layout(5, 5, Head::Bytes(1)),
            RowDescription => layout(4 + 2, LARGE, Head::None),
        }
    }
}

impl Head {
    /// Body bytes to keep, whatever the body's own length.
    pub(crate) const fn limit(self, limits: &Limits) -> usize {
        match self {
            Self::None => 0,
            Self::Bytes(bytes) => bytes as usize,
            Self::Text => limits.statement_text as usize,
            Self::NameAndText => (limits.statement_text as usize).saturating_add(NAME as usize),
            Self::Report => limits.report as usize,
        }
    }
}

/// The most bytes that a split message can make a deframer hold.
pub(crate) const fn longest_held(limits: &Limits) -> usize {
    let named = Head::NameAndText.limit(limits);
    let report = Head::Report.limit(limits);
    let longer = if named > report { named } else { report };
    let packet = MAX_STARTUP_PACKET as usize;
    if longer > packet {
        longer.saturating_add(5)
    } else {
        packet
    }
}

type Tags = [Option<(MessageName, Layout)>; 256];

/// Tag to name and layout, for each direction.
static FRONTEND: Tags = tags(true);
static BACKEND: Tags = tags(false);

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, which refuses to panic"
)]
#[expect(clippy::arithmetic_side_effects, reason = "evaluated by the compiler")]
const fn tags(frontend: bool) -> Tags {
    let mut tags: Tags = [None; 256];
    let mut i = 0;
    while i < MessageName::ALL.len() {
        let name = MessageName::ALL[i];
        if let Some(tag) = name.tag()
            && matches!(name.direction(), Direction::Frontend) == frontend
        {
            tags[tag as usize] = Some((name, Layout::of(name)));
        }
        i += 1;
    }
    tags
}

/// The message a tag stands for in one direction; they differ (trap 15).
#[inline(always)]
pub(crate) fn by_tag(direction: Direction, tag: u8) -> Option<&'static (MessageName, Layout)> {
    let tags = match direction {
        Direction::Frontend => &FRONTEND,
        Direction::Backend => &BACKEND,
    };
    tags.get(usize::from(tag))?.as_ref()
}
