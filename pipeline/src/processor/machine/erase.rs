//! The end of a customer: its executions are cancelled, its open batches and counters are forgotten and its state is
//! deleted, by records like any other, so that a recovery forgets it too. Harmless when it is carried out twice. What remains
//! in the dedup window are hashes.

use std::sync::Arc;

use fastn_domain::ids::ExecutionId;
use fastn_domain::journal::{CounterState, FlowSnapshot, JournalRecord, StateSnapshot, StateWrite};
use fastn_domain::quota::Counter;
use fastn_domain::scope::Scope;

use super::Machine;
use super::verdict::Verdict;

/// Deletions in one record.
const DELETIONS_MAX: usize = 1_000;

impl Machine {
    pub(super) fn erase(&mut self, scope: &Scope) -> Verdict {
        let own = self.executions.values().filter(|execution| *execution.scope == *scope);
        let mut ids: Vec<ExecutionId> = own.map(|execution| execution.id).collect();
        // A map has an order of its own in each process; the journal must not.
        ids.sort_unstable();
        #[cfg(feature = "sabotage")]
        if self.limits.sabotage == Some(super::Sabotage::HalfErasure) {
            ids.pop();
        }
        for id in ids {
            self.cancel(id);
        }
        self.erase_flow(scope);
        self.erase_state(scope);
        // Recovery needs none of it any more, so that retention may trim it.
        self.cleaner.urge(self.next_seq);
        Verdict::delivered(Vec::new())
    }

    /// Their keys may hold values of payloads.
    fn erase_flow(&mut self, scope: &Scope) {
        let batches = self.flow.batches.forget(scope);
        let forgotten = |(counter, one): (String, Counter)| CounterState {
            counter,
            from: one.window.start,
            to: one.window.end,
            used: 0,
        };
        let counters: Vec<CounterState> = self.flow.counters.forget(scope).into_iter().map(forgotten).collect();
        if batches.is_empty() && counters.is_empty() {
            return;
        }
        let (epoch, at) = (self.epoch, self.now);
        let record = FlowSnapshot { epoch, at, scope: scope.clone(), counters, batches };
        self.append(JournalRecord::FlowSnapshot(Box::new(record)));
    }

    fn erase_state(&mut self, scope: &Scope) {
        let shared: Arc<Scope> = self.interned.scope(scope);
        let deletions: Vec<StateWrite> = self.state.deletions(&shared);
        for chunk in deletions.chunks(DELETIONS_MAX) {
            let (epoch, at, entries) = (self.epoch, self.now, chunk.to_vec());
            let record = StateSnapshot { epoch, at, scope: scope.clone(), entries };
            let seq = self.append(JournalRecord::StateSnapshot(record));
            for write in chunk {
                self.state.apply(&shared, write, seq);
            }
        }
    }
}
