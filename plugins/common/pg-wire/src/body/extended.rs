//! The extended query protocol.

use nom::Parser;
use nom::combinator::map;

use super::read::{Parsed, bad, byte, string, uint32, whole};
use super::{BodyError, Format, List, Private};

/// Makes a prepared statement of a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parse<'a> {
    /// Empty for the unnamed statement.
    pub statement: &'a [u8],
    /// One statement, or none.
    pub text: Private<'a>,
    /// Of as many parameters as the client wants to fix; 0 leaves it to the server.
    pub parameter_types: List<'a, u32>,
}

impl<'a> Parse<'a> {
    /// Parses a whole body.
    pub fn read(body: &'a [u8]) -> Result<Self, BodyError> {
        let fields = (string, string, List::counted);
        whole(
            body,
            map(fields, |(statement, text, parameter_types)| Self {
                statement,
                text: Private(text),
                parameter_types,
            }),
        )
    }
}

/// Makes a portal of a prepared statement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bind<'a> {
    /// Empty for the unnamed portal.
    pub portal: &'a [u8],
    /// Empty for the unnamed statement.
    pub statement: &'a [u8],
    /// None (all text), one (for all), or one for each parameter.
    pub parameter_formats: List<'a, Format>,
    /// Null is `None`.
    pub parameters: List<'a, Option<Private<'a>>>,
    /// None (all text), one (for all), or one for each column.
    pub result_formats: List<'a, Format>,
}

impl<'a> Bind<'a> {
    /// Parses a whole body.
    pub fn read(body: &'a [u8]) -> Result<Self, BodyError> {
        let fields = (string, string, List::counted, List::counted, List::counted);
        whole(
            body,
            map(
                fields,
                |(portal, statement, parameter_formats, parameters, formats)| Self {
                    portal,
                    statement,
                    parameter_formats,
                    parameters,
                    result_formats: formats,
                },
            ),
        )
    }
}

/// What a Describe or Close is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Target<'a> {
    /// `S`: the prepared statement of this name.
    Statement(&'a [u8]),
    /// `P`: the portal of this name.
    Portal(&'a [u8]),
}

fn target(input: &[u8]) -> Parsed<'_, Target<'_>> {
    let (rest, kind) = byte(input)?;
    match kind {
        b'S' => map(string, Target::Statement).parse(rest),
        b'P' => map(string, Target::Portal).parse(rest),
        _ => bad("kind of a Describe or Close"),
    }
}

/// Asks for parameters and columns.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Describe<'a> {
    /// Of what.
    pub target: Target<'a>,
}

impl<'a> Describe<'a> {
    /// Parses a whole body.
    pub fn read(body: &'a [u8]) -> Result<Self, BodyError> {
        whole(body, map(target, |target| Self { target }))
    }
}

/// Drops a statement or portal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Close<'a> {
    /// Which.
    pub target: Target<'a>,
}

impl<'a> Close<'a> {
    /// Parses a whole body.
    pub fn read(body: &'a [u8]) -> Result<Self, BodyError> {
        whole(body, map(target, |target| Self { target }))
    }
}

/// Runs a portal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Execute<'a> {
    /// Empty for the unnamed portal.
    pub portal: &'a [u8],
    /// Stops after so many; 0 is no limit.
    pub max_rows: u32,
}

impl<'a> Execute<'a> {
    /// Parses a whole body.
    pub fn read(body: &'a [u8]) -> Result<Self, BodyError> {
        whole(
            body,
            map((string, uint32), |(portal, max_rows)| Self {
                portal,
                max_rows,
            }),
        )
    }
}

/// The parameters of a prepared statement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ParameterDescription<'a> {
    /// Object identifiers of their types.
    pub types: List<'a, u32>,
}

impl<'a> ParameterDescription<'a> {
    /// Parses a whole body.
    pub fn read(body: &'a [u8]) -> Result<Self, BodyError> {
        whole(body, map(List::counted, |types| Self { types }))
    }
}
