//! The end of a customer: its executions are cancelled and its state is deleted, by records like any other, so that a
//! recovery forgets it too. Harmless when it is carried out twice. What remains in the dedup window are hashes.

use std::sync::Arc;

use fastn_domain::ids::ExecutionId;
use fastn_domain::journal::{JournalRecord, StateSnapshot, StateWrite};
use fastn_domain::scope::Scope;

use super::Machine;
use super::admit::Verdict;

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
        self.erase_state(scope);
        // Recovery needs none of it any more, so that retention may trim it.
        self.cleaner.urge(self.next_seq);
        Verdict::delivered(Vec::new())
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
