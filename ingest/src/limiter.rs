//! The fast refusal: how much of a window each caller has used on this node. `governor` counts; this keeps one of its
//! limiters for each caller and limit, for as long as its window lasts.
//!
//! A window is one of the calendar, as admission has them. Within one, a limiter gives exactly its limit: it fills up again
//! only after the length of the window. What this node does not know (other nodes, an earlier process) it does not count,
//! so nothing durable may rest on it.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fastn_domain::Timestamp;
use fastn_domain::quota::Window;
use governor::clock::DefaultClock;
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

/// Callers that are counted at once. Beyond it, whoever comes new is let through uncounted: memory is bounded, and admission
/// counts exactly.
const BUCKETS_MAX: usize = 100_000;

type Cells = RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>;

/// Counts what callers use of their windows.
#[derive(Default)]
pub struct Limiter {
    buckets: Mutex<HashMap<(Box<str>, &'static str), Bucket>>,
}

struct Bucket {
    window: Window,
    limit: u32,
    cells: Cells,
    left: u32,
}

impl Limiter {
    /// Takes up to `count` of what `whose` may use under `name` in the window of `length` that holds `now`: what is left
    /// after it, or nothing if it was used up before. A request that is larger than what is left takes what is there.
    pub fn take(
        &self,
        whose: &str,
        name: &'static str,
        limit: u64,
        length: Duration,
        now: Timestamp,
        count: u32,
    ) -> Option<u64> {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let window = Window::at(now, length);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (Box::from(whose), name);
        if buckets.len() >= BUCKETS_MAX && !buckets.contains_key(&key) {
            buckets.retain(|_, bucket| bucket.window.end > now);
            if buckets.len() >= BUCKETS_MAX {
                return Some(u64::from(limit));
            }
        }
        let most = NonZeroU32::new(limit)?;
        let bucket = buckets.entry(key).or_insert_with(|| Bucket::new(window, most, length, 0));
        if bucket.window.start < window.start {
            *bucket = Bucket::new(window, most, length, 0);
        } else if bucket.limit != limit {
            let used = bucket.limit - bucket.left;
            *bucket = Bucket::new(bucket.window, most, length, used);
        }
        bucket.take(count).map(u64::from)
    }

    /// How many callers are counted.
    pub fn len(&self) -> usize {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether nobody is counted.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl std::fmt::Debug for Limiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limiter").field("callers", &self.len()).finish()
    }
}

impl Bucket {
    fn new(window: Window, limit: NonZeroU32, length: Duration, used: u32) -> Self {
        let period = length.max(Duration::from_secs(1));
        let quota = Quota::with_period(period).expect("the period is not zero").allow_burst(limit);
        let cells = RateLimiter::direct(quota).with_middleware::<StateInformationMiddleware>();
        let mut bucket = Self { window, limit: limit.get(), cells, left: limit.get() };
        if used > 0 {
            let _all_of_it = bucket.take(used);
        }
        bucket
    }

    /// What is left after taking up to `count`; nothing when there was nothing.
    fn take(&mut self, count: u32) -> Option<u32> {
        let wanted = NonZeroU32::new(count.min(self.left))?;
        match self.cells.check_n(wanted) {
            Ok(Ok(state)) => {
                self.left = (self.left - wanted.get()).min(state.remaining_burst_capacity());
                Some(self.left)
            }
            _ => {
                self.left = 0;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1_000_000)
    }

    /// Property: a window gives exactly its limit to each caller, and the next one gives it again.
    #[test]
    fn exactly_the_limit() {
        let limiter = Limiter::default();
        let passed =
            |whose: &str, now| (0..50).filter(|_| limiter.take(whose, "m", 20, MINUTE, now, 1).is_some()).count();
        assert_eq!(passed("a", at(1)), 20);
        assert_eq!(passed("b", at(1)), 20);
        assert_eq!(passed("a", at(59)), 0);
        assert_eq!(passed("a", at(60)), 20);
        assert_eq!(limiter.take("c", "m", 0, MINUTE, at(1), 1), None);
    }

    /// Property: a batch takes what is left; a raised limit gives the difference; what is left is told.
    #[test]
    fn batches_and_changes() {
        let limiter = Limiter::default();
        assert_eq!(limiter.take("a", "m", 20, MINUTE, at(1), 15), Some(5));
        assert_eq!(limiter.take("a", "m", 20, MINUTE, at(1), 1_000), Some(0));
        assert_eq!(limiter.take("a", "m", 20, MINUTE, at(1), 1), None);
        assert_eq!(limiter.take("a", "m", 25, MINUTE, at(1), 1), Some(4));
        assert_eq!(limiter.take("a", "m", 3, MINUTE, at(1), 1), None);
    }
}
