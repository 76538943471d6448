//! Span and trace ids: numbers that nobody else is likely to have drawn.

use std::hash::{DefaultHasher, Hasher};

use proxy_host::{Host, HostError, Version};

/// The entry of the shared data that workers draw their places from: two that start in the same
/// nanosecond differ in it.
const PLACE: &str = "pgmesh.worker";
const ATTEMPTS: usize = 16;

/// splitmix64 (Steele, Lea, Flood 2014).
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// Seeded by the clock, the node and the worker's place.
    pub(crate) fn new(host: &impl Host) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(host.now());
        hasher.write_u64(place(host));
        let _no_node = host.with_property(&["xds", "node", "id"], |id| hasher.write(id));
        Self(hasher.finish())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Never all zero, which W3C forbids.
    pub(crate) fn span_id(&mut self) -> [u8; 8] {
        self.next().max(1).to_be_bytes()
    }

    pub(crate) fn trace_id(&mut self) -> [u8; 16] {
        let high = u128::from(self.next()) << 64;
        (high | u128::from(self.next().max(1))).to_be_bytes()
    }
}

fn place(host: &impl Host) -> u64 {
    for _ in 0..ATTEMPTS {
        let read = |bytes: &[u8], version| (bytes.first_chunk().copied(), version);
        let (last, version) = host
            .with_shared_data(PLACE, read)
            .unwrap_or((None, Version::default()));
        let place = last.map_or(0, u64::from_le_bytes).wrapping_add(1);
        match host.set_shared_data(PLACE, &place.to_le_bytes(), version) {
            Err(HostError::CAS_MISMATCH) => {}
            _ => return place,
        }
    }
    0
}
