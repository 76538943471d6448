//! Root contexts and connections, and the way of a callback to the one it is for.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::{Action, Buffer, Host, HttpResponse};

/// A context as the host numbers it. Roots and connections share the numbers.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ContextId(u32);

impl From<u32> for ContextId {
    fn from(id: u32) -> Self {
        Self(id)
    }
}

impl From<ContextId> for u32 {
    fn from(id: ContextId) -> Self {
        id.0
    }
}

/// What a module does: one value per root context, that is per filter configuration and VM.
pub trait Plugin: Sized {
    /// What it keeps for one connection.
    type Connection;

    /// Reads the configuration; empty if the user gave none.
    ///
    /// # Errors
    /// One line for the user: what is wrong, and where. The host then refuses to start.
    fn configure(host: &impl Host, configuration: &[u8]) -> Result<Self, String>;

    /// The host made a context for a connection.
    fn connect(&mut self) -> Self::Connection;

    /// The connection was accepted, and no server has been chosen for it. `Pause` keeps the host
    /// from choosing one until [`Host::resume`].
    fn accept(&mut self, _host: &impl Host, _connection: &mut Self::Connection) -> Action {
        Action::Continue
    }

    /// `size` bytes from the client are in the host's buffer.
    fn downstream_data(
        &mut self,
        host: &impl Host,
        connection: &mut Self::Connection,
        size: usize,
        end_of_stream: bool,
    ) -> Action;

    /// `size` bytes from the server are in the host's buffer.
    fn upstream_data(
        &mut self,
        host: &impl Host,
        connection: &mut Self::Connection,
        size: usize,
        end_of_stream: bool,
    ) -> Action;

    /// The server closed its side.
    fn upstream_close(&mut self, host: &impl Host, connection: &mut Self::Connection);

    /// The connection is gone; `remaining` others of this root are left.
    fn disconnect(&mut self, host: &impl Host, connection: Self::Connection, remaining: usize);

    /// The root is gone or configured anew: its connections have ended, and this value is dropped.
    fn retire(&mut self, host: &impl Host);

    /// The timer asked for by `set_tick_period`.
    fn tick<'a>(
        &mut self,
        host: &impl Host,
        connections: impl Iterator<Item = (ContextId, &'a mut Self::Connection)>,
    ) where
        Self::Connection: 'a;

    /// The answer to an HTTP call of this plugin, or word that there will be none.
    fn http_response(&mut self, _host: &impl Host, _response: HttpResponse) {}
}

/// The host numbers contexts upwards from 1: the number is its own hash, spread by a multiplication.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, n: u32) {
        self.0 = (self.0 ^ u64::from(n))
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .rotate_left(32);
    }
}

type ById<T> = HashMap<ContextId, T, BuildHasherDefault<IdHasher>>;

/// A root context, before and after its configuration was read.
struct Root<P> {
    plugin: Option<P>,
    connections: usize,
}

/// A connection and the root it belongs to. Boxed: tables of ids stay small when they grow.
struct Entry<P: Plugin> {
    root: ContextId,
    connection: Box<P::Connection>,
}

/// Everything one VM holds.
pub struct Runtime<P: Plugin> {
    roots: ById<Root<P>>,
    entries: ById<Entry<P>>,
}

impl<P: Plugin> Default for Runtime<P> {
    fn default() -> Self {
        Self {
            roots: ById::default(),
            entries: ById::default(),
        }
    }
}

impl<P: Plugin> Runtime<P> {
    /// The host made a context: a root (`parent` 0) or a connection of one.
    pub fn create(&mut self, id: ContextId, parent: ContextId) {
        if parent.0 == 0 {
            self.roots.entry(id).or_insert(Root {
                plugin: None,
                connections: 0,
            });
            return;
        }
        let Some(root) = self.roots.get_mut(&parent) else {
            return;
        };
        let Some(plugin) = &mut root.plugin else {
            return;
        };
        let connection = Box::new(plugin.connect());
        if self
            .entries
            .insert(
                id,
                Entry {
                    root: parent,
                    connection,
                },
            )
            .is_none()
        {
            root.connections = root.connections.saturating_add(1);
        }
    }

    /// Reads the configuration of a root; `false` makes the host refuse it.
    pub fn configure(&mut self, host: &impl Host, root: ContextId, size: usize) -> bool {
        let read = |bytes: &[u8]| P::configure(host, bytes);
        let plugin = match size {
            0 => read(&[]),
            _ => host
                .with_buffer(Buffer::PluginConfiguration, 0, size, read)
                .unwrap_or_else(|error| Err(format!("cannot be read: status {}", error.0))),
        };
        match plugin {
            Ok(plugin) => {
                self.retire(host, root);
                self.roots.insert(
                    root,
                    Root {
                        plugin: Some(plugin),
                        connections: 0,
                    },
                );
                true
            }
            Err(reason) => {
                log::error!("pgmesh: configuration: {reason}");
                false
            }
        }
    }

    /// Ends a root. One that is configured again starts anew: what its connections hold belongs to
    /// the old plugin. Their bytes go on, unseen.
    fn retire(&mut self, host: &impl Host, root: ContextId) {
        let own = |entry: &Entry<P>| entry.root == root;
        let ids: Vec<_> = self
            .entries
            .iter()
            .filter(|(_, entry)| own(entry))
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            self.delete(host, id);
        }
        if let Some(mut plugin) = self.roots.remove(&root).and_then(|root| root.plugin) {
            plugin.retire(host);
        }
    }

    /// A connection was accepted.
    pub fn accept(&mut self, host: &impl Host, id: ContextId) -> Action {
        self.with(id, Action::Continue, |plugin, connection| {
            plugin.accept(host, connection)
        })
    }

    /// Bytes from the client.
    pub fn downstream_data(
        &mut self,
        host: &impl Host,
        id: ContextId,
        size: usize,
        end_of_stream: bool,
    ) -> Action {
        self.with(id, Action::Continue, |plugin, connection| {
            plugin.downstream_data(host, connection, size, end_of_stream)
        })
    }

    /// Bytes from the server.
    pub fn upstream_data(
        &mut self,
        host: &impl Host,
        id: ContextId,
        size: usize,
        end_of_stream: bool,
    ) -> Action {
        self.with(id, Action::Continue, |plugin, connection| {
            plugin.upstream_data(host, connection, size, end_of_stream)
        })
    }

    /// The server closed its side.
    pub fn upstream_close(&mut self, host: &impl Host, id: ContextId) {
        self.with(id, (), |plugin, connection| {
            plugin.upstream_close(host, connection)
        });
    }

    /// A context is gone: a connection, or a root with all that belongs to it.
    pub fn delete(&mut self, host: &impl Host, id: ContextId) {
        if let Some(Entry { root, connection }) = self.entries.remove(&id) {
            let Some(root) = self.roots.get_mut(&root) else {
                return;
            };
            root.connections = root.connections.saturating_sub(1);
            let remaining = root.connections;
            if let Some(plugin) = &mut root.plugin {
                plugin.disconnect(host, *connection, remaining);
            }
            if remaining == 0 {
                self.entries.shrink_to_fit();
            }
        } else {
            self.retire(host, id);
        }
    }

    /// The timer of a root.
    pub fn tick(&mut self, host: &impl Host, id: ContextId) {
        if let Some(plugin) = self
            .roots
            .get_mut(&id)
            .and_then(|root| root.plugin.as_mut())
        {
            let own = self
                .entries
                .iter_mut()
                .filter(|(_, entry)| entry.root == id);
            plugin.tick(host, own.map(|(id, entry)| (*id, &mut *entry.connection)));
        }
    }

    /// The answer to an HTTP call of a root.
    pub fn http_response(&mut self, host: &impl Host, root: ContextId, response: HttpResponse) {
        let root = self.roots.get_mut(&root);
        if let Some(plugin) = root.and_then(|root| root.plugin.as_mut()) {
            plugin.http_response(host, response);
        }
    }

    fn with<R>(
        &mut self,
        id: ContextId,
        unknown: R,
        callback: impl FnOnce(&mut P, &mut P::Connection) -> R,
    ) -> R {
        let Some(entry) = self.entries.get_mut(&id) else {
            return unknown;
        };
        let root = self.roots.get_mut(&entry.root);
        let Some(plugin) = root.and_then(|root| root.plugin.as_mut()) else {
            return unknown;
        };
        callback(plugin, &mut entry.connection)
    }
}
