//! The words of the proxy-wasm ABI 0.2.1, by the numbers of its specification.

/// What a host call answers (`proxy_status_t`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Status {
    /// Done.
    Ok = 0,
    /// There is no such thing.
    NotFound = 1,
    /// The arguments make no sense here.
    BadArgument = 2,
    /// A value could not be serialised.
    SerializationFailure = 3,
    /// A value could not be parsed.
    ParseFailure = 4,
    /// A pointer leads outside of the module's memory.
    InvalidMemoryAccess = 6,
    /// There is nothing in it.
    Empty = 7,
    /// Somebody else has changed the shared value meanwhile.
    CasMismatch = 8,
    /// The host failed.
    InternalFailure = 10,
    /// The host does not do this.
    Unimplemented = 12,
}

/// What a data callback decides (`proxy_action_t`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Pass the bytes on.
    Continue,
    /// Keep them, and call again when there are more.
    Pause,
}

/// The direction or side of a connection that a call is about (`proxy_stream_type_t`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// The side of the client.
    Downstream,
    /// The side of the server.
    Upstream,
}

impl Stream {
    pub(super) fn of_number(number: u32) -> Result<Self, Status> {
        match number {
            2 => Ok(Self::Downstream),
            3 => Ok(Self::Upstream),
            0 | 1 => Err(Status::Unimplemented),
            _ => Err(Status::BadArgument),
        }
    }
}

/// A buffer a module may ask for (`proxy_buffer_type_t`), as far as network filters have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BufferKind {
    /// Bytes of one direction, while their callback runs.
    Data(Stream),
    /// The body of an HTTP response, while its callback runs.
    HttpCallResponseBody,
    /// The configuration of the VM, while it starts.
    VmConfiguration,
    /// The configuration of the plugin, while it is configured.
    PluginConfiguration,
}

impl BufferKind {
    pub(super) fn of_number(number: u32) -> Result<Self, Status> {
        match number {
            2 => Ok(Self::Data(Stream::Downstream)),
            3 => Ok(Self::Data(Stream::Upstream)),
            4 => Ok(Self::HttpCallResponseBody),
            6 => Ok(Self::VmConfiguration),
            7 => Ok(Self::PluginConfiguration),
            0 | 1 | 5 | 8 => Err(Status::NotFound),
            _ => Err(Status::BadArgument),
        }
    }
}

/// How grave a log line is (`proxy_log_level_t`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Critical,
}

impl LogLevel {
    pub(super) fn of_number(number: u32) -> Result<Self, Status> {
        const ALL: [LogLevel; 6] = [
            LogLevel::Trace,
            LogLevel::Debug,
            LogLevel::Info,
            LogLevel::Warn,
            LogLevel::Error,
            LogLevel::Critical,
        ];
        ALL.get(number as usize).copied().ok_or(Status::BadArgument)
    }
}

/// Who ended a connection (`proxy_peer_type_t`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClosedBy {
    /// This side of the connection.
    Local = 1,
    /// The other side.
    Remote = 2,
}

/// Reads the serialised form of a header map: the number of pairs, the sizes, then each name and
/// value with a NUL behind it. A map that does not add up is empty, as in Envoy.
pub(super) fn pairs_of_bytes(bytes: &[u8]) -> Vec<(String, String)> {
    let number_at = |at: usize| {
        let bytes = bytes.get(at..at + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().expect("four bytes")) as usize)
    };
    let read = || -> Option<Vec<(String, String)>> {
        let count = number_at(0)?;
        let mut text_at = 4 + count.checked_mul(8)?;
        let mut text = |size: usize| {
            let text = bytes.get(text_at..text_at + size)?;
            text_at += size + 1;
            Some(String::from_utf8_lossy(text).into_owned())
        };
        (0..count)
            .map(|pair| {
                let (name, value) = (number_at(4 + pair * 8)?, number_at(8 + pair * 8)?);
                Some((text(name)?, text(value)?))
            })
            .collect()
    };
    read().unwrap_or_default()
}

/// Writes the serialised form of a header map.
pub(super) fn bytes_of_pairs(pairs: &[(String, String)]) -> Vec<u8> {
    let mut bytes = u32::try_from(pairs.len())
        .expect("few pairs")
        .to_le_bytes()
        .to_vec();
    for (name, value) in pairs {
        for text in [name, value] {
            bytes.extend(u32::try_from(text.len()).expect("short text").to_le_bytes());
        }
    }
    for (name, value) in pairs {
        for text in [name, value] {
            bytes.extend(text.as_bytes());
            bytes.push(0);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_map_survives_being_serialised() {
        let pairs = [(":status", "200"), ("empty", "")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(pairs_of_bytes(&bytes_of_pairs(&pairs)), pairs);
        assert_eq!(pairs_of_bytes(&bytes_of_pairs(&[])), []);
        assert_eq!(pairs_of_bytes(&[255; 7]), []);
    }
}
