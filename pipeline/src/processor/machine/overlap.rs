//! Overlap of a schedule's runs: what becomes of a fire while a run of an earlier one has not ended, by trigger and
//! customer.
//!
//! What is kept here is an index of the live executions of schedules, which the journal restores. A run that is cancelled
//! for a younger one ends in the journal before the record that admits that one: a crash between the two admits the event
//! again, and finds nothing to cancel.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use fastn_contract::resource::TriggerSource;
use fastn_contract::schedule::Overlap;
use fastn_domain::catalog::CompiledTrigger;
use fastn_domain::event::EventRecord;
use fastn_domain::ids::{ExecutionId, TriggerId};
use fastn_domain::journal::NewExecution;
use fastn_domain::schedule;
use fastn_domain::scope::Scope;

use super::execution::Execution;
use super::verdict::Verdict;
use super::{LoggedEvent, Machine};

/// The live executions of each schedule and customer. Sorted, so that a seed decides the order of cancellations.
#[derive(Debug, Default)]
pub(super) struct Overlaps(HashMap<(Arc<Scope>, TriggerId), BTreeSet<ExecutionId>>);

impl Overlaps {
    fn remove(&mut self, execution: &Execution) {
        let Some(trigger) = execution.run.trigger.as_ref().filter(|_| !self.0.is_empty()) else { return };
        let key = (Arc::clone(&execution.scope), trigger.clone());
        if let Some(live) = self.0.get_mut(&key) {
            live.remove(&execution.id);
            if live.is_empty() {
                self.0.remove(&key);
            }
        }
    }
}

impl Machine {
    /// What the schedule of `trigger` says of overlap; nothing if it is no schedule.
    fn overlap_of(&self, scope: &Scope, trigger: &TriggerId) -> Option<Overlap> {
        match &self.catalog.account(&scope.account)?.triggers.get(trigger)?.spec.source {
            TriggerSource::Schedule(schedule) => Some(schedule.overlap),
            _ => None,
        }
    }

    /// An execution is live from now on.
    pub(super) fn overlap_begins(&mut self, execution: &Execution) {
        let Some(trigger) = &execution.run.trigger else { return };
        if self.overlap_of(&execution.scope, trigger).is_some() {
            let key = (Arc::clone(&execution.scope), trigger.clone());
            self.overlaps.0.entry(key).or_default().insert(execution.id);
        }
    }

    /// See [`Machine::overlap_begins`], for one that the journal told of.
    pub(super) fn overlap_recalls(&mut self, id: ExecutionId) {
        if let Some(execution) = self.executions.remove(&id) {
            self.overlap_begins(&execution);
            self.executions.insert(id, execution);
        }
    }

    /// An execution has ended.
    pub(super) fn overlap_ends(&mut self, execution: &Execution) {
        self.overlaps.remove(execution);
    }

    /// Whether the fate of `event` depends on executions that were judged but not begun: they must begin first.
    pub(super) fn overlap_waits_for(&self, event: &EventRecord, begun: &[(NewExecution, LoggedEvent)]) -> bool {
        let Some(trigger) = event.trigger.as_ref().filter(|_| !begun.is_empty()) else { return false };
        matches!(self.overlap_of(&event.scope, trigger), Some(Overlap::Skip | Overlap::CancelOlder))
            && begun.iter().any(|(start, logged)| {
                start.trigger.as_ref() == Some(trigger)
                    && logged.event.as_ref().is_some_and(|earlier| earlier.scope == event.scope)
            })
    }

    /// Why a fire of `trigger` starts nothing: a run of an earlier one has not ended.
    pub(super) fn overlap_skips(&self, event: &EventRecord, trigger: &CompiledTrigger) -> Option<String> {
        let TriggerSource::Schedule(schedule) = &trigger.spec.source else { return None };
        // Each time of a backfill is to be made up for, so they take turns instead.
        if schedule.overlap != Overlap::Skip || event.trigger.as_ref() != Some(&trigger.id) || is_backfilled(event) {
            return None;
        }
        let live = *self.overlap_live(event, &trigger.id)?.first()?;
        Some(format!("skipped: {live}, a run of an earlier fire, has not ended"))
    }

    /// Changes what routing made of a schedule's event as its overlap policy says.
    pub(super) fn overlap_settles(&mut self, event: &EventRecord, verdict: &mut Verdict) {
        let Some(trigger) = event.trigger.as_ref().filter(|_| !verdict.executions.is_empty()) else { return };
        let Some(policy) = self.overlap_of(&event.scope, trigger) else { return };
        match policy {
            Overlap::Allow => {}
            Overlap::Queue => take_turns(event, trigger, verdict),
            Overlap::Skip | Overlap::CancelOlder if is_backfilled(event) => take_turns(event, trigger, verdict),
            // Routing has looked already.
            Overlap::Skip => {}
            Overlap::CancelOlder => {
                let older: Vec<ExecutionId> =
                    self.overlap_live(event, trigger).into_iter().flatten().copied().collect();
                for older in older {
                    self.cancel(older);
                }
            }
        }
    }

    fn overlap_live(&self, event: &EventRecord, trigger: &TriggerId) -> Option<&BTreeSet<ExecutionId>> {
        self.overlaps.0.get(&(Arc::new(event.scope.clone()), trigger.clone()))
    }
}

fn is_backfilled(event: &EventRecord) -> bool {
    event.subject.as_deref() == Some(schedule::BACKFILL)
}

/// One run of each workflow at a time, in the order of the events.
fn take_turns(event: &EventRecord, trigger: &TriggerId, verdict: &mut Verdict) {
    for start in &mut verdict.executions {
        let line = || format!("{}/{trigger}/overlap/{}/{}", event.scope.key(), start.workflow, start.environment);
        if start.sequence.is_none() {
            start.sequence = Some(line());
        }
    }
}
