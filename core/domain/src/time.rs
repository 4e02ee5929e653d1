//! Instants as microseconds since the Unix epoch, and the seam through which code reads the clock.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A UTC instant in microseconds since the Unix epoch. Stored as a 64-bit integer in the log and in SQL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The instant `ms` milliseconds after the epoch.
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms.saturating_mul(1_000))
    }

    /// Whole milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// This instant moved forward by `by`, saturating at the end of time.
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }

    /// The time from `earlier` to this instant; zero when `earlier` is later.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// RFC 3339 in UTC with millisecond precision, e.g. `2026-11-24T13:34:42.123Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.as_millis();
        let (days, ms_of_day) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
        let (year, month, day) = civil_from_days(days);
        let (hour, minute) = (ms_of_day / 3_600_000, ms_of_day / 60_000 % 60);
        let (second, milli) = (ms_of_day / 1_000 % 60, ms_of_day % 1_000);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
    }
}

/// Parses RFC 3339 (`2026-11-24T13:34:42.123456Z`, or with a numeric offset). Leap seconds count as the second before.
pub fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    if bytes.len() < 20 || !text.is_ascii() {
        return None;
    }
    let number = |from: usize, to: usize| -> Option<i64> {
        let part = text.get(from..to)?;
        part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok())?
    };
    let separators = bytes[4] == b'-'
        && bytes[7] == b'-'
        && matches!(bytes[10], b'T' | b't' | b' ')
        && bytes[13] == b':'
        && bytes[16] == b':';
    if !separators {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let in_range = (1..=12).contains(&month) && hour < 24 && minute < 60 && second <= 60;
    if !in_range || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    let (fraction_us, zone_at) = parse_fraction(text)?;
    let offset_s = parse_offset(text.get(zone_at..)?)?;
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second.min(59) - offset_s;
    Some(Timestamp(seconds * 1_000_000 + fraction_us))
}

fn parse_fraction(text: &str) -> Option<(i64, usize)> {
    if text.as_bytes()[19] != b'.' {
        return Some((0, 19));
    }
    let digits: &str = text[20..].split(|c: char| !c.is_ascii_digit()).next()?;
    if digits.is_empty() {
        return None;
    }
    let micros: String = digits.chars().chain("000000".chars()).take(6).collect();
    Some((micros.parse().ok()?, 20 + digits.len()))
}

fn parse_offset(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let bytes = zone.as_bytes();
    if bytes.len() != 6 || bytes[3] != b':' {
        return None;
    }
    let sign = match bytes[0] {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits = |from: usize| -> Option<i64> {
        let part = &zone[from..from + 2];
        part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok())?
    };
    let (hours, minutes) = (digits(1)?, digits(4)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
}

pub(crate) fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a proleptic Gregorian date, counted in eras of 400 years that begin on 1 March.
pub(crate) fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The inverse of [`days_from_civil`].
pub(crate) fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Ends when a clock that somebody moves has come to an instant.
pub type Alarm = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where code reads the time. Two implementations: the system's clock, and the virtual one of tests.
pub trait Clock: Send + Sync {
    /// The current instant. Never assumed to be monotone across calls on different nodes.
    fn now(&self) -> Timestamp;

    /// What to wait for until `at`, on a clock that does not go with real time. Nothing: sleep for as long as it is until
    /// then.
    fn alarm(&self, _at: Timestamp) -> Option<Alarm> {
        None
    }
}

/// What a task tells of its work, for whoever moves the clock: it is at it, or rests until an instant or until something
/// comes. One that says that it rests has done all that was due, under the configuration that it names.
#[derive(Debug)]
pub struct Agenda {
    next: AtomicI64,
    revision: AtomicU64,
}

impl Default for Agenda {
    fn default() -> Self {
        Self { next: AtomicI64::new(i64::MIN), revision: AtomicU64::new(0) }
    }
}

impl Agenda {
    /// There is work, and it is being done.
    pub fn works(&self) {
        self.next.store(i64::MIN, Ordering::Release);
    }

    /// All is done until `next`, or until something comes; `revision` is the configuration that was followed.
    pub fn rests(&self, next: Option<Timestamp>, revision: u64) {
        self.revision.store(revision, Ordering::Release);
        self.next.store(next.map_or(i64::MAX, |next| next.0), Ordering::Release);
    }

    /// When there is work next: at once while it is at it.
    pub fn next(&self) -> Timestamp {
        Timestamp(self.next.load(Ordering::Acquire))
    }

    /// Whether it rests at `now`, under the configuration `revision` or a newer one.
    pub fn is_resting(&self, now: Timestamp, revision: u64) -> bool {
        self.next() > now && self.revision.load(Ordering::Acquire) >= revision
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: printing and parsing are inverse at millisecond precision, across leap days and before the epoch.
    #[test]
    fn display_and_parse_round_trip() {
        for ms in [0, -1, 951_782_400_000, 1_709_164_800_123, 4_107_542_399_999, -62_135_596_800_000] {
            let instant = Timestamp::from_millis(ms);
            assert_eq!(parse_rfc3339(&instant.to_string()), Some(instant), "{instant}");
        }
        assert_eq!(Timestamp::from_millis(1_709_164_800_123).to_string(), "2024-02-29T00:00:00.123Z");
    }

    /// Property: offsets shift to UTC, and impossible dates are refused.
    #[test]
    fn parse_offsets_and_refuse_nonsense() {
        assert_eq!(parse_rfc3339("2026-11-24T15:00:00+02:00"), parse_rfc3339("2026-11-24T13:00:00Z"));
        for bad in [
            "2023-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-24",
            "2026-11-24T00:00:00",
            "2026-11-24T00:00:00.Z",
        ] {
            assert_eq!(parse_rfc3339(bad), None, "{bad}");
        }
    }
}
