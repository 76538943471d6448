//! Guessing `log_line_prefix` from one line: a time is a time, `[123]` a process id, `user=bob` says
//! what it is. A guess that is wrong fits no other line, and is thrown away there. What could be one thing
//! as well as another (a word, one of several numbers) is read over.

use crate::prefix::Prefix;
use crate::scan::{before, behind, digits, find_byte};
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
        time: None,
        number: None,
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
    let prefix = Prefix::guessed(&guess.whole()).ok()?;
    prefix.fits(line).then_some(prefix)
}

/// A prefix as far as it is written.
struct Guess<'l> {
    source: String,
    /// Escapes in it.
    seen: Vec<&'static str>,
    /// The letters just read: the name of the value that follows, maybe.
    name: String,
    /// The first time without milliseconds, and where it stands in the source.
    time: Option<(usize, &'l [u8])>,
    /// Where the only number that nothing tells stands; how many there are, then.
    number: Option<(usize, usize)>,
}

impl<'l> Guess<'l> {
    /// Who prints one number prints the process id.
    fn whole(mut self) -> String {
        if let Some((at, 1)) = self.number
            && !self.seen.contains(&"%p")
        {
            self.source.replace_range(at..at.saturating_add(2), "%p");
        }
        self.source
    }

    /// Reads one value, or one byte that stands for itself; returns how long it is.
    fn value(&mut self, rest: &'l [u8]) -> usize {
        if let Some(length) = self.named(rest) {
            return length;
        }
        let boundary = !self.source.ends_with(|last: char| last.is_alphanumeric());
        if boundary && let Some((length, milliseconds)) = time::shape(rest) {
            self.time(before(rest, length), milliseconds);
            return length;
        }
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
        if escape == "%#" {
            let (_, count) = self.number.unwrap_or_default();
            self.number = Some((self.source.len(), count.saturating_add(1)));
        }
        let again = escape == "%h" && self.seen.contains(&escape);
        self.source.push_str(if again { "%?" } else { escape });
        self.seen.push(escape);
        self.name.clear();
    }

    /// A time: when the session started, if another is later or more precise.
    fn time(&mut self, text: &'l [u8], milliseconds: bool) {
        let precise = self.seen.iter().any(|seen| matches!(*seen, "%m" | "%n"));
        let escape = match self.time {
            Some((at, first)) if milliseconds || first > text => {
                self.source.replace_range(at..at.saturating_add(2), "%s");
                self.time = None;
                if milliseconds { "%m" } else { "%t" }
            }
            _ if milliseconds => "%m",
            None if !precise => {
                self.time = Some((self.source.len(), text));
                "%t"
            }
            _ => "%s",
        };
        self.put(escape);
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
        let length = match (time::shape(rest), port(rest)) {
            (Some((length, _)), _) => length,
            (None, Some(length)) if escape == "%r" => length,
            _ => value_length(rest, quoted),
        };
        self.put(escape);
        Some(length)
    }

    /// A value that shows by itself what it is.
    fn shaped(&self, rest: &[u8]) -> Option<(&'static str, usize)> {
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
        if is_sqlstate(value) {
            return Some(("%e", 5));
        }
        if let Some(length) = virtual_transaction(rest) {
            return Some(("%v", length));
        }
        let escape = match (number, behind(value, number).first()) {
            (10, Some(b'.')) if digits(behind(value, 11)) == 3 && word == 14 => "%n",
            (1.., None | Some(b':' | b'/')) => return Some((self.number(), number)),
            _ if is_session_id(value) => "%c",
            _ => return host(rest).map(|length| ("%h", length)),
        };
        Some((escape, word))
    }

    /// Which number comes next: in brackets the process id, then maybe the line of the session. Behind
    /// that, `[5-1]` is what guides tell to write for syslog's sake, its 1 a literal.
    fn number(&self) -> &'static str {
        let known = |escape| self.seen.contains(&escape);
        let bracketed = self.source.ends_with('[');
        let follows = self.source.ends_with("[%p-") || self.source.ends_with("[%p:");
        match (known("%p"), known("%l")) {
            (false, _) if bracketed => "%p",
            (true, false) if bracketed || follows => "%l",
            _ => "%#",
        }
    }

    /// `user@database`, and words by themselves: a user as well as a database or an application.
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
        let length = find_byte(value, b'/').unwrap_or(length);
        let value = before(value, length);
        let begins = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_' || *byte >= 0x80;
        // `sql_error_code = 00000`
        let is_name = behind(rest, length).trim_ascii_start().starts_with(b"=");
        if is_name || value.contains(&b'=') || !value.first().is_some_and(begins) {
            return None;
        }
        if value.iter().skip(1).any(|byte| *byte == b'@') {
            if self.seen.contains(&"%u") {
                return None;
            }
            self.put("%u");
            self.source.push('@');
            self.put("%d");
            return Some(length);
        }
        if value.contains(&b':') {
            return None;
        }
        self.put("%?");
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

/// Five characters, the last two digits. Some are numbers, which could be anything.
fn is_sqlstate(value: &[u8]) -> bool {
    let fits = |byte: &u8| byte.is_ascii_digit() || byte.is_ascii_uppercase();
    let class = value.iter().all(fits) && value.len() == 5;
    class && digits(behind(value, 3)) == 2 && (digits(value) < 5 || value == b"00000")
}

/// `3/17`, and no more of it.
fn virtual_transaction(text: &[u8]) -> Option<usize> {
    let backend = digits(text);
    let local = digits(behind(text, backend).strip_prefix(b"/")?);
    let length = backend.saturating_add(local).saturating_add(1);
    let next = behind(text, length).first();
    let goes_on =
        next.is_some_and(|next| next.is_ascii_alphanumeric() || matches!(next, b'-' | b'/'));
    (backend > 0 && local > 0 && !goes_on).then_some(length)
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
