//! The times of the log: read in the zone they were written in, written in UTC.
//!
//! The server writes `2026-11-23 03:34:37.123 CET` (`setup_formatted_log_time` of `elog.c`): local
//! time in `log_timezone`, and the zone's abbreviation, of which some stand for several zones.

use std::collections::BTreeMap;

use crate::scan::{before, behind, digits, number};

/// Minutes east of UTC of abbreviations that stand for one offset in every zone of the time zone
/// database since 2015. Not here, since they do not: CDT, CST, IST and PST.
const ABBREVIATIONS: &[(&str, i16)] = &[
    ("ACDT", 630),
    ("ACST", 570),
    ("ADT", -180),
    ("AEDT", 660),
    ("AEST", 600),
    ("AKDT", -480),
    ("AKST", -540),
    ("AST", -240),
    ("AWST", 480),
    ("BST", 60),
    ("CAT", 120),
    ("CEST", 120),
    ("CET", 60),
    ("ChST", 600),
    ("EAT", 180),
    ("EDT", -240),
    ("EEST", 180),
    ("EET", 120),
    ("EST", -300),
    ("GMT", 0),
    ("HDT", -540),
    ("HKT", 480),
    ("HST", -600),
    ("IDT", 180),
    ("JST", 540),
    ("KST", 540),
    ("MDT", -360),
    ("MEST", 120),
    ("MET", 60),
    ("MSK", 180),
    ("MST", -420),
    ("NDT", -150),
    ("NST", -210),
    ("NZDT", 780),
    ("NZST", 720),
    ("PDT", -420),
    ("PKT", 300),
    ("SAST", 120),
    ("SST", -660),
    ("UCT", 0),
    ("UTC", 0),
    ("WAT", 60),
    ("WEST", 60),
    ("WET", 0),
    ("WIB", 420),
    ("WIT", 540),
    ("WITA", 480),
    ("Z", 0),
    ("Zulu", 0),
];

/// Why a time could not be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TimeError {
    /// It does not look like one.
    Malformed,
    /// The zone's abbreviation is not known, or stands for more than one zone.
    UnknownZone,
}

/// Offsets of the zones whose abbreviations the log may show.
#[derive(Clone, Debug, Default)]
pub struct Zones {
    configured: Vec<(Box<str>, i16)>,
}

impl Zones {
    /// Zones by their abbreviations, with offsets such as `+05:30` or `UTC`.
    ///
    /// # Errors
    /// The abbreviation whose offset is none.
    pub fn with(offsets: &BTreeMap<String, String>) -> Result<Self, String> {
        let mut zones = Self::default();
        for (name, offset) in offsets {
            let signed = offset.starts_with(['+', '-']) || offset == "UTC";
            let minutes = zones.minutes(offset.as_bytes()).filter(|_| signed);
            zones.insert(name, minutes.ok_or_else(|| name.clone())?);
        }
        Ok(zones)
    }

    /// Knows `abbreviation` as `minutes` east of UTC, whatever it is known as without.
    pub fn insert(&mut self, abbreviation: &str, minutes: i16) {
        self.configured.push((abbreviation.into(), minutes));
    }

    /// Minutes east of UTC of an abbreviation, or of an offset such as `+05:30` or `-03`.
    #[must_use]
    pub fn minutes(&self, zone: &[u8]) -> Option<i16> {
        if zone == b"UTC" {
            return Some(0);
        }
        let mut configured = self.configured.iter().rev();
        if let Some((_, minutes)) = configured.find(|(name, _)| name.as_bytes() == zone) {
            return Some(*minutes);
        }
        match zone.split_first()? {
            (b'+', rest) => offset(rest),
            (b'-', rest) => offset(rest).map(i16::wrapping_neg),
            _ => {
                let found = ABBREVIATIONS
                    .binary_search_by(|(name, _)| name.as_bytes().cmp(zone))
                    .ok()?;
                ABBREVIATIONS.get(found).map(|(_, minutes)| *minutes)
            }
        }
    }
}

/// `05`, `0530` or `05:30` in minutes.
fn offset(text: &[u8]) -> Option<i16> {
    let (hours, rest) = text.split_at_checked(2)?;
    let rest = rest.strip_prefix(b":").unwrap_or(rest);
    let minutes = if rest.is_empty() { 0 } else { number(rest)? };
    if rest.len() != 2 && !rest.is_empty() {
        return None;
    }
    let total = number(hours)?.saturating_mul(60).saturating_add(minutes);
    i16::try_from(total).ok().filter(|total| *total < 24 * 60)
}

/// A moment, with the precision the log had.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timestamp {
    /// Seconds since 1970-01-01 00:00:00 UTC.
    pub seconds: i64,
    /// Thousandths of a second, if the log has them.
    pub milliseconds: Option<u16>,
}

impl Timestamp {
    /// Reads what `%t`, `%m`, `%s` and `%n` print, what csvlog and jsonlog have, and RFC 3339.
    pub fn parse(text: &[u8], zones: &Zones) -> Result<Self, TimeError> {
        if digits(text) > 4 {
            return epoch(text).ok_or(TimeError::Malformed);
        }
        let (local, zone) = local(text).ok_or(TimeError::Malformed)?;
        let minutes = zones.minutes(zone).ok_or(TimeError::UnknownZone)?;
        Ok(Self {
            seconds: local
                .seconds
                .wrapping_sub(i64::from(minutes).wrapping_mul(60)),
            ..local
        })
    }

    /// Nanoseconds since 1970-01-01 00:00:00 UTC.
    #[must_use]
    pub fn nanoseconds(self) -> i64 {
        let milliseconds = i64::from(self.milliseconds.unwrap_or(0));
        self.seconds
            .saturating_mul(1_000_000_000)
            .saturating_add(milliseconds.saturating_mul(1_000_000))
    }

    /// Writes it as RFC 3339 in UTC, such as `2026-11-23T03:34:37.123Z`.
    pub fn write(self, out: &mut Vec<u8>) {
        let day = self.seconds.div_euclid(86_400);
        let second = self.seconds.rem_euclid(86_400).unsigned_abs();
        let (year, month, day) = civil(day);
        padded(out, year, 4);
        out.push(b'-');
        padded(out, month, 2);
        out.push(b'-');
        padded(out, day, 2);
        out.push(b'T');
        padded(out, second / 3600, 2);
        out.push(b':');
        padded(out, second / 60 % 60, 2);
        out.push(b':');
        padded(out, second % 60, 2);
        if let Some(milliseconds) = self.milliseconds {
            out.push(b'.');
            padded(out, u64::from(milliseconds), 3);
        }
        out.push(b'Z');
    }
}

/// The longest time in UTC, in bytes: `2026-11-23T03:34:37.123Z`.
pub(crate) const LONGEST_UTC: usize = 24;

/// `2026-11-23 03:34`, as it stands in a log, if it was found to be one: that of the next line is the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Minute(u128);

impl Default for Minute {
    fn default() -> Self {
        Self(u128::from_le_bytes(*b"2000-01-01 00:00"))
    }
}

impl Minute {
    /// What [`Timestamp::write`] makes of a text in UTC such as the server writes it, without taking it apart.
    /// `None` if it is another one.
    #[inline]
    pub(crate) fn utc<'b>(
        &mut self,
        text: &[u8],
        buffer: &'b mut [u8; LONGEST_UTC],
    ) -> Option<&'b [u8]> {
        let local = text.strip_suffix(b" UTC")?;
        let minute = local.first_chunk()?;
        if self.0 != u128::from_le_bytes(*minute) {
            if !is_minute(minute) {
                return None;
            }
            self.0 = u128::from_le_bytes(*minute);
        }
        match behind(local, 16) {
            [b':', b'0'..=b'5', b'0'..=b'9'] => {}
            [b':', b'0'..=b'5', b'0'..=b'9', b'.', rest @ ..] if is_milliseconds(rest) => {}
            _ => return None,
        }
        let utc = buffer.get_mut(..=local.len())?;
        let (zone, time) = utc.split_last_mut()?;
        time.copy_from_slice(local);
        *time.get_mut(10)? = b'T';
        *zone = b'Z';
        Some(utc)
    }
}

fn is_milliseconds(digits: &[u8]) -> bool {
    matches!(digits, [b'0'..=b'9', b'0'..=b'9', b'0'..=b'9'])
}

/// Whether this is a minute of a day that each month has.
fn is_minute(text: &[u8; 16]) -> bool {
    let within = |from: usize, least: &[u8; 2], most: &[u8; 2]| {
        let part = behind(text, from).first_chunk::<2>();
        part.is_some_and(|part| (least..=most).contains(&part))
    };
    let day = text.first_chunk();
    let rest = text.last_chunk();
    day.is_some_and(|day| fits(day, b"0000-00-"))
        && rest.is_some_and(|rest| fits(rest, b"00 00:00") || fits(rest, b"00T00:00"))
        && within(5, b"01", b"12")
        && within(8, b"01", b"28")
        && within(11, b"00", b"23")
        && within(14, b"00", b"59")
}

/// The length of a time at the beginning of `text`, its zone included, and whether it has
/// milliseconds; the zone is letters, or a sign and digits.
pub(crate) fn shape(text: &[u8]) -> Option<(usize, bool)> {
    let clock = clock_length(text)?;
    let fraction = fraction_length(behind(text, clock));
    let at = clock.saturating_add(fraction);
    let zone = behind(text, at).strip_prefix(b" ")?;
    let length = zone_length(zone)?;
    let end = at.saturating_add(1).saturating_add(length);
    Some((end, fraction > 0))
}

/// Where the zone stands behind a time to the second or to the millisecond that `text` begins with.
pub(crate) fn zone_at(text: &[u8]) -> Option<usize> {
    let clock = clock_length(text)?;
    match text.get(clock)? {
        b' ' => Some(20),
        _ => fits(behind(text, 16).first_chunk()?, b":00.000 ").then_some(24),
    }
}

/// Whether `text` begins with a date and a time.
pub(crate) fn clock(text: &[u8]) -> bool {
    clock_length(text).is_some()
}

/// 19, if `text` begins with `2026-11-23 03:34:37` (or a `T` in the middle).
fn clock_length(text: &[u8]) -> Option<usize> {
    let fits = |from: usize, pattern: &[u8; 8]| {
        let word = behind(text, from).first_chunk();
        word.is_some_and(|word| fits(word, pattern))
    };
    let fits = fits(0, b"0000-00-")
        && (fits(8, b"00 00:00") || fits(8, b"00T00:00"))
        && fits(11, b"00:00:00");
    fits.then_some(19)
}

/// Whether eight bytes are digits where the pattern has `0`, and as the pattern elsewhere.
#[inline]
fn fits(bytes: &[u8; 8], pattern: &[u8; 8]) -> bool {
    // Of a byte that fits, at most this much is left when the pattern is taken off.
    let most = pattern.map(|byte| if byte == b'0' { 0x76 } else { 0x7f });
    let odd = u64::from_le_bytes(*bytes) ^ u64::from_le_bytes(*pattern);
    (odd.wrapping_add(u64::from_le_bytes(most)) | odd) & 0x8080_8080_8080_8080 == 0
}

fn fraction_length(text: &[u8]) -> usize {
    match text.strip_prefix(b".").map(digits) {
        None | Some(0) => 0,
        Some(digits) => digits.saturating_add(1),
    }
}

fn zone_length(zone: &[u8]) -> Option<usize> {
    let first = zone.first()?;
    if first.is_ascii_alphabetic() {
        let letters = zone.iter().take_while(|byte| byte.is_ascii_alphabetic());
        return Some(letters.count());
    }
    if !matches!(first, b'+' | b'-') {
        return None;
    }
    let hours = digits(behind(zone, 1));
    let length = hours.saturating_add(1);
    let rest = behind(zone, length);
    let minutes = rest.strip_prefix(b":").map_or(0, digits);
    match (hours, minutes) {
        (2, 2) => Some(length.saturating_add(3)),
        (2 | 4, _) => Some(length),
        _ => None,
    }
}

/// Date and time as if in UTC, and the zone behind them.
fn local(text: &[u8]) -> Option<(Timestamp, &[u8])> {
    let clock = clock_length(text)?;
    let part = |from: usize, to: usize| text.get(from..to).and_then(number);
    let fraction = behind(text, clock);
    let length = fraction_length(fraction);
    let milliseconds = match length {
        0 => None,
        _ => Some(thousandths(before(
            behind(fraction, 1),
            length.wrapping_sub(1).min(3),
        ))?),
    };
    let zone = behind(fraction, length);
    let days = days(part(0, 4)?, part(5, 7)?, part(8, 10)?)?;
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    if hour > 24 || minute > 59 || second > 60 {
        return None;
    }
    let second = hour
        .wrapping_mul(3600)
        .wrapping_add(minute.wrapping_mul(60))
        .wrapping_add(second);
    let seconds = days.wrapping_mul(86_400).wrapping_add_unsigned(second);
    let zone = zone.strip_prefix(b" ").unwrap_or(zone);
    Some((
        Timestamp {
            seconds,
            milliseconds,
        },
        zone,
    ))
}

/// `1`, `12` or `123` behind a point, in thousandths.
fn thousandths(digits: &[u8]) -> Option<u16> {
    let scale = match digits.len() {
        1 => 100,
        2 => 10,
        _ => 1,
    };
    u16::try_from(number(digits)?.wrapping_mul(scale)).ok()
}

/// What `%n` prints: seconds since 1970, a point, milliseconds.
fn epoch(text: &[u8]) -> Option<Timestamp> {
    let whole = digits(text);
    let fraction = behind(text, whole);
    let milliseconds = match fraction.split_first() {
        None => None,
        Some((b'.', digits)) if !digits.is_empty() => Some(thousandths(before(digits, 3))?),
        Some(_) => return None,
    };
    let seconds = i64::try_from(number(before(text, whole))?).ok()?;
    // Beyond the year 9999 no RFC 3339 can follow.
    (seconds < 253_402_300_800).then_some(Timestamp {
        seconds,
        milliseconds,
    })
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. Years begin in March here, so that the
/// leap day is the last of a year.
fn days(year: u64, month: u64, day: u64) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = i64::try_from(year).ok()?.wrapping_sub(i64::from(month < 3));
    let months = month.wrapping_add(9) % 12;
    let in_year = months.wrapping_mul(153).wrapping_add(2) / 5;
    let days = year
        .wrapping_mul(365)
        .wrapping_add(year.div_euclid(4))
        .wrapping_sub(year.div_euclid(100))
        .wrapping_add(year.div_euclid(400))
        .wrapping_add_unsigned(in_year)
        .wrapping_add_unsigned(day);
    // The first of March of the year 0 is day 1 here and 719,468 days before 1970.
    Some(days.wrapping_sub(719_469))
}

/// The reverse: year, month and day. Years before 0 and behind 9999 are not asked for.
fn civil(days: i64) -> (u64, u64, u64) {
    let days = days.wrapping_add(719_468).max(0).unsigned_abs();
    let era = days / 146_097;
    let in_era = days % 146_097;
    let year = in_era
        .wrapping_sub(in_era / 1460)
        .wrapping_add(in_era / 36_524)
        .wrapping_sub(in_era / 146_096)
        / 365;
    let in_year = in_era
        .wrapping_sub(year.wrapping_mul(365))
        .wrapping_sub(year / 4)
        .wrapping_add(year / 100);
    let months = in_year.wrapping_mul(5).wrapping_add(2) / 153;
    let day = in_year
        .wrapping_sub(months.wrapping_mul(153).wrapping_add(2) / 5)
        .wrapping_add(1);
    let month = if months < 10 {
        months.wrapping_add(3)
    } else {
        months.wrapping_sub(9)
    };
    let year = year
        .wrapping_add(era.wrapping_mul(400))
        .wrapping_add(u64::from(month < 3));
    (year, month, day)
}

fn padded(out: &mut Vec<u8>, value: u64, width: u32) {
    let mut divisor = 10_u64.wrapping_pow(width.saturating_sub(1));
    while divisor > 0 {
        let digit = value.checked_div(divisor).unwrap_or(0) % 10;
        out.push(b'0' | u8::try_from(digit).unwrap_or(0));
        divisor /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> Result<String, TimeError> {
        let mut out = Vec::new();
        Timestamp::parse(text.as_bytes(), &Zones::default())?.write(&mut out);
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn times_are_written_in_utc_with_the_precision_they_had() {
        for (text, expected) in [
            ("2026-11-23 03:34:37.123 UTC", "2026-11-23T03:34:37.123Z"),
            ("2026-11-23 03:34:37 UTC", "2026-11-23T03:34:37Z"),
            ("2026-03-01 00:30:00 CET", "2026-02-28T23:30:00Z"),
            ("2024-02-29 23:59:59.999 EST", "2024-03-01T04:59:59.999Z"),
            ("2026-01-01 00:00:00 +0545", "2025-12-31T18:15:00Z"),
            ("2026-01-01 00:00:00 -03", "2026-01-01T03:00:00Z"),
            ("2026-01-01T00:00:00.5Z", "2026-01-01T00:00:00.500Z"),
            ("1763868877.042", "2025-11-23T03:34:37.042Z"),
        ] {
            assert_eq!(utc(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_minute_that_was_read_before_is_written_as_any_other() {
        let mut minute = Minute::default();
        for text in [
            "2026-11-23 03:34:37.123 UTC",
            "2026-11-23 03:34:38 UTC",
            "2026-11-23T03:34:38.5 UTC",
            "2026-11-23 03:34:60 UTC",
            "2026-11-23 03:34:3x UTC",
            "2026-11-23 03:34:37 CET",
            "2026-11-23 03:35:37.123UTC",
            "2026-11-30 03:34:37.123 UTC",
            "2026-11-00 03:34:37.123 UTC",
            "2026-00-23 03:34:37.123 UTC",
            "2026-11-23 24:34:37.123 UTC",
            "2026-11-23 03:60:37.123 UTC",
            "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0:37.123 UTC",
        ] {
            for _ in 0..2 {
                let mut buffer = [0; LONGEST_UTC];
                if let Some(seen) = minute.utc(text.as_bytes(), &mut buffer) {
                    let seen = String::from_utf8(seen.to_vec()).unwrap();
                    assert_eq!(Ok(seen), utc(text), "{text}");
                }
            }
        }
        let mut buffer = [0; LONGEST_UTC];
        let known = minute.utc(b"2026-11-23 03:34:37.123 UTC", &mut buffer);
        assert!(known.is_some());
    }

    #[test]
    fn a_zone_that_may_be_several_is_not_guessed() {
        assert_eq!(utc("2026-11-23 03:34:37 IST"), Err(TimeError::UnknownZone));
        let mut zones = Zones::default();
        zones.insert("IST", 330);
        let time = Timestamp::parse(b"1970-01-01 05:30:01 IST", &zones).unwrap();
        assert_eq!(time.seconds, 1);
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "x",
            "2026-13-01 00:00:00 UTC",
            "2026-11-23",
            "99999999999999999999.1",
        ] {
            assert_eq!(utc(text), Err(TimeError::Malformed), "{text}");
        }
    }

    #[test]
    fn every_day_of_four_centuries_comes_back() {
        for day in -100_000..100_000 {
            let (year, month, date) = civil(day);
            assert_eq!(days(year, month, date), Some(day));
        }
    }

    #[test]
    fn abbreviations_are_in_order_so_that_they_are_found() {
        assert!(ABBREVIATIONS.is_sorted_by(|one, other| one.0.as_bytes() < other.0.as_bytes()));
    }
}
