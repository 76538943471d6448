//! The names of a statement, each kept once, found again by hash.

use super::name::Parts;
use super::types::QualifiedName;
use crate::encoding::Encoding;

/// Names and where each was first met.
#[derive(Debug, Default)]
pub(crate) struct Names {
    names: Vec<QualifiedName>,
    typed: Index,
    read: Index,
}

/// What became of a name that was looked up.
pub(crate) enum Found {
    /// It has this index.
    At(usize),
    /// There are `limit` names already.
    Full,
    /// The server has no reading for it.
    Unreadable,
}

impl Names {
    pub(crate) fn get(&self, index: usize) -> Option<&QualifiedName> {
        self.names.get(index)
    }

    pub(crate) fn into_vec(self) -> Vec<QualifiedName> {
        self.names
    }

    /// The name the parts make, kept if it is new. Costs no allocation where it was typed the same
    /// way before.
    pub(crate) fn intern(
        &mut self,
        parts: &Parts,
        text: &[u8],
        encoding: Encoding,
        limit: usize,
    ) -> Found {
        if parts.is_overlong() {
            return Found::Unreadable;
        }
        let typed = parts.typed(text).fold(FNV_BASIS, fnv);
        let before = self.typed.candidates(typed).find(|index| {
            let known = self.names.get(*index);
            known.is_some_and(|name| parts.typed(text).eq(name.typed.bytes()))
        });
        if let Some(index) = before {
            return Found::At(index);
        }
        let Some(name) = parts.resolve(text, encoding) else {
            return Found::Unreadable;
        };
        let read = name.name.bytes().fold(FNV_BASIS, fnv);
        let same = self.read.candidates(read).find(|index| {
            self.names
                .get(*index)
                .is_some_and(|known| known.same(&name))
        });
        if let Some(index) = same {
            return Found::At(index);
        }
        if self.names.len() >= limit {
            return Found::Full;
        }
        self.names.push(name);
        self.typed.push(typed);
        self.read.push(read);
        Found::At(self.names.len().saturating_sub(1))
    }
}

/// Hashes of names in chains, by their lower bits.
#[derive(Debug)]
struct Index {
    heads: [u16; CHAINS],
    entries: Vec<(u32, u16)>,
}

/// Chains of an index; with `MAX_NAMES` names a chain has some 8.
const CHAINS: usize = 64;

/// The end of a chain.
const NO_ENTRY: u16 = u16::MAX;

impl Default for Index {
    fn default() -> Self {
        Self {
            heads: [NO_ENTRY; CHAINS],
            entries: Vec::new(),
        }
    }
}

impl Index {
    fn push(&mut self, hash: u32) {
        let entry = u16::try_from(self.entries.len()).unwrap_or(NO_ENTRY);
        if let Some(head) = self.heads.get_mut(chain(hash)) {
            self.entries.push((hash, std::mem::replace(head, entry)));
        }
    }

    /// Entries of this hash, the newest first.
    fn candidates(&self, hash: u32) -> impl Iterator<Item = usize> {
        let mut at = self.heads.get(chain(hash)).copied().unwrap_or(NO_ENTRY);
        std::iter::from_fn(move || {
            while let Some((known, next)) = self.entries.get(usize::from(at)) {
                let index = usize::from(std::mem::replace(&mut at, *next));
                if *known == hash {
                    return Some(index);
                }
            }
            None
        })
    }
}

fn chain(hash: u32) -> usize {
    usize::try_from(hash >> 8).unwrap_or(0) & (CHAINS.saturating_sub(1))
}

const FNV_BASIS: u32 = 0x811c_9dc5;

fn fnv(hash: u32, byte: u8) -> u32 {
    (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
}
