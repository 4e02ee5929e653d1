//! The minutes that a calendar names, on a clock that never jumps. Zones and their changes of clock are not known here.
//!
//! A minute is a number: days since 1970-01-01 times 1,440, and the minute of the day.

use crate::time::{civil_from_days, days_in_month};

/// Minutes of a day.
pub(super) const DAY_MINUTES: i64 = 1_440;
/// How far it is looked ahead: 29 February on one day of the week comes again within 40 years.
const DAYS_AHEAD_MAX: i64 = 41 * 366;

/// Sets of minutes, hours, days and months, each a set of bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Calendar {
    /// Bits 0 to 59.
    pub(super) minutes: u64,
    /// Bits 0 to 23.
    pub(super) hours: u32,
    /// Bits 1 to 12.
    pub(super) months: u16,
    /// Which days.
    pub(super) days: Days,
}

/// Which days of the months that count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Days {
    /// As cron has it.
    Cron {
        /// Bits 1 to 31.
        of_month: u32,
        /// Bits 0 to 6, Sunday first.
        of_week: u8,
        /// Whether one of the two is enough.
        either: bool,
    },
    /// This day, or the last of a shorter month.
    OfMonth(i64),
    /// Each so many days, counted from a day.
    Every {
        /// How many.
        days: i64,
        /// A day that counts.
        from: i64,
    },
}

/// Every month.
pub(super) const ALL_MONTHS: u16 = 0x1ffe;
/// Every day of a month.
pub(super) const ALL_DAYS: u32 = 0xffff_fffe;
/// Every day of a week.
pub(super) const ALL_WEEKDAYS: u8 = 0x7f;

impl Calendar {
    /// At one time of day.
    pub(super) fn daily_at(minute: u32, days: Days) -> Self {
        Self { minutes: 1 << (minute % 60), hours: 1 << (minute / 60), months: ALL_MONTHS, days }
    }

    /// The first minute at `from` or after it; none if there is none within 41 years.
    pub(super) fn next(&self, from: i64) -> Option<i64> {
        let (mut day, mut minute) = (from.div_euclid(DAY_MINUTES), from.rem_euclid(DAY_MINUTES));
        let last = day + DAYS_AHEAD_MAX;
        while day <= last {
            let (year, month, of_month) = civil_from_days(day);
            if self.months & (1 << month) == 0 {
                day += days_in_month(year, month) - of_month + 1;
            } else {
                if self.days.hold(day, (year, month, of_month))
                    && let Some(at) = self.minute_from(minute)
                {
                    return Some(day * DAY_MINUTES + at);
                }
                day += 1;
            }
            minute = 0;
        }
        None
    }

    /// The first minute of a day at `minute` or after it.
    fn minute_from(&self, minute: i64) -> Option<i64> {
        let (hour, in_hour) = (minute / 60, minute % 60);
        let rest = self.minutes >> in_hour;
        if self.hours & (1 << hour) != 0 && rest != 0 {
            return Some(minute + i64::from(rest.trailing_zeros()));
        }
        let later = self.hours & !((2_u32 << hour) - 1);
        (later != 0).then(|| i64::from(later.trailing_zeros()) * 60 + i64::from(self.minutes.trailing_zeros()))
    }
}

impl Days {
    fn hold(&self, day: i64, (year, month, of_month): (i64, i64, i64)) -> bool {
        match self {
            Self::Cron { of_month: days, of_week, either } => {
                let by_month = days & (1 << of_month) != 0;
                let by_week = of_week & (1 << weekday(day)) != 0;
                if *either { by_month || by_week } else { by_month && by_week }
            }
            Self::OfMonth(wanted) => of_month == (*wanted).min(days_in_month(year, month)),
            Self::Every { days, from } => (day - from).rem_euclid(*days) == 0,
        }
    }
}

/// Sunday is 0; 1970-01-01 was a Thursday.
fn weekday(day: i64) -> i64 {
    (day + 4).rem_euclid(7)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::days_from_civil;

    fn midnight(year: i64, month: i64, day: i64) -> i64 {
        days_from_civil(year, month, day) * DAY_MINUTES
    }

    /// Property: a monthly day that a month does not have is its last, in leap years too.
    #[test]
    fn short_months_end_early() {
        let calendar = Calendar::daily_at(9 * 60, Days::OfMonth(31));
        let mut at = midnight(2028, 1, 1);
        let mut days = Vec::new();
        for _ in 0..12 {
            at = calendar.next(at).unwrap();
            days.push(civil_from_days(at / DAY_MINUTES).2);
            at += 1;
        }
        assert_eq!(days, [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]);
    }

    /// Property: the search finds a day that comes once in 28 years, and gives up on one that never comes.
    #[test]
    fn rare_and_impossible_days() {
        let leap_monday = Calendar {
            months: 1 << 2,
            ..Calendar::daily_at(0, Days::Cron { of_month: 1 << 29, of_week: 1 << 1, either: false })
        };
        let found = leap_monday.next(midnight(2024, 3, 1)).unwrap();
        assert_eq!(civil_from_days(found / DAY_MINUTES), (2044, 2, 29));
        let never = Calendar {
            months: 1 << 2,
            ..Calendar::daily_at(0, Days::Cron { of_month: 1 << 30, of_week: ALL_WEEKDAYS, either: false })
        };
        assert_eq!(never.next(0), None);
    }
}
