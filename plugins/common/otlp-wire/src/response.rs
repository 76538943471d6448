//! Reads `ExportTraceServiceResponse` and its likes, which are the same bytes for every signal.

/// How many items of an accepted export the collector has rejected (`partial_success`); 0 where the
/// answer does not say, or is no such message.
#[must_use]
pub fn rejected(body: &[u8]) -> u64 {
    let partial = find(body, 1).and_then(Field::message);
    let count = partial.and_then(|partial| find(partial, 1));
    match count {
        Some(Field::Number(count)) => count,
        _ => 0,
    }
}

enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Fixed,
}

impl<'a> Field<'a> {
    fn message(self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// The first field with this number.
fn find(message: &[u8], wanted: u64) -> Option<Field<'_>> {
    let mut rest = message;
    while !rest.is_empty() {
        let tag = varint(&mut rest)?;
        let field = match tag & 7 {
            0 => Field::Number(varint(&mut rest)?),
            1 => fixed(&mut rest, 8)?,
            2 => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                let (bytes, behind) = rest.split_at_checked(length)?;
                rest = behind;
                Field::Bytes(bytes)
            }
            5 => fixed(&mut rest, 4)?,
            _ => return None,
        };
        if tag >> 3 == wanted {
            return Some(field);
        }
    }
    None
}

fn fixed<'a>(rest: &mut &'a [u8], size: usize) -> Option<Field<'a>> {
    *rest = rest.get(size..)?;
    Some(Field::Fixed)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::rejected;

    #[test]
    fn a_partial_success_tells_how_many_were_rejected() {
        assert_eq!(rejected(b"\x0a\x07\x08\x96\x01\x12\x02no"), 150);
        assert_eq!(rejected(b""), 0);
        assert_eq!(rejected(b"\x0a\0"), 0);
    }

    #[test]
    fn any_bytes_are_an_answer_that_says_nothing() {
        for garbage in [
            &b"<html>"[..],
            b"\x0a\xff\xff\xff\xff\x0f",
            b"\xff",
            b"\x0b",
            b"{}",
        ] {
            assert_eq!(rejected(garbage), 0);
        }
    }
}
