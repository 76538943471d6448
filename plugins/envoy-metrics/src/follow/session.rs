//! What a session says of itself once, and every line and span about it repeats.

use pg_wire::{ProtocolVersion, StartupMessage};
use proxy_host::Host;

/// Bytes kept of any of the names; more than PostgreSQL's own 63 only where the host gives them.
const MAX_NAME: usize = 256;
/// `TrafficDirection.INBOUND` of Envoy, the lowest byte of the property.
const INBOUND: u8 = 1;

/// Who talks to whom.
#[derive(Debug, Default)]
pub(crate) struct Session {
    pub(crate) user: Box<str>,
    pub(crate) database: Box<str>,
    pub(crate) application: Box<str>,
    pub(crate) version: Option<ProtocolVersion>,
    /// `address:port` of the client.
    pub(crate) client: Box<str>,
    /// `address:port` of the server.
    pub(crate) upstream: Box<str>,
    /// Who the client is by its certificate: the SPIFFE id, or else the subject.
    pub(crate) principal: Box<str>,
    /// The host calls the listener inbound: it stands at the server.
    pub(crate) inbound: bool,
}

impl Session {
    pub(crate) fn begin(&mut self, message: &StartupMessage<'_>) {
        self.user = name(message.user);
        self.database = name(message.database);
        self.application = name(message.application_name);
        self.version = Some(message.version);
    }

    pub(crate) fn renamed(&mut self, application: &[u8]) {
        self.application = name(application);
    }

    /// The server has let the session in: by now the host knows both ends.
    pub(crate) fn look_up(&mut self, host: &impl Host) {
        let property = |path: &[&str]| host.with_property(path, name).unwrap_or_default();
        self.client = property(&["source", "address"]);
        self.upstream = property(&["upstream", "address"]);
        let inbound = |direction: &[u8]| direction.first() == Some(&INBOUND);
        let direction = host.with_property(&["xds", "listener_direction"], inbound);
        self.inbound = direction.unwrap_or(false);
        self.principal = property(&["connection", "uri_san_peer_certificate"]);
        if self.principal.is_empty() {
            self.principal = property(&["connection", "subject_peer_certificate"]);
        }
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        [
            &self.user,
            &self.database,
            &self.application,
            &self.client,
            &self.upstream,
            &self.principal,
        ]
        .into_iter()
        .fold(0, |sum, text| sum.saturating_add(text.len()))
    }
}

fn name(bytes: &[u8]) -> Box<str> {
    String::from_utf8_lossy(bytes.get(..MAX_NAME).unwrap_or(bytes)).into()
}
