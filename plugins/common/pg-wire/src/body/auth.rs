//! Authentication, and what comes between it and the first ReadyForQuery.

use nom::Parser;
use nom::combinator::map;

use super::read::{Parsed, bad, bytes4, count, rest, string, uint32, value, whole};
use super::{BodyError, List, Private};
use crate::ProtocolVersion;

/// What the server wants to know. All `Authentication...` messages share the tag `R`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AuthenticationRequest<'a> {
    /// 0: enough.
    Ok,
    /// 2: no longer asked for.
    KerberosV5,
    /// 3
    CleartextPassword,
    /// 5
    MD5Password {
        /// To be hashed with the password.
        salt: [u8; 4],
    },
    /// 7
    GSS,
    /// 8: more of GSSAPI or SSPI.
    GSSContinue(Private<'a>),
    /// 9
    SSPI,
    /// 10
    SASL {
        /// In the server's order of preference.
        mechanisms: Strings<'a>,
    },
    /// 11: a challenge.
    SASLContinue(Private<'a>),
    /// 12: the outcome's additional data.
    SASLFinal(Private<'a>),
}

impl<'a> AuthenticationRequest<'a> {
    /// Parses a whole body.
    pub fn read(body: &'a [u8]) -> Result<Self, BodyError> {
        whole(body, |input| {
            let (left, code) = uint32(input)?;
            let data = map(rest, Private);
            match code {
                0 => Ok((left, Self::Ok)),
                2 => Ok((left, Self::KerberosV5)),
                3 => Ok((left, Self::CleartextPassword)),
                5 => map(bytes4, |salt| Self::MD5Password { salt }).parse(left),
                7 => Ok((left, Self::GSS)),
                8 => map(data, Self::GSSContinue).parse(left),
                9 => Ok((left, Self::SSPI)),
                10 => map(Strings::read, |mechanisms| Self::SASL { mechanisms }).parse(left),
                11 => map(data, Self::SASLContinue).parse(left),
                12 => map(data, Self::SASLFinal).parse(left),
                _ => bad("authentication code"),
            }
        })
    }
}

/// Strings up to an empty one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Strings<'a>(Private<'a>);

impl<'a> Strings<'a> {
    fn read(input: &'a [u8]) -> Parsed<'a, Self> {
        let (mut left, mut last) = string(input)?;
        while !last.is_empty() {
            (left, last) = string(left)?;
        }
        let length = input.len().saturating_sub(left.len());
        Ok((left, Self(Private(input.get(..length).unwrap_or_default()))))
    }

    /// One after another.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.0
            .0
            .split(|byte| *byte == 0)
            .take_while(|string| !string.is_empty())
    }
}

/// A client's answer, all of which share the tag `p`: PasswordMessage, SASLInitialResponse,
/// SASLResponse or GSSResponse, by what the server asked for last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AuthenticationResponse<'a>(pub Private<'a>);

impl<'a> AuthenticationResponse<'a> {
    /// Takes a whole body as it is.
    pub fn read(body: &'a [u8]) -> Result<Self, BodyError> {
        Ok(Self(Private(body)))
    }

    /// As the answer to CleartextPassword or MD5Password.
    pub fn password_message(&self) -> Result<PasswordMessage<'a>, BodyError> {
        whole(
            self.0.0,
            map(string, |password| PasswordMessage {
                password: Private(password),
            }),
        )
    }

    /// As the answer to SASL.
    pub fn sasl_initial_response(&self) -> Result<SASLInitialResponse<'a>, BodyError> {
        let fields = (string, value);
        whole(
            self.0.0,
            map(fields, |(mechanism, response)| SASLInitialResponse {
                mechanism,
                response: response.map(Private),
            }),
        )
    }
}

/// A password in the clear, or hashed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PasswordMessage<'a> {
    /// As it was sent.
    pub password: Private<'a>,
}

/// Chooses a mechanism.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SASLInitialResponse<'a> {
    /// `SCRAM-SHA-256`, say.
    pub mechanism: &'a [u8],
    /// The mechanism's first message.
    pub response: Option<Private<'a>>,
}

/// What to send in a CancelRequest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BackendKeyData<'a> {
    /// Of the server process.
    pub process_id: u32,
    /// 4 bytes in protocol 3.0, up to 256 in 3.2.
    pub secret_key: Private<'a>,
}

impl<'a> BackendKeyData<'a> {
    /// Parses a whole body.
    pub fn read(body: &'a [u8]) -> Result<Self, BodyError> {
        whole(
            body,
            map((uint32, rest), |(process_id, key)| Self {
                process_id,
                secret_key: Private(key),
            }),
        )
    }
}

/// The server speaks an older minor version, or lacks options that were asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NegotiateProtocolVersion<'a> {
    /// The newest it speaks of the major version asked for.
    pub newest_version: ProtocolVersion,
    /// `_pq_.` options it does not know.
    pub unrecognized_options: List<'a, &'a [u8]>,
}

impl<'a> NegotiateProtocolVersion<'a> {
    /// Parses a whole body.
    pub fn read(body: &'a [u8]) -> Result<Self, BodyError> {
        whole(body, |input| {
            let (left, (major, minor, options)) = (count, count, uint32).parse(input)?;
            let (left, unrecognized_options) = List::of(options as usize, left)?;
            let newest_version = ProtocolVersion { major, minor };
            Ok((
                left,
                Self {
                    newest_version,
                    unrecognized_options,
                },
            ))
        })
    }
}
