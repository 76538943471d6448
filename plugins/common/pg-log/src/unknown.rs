//! A text of no pattern, without what may be data in it: whatever stands in quotes, whatever marks the
//! language quotes with, and on request what stands in parentheses, numbers, and what follows a colon.
//! A quote that is not closed reaches to the end: what cannot be read is data.

use crate::scan::behind;

/// What is taken out besides what stands in quotes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Doubt {
    /// What stands in parentheses.
    pub(crate) brackets: bool,
    /// Numbers, and what follows a colon unless it is the system's word for an error.
    pub(crate) values: bool,
}

/// Nothing but what stands in quotes.
pub(crate) const QUOTES_ONLY: Doubt = Doubt {
    brackets: false,
    values: false,
};

/// What the server may have said in words of its own that are not known.
pub(crate) const MESSAGE: Doubt = Doubt {
    brackets: false,
    values: true,
};

/// The same below a message, where rows and keys stand in parentheses.
pub(crate) const COMPANION: Doubt = Doubt {
    brackets: true,
    values: true,
};

/// Marks that PostgreSQL's translations quote with, and what closes each. A mark that closes one
/// language's quotes opens another's. The doubled ones stand for those that a character set has not.
const QUOTES: [(&str, &[&str]); 14] = [
    ("\"", &["\""]),
    ("'", &["'"]),
    ("»", &["«"]),
    ("«", &["»"]),
    ("„", &["“", "”"]),
    ("“", &["”"]),
    ("‚", &["‘", "’"]),
    ("‘", &["’"]),
    (">>", &["<<"]),
    ("<<", &[">>"]),
    ("‹", &["›"]),
    ("›", &["‹"]),
    ("「", &["」"]),
    ("『", &["』"]),
];

/// Colons that a value may stand behind.
const COLONS: [&str; 2] = [": ", "："];

/// What the C library says of an error, as the server puts it behind a colon.
const ERRORS: [&[u8]; 24] = [
    b"Address already in use",
    b"Bad address",
    b"Broken pipe",
    b"Cannot allocate memory",
    b"Connection refused",
    b"Connection reset by peer",
    b"Connection timed out",
    b"Device or resource busy",
    b"Directory not empty",
    b"Disk quota exceeded",
    b"File exists",
    b"File too large",
    b"Input/output error",
    b"Interrupted system call",
    b"Invalid argument",
    b"Is a directory",
    b"No route to host",
    b"No space left on device",
    b"No such file or directory",
    b"Not a directory",
    b"Operation not permitted",
    b"Permission denied",
    b"Read-only file system",
    b"Too many open files",
];

/// A piece of a text that goes.
struct Gap {
    /// Bytes before it that stay: the mark that opens a quote.
    kept: usize,
    /// Bytes that go; `None` for all that follow.
    length: Option<usize>,
}

/// Writes a line that is not known. Returns whether all of its quotes were closed.
pub(crate) fn write(text: &[u8], doubt: Doubt, out: &mut Vec<u8>) -> bool {
    let mut at = 0_usize;
    let mut copied = 0_usize;
    while let Some(byte) = text.get(at) {
        let Some(gap) = gap(text, at, *byte, doubt) else {
            at = at.saturating_add(1);
            continue;
        };
        let from = at.saturating_add(gap.kept);
        out.extend_from_slice(text.get(copied..from).unwrap_or_default());
        out.push(b'?');
        let Some(length) = gap.length else {
            return false;
        };
        copied = from.saturating_add(length);
        // What closes a quote does not open the next.
        at = copied.saturating_add(usize::from(gap.kept > 0));
        while text.get(at).is_some_and(|byte| (0x80..0xc0).contains(byte)) {
            at = at.saturating_add(1);
        }
    }
    out.extend_from_slice(behind(text, copied));
    true
}

/// What goes at a place of a text.
fn gap(text: &[u8], at: usize, byte: u8, doubt: Doubt) -> Option<Gap> {
    let rest = behind(text, at);
    let value = match byte {
        b'0'..=b'9' if doubt.values => number(text, at),
        b':' | 0xef if doubt.values => value_behind_colon(rest),
        _ => None,
    };
    if value.is_some() || !matches!(byte, b'"' | b'\'' | b'(' | b'<' | b'>' | 0x80..) {
        return value;
    }
    let (length, closes) = opening(text, at, doubt)?;
    Some(Gap {
        kept: length,
        length: closing(behind(rest, length), closes),
    })
}

/// A number that is a word of its own, sign and fraction and all.
fn number(text: &[u8], at: usize) -> Option<Gap> {
    let before = at.checked_sub(1).and_then(|before| text.get(before));
    let in_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | 0x80..);
    if before.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') {
        return None;
    }
    let mut length = 0_usize;
    let rest = behind(text, at);
    while let Some(byte) = rest.get(length) {
        let next = rest.get(length.saturating_add(1));
        let joins = matches!(byte, b'.' | b',' | b':' | b'-' | b'+' | b'/')
            && next.is_some_and(u8::is_ascii_alphanumeric);
        if !in_word(byte) && !joins {
            break;
        }
        length = length.saturating_add(1);
    }
    Some(Gap {
        kept: 0,
        length: Some(length),
    })
}

/// All that follows a colon, unless it is the system's.
fn value_behind_colon(rest: &[u8]) -> Option<Gap> {
    let mut colons = COLONS.iter();
    let colon = colons.find(|colon| rest.starts_with(colon.as_bytes()))?;
    let value = behind(rest, colon.len());
    if value.is_empty() || ERRORS.contains(&value) {
        return None;
    }
    Some(Gap {
        kept: colon.len(),
        length: Some(value.len()),
    })
}

/// The mark that opens a quote at `at`: its length, and what closes it. An apostrophe behind a letter
/// is one, but behind the letter of a string constant.
fn opening(text: &[u8], at: usize, doubt: Doubt) -> Option<(usize, &'static [&'static str])> {
    let rest = behind(text, at);
    if rest.starts_with(b"(") {
        return doubt.brackets.then_some((1, &[")"]));
    }
    let last = |back: usize| at.checked_sub(back).and_then(|before| text.get(before));
    if rest.starts_with(b"'") && last(1).is_some_and(u8::is_ascii_alphanumeric) {
        let constant = matches!(last(1), Some(b'E' | b'B' | b'X' | b'N'));
        if !constant || last(2).is_some_and(u8::is_ascii_alphanumeric) {
            return None;
        }
    }
    QUOTES
        .iter()
        .find(|(mark, _)| rest.starts_with(mark.as_bytes()))
        .map(|(mark, closes)| (mark.len(), *closes))
}

/// Where the last mark stands that may close a quote: values have quotes in them, so the last one
/// wins over the first.
fn closing(text: &[u8], closes: &[&str]) -> Option<usize> {
    let last = |close: &&str| {
        let close = close.as_bytes();
        (0..text.len())
            .rev()
            .find(|at| behind(text, *at).starts_with(close))
    };
    closes.iter().filter_map(last).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str, doubt: Doubt) -> String {
        let mut out = Vec::new();
        write(text.as_bytes(), doubt, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn nothing_in_quotes_is_left() {
        for (text, expected) in [
            ("value \"a\"\"b\" odd", "value \"?\" odd"),
            ("ungültig: »abc«", "ungültig: »?«"),
            ("invalide : « abc »", "invalide : «?»"),
            ("ung?ltig: >>abc<< < 3", "ung?ltig: >>?<< < 3"),
            ("no v?lido: << abc >>", "no v?lido: <<?>>"),
            ("can't do that", "can't do that"),
            ("open \"quote to the end", "open \"?"),
            ("无效：「abc」", "无效：「?」"),
            ("value E'abc' odd", "value E'?' odd"),
            ("‚abc‘ and ‹d›", "‚?‘ and ‹?›"),
        ] {
            assert_eq!(written(text, QUOTES_ONLY), expected);
        }
        assert_eq!(written("行 (1, 'x') 含", COMPANION), "行 (?) 含");
    }

    #[test]
    fn numbers_and_what_follows_a_colon_go_where_they_may_be_data() {
        for (text, expected) in [
            (
                "value 46114 of int4 at 0x1f is -3.5",
                "value ? of int4 at ? is -?",
            ),
            ("lsn 0/1529E08, at 03:34:37.", "lsn ?, at ?."),
            ("odd value: abc", "odd value: ?"),
            ("无效的值：abc", "无效的值：?"),
            (
                "could not link \"a\": No such file or directory",
                "could not link \"?\": No such file or directory",
            ),
            ("ends with a colon: ", "ends with a colon: "),
        ] {
            assert_eq!(written(text, MESSAGE), expected);
        }
    }
}
