//! Trims in the background: remembers the marks, drops the tables that are behind them, and keeps the disk gauge.
//!
//! Trimming moves a number in memory and wakes this thread, so that neither the caller nor the committer waits for files
//! to go away. Requests that come while it works are taken together.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::embedded::Shared;
use crate::observe;

/// The gauge's resolution, and how soon a failed trim is tried again.
const ROUND_SECONDS: u64 = 10;

/// Which partitions were trimmed since the last round.
#[derive(Default)]
pub(crate) struct Requests {
    state: Mutex<State>,
    ready: Condvar,
}

#[derive(Default)]
struct State {
    trimmed: Vec<usize>,
    closed: bool,
}

impl Requests {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn trimmed(&self, slot: usize) {
        let mut state = self.lock();
        if !state.trimmed.contains(&slot) {
            state.trimmed.push(slot);
        }
        drop(state);
        self.ready.notify_one();
    }

    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.ready.notify_one();
    }

    /// The next round's partitions, maybe none; `None` once closed.
    fn next(&self) -> Option<Vec<usize>> {
        let state = self.lock();
        let idle = |state: &mut State| state.trimmed.is_empty() && !state.closed;
        let round = Duration::from_secs(ROUND_SECONDS);
        let (mut state, _) = self.ready.wait_timeout_while(state, round, idle).unwrap_or_else(PoisonError::into_inner);
        if state.closed && state.trimmed.is_empty() { None } else { Some(std::mem::take(&mut state.trimmed)) }
    }
}

/// Runs until the requests are closed and done.
pub(crate) fn run(shared: &Arc<Shared>) {
    let mut unfinished: Vec<usize> = Vec::new();
    while let Some(mut slots) = shared.janitor.next() {
        slots.append(&mut unfinished);
        slots.sort_unstable();
        slots.dedup();
        if !slots.is_empty()
            && let Err(failure) = trim(shared, &slots)
        {
            observe::background_failed("free trimmed records", &failure.message);
            unfinished = slots;
        }
        if let Ok(bytes) = shared.with_engine(|engine| Ok(engine.disk_bytes())) {
            observe::disk(&shared.meters, bytes);
        }
    }
}

fn trim(shared: &Shared, slots: &[usize]) -> Result<(), crate::embedded::failure::Failure> {
    let marks: Vec<_> = slots.iter().map(|slot| (*slot, shared.slots[*slot].start())).collect();
    shared.with_engine(|engine| {
        engine.mark_trimmed(&marks)?;
        for (slot, start) in &marks {
            engine.drop_trimmed(*slot, *start)?;
        }
        engine.sweep()
    })
}
