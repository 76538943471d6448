//! What the escapes of a prefix print: most have a shape of their own, which tells where a value ends.

use super::PrefixError;
use crate::field::Field;
use crate::scan::{behind, digits};
use crate::time;

/// What an escape prints.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Shape {
    /// `2026-11-23 03:34:37 UTC`; whether with milliseconds.
    Time { milliseconds: bool },
    /// `1763868877.123`
    Epoch,
    /// Digits.
    Number,
    /// Digits, or nothing (`%P`).
    NumberOrNothing,
    /// Digits behind a sign, maybe.
    SignedNumber,
    /// `65a1b2c3.1f4`
    SessionId,
    /// `3/17`, or nothing.
    VirtualTransactionId,
    /// Five of `0-9A-Z`.
    Sqlstate,
    /// An address or host name, or nothing.
    Host,
    /// The same with a port in parentheses, or `[local]`.
    HostAndPort,
    /// Anything.
    Free,
}

/// What an escape prints, and the field it fills; none if nobody can tell what it says.
pub(super) type Meaning = fn(u8) -> Result<(Shape, Option<Field>), PrefixError>;

/// That of the server's own.
pub(super) fn meaning(kind: u8) -> Result<(Shape, Option<Field>), PrefixError> {
    const ESCAPES: [(u8, Shape, Field); 20] = [
        (b'a', Shape::Free, Field::Application),
        (b'u', Shape::Free, Field::UserName),
        (b'd', Shape::Free, Field::DatabaseName),
        (b'r', Shape::HostAndPort, Field::ClientAddress),
        (b'h', Shape::Host, Field::ClientAddress),
        (b'L', Shape::Host, Field::ServerAddress),
        (b'b', Shape::Free, Field::BackendType),
        (b'p', Shape::Number, Field::ProcessId),
        (b'P', Shape::NumberOrNothing, Field::LeaderPid),
        (
            b't',
            Shape::Time {
                milliseconds: false,
            },
            Field::LogTime,
        ),
        (b'm', Shape::Time { milliseconds: true }, Field::LogTime),
        (b'n', Shape::Epoch, Field::LogTime),
        (b'i', Shape::Free, Field::CommandTag),
        (b'e', Shape::Sqlstate, Field::Sqlstate),
        (b'c', Shape::SessionId, Field::SessionId),
        (b'l', Shape::Number, Field::SessionLine),
        (
            b's',
            Shape::Time {
                milliseconds: false,
            },
            Field::SessionStart,
        ),
        (
            b'v',
            Shape::VirtualTransactionId,
            Field::VirtualTransactionId,
        ),
        (b'x', Shape::Number, Field::TransactionId),
        (b'Q', Shape::SignedNumber, Field::QueryId),
    ];
    ESCAPES
        .iter()
        .find(|(known, _, _)| *known == kind)
        .map(|(_, shape, field)| (*shape, Some(*field)))
        .ok_or(PrefixError::UnknownEscape(kind))
}

/// With those that a guess may have beside them: `%?` is a text and `%#` a number of which nobody can tell
/// what they say.
pub(super) fn guessed_meaning(kind: u8) -> Result<(Shape, Option<Field>), PrefixError> {
    match kind {
        b'?' => Ok((Shape::Free, None)),
        b'#' => Ok((Shape::SignedNumber, None)),
        kind => meaning(kind),
    }
}

impl Shape {
    /// Whether what follows decides where it ends.
    pub(super) fn is_open(self) -> bool {
        matches!(self, Self::Free | Self::Host)
    }

    /// The length of a value of this shape at the beginning of `text`.
    pub(super) fn length(self, text: &[u8]) -> Option<usize> {
        match self {
            Self::Time { milliseconds } => {
                let (length, fraction) = time::shape(text)?;
                (fraction == milliseconds).then_some(length)
            }
            Self::Epoch => {
                let whole = digits(text);
                let fraction = behind(text, whole).strip_prefix(b".").map(digits)?;
                (whole > 0 && fraction == 3).then_some(whole.saturating_add(4))
            }
            Self::Number => Some(digits(text)).filter(|length| *length > 0),
            Self::NumberOrNothing => Some(digits(text)),
            Self::SignedNumber => {
                let sign = usize::from(text.first() == Some(&b'-'));
                let length = digits(behind(text, sign));
                (length > 0).then_some(length.saturating_add(sign))
            }
            Self::SessionId => {
                let start = hexadecimal(text);
                let process = behind(text, start).strip_prefix(b".").map(hexadecimal)?;
                let length = start.saturating_add(process).saturating_add(1);
                (start > 0 && process > 0).then_some(length)
            }
            Self::VirtualTransactionId => {
                let backend = digits(text);
                let local = behind(text, backend).strip_prefix(b"/").map(digits);
                match (backend, local) {
                    (1.., Some(local @ 1..)) => {
                        Some(backend.saturating_add(local).saturating_add(1))
                    }
                    _ => Some(0),
                }
            }
            Self::Sqlstate => {
                let code = text.get(..5)?;
                let fits = |byte: &u8| byte.is_ascii_digit() || byte.is_ascii_uppercase();
                code.iter().all(fits).then_some(5)
            }
            Self::HostAndPort => {
                if text.starts_with(b"[local]") {
                    return Some(7);
                }
                let host = text.iter().take_while(|byte| is_host(**byte)).count();
                let port = behind(text, host).strip_prefix(b"(").map(digits);
                match port {
                    Some(port @ 1..)
                        if behind(text, host).get(port.saturating_add(1)) == Some(&b')') =>
                    {
                        Some(host.saturating_add(port).saturating_add(2))
                    }
                    _ => Some(0),
                }
            }
            Self::Host | Self::Free => None,
        }
    }
}

fn hexadecimal(text: &[u8]) -> usize {
    text.iter()
        .take_while(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        .count()
}

pub(super) fn is_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".:-_%/[]?".contains(&byte)
}
