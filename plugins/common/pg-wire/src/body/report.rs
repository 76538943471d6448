//! What the server says besides results: ErrorResponse, NoticeResponse, NotificationResponse,
//! ParameterStatus.

use nom::combinator::map;

use super::read::{byte, string, uint32, whole};
use super::{BodyError, Private};
use crate::{Report, Severity, SqlState};

/// The fields of an ErrorResponse or NoticeResponse (PostgreSQL docs: "Error and Notice Message
/// Fields").
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fields<'a>(Private<'a>);

impl<'a> Fields<'a> {
    /// Parses a whole body.
    pub fn read(body: &'a [u8]) -> Result<Self, BodyError> {
        whole(body, |input| {
            let (mut rest, mut code) = byte(input)?;
            while code != 0 {
                (rest, _) = string(rest)?;
                (rest, code) = byte(rest)?;
            }
            Ok((rest, Self(Private(input))))
        })
    }

    /// Takes the beginning of a body; its last field may be cut.
    #[must_use]
    pub fn of_head(head: &'a [u8]) -> Self {
        Self(Private(head))
    }

    /// Code and value of each field, in the order of the message.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &'a [u8])> + use<'a> {
        self.0.0.split(|byte| *byte == 0).map_while(|field| {
            let (code, value) = field.split_first()?;
            Some((*code, value))
        })
    }

    /// The value of the field with this code.
    #[must_use]
    pub fn get(&self, code: u8) -> Option<&'a [u8]> {
        self.iter()
            .find(|(candidate, _)| *candidate == code)
            .map(|(_, value)| value)
    }

    /// Severity, code and message.
    #[must_use]
    pub fn report(&self) -> Report<'a> {
        let mut report = Report {
            severity: Severity::Unknown,
            sqlstate: SqlState::UNKNOWN,
            message: &[],
        };
        for (code, value) in self.iter() {
            match code {
                b'V' => report.severity = severity(value),
                b'C' => report.sqlstate = sqlstate(value),
                b'M' => report.message = value,
                _ => {}
            }
        }
        report
    }
}

/// Field `V`, which is never translated.
const SEVERITIES: &[(&[u8], Severity)] = &[
    (b"ERROR", Severity::Error),
    (b"FATAL", Severity::Fatal),
    (b"PANIC", Severity::Panic),
    (b"WARNING", Severity::Warning),
    (b"NOTICE", Severity::Notice),
    (b"DEBUG", Severity::Debug),
    (b"INFO", Severity::Info),
    (b"LOG", Severity::Log),
];

fn severity(word: &[u8]) -> Severity {
    let known = SEVERITIES.iter().find(|(known, _)| *known == word);
    known.map_or(Severity::Unknown, |(_, severity)| *severity)
}

fn sqlstate(code: &[u8]) -> SqlState {
    match <[u8; 5]>::try_from(code) {
        Ok(code)
            if code
                .iter()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()) =>
        {
            SqlState(code)
        }
        _ => SqlState::UNKNOWN,
    }
}

/// Somebody sent a NOTIFY.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NotificationResponse<'a> {
    /// Of the server process of the session that sent it.
    pub process_id: u32,
    /// Its name.
    pub channel: &'a [u8],
    /// What was sent with it.
    pub payload: Private<'a>,
}

impl<'a> NotificationResponse<'a> {
    /// Parses a whole body.
    pub fn read(body: &'a [u8]) -> Result<Self, BodyError> {
        whole(
            body,
            map(
                (uint32, string, string),
                |(process_id, channel, payload)| Self {
                    process_id,
                    channel,
                    payload: Private(payload),
                },
            ),
        )
    }
}

/// A run-time parameter's value at the start, or after a change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ParameterStatus<'a> {
    /// Of the parameter.
    pub name: &'a [u8],
    /// From now on.
    pub value: &'a [u8],
}

impl<'a> ParameterStatus<'a> {
    /// Parses a whole body.
    pub fn read(body: &'a [u8]) -> Result<Self, BodyError> {
        whole(
            body,
            map((string, string), |(name, value)| Self { name, value }),
        )
    }

    /// Takes the beginning of a body; its value may be cut.
    #[must_use]
    pub fn of_head(head: &'a [u8]) -> Self {
        let mut strings = head.split(|byte| *byte == 0);
        let name = strings.next().unwrap_or_default();
        Self {
            name,
            value: strings.next().unwrap_or_default(),
        }
    }
}
