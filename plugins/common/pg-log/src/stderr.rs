//! `log_destination = stderr` (and syslog, once its header is off): lines behind a prefix, the first
//! of a message with its severity, then its companion lines, then continuations behind a tab.
//!
//! Source: `send_message_to_server_log` of `src/backend/utils/error/elog.c`.

use crate::event::{Event, Faults, Format, Level};
use crate::field::{Field, Fields};
use crate::heads::Heads;
use crate::prefix::{Matched, Prefix};
use crate::scan::{before, behind, find, find_byte};
use crate::severity::{Companion, Severity, Word, position};
use crate::text::{Form, Text};

/// Reads the entry that `text` begins with, companion lines and all, and returns what follows it.
/// `None` if the first line does not fit the prefix. Remembers what the line begins with, if there are `heads`.
pub(crate) fn parse<'t>(
    prefix: &Prefix,
    heads: Option<&mut Heads>,
    text: &'t [u8],
) -> Option<(Event<'t>, &'t [u8])> {
    let mut lines = Lines { prefix, heads };
    let first = lines.read(text)?;
    Some(lines.entry(text, first))
}

/// The same of an entry whose first line begins with what is remembered.
pub(crate) fn parse_known<'t>(
    prefix: &Prefix,
    heads: &mut Heads,
    text: &'t [u8],
) -> Option<(Event<'t>, &'t [u8])> {
    let first = Line::known(heads, text)?;
    let heads = Some(heads);
    Some(Lines { prefix, heads }.entry(text, first))
}

/// The beginning of a line that fits the prefix.
struct Line<'t> {
    fields: Fields<'t>,
    matched: Matched,
    /// Where it ends, if that is known.
    end: Option<usize>,
}

impl<'t> Line<'t> {
    /// One that begins with what is remembered.
    fn known(heads: &Heads, text: &'t [u8]) -> Option<Self> {
        let mut fields = Fields::default();
        let (matched, end) = heads.find(text, &mut fields)?;
        let end = Some(end);
        Some(Self {
            fields,
            matched,
            end,
        })
    }

    /// What its word says, where its text begins, and how long that is at most.
    fn text(&self) -> (Level, usize, Option<usize>) {
        let (level, word) = match self.matched.word {
            Word::Severity(severity, length) => (Level::Severity(severity), length),
            Word::Companion(companion, length) => (Level::Companion(companion), length),
        };
        let begin = self.matched.length.saturating_add(word);
        (
            level,
            begin,
            self.end.and_then(|end| end.checked_sub(begin)),
        )
    }

    /// Whether it is a companion of the message. One of another process belongs to another message.
    fn is_companion_of(&self, message: &Fields<'_>) -> bool {
        let same = |field: Field| {
            let (own, other) = (self.fields.get(field), message.get(field));
            own.map(|text| text.raw) == other.map(|text| text.raw)
        };
        matches!(self.matched.word, Word::Companion(..))
            && same(Field::ProcessId)
            && same(Field::SessionId)
    }
}

/// A text with its continuations, what follows it, and what that begins with.
struct Piece<'t> {
    text: Text<'t>,
    rest: &'t [u8],
    next: Option<Box<Line<'t>>>,
}

/// Reads lines.
struct Lines<'p> {
    prefix: &'p Prefix,
    heads: Option<&'p mut Heads>,
}

impl Lines<'_> {
    /// The beginning of a line, which is remembered. `None` if it does not fit the prefix.
    fn read<'t>(&mut self, text: &'t [u8]) -> Option<Line<'t>> {
        let mut fields = Fields::default();
        let matched = self.prefix.matches(text, &mut fields)?;
        if let Some(heads) = &mut self.heads {
            heads.learn(self.prefix, text, matched, &mut fields);
        }
        let end = None;
        Some(Line {
            fields,
            matched,
            end,
        })
    }

    /// The entry whose `first` line `text` begins with, and what follows it.
    fn entry<'t>(&mut self, text: &'t [u8], first: Line<'t>) -> (Event<'t>, &'t [u8]) {
        let (level, begin, mut length) = first.text();
        let mut faults = Faults::default();
        if first.matched.ambiguous {
            faults.insert(Faults::AMBIGUOUS_PREFIX);
        }
        let mut event = Event {
            format: Format::Stderr,
            level,
            fields: first.fields,
            names_user: self.prefix.names_user(),
            faults,
        };
        let mut body = behind(text, begin);
        let mut place = level;
        let rest = loop {
            let piece = self.piece(body, length, &mut event.faults);
            match place {
                Level::Severity(_) => set_message(&mut event, piece.text),
                Level::Companion(companion) => set_companion(&mut event, companion, piece.text),
            }
            match piece
                .next
                .filter(|next| next.is_companion_of(&event.fields))
            {
                Some(next) => {
                    let begin;
                    (place, begin, length) = next.text();
                    body = behind(piece.rest, begin);
                }
                None => break piece.rest,
            }
        };
        settle_position(&mut event.fields);
        if !rest.is_empty() {
            event.faults.insert(Faults::MORE_FOLLOW);
        }
        (event, rest)
    }

    /// A text up to the next line with a prefix; its first line has this `length`, if that is known. Lines behind a
    /// tab belong to it, and so do those that fit no prefix: hosts take tabs off, and programs the server runs print
    /// into the same stream.
    fn piece<'t>(
        &mut self,
        text: &'t [u8],
        length: Option<usize>,
        faults: &mut Faults,
    ) -> Piece<'t> {
        let mut newline = match length {
            Some(length) => Some(length).filter(|length| *length < text.len()),
            None => find_byte(text, b'\n'),
        };
        let mut end = 0_usize;
        let mut form = Form::Plain;
        let mut following = None;
        loop {
            let Some(found) = newline else {
                end = text.len();
                break;
            };
            end = end.saturating_add(found);
            let next = behind(text, end.saturating_add(1));
            if next.is_empty() {
                break;
            }
            if !next.starts_with(b"\t") {
                let known = self
                    .heads
                    .as_deref()
                    .and_then(|heads| Line::known(heads, next));
                if let Some(line) = known.or_else(|| self.read(next)) {
                    following = Some(Box::new(line));
                    break;
                }
                faults.insert(Faults::UNPREFIXED_LINE);
            }
            form = Form::Tabbed;
            end = end.saturating_add(1);
            newline = find_byte(behind(text, end), b'\n');
        }
        let piece = before(text, end);
        Piece {
            text: Text::new(piece.strip_suffix(b"\r").unwrap_or(piece), form),
            rest: behind(text, end.saturating_add(1)),
            next: following,
        }
    }
}

/// elog.c prints one position: that in the internal query, if there is one.
fn settle_position(fields: &mut Fields<'_>) {
    if fields.get(Field::InternalQuery).is_some()
        && let Some(at) = fields.get(Field::Position)
    {
        fields.set(Field::InternalPosition, at);
        fields.set(Field::Position, Text::default());
    }
}

/// Milliseconds in the languages of the server's catalogues.
const MILLISECONDS: [&str; 3] = ["ms", "мс", "ミリ秒"];

/// Whether a LOG may have a position: those about waits for a lock have one (`ProcSleep` of `proc.c`), which say how
/// long. Others may end with a statement that reads like it, behind a colon.
fn is_about_a_wait(message: &[u8]) -> bool {
    let is_time = |unit: &&str| {
        let time = find(message, unit.as_bytes()).map(|at| before(message, at).trim_ascii_end());
        time.is_some_and(|time| time.last().is_some_and(u8::is_ascii_digit))
    };
    find_byte(message, b':').is_none() && MILLISECONDS.iter().any(is_time)
}

/// The message, without the SQLSTATE that `log_error_verbosity = verbose` puts before it and the
/// position at its end.
fn set_message<'t>(event: &mut Event<'t>, piece: Text<'t>) {
    let mut raw = piece.raw;
    if let Some((code, message)) = sqlstate(raw) {
        event.fields.set(Field::Sqlstate, Text::plain(code));
        raw = message;
    }
    let may_have =
        |message: &[u8]| event.severity() >= Some(Severity::Notice) || is_about_a_wait(message);
    if let Some((message, digits)) = position(raw).filter(|(message, _)| may_have(message)) {
        event.fields.set(Field::Position, Text::plain(digits));
        raw = message;
    }
    event.fields.set(Field::Message, Text::new(raw, piece.form));
}

/// `42601: ` before a message. Every SQLSTATE has a digit; `AUDIT: ` is pgaudit's.
fn sqlstate(message: &[u8]) -> Option<(&[u8], &[u8])> {
    let (code, rest) = message.split_at_checked(5)?;
    let fits = |byte: &u8| byte.is_ascii_digit() || byte.is_ascii_uppercase();
    let rest = rest.strip_prefix(b": ")?;
    let code_fits = code.iter().all(fits) && code.iter().any(u8::is_ascii_digit);
    code_fits.then_some((code, rest))
}

fn set_companion<'t>(event: &mut Event<'t>, companion: Companion, piece: Text<'t>) {
    let fields = &mut event.fields;
    match companion {
        Companion::Detail => fields.set(Field::Detail, piece),
        Companion::Hint => fields.set(Field::Hint, piece),
        Companion::Query => fields.set(Field::InternalQuery, piece),
        Companion::Context => fields.set(Field::Context, piece),
        Companion::Location => set_location(fields, piece),
        Companion::Backtrace => fields.set(Field::Backtrace, piece),
        Companion::Statement => fields.set(Field::Statement, piece),
    }
}

/// `function, file:line`; the function is left out if the compiler did not say.
pub(crate) fn set_location<'t>(fields: &mut Fields<'t>, location: Text<'t>) {
    let raw = location.raw;
    let (function, place) = match find(raw, b", ") {
        Some(comma) => (before(raw, comma), behind(raw, comma.saturating_add(2))),
        None => (raw.get(..0).unwrap_or_default(), raw),
    };
    let Some(colon) = place.iter().rposition(|byte| *byte == b':') else {
        return;
    };
    fields.set(Field::Function, Text::new(function, location.form));
    fields.set(Field::File, Text::new(before(place, colon), location.form));
    let line = behind(place, colon.saturating_add(1));
    fields.set(Field::Line, Text::new(line, location.form));
}
