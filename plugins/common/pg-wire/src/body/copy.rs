//! COPY. CopyDone has no body.

use nom::combinator::map;

use super::read::{byte, format_of, string, whole};
use super::{BodyError, Format, List, Private};

/// A piece of the stream; from a server always one row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CopyData<'a> {
    /// On a replication connection a message of its own (see [`super::replication`]).
    pub data: Private<'a>,
}

impl<'a> CopyData<'a> {
    /// Takes a whole body as it is.
    pub fn read(body: &'a [u8]) -> Result<Self, BodyError> {
        Ok(Self {
            data: Private(body),
        })
    }
}

/// The client gives up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CopyFail<'a> {
    /// Goes into the server's error message.
    pub reason: Private<'a>,
}

impl<'a> CopyFail<'a> {
    /// Parses a whole body.
    pub fn read(body: &'a [u8]) -> Result<Self, BodyError> {
        whole(
            body,
            map(string, |reason| Self {
                reason: Private(reason),
            }),
        )
    }
}

/// CopyInResponse, CopyOutResponse, CopyBothResponse: the stream begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CopyResponse<'a> {
    /// Of the whole stream.
    pub format: Format,
    /// Of each column.
    pub column_formats: List<'a, Format>,
}

impl<'a> CopyResponse<'a> {
    /// Parses a whole body.
    pub fn read(body: &'a [u8]) -> Result<Self, BodyError> {
        whole(body, |input| {
            let (rest, code) = byte(input)?;
            let Some(format) = format_of(i16::from(code)) else {
                return super::read::bad("format of a copy");
            };
            let (rest, column_formats) = List::counted(rest)?;
            Ok((
                rest,
                Self {
                    format,
                    column_formats,
                },
            ))
        })
    }
}
