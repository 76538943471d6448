//! The messages of protocol 3.0 and 3.2 by name: one table, from which tags, names and directions
//! are read (PostgreSQL docs: "Message Formats"; tags: `src/include/libpq/protocol.h`).

use crate::Direction::{self, Backend, Frontend};

macro_rules! messages {
    ($($name:ident $direction:ident $tag:expr;)*) => {
        /// A message, named as PostgreSQL's documentation names it.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        #[repr(u8)]
        pub enum MessageName { $($name,)* }

        impl MessageName {
            /// Every message, in the order of the discriminants.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The documentation's name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// Who sends it.
            #[must_use]
            pub const fn direction(self) -> Direction {
                match self { $(Self::$name => $direction,)* }
            }

            /// Its first byte; `None` for the packets of the start-up phase, which have no tag.
            #[must_use]
            pub const fn tag(self) -> Option<u8> {
                match self { $(Self::$name => $tag,)* }
            }
        }
    };
}

messages! {
    StartupMessage Frontend None;
    SSLRequest Frontend None;
    GSSENCRequest Frontend None;
    CancelRequest Frontend None;
    Bind Frontend Some(b'B');
    Close Frontend Some(b'C');
    CopyFail Frontend Some(b'f');
    Describe Frontend Some(b'D');
    Execute Frontend Some(b'E');
    Flush Frontend Some(b'H');
    FunctionCall Frontend Some(b'F');
    Parse Frontend Some(b'P');
    // Password, SASL or GSS by the state of authentication: never looked into.
    AuthenticationResponse Frontend Some(b'p');
    Query Frontend Some(b'Q');
    Sync Frontend Some(b'S');
    Terminate Frontend Some(b'X');
    FrontendCopyData Frontend Some(b'd');
    FrontendCopyDone Frontend Some(b'c');
    // The one byte that answers an SSLRequest or GSSENCRequest.
    EncryptionResponse Backend None;
    AuthenticationRequest Backend Some(b'R');
    BackendKeyData Backend Some(b'K');
    BindComplete Backend Some(b'2');
    CloseComplete Backend Some(b'3');
    CommandComplete Backend Some(b'C');
    CopyBothResponse Backend Some(b'W');
    CopyInResponse Backend Some(b'G');
    CopyOutResponse Backend Some(b'H');
    BackendCopyData Backend Some(b'd');
    BackendCopyDone Backend Some(b'c');
    DataRow Backend Some(b'D');
    EmptyQueryResponse Backend Some(b'I');
    ErrorResponse Backend Some(b'E');
    FunctionCallResponse Backend Some(b'V');
    NegotiateProtocolVersion Backend Some(b'v');
    NoData Backend Some(b'n');
    NoticeResponse Backend Some(b'N');
    NotificationResponse Backend Some(b'A');
    ParameterDescription Backend Some(b't');
    ParameterStatus Backend Some(b'S');
    ParseComplete Backend Some(b'1');
    PortalSuspended Backend Some(b's');
    ReadyForQuery Backend Some(b'Z');
    RowDescription Backend Some(b'T');
}
