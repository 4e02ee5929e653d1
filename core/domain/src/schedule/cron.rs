//! Cron expressions of five fields: minute, hour, day of month, month, day of week.
//!
//! `*`, numbers, names of months and days, ranges, lists and steps, as crontab(5) has them. If both day fields are
//! restricted, one of the two is enough; a field that begins with `*` does not restrict. A range does not wrap around.

use super::calendar::{ALL_DAYS, Calendar, Days};

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
/// Longest expression that is read.
const EXPRESSION_BYTES_MAX: usize = 256;

/// An expression that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cron {
    /// What it names.
    pub(super) calendar: Calendar,
    /// Whether it goes with the clock, hour by hour or minute by minute: it then leaves out what the clock skips and repeats
    /// what the clock repeats.
    pub(super) follows_clock: bool,
    /// The expression with single spaces, in lower case.
    pub(super) text: String,
}

/// The values that a field may have, and their names.
struct Field {
    name: &'static str,
    low: u32,
    high: u32,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", low: 0, high: 59, names: &[] },
    Field { name: "hour", low: 0, high: 23, names: &[] },
    Field { name: "day of month", low: 1, high: 31, names: &[] },
    Field { name: "month", low: 1, high: 12, names: &MONTHS },
    Field { name: "day of week", low: 0, high: 7, names: &WEEKDAYS },
];

/// Reads an expression.
///
/// # Errors
/// What is wrong, naming the field.
pub(super) fn parse(expression: &str) -> Result<Cron, String> {
    if expression.len() > EXPRESSION_BYTES_MAX {
        return Err(format!("is longer than {EXPRESSION_BYTES_MAX} bytes"));
    }
    let text = expression.to_ascii_lowercase();
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    let [minute, hour, of_month, month, of_week] = fields[..] else {
        return Err(format!("has {} fields; cron has five: minute hour day-of-month month day-of-week", fields.len()));
    };
    let bits = |at: usize, text| FIELDS[at].parse(text);
    let weekdays = bits(4, of_week)?;
    // Sunday is 0 and 7.
    let weekdays = (weekdays | weekdays >> 7) & 0x7f;
    let open = |text: &str| text.starts_with('*');
    let days = Days::Cron {
        of_month: bits(2, of_month)? as u32 & ALL_DAYS,
        of_week: weekdays as u8,
        either: !open(of_month) && !open(of_week),
    };
    let calendar =
        Calendar { minutes: bits(0, minute)?, hours: bits(1, hour)? as u32, months: bits(3, month)? as u16, days };
    Ok(Cron { calendar, follows_clock: open(minute) || open(hour), text: fields.join(" ") })
}

impl Field {
    fn parse(&self, text: &str) -> Result<u64, String> {
        let mut bits = 0;
        for part in text.split(',') {
            bits |= self.part(part).ok_or_else(|| {
                format!(
                    "the field {} has {text:?}, where {part:?} is not understood; use *, {}-{}, lists, ranges and steps",
                    self.name, self.low, self.high
                )
            })?;
        }
        Ok(bits)
    }

    fn part(&self, part: &str) -> Option<u64> {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(number(step).filter(|step| *step > 0)?)),
            None => (part, None),
        };
        let (low, high) = match (range, range.split_once('-')) {
            ("*", _) => (self.low, self.high),
            (_, Some((low, high))) => (self.value(low)?, self.value(high)?),
            (one, None) => {
                let one = self.value(one)?;
                (one, if step.is_some() { self.high } else { one })
            }
        };
        if low > high {
            return None;
        }
        Some((low..=high).step_by(step.unwrap_or(1) as usize).fold(0, |bits, value| bits | 1 << value))
    }

    fn value(&self, text: &str) -> Option<u32> {
        let named = self.names.iter().position(|name| *name == text).map(|at| at as u32 + self.low);
        named.or_else(|| number(text)).filter(|value| (self.low..=self.high).contains(value))
    }
}

fn number(text: &str) -> Option<u32> {
    (!text.is_empty() && text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: expressions that mean the same read the same.
    #[test]
    fn equal_meanings() {
        for (a, b) in [
            ("0 9 * * 1-5", "0 9 * * MON-FRI"),
            ("0 9 * * 0", "0 9 * * 7"),
            ("0 9 * * 5-7", "0 9 * * 0,5,6"),
            ("*/15 * * * *", "0,15,30,45 * * * *"),
            ("5/20 * * * *", "5,25,45 * * * *"),
            ("0 0 1 jan,jul *", "0 0 1 1,7 *"),
            ("10-20/5 * * * *", "10,15,20 * * * *"),
        ] {
            assert_eq!(parse(a).unwrap().calendar, parse(b).unwrap().calendar, "{a} and {b}");
        }
    }

    /// Property: what is no expression is refused with the field that is wrong.
    #[test]
    fn refuses_nonsense() {
        for (bad, named) in [
            ("", "0 fields"),
            ("* * * *", "4 fields"),
            ("0 0 * * * *", "6 fields"),
            ("60 * * * *", "minute"),
            ("* 24 * * *", "hour"),
            ("* * 0 * *", "day of month"),
            ("* * * 13 *", "month"),
            ("* * * * 8", "day of week"),
            ("*/0 * * * *", "minute"),
            ("5-1 * * * *", "minute"),
            ("1,,2 * * * *", "minute"),
            ("* * * * fri-mon", "day of week"),
            ("-1 * * * *", "minute"),
            ("@daily", "1 fields"),
        ] {
            let message = parse(bad).unwrap_err();
            assert!(message.contains(named), "{bad:?}: {message}");
        }
    }
}
