//! Metrics that are as they are now, and not counted over a window.
//!
//! - **Dead letters** are counted by the store, which knows which were replayed and which expired; but only after the journal
//!   told of an end or a replay that may have changed their number, and once the projector has written that. So the store is
//!   asked in proportion to what changes, and at a slow pace besides, for those that expire.
//! - **Lag** is the age of the first event that no record has admitted: the log has it, the journal does not.
//! - **Quota use** is counted in `quota_use.rs`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use fastn_contract::activity::ExecutionStatus;
use fastn_contract::alert::AlertMetric;
use fastn_domain::catalog::CompiledAlert;
use fastn_domain::event::COMMAND_TYPE;
use fastn_domain::ids::AccountId;
use fastn_domain::journal::JournalRecord;
use fastn_domain::partition::partition_of;
use fastn_domain::scope::{Reach, Scope};
use fastn_domain::time::Timestamp;
use fastn_log::codec::decode_event;
use fastn_log::{LogErrorKind, Offset, Partition, Topic};

use super::AlertParts;
use super::engine::Engine;
use super::evaluator::EvaluateError;
use super::quota_use::QuotaUse;
use crate::follower::Follower;

/// How often dead letters are counted though nothing was told of them: they expire.
const COUNT_ANYWAY: Duration = Duration::from_secs(600);
/// Lag is not judged for so long after a start: whoever was started with it has not had time to admit what waited.
const LAG_GRACE: Duration = Duration::from_secs(30);
/// Commands that are passed over to find the first event that waits: one to nobody is never admitted.
const COMMANDS_MAX: usize = 64;

/// See the head of this file.
pub(super) struct Gauges {
    started: Timestamp,
    /// Partitions in which dead letters may have changed.
    changed: HashSet<Partition>,
    counted: Option<Timestamp>,
    /// The first offset of each partition's events that no record has admitted, as far as known.
    admitted: HashMap<Partition, Offset>,
    quota_use: QuotaUse,
}

impl Gauges {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            started: now,
            changed: HashSet::new(),
            counted: None,
            admitted: HashMap::new(),
            quota_use: QuotaUse::default(),
        }
    }

    /// Rules changed: everything is measured anew.
    pub(super) fn look_again(&mut self) {
        self.counted = None;
        self.quota_use.look_again();
    }

    /// Part of the journal was gone before it was read.
    pub(super) fn hole(&mut self) {
        self.quota_use.forget();
    }

    /// Takes what a record says.
    pub(super) fn take(&mut self, partition: Partition, record: &JournalRecord) {
        self.quota_use.take(record);
        let replays =
            |starts: &[fastn_domain::journal::NewExecution]| starts.iter().any(|start| start.replay_of.is_some());
        match record {
            JournalRecord::Admitted(record) => {
                if let Some(last) = record.events.last() {
                    self.admit(partition, last.offset + 1);
                }
                if record.events.iter().any(|event| replays(&event.executions)) {
                    self.changed.insert(partition);
                }
            }
            JournalRecord::Finished(record)
                if matches!(record.status, ExecutionStatus::Failed | ExecutionStatus::Timeout) =>
            {
                self.changed.insert(partition);
            }
            JournalRecord::Checkpoint(record) => self.admit(partition, record.events_next),
            _ => {}
        }
    }

    fn admit(&mut self, partition: Partition, next: Offset) {
        let known = self.admitted.entry(partition).or_default();
        *known = (*known).max(next);
    }

    /// Measures what rules ask for.
    pub(super) async fn measure(
        &mut self,
        parts: &AlertParts,
        engine: &mut Engine,
        followers: &[Follower],
        now: Timestamp,
    ) -> Result<(), EvaluateError> {
        if engine.measures(AlertMetric::DeadLetterDepth) {
            self.count_dead_letters(parts, engine, followers, now).await?;
        }
        if engine.measures(AlertMetric::Lag) && now.since(self.started) >= LAG_GRACE {
            self.measure_lag(parts, engine, now).await?;
        }
        if engine.measures(AlertMetric::QuotaUse) {
            self.quota_use.measure(parts, engine, followers, now).await?;
        } else {
            self.quota_use.forget();
        }
        Ok(())
    }

    async fn count_dead_letters(
        &mut self,
        parts: &AlertParts,
        engine: &mut Engine,
        followers: &[Follower],
        now: Timestamp,
    ) -> Result<(), EvaluateError> {
        let stale = self.counted.is_none_or(|counted| now.since(counted) >= COUNT_ANYWAY);
        if self.changed.is_empty() && !stale {
            return Ok(());
        }
        for follower in followers.iter().filter(|follower| self.changed.contains(&follower.partition)) {
            if parts.store.projected(follower.partition).await? < follower.position().next {
                // The rows are not there yet; they are looked for at the next turn.
                return Ok(());
            }
        }
        for (key, rule) in engine.gauge_rules() {
            if rule.spec.metric == AlertMetric::DeadLetterDepth {
                let reach = reach_of(&key.0, &rule);
                let depth = parts.store.pending_dead_letters(&reach, rule.spec.workflow.as_deref()).await?;
                engine.measure(&key, depth as f64, None);
            }
        }
        self.changed.clear();
        self.counted = Some(now);
        Ok(())
    }

    async fn measure_lag(
        &mut self,
        parts: &AlertParts,
        engine: &mut Engine,
        now: Timestamp,
    ) -> Result<(), EvaluateError> {
        let partitions = parts.log.partitions();
        let mut lags: BTreeMap<Partition, Duration> = BTreeMap::new();
        for (key, rule) in engine.gauge_rules() {
            if rule.spec.metric != AlertMetric::Lag {
                continue;
            }
            let looked_at = match reach_of(&key.0, &rule) {
                Reach::Customer(scope) => {
                    let partition = partition_of(&scope, partitions);
                    partition..partition + 1
                }
                Reach::Account(_) => 0..partitions,
            };
            let mut longest = Duration::ZERO;
            for partition in looked_at {
                let lag = match lags.get(&partition) {
                    Some(lag) => *lag,
                    None => {
                        let lag = self.lag_of(parts, partition, now).await?;
                        lags.insert(partition, lag);
                        lag
                    }
                };
                longest = longest.max(lag);
            }
            engine.measure(&key, longest.as_secs_f64() * 1_000.0, None);
        }
        Ok(())
    }

    /// For how long the first event of a partition that is not admitted has waited.
    async fn lag_of(
        &mut self,
        parts: &AlertParts,
        partition: Partition,
        now: Timestamp,
    ) -> Result<Duration, EvaluateError> {
        let end = parts.log.bounds(Topic::Events, partition).await?.end;
        let from = match self.admitted.get(&partition) {
            Some(next) => *next,
            // Nothing was admitted since this evaluator reads: what is there now is taken to be.
            None => {
                self.admitted.insert(partition, end);
                end
            }
        };
        if from >= end {
            return Ok(Duration::ZERO);
        }
        let read = match parts.log.read(Topic::Events, partition, from, COMMANDS_MAX, 1 << 20).await {
            Err(error) if error.kind == LogErrorKind::Trimmed => return Ok(Duration::ZERO),
            read => read?,
        };
        let is_event = |value: &[u8]| decode_event(value).is_ok_and(|event| event.kind != COMMAND_TYPE);
        let waits = read.iter().find(|record| is_event(&record.value));
        Ok(waits.map_or(Duration::ZERO, |record| now.since(record.timestamp)))
    }
}

fn reach_of(account: &AccountId, rule: &CompiledAlert) -> Reach {
    match &rule.customer {
        Some(customer) => Reach::Customer(Scope::new(account.clone(), customer.clone())),
        None => Reach::Account(account.clone()),
    }
}
