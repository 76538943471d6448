//! The words a line of the log begins with behind its prefix: the severity, or the name of a companion
//! line, in every language PostgreSQL is translated into.
//!
//! Source of the words: `error_severity` and `send_message_to_server_log` of
//! `src/backend/utils/error/elog.c`, and their translations in `src/backend/po`.

use crate::scan::{before, find_byte};
use crate::text::Text;
use crate::words::{COMPANIONS, POSITIONS, WORDS};

/// How bad it is (PostgreSQL documentation, 19.8.2).
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// DEBUG1 to DEBUG5; the log does not tell them apart.
    Debug,
    /// For administrators.
    Log,
    /// Asked for by the client.
    Info,
    /// For the client.
    Notice,
    /// Likely problems.
    Warning,
    /// The command was aborted.
    Error,
    /// The session was aborted.
    Fatal,
    /// All sessions were aborted.
    Panic,
}

impl Severity {
    /// All, mildest first.
    pub const ALL: [Self; 8] = [
        Self::Debug,
        Self::Log,
        Self::Info,
        Self::Notice,
        Self::Warning,
        Self::Error,
        Self::Fatal,
        Self::Panic,
    ];

    /// The word of the untranslated server.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Log => "LOG",
            Self::Info => "INFO",
            Self::Notice => "NOTICE",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
            Self::Panic => "PANIC",
        }
    }

    /// OpenTelemetry's SeverityNumber, 1 to 24, by the data model's own mapping of log levels: LOG
    /// is for administrators and no problem, so INFO.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Debug => 5,
            Self::Log | Self::Info => 9,
            Self::Notice => 10,
            Self::Warning => 13,
            Self::Error => 17,
            Self::Fatal => 21,
            Self::Panic => 24,
        }
    }

    /// [`number`](Self::number) in decimal.
    #[must_use]
    pub const fn digits(self) -> &'static str {
        match self {
            Self::Debug => "5",
            Self::Log | Self::Info => "9",
            Self::Notice => "10",
            Self::Warning => "13",
            Self::Error => "17",
            Self::Fatal => "21",
            Self::Panic => "24",
        }
    }

    /// What stands in for a severity whose word is of no language that is known: the class of the SQLSTATE
    /// tells successes, warnings and errors apart (PostgreSQL documentation, appendix A).
    pub(crate) fn of_sqlstate(code: Option<Text<'_>>) -> Self {
        match code.unwrap_or_default().raw.first_chunk() {
            None | Some(b"00") => Self::Log,
            Some(b"01" | b"02") => Self::Warning,
            Some(_) => Self::Error,
        }
    }

    /// The severity that a whole word names, in any language; DEBUG1 to DEBUG5 too.
    #[must_use]
    pub fn from_word(word: &[u8]) -> Option<Self> {
        let known = Self::ALL
            .into_iter()
            .find(|severity| severity.name().as_bytes() == word);
        known.or_else(|| {
            let found = WORDS
                .binary_search_by(|(known, _)| known.as_bytes().cmp(word))
                .ok()?;
            WORDS.get(found).map(|(_, severity)| *severity)
        })
    }
}

/// A line that belongs to the message before it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Companion {
    /// DETAIL.
    Detail,
    /// HINT.
    Hint,
    /// QUERY.
    Query,
    /// CONTEXT.
    Context,
    /// LOCATION: `function, file:line`.
    Location,
    /// BACKTRACE.
    Backtrace,
    /// STATEMENT.
    Statement,
}

impl Companion {
    /// The word of the untranslated server.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Detail => "DETAIL",
            Self::Hint => "HINT",
            Self::Query => "QUERY",
            Self::Context => "CONTEXT",
            Self::Location => "LOCATION",
            Self::Backtrace => "BACKTRACE",
            Self::Statement => "STATEMENT",
        }
    }
}

/// What stands behind the prefix, and the length of it with the blanks that end it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Word {
    Severity(Severity, usize),
    Companion(Companion, usize),
}

/// The untranslated words first: nearly all logs have no other. Each is followed by `:  `.
const UNTRANSLATED: [(&[u8], Word); 15] = [
    (b"LOG:  ", Word::Severity(Severity::Log, 6)),
    (b"ERROR:  ", Word::Severity(Severity::Error, 8)),
    (b"STATEMENT:  ", Word::Companion(Companion::Statement, 12)),
    (b"DETAIL:  ", Word::Companion(Companion::Detail, 9)),
    (b"CONTEXT:  ", Word::Companion(Companion::Context, 10)),
    (b"HINT:  ", Word::Companion(Companion::Hint, 7)),
    (b"FATAL:  ", Word::Severity(Severity::Fatal, 8)),
    (b"WARNING:  ", Word::Severity(Severity::Warning, 10)),
    (b"NOTICE:  ", Word::Severity(Severity::Notice, 9)),
    (b"INFO:  ", Word::Severity(Severity::Info, 7)),
    (b"DEBUG:  ", Word::Severity(Severity::Debug, 8)),
    (b"PANIC:  ", Word::Severity(Severity::Panic, 8)),
    (b"QUERY:  ", Word::Companion(Companion::Query, 8)),
    (b"LOCATION:  ", Word::Companion(Companion::Location, 11)),
    (b"BACKTRACE:  ", Word::Companion(Companion::Backtrace, 12)),
];

/// The longest word of any language, in bytes.
const LONGEST: usize = 64;

/// Reads the word at the beginning of `text`.
#[inline]
pub(crate) fn word(text: &[u8]) -> Option<Word> {
    // All of them begin with a capital letter or with one that is not ASCII.
    if !matches!(text.first()?, b'A'..=b'Z' | 0x80..) {
        return None;
    }
    let head = text.first_chunk::<3>()?;
    for (known, word) in &UNTRANSLATED {
        if known.first_chunk() == Some(head) && text.starts_with(known) {
            return Some(*word);
        }
    }
    translated(text)
}

/// A severity is `word:  ` in every language; the colon and blanks of a companion are translated
/// along with it.
fn translated(text: &[u8]) -> Option<Word> {
    let colon = find_byte(before(text, LONGEST), b':');
    let blank = |colon: &usize| matches!(text.get(colon.saturating_add(1)), Some(b' ') | None);
    let Some(colon) = colon.filter(blank) else {
        let mut tight = COMPANIONS.iter().filter(|(known, _)| !known.ends_with(' '));
        return tight.find_map(|companion| companion_at(text, companion));
    };
    let (word, behind) = text.split_at_checked(colon)?;
    if behind.starts_with(b":  ")
        && let Some(severity) = Severity::from_word(word)
    {
        return Some(Word::Severity(severity, colon.saturating_add(3)));
    }
    COMPANIONS
        .iter()
        .find_map(|companion| companion_at(text, companion))
}

fn companion_at(text: &[u8], (known, companion): &(&str, Companion)) -> Option<Word> {
    text.starts_with(known.as_bytes())
        .then_some(Word::Companion(*companion, known.len()))
}

/// Whether `head` ends with a word of the server's, in any language, whose colon `rest` begins with; one
/// blank behind the colon is enough if `loose`.
pub(crate) fn ends_with_word(head: &[u8], rest: &[u8], loose: bool) -> bool {
    let ends_with = |word: &[u8]| {
        let before = head.strip_suffix(word).and_then(|before| before.last());
        head.ends_with(word)
            && before.is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_')
    };
    let untranslated = UNTRANSLATED.iter().map(|(known, _)| *known);
    let companions = COMPANIONS.iter().map(|(known, _)| known.as_bytes());
    let mut written = untranslated.chain(companions);
    if loose || rest.starts_with(b":  ") {
        let mut severities = WORDS.iter().map(|(word, _)| word.as_bytes());
        let word = |known: &'static [u8]| known.split(|byte| *byte == b':').next();
        return severities.any(ends_with) || written.filter_map(word).any(ends_with);
    }
    // Some companions have fewer blanks behind their colon.
    written.any(|known| {
        let colon = known.iter().position(|byte| *byte == b':');
        let split = colon.and_then(|colon| known.split_at_checked(colon));
        split.is_some_and(|(word, colon)| {
            !known.ends_with(b":  ") && rest.starts_with(colon) && ends_with(word)
        })
    })
}

/// Takes the position off the end of a message: ` at character 7`, in any language. The server
/// writes it there in text logs only.
pub(crate) fn position(message: &[u8]) -> Option<(&[u8], &[u8])> {
    // Most messages end in another way than any of them.
    if !matches!(message.last()?, b'0'..=b'9' | b')' | b' ' | 0x80..) {
        return None;
    }
    for (before, after) in POSITIONS {
        let Some(rest) = message.strip_suffix(after.as_bytes()) else {
            continue;
        };
        let digits = rest.iter().rev().take_while(|byte| byte.is_ascii_digit());
        let length = rest.len().saturating_sub(digits.count());
        let (rest, digits) = rest.split_at_checked(length)?;
        if let Some(message) = rest.strip_suffix(before.as_bytes())
            && !digits.is_empty()
        {
            return Some((message, digits));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_in_order_so_that_they_are_found() {
        assert!(WORDS.is_sorted_by(|one, other| one.0.as_bytes() < other.0.as_bytes()));
        for (word, severity) in WORDS {
            assert!(word.len() < LONGEST);
            assert_eq!(Severity::from_word(word.as_bytes()), Some(*severity));
        }
    }

    #[test]
    fn words_of_many_languages_are_read() {
        for (text, expected) in [
            ("ERROR:  x", Word::Severity(Severity::Error, 8)),
            ("FEHLER:  x", Word::Severity(Severity::Error, 9)),
            ("ОШИБКА:  x", Word::Severity(Severity::Error, 15)),
            ("错误:  x", Word::Severity(Severity::Error, 9)),
            ("ASTUCE :  x", Word::Companion(Companion::Hint, 10)),
            ("ANWEISUNG:  x", Word::Companion(Companion::Statement, 12)),
            ("ÖLÜMCÜL (FATAL):  x", Word::Severity(Severity::Fatal, 21)),
            ("AYRINTI:x", Word::Companion(Companion::Detail, 8)),
            ("嚴重錯誤:  x", Word::Severity(Severity::Fatal, 15)),
            ("提示：x", Word::Companion(Companion::Hint, 9)),
            ("쿼리:x", Word::Companion(Companion::Query, 7)),
        ] {
            assert_eq!(word(text.as_bytes()), Some(expected), "{text}");
        }
        // Other programs write one blank.
        assert_eq!(word(b"ERROR: x"), None);
        assert_eq!(word(b"INFO: no action. I am (a), the leader"), None);
    }

    #[test]
    fn the_position_is_taken_off_a_message() {
        let taken = |text: &'static str| {
            position(text.as_bytes()).map(|(message, digits)| {
                (
                    std::str::from_utf8(message).unwrap(),
                    std::str::from_utf8(digits).unwrap(),
                )
            })
        };
        assert_eq!(taken("x at character 15"), Some(("x", "15")));
        assert_eq!(taken("x (символ 15)"), Some(("x", "15")));
        assert_eq!(taken("x 第 3 个字符处"), Some(("x", "3")));
        assert_eq!(taken("x 3 karakterinde "), Some(("x", "3")));
        assert_eq!(taken("x at character "), None);
        assert_eq!(taken("x"), None);
    }
}
