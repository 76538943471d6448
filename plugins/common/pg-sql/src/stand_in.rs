//! The identifier that stands in for a denied statement: what the policy filter writes and the server
//! refuses, and what the server's log then says of it.
//!
//! ```text
//! pgmesh_denied_<rule>_<code, number, fingerprint and seal in base 32>     at most 63 bytes
//! ```
//!
//! So whoever reads the log knows the statement by its fingerprint, which is that of the denied one, and
//! the rule by the beginning of its name.

use crate::Fingerprint;

/// Stands in front of every one.
pub const PREFIX: &str = "pgmesh_denied_";
/// Bytes of the rule's name that fit in an identifier (`NAMEDATALEN` less one) with the rest.
const MAX_LABEL: usize = 12;
/// Code, number, fingerprint, seal.
const PAYLOAD: usize = 2 + 4 + 8 + 8;
/// Characters of the payload in base 32.
const PAYLOAD_TEXT: usize = (PAYLOAD * 8).div_ceil(5);
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// What one holds besides the rule's name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StandIn {
    /// What the policy filter knows its reason by.
    pub code: u16,
    /// Counts those of a connection.
    pub number: u32,
    /// Of the denied statement; 0 if there was none.
    pub fingerprint: Fingerprint,
    /// Made of the others and a key of the connection.
    pub seal: u64,
}

impl StandIn {
    /// The identifier; `rule` is cut, and what cannot stand in an identifier becomes `_`.
    #[must_use]
    pub fn write(&self, rule: &str) -> String {
        let mut text = String::from(PREFIX);
        text.extend(rule.chars().take(MAX_LABEL).map(|character| {
            if character.is_ascii_alphanumeric() {
                character.to_ascii_lowercase()
            } else {
                '_'
            }
        }));
        text.push('_');
        base32(&self.payload(), &mut text);
        text
    }

    /// The first one in a text, and the rule as it is written there.
    #[must_use]
    pub fn find(text: &[u8]) -> Option<(&str, Self)> {
        let start = text
            .windows(PREFIX.len())
            .position(|window| window == PREFIX.as_bytes())?;
        let inside = text.get(start.checked_add(PREFIX.len())?..)?;
        let end = inside
            .iter()
            .position(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'_'))
            .unwrap_or(inside.len());
        let (rule, payload) = inside
            .get(..end)?
            .split_at_checked(end.checked_sub(PAYLOAD_TEXT)?)?;
        let rule = std::str::from_utf8(rule.strip_suffix(b"_")?).ok()?;
        (rule.len() <= MAX_LABEL).then_some((rule, Self::of_payload(&from_base32(payload)?)?))
    }

    fn payload(&self) -> [u8; PAYLOAD] {
        let mut payload = [0; PAYLOAD];
        let code = self.code.to_be_bytes().into_iter();
        let number = self.number.to_be_bytes();
        let fingerprint = self.fingerprint.0.to_be_bytes();
        let all = code.chain(number).chain(fingerprint);
        for (to, from) in payload.iter_mut().zip(all.chain(self.seal.to_be_bytes())) {
            *to = from;
        }
        payload
    }

    fn of_payload(payload: &[u8; PAYLOAD]) -> Option<Self> {
        let (code, rest) = payload.split_first_chunk::<2>()?;
        let (number, rest) = rest.split_first_chunk::<4>()?;
        let (fingerprint, rest) = rest.split_first_chunk::<8>()?;
        Some(Self {
            code: u16::from_be_bytes(*code),
            number: u32::from_be_bytes(*number),
            fingerprint: Fingerprint(u64::from_be_bytes(*fingerprint)),
            seal: u64::from_be_bytes(*rest.first_chunk()?),
        })
    }
}

fn base32(bytes: &[u8], out: &mut String) {
    let (mut bits, mut held) = (0_u32, 0_u32);
    let mut digit = |bits: u32| {
        let digit = ALPHABET.get((bits & 31) as usize);
        out.push(digit.copied().map_or('_', char::from));
    };
    for byte in bytes {
        bits = bits << 8 | u32::from(*byte);
        held = held.saturating_add(8);
        while held >= 5 {
            held = held.saturating_sub(5);
            digit(bits >> held);
        }
    }
    if held > 0 {
        digit(bits << 5_u32.saturating_sub(held));
    }
}

fn from_base32(text: &[u8]) -> Option<[u8; PAYLOAD]> {
    let mut bytes = [0; PAYLOAD];
    let mut out = bytes.iter_mut();
    let (mut bits, mut held) = (0_u32, 0_u32);
    for character in text {
        let digit = ALPHABET.iter().position(|digit| digit == character)?;
        bits = bits << 5 | u32::try_from(digit).ok()?;
        held = held.saturating_add(5);
        if held >= 8 {
            held = held.saturating_sub(8);
            if let Some(byte) = out.next() {
                *byte = u8::try_from(bits >> held & 0xff).ok()?;
            }
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAND_IN: StandIn = StandIn {
        code: 7,
        number: 3,
        fingerprint: Fingerprint(0x0123_4567_89ab_cdef),
        seal: 0xfedc_ba98_7654_3210,
    };

    #[test]
    fn one_is_an_identifier_and_found_where_the_server_quotes_it() {
        let text = STAND_IN.write("No DROP, ever and ever");
        assert!(text.len() <= 63, "{text}");
        let said = format!("syntax error at or near \"{text}\" at character 1");
        let found = StandIn::find(said.as_bytes());
        assert_eq!(found, Some(("no_drop__eve", STAND_IN)));
        assert_eq!(
            StandIn::find(STAND_IN.write("").as_bytes()),
            Some(("", STAND_IN))
        );
    }

    #[test]
    fn what_is_none_is_not_found() {
        for text in [
            "",
            "pgmesh_denied_",
            "pgmesh_denied_r_abc",
            "pgmesh_denied_a_very_long_name_of_a_rule_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "pgmesh_denied_r_000000000000000000000000000000000000",
        ] {
            assert_eq!(StandIn::find(text.as_bytes()), None, "{text}");
        }
    }
}
