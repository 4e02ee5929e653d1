//! The append queue: many callers, one committer.
//!
//! A caller pushes and goes; the committer takes whatever queued while its last commit ran. Nobody waits for time to pass.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::oneshot;

use crate::unheard::{Answer, Failures};

/// One append call on its way to the disk.
pub(crate) struct Pending {
    /// Index of the topic's partition.
    pub(crate) slot: usize,
    /// The records as a frame of one chunk, not stamped yet.
    pub(crate) frame: Vec<u8>,
    /// How many records.
    pub(crate) records: u32,
    /// When the call was made.
    pub(crate) since: Instant,
    /// Who waits.
    pub(crate) done: oneshot::Sender<Answer>,
}

/// Why nothing was queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Busy,
    Closed,
    /// An append before it failed, and its caller has not heard of that.
    Unheard,
}

/// See the head comment.
pub(crate) struct Queue {
    bytes_max: usize,
    state: Mutex<State>,
    ready: Condvar,
}

#[derive(Default)]
struct State {
    pending: VecDeque<Pending>,
    /// Queued and in the running commit.
    bytes: usize,
    closed: bool,
    /// The committer sleeps on `ready`. A wake-up is a system call, so it is made only then.
    committer_sleeps: bool,
}

impl Queue {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, state: Mutex::default(), ready: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock can panic half way, so a poisoned lock holds a sound state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues an append, or says why not. The order of these calls is the order in the log. With `failures`, it is refused
    /// as long as there are any.
    pub(crate) fn push(&self, pending: Pending, failures: Option<&Failures>) -> Result<(), Refused> {
        let mut state = self.lock();
        if failures.is_some_and(Failures::any) {
            return Err(Refused::Unheard);
        }
        if state.closed {
            return Err(Refused::Closed);
        }
        if state.bytes + pending.frame.len() > self.bytes_max && state.bytes > 0 {
            return Err(Refused::Busy);
        }
        state.bytes += pending.frame.len();
        state.pending.push_back(pending);
        let wake = std::mem::take(&mut state.committer_sleeps);
        drop(state);
        if wake {
            self.ready.notify_one();
        }
        Ok(())
    }

    /// Gives back `released` bytes of the last commit, then moves what waits into `batch`, up to `bytes_max` but at least
    /// one append; waits for it if there is none. `None` once the queue is closed and empty, else the bytes taken.
    pub(crate) fn take(&self, batch: &mut Vec<Pending>, released: usize, bytes_max: usize) -> Option<usize> {
        let mut state = self.lock();
        state.bytes -= released;
        while state.pending.is_empty() {
            if state.closed {
                return None;
            }
            state.committer_sleeps = true;
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let mut taken = 0;
        while let Some(next) = state.pending.front() {
            if taken > 0 && taken + next.frame.len() > bytes_max {
                break;
            }
            taken += next.frame.len();
            batch.extend(state.pending.pop_front());
        }
        Some(taken)
    }

    /// Takes out what waits for these partitions.
    pub(crate) fn take_of(&self, is_one: impl Fn(usize) -> bool) -> Vec<Pending> {
        let mut state = self.lock();
        let all = std::mem::take(&mut state.pending).into_iter();
        let (taken, left): (Vec<_>, Vec<_>) = all.partition(|next| is_one(next.slot));
        state.pending = left.into();
        state.bytes -= taken.iter().map(|pending| pending.frame.len()).sum::<usize>();
        taken
    }

    /// Takes no more appends. The committer still gets what is queued.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.ready.notify_all();
    }

    /// Bytes that wait or are being committed.
    pub(crate) fn bytes(&self) -> usize {
        self.lock().bytes
    }
}
