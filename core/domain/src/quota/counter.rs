//! Counters of windows: each knows the newest window that it has counted in, and how much.
//!
//! A counter never goes back: what comes with an older time counts in the newest window. So the counts do not depend on
//! clocks that disagree by a little, and a counter that has filled windows ahead (for what waits) needs no list of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::scope::Scope;
use crate::time::Timestamp;

/// A window of time: from its start up to, not including, its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Where it begins.
    pub start: Timestamp,
    /// Where the next one begins.
    pub end: Timestamp,
}

impl Window {
    /// The window of this length that holds `at`; windows are counted from 1970-01-01 UTC. A length of zero counts as a
    /// microsecond.
    pub fn at(at: Timestamp, length: Duration) -> Self {
        let length = i64::try_from(length.as_micros()).unwrap_or(i64::MAX).max(1);
        let start = at.0.div_euclid(length).saturating_mul(length);
        Self { start: Timestamp(start), end: Timestamp(start.saturating_add(length)) }
    }

    /// The window after this one.
    pub fn next(self) -> Self {
        let length = self.end.0.saturating_sub(self.start.0);
        Self { start: self.end, end: Timestamp(self.end.0.saturating_add(length)) }
    }
}

/// How much is used of the newest window that was counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// The window.
    pub window: Window,
    /// How much of it is used.
    pub used: u64,
    /// The oldest journal record without which it can't be known.
    pub seq: u64,
}

/// Counters with their names.
pub type Named = Vec<(String, Counter)>;

/// The counters of a partition, by customer and name.
#[derive(Debug, Default)]
pub struct Counters {
    customers: HashMap<Arc<Scope>, HashMap<Box<str>, Counter>>,
}

impl Counters {
    /// What is used of the window that holds `at`, and that window: a later one if this counter is ahead.
    pub fn used(&self, scope: &Scope, name: &str, at: Timestamp, length: Duration) -> (Window, u64) {
        let present = Window::at(at, length);
        match self.customers.get(scope).and_then(|counters| counters.get(name)) {
            Some(counter) if counter.window.start >= present.start => (counter.window, counter.used),
            _ => (present, 0),
        }
    }

    /// The first window, at or after the one that holds `at`, in which less than `limit` is used.
    pub fn room(&self, scope: &Scope, name: &str, at: Timestamp, length: Duration, limit: u64) -> Window {
        let (window, used) = self.used(scope, name, at, length);
        if used < limit { window } else { window.next() }
    }

    /// Counts one in `window`. An older window than the newest counts in the newest.
    pub fn count(&mut self, scope: &Arc<Scope>, name: &str, window: Window, seq: u64) {
        self.set(scope, name, window, 1, seq, true);
    }

    /// Takes what a snapshot says.
    pub fn restore(&mut self, scope: &Arc<Scope>, name: &str, window: Window, used: u64, seq: u64) {
        self.set(scope, name, window, used, seq, false);
    }

    fn set(&mut self, scope: &Arc<Scope>, name: &str, window: Window, used: u64, seq: u64, add: bool) {
        let counters = match self.customers.get_mut(scope) {
            Some(counters) => counters,
            None => self.customers.entry(Arc::clone(scope)).or_default(),
        };
        let Some(counter) = counters.get_mut(name) else {
            counters.insert(Box::from(name), Counter { window, used, seq });
            return;
        };
        if window.start > counter.window.start {
            *counter = Counter { window, used, seq };
        } else if add {
            counter.used = counter.used.saturating_add(used);
        } else if window.start == counter.window.start {
            // A snapshot says what the records before it came to, so it never says less than is known.
            counter.used = counter.used.max(used);
            counter.seq = seq;
        }
    }

    /// Forgets the counters of a customer, and gives their names and windows in a fixed order.
    pub fn forget(&mut self, scope: &Scope) -> Named {
        let mut gone: Named = self
            .customers
            .remove(scope)
            .unwrap_or_default()
            .into_iter()
            .map(|(name, one)| (name.into(), one))
            .collect();
        gone.sort_by(|(a, _), (b, _)| a.cmp(b));
        gone
    }

    /// Forgets one counter, if it has counted in no window after this one.
    pub fn forget_one(&mut self, scope: &Scope, name: &str, window: Window) {
        let Some(counters) = self.customers.get_mut(scope) else { return };
        if counters.get(name).is_some_and(|counter| counter.window.start <= window.start) {
            counters.remove(name);
        }
    }

    /// Forgets windows that ended before `over`, and gives the counters of the others that only records below `seq` tell,
    /// by customer, in a fixed order. They count as told by record `next` on, one record a customer.
    pub fn say_again(&mut self, seq: u64, next: u64, over: Timestamp) -> Vec<(Arc<Scope>, Named)> {
        self.customers.retain(|_, counters| {
            counters.retain(|_, counter| counter.window.end > over);
            !counters.is_empty()
        });
        let mut old: Vec<&Arc<Scope>> = self.customers.keys().collect();
        old.sort_unstable();
        let old: Vec<Arc<Scope>> = old.into_iter().cloned().collect();
        let mut said = Vec::new();
        for scope in old {
            let Some(counters) = self.customers.get_mut(&scope) else { continue };
            let at = next + said.len() as u64;
            let mut entries = Vec::new();
            for (name, counter) in counters.iter_mut().filter(|(_, counter)| counter.seq < seq) {
                counter.seq = at;
                entries.push((name.to_string(), *counter));
            }
            if !entries.is_empty() {
                entries.sort_by(|(a, _), (b, _)| a.cmp(b));
                said.push((scope, entries));
            }
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn scope() -> Arc<Scope> {
        Arc::new(Scope::parse("acc", "c").unwrap())
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1_000_000)
    }

    /// Property: windows are those of the calendar, before the epoch too, and follow each other without gaps.
    #[test]
    fn windows_of_the_calendar() {
        let window = Window::at(at(61), MINUTE);
        assert_eq!((window.start, window.end), (at(60), at(120)));
        assert_eq!(window.next().start, at(120));
        assert_eq!(Window::at(at(-1), MINUTE).start, at(-60));
        let day = Window::at(crate::time::parse_rfc3339("2024-02-29T23:59:59Z").unwrap(), super::super::DAY);
        assert_eq!(day.end.to_string(), "2024-03-01T00:00:00.000Z");
    }

    /// Property: what waits fills one window after the other, and none beyond its limit.
    #[test]
    fn room_moves_on() {
        let (mut counters, scope) = (Counters::default(), scope());
        let mut filled: HashMap<i64, u32> = HashMap::new();
        for _ in 0..25 {
            let window = counters.room(&scope, "m", at(5), MINUTE, 10);
            counters.count(&scope, "m", window, 1);
            *filled.entry(window.start.0 / 1_000_000).or_default() += 1;
        }
        assert_eq!(filled, HashMap::from([(0, 10), (60, 10), (120, 5)]));
        assert_eq!(counters.used(&scope, "m", at(30), MINUTE), (Window::at(at(120), MINUTE), 5));
        assert_eq!(counters.used(&scope, "m", at(180), MINUTE).1, 0);
    }

    /// Property: a snapshot of the counters and what came after it make the same counters; windows that are over go.
    #[test]
    fn snapshots_stand_for_what_was_counted() {
        let (mut counters, scope) = (Counters::default(), scope());
        let window = Window::at(at(5), MINUTE);
        (2..9).for_each(|seq| counters.count(&scope, "m", window, seq));
        counters.count(&scope, "old", Window::at(at(5), Duration::from_secs(1)), 7);
        assert!(counters.say_again(2, 9, at(0)).is_empty(), "no record before 2 is needed");
        let said = counters.say_again(3, 9, at(6));
        assert_eq!(said.len(), 1);
        assert!(counters.say_again(9, 10, at(6)).is_empty(), "record 9 says it all");
        let mut again = Counters::default();
        for (name, counter) in &said[0].1 {
            again.restore(&scope, name, counter.window, counter.used, 9);
        }
        again.count(&scope, "m", window, 10);
        assert_eq!(again.used(&scope, "m", at(5), MINUTE), (window, 8));
        assert_eq!(again.used(&scope, "old", at(5), Duration::from_secs(1)).1, 0);
    }
}
