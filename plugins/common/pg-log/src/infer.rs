//! Guessing `log_line_prefix` from one line: a time is a time, `[123]` a process id, `user=bob` says
//! what it is. A guess that is wrong fits no other line, and is thrown away there.

use crate::prefix::Prefix;
use crate::scan::{before, behind, digits};
use crate::severity::word;
use crate::time;

/// Bytes of a line in which its prefix ends.
const LONGEST_PREFIX: usize = 512;

/// Names that prefixes give to values, and the escape behind each. A name is compared in lower case.
const NAMES: &[(&str, &str)] = &[
    ("a", "%a"),
    ("app", "%a"),
    ("app_name", "%a"),
    ("appname", "%a"),
    ("application", "%a"),
    ("application_name", "%a"),
    ("b", "%b"),
    ("backend", "%b"),
    ("backend_type", "%b"),
    ("bt", "%b"),
    ("type", "%b"),
    ("c", "%c"),
    ("session", "%c"),
    ("session_id", "%c"),
    ("sess", "%c"),
    ("sid", "%c"),
    ("client", "%h"),
    ("connection", "%r"),
    ("connection_source", "%r"),
    ("h", "%h"),
    ("host", "%h"),
    ("ip", "%h"),
    ("r", "%r"),
    ("remote", "%r"),
    ("remote_host", "%h"),
    ("rhost", "%h"),
    ("d", "%d"),
    ("database", "%d"),
    ("database_name", "%d"),
    ("db", "%d"),
    ("dbname", "%d"),
    ("cmd", "%i"),
    ("command", "%i"),
    ("command_tag", "%i"),
    ("i", "%i"),
    ("ps", "%i"),
    ("tag", "%i"),
    ("code", "%e"),
    ("e", "%e"),
    ("err", "%e"),
    ("error_code", "%e"),
    ("sql_error_code", "%e"),
    ("sqlstate", "%e"),
    ("state", "%e"),
    ("l", "%l"),
    ("line", "%l"),
    ("line_num", "%l"),
    ("log_line", "%l"),
    ("n", "%l"),
    ("lp", "%P"),
    ("leader", "%P"),
    ("leader_pid", "%P"),
    ("p", "%p"),
    ("pid", "%p"),
    ("process", "%p"),
    ("process_id", "%p"),
    ("q", "%Q"),
    ("qid", "%Q"),
    ("query_id", "%Q"),
    ("queryid", "%Q"),
    ("proc_start_time", "%s"),
    ("s", "%s"),
    ("session_start", "%s"),
    ("start", "%s"),
    ("u", "%u"),
    ("user", "%u"),
    ("user_name", "%u"),
    ("username", "%u"),
    ("usr", "%u"),
    ("v", "%v"),
    ("vtid", "%v"),
    ("vxid", "%v"),
    ("tid", "%x"),
    ("tx", "%x"),
    ("txid", "%x"),
    ("x", "%x"),
    ("xid", "%x"),
];

/// Guesses the prefix of a line. `None` if nothing in front of a severity looks like one.
pub(crate) fn infer(line: &[u8]) -> Option<Prefix> {
    let line = before(line, LONGEST_PREFIX);
    let end = (0..line.len()).find(|at| word(behind(line, *at)).is_some())?;
    let mut guess = Guess {
        source: String::new(),
        seen: Vec::new(),
        name: String::new(),
    };
    let mut rest = before(line, end);
    // What a script of psql's says begins with its file and line: no value of a session is there.
    if rest.starts_with(b"psql:") {
        rest.iter().for_each(|byte| guess.literal(*byte));
        rest = b"";
    }
    while !rest.is_empty() {
        let length = guess.value(rest).max(1);
        rest = behind(rest, length);
    }
    let prefix = Prefix::compile(&guess.source).ok()?;
    prefix.fits(line).then_some(prefix)
}

/// A prefix as far as it is written.
struct Guess {
    source: String,
    /// Escapes in it.
    seen: Vec<&'static str>,
    /// The letters just read: the name of the value that follows, maybe.
    name: String,
}

impl Guess {
    /// Reads one value, or one byte that stands for itself; returns how long it is.
    fn value(&mut self, rest: &[u8]) -> usize {
        if let Some(length) = self.named(rest) {
            return length;
        }
        let boundary = !self.source.ends_with(|last: char| last.is_alphanumeric());
        if boundary && let Some((escape, length)) = self.shaped(rest) {
            self.put(escape);
            return length;
        }
        if boundary && let Some(length) = self.words(rest) {
            return length;
        }
        let byte = rest.first().copied().unwrap_or(b' ');
        self.literal(byte);
        if byte.is_ascii_alphabetic() || byte == b'_' {
            self.name.push(char::from(byte.to_ascii_lowercase()));
        } else if !b"=: \"[(".contains(&byte) {
            self.name.clear();
        }
        1
    }

    fn literal(&mut self, byte: u8) {
        self.source.push(char::from(byte));
        if byte == b'%' {
            self.source.push('%');
        }
    }

    fn put(&mut self, escape: &'static str) {
        self.source.push_str(escape);
        self.seen.push(escape);
        self.name.clear();
    }

    /// A value behind `name=` or `name:` up to what ends it.
    fn named(&mut self, rest: &[u8]) -> Option<usize> {
        let quoted = self.source.ends_with('"');
        let ends_name = self.source.trim_end_matches(['"', ' ', '[', '(']);
        if !ends_name.ends_with(['=', ':']) || self.name.is_empty() {
            return None;
        }
        let (_, escape) = NAMES.iter().find(|(name, _)| *name == self.name)?;
        if rest.first() == Some(&b' ') && !quoted && self.source.ends_with(':') {
            return None;
        }
        let escape = match *escape {
            "%h" | "%r" if port(rest).is_some() => "%r",
            "%r" if host(rest).is_some() => "%h",
            other => other,
        };
        let length = match self.shaped(rest) {
            Some((_, length)) if time::shape(rest).is_some() || escape == "%r" => length,
            _ => value_length(rest, quoted),
        };
        self.put(escape);
        Some(length)
    }

    /// A value that shows by itself what it is.
    fn shaped(&self, rest: &[u8]) -> Option<(&'static str, usize)> {
        if let Some((length, milliseconds)) = time::shape(rest) {
            let first = !["%t", "%m", "%n"]
                .iter()
                .any(|time| self.seen.contains(time));
            let escape = match (first, milliseconds) {
                (_, true) => "%m",
                (true, false) => "%t",
                (false, false) => "%s",
            };
            return Some((escape, length));
        }
        if rest.starts_with(b"[local]") {
            return Some(("%h", 7));
        }
        if let Some(length) = port(rest) {
            return Some(("%r", length));
        }
        let word = rest
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || b".:/_".contains(byte))
            .count();
        let value = before(rest, word);
        let number = digits(value);
        if self.seen.contains(&"%p") && is_sqlstate(value) {
            return Some(("%e", 5));
        }
        let escape = match (number, behind(value, number).first()) {
            (10, Some(b'.')) if digits(behind(value, 11)) == 3 && word == 14 => "%n",
            (1.., Some(b'/')) => {
                let local = digits(behind(value, number.saturating_add(1)));
                return Some(("%v", number.saturating_add(local).saturating_add(1)));
            }
            (1.., None | Some(b':')) => return Some((self.number()?, number)),
            _ if is_session_id(value) => "%c",
            _ => return host(rest).map(|length| ("%h", length)),
        };
        Some((escape, word))
    }

    /// Which number comes next: the process id first, then the line of the session. Behind that,
    /// `[5-1]` is what guides tell to write for syslog's sake, its 1 a literal.
    fn number(&self) -> Option<&'static str> {
        let next = ["%p", "%l"].into_iter();
        let mut next = next.filter(|escape| !self.seen.contains(escape));
        next.next()
    }

    /// `user@database`, and words by themselves: a user, a database, an application.
    fn words(&mut self, rest: &[u8]) -> Option<usize> {
        if !self
            .seen
            .iter()
            .any(|seen| matches!(*seen, "%t" | "%m" | "%n" | "%p" | "%c"))
        {
            return None;
        }
        let length = value_length(rest, false);
        let value = before(rest, length);
        let begins = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_' || *byte >= 0x80;
        // `sql_error_code = 00000`
        let is_name = behind(rest, length).trim_ascii_start().starts_with(b"=");
        if is_name || value.contains(&b'=') || !value.first().is_some_and(begins) {
            return None;
        }
        if let Some(at) = value.iter().position(|byte| *byte == b'@') {
            if self.seen.contains(&"%u") || at == 0 {
                return None;
            }
            self.put("%u");
            self.source.push('@');
            self.put("%d");
            return Some(length);
        }
        let colon = value.contains(&b':');
        let next = ["%u", "%d", "%a"]
            .into_iter()
            .find(|escape| !self.seen.contains(escape))?;
        if colon {
            return None;
        }
        self.put(next);
        Some(length)
    }
}

/// Up to what may end a value.
fn value_length(text: &[u8], quoted: bool) -> usize {
    let ends: &[u8] = if quoted { b"\"" } else { b" ,;|)>\"'" };
    if text.starts_with(b"[unknown]") {
        return 9;
    }
    if text.starts_with(b"[local]") {
        return 7;
    }
    text.iter()
        .position(|byte| ends.contains(byte) || (*byte == b']' && !quoted))
        .unwrap_or(text.len())
}

/// `host(port)`
fn port(text: &[u8]) -> Option<usize> {
    let name = text
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || b".:-_%".contains(byte))
        .count();
    let port = digits(behind(text, name).strip_prefix(b"(")?);
    let closed = behind(text, name).get(port.saturating_add(1)) == Some(&b')');
    (name > 0 && port > 0 && closed).then_some(name.saturating_add(port).saturating_add(2))
}

/// An IP address.
fn host(text: &[u8]) -> Option<usize> {
    let length = text
        .iter()
        .take_while(|byte| byte.is_ascii_hexdigit() || b".:".contains(byte))
        .count();
    let address = std::str::from_utf8(before(text, length)).ok()?;
    let address = address.strip_suffix(':').unwrap_or(address);
    address
        .parse::<std::net::IpAddr>()
        .is_ok()
        .then_some(address.len())
}

/// Five characters, the last two digits.
fn is_sqlstate(value: &[u8]) -> bool {
    let fits = |byte: &u8| byte.is_ascii_digit() || byte.is_ascii_uppercase();
    let class = value.iter().all(fits) && value.len() == 5;
    class && digits(behind(value, 3)) == 2
}

fn is_session_id(value: &[u8]) -> bool {
    let mut halves = value.split(|byte| *byte == b'.');
    let hexadecimal = |half: Option<&[u8]>, lengths: std::ops::RangeInclusive<usize>| {
        half.is_some_and(|half| {
            lengths.contains(&half.len()) && half.iter().all(u8::is_ascii_hexdigit)
        })
    };
    hexadecimal(halves.next(), 7..=9)
        && hexadecimal(halves.next(), 1..=8)
        && halves.next().is_none()
}
