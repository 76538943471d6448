//! Patterns of names: `*` stands for any characters, `?` for one, everything else for itself.

use std::net::IpAddr;

/// A pattern of a name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Glob(Vec<u8>);

impl Glob {
    /// # Errors
    /// What is wrong: a pattern that no name can match.
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        if pattern.is_empty() {
            return Err("expected a name or a glob, found nothing".to_owned());
        }
        if pattern.contains('\0') {
            return Err("no name holds a NUL".to_owned());
        }
        Ok(Self(pattern.as_bytes().to_vec()))
    }

    /// Whether it matches every name.
    #[must_use]
    pub(super) fn is_any(&self) -> bool {
        self.0.iter().all(|byte| *byte == b'*')
    }

    /// The one name it matches, if it is no pattern.
    #[must_use]
    pub(super) fn literal(&self) -> Option<&str> {
        let pattern = self.0.iter().any(|byte| matches!(byte, b'*' | b'?'));
        (!pattern)
            .then(|| std::str::from_utf8(&self.0).ok())
            .flatten()
    }

    /// Whether it matches `name`. Linear but for the number of stars: the last star is the only one
    /// that is gone back to.
    #[must_use]
    pub(super) fn matches(&self, name: &str) -> bool {
        let (pattern, name) = (self.0.as_slice(), name.as_bytes());
        let (mut p, mut n) = (0_usize, 0_usize);
        let mut retry: Option<(usize, usize)> = None;
        while n < name.len() {
            match pattern.get(p) {
                Some(b'*') => {
                    retry = Some((p, n));
                    p = p.saturating_add(1);
                }
                Some(b'?') => {
                    p = p.saturating_add(1);
                    n = n.saturating_add(1);
                }
                Some(byte) if name.get(n) == Some(byte) => {
                    p = p.saturating_add(1);
                    n = n.saturating_add(1);
                }
                _ => {
                    let Some((star, from)) = retry else {
                        return false;
                    };
                    let from = from.saturating_add(1);
                    retry = Some((star, from));
                    p = star.saturating_add(1);
                    n = from;
                }
            }
        }
        pattern
            .get(p..)
            .is_none_or(|rest| rest.iter().all(|byte| *byte == b'*'))
    }
}

/// A pattern of a relation's or function's name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct NameGlob {
    /// `None`: in any schema.
    pub(super) schema: Option<Glob>,
    /// Within the schema.
    pub(super) name: Glob,
}

impl NameGlob {
    /// `schema.name`, or `name` in any schema. Names are as the server keeps them: folded to lower
    /// case unless they were quoted.
    ///
    /// # Errors
    /// What is wrong.
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        match pattern.split('.').collect::<Vec<_>>().as_slice() {
            [name] => Ok(Self {
                schema: None,
                name: Glob::new(name)?,
            }),
            [schema, name] => {
                let schema = Glob::new(schema)?;
                Ok(Self {
                    schema: (!schema.is_any()).then_some(schema),
                    name: Glob::new(name)?,
                })
            }
            _ => Err("expected `schema.name` or `name`".to_owned()),
        }
    }
}

/// A network: an address and how many of its bits count.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Cidr {
    address: u128,
    /// Of 128.
    bits: u32,
}

/// An IPv4 address counts as the IPv6 address that stands for it (RFC 4291, 2.5.5.2), so that one
/// network covers both forms.
fn as_v6(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

impl Cidr {
    /// `10.0.0.0/8`, or one address.
    ///
    /// # Errors
    /// What is wrong.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let (address, bits) = text
            .split_once('/')
            .map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address
            .parse()
            .map_err(|_| format!("`{address}` is no IP address"))?;
        let width = if address.is_ipv4() { 32_u32 } else { 128 };
        let bits = match bits {
            None => width,
            Some(bits) => bits
                .parse()
                .ok()
                .filter(|bits| *bits <= width)
                .ok_or_else(|| format!("expected a prefix of 0 to {width} bits, found `{bits}`"))?,
        };
        let bits = bits.saturating_add(128_u32.saturating_sub(width));
        let cidr = Self {
            address: as_v6(address),
            bits,
        };
        if cidr.address & !cidr.mask() != 0 {
            return Err(format!("`{text}` has bits set behind its prefix"));
        }
        Ok(cidr)
    }

    fn mask(self) -> u128 {
        u128::MAX
            .checked_shl(128_u32.saturating_sub(self.bits))
            .unwrap_or(0)
    }

    /// Whether the address is in it.
    #[must_use]
    pub(super) fn contains(self, address: IpAddr) -> bool {
        as_v6(address) & self.mask() == self.address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_as_they_read() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*c", "abcbc", true),
            ("a*b", "abcbc", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("**a**", "bab", true),
            ("spiffe://*/ns/pay/*", "spiffe://td/ns/pay/sa/x", true),
            ("spiffe://*/ns/pay/*", "spiffe://td/ns/payroll/sa/x", false),
        ] {
            assert_eq!(
                Glob::new(pattern).unwrap().matches(name),
                expected,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn a_glob_with_many_stars_does_not_explode() {
        let glob = Glob::new(&"*a".repeat(1000)).unwrap();
        assert!(!glob.matches(&"a".repeat(999)));
    }

    #[test]
    fn networks_hold_their_addresses_in_both_forms() {
        let inside =
            |cidr: &str, address: &str| Cidr::new(cidr).unwrap().contains(address.parse().unwrap());
        assert!(inside("10.0.0.0/8", "10.255.0.1"));
        assert!(inside("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert!(!inside("10.0.0.0/8", "11.0.0.1"));
        assert!(inside("0.0.0.0/0", "1.2.3.4"));
        assert!(!inside("0.0.0.0/0", "2001:db8::1"));
        assert!(inside("::/0", "1.2.3.4"));
        assert!(inside("2001:db8::/32", "2001:db8::1"));
        assert!(inside("127.0.0.1", "127.0.0.1"));
    }

    #[test]
    fn bad_networks_say_why() {
        for (text, reason) in [
            ("10.0.0.1/8", "`10.0.0.1/8` has bits set behind its prefix"),
            (
                "10.0.0.0/33",
                "expected a prefix of 0 to 32 bits, found `33`",
            ),
            ("ten/8", "`ten` is no IP address"),
        ] {
            assert_eq!(Cidr::new(text), Err(reason.to_owned()));
        }
    }
}
