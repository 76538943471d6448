//! The table that all workers of a process add to, as bytes in the host's shared data.
//!
//! A worker adds what it has counted since the last time, and whoever comes when a report is due
//! writes it. Two that come at once are told apart by the host's compare-and-swap: the second reads
//! again.

use std::rc::Rc;

use proxy_host::{Host, HostError, Version};

use super::SpanContext;
use super::sketch::Sketch;
use super::top::{Example, Key, Row, Table};
use crate::config::TopStatements;

/// Changes with the form of the bytes.
const FORM: u8 = 3;
/// Attempts when other workers write at the same time; what is left is handed over the next time.
const ATTEMPTS: usize = 8;
/// Rows that are admitted to the host's stats, for each of the few that are there at a time.
const ADMITTED_PER_STAT: usize = 4;

/// What all workers have counted together.
pub(crate) struct Shared {
    pub(crate) table: Table,
    /// When the counting began.
    pub(crate) since: u64,
    /// When the last report was written, or the counting began.
    pub(crate) reported: u64,
    /// Hashes of the keys that have counters in the host's stats, in the order they got there.
    pub(crate) admitted: Vec<u64>,
}

impl Shared {
    fn new(config: &TopStatements, now: u64) -> Self {
        Self {
            table: Table::new(config),
            since: now,
            reported: now,
            admitted: Vec::new(),
        }
    }

    /// Gives the first few counters in the host's stats, while there are some left to give.
    fn admit(&mut self, config: &TopStatements) {
        let stats = config.stats as usize;
        let most = stats.saturating_mul(ADMITTED_PER_STAT);
        for (key, _) in self.table.top(stats) {
            let hash = key.hash();
            if self.admitted.len() < most && !self.admitted.contains(&hash) {
                self.admitted.push(hash);
            }
        }
    }
}

/// What has come of a hand-over.
pub(crate) struct HandedOver {
    /// The rows that were handed over.
    pub(crate) own: Table,
    /// The whole, with them.
    pub(crate) shared: Shared,
    /// Whether this worker is to report it.
    pub(crate) due: bool,
}

/// Begins to count, if no other worker has.
pub(crate) fn begin(host: &impl Host, key: &str, config: &TopStatements, now: u64) {
    if host.with_shared_data(key, |_, _| ()) == Err(HostError::NOT_FOUND) {
        let empty = Shared::new(config, now);
        // If it is refused, so is what comes later, which tells.
        let _refused = host.set_shared_data(key, &encode(&empty, true), Version::default());
    }
}

/// Hands a worker's rows over; `None` if the host, or other workers, did not let it.
pub(crate) fn hand_over(
    host: &impl Host,
    key: &str,
    config: &TopStatements,
    table: &mut Table,
    now: u64,
) -> Option<HandedOver> {
    let interval = u64::from(config.interval_s).saturating_mul(1_000_000_000);
    table.prune();
    for _ in 0..ATTEMPTS {
        let read = |bytes: &[u8], version| (decode(bytes, config), version);
        let (found, version) = host.with_shared_data(key, read).ok()?;
        let mut shared = found.unwrap_or_else(|| Shared::new(config, now));
        for (key, row) in table.iter() {
            shared.table.merge(key.clone(), row.clone());
        }
        shared.table.add_dropped(table.dropped());
        shared.table.prune();
        let due = now.saturating_sub(shared.reported) >= interval;
        if due {
            shared.reported = now;
            shared.admit(config);
        }
        // What is reported now is no example of what comes later.
        match host.set_shared_data(key, &encode(&shared, !due), version) {
            Ok(()) => {
                let own = std::mem::replace(table, Table::new(config));
                return Some(HandedOver { own, shared, due });
            }
            Err(HostError::CAS_MISMATCH) => {}
            Err(_) => return None,
        }
    }
    None
}

fn encode(shared: &Shared, with_examples: bool) -> Vec<u8> {
    let mut out = vec![FORM];
    for number in [shared.since, shared.reported, shared.table.dropped()] {
        put(&mut out, number);
    }
    put(&mut out, shared.admitted.len() as u64);
    for hash in &shared.admitted {
        put(&mut out, *hash);
    }
    for (key, row) in shared.table.iter() {
        put(&mut out, key.fingerprint);
        for text in [&key.user, &key.database, &row.text] {
            put(&mut out, text.len() as u64);
            out.extend_from_slice(text.as_bytes());
        }
        for number in numbers(row) {
            put(&mut out, number);
        }
        encode_example(&mut out, row.example.filter(|_| with_examples));
        let buckets: Vec<_> = row.sketch.buckets().collect();
        put(&mut out, buckets.len() as u64);
        for (bucket, count) in buckets {
            put(&mut out, u64::from(bucket));
            put(&mut out, u64::from(count));
        }
    }
    out
}

fn encode_example(out: &mut Vec<u8>, example: Option<Example>) {
    put(out, u64::from(example.is_some()));
    if let Some(example) = example {
        let Example {
            context,
            took,
            at,
            failed,
        } = example;
        out.extend_from_slice(&context.trace_id);
        out.extend_from_slice(&context.span_id);
        put(out, took);
        put(out, at);
        put(out, u64::from(failed));
    }
}

fn numbers(row: &Row) -> [u64; 8] {
    [
        row.calls,
        row.errors,
        row.rows,
        row.bytes,
        row.total,
        row.min,
        row.max,
        row.first_seen,
    ]
}

/// `None` for bytes of another form, or cut: the counting begins anew.
fn decode(bytes: &[u8], config: &TopStatements) -> Option<Shared> {
    let mut rest = bytes.strip_prefix(&[FORM])?;
    let since = take(&mut rest)?;
    let reported = take(&mut rest)?;
    let mut table = Table::new(config);
    table.add_dropped(take(&mut rest)?);
    let mut admitted = Vec::new();
    for _ in 0..take(&mut rest)? {
        admitted.push(take(&mut rest)?);
    }
    while !rest.is_empty() {
        let (key, row) = decode_row(&mut rest)?;
        table.merge(key, row);
    }
    Some(Shared {
        table,
        since,
        reported,
        admitted,
    })
}

fn decode_row(rest: &mut &[u8]) -> Option<(Key, Row)> {
    let fingerprint = take(rest)?;
    let (user, database, text) = (take_text(rest)?, take_text(rest)?, take_text(rest)?);
    let mut numbers = [0; 8];
    for number in &mut numbers {
        *number = take(rest)?;
    }
    let [calls, errors, rows, bytes, total, min, max, first_seen] = numbers;
    let example = match take(rest)? {
        0 => None,
        _ => Some(decode_example(rest)?),
    };
    let mut sketch = Sketch::default();
    for _ in 0..take(rest)? {
        let bucket = u8::try_from(take(rest)?).ok()?;
        sketch.add_to(bucket, u32::try_from(take(rest)?).ok()?);
    }
    let key = Key {
        fingerprint,
        user,
        database,
    };
    let row = Row {
        calls,
        errors,
        rows,
        bytes,
        total,
        min,
        max,
        first_seen,
        sketch,
        text,
        example,
    };
    Some((key, row))
}

fn decode_example(rest: &mut &[u8]) -> Option<Example> {
    let (trace_id, behind) = rest.split_first_chunk()?;
    let (span_id, behind) = behind.split_first_chunk()?;
    *rest = behind;
    let context = SpanContext {
        trace_id: *trace_id,
        span_id: *span_id,
    };
    Some(Example {
        context,
        took: take(rest)?,
        at: take(rest)?,
        failed: take(rest)? != 0,
    })
}

/// Seven bits to a byte, the lowest first, as protobuf has it.
fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn take_text(rest: &mut &[u8]) -> Option<Rc<str>> {
    let length = usize::try_from(take(rest)?).ok()?;
    let (text, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(String::from_utf8_lossy(text).into())
}
