//! The protocol's data types (PostgreSQL docs: "Message Data Types") as nom parsers.

use nom::bytes::complete::{tag, take, take_till};
use nom::combinator::{map, map_opt};
use nom::error::{ErrorKind, FromExternalError, ParseError};
use nom::number::complete::{be_i16, be_i32, be_u8, be_u16, be_u32, be_u64};
use nom::{Err, IResult, Parser};

use super::{BodyError, Format};

/// A value and what follows it.
pub(super) type Parsed<'a, T> = IResult<&'a [u8], T, BodyError>;

impl ParseError<&[u8]> for BodyError {
    fn from_error_kind(_: &[u8], _: ErrorKind) -> Self {
        Self::TooShort
    }

    fn append(_: &[u8], _: ErrorKind, first: Self) -> Self {
        first
    }
}

impl FromExternalError<&[u8], Self> for BodyError {
    fn from_external_error(_: &[u8], _: ErrorKind, error: Self) -> Self {
        error
    }
}

/// Parses a whole body.
pub(super) fn whole<'a, T>(
    body: &'a [u8],
    mut parser: impl Parser<&'a [u8], Output = T, Error = BodyError>,
) -> Result<T, BodyError> {
    match parser.parse(body) {
        Ok(([], value)) => Ok(value),
        Ok(_) => Err(BodyError::TrailingBytes),
        Err(Err::Error(error) | Err::Failure(error)) => Err(error),
        Err(Err::Incomplete(_)) => Err(BodyError::TooShort),
    }
}

/// A value that the protocol does not have.
pub(super) fn bad<'a, T>(field: &'static str) -> Parsed<'a, T> {
    Err(Err::Failure(BodyError::BadValue(field)))
}

pub(super) fn byte(input: &[u8]) -> Parsed<'_, u8> {
    be_u8(input)
}

pub(super) fn int16(input: &[u8]) -> Parsed<'_, i16> {
    be_i16(input)
}

pub(super) fn count(input: &[u8]) -> Parsed<'_, u16> {
    be_u16(input)
}

pub(super) fn int32(input: &[u8]) -> Parsed<'_, i32> {
    be_i32(input)
}

pub(super) fn uint32(input: &[u8]) -> Parsed<'_, u32> {
    be_u32(input)
}

pub(super) fn uint64(input: &[u8]) -> Parsed<'_, u64> {
    be_u64(input)
}

pub(super) fn bytes4(input: &[u8]) -> Parsed<'_, [u8; 4]> {
    map_opt(take(4_usize), |bytes: &[u8]| bytes.try_into().ok()).parse(input)
}

/// All that is left.
pub(super) fn rest(input: &[u8]) -> Parsed<'_, &[u8]> {
    nom::combinator::rest(input)
}

/// `String`: without its zero.
pub(super) fn string(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (rest, text) = take_till(|byte| byte == 0)(input)?;
    match tag::<_, _, BodyError>(&b"\0"[..])(rest) {
        Ok((rest, _)) => Ok((rest, text)),
        Err(_) => Err(Err::Failure(BodyError::NotTerminated)),
    }
}

/// `Int32` length, then so many bytes; -1 is null.
pub(super) fn value(input: &[u8]) -> Parsed<'_, Option<&[u8]>> {
    let (rest, length) = int32(input)?;
    match u32::try_from(length) {
        Ok(length) => map(take(length), Some).parse(rest),
        Err(_) if length == -1 => Ok((rest, None)),
        Err(_) => bad("length of a value"),
    }
}

pub(super) fn format(input: &[u8]) -> Parsed<'_, Format> {
    let (rest, code) = int16(input)?;
    format_of(code).map_or_else(|| bad("format code"), |format| Ok((rest, format)))
}

pub(super) fn format_of(code: i16) -> Option<Format> {
    match code {
        0 => Some(Format::Text),
        1 => Some(Format::Binary),
        _ => None,
    }
}
