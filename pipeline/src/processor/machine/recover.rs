//! Recovery: the journal, read from a checkpoint to our own claim, makes the machine again.

use std::sync::Arc;

use fastn_contract::activity::ExecutionStatus;
use fastn_domain::Timestamp;
use fastn_domain::catalog::Catalog;
use fastn_domain::ids::ExecutionId;
use fastn_domain::journal::{Epoch, Finished, JournalRecord, NewExecution, Progress, Snapshot};
use fastn_domain::quota::Window;
use fastn_domain::scope::Scope;

use super::execution::{Execution, GatePlace, Pending, Phase};
use super::finish::parent_result;
use super::{Limits, Machine, queue, waits};

/// A machine that is being made from its journal.
pub struct Recovery {
    machine: Machine,
    claimed: Epoch,
}

impl Recovery {
    /// For partition `partition` of `partitions`.
    pub fn new(partition: u32, partitions: u32, limits: Limits, catalog: Arc<Catalog>) -> Self {
        let machine = Machine {
            partition,
            partitions,
            epoch: 0,
            queue: queue::FairQueue::new(limits.customer_concurrency_default),
            limits,
            catalog,
            now: Timestamp(0),
            next_seq: 0,
            durable: 0,
            offsets: Default::default(),
            events_next: 0,
            log_time: Timestamp(0),
            executions: Default::default(),
            slots: Default::default(),
            next_slot: 0,
            next_load: 0,
            starts_in_flight: 0,
            queued_payload_bytes: 0,
            parked: 0,
            interned: Default::default(),
            sequences: Default::default(),
            flow: Default::default(),
            overlaps: Default::default(),
            timers: Default::default(),
            waiters: waits::Waiters::default(),
            dedup: Default::default(),
            state: Default::default(),
            cleaner: Default::default(),
            claims: Vec::new(),
            held: Default::default(),
            out: Vec::new(),
        };
        Self { machine, claimed: 0 }
    }

    /// For reading that starts at a checkpoint: `epoch` is in force there.
    pub fn starting_in(mut self, epoch: Epoch) -> Self {
        self.claimed = epoch;
        self.machine.claims = vec![(0, epoch)];
        self
    }

    /// The newest claim seen: records of lower epochs are leftovers of a writer that had lost the partition.
    pub fn claimed(&self) -> Epoch {
        self.claimed
    }

    /// Takes the record at `offset`. Offsets must grow.
    pub fn apply(&mut self, offset: u64, record: JournalRecord) {
        #[cfg(feature = "sabotage")]
        let believe_all = self.machine.limits.sabotage == Some(super::Sabotage::NoEpochs);
        #[cfg(not(feature = "sabotage"))]
        let believe_all = false;
        if record.epoch() < self.claimed && !believe_all {
            return;
        }
        let machine = &mut self.machine;
        match record {
            JournalRecord::Claim(claim) => {
                self.claimed = claim.epoch;
                machine.claims.push((offset, claim.epoch));
            }
            JournalRecord::Admitted(admitted) => {
                for event in admitted.events {
                    machine.events_next = machine.events_next.max(event.offset + 1);
                    for hash in event.dedup {
                        machine.dedup.insert(hash, admitted.at, offset);
                    }
                    if !event.counted.is_empty() || !event.batches.is_empty() {
                        let scope = machine.interned.scope(&event.scope);
                        for count in &event.counted {
                            let window = Window { start: count.from, end: count.to };
                            machine.flow.counters.count(&scope, &count.counter, window, offset);
                        }
                        for batched in &event.batches {
                            machine.flow.batches.add(&scope, batched, event.offset, None, offset);
                        }
                    }
                    for start in event.executions {
                        machine.recall(&start, &event.scope, admitted.at, Some(event.offset), offset);
                    }
                }
            }
            JournalRecord::Progress(progress) => machine.recall_progress(progress, offset),
            JournalRecord::Finished(finished) => machine.recall_end(&finished, offset),
            JournalRecord::Snapshot(snapshot) => machine.recall_snapshot(*snapshot, offset),
            JournalRecord::DedupSnapshot(snapshot) => {
                for hash in snapshot.hashes {
                    machine.dedup.insert(hash, snapshot.admitted, offset);
                }
            }
            JournalRecord::StateSnapshot(snapshot) => {
                let scope = machine.interned.scope(&snapshot.scope);
                for write in &snapshot.entries {
                    machine.state.apply(&scope, write, offset);
                }
            }
            JournalRecord::Started(started) => {
                machine.flow.batches.started(&started.batch, started.start.id);
                machine.recall(&started.start, &started.scope, started.at, None, offset);
            }
            JournalRecord::FlowSnapshot(snapshot) => {
                let scope = machine.interned.scope(&snapshot.scope);
                for one in &snapshot.counters {
                    let window = Window { start: one.from, end: one.to };
                    match one.used {
                        0 => machine.flow.counters.forget_one(&scope, &one.counter, window),
                        used => machine.flow.counters.restore(&scope, &one.counter, window, used, offset),
                    }
                }
                for batch in snapshot.batches {
                    machine.flow.batches.restore(&scope, batch, offset);
                }
            }
            JournalRecord::Checkpoint(checkpoint) => {
                machine.events_next = machine.events_next.max(checkpoint.events_next);
            }
        }
    }

    /// The journal was read from `recover_from` up to our own claim, which lies at `claim_offset`: the machine goes on
    /// from there.
    pub fn finish(self, epoch: Epoch, claim_offset: u64, recover_from: u64, now: Timestamp) -> Machine {
        let mut machine = self.machine;
        machine.epoch = epoch;
        // The pool may still run sandboxes of the machine before this one.
        // Turns and loads that a machine before this one asked for are told from its own.
        machine.next_slot = epoch << 32;
        machine.next_load = epoch << 32;
        machine.claims.push((claim_offset, epoch));
        machine.now = now;
        machine.next_seq = claim_offset + 1;
        machine.durable = claim_offset + 1;
        machine.cleaner.begin_at(recover_from);
        let mut ids: Vec<(Option<u64>, Timestamp, ExecutionId)> = machine
            .executions
            .values()
            .map(|execution| (execution.event_offset, execution.admitted, execution.id))
            .collect();
        ids.sort();
        for (_, _, id) in &ids {
            machine.place_inside(*id);
        }
        for (_, _, id) in ids {
            machine.place(id);
        }
        machine.place_batches();
        machine
    }
}

impl Machine {
    fn recall(&mut self, start: &NewExecution, scope: &Scope, at: Timestamp, event: Option<u64>, seq: u64) {
        let scope = self.interned.scope(scope);
        let mut execution = Execution::new(start, scope, &mut self.interned, at, event, seq);
        execution.results_in_log = start.origin.as_ref().is_some_and(|inline| !inline.results.is_empty());
        self.executions.insert(start.id, Box::new(execution));
    }

    fn recall_progress(&mut self, progress: Progress, seq: u64) {
        let scope = self.interned.scope(&progress.scope);
        for write in &progress.state {
            self.state.apply(&scope, write, seq);
        }
        for start in &progress.invoked {
            self.recall(start, &progress.scope, progress.at, None, seq);
        }
        let Some(execution) = self.executions.get_mut(&progress.execution) else { return };
        execution.scope = scope;
        execution.records.push(seq);
        execution.barrier = seq;
        execution.begun = true;
        execution.attempt = progress.attempt;
        execution.tier = progress.tier;
        execution.results_in_log |= !progress.results.is_empty();
        execution.pending.retain(|pending| !progress.results.iter().any(|result| result.key == pending.key()));
        execution.pending.extend(progress.waits.into_iter().map(Pending::Wait));
        execution.phase = match (&progress.retry, progress.status) {
            (Some(_), _) => Phase::Backoff,
            (None, ExecutionStatus::Waiting) if progress.results.is_empty() || execution.only_waits() => Phase::Parked,
            (None, _) => Phase::Queued,
        };
        execution.retry = progress.retry.map(Box::new);
    }

    fn recall_end(&mut self, finished: &Finished, seq: u64) {
        let scope = self.interned.scope(&finished.scope);
        self.state.drop_space(&scope, &format!("execution/{}", finished.execution));
        // It may be unknown here, if it ended before the cleaner said it again. The one that waits for it is not.
        self.executions.remove(&finished.execution);
        if let (Some(parent), Some(result)) = (&finished.parent, parent_result(finished))
            && let Some(waiting) = self.executions.get_mut(&parent.execution)
            && waiting.take_pending(&result.key).is_some()
        {
            waiting.records.push(seq);
            waiting.results_in_log = true;
            waiting.phase = Phase::Queued;
        }
    }

    fn recall_snapshot(&mut self, snapshot: Snapshot, seq: u64) {
        let scope = self.interned.scope(&snapshot.scope);
        let event = snapshot.event_offset;
        let mut execution = Execution::new(&snapshot.start, scope, &mut self.interned, snapshot.admitted, event, seq);
        execution.attempt = snapshot.attempt;
        execution.tier = snapshot.tier;
        execution.ran = std::time::Duration::from_millis(snapshot.ran_ms);
        execution.reply_to = snapshot.reply_to.map(Box::new);
        execution.results_in_log = !snapshot.results.is_empty();
        execution.begun =
            snapshot.status != ExecutionStatus::Queued || execution.results_in_log || snapshot.attempt > 1;
        execution.phase = match (&snapshot.retry, snapshot.status) {
            (Some(_), _) => Phase::Backoff,
            (None, ExecutionStatus::Waiting) => Phase::Parked,
            (None, _) => Phase::Queued,
        };
        execution.retry = snapshot.retry.map(Box::new);
        execution.pending.extend(snapshot.waits.into_iter().map(Pending::Wait));
        self.executions.insert(snapshot.start.id, Box::new(execution));
    }

    /// Lets others find a recovered execution. One that had begun keeps its room, before any other takes some.
    fn place_inside(&mut self, id: ExecutionId) {
        let Some(execution) = self.executions.get_mut(&id) else { return };
        let Some(flow) = execution.flow.clone() else { return };
        if execution.begun && !flow.gates.is_empty() {
            execution.gates = GatePlace::Inside;
            self.flow.gates.hold(&flow.gates, id);
        }
        self.flow_begins(id, &flow);
    }

    /// Puts a recovered execution where it waits: for its turn, its time, or something outside.
    fn place(&mut self, id: ExecutionId) {
        self.overlap_recalls(id);
        let Some(execution) = self.executions.get(&id) else { return };
        let scope = Arc::clone(&execution.scope);
        let waits: Vec<_> = execution.waits().cloned().collect();
        let (phase, sequence) = (execution.phase, execution.sequence.clone());
        let lane =
            if execution.records.len() > 1 { queue::Lane::Resumed } else { queue::Lane::of_execution(execution) };
        let waits_to_begin = execution.flow.is_some() && !execution.begun;
        for wait in &waits {
            self.watch(id, &scope, wait);
        }
        let first = sequence.is_none_or(|sequence| self.sequences.join(&sequence, id));
        if let Some(retry) = self.executions.get(&id).and_then(|execution| execution.retry.as_deref()) {
            self.timers.set(retry.next, id);
        }
        let Some(execution) = self.executions.get_mut(&id) else { return };
        // A wait whose child ended before this process, or that has no wait left, must run to find out.
        let parked = phase == Phase::Parked && execution.only_waits();
        match phase {
            Phase::Backoff => {}
            _ if parked => {
                execution.phase = Phase::Parked;
                execution.shrink();
                self.parked += 1;
                execution.started = Some(execution.admitted);
                self.set_deadline(id);
            }
            _ if first && waits_to_begin => self.advance(id),
            _ if first => {
                execution.phase = Phase::Queued;
                self.queue.push(&scope, lane, id);
            }
            _ => execution.phase = Phase::Behind,
        }
    }
}
