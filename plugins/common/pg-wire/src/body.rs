//! Message bodies as borrowed structs, a module per family, for those who need more of a message
//! than its head: named, and their fields in the order, as in PostgreSQL's "Message Formats".
//!
//! Parsers take a whole body, what stands behind the length word, and are total: a body that its
//! sender did not build as documented is a [`BodyError`]. Nothing is copied; lists are checked when
//! the body is parsed and read when they are iterated. What a user may have typed is [`Private`].

pub mod auth;
pub mod copy;
pub mod extended;
pub mod function;
mod list;
pub mod query;
mod read;
pub mod replication;
pub mod report;
pub mod startup;

use std::fmt;

pub use list::{Item, List, ListIter};

use crate::MessageName;

/// What the sender of a body did wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BodyError {
    /// The body ends within a field.
    TooShort,
    /// A string has no zero at its end.
    NotTerminated,
    /// Bytes follow the last field.
    TrailingBytes,
    /// This field holds a value that the protocol does not have.
    BadValue(&'static str),
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort => f.write_str("the body ends within a field"),
            Self::NotTerminated => f.write_str("a string is not terminated"),
            Self::TrailingBytes => f.write_str("bytes follow the last field"),
            Self::BadValue(field) => write!(f, "{field} has a value that the protocol lacks"),
        }
    }
}

impl std::error::Error for BodyError {}

/// Bytes that may hold a secret or a value of a user's; printed as their length.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub struct Private<'a>(pub &'a [u8]);

impl fmt::Debug for Private<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.0.len())
    }
}

/// Format code of a parameter or column.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// 0
    Text,
    /// 1
    Binary,
}

macro_rules! bodies {
    ($($name:ident($type:ty);)*) => {
        /// Any message's body.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub enum Body<'a> {
            $(#[doc = concat!("Of ", stringify!($name), ".")] $name($type),)*
            /// Of a message whose body is empty: Sync, ParseComplete and their like.
            Empty,
        }

        impl<'a> Body<'a> {
            /// Parses the whole body of a message.
            pub fn read(name: MessageName, body: &'a [u8]) -> Result<Self, BodyError> {
                match name {
                    $(MessageName::$name => <$type>::read(body).map(Self::$name),)*
                    _ if body.is_empty() => Ok(Self::Empty),
                    _ => Err(BodyError::TrailingBytes),
                }
            }
        }
    };
}

bodies! {
    StartupMessage(startup::StartupMessage<'a>);
    SSLRequest(startup::SSLRequest);
    GSSENCRequest(startup::GSSENCRequest);
    CancelRequest(startup::CancelRequest<'a>);
    EncryptionResponse(startup::EncryptionResponse);
    AuthenticationRequest(auth::AuthenticationRequest<'a>);
    AuthenticationResponse(auth::AuthenticationResponse<'a>);
    BackendKeyData(auth::BackendKeyData<'a>);
    NegotiateProtocolVersion(auth::NegotiateProtocolVersion<'a>);
    Query(query::Query<'a>);
    RowDescription(query::RowDescription<'a>);
    DataRow(query::DataRow<'a>);
    CommandComplete(query::CommandComplete<'a>);
    ReadyForQuery(query::ReadyForQuery);
    Parse(extended::Parse<'a>);
    Bind(extended::Bind<'a>);
    Describe(extended::Describe<'a>);
    Close(extended::Close<'a>);
    Execute(extended::Execute<'a>);
    ParameterDescription(extended::ParameterDescription<'a>);
    FunctionCall(function::FunctionCall<'a>);
    FunctionCallResponse(function::FunctionCallResponse<'a>);
    FrontendCopyData(copy::CopyData<'a>);
    BackendCopyData(copy::CopyData<'a>);
    CopyFail(copy::CopyFail<'a>);
    CopyInResponse(copy::CopyResponse<'a>);
    CopyOutResponse(copy::CopyResponse<'a>);
    CopyBothResponse(copy::CopyResponse<'a>);
    ErrorResponse(report::Fields<'a>);
    NoticeResponse(report::Fields<'a>);
    NotificationResponse(report::NotificationResponse<'a>);
    ParameterStatus(report::ParameterStatus<'a>);
}
