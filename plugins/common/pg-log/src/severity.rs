//! The words a line of the log begins with behind its prefix: the severity, or the name of a companion
//! line, in every language PostgreSQL is translated into.
//!
//! Source of the words: `error_severity` and `send_message_to_server_log` of
//! `src/backend/utils/error/elog.c`, and their translations in `src/backend/po`.

use crate::scan::{before, find_byte};

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
    let colon = find_byte(before(text, LONGEST), b':')?;
    if !matches!(text.get(colon.saturating_add(1)), Some(b' ') | None)
        && !text.starts_with("쿼리".as_bytes())
    {
        return None;
    }
    let (word, behind) = text.split_at_checked(colon)?;
    if behind.starts_with(b":  ")
        && let Some(severity) = Severity::from_word(word)
    {
        return Some(Word::Severity(severity, colon.saturating_add(3)));
    }
    COMPANIONS
        .iter()
        .find(|(known, _)| text.starts_with(known.as_bytes()))
        .map(|(known, companion)| Word::Companion(*companion, known.len()))
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
    if !matches!(message.last()?, b'0'..=b'9' | b')' | 0x80..) {
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

/// Translations of ` at character %d`, on both sides of the number.
const POSITIONS: [(&str, &str); 14] = [
    (" at character ", ""),
    (" bei Zeichen ", ""),
    (" en carácter ", ""),
    (" au caractère ", ""),
    (" al carattere ", ""),
    ("(", "文字目)"),
    (" სიმბოლოსთან ", ""),
    (" ", " 번째 문자 부근"),
    (" (символ ", ")"),
    (" vid tecken ", ""),
    (" символ ", ""),
    (" 第 ", " 个字符处"),
    (" no caracter ", ""),
    (" przy znaku ", ""),
];

/// Translations of the severities that differ from the untranslated word, in byte order, and the
/// numbered debug levels that csvlog before 13 and some operators print.
const WORDS: &[(&str, Severity)] = &[
    ("ATTENTION", Severity::Warning),
    ("ATTENZIONE", Severity::Warning),
    ("AVISO", Severity::Warning),
    ("BŁĄD", Severity::Error),
    ("DEBUG1", Severity::Debug),
    ("DEBUG2", Severity::Debug),
    ("DEBUG3", Severity::Debug),
    ("DEBUG4", Severity::Debug),
    ("DEBUG5", Severity::Debug),
    ("DEPURAÇÃO", Severity::Debug),
    ("DZIENNIK", Severity::Log),
    ("ERREUR", Severity::Error),
    ("ERRO", Severity::Error),
    ("ERRORE", Severity::Error),
    ("FATALE", Severity::Fatal),
    ("FATALT", Severity::Fatal),
    ("FEHLER", Severity::Error),
    ("FEL", Severity::Error),
    ("HINWEIS", Severity::Notice),
    ("INFORMACJA", Severity::Info),
    ("KATASTROFALNY", Severity::Fatal),
    ("LOGG", Severity::Log),
    ("NOTA", Severity::Notice),
    ("NOTIFICA", Severity::Notice),
    ("NOTIS", Severity::Notice),
    ("OSTRZEŻENIE", Severity::Warning),
    ("PANICO", Severity::Panic),
    ("PANIK", Severity::Panic),
    ("PANIKA", Severity::Panic),
    ("PÂNICO", Severity::Panic),
    ("UWAGA", Severity::Notice),
    ("VARNING", Severity::Warning),
    ("WARNUNG", Severity::Warning),
    ("ІНФОРМАЦІЯ", Severity::Info),
    ("ВАЖНО", Severity::Fatal),
    ("ЗАМЕЧАНИЕ", Severity::Notice),
    ("ЗАПИСУВАННЯ", Severity::Log),
    ("ИНФОРМАЦИЯ", Severity::Info),
    ("НАЛАГОДЖЕННЯ", Severity::Debug),
    ("ОТЛАДКА", Severity::Debug),
    ("ОШИБКА", Severity::Error),
    ("ПАНІКА", Severity::Panic),
    ("ПАНИКА", Severity::Panic),
    ("ПОВІДОМЛЕННЯ", Severity::Notice),
    ("ПОМИЛКА", Severity::Error),
    ("ПОПЕРЕДЖЕННЯ", Severity::Warning),
    ("ПРЕДУПРЕЖДЕНИЕ", Severity::Warning),
    ("СООБЩЕНИЕ", Severity::Log),
    ("ФАТАЛЬНО", Severity::Fatal),
    ("გამართვა", Severity::Debug),
    ("გაფრთხილება", Severity::Warning),
    ("ინფორმაცია", Severity::Info),
    ("პანიკა", Severity::Panic),
    ("ჟურნალი", Severity::Log),
    ("ფატალური", Severity::Fatal),
    ("შეცდომა", Severity::Error),
    ("信息", Severity::Info),
    ("日志", Severity::Log),
    ("比致命错误还过分的错误", Severity::Panic),
    ("注意", Severity::Notice),
    ("致命错误", Severity::Fatal),
    ("警告", Severity::Warning),
    ("调试", Severity::Debug),
    ("错误", Severity::Error),
    ("경고", Severity::Warning),
    ("디버그", Severity::Debug),
    ("로그", Severity::Log),
    ("손상", Severity::Panic),
    ("알림", Severity::Notice),
    ("오류", Severity::Error),
    ("정보", Severity::Info),
    ("치명적오류", Severity::Fatal),
];

/// Translations of the companions that differ, longest first where one begins another.
const COMPANIONS: &[(&str, Companion)] = &[
    ("მდებარეობა:   ", Companion::Location),
    ("კონტექსტი:  ", Companion::Context),
    ("მინიშნება:  ", Companion::Hint),
    ("ოპერატორი:  ", Companion::Statement),
    ("ВІДСТЕЖУВАТИ:  ", Companion::Backtrace),
    ("РОЗТАШУВАННЯ:  ", Companion::Location),
    ("დეტალები:  ", Companion::Detail),
    ("მოთხოვნა:  ", Companion::Query),
    ("ПОДРОБНОСТИ:  ", Companion::Detail),
    ("バックトレース:  ", Companion::Backtrace),
    ("ІНСТРУКЦІЯ:  ", Companion::Statement),
    ("ВІДОМОСТІ:  ", Companion::Detail),
    ("ПОДСКАЗКА:  ", Companion::Hint),
    ("ПОЛОЖЕНИЕ: ", Companion::Location),
    ("КОНТЕКСТ:  ", Companion::Context),
    ("ОПЕРАТОР:  ", Companion::Statement),
    ("УКАЗІВКА:  ", Companion::Hint),
    ("სტეკი:  ", Companion::Backtrace),
    ("問い合わせ:  ", Companion::Query),
    ("명령 구문:  ", Companion::Statement),
    ("EMPLACEMENT :  ", Companion::Location),
    ("INSTRUCTION :  ", Companion::Statement),
    ("PILE D'APPEL : ", Companion::Backtrace),
    ("SUGGERIMENTO:  ", Companion::Hint),
    ("ZUSAMMENHANG:  ", Companion::Context),
    ("ЗАПРОС:  ", Companion::Query),
    ("详细信息:  ", Companion::Detail),
    ("상세정보:  ", Companion::Detail),
    ("PODPOWIEDŹ:  ", Companion::Hint),
    ("SZCZEGÓŁY:  ", Companion::Detail),
    ("ISTRUZIONE:  ", Companion::Statement),
    ("UBICACIÓN:  ", Companion::Location),
    ("WYRAŻENIE:  ", Companion::Statement),
    ("ЗАПИТ:  ", Companion::Query),
    ("ANWEISUNG:  ", Companion::Statement),
    ("CONTEXTE :  ", Companion::Context),
    ("POSIZIONE:  ", Companion::Location),
    ("REQUÊTE :  ", Companion::Query),
    ("SENTENCIA:  ", Companion::Statement),
    ("ZAPYTANIE:  ", Companion::Query),
    ("ヒント:  ", Companion::Hint),
    ("上下文:  ", Companion::Context),
    ("역추적:  ", Companion::Backtrace),
    ("CONSULTA:  ", Companion::Query),
    ("CONTESTO:  ", Companion::Context),
    ("CONTEXTO:  ", Companion::Context),
    ("DETTAGLI:  ", Companion::Detail),
    ("KONTEKST:  ", Companion::Context),
    ("СТЕК:  ", Companion::Backtrace),
    ("ANFRAGE:  ", Companion::Query),
    ("ASTUCE :  ", Companion::Hint),
    ("COMANDO:  ", Companion::Statement),
    ("DETALHE:  ", Companion::Detail),
    ("DETALLE:  ", Companion::Detail),
    ("DÉTAIL:  ", Companion::Detail),
    ("KONTEXT:  ", Companion::Context),
    ("POZYCJA:  ", Companion::Location),
    ("DETALJ:  ", Companion::Detail),
    ("FRÅGA:  ", Companion::Query),
    ("位置:  ", Companion::Location),
    ("場所:  ", Companion::Location),
    ("提示:  ", Companion::Hint),
    ("文脈:  ", Companion::Context),
    ("查询:  ", Companion::Query),
    ("詳細:  ", Companion::Detail),
    ("语句:  ", Companion::Statement),
    ("내용:  ", Companion::Context),
    ("힌트:  ", Companion::Hint),
    ("LOCAL:  ", Companion::Location),
    ("PLATS:  ", Companion::Location),
    ("위치: ", Companion::Location),
    ("DICA:  ", Companion::Hint),
    ("SATS:  ", Companion::Statement),
    ("TIPP:  ", Companion::Hint),
    ("TIPS:  ", Companion::Hint),
    ("쿼리:", Companion::Query),
    ("ORT:  ", Companion::Location),
    ("文:  ", Companion::Statement),
];

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
        assert_eq!(taken("x at character "), None);
        assert_eq!(taken("x"), None);
    }
}
