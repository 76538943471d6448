//! The packets of the start-up phase.

use crate::{ProtocolVersion, ReplicationKind, StartupMessage};

/// What a session needs of a StartupMessage.
pub fn summary(packet: &[u8]) -> Option<StartupMessage<'_>> {
    let (version, parameters) = packet.split_first_chunk::<4>()?;
    let [major0, major1, minor0, minor1] = *version;
    let mut startup = StartupMessage {
        version: ProtocolVersion {
            major: u16::from_be_bytes([major0, major1]),
            minor: u16::from_be_bytes([minor0, minor1]),
        },
        user: &[],
        database: &[],
        application_name: &[],
        replication: None,
    };
    let mut strings = parameters.split(|byte| *byte == 0);
    while let Some(name @ [_, ..]) = strings.next() {
        let value = strings.next()?;
        match name {
            b"user" => startup.user = value,
            b"database" => startup.database = value,
            b"application_name" => startup.application_name = value,
            b"replication" => startup.replication = replication(value),
            _ => {}
        }
    }
    if startup.database.is_empty() {
        startup.database = startup.user;
    }
    Some(startup)
}

/// `database`, or a boolean as the server reads them (`parse_bool`).
fn replication(value: &[u8]) -> Option<ReplicationKind> {
    match value {
        b"database" => Some(ReplicationKind::Logical),
        b"true" | b"on" | b"yes" | b"1" | b"t" | b"y" => Some(ReplicationKind::Physical),
        _ => None,
    }
}
