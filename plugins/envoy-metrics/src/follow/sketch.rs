//! Percentiles of durations in little room: how many fell between powers of 2^(1/4).
//!
//! A percentile is answered by the middle of its bucket, so it is at most 9.1 % off; below 2 us and
//! above 2^32 us (71 minutes) it is the bound.

/// Buckets: four to each doubling, over 32 of them.
const BUCKETS: usize = 128;
/// Buckets to a doubling.
const PER_DOUBLING: u32 = 4;
/// 2^(1/8), 2^(3/8), 2^(5/8), 2^(7/8) in 1024ths: the middles of the buckets of a doubling.
const MIDDLES: [u64; 4] = [1117, 1328, 1579, 1878];
/// 2^(1/4), 2^(2/4), 2^(3/4) in 1024ths: where the later buckets of a doubling begin.
const BEGINS: [u64; 3] = [1218, 1448, 1722];

/// Counts by bucket, as far as there are any.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Sketch {
    /// The bucket that `counts` begins with.
    first: u8,
    counts: Vec<u32>,
}

impl Sketch {
    /// Counts one duration.
    pub(crate) fn add(&mut self, nanoseconds: u64) {
        self.add_to(bucket(nanoseconds), 1);
    }

    /// Adds what another has counted.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (bucket, count) in other.buckets() {
            self.add_to(bucket, count);
        }
    }

    /// The bucket and count of each bucket that was hit.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (u8, u32)> {
        (self.first..=u8::MAX)
            .zip(self.counts.iter().copied())
            .filter(|(_, count)| *count > 0)
    }

    /// The number of the first bucket, and the counts from it on.
    pub(crate) fn dense(&self) -> (u8, &[u32]) {
        (self.first, &self.counts)
    }

    /// Adds to a bucket by its number; one that does not exist counts as the last.
    pub(crate) fn add_to(&mut self, bucket: u8, count: u32) {
        let bucket = bucket.min(127);
        if self.counts.is_empty() {
            self.first = bucket;
        }
        while bucket < self.first {
            self.counts.insert(0, 0);
            self.first = self.first.saturating_sub(1);
        }
        let place = usize::from(bucket.saturating_sub(self.first));
        if place >= self.counts.len() {
            self.counts.resize(place.saturating_add(1), 0);
        }
        if let Some(sum) = self.counts.get_mut(place) {
            *sum = sum.saturating_add(count);
        }
    }

    /// The duration in nanoseconds that `percent` of all are not above.
    pub(crate) fn percentile(&self, percent: u64) -> u64 {
        let all: u64 = self.counts.iter().map(|count| u64::from(*count)).sum();
        let rank = all.saturating_mul(percent).div_ceil(100).max(1);
        let mut seen: u64 = 0;
        for (bucket, count) in self.buckets() {
            seen = seen.saturating_add(u64::from(count));
            if seen >= rank {
                return middle(bucket);
            }
        }
        0
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.counts.capacity().saturating_mul(size_of::<u32>())
    }
}

fn bucket(nanoseconds: u64) -> u8 {
    let microseconds = nanoseconds.checked_div(1000).unwrap_or(0).max(1);
    let doubling = microseconds.ilog2();
    // The leading digits, as 1024ths between one power of two and the next.
    let mantissa = u128::from(microseconds).wrapping_shl(10) >> doubling;
    let quarter = BEGINS
        .iter()
        .filter(|begin| mantissa >= u128::from(**begin));
    let quarter = u32::try_from(quarter.count()).unwrap_or(0);
    let bucket = doubling
        .saturating_mul(PER_DOUBLING)
        .saturating_add(quarter);
    let last = u32::try_from(BUCKETS).unwrap_or(0).saturating_sub(1);
    u8::try_from(bucket.min(last)).unwrap_or(u8::MAX)
}

fn middle(bucket: u8) -> u64 {
    let bucket = u32::from(bucket);
    let doubling = bucket.checked_div(PER_DOUBLING).unwrap_or(0);
    let quarter = bucket.checked_rem(PER_DOUBLING).unwrap_or(0) as usize;
    let mantissa = MIDDLES.get(quarter).copied().unwrap_or(1024);
    let scaled = mantissa.checked_shl(doubling).unwrap_or(u64::MAX);
    scaled.saturating_mul(1000) >> 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_a_tenth_of_the_true_ones() {
        for (scale, count) in [(10_000_u64, 1000_u64), (1_700_000, 777), (90_000_000, 5000)] {
            let mut sketch = Sketch::default();
            (1..=count).for_each(|n| sketch.add(n * scale));
            for percent in [50, 95, 99] {
                let truth = (count * percent).div_ceil(100) * scale;
                let found = sketch.percentile(percent);
                let off = found.abs_diff(truth) as f64 / truth as f64;
                assert!(off <= 0.092, "{percent}: {found}, not {truth}");
            }
            assert!(sketch.heap_bytes() <= 1024);
        }
    }

    #[test]
    fn what_is_merged_equals_what_is_counted_together() {
        let (mut one, mut other, mut both) = Default::default();
        let sketches: [&mut Sketch; 3] = [&mut one, &mut other, &mut both];
        for n in [5_000, 70_000_000, 2_000, 900_000, u64::MAX, 0] {
            sketches[usize::from(n % 7 > 2)].add(n);
            sketches[2].add(n);
        }
        one.merge(&other);
        assert_eq!(
            one.buckets().collect::<Vec<_>>(),
            both.buckets().collect::<Vec<_>>()
        );
    }
}
