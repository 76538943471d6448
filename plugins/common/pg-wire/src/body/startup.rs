//! The packets of the start-up phase: no tag, a length word, then the body.

use nom::Parser;
use nom::combinator::map;

use super::read::{Parsed, bad, byte, count, rest, string, uint32, whole};
use super::{BodyError, Private};
use crate::{ProtocolVersion, ReplicationKind};

/// Opens a session.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StartupMessage<'a> {
    /// What the client asks for.
    pub version: ProtocolVersion,
    /// `user`, `database`, `options`, `replication`, run-time parameters, and `_pq_.` options.
    pub parameters: Parameters<'a>,
}

impl<'a> StartupMessage<'a> {
    /// Parses what follows the length word.
    pub fn read(body: &'a [u8]) -> Result<Self, BodyError> {
        let version = map((count, count), |(major, minor)| ProtocolVersion {
            major,
            minor,
        });
        let message = map((version, Parameters::read), |(version, parameters)| Self {
            version,
            parameters,
        });
        whole(body, message)
    }

    /// The `replication` parameter: `database`, or a boolean as the server reads it
    /// (`ProcessStartupPacket`, `src/backend/tcop/backend_startup.c`).
    #[must_use]
    pub fn replication(&self) -> Option<ReplicationKind> {
        match self.parameters.get(b"replication")? {
            b"database" => Some(ReplicationKind::Logical),
            value if is_true(value) => Some(ReplicationKind::Physical),
            _ => None,
        }
    }
}

/// `parse_bool` of the server: any beginning of these words that is not ambiguous.
fn is_true(value: &[u8]) -> bool {
    let begins = |word: &[u8]| {
        word.get(..value.len())
            .is_some_and(|beginning| beginning.eq_ignore_ascii_case(value))
    };
    match value {
        [] | [b'o' | b'O'] => false,
        b"1" => true,
        _ => begins(b"true") || begins(b"yes") || begins(b"on"),
    }
}

/// Names and values of a StartupMessage, up to an empty name.
#[derive(Clone, Copy, PartialEq)]
pub struct Parameters<'a>(&'a [u8]);

impl<'a> Parameters<'a> {
    fn read(input: &'a [u8]) -> Parsed<'a, Self> {
        let (mut after, mut name) = string(input)?;
        while !name.is_empty() {
            (after, _) = string(after)?;
            (after, name) = string(after)?;
        }
        let length = input.len().saturating_sub(after.len());
        Ok((after, Self(input.get(..length).unwrap_or_default())))
    }

    /// Name and value, in the order of the packet.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let (after, name) = string(left).ok().filter(|(_, name)| !name.is_empty())?;
            let (after, value) = string(after).ok()?;
            left = after;
            Some((name, value))
        })
    }

    /// The last value of this name, which is the one that counts.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.iter()
            .filter(|(candidate, _)| *candidate == name)
            .last()
            .map(|(_, value)| value)
    }
}

impl std::fmt::Debug for Parameters<'_> {
    /// Names only: `options` can set anything.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|(name, _)| String::from_utf8_lossy(name)))
            .finish()
    }
}

/// Names a session whose statement shall be cancelled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CancelRequest<'a> {
    /// Of the session's BackendKeyData.
    pub process_id: u32,
    /// Of the session's BackendKeyData: 4 bytes in protocol 3.0, up to 256 in 3.2.
    pub secret_key: Private<'a>,
}

impl<'a> CancelRequest<'a> {
    /// Parses what follows the length word.
    pub fn read(body: &'a [u8]) -> Result<Self, BodyError> {
        whole(
            body,
            (code(80_877_102), uint32, rest).map(|((), process_id, key)| Self {
                process_id,
                secret_key: Private(key),
            }),
        )
    }
}

/// Asks for TLS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SSLRequest;

impl SSLRequest {
    /// Parses what follows the length word.
    pub fn read(body: &[u8]) -> Result<Self, BodyError> {
        whole(body, code(80_877_103)).map(|()| Self)
    }
}

/// Asks for GSSAPI encryption.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct GSSENCRequest;

impl GSSENCRequest {
    /// Parses what follows the length word.
    pub fn read(body: &[u8]) -> Result<Self, BodyError> {
        whole(body, code(80_877_104)).map(|()| Self)
    }
}

/// The code that stands where the version would.
fn code<'a>(expected: u32) -> impl Parser<&'a [u8], Output = (), Error = BodyError> {
    move |input| match uint32(input)? {
        (rest, code) if code == expected => Ok((rest, ())),
        _ => bad("request code"),
    }
}

/// The byte that answers an SSLRequest or a GSSENCRequest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EncryptionResponse {
    /// `S`: TLS begins.
    Tls,
    /// `G`: GSSAPI encryption begins.
    Gss,
    /// `N`: neither.
    Refused,
}

impl EncryptionResponse {
    /// Parses the byte.
    pub fn read(body: &[u8]) -> Result<Self, BodyError> {
        whole(body, |input| match byte(input)? {
            (rest, b'S') => Ok((rest, Self::Tls)),
            (rest, b'G') => Ok((rest, Self::Gss)),
            (rest, b'N') => Ok((rest, Self::Refused)),
            _ => bad("answer to a request for encryption"),
        })
    }
}
