//! Wake-up times. An entry says only when to look at an execution again; what is due is decided there, so a stale entry
//! costs a look and nothing else.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use fastn_domain::ids::ExecutionId;
use fastn_domain::time::Timestamp;

/// Wake-up times.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Timestamp, ExecutionId)>>,
    /// When running executions have used up their time. Most end long before, so these are taken back.
    deadlines: BTreeSet<(Timestamp, ExecutionId)>,
}

impl Timers {
    pub(super) fn set(&mut self, at: Timestamp, execution: ExecutionId) {
        self.heap.push(Reverse((at, execution)));
    }

    pub(super) fn set_deadline(&mut self, at: Timestamp, execution: ExecutionId) {
        self.deadlines.insert((at, execution));
    }

    pub(super) fn clear_deadline(&mut self, at: Timestamp, execution: ExecutionId) {
        self.deadlines.remove(&(at, execution));
    }

    pub(super) fn next(&self) -> Option<Timestamp> {
        let wake = self.heap.peek().map(|Reverse((at, _))| *at);
        let deadline = self.deadlines.first().map(|(at, _)| *at);
        match (wake, deadline) {
            (Some(wake), Some(deadline)) => Some(wake.min(deadline)),
            (wake, deadline) => wake.or(deadline),
        }
    }

    /// The next execution whose time has come.
    pub(super) fn pop_due(&mut self, now: Timestamp) -> Option<ExecutionId> {
        if let Some((_, execution)) = self.deadlines.first().copied().filter(|(at, _)| *at <= now) {
            self.deadlines.pop_first();
            return Some(execution);
        }
        if self.heap.peek().is_none_or(|Reverse((at, _))| *at > now) {
            return None;
        }
        self.heap.pop().map(|Reverse((_, execution))| execution)
    }
}
