//! ErrorResponse, NoticeResponse, ParameterStatus.

use crate::{Report, Severity, SqlState};

/// Severity, SQLSTATE and message of a report, which may be cut.
#[must_use]
pub fn summary(body: &[u8]) -> Report<'_> {
    let mut report = Report {
        severity: Severity::Unknown,
        sqlstate: SqlState::UNKNOWN,
        message: &[],
    };
    for field in body.split(|byte| *byte == 0) {
        match field {
            [b'V', word @ ..] => report.severity = severity(word),
            [b'C', code @ ..] => report.sqlstate = sqlstate(code),
            [b'M', message @ ..] => report.message = message,
            _ => {}
        }
    }
    report
}

fn severity(word: &[u8]) -> Severity {
    match word {
        b"ERROR" => Severity::Error,
        b"FATAL" => Severity::Fatal,
        b"PANIC" => Severity::Panic,
        b"WARNING" => Severity::Warning,
        b"NOTICE" => Severity::Notice,
        b"DEBUG" => Severity::Debug,
        b"INFO" => Severity::Info,
        b"LOG" => Severity::Log,
        _ => Severity::Unknown,
    }
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

/// Name and value of a ParameterStatus.
#[must_use]
pub fn parameter(body: &[u8]) -> (&[u8], &[u8]) {
    let mut strings = body.split(|byte| *byte == 0);
    (
        strings.next().unwrap_or_default(),
        strings.next().unwrap_or_default(),
    )
}
