//! The log cleaner: it says again what only old records tell, so that recovery may start later. Recovery time then follows
//! what is live, not what has been.
//!
//! One round takes the older half of the records since the last checkpoint. Executions that begin there are said again as
//! snapshots, as are the old parts of the dedup window and of `fastn.state`; then a checkpoint closes the round. A round
//! starts once the journal has grown by twice what is live, so its cost is a constant share of what was appended.

use std::collections::HashMap;

use fastn_domain::Timestamp;
use fastn_domain::event::EventRecord;
use fastn_domain::ids::ExecutionId;
use fastn_domain::journal::{
    Checkpoint, CounterState, DedupSnapshot, FlowSnapshot, JournalRecord, Snapshot, StateSnapshot,
};

use super::execution::Phase;
use super::ops::Held;
use super::{Machine, Output};
use crate::processor::observe;

/// How much older the log time of an event may be than that of one before it: an hour.
const LOG_TIME_SLACK_US: i64 = 3_600_000_000;

/// Hashes in one record of the dedup window: about 1 MiB.
const DEDUP_CHUNK_MAX: usize = 65_536;

/// Where the cleaner stands.
#[derive(Debug, Default)]
pub(super) struct Cleaner {
    /// Recovery starts at this record.
    recover_from: u64,
    round: Option<Round>,
    /// A round is due once the journal is durable up to this record, however little it has grown: what lies before it is
    /// to go as soon as it is old.
    urged: Option<u64>,
}

#[derive(Debug)]
struct Round {
    /// Records before this one will not be needed any more.
    target: u64,
    todo: Vec<ExecutionId>,
    /// The readings under way: their numbers, and the last record that each will hold.
    loading: HashMap<ExecutionId, (u64, u64)>,
    /// How far events were admitted when the round was closed.
    closed_at: Option<u64>,
}

impl Cleaner {
    pub(super) fn begin_at(&mut self, recover_from: u64) {
        self.recover_from = recover_from;
    }

    /// Asks for a round that leaves nothing before record `seq` to recovery.
    pub(super) fn urge(&mut self, seq: u64) {
        self.urged = Some(seq);
    }

    /// Whether the cleaner asked for the past of `id`.
    pub(super) fn expects(&self, id: ExecutionId, load: u64) -> bool {
        self.round.as_ref().is_some_and(|round| round.loading.get(&id).is_some_and(|(number, _)| *number == load))
    }
}

impl Machine {
    pub(super) fn clean(&mut self) {
        if self.cleaner.round.is_none() {
            self.begin_round();
        }
        while let Some(round) = &mut self.cleaner.round {
            if round.closed_at.is_some() || round.loading.len() >= self.limits.clean_batch_max {
                return;
            }
            let target = round.target;
            let Some(id) = round.todo.pop() else {
                if round.loading.is_empty() {
                    self.close_round();
                }
                return;
            };
            let Some(execution) = self.executions.get(&id).filter(|execution| execution.records[0] < target) else {
                continue;
            };
            let needs_results = execution.results_in_log;
            let needs_input = execution.payload.is_none() && execution.event_offset.is_none();
            if needs_results || needs_input {
                let last = execution.last_record();
                let load = self.load(id);
                if let Some(round) = &mut self.cleaner.round {
                    round.loading.insert(id, (load, last));
                }
            } else {
                self.say_again(id);
            }
        }
    }

    fn begin_round(&mut self) {
        let since = self.next_seq - self.cleaner.recover_from;
        let threshold = self.limits.clean_records_min.max(2 * self.executions.len() as u64);
        let recover_from = self.cleaner.recover_from;
        self.cleaner.urged = self.cleaner.urged.filter(|seq| *seq > recover_from);
        let urged = self.cleaner.urged.filter(|seq| *seq <= self.durable);
        if since < threshold && urged.is_none() {
            return;
        }
        // What is not durable yet stays out of the round, so that its offsets are known.
        let target = urged.unwrap_or(self.cleaner.recover_from + since / 2).min(self.durable);
        self.cleaner.urged = self.cleaner.urged.filter(|seq| *seq > target);
        let old = self.executions.values().filter(|execution| execution.records[0] < target);
        let mut todo: Vec<ExecutionId> = old.map(|execution| execution.id).collect();
        todo.sort_unstable();
        #[cfg(feature = "sabotage")]
        if self.limits.sabotage == Some(super::Sabotage::ForgetfulCleaner) {
            todo.pop();
        }
        observe::cleaning(todo.len());
        self.cleaner.round = Some(Round { target, todo, loading: HashMap::new(), closed_at: None });
    }

    pub(super) fn on_loaded_for_cleaning(
        &mut self,
        id: ExecutionId,
        event: Option<(Timestamp, EventRecord)>,
        records: Vec<JournalRecord>,
    ) {
        let Some(round) = &mut self.cleaner.round else { return };
        let Some((_, last)) = round.loading.remove(&id) else { return };
        let Some(execution) = self.executions.get(&id) else { return };
        // It has gone on since: what was read is not its whole past any more.
        if execution.last_record() != last {
            round.todo.push(id);
            return;
        }
        self.take_in(id, event, records);
        self.say_again(id);
        let Some(execution) = self.executions.get_mut(&id) else { return };
        match execution.phase {
            // It woke while its past was being read for us: the same past serves it, if its event is part of it.
            Phase::Loading if execution.payload.is_some() => self.start_sandbox(id),
            Phase::Parked | Phase::Backoff => execution.leave_to_log(),
            _ => {}
        }
    }

    /// Appends all that is known of an execution. From then on this record alone rebuilds it.
    fn say_again(&mut self, id: ExecutionId) {
        let (epoch, now) = (self.epoch, self.now);
        let Some(execution) = self.executions.get(&id) else { return };
        let origin = match (execution.event_offset, &execution.payload) {
            (None, Some(payload)) => Some(payload.to_inline(Vec::new())),
            _ => None,
        };
        let snapshot = Snapshot {
            epoch,
            at: now,
            scope: (*execution.scope).clone(),
            start: execution.to_start(origin),
            event_offset: execution.event_offset,
            admitted: execution.admitted,
            status: execution.status(),
            attempt: execution.attempt,
            tier: execution.tier,
            ran_ms: u64::try_from(execution.ran_until(now).as_millis()).unwrap_or(u64::MAX),
            results: execution.results.clone(),
            waits: execution.waits().cloned().collect(),
            retry: execution.retry.as_deref().cloned(),
            reply_to: execution.reply_to.as_deref().cloned(),
        };
        let seq = self.append(JournalRecord::Snapshot(Box::new(snapshot)));
        if let Some(execution) = self.executions.get_mut(&id) {
            execution.journaled = execution.results.len();
            execution.effect_mark = execution.effect_mark.max(execution.journaled);
            execution.barrier = seq;
            execution.records = vec![seq];
        }
    }

    fn close_round(&mut self) {
        let (epoch, at) = (self.epoch, self.now);
        let Some(round) = &mut self.cleaner.round else { return };
        let events_next = self.events_next;
        round.closed_at = Some(events_next);
        let target = round.target;
        for (admitted, hashes) in self.dedup.say_again(target, self.next_seq, DEDUP_CHUNK_MAX) {
            self.append(JournalRecord::DedupSnapshot(DedupSnapshot { epoch, at, admitted, hashes }));
        }
        for (scope, entries) in self.state.say_again(target, self.next_seq, at) {
            let scope = (*scope).clone();
            self.append(JournalRecord::StateSnapshot(StateSnapshot { epoch, at, scope, entries }));
        }
        self.flow_again(target);
        let recover_from = self.offsets.offset(target);
        let recover_epoch = self.epoch_at(recover_from);
        let checkpoint = Checkpoint { epoch, at, events_next, recover_from, recover_epoch, journal_offset: None };
        let seq = self.append(JournalRecord::Checkpoint(checkpoint));
        self.hold(seq, Held::Checkpoint(seq));
    }

    /// Counters and open batches, each in a record of its own.
    fn flow_again(&mut self, target: u64) {
        #[cfg(feature = "sabotage")]
        if self.limits.sabotage == Some(super::Sabotage::ForgetfulCounters) {
            return;
        }
        let (epoch, at) = (self.epoch, self.now);
        // A window is over once events come that are well after it: those that lie in it may still wait to be admitted, and
        // log times of different nodes may differ a little.
        let over = Timestamp(self.log_time.0.saturating_sub(LOG_TIME_SLACK_US));
        for (scope, counters) in self.flow.counters.say_again(target, self.next_seq, over) {
            let state = |(counter, one): (String, fastn_domain::quota::Counter)| CounterState {
                counter,
                from: one.window.start,
                to: one.window.end,
                used: one.used,
            };
            let counters = counters.into_iter().map(state).collect();
            let record = FlowSnapshot { epoch, at, scope: (*scope).clone(), counters, batches: Vec::new() };
            self.append(JournalRecord::FlowSnapshot(Box::new(record)));
        }
        for (scope, batch) in self.flow.batches.say_again(target, self.next_seq) {
            let record =
                FlowSnapshot { epoch, at, scope: (*scope).clone(), counters: Vec::new(), batches: vec![batch] };
            self.append(JournalRecord::FlowSnapshot(Box::new(record)));
        }
    }

    fn epoch_at(&self, offset: u64) -> u64 {
        self.claims.iter().rev().find(|(claimed, _)| *claimed < offset).map_or(0, |(_, epoch)| *epoch)
    }

    pub(super) fn checkpoint_durable(&mut self, seq: u64) {
        let Some(round) = self.cleaner.round.take() else { return };
        self.cleaner.recover_from = round.target;
        let recover_from = self.offsets.offset(round.target);
        let recover_epoch = self.epoch_at(recover_from);
        self.claims.retain(|(offset, epoch)| *offset >= recover_from || *epoch == recover_epoch);
        let checkpoint = Checkpoint {
            epoch: self.epoch,
            at: self.now,
            events_next: round.closed_at.unwrap_or(self.events_next),
            recover_from,
            recover_epoch,
            journal_offset: Some(self.offsets.offset(seq)),
        };
        self.offsets.forget_before(round.target);
        self.out.push(Output::Checkpointed(checkpoint));
    }
}
