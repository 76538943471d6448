//! Counters from point to point: how much they have grown, and how fast.
//!
//! A rate is what Prometheus' `irate` makes of the last two points: the increase over the time between
//! them. A counter that has fallen began anew, so that all it shows is increase.

use super::point::Point;
use crate::bounded::{Bounded, Entry, Words};

/// Counters whose last point is remembered, over all servers.
const MOST: usize = 16_384;
/// Points further apart give no rate.
const LONGEST_GAP_NANOSECONDS: u64 = 300_000_000_000;
const NANOSECONDS_PER_SECOND: f64 = 1e9;

/// A counter's last point.
#[derive(Clone, Copy, Debug)]
struct Last {
    start: u64,
    time: u64,
    value: f64,
}

impl Entry for Last {
    fn to_words(self) -> Words {
        [self.start, self.time, self.value.to_bits()]
    }

    fn from_words([start, time, value]: Words) -> Self {
        Self {
            start,
            time,
            value: f64::from_bits(value),
        }
    }
}

/// The last point of each counter.
#[derive(Debug)]
pub(crate) struct Counters {
    last: Bounded<Last>,
    newest: u64,
    /// When it was last looked for those that have ended.
    swept: u64,
}

impl Counters {
    pub(crate) const fn new() -> Self {
        Self {
            last: Bounded::new(MOST),
            newest: 0,
            swept: 0,
        }
    }

    /// Increase per second up to this point. None at first, after a long gap, for a point that is not
    /// newer than the last, and where the counter's start moved although it has not fallen: then who
    /// reports it has begun anew, not the counter.
    pub(crate) fn rate(&mut self, counter: u64, point: &Point<'_>, value: f64) -> Option<f64> {
        let now = Last {
            start: point.start,
            time: point.time,
            value,
        };
        self.newest = self.newest.max(now.time);
        let Some(before) = self.last.get(counter) else {
            self.remember(counter, now);
            return None;
        };
        let gap = now.time.checked_sub(before.time).filter(|gap| *gap > 0)?;
        self.last.set(counter, now);
        let increase = if now.value < before.value {
            now.value
        } else if now.start == before.start {
            now.value - before.value
        } else {
            return None;
        };
        (gap <= LONGEST_GAP_NANOSECONDS).then(|| increase / seconds(gap))
    }

    fn remember(&mut self, counter: u64, now: Last) {
        if self.last.set(counter, now) || self.swept == self.newest {
            return;
        }
        self.swept = self.newest;
        let oldest = self.newest.saturating_sub(LONGEST_GAP_NANOSECONDS);
        self.last.retain(|last| last.time >= oldest);
        self.last.set(counter, now);
    }
}

/// Increase per second of a point that says its increase since its start.
pub(crate) fn rate_of_delta(point: &Point<'_>, value: f64) -> Option<f64> {
    let length = point.time.checked_sub(point.start)?;
    (point.start > 0 && length > 0).then(|| value / seconds(length))
}

fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / NANOSECONDS_PER_SECOND
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn at(start: u64, seconds: u64) -> Point<'static> {
        Point {
            start,
            time: seconds.saturating_mul(SECOND),
            ..Point::default()
        }
    }

    #[test]
    fn a_rate_is_the_increase_over_the_time_between_two_points() {
        let mut counters = Counters::new();
        let mut rate = |start, time, value| counters.rate(1, &at(start, time), value);
        assert_eq!(rate(0, 10, 100.0), None, "the first");
        assert_eq!(rate(0, 20, 150.0), Some(5.0));
        assert_eq!(rate(0, 20, 170.0), None, "not newer");
        assert_eq!(rate(0, 15, 170.0), None, "older");
        assert_eq!(rate(0, 30, 150.0), Some(0.0));
        assert_eq!(rate(0, 40, 20.0), Some(2.0), "began anew");
        assert_eq!(rate(7, 50, 30.0), None, "who reports it began anew");
        assert_eq!(rate(9, 60, 10.0), Some(1.0), "both did");
        assert_eq!(rate(9, 361, 1000.0), None, "too long after");
        assert_eq!(rate(9, 371, 1010.0), Some(1.0));
    }

    #[test]
    fn counters_that_have_ended_make_room_and_others_do_not() {
        let mut counters = Counters::new();
        let most = MOST as u64;
        for counter in 0..most {
            counters.rate(counter, &at(0, 10), 1.0);
        }
        counters.rate(most, &at(0, 20), 1.0);
        assert_eq!(counters.rate(most, &at(0, 30), 2.0), None, "no room");
        assert_eq!(counters.rate(0, &at(0, 30), 2.0), Some(0.05));
        counters.rate(most, &at(0, 320), 2.0);
        assert_eq!(counters.rate(most, &at(0, 330), 12.0), Some(1.0));
        assert_eq!(counters.rate(0, &at(0, 330), 302.0), Some(1.0));
    }
}
