//! Function calls by object identifier, without any SQL text.

use nom::combinator::map;

use super::read::{format, uint32, value, whole};
use super::{BodyError, Format, List, Private};

/// Calls a function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FunctionCall<'a> {
    /// Of the function.
    pub function_oid: u32,
    /// None (all text), one (for all), or one for each argument.
    pub argument_formats: List<'a, Format>,
    /// Null is `None`.
    pub arguments: List<'a, Option<Private<'a>>>,
    /// Wanted for the result.
    pub result_format: Format,
}

impl<'a> FunctionCall<'a> {
    /// Parses a whole body.
    pub fn read(body: &'a [u8]) -> Result<Self, BodyError> {
        let fields = (uint32, List::counted, List::counted, format);
        whole(
            body,
            map(
                fields,
                |(function_oid, argument_formats, arguments, result_format)| Self {
                    function_oid,
                    argument_formats,
                    arguments,
                    result_format,
                },
            ),
        )
    }
}

/// What the function returned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FunctionCallResponse<'a> {
    /// Null is `None`.
    pub value: Option<Private<'a>>,
}

impl<'a> FunctionCallResponse<'a> {
    /// Parses a whole body.
    pub fn read(body: &'a [u8]) -> Result<Self, BodyError> {
        whole(
            body,
            map(value, |value| Self {
                value: value.map(Private),
            }),
        )
    }
}
