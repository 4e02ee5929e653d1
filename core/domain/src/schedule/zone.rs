//! Times of a zone's clock and the instants that they are, where clocks are put forward and back.
//!
//! The rules come from the tz database that is built in, never from the machine: two nodes that disagreed about a zone would
//! fire the same schedule at different instants, and the ids of the fires could not show that they are one.

use std::sync::LazyLock;

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};

use super::calendar::{Calendar, DAY_MINUTES};
use crate::time::civil_from_days;

static DATABASE: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// Within so many seconds a clock is not put forward and back again.
const ONE_CHANGE_AT_MOST_S: i64 = 2 * 86_400;

/// A time zone. Instants are seconds since the epoch, local minutes are numbered as in [`super::calendar`].
#[derive(Clone, Debug)]
pub(super) struct Zone(TimeZone);

/// The instants at which a clock shows a minute.
enum Shown {
    Once(i64),
    /// Never: the clock is put forward over it, at this instant.
    Skipped(i64),
    /// Twice; this is the first.
    Twice(i64),
}

impl Zone {
    /// The zone of this IANA name.
    pub(super) fn named(name: &str) -> Option<Self> {
        DATABASE.get(name).ok().map(Self)
    }

    fn offset(&self, instant: i64) -> i64 {
        i64::from(self.0.to_offset(timestamp(instant)).seconds())
    }

    /// The minute that the clock shows.
    pub(super) fn minute_at(&self, instant: i64) -> i64 {
        (instant + self.offset(instant)).div_euclid(60)
    }

    fn shown(&self, minute: i64) -> Shown {
        let at = |offset: jiff::tz::Offset| minute * 60 - i64::from(offset.seconds());
        match self.0.to_ambiguous_timestamp(civil(minute)).offset() {
            AmbiguousOffset::Unambiguous { offset } => Shown::Once(at(offset)),
            AmbiguousOffset::Fold { before, .. } => Shown::Twice(at(before)),
            AmbiguousOffset::Gap { before, .. } => {
                // With the clock left as it was, this minute would come at the change or after it.
                let unchanged = at(before);
                let change = self.0.preceding(timestamp(unchanged + 1)).next();
                Shown::Skipped(change.map_or(unchanged, |change| change.timestamp().as_second()))
            }
        }
    }

    /// The first instant after `after` of times of day that are meant as such: one that is skipped comes when the clock is
    /// put forward, one that comes twice counts once, the first time.
    pub(super) fn next_of_fixed(&self, calendar: &Calendar, after: i64) -> Option<i64> {
        let mut from = self.minute_at(after);
        loop {
            let minute = calendar.next(from)?;
            let (Shown::Once(instant) | Shown::Skipped(instant) | Shown::Twice(instant)) = self.shown(minute);
            if instant > after {
                return Some(instant);
            }
            from = minute + 1;
        }
    }

    /// The first instant after `after` at which the clock shows a minute of the calendar: what it skips is left out, what it
    /// shows twice counts twice.
    pub(super) fn next_shown(&self, calendar: &Calendar, after: i64) -> Option<i64> {
        let mut since = after;
        let mut from = self.minute_at(after) + 1;
        loop {
            let offset = self.offset(since);
            let instant = calendar.next(from)? * 60 - offset;
            if instant - since < ONE_CHANGE_AT_MOST_S && self.offset(instant) == offset {
                return Some(instant);
            }
            let change = self.0.following(timestamp(since)).next().map(|change| change.timestamp().as_second());
            match change {
                Some(change) if change <= instant => {
                    since = change;
                    from = (change + self.offset(change) + 59).div_euclid(60);
                }
                _ => return Some(instant),
            }
        }
    }
}

fn timestamp(seconds: i64) -> jiff::Timestamp {
    let range = jiff::Timestamp::MIN.as_second()..=jiff::Timestamp::MAX.as_second();
    jiff::Timestamp::from_second(seconds.clamp(*range.start(), *range.end())).unwrap_or(jiff::Timestamp::MAX)
}

fn civil(minute: i64) -> DateTime {
    let (year, month, day) = civil_from_days(minute.div_euclid(DAY_MINUTES));
    let of_day = minute.rem_euclid(DAY_MINUTES);
    let part = |value: i64| i8::try_from(value).unwrap_or(i8::MAX);
    DateTime::new(
        i16::try_from(year).unwrap_or(i16::MAX),
        part(month),
        part(day),
        part(of_day / 60),
        part(of_day % 60),
        0,
        0,
    )
    .unwrap_or(DateTime::MAX)
}
