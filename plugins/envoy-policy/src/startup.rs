//! The StartupMessage as the policy wants it: who the client is, read as the server reads it, and
//! the packet with the settings that the policy imposes.

use pg_wire::ReplicationKind;
use pg_wire::body::startup::StartupMessage;

use crate::gate::MAX_STARTUP_PACKET;
use crate::policy::{Client, Profile};
use crate::routes::OPTION;

/// Bytes of a name that the server does not cut (`NAMEDATALEN` less one).
const MAX_NAME: usize = 63;

/// What is wrong with a StartupMessage.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum StartupError {
    /// User or database are longer than a server's names; it would cut them.
    NameTooLong,
    /// No user is named; a server refuses it too.
    NoUser,
    /// `options` cannot be read as the server reads them.
    BadOptions,
    /// A setting that the policy imposes is asked for.
    Protected,
    /// With the imposed settings it is longer than a server takes.
    TooLong,
}

/// Who a StartupMessage says the client is. Of a parameter that comes twice the last counts
/// (`ProcessStartupPacket`, `src/backend/tcop/backend_startup.c`).
///
/// # Errors
/// What would make the server see somebody else.
pub fn client(startup: &StartupMessage<'_>) -> Result<Client, StartupError> {
    let value = |name: &[u8]| startup.parameters.get(name).unwrap_or_default();
    let name = |name: &[u8]| {
        let value = value(name);
        match value.len() {
            0..=MAX_NAME => Ok(String::from_utf8_lossy(value).into_owned()),
            _ => Err(StartupError::NameTooLong),
        }
    };
    let user = name(b"user")?;
    if user.is_empty() {
        return Err(StartupError::NoUser);
    }
    let database = name(b"database")?;
    let replication = startup.replication();
    Ok(Client {
        database: if database.is_empty() {
            user.clone()
        } else {
            database
        },
        user,
        application: String::from_utf8_lossy(value(b"application_name")).into_owned(),
        replication: replication.is_some(),
        logical: replication == Some(ReplicationKind::Logical),
        ..Client::default()
    })
}

/// Settings that a StartupMessage asks for, by name in lower case, and their values: its parameters
/// but for those that say who the client is, and what `options` holds.
///
/// # Errors
/// [`StartupError::BadOptions`].
pub fn settings(startup: &StartupMessage<'_>) -> Result<Vec<(String, Vec<u8>)>, StartupError> {
    let mut settings = Vec::new();
    for (name, value) in startup.parameters.iter() {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        match name.as_str() {
            "user" | "database" | "replication" => {}
            "options" => settings.extend(options(value)?),
            _ if name.starts_with("_pq_.") => {}
            _ => settings.push((name, value.to_vec())),
        }
    }
    Ok(settings)
}

/// Reads `options` as the server does: words parted by blanks, a backslash takes the next character
/// as it is (`pg_split_opts`, `src/backend/utils/init/postinit.c`); then as command line switches
/// (`process_postgres_switches`, `src/backend/tcop/postgres.c`), of which those that set something by
/// another name than its own are refused.
fn options(text: &[u8]) -> Result<Vec<(String, Vec<u8>)>, StartupError> {
    let mut settings = Vec::new();
    let mut words = split_options(text).into_iter();
    while let Some(word) = words.next() {
        let assignment = if let Some(long) = word.strip_prefix(b"--") {
            long.to_vec()
        } else if let Some(short) = word.strip_prefix(b"-c") {
            match short {
                [] => words.next().ok_or(StartupError::BadOptions)?,
                short => short.to_vec(),
            }
        } else {
            return Err(StartupError::BadOptions);
        };
        let equals = assignment.iter().position(|byte| *byte == b'=');
        let (name, value) = equals
            .and_then(|at| assignment.split_at_checked(at))
            .ok_or(StartupError::BadOptions)?;
        // A dash in a name stands for an underscore (`ParseLongOption`, `guc.c`).
        let name = String::from_utf8_lossy(name)
            .replace('-', "_")
            .to_ascii_lowercase();
        settings.push((name, value.get(1..).unwrap_or_default().to_vec()));
    }
    Ok(settings)
}

fn split_options(text: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            // `isspace` in the C locale.
            b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => words.extend(word.take()),
            b'\\' => {
                let word = word.get_or_insert_default();
                word.extend(bytes.next());
            }
            byte => word.get_or_insert_default().push(*byte),
        }
    }
    words.extend(word);
    words
}

/// The packet that goes to the server instead, if the policy changes anything: every parameter once,
/// with the value that counts, and the imposed ones behind.
///
/// # Errors
/// [`StartupError::TooLong`].
pub fn rewritten(
    startup: &StartupMessage<'_>,
    profile: &Profile,
    routed: bool,
) -> Result<Option<Vec<u8>>, StartupError> {
    let parameters: Vec<_> = startup.parameters.iter().collect();
    let is_last = |index: usize, name: &[u8]| {
        let after = parameters.get(index.saturating_add(1)..);
        after.is_none_or(|after| after.iter().all(|(other, _)| *other != name))
    };
    let stamped = profile.application_name.is_some();
    let options = startup.parameters.get(b"options").filter(|_| routed);
    let options = options.and_then(without_route);
    let kept: Vec<_> = parameters
        .iter()
        .enumerate()
        .filter(|(index, (name, _))| is_last(*index, name))
        .map(|(_, parameter)| *parameter)
        .filter(|(name, _)| !(stamped && name.eq_ignore_ascii_case(b"application_name")))
        .collect();
    let unchanged = kept.len() == parameters.len() && options.is_none();
    if unchanged && profile.settings.is_empty() && !stamped {
        return Ok(None);
    }
    let imposed = profile
        .settings
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .chain(
            profile
                .application_name
                .as_deref()
                .map(|value| ("application_name", value)),
        )
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let mut packet = vec![0; 4];
    packet.extend_from_slice(&startup.version.major.to_be_bytes());
    packet.extend_from_slice(&startup.version.minor.to_be_bytes());
    for (name, value) in kept.into_iter().chain(imposed) {
        let value = match &options {
            Some(options) if name == b"options" => options,
            _ => value,
        };
        if routed && name.eq_ignore_ascii_case(OPTION.as_bytes()) {
            continue;
        }
        packet.extend_from_slice(name);
        packet.push(0);
        packet.extend(value.iter().filter(|byte| **byte != 0));
        packet.push(0);
    }
    packet.push(0);
    if packet.len() > MAX_STARTUP_PACKET {
        return Err(StartupError::TooLong);
    }
    let length = u32::try_from(packet.len()).unwrap_or(u32::MAX);
    for (to, from) in packet.iter_mut().zip(length.to_be_bytes()) {
        *to = from;
    }
    Ok(Some(packet))
}

/// `options` without those that ask for a route; `None` if there are none.
fn without_route(options: &[u8]) -> Option<Vec<u8>> {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    let mut words = split_options(options).into_iter();
    let mut dropped = false;
    while let Some(word) = words.next() {
        let (flag, assignment) = match word.as_slice() {
            b"-c" => (Some(word), words.next().unwrap_or_default()),
            _ => (None, word),
        };
        let bare = assignment
            .strip_prefix(b"--")
            .or_else(|| assignment.strip_prefix(b"-c"))
            .unwrap_or(&assignment);
        let name = bare.split(|byte| *byte == b'=').next().unwrap_or_default();
        if name.eq_ignore_ascii_case(OPTION.as_bytes()) {
            dropped = true;
            continue;
        }
        kept.extend(flag);
        kept.push(assignment);
    }
    dropped.then(|| {
        kept.iter()
            .map(|word| escaped(word))
            .collect::<Vec<_>>()
            .join(&b' ')
    })
}

/// A word as `split_options` reads it.
fn escaped(word: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(word.len());
    for byte in word {
        if byte.is_ascii_whitespace() || matches!(byte, b'\\' | 0x0b) {
            escaped.push(b'\\');
        }
        escaped.push(*byte);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;

    fn body(parameters: &str) -> Vec<u8> {
        [b"\0\x03\0\0", parameters.as_bytes(), b"\0"].concat()
    }

    fn asked(parameters: &str) -> Result<Vec<(String, Vec<u8>)>, StartupError> {
        settings(&StartupMessage::read(&body(parameters)).unwrap())
    }

    #[test]
    fn the_last_of_a_parameter_counts_and_the_user_stands_for_the_database() {
        let body = body("user\0a\0user\0b\0database\0\0");
        let client = client(&StartupMessage::read(&body).unwrap()).unwrap();
        assert_eq!((client.user.as_str(), client.database.as_str()), ("b", "b"));
    }

    #[test]
    fn names_that_a_server_would_cut_are_refused() {
        let long = body(&format!("user\0{}\0", "u".repeat(64)));
        let startup = StartupMessage::read(&long).unwrap();
        assert_eq!(client(&startup), Err(StartupError::NameTooLong));
    }

    #[test]
    fn options_are_read_as_the_server_reads_them() {
        for (options, expected) in [
            ("-c role=admin", "role=admin"),
            ("-crole=admin", "role=admin"),
            ("--role=admin", "role=admin"),
            ("  --Statement-Timeout=0\t", "statement_timeout=0"),
            ("-c search_path=a\\ b", "search_path=a b"),
            ("-c ro\\le=x", "role=x"),
        ] {
            let asked = asked(&format!("user\0u\0options\0{options}\0")).unwrap();
            let asked: Vec<_> = asked
                .iter()
                .map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value)))
                .collect();
            assert_eq!(asked, [expected], "{options}");
        }
        for bad in ["-f ih", "-c", "-c role", "role=x", "-s"] {
            let asked = asked(&format!("user\0u\0options\0{bad}\0"));
            assert_eq!(asked, Err(StartupError::BadOptions), "{bad}");
        }
    }

    #[test]
    fn imposed_settings_and_the_stamp_are_written_into_the_packet() {
        let policy = Policy::read(
            br#"{"rules": [{"name": "a", "action": "allow", "set": {"statement_timeout": "5s"},
                "application_name": "{application}@{user}"}]}"#,
        )
        .unwrap();
        let body = body("user\0a\0user\0u\0application_name\0psql\0");
        let startup = StartupMessage::read(&body).unwrap();
        let profile = policy.profile(&client(&startup).unwrap());
        let packet = rewritten(&startup, &profile, false).unwrap().unwrap();
        let expected =
            b"\0\0\0\x3c\0\x03\0\0user\0u\0statement_timeout\x005s\0application_name\0psql@u\0\0";
        assert_eq!(packet.len(), expected.len());
        assert_eq!(packet[4..], expected[4..]);
        assert_eq!(usize::from(packet[3]), packet.len());
    }

    #[test]
    fn what_asks_for_a_route_is_taken_out_of_the_options() {
        for (options, expected) in [
            ("-c pgmesh.route=ro", Some("")),
            ("-cpgmesh.route=ro -c a=b", Some("-c a=b")),
            ("-c a=b\\ c --pgmesh.route=ro", Some("-c a=b\\ c")),
            ("-c a=b", None),
        ] {
            let without = without_route(options.as_bytes());
            assert_eq!(without.as_deref(), expected.map(str::as_bytes), "{options}");
        }
    }

    #[test]
    fn a_packet_that_needs_no_change_stays_as_it_is() {
        let policy = Policy::read(br#"{"rules": []}"#).unwrap();
        let body = body("user\0u\0database\0d\0");
        let startup = StartupMessage::read(&body).unwrap();
        let profile = policy.profile(&client(&startup).unwrap());
        assert_eq!(rewritten(&startup, &profile, true), Ok(None));
    }
}
