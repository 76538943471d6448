//! Counts that all workers of a process share, by way of the host's shared data.
//!
//! A count belongs to a key: who is limited, hashed. Each VM keeps its own share of it, and the sum
//! of the shares is the truth. A share of a VM that no longer beats does not count: when a VM dies,
//! its connections die with it. Entries lie in a fixed number of slots, so that keys which are no
//! longer used leave nothing behind; a slot is changed by compare and swap, and when that fails too
//! often the limit counts as reached.

use std::hash::Hasher;

use proxy_host::{Host, HostError, Version};
use siphasher::sip::SipHasher24;

/// Slots per table.
const SLOTS: u64 = 256;
/// Attempts at a compare and swap.
const ATTEMPTS: u32 = 32;
/// Nanoseconds without a beat after which a VM counts as dead: several ticks.
const DEAD_AFTER: u64 = 5_000_000_000;
/// Tokens are counted in billionths, so that a rate per second is a rate per nanosecond.
const WHOLE: u64 = 1_000_000_000;

const VMS: &str = "pgmesh.policy/vms";
const SEED: &str = "pgmesh.policy/seed";

/// Who or what is limited, hashed with a secret of the process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Key(u64);

impl Key {
    /// As it is stored.
    pub(crate) fn number(self) -> u64 {
        self.0
    }
}

/// Why a share was not given.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refused {
    /// The limit is reached.
    Full,
    /// The host's shared data could not be changed.
    Host,
}

/// This VM's part in the counts of the process.
#[derive(Debug, Default)]
pub struct Shares {
    vm: u32,
    seed: u64,
}

/// One VM's share of one key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Share {
    key: u64,
    vm: u32,
    count: u32,
}

/// What is left of one key's allowance.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Bucket {
    key: u64,
    /// In billionths.
    tokens: u64,
    /// Of the last change, in nanoseconds.
    time: u64,
}

impl Shares {
    /// Takes a number among the VMs of the process, and makes the slots of `tables`.
    #[must_use]
    pub fn start(host: &impl Host, tables: &[String]) -> Self {
        let now = host.now();
        // Without shared data every VM counts for itself.
        let vm = change(host, VMS, |value| {
            let last = value.first_chunk().map_or(0, |n| u32::from_le_bytes(*n));
            let next = last.wrapping_add(1);
            *value = next.to_le_bytes().to_vec();
            Ok(next)
        })
        .unwrap_or(0);
        let seed = change(host, SEED, |value| {
            if value.len() != 8 {
                *value = now.to_le_bytes().to_vec();
            }
            Ok(value.first_chunk().map_or(0, |n| u64::from_le_bytes(*n)))
        })
        .unwrap_or(now);
        for table in tables {
            for slot in 0..SLOTS {
                let name = slot_name(table, slot);
                if host.with_shared_data(&name, |_, _| ()).is_err() {
                    // Another attempt is made when it is used.
                    let _absent = host.set_shared_data(&name, &[], Version::default());
                }
            }
        }
        let shares = Self { vm, seed };
        shares.beat(host, now);
        shares
    }

    /// The key of these values.
    #[must_use]
    pub fn key<'a>(&self, values: impl Iterator<Item = &'a [u8]>) -> Key {
        let mut hasher = SipHasher24::new_with_keys(self.seed, 0);
        for value in values {
            hasher.write_usize(value.len());
            hasher.write(value);
        }
        Key(hasher.finish())
    }

    /// Tells the other VMs that this one lives.
    pub fn beat(&self, host: &impl Host, now: u64) {
        if self.vm == 0 {
            return;
        }
        // One that cannot say so is taken for dead, and its connections do not count.
        let _unheard =
            host.set_shared_data(&beat_name(self.vm), &now.to_le_bytes(), Version::default());
    }

    /// Takes one of `max` of a key.
    ///
    /// # Errors
    /// There is none left.
    pub fn acquire(
        &self,
        host: &impl Host,
        table: &str,
        key: Key,
        max: u32,
    ) -> Result<(), Refused> {
        let now = host.now();
        change(host, &slot_name(table, key.0 % SLOTS), |value| {
            let mut shares = read_shares(value);
            if total(&shares, key) >= u64::from(max) {
                shares.retain(|share| share.key != key.0 || self.lives(host, share.vm, now));
                if total(&shares, key) >= u64::from(max) {
                    return Err(Refused::Full);
                }
            }
            match shares
                .iter_mut()
                .find(|share| share.key == key.0 && share.vm == self.vm)
            {
                Some(own) => own.count = own.count.saturating_add(1),
                None => shares.push(Share {
                    key: key.0,
                    vm: self.vm,
                    count: 1,
                }),
            }
            *value = shares.iter().flat_map(share_bytes).collect();
            Ok(())
        })
    }

    /// Gives back one.
    ///
    /// # Errors
    /// It could not be: to be tried again.
    pub fn release(&self, host: &impl Host, table: &str, key: Key) -> Result<(), Refused> {
        change(host, &slot_name(table, key.0 % SLOTS), |value| {
            let mut shares = read_shares(value);
            for share in &mut shares {
                if share.key == key.0 && share.vm == self.vm {
                    share.count = share.count.saturating_sub(1);
                }
            }
            shares.retain(|share| share.count > 0);
            *value = shares.iter().flat_map(share_bytes).collect();
            Ok(())
        })
    }

    /// Takes one token of a bucket that holds `burst` at most and gains `per_second`.
    ///
    /// # Errors
    /// There is none.
    pub fn take_token(
        &self,
        host: &impl Host,
        table: &str,
        key: Key,
        per_second: u32,
        burst: u32,
    ) -> Result<(), Refused> {
        let now = host.now();
        let full = u64::from(burst).saturating_mul(WHOLE);
        let filled = |bucket: &Bucket| {
            let elapsed = now.saturating_sub(bucket.time);
            let gained = elapsed.saturating_mul(u64::from(per_second));
            bucket.tokens.saturating_add(gained).min(full)
        };
        change(host, &slot_name(table, key.0 % SLOTS), |value| {
            let mut buckets = read_buckets(value);
            // A full bucket is as good as none.
            buckets.retain(|bucket| bucket.key == key.0 || filled(bucket) < full);
            let known = buckets.iter_mut().find(|bucket| bucket.key == key.0);
            let tokens = known.as_deref().map_or(full, &filled);
            let left = tokens.checked_sub(WHOLE).ok_or(Refused::Full)?;
            let bucket = Bucket {
                key: key.0,
                tokens: left,
                time: now,
            };
            match known {
                Some(known) => *known = bucket,
                None => buckets.push(bucket),
            }
            *value = buckets.iter().flat_map(bucket_bytes).collect();
            Ok(())
        })
    }

    /// Changes what is in the slot of a key, by compare and swap.
    pub(crate) fn change<R>(
        &self,
        host: &impl Host,
        table: &str,
        key: Key,
        with: impl FnMut(&mut Vec<u8>) -> Result<R, Refused>,
    ) -> Result<R, Refused> {
        change(host, &slot_name(table, key.0 % SLOTS), with)
    }

    /// Reads what is in the slot of a key.
    pub(crate) fn read<R>(
        &self,
        host: &impl Host,
        table: &str,
        key: Key,
        with: impl FnOnce(&[u8]) -> R,
    ) -> Option<R> {
        let slot = slot_name(table, key.0 % SLOTS);
        host.with_shared_data(&slot, |value, _| with(value)).ok()
    }

    /// This VM's number among those of the process.
    pub(crate) fn vm(&self) -> u32 {
        self.vm
    }

    /// Whether a VM still beats.
    pub(crate) fn lives(&self, host: &impl Host, vm: u32, now: u64) -> bool {
        let beat = host.with_shared_data(&beat_name(vm), |value, _| {
            value.first_chunk().map_or(0, |n| u64::from_le_bytes(*n))
        });
        vm == self.vm || beat.is_ok_and(|beat| now.saturating_sub(beat) < DEAD_AFTER)
    }
}

fn beat_name(vm: u32) -> String {
    format!("pgmesh.policy/beat/{vm}")
}

fn slot_name(table: &str, slot: u64) -> String {
    format!("pgmesh.policy/{table}/{slot}")
}

fn total(shares: &[Share], key: Key) -> u64 {
    shares
        .iter()
        .filter(|share| share.key == key.0)
        .fold(0, |sum, share| sum.saturating_add(u64::from(share.count)))
}

/// Changes an entry of the shared data by compare and swap.
fn change<R>(
    host: &impl Host,
    name: &str,
    mut with: impl FnMut(&mut Vec<u8>) -> Result<R, Refused>,
) -> Result<R, Refused> {
    for _ in 0..ATTEMPTS {
        let read = host.with_shared_data(name, |value, version| (value.to_vec(), version));
        let (mut value, version) = match read {
            Ok(read) => read,
            Err(HostError::NOT_FOUND) => (Vec::new(), Version::default()),
            Err(_) => return Err(Refused::Host),
        };
        let result = with(&mut value)?;
        match host.set_shared_data(name, &value, version) {
            Ok(()) => return Ok(result),
            Err(HostError::CAS_MISMATCH) => {}
            Err(_) => return Err(Refused::Host),
        }
    }
    Err(Refused::Host)
}

fn read_shares(value: &[u8]) -> Vec<Share> {
    let (chunks, _) = value.as_chunks::<16>();
    chunks
        .iter()
        .map(|chunk| {
            let (key, rest) = split::<8>(chunk);
            let (vm, rest) = split::<4>(rest);
            let (count, _) = split::<4>(rest);
            Share {
                key: u64::from_le_bytes(key),
                vm: u32::from_le_bytes(vm),
                count: u32::from_le_bytes(count),
            }
        })
        .collect()
}

fn share_bytes(share: &Share) -> impl Iterator<Item = u8> + use<> {
    share
        .key
        .to_le_bytes()
        .into_iter()
        .chain(share.vm.to_le_bytes())
        .chain(share.count.to_le_bytes())
}

fn read_buckets(value: &[u8]) -> Vec<Bucket> {
    let (chunks, _) = value.as_chunks::<24>();
    chunks
        .iter()
        .map(|chunk| {
            let (key, rest) = split::<8>(chunk);
            let (tokens, rest) = split::<8>(rest);
            let (time, _) = split::<8>(rest);
            Bucket {
                key: u64::from_le_bytes(key),
                tokens: u64::from_le_bytes(tokens),
                time: u64::from_le_bytes(time),
            }
        })
        .collect()
}

fn bucket_bytes(bucket: &Bucket) -> impl Iterator<Item = u8> + use<> {
    bucket
        .key
        .to_le_bytes()
        .into_iter()
        .chain(bucket.tokens.to_le_bytes())
        .chain(bucket.time.to_le_bytes())
}

/// The first bytes, zeros where there are too few, and the rest.
pub(crate) fn split<const N: usize>(bytes: &[u8]) -> ([u8; N], &[u8]) {
    bytes
        .split_first_chunk()
        .map_or(([0; N], &[]), |(first, rest)| (*first, rest))
}

#[cfg(test)]
mod tests {
    use proxy_host::fake::FakeHost;

    use super::*;

    const TABLE: &str = "t";

    fn start(host: &FakeHost) -> Shares {
        Shares::start(host, &[TABLE.to_owned()])
    }

    #[test]
    fn the_sum_of_all_workers_is_what_counts() {
        let host = FakeHost::default();
        let workers = [start(&host), start(&host)];
        let key = workers[0].key([b"app".as_slice()].into_iter());
        assert_eq!(key, workers[1].key([b"app".as_slice()].into_iter()));
        for turn in 0..4 {
            workers[turn % 2].acquire(&host, TABLE, key, 4).unwrap();
        }
        for worker in &workers {
            assert_eq!(worker.acquire(&host, TABLE, key, 4), Err(Refused::Full));
        }
        let other = workers[0].key([b"other".as_slice()].into_iter());
        workers[0].acquire(&host, TABLE, other, 1).unwrap();
        workers[1].release(&host, TABLE, key).unwrap();
        workers[0].acquire(&host, TABLE, key, 4).unwrap();
        assert_eq!(workers[1].acquire(&host, TABLE, key, 4), Err(Refused::Full));
    }

    #[test]
    fn a_worker_that_died_no_longer_counts() {
        let host = FakeHost::default();
        let (dead, alive) = (start(&host), start(&host));
        let key = alive.key([b"app".as_slice()].into_iter());
        dead.acquire(&host, TABLE, key, 1).unwrap();
        assert_eq!(alive.acquire(&host, TABLE, key, 1), Err(Refused::Full));
        host.time.set(DEAD_AFTER);
        alive.beat(&host, DEAD_AFTER);
        alive.acquire(&host, TABLE, key, 1).unwrap();
        assert_eq!(alive.acquire(&host, TABLE, key, 1), Err(Refused::Full));
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let host = FakeHost::default();
        let shares = start(&host);
        let key = shares.key([b"app".as_slice()].into_iter());
        let take = || shares.take_token(&host, TABLE, key, 10, 3);
        for _ in 0..3 {
            take().unwrap();
        }
        assert_eq!(take(), Err(Refused::Full));
        host.time.set(100_000_000);
        take().unwrap();
        assert_eq!(take(), Err(Refused::Full));
        host.time.set(10_000_000_000);
        for _ in 0..3 {
            take().unwrap();
        }
        assert_eq!(take(), Err(Refused::Full));
    }

    #[test]
    fn what_is_no_longer_used_leaves_nothing_behind() {
        let host = FakeHost::default();
        let shares = start(&host);
        let size = || {
            let data = host.shared_data.borrow();
            data.values().map(|(value, _)| value.len()).sum::<usize>()
        };
        let before = size();
        for round in 0..1000_u64 {
            let name = round.to_string();
            let key = shares.key([name.as_bytes()].into_iter());
            shares.acquire(&host, TABLE, key, 1).unwrap();
            shares.release(&host, TABLE, key).unwrap();
        }
        assert_eq!(size(), before);
    }
}
