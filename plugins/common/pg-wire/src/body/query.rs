//! The simple query protocol, and the answers it shares with the extended one.

use nom::combinator::map;

use super::read::{Parsed, bad, byte, format, int16, int32, string, uint32, whole};
use super::{BodyError, Format, Item, List, Private};

/// Text of any number of statements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Query<'a> {
    /// In the encoding of the session's `client_encoding`.
    pub text: Private<'a>,
}

impl<'a> Query<'a> {
    /// Parses a whole body.
    pub fn read(body: &'a [u8]) -> Result<Self, BodyError> {
        whole(
            body,
            map(string, |text| Self {
                text: Private(text),
            }),
        )
    }
}

/// The columns that are to come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowDescription<'a> {
    /// In the order of the columns.
    pub fields: List<'a, Field<'a>>,
}

impl<'a> RowDescription<'a> {
    /// Parses a whole body.
    pub fn read(body: &'a [u8]) -> Result<Self, BodyError> {
        whole(body, map(List::counted, |fields| Self { fields }))
    }
}

/// One column.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Field<'a> {
    /// As the statement calls it.
    pub name: &'a [u8],
    /// Of the table it comes from, or 0.
    pub table_oid: u32,
    /// Within that table, or 0.
    pub column: i16,
    /// Of its type.
    pub type_oid: u32,
    /// In bytes; negative if it varies.
    pub type_size: i16,
    /// `atttypmod`.
    pub type_modifier: i32,
    /// Of the values; in the answer to a Describe of a statement always text.
    pub format: Format,
}

impl<'a> Item<'a> for Field<'a> {
    fn read(input: &'a [u8]) -> Option<(&'a [u8], Self)> {
        let fields = (string, uint32, int16, uint32, int16, int32, format);
        let mut field = map(
            fields,
            |(name, table_oid, column, type_oid, size, modifier, format)| Self {
                name,
                table_oid,
                column,
                type_oid,
                type_size: size,
                type_modifier: modifier,
                format,
            },
        );
        nom::Parser::parse(&mut field, input).ok()
    }
}

/// One row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DataRow<'a> {
    /// Null is `None`.
    pub columns: List<'a, Option<Private<'a>>>,
}

impl<'a> DataRow<'a> {
    /// Parses a whole body.
    pub fn read(body: &'a [u8]) -> Result<Self, BodyError> {
        whole(body, map(List::counted, |columns| Self { columns }))
    }
}

/// A statement has been run to its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CommandComplete<'a> {
    /// What ran.
    pub tag: CommandTag<'a>,
}

impl<'a> CommandComplete<'a> {
    /// Parses a whole body.
    pub fn read(body: &'a [u8]) -> Result<Self, BodyError> {
        whole(
            body,
            map(string, |tag| Self {
                tag: CommandTag::read(tag),
            }),
        )
    }
}

/// The tag of a CommandComplete.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CommandTag<'a> {
    /// What ran: `SELECT`, `CREATE TABLE` (`src/include/tcop/cmdtaglist.h`).
    pub command: &'a [u8],
    /// How many rows, if the command counts them.
    pub rows: Option<u64>,
}

impl<'a> CommandTag<'a> {
    /// Reads a tag, without its zero. `INSERT` has an object identifier, now always 0, before its
    /// count.
    #[must_use]
    pub fn read(tag: &'a [u8]) -> Self {
        match split_number(tag) {
            Some((command, rows)) => {
                let command = split_number(command).map_or(command, |(command, _)| command);
                Self {
                    command,
                    rows: Some(rows),
                }
            }
            None => Self {
                command: tag,
                rows: None,
            },
        }
    }
}

/// Parts a tag from the number behind its last blank.
fn split_number(tag: &[u8]) -> Option<(&[u8], u64)> {
    let blank = tag.iter().rposition(|byte| *byte == b' ')?;
    let (command, number) = tag.split_at_checked(blank)?;
    let digits = number.get(1..).filter(|digits| !digits.is_empty())?;
    let number = digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| digit.wrapping_sub(b'0'))?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })?;
    Some((command, number))
}

/// The server waits for the client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReadyForQuery {
    /// Of the session's transaction.
    pub status: TransactionStatus,
}

/// What ReadyForQuery says about the transaction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TransactionStatus {
    /// `I`: none.
    Idle,
    /// `T`: in a block.
    Block,
    /// `E`: in a block that has failed, and refuses all but its end.
    FailedBlock,
}

impl ReadyForQuery {
    /// Parses a whole body.
    pub fn read(body: &[u8]) -> Result<Self, BodyError> {
        whole(body, map(status, |status| Self { status }))
    }
}

fn status(input: &[u8]) -> Parsed<'_, TransactionStatus> {
    match byte(input)? {
        (rest, b'I') => Ok((rest, TransactionStatus::Idle)),
        (rest, b'T') => Ok((rest, TransactionStatus::Block)),
        (rest, b'E') => Ok((rest, TransactionStatus::FailedBlock)),
        _ => bad("transaction status"),
    }
}
