//! Our clock against the brokers', with every acknowledged append: the broker stamped it between our asking and its answer.
//!
//! Clocks that differ break no promise of the log. But windows of deduplication run on the brokers' time and deadlines on
//! ours, so an operator should know.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::observe;

/// More than this is told.
const SKEW_MS_MAX: i64 = 2_000;
/// At most once in this time.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// See the head comment.
#[derive(Default)]
pub(crate) struct Clocks {
    looked: Mutex<Option<Instant>>,
}

impl Clocks {
    /// `stamped_ms` is the broker's time of an append that was asked for `ago`.
    pub(crate) fn compare(&self, stamped_ms: i64, ago: Duration) {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        if looked.is_some_and(|looked| looked.elapsed() < TELL_EVERY) {
            return;
        }
        *looked = Some(Instant::now());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let skew_ms = skew_ms(stamped_ms, now, i64::try_from(ago.as_millis()).unwrap_or(i64::MAX));
        observe::clock_skew(skew_ms, skew_ms.abs() > SKEW_MS_MAX);
    }
}

/// How far the broker's clock is ahead at least; negative if it is behind.
fn skew_ms(stamped: i64, now: i64, ago: i64) -> i64 {
    let asked = now.saturating_sub(ago);
    if stamped > now {
        stamped - now
    } else if stamped < asked {
        stamped - asked
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: a stamp between asking and answer is no skew; one outside is, by what it is outside.
    #[test]
    fn skew_is_what_lies_outside() {
        assert_eq!(skew_ms(1_000, 1_050, 100), 0);
        assert_eq!(skew_ms(1_060, 1_050, 100), 10);
        assert_eq!(skew_ms(900, 1_050, 100), -50);
    }
}
