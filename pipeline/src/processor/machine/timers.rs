//! Wake-up times. An entry says only when to look at an execution again; what is due is decided there, so a stale entry
//! costs a look and nothing else.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use fastn_domain::ids::ExecutionId;
use fastn_domain::time::Timestamp;

/// A heap of wake-up times.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Timestamp, ExecutionId)>>,
}

impl Timers {
    pub(super) fn set(&mut self, at: Timestamp, execution: ExecutionId) {
        self.heap.push(Reverse((at, execution)));
    }

    pub(super) fn next(&self) -> Option<Timestamp> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// The next execution whose time has come.
    pub(super) fn pop_due(&mut self, now: Timestamp) -> Option<ExecutionId> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse((_, execution))| execution)
    }
}
