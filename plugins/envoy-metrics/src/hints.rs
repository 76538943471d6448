//! What the log says, once per cause and worker, when a connection cannot be decoded: what
//! happened, and what to change so that pgmesh can see.

use pg_wire::OpaqueReason;

use crate::catalog;

/// What to change for each kind of connection that is not PostgreSQL in plain text.
const ADVICE: &[(OpaqueReason, &str)] = &[
    (
        OpaqueReason::Tls,
        "the server accepted TLS inside the connection, which hides the session from the proxy: \
         leave encryption to the mesh (sslmode=disable in the client, or ssl=off in the server), \
         or terminate TLS in front of this filter",
    ),
    (
        OpaqueReason::Gss,
        "the server accepted GSSAPI encryption, which hides the session from the proxy: set \
         gssencmode=disable in the client and leave encryption to the mesh",
    ),
    (
        OpaqueReason::DirectTls,
        "the client began with TLS (sslnegotiation=direct): terminate it in Envoy with a TLS \
         transport socket and ALPN `postgresql` on this listener",
    ),
    (
        OpaqueReason::NotPostgresql,
        "the first bytes are no PostgreSQL start-up packet: does this filter stand on a port that \
         carries another protocol?",
    ),
];

/// Which causes have been told.
#[derive(Default)]
pub(crate) struct Hints {
    told: u32,
}

impl Hints {
    /// Says it, the first time.
    pub(crate) fn tell(&mut self, reason: OpaqueReason) {
        let index = catalog::opaque_reason(reason);
        let bit = u32::try_from(index)
            .ok()
            .and_then(|index| 1u32.checked_shl(index))
            .unwrap_or(0);
        if self.told & bit != 0 {
            return;
        }
        self.told |= bit;
        let name = catalog::Dimension::OpaqueReason.value(index);
        match ADVICE.iter().find(|(cause, _)| *cause == reason) {
            Some((_, advice)) => log::warn!("pgmesh: connection not decoded ({name}): {advice}"),
            None => log::warn!(
                "pgmesh: connection no longer decoded ({name}): from here on it cannot be \
                 followed; its bytes pass on. If the client and server are PostgreSQL's, \
                 please report it"
            ),
        }
    }
}
