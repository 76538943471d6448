//! What two texts have in common that differ in their data only: all but their literals and comments.
//!
//! Redaction, fingerprint and what drivers write for parameters are the same for texts of one shape, so
//! that what was said of one can be said of the next without reading it as carefully. For that a shape
//! is taken of plain texts only: of whatever is written oddly, or the server would refuse, there is none.

/// What stands for a string in a shape: no text that has a shape has such a byte outside of quotes.
pub const STRING: u8 = 1;
/// What stands for a number.
pub const NUMBER: u8 = 2;
/// What stands for a comment.
pub const COMMENT: u8 = 3;

/// The bytes below 0x40 and those below 0x80, one bit for each, that neither begin a literal, a comment or
/// a parameter, nor mean nothing to the server, whatever stands before them.
const PLAIN: [u64; 2] = [
    bits(b"\t\n\r !#&()*+,:;<=>?"),
    bits(b"@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_`abcdefghijklmnopqrstuvwxyz|~"),
];

const fn bits(bytes: &[u8]) -> u64 {
    let mut bits = 0;
    let mut rest = bytes;
    while let [byte, tail @ ..] = rest {
        bits |= 1_u64.wrapping_shl(*byte as u32);
        rest = tail;
    }
    bits
}

fn is_plain(byte: u8) -> bool {
    let [low, high] = PLAIN;
    let bits = if byte < 0x40 { low } else { high };
    byte < 0x80 && bits.wrapping_shr(u32::from(byte)) & 1 == 1
}

const HIGHS: u64 = repeated(0x80);

const fn repeated(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The high bit of each of eight bytes is set that may not be plain: all that are not, and few others.
#[inline(always)]
fn odd(word: u64) -> u64 {
    let low = word & !HIGHS;
    let from = |least: u8| low.wrapping_add(repeated(0x80_u8.wrapping_sub(least)));
    let quotes = from(b'"') ^ from(b'(');
    let digits = from(b'-') ^ from(b':');
    let backslash = from(b'\\') ^ from(b']');
    (!from(b' ') | quotes | digits | backslash | from(b'{') | word) & HIGHS
}

/// How many plain bytes there are in front of the first that is none. Reads eight at once: a host may check
/// each access of its own.
#[inline(always)]
fn plain_run(text: &[u8]) -> usize {
    let is_end = |at: usize| text.get(at).is_none_or(|byte| !is_plain(*byte));
    let end = |mut odd: u64, at: usize| {
        while odd != 0 {
            let place = at.wrapping_add(odd.trailing_zeros() as usize / 8);
            if is_end(place) {
                return Some(place);
            }
            odd &= odd.wrapping_sub(1);
        }
        None
    };
    let (words, rest) = text.as_chunks::<8>();
    let mut run = 0_usize;
    for word in words {
        if let Some(end) = end(odd(u64::from_le_bytes(*word)), run) {
            return end;
        }
        run = run.wrapping_add(8);
    }
    if let Some(last) = text.last_chunk() {
        // Those before the rest were looked at.
        let looked_at = 64_u32.wrapping_sub((rest.len() as u32).wrapping_mul(8));
        let odd = odd(u64::from_le_bytes(*last)).checked_shr(looked_at);
        return end(odd.unwrap_or(0), run).unwrap_or(text.len());
    }
    rest.iter().take_while(|byte| is_plain(**byte)).count()
}

/// Whether a byte may go on with a word.
#[inline(always)]
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Writes the shape of a text in the place of what is in `shape`; `false` if it has none. One that has
/// comments has one only if they are `dropped`.
///
/// ```
/// let mut shape = Vec::new();
/// assert!(pg_sql::shape(b"SELECT a FROM t WHERE b = 'x'", true, &mut shape));
/// assert_eq!(shape, b"SELECT a FROM t WHERE b = \x01");
/// ```
#[must_use]
pub fn shape(text: &[u8], dropped: bool, shape: &mut Vec<u8>) -> bool {
    shape.clear();
    let mut reader = Reader {
        text,
        at: 0,
        kept: 0,
        shape,
        is_ascii: true,
    };
    let read = reader.read(dropped).is_some();
    read && (reader.is_ascii || std::str::from_utf8(text).is_ok())
}

struct Reader<'t, 's> {
    text: &'t [u8],
    at: usize,
    /// Up to here the text is in the shape.
    kept: usize,
    shape: &'s mut Vec<u8>,
    is_ascii: bool,
}

impl Reader<'_, '_> {
    /// `None` as soon as something is not plain.
    #[inline(always)]
    fn read(&mut self, dropped: bool) -> Option<()> {
        loop {
            let rest = self.text.get(self.at..)?;
            self.at = self.at.wrapping_add(plain_run(rest));
            let Some(byte) = self.byte(self.at) else {
                break;
            };
            self.special(byte, dropped)?;
        }
        self.keep(self.text.len());
        Some(())
    }

    #[inline(always)]
    fn byte(&self, at: usize) -> Option<u8> {
        self.text.get(at).copied()
    }

    #[inline(always)]
    fn next(&self) -> Option<u8> {
        self.byte(self.at.wrapping_add(1))
    }

    #[inline(always)]
    fn keep(&mut self, end: usize) {
        let kept = self.text.get(self.kept..end).unwrap_or_default();
        self.shape.extend_from_slice(kept);
    }

    /// Puts a mark in the place of what stands before `end`.
    fn mark(&mut self, mark: u8, end: usize) {
        self.keep(self.at);
        self.shape.push(mark);
        self.kept = end;
        self.at = end;
    }

    fn special(&mut self, byte: u8, dropped: bool) -> Option<()> {
        let before = self.before(1);
        let in_word = before.is_some_and(is_word);
        match byte {
            b'0'..=b'9' if !in_word => return self.number(),
            b'0'..=b'9' => {}
            0x80.. => self.is_ascii = false,
            // `E'...'` and the like, `U&'...'`.
            b'\'' if self.is_prefixed(before) => return None,
            b'\'' => return self.string(),
            b'"' if before == Some(b'&') && self.is_letter(2, b"u") => return None,
            b'"' => return self.identifier(),
            b'$' if !in_word => return self.parameter(),
            b'-' if self.next() == Some(b'-') => return self.comment(dropped, Self::line_end),
            b'/' if self.next() == Some(b'*') => return self.comment(dropped, Self::block_end),
            b'-' | b'/' => {}
            b'.' if !self.is_digit(self.at.wrapping_add(1)) => {}
            // Some drivers' names of parameters are read without regard to tokens.
            b'%' if self.next() != Some(b'(') => {}
            _ => return None,
        }
        self.at = self.at.wrapping_add(1);
        Some(())
    }

    /// The byte so many places before this one. What was marked is none: a literal may run into nothing.
    fn before(&self, places: usize) -> Option<u8> {
        let at = self.at.checked_sub(places).filter(|at| *at >= self.kept)?;
        self.byte(at)
    }

    /// Whether a word of one letter, and of these, stands so many places before this one.
    fn is_letter(&self, places: usize, letters: &[u8]) -> bool {
        let letter = self.before(places).map(|byte| byte.to_ascii_lowercase());
        let alone = !self
            .before(places.wrapping_add(1))
            .is_some_and(|byte| is_word(byte) || byte == b'$');
        alone && letter.is_some_and(|letter| letters.contains(&letter))
    }

    fn is_prefixed(&self, before: Option<u8>) -> bool {
        match before {
            Some(b'&') => self.is_letter(2, b"u"),
            _ => self.is_letter(1, b"benx"),
        }
    }

    fn is_digit(&self, at: usize) -> bool {
        self.byte(at).is_some_and(|byte| byte.is_ascii_digit())
    }

    fn behind_digits(&self, mut at: usize) -> usize {
        while self.is_digit(at) {
            at = at.wrapping_add(1);
        }
        at
    }

    /// `42`, `1.5`: with anything else behind it, it may be another form.
    fn number(&mut self) -> Option<()> {
        let mut end = self.behind_digits(self.at);
        if self.byte(end) == Some(b'.') && self.is_digit(end.wrapping_add(1)) {
            end = self.behind_digits(end.wrapping_add(1));
        }
        let next = self.byte(end).unwrap_or(b' ');
        if is_word(next) || matches!(next, b'.' | b'$') {
            return None;
        }
        self.mark(NUMBER, end);
        Some(())
    }

    /// `'...'`, none of which may have been closed too early, nor goes on behind blanks.
    fn string(&mut self) -> Option<()> {
        let mut end = self.at.wrapping_add(1);
        loop {
            end = self.find(end, b'\'')?;
            let before = self.byte(end.wrapping_sub(1));
            end = end.wrapping_add(1);
            match self.byte(end) {
                Some(b'\'') => end = end.wrapping_add(1),
                _ if before == Some(b'\\') => return None,
                Some(b'$') => return None,
                Some(next) if is_word(next) => return None,
                Some(_) => break,
                None => break,
            }
        }
        let mut behind = end;
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.byte(behind) {
            behind = behind.wrapping_add(1);
        }
        let goes_on = match self.byte(behind) {
            Some(b'\'') => true,
            Some(b'-') => self.byte(behind.wrapping_add(1)) == Some(b'-'),
            Some(0x0b | 0x0c) => true,
            _ => false,
        };
        if goes_on {
            return None;
        }
        self.mark(STRING, end);
        Some(())
    }

    /// `"..."`, which stays.
    fn identifier(&mut self) -> Option<()> {
        let start = self.at.wrapping_add(1);
        let mut end = start;
        loop {
            end = self.find(end, b'"')?;
            if self.byte(end.wrapping_add(1)) != Some(b'"') {
                break;
            }
            end = end.wrapping_add(2);
        }
        let inside = self.text.get(start..end)?;
        self.is_ascii &= inside.is_ascii();
        self.at = end.wrapping_add(1);
        (!inside.contains(&0) && end > start).then_some(())
    }

    /// `$1`, which stays; a `$` means something else before anything but digits.
    fn parameter(&mut self) -> Option<()> {
        let digits = self.at.wrapping_add(1);
        let end = self.behind_digits(digits);
        let next = self.byte(end).unwrap_or(b' ');
        let ends = !is_word(next) && next != b'$';
        self.at = end;
        (end > digits && ends).then_some(())
    }

    fn comment(&mut self, dropped: bool, end: fn(&Self, usize) -> Option<usize>) -> Option<()> {
        let end = end(self, self.at.wrapping_add(2)).filter(|_| dropped)?;
        let inside = self.text.get(self.at..end)?;
        self.is_ascii &= inside.is_ascii();
        if inside.contains(&0) {
            return None;
        }
        self.mark(COMMENT, end);
        Some(())
    }

    /// Where a comment ends that goes on to the end of its line.
    fn line_end(&self, at: usize) -> Option<usize> {
        let rest = self.text.get(at..)?;
        let length = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        Some(at.wrapping_add(length.unwrap_or(rest.len())))
    }

    /// Where a comment ends that has none inside of it.
    fn block_end(&self, at: usize) -> Option<usize> {
        let rest = self.text.get(at..)?;
        let length = rest.windows(2).position(|pair| pair == b"*/")?;
        let inside = rest.get(..length)?;
        let is_flat = !inside.windows(2).any(|pair| pair == b"/*") && !inside.ends_with(b"/");
        is_flat.then_some(at.wrapping_add(length).wrapping_add(2))
    }

    /// The next `wanted` in a literal or name, in which there is no NUL.
    #[inline(always)]
    fn find(&mut self, mut at: usize, wanted: u8) -> Option<usize> {
        while let Some(byte) = self.byte(at) {
            if byte == wanted {
                return Some(at);
            }
            if byte == 0 {
                return None;
            }
            self.is_ascii &= byte < 0x80;
            at = at.wrapping_add(1);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_bytes_are_counted_wherever_the_others_stand() {
        for byte in 0..=u8::MAX {
            for length in 1..20 {
                for at in 0..length {
                    let mut text = vec![b'a'; length];
                    text[at] = byte;
                    let expected = if is_plain(byte) { length } else { at };
                    assert_eq!(plain_run(&text), expected, "{byte} at {at} of {length}");
                }
            }
        }
    }
}
