//! Cancelling: a CancelRequest comes on a connection of its own and says of its session nothing but
//! the key, so that neither a route nor a balancer can tell which server that is at.
//!
//! The key of each BackendKeyData is noted with the server it came from, in the host's shared data,
//! since the CancelRequest may come to another worker. It is how `cancel: strict` knows its sessions,
//! and how a `cancel_cluster` of Envoy's type ORIGINAL_DST leads to the very server of the session.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use proxy_host::{Host, HostError};

use crate::policy::Policy;
use crate::routes::{CLUSTER_STATE, set_state};
use crate::shares::{Key, Refused, Shares, split};

/// Table of the shared data with the sessions that can be cancelled.
pub const TABLE: &str = "k";

/// The filter state that a cluster of type ORIGINAL_DST connects to
/// (`source/extensions/clusters/original_dst/original_dst_cluster.cc`).
const ADDRESS_STATE: &str = "envoy.network.transport_socket.original_dst_address";

/// Bytes of a note.
const NOTE: usize = 30;

/// A session that can be cancelled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Session {
    key: u64,
    vm: u32,
    /// Where its server is, unless the host does not know an address of it.
    pub server: Option<SocketAddr>,
}

/// Whether a policy wants sessions to be noted.
#[must_use]
pub fn are_noted(policy: &Policy) -> bool {
    policy.cancel == crate::config::Cancel::Strict || !policy.cancel_cluster.is_empty()
}

/// Notes a session.
///
/// # Errors
/// The host's shared data could not be changed.
pub fn note(
    host: &impl Host,
    shares: &Shares,
    key: Key,
    server: Option<SocketAddr>,
) -> Result<(), Refused> {
    let now = host.now();
    let session = Session {
        key: key.number(),
        vm: shares.vm(),
        server,
    };
    shares.change(host, TABLE, key, |value| {
        // Of a VM that died, nobody else takes the notes away.
        let mut sessions = read(value);
        sessions.retain(|session| shares.lives(host, session.vm, now));
        sessions.push(session);
        *value = sessions.iter().flat_map(bytes).collect();
        Ok(())
    })
}

/// Forgets a session that this VM has noted.
///
/// # Errors
/// The host's shared data could not be changed.
pub fn forget(host: &impl Host, shares: &Shares, key: Key) -> Result<(), Refused> {
    shares.change(host, TABLE, key, |value| {
        let mut sessions = read(value);
        let own = |session: &Session| session.key == key.number() && session.vm == shares.vm();
        if let Some(place) = sessions.iter().position(own) {
            sessions.remove(place);
        }
        *value = sessions.iter().flat_map(bytes).collect();
        Ok(())
    })
}

/// The session with this key, of any VM that lives.
#[must_use]
pub fn session(host: &impl Host, shares: &Shares, key: Key) -> Option<Session> {
    let now = host.now();
    let sessions = shares.read(host, TABLE, key, read)?;
    let found = sessions
        .into_iter()
        .find(|session| session.key == key.number())?;
    shares.lives(host, found.vm, now).then_some(found)
}

/// Makes Envoy connect to this server, through a cluster of type ORIGINAL_DST.
///
/// # Errors
/// The host has no such function.
pub fn follow(host: &impl Host, cluster: &str, server: SocketAddr) -> Result<(), HostError> {
    set_state(host, ADDRESS_STATE, &server.to_string())?;
    set_state(host, CLUSTER_STATE, cluster)
}

fn read(value: &[u8]) -> Vec<Session> {
    let (chunks, _) = value.as_chunks::<NOTE>();
    chunks
        .iter()
        .map(|chunk| {
            let (key, rest) = split::<8>(chunk);
            let (vm, rest) = split::<4>(rest);
            let (address, rest) = split::<16>(rest);
            let (port, _) = split::<2>(rest);
            let address = IpAddr::V6(Ipv6Addr::from(address)).to_canonical();
            let port = u16::from_le_bytes(port);
            Session {
                key: u64::from_le_bytes(key),
                vm: u32::from_le_bytes(vm),
                server: (port != 0).then(|| SocketAddr::new(address, port)),
            }
        })
        .collect()
}

fn bytes(session: &Session) -> impl Iterator<Item = u8> + use<> {
    let (address, port) = match session.server {
        Some(SocketAddr::V4(server)) => (server.ip().to_ipv6_mapped(), server.port()),
        Some(SocketAddr::V6(server)) => (*server.ip(), server.port()),
        None => (Ipv6Addr::UNSPECIFIED, 0),
    };
    session
        .key
        .to_le_bytes()
        .into_iter()
        .chain(session.vm.to_le_bytes())
        .chain(address.octets())
        .chain(port.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use proxy_host::fake::FakeHost;

    use super::*;

    fn worker(host: &FakeHost) -> Shares {
        Shares::start(host, &[TABLE.to_owned()])
    }

    #[test]
    fn any_worker_knows_where_a_session_is_until_it_ends() {
        let host = FakeHost::default();
        let (noting, asking) = (worker(&host), worker(&host));
        for server in [
            Some("10.0.0.1:5432"),
            Some("[2001:db8::1]:15432"),
            Some("[::ffff:10.0.0.1]:1"),
            None,
        ] {
            let server = server.map(|server| server.parse::<SocketAddr>().unwrap());
            let expected = server.map(|it| SocketAddr::new(it.ip().to_canonical(), it.port()));
            let key = noting.key([b"key".as_slice()].into_iter());
            note(&host, &noting, key, server).unwrap();
            let found = session(&host, &asking, key).unwrap();
            assert_eq!(found.server, expected);
            let other = noting.key([b"other".as_slice()].into_iter());
            assert_eq!(session(&host, &asking, other), None);
            forget(&host, &noting, key).unwrap();
            assert_eq!(session(&host, &asking, key), None);
        }
    }

    #[test]
    fn a_worker_that_died_leaves_nothing_behind() {
        let host = FakeHost::default();
        let (dead, alive) = (worker(&host), worker(&host));
        let key = alive.key([b"key".as_slice()].into_iter());
        note(&host, &dead, key, None).unwrap();
        host.time.set(60_000_000_000);
        alive.beat(&host, 60_000_000_000);
        assert_eq!(session(&host, &alive, key), None);
        note(&host, &alive, key, None).unwrap();
        let sessions = alive.read(&host, TABLE, key, read).unwrap();
        assert_eq!(sessions.len(), 1);
        assert!(session(&host, &alive, key).is_some());
    }
}
