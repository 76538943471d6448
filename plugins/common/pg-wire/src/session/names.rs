//! Prepared statements and portals by name.
//!
//! Names are kept as hashes: a session needs to know which statement a portal runs, never what it
//! is called. Two names that hash alike would be taken for one, which costs a wrong label.

use super::queue::Key;
use super::text::Source;
use crate::Nanos;

/// What a prepared statement takes.
pub(crate) const PREPARED_BYTES: usize = size_of::<(Key, Source)>();
/// What a portal takes.
pub(crate) const PORTAL_BYTES: usize = size_of::<Portal>();

/// The unnamed statement or portal.
pub(super) const UNNAMED: Key = 0;

/// The server compares this many bytes of a name (`NAMEDATALEN` less the zero).
const SIGNIFICANT: usize = 63;

/// Stands for a name: FNV-1a of what the server compares. Only the empty name is [`UNNAMED`].
pub(super) fn key(name: &[u8]) -> Key {
    if name.is_empty() {
        return UNNAMED;
    }
    let name = name.get(..SIGNIFICANT).unwrap_or(name);
    let hash = name.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash.max(1)
}

/// Statements that ParseComplete or SQL PREPARE made, until something drops them (trap 11).
#[derive(Debug, Default)]
pub(super) struct Prepared {
    unnamed: Option<Source>,
    /// Sorted by key; at most [`Limits::prepared`](crate::Limits::prepared).
    named: Vec<(Key, Source)>,
}

impl Prepared {
    /// Named statements.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.named.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn get(&self, statement: Key) -> Option<Source> {
        if statement == UNNAMED {
            return self.unnamed;
        }
        let index = self
            .named
            .binary_search_by_key(&statement, |(key, _)| *key)
            .ok()?;
        self.named.get(index).map(|(_, source)| *source)
    }

    /// Beyond the limit, new names are not taken in: their statements are known by tag only.
    pub(super) fn insert(&mut self, statement: Key, source: Source, limit: u16) {
        if statement == UNNAMED {
            self.unnamed = Some(source);
            return;
        }
        match self.named.binary_search_by_key(&statement, |(key, _)| *key) {
            Ok(index) => {
                if let Some(entry) = self.named.get_mut(index) {
                    entry.1 = source;
                }
            }
            Err(index) if self.named.len() < usize::from(limit) => {
                self.named.insert(index, (statement, source));
            }
            Err(_) => {}
        }
    }

    pub(super) fn remove(&mut self, statement: Key) {
        if statement == UNNAMED {
            self.unnamed = None;
        } else if let Ok(index) = self.named.binary_search_by_key(&statement, |(key, _)| *key) {
            self.named.remove(index);
            shrink(&mut self.named);
        }
    }

    /// DEALLOCATE ALL, DISCARD ALL.
    pub(super) fn clear_named(&mut self) {
        self.named = Vec::new();
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.named.capacity().saturating_mul(PREPARED_BYTES)
    }
}

/// What BindComplete made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Portal {
    pub(super) key: Key,
    pub(super) source: Source,
    /// What has run of it, if its last Execute ended at the row limit.
    pub(super) suspended: Option<Suspended>,
}

/// A statement that PortalSuspended interrupted (trap 12).
#[derive(Clone, Copy, Debug)]
pub(super) struct Suspended {
    pub(super) data_rows: u64,
    pub(super) received: Nanos,
    pub(super) started: Nanos,
    pub(super) first_row: Option<Nanos>,
    /// When the last of its rows so far had been sent.
    pub(super) finished: Nanos,
}

/// The portals of the running transaction.
#[derive(Debug, Default)]
pub(super) struct Portals {
    unnamed: Option<Portal>,
    /// At most [`Limits::portals`](crate::Limits::portals).
    named: Vec<Portal>,
}

impl Portals {
    pub(super) fn get_mut(&mut self, portal: Key) -> Option<&mut Portal> {
        if portal == UNNAMED {
            return self.unnamed.as_mut();
        }
        self.named
            .iter_mut()
            .find(|candidate| candidate.key == portal)
    }

    /// Puts a portal in the place of one of its name, which is returned.
    pub(super) fn insert(&mut self, portal: Portal, limit: u16) -> Option<Portal> {
        if let Some(place) = self.get_mut(portal.key) {
            return Some(std::mem::replace(place, portal));
        }
        if portal.key == UNNAMED {
            self.unnamed = Some(portal);
        } else if self.named.len() < usize::from(limit) {
            self.named.push(portal);
        }
        None
    }

    pub(super) fn remove(&mut self, portal: Key) -> Option<Portal> {
        if portal == UNNAMED {
            return self.unnamed.take();
        }
        let index = self
            .named
            .iter()
            .position(|candidate| candidate.key == portal)?;
        let portal = self.named.swap_remove(index);
        shrink(&mut self.named);
        Some(portal)
    }

    /// Any one of them, to empty the whole.
    pub(super) fn pop(&mut self) -> Option<Portal> {
        let portal = self.unnamed.take().or_else(|| self.named.pop());
        shrink(&mut self.named);
        portal
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.named.capacity().saturating_mul(PORTAL_BYTES)
    }
}

/// Gives room back that names once took.
fn shrink<T>(names: &mut Vec<T>) {
    if names.capacity() > names.len().saturating_mul(4) {
        names.shrink_to(names.len().saturating_mul(2));
    }
}
