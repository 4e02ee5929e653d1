//! How much of their quotas customers use.
//!
//! Events count in the windows that their record names, so the journal says all. What was counted before the evaluator
//! began is read as a new owner of a partition reads it: from the newest believed checkpoint up to where the evaluator
//! stands. So nothing of it is saved, a restart knows what was used before it, and a rule that is made in the middle of a day
//! knows the whole day. What is limited in number is in the catalog.
//!
//! ```text
//!   executions[p]:  ──┬────────────────────────┬──────────▶
//!               recover_from     read once     │ taken as it comes
//!                                   where the evaluator stands
//! ```

use std::collections::HashMap;
use std::time::Duration;

use fastn_contract::alert::AlertMetric;
use fastn_contract::quota::{Dimension, Enforcement};
use fastn_contract::resource::Customer;
use fastn_domain::catalog::{AccountCatalog, CompiledAlert};
use fastn_domain::ids::{AccountId, CustomerId};
use fastn_domain::journal::JournalRecord;
use fastn_domain::quota::{DAY, Effective, MINUTE, Window};
use fastn_domain::scope::Scope;
use fastn_domain::time::Timestamp;
use fastn_log::{Log, LogResult, Topic};
use fastn_store::Position;

use super::AlertParts;
use super::engine::Engine;
use super::evaluator::EvaluateError;
use crate::follower::Follower;
use crate::processor::claim::Control;

/// The shortest time between two measurements: no rule is evaluated more often.
const MEASURE_EVERY: Duration = Duration::from_secs(1);

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct QuotaUse {
    /// What the journal says; nothing while no rule asks, and before the past was read.
    counted: Option<Counted>,
    measured: Option<Timestamp>,
}

impl QuotaUse {
    /// Rules changed.
    pub(super) fn look_again(&mut self) {
        self.measured = None;
    }

    /// What was counted is not known any more, or not asked for.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Takes what a record says.
    pub(super) fn take(&mut self, record: &JournalRecord) {
        if let Some(counted) = &mut self.counted {
            counted.take(record);
        }
    }

    /// Measures what rules ask for.
    pub(super) async fn measure(
        &mut self,
        parts: &AlertParts,
        engine: &mut Engine,
        followers: &[Follower],
        now: Timestamp,
    ) -> Result<(), EvaluateError> {
        if self.measured.is_some_and(|measured| now.since(measured) < MEASURE_EVERY) {
            return Ok(());
        }
        let counted = match &mut self.counted {
            Some(counted) => counted,
            None => self.counted.insert(Counted::read(parts.log.as_ref(), followers).await?),
        };
        counted.forget_before(now);
        let catalog = parts.catalog.borrow().clone();
        for (key, rule) in engine.gauge_rules() {
            if rule.spec.metric == AlertMetric::QuotaUse
                && let (Some(account), Some(dimension)) = (catalog.account(&key.0), rule.spec.dimension)
            {
                let (value, of) = counted.most(account, &key.0, &rule, dimension, now);
                engine.measure(&key, value, of);
            }
        }
        self.measured = Some(now);
        Ok(())
    }
}

/// What is used of one quota of events.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Used {
    /// The newest window that was counted in.
    start: Timestamp,
    used: u64,
    /// What was used of the window right before it.
    before: u64,
}

impl Used {
    /// Takes so many more of a window, or what a snapshot says was used of it in all.
    fn take(&mut self, window: Window, used: u64, in_all: bool) {
        let length = window.end.0.saturating_sub(window.start.0);
        let counted = |known: u64| if in_all { known.max(used) } else { known.saturating_add(used) };
        if window.start > self.start {
            let adjacent = self.start.0.saturating_add(length) == window.start.0;
            *self = Self { start: window.start, used, before: if adjacent { self.used } else { 0 } };
        } else if window.start == self.start {
            self.used = counted(self.used);
        } else if window.end == self.start {
            self.before = counted(self.before);
        }
    }

    /// What counts now: of a day what was used of it, of a minute also what was used of the one before, so that a burst at
    /// its end is seen.
    fn now(&self, limit: &Effective, length: Duration, now: Timestamp) -> u64 {
        let present = Window::at(now, length);
        // What queues has filled the windows before the one that it counts in.
        let ahead = self.start > present.start && limit.mode == Enforcement::Queue;
        let lately = length == MINUTE;
        if ahead {
            self.used.max(limit.limit)
        } else if self.start >= present.start {
            if lately { self.used.max(self.before) } else { self.used }
        } else if lately && Window::at(self.start, length).end == present.start {
            self.used
        } else {
            0
        }
    }
}

/// What customers used of their quotas of events, in days and in minutes.
#[derive(Debug, Default)]
struct Counted {
    accounts: HashMap<AccountId, HashMap<CustomerId, [Used; 2]>>,
}

impl Counted {
    /// What was counted before each of `followers` stands.
    async fn read(log: &dyn Log, followers: &[Follower]) -> LogResult<Self> {
        let mut counted = Self::default();
        for follower in followers {
            let (partition, end) = (follower.partition, follower.position().next);
            let start = match Control::read(log, partition, None).await?.believed {
                Some(checkpoint) => Position { next: checkpoint.recover_from, epoch: checkpoint.recover_epoch },
                None => Position { next: log.bounds(Topic::Executions, partition).await?.start, epoch: 0 },
            };
            let mut past = Follower::at(log, partition, start).await?;
            while past.position().next < end {
                let before = past.position().next;
                past.read_before(log, end).await?.records.iter().for_each(|record| counted.take(record));
                if past.position().next == before {
                    break;
                }
            }
        }
        Ok(counted)
    }

    fn take(&mut self, record: &JournalRecord) {
        match record {
            JournalRecord::Admitted(record) => {
                for event in &record.events {
                    for count in &event.counted {
                        let window = Window { start: count.from, end: count.to };
                        self.add(&event.scope, &count.counter, window, 1, false);
                    }
                }
            }
            JournalRecord::FlowSnapshot(record) => {
                for counter in &record.counters {
                    // The customer was erased.
                    if counter.used == 0 {
                        self.forget(&record.scope);
                        continue;
                    }
                    let window = Window { start: counter.from, end: counter.to };
                    self.add(&record.scope, &counter.counter, window, counter.used, true);
                }
            }
            _ => {}
        }
    }

    fn forget(&mut self, scope: &Scope) {
        if let Some(customers) = self.accounts.get_mut(&scope.account) {
            customers.remove(&scope.customer);
        }
    }

    /// Counts in a window; counters of other limits are passed over.
    fn add(&mut self, scope: &Scope, counter: &str, window: Window, used: u64, in_all: bool) {
        let events = [Dimension::EventsPerDay, Dimension::EventsPerMinute];
        let Some(at) = events.iter().position(|dimension| dimension.as_str() == counter) else { return };
        if !self.accounts.contains_key(&scope.account) {
            self.accounts.insert(scope.account.clone(), HashMap::new());
        }
        let Some(customers) = self.accounts.get_mut(&scope.account) else { return };
        match customers.get_mut(&scope.customer) {
            Some(known) => known[at].take(window, used, in_all),
            None => {
                let mut new = [Used::default(); 2];
                new[at].take(window, used, in_all);
                customers.insert(scope.customer.clone(), new);
            }
        }
    }

    /// Forgets customers who have used nothing lately.
    fn forget_before(&mut self, now: Timestamp) {
        let (today, minute) = (Window::at(now, DAY).start, Window::at(now, MINUTE).start);
        self.accounts.retain(|_, customers| {
            customers.retain(|_, [day, last]| {
                day.start >= today || (last.used > 0 && Window::at(last.start, MINUTE).next().end > minute)
            });
            !customers.is_empty()
        });
    }

    /// The largest share, in percent, that a customer of the rule uses of its limit, and whose it is. Where nobody is
    /// limited nothing is used.
    fn most(
        &self,
        account: &AccountCatalog,
        id: &AccountId,
        rule: &CompiledAlert,
        dimension: Dimension,
        now: Timestamp,
    ) -> (f64, Option<CustomerId>) {
        let events = self.accounts.get(id);
        let held = account.held_by_customers(dimension);
        let used = |customer: &CustomerId, limit: &Effective| {
            let of = |at: usize, length| {
                let known = events.and_then(|customers| customers.get(customer));
                known.map_or(0, |known| known[at].now(limit, length, now))
            };
            match dimension {
                Dimension::EventsPerDay => of(0, DAY),
                Dimension::EventsPerMinute => of(1, MINUTE),
                _ => held.get(customer).copied().unwrap_or(0),
            }
        };
        let share = |customer: &CustomerId, spec: &Customer| {
            let limit = account.limit(Some(spec), dimension)?;
            let used = used(customer, &limit);
            // Of nothing everything is used.
            let share = if limit.limit == 0 { 100.0 } else { 100.0 * used as f64 / limit.limit as f64 };
            Some((share, customer.clone()))
        };
        let one = rule.customer.as_ref();
        let customers = account.customers.iter().filter(|(customer, _)| one.is_none_or(|one| one == *customer));
        let shares = customers.filter_map(|(customer, spec)| share(customer, spec));
        // Of equals the first by name, so that every evaluation names the same.
        let most = shares.max_by(|(a, first), (b, second)| a.total_cmp(b).then_with(|| second.cmp(first)));
        most.map_or((0.0, None), |(share, customer)| (share, Some(customer)))
    }
}

#[cfg(test)]
mod tests {
    use fastn_contract::quota::QuotaSource;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1_000_000)
    }

    fn limit(mode: Enforcement) -> Effective {
        Effective { dimension: Dimension::EventsPerMinute, limit: 10, mode, source: QuotaSource::Customer }
    }

    /// Property: of a minute counts what is more, itself or the one before; a day counts alone; older ones are forgotten.
    #[test]
    fn a_minute_is_seen_for_a_minute_after_it() {
        let mut used = Used::default();
        let hard = limit(Enforcement::Hard);
        (0..4).for_each(|_| used.take(Window::at(at(119), MINUTE), 1, false));
        let seen = |used: &Used, seconds, length| used.now(&hard, length, at(seconds));
        assert_eq!((seen(&used, 119, MINUTE), seen(&used, 120, MINUTE), seen(&used, 179, MINUTE)), (4, 4, 4));
        assert_eq!(seen(&used, 180, MINUTE), 0);
        used.take(Window::at(at(121), MINUTE), 1, false);
        assert_eq!((seen(&used, 121, MINUTE), seen(&used, 180, MINUTE), seen(&used, 240, MINUTE)), (4, 1, 0));
        let mut day = Used::default();
        day.take(Window::at(at(86_399), DAY), 1, false);
        assert_eq!((seen(&day, 86_399, DAY), seen(&day, 86_400, DAY)), (1, 0));
    }

    /// Property: what a snapshot says is never added to what it says again, and what waits for a later window has filled
    /// the present one.
    #[test]
    fn snapshots_and_windows_ahead() {
        let mut used = Used::default();
        let window = Window::at(at(60), MINUTE);
        (0..3).for_each(|_| used.take(window, 1, false));
        used.take(window, 7, true);
        used.take(window, 5, true);
        used.take(window, 1, false);
        assert_eq!(used.now(&limit(Enforcement::Hard), MINUTE, at(61)), 8);
        used.take(window.next().next(), 2, false);
        assert_eq!(used.now(&limit(Enforcement::Queue), MINUTE, at(61)), 10);
    }
}
