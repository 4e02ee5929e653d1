//! The housework that neither a caller nor the committer shall wait for: starting flushes (which deletes journals that are
//! done with), dropping tables that were trimmed away, and keeping the disk gauge.
//!
//! Trimming itself moves a number in memory. Requests that come while this thread works are taken together.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::embedded::Shared;
use crate::observe;

/// The gauge's resolution, and how soon a failed trim is tried again.
const ROUND_SECONDS: u64 = 10;

/// What there is to do.
#[derive(Default)]
pub(crate) struct Requests {
    state: Mutex<State>,
    ready: Condvar,
}

#[derive(Default)]
struct State {
    work: Work,
    closed: bool,
}

/// Partitions, by what they need.
#[derive(Default)]
struct Work {
    trimmed: Vec<usize>,
    to_flush: Vec<usize>,
}

impl Work {
    fn is_empty(&self) -> bool {
        self.trimmed.is_empty() && self.to_flush.is_empty()
    }
}

impl Requests {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks to free what lies before a partition's start.
    pub(crate) fn trimmed(&self, slot: usize) {
        self.ask(|work| &mut work.trimmed, slot);
    }

    /// Asks to write a partition's buffered frames into a table.
    pub(crate) fn flush(&self, slot: usize) {
        self.ask(|work| &mut work.to_flush, slot);
    }

    fn ask(&self, list: fn(&mut Work) -> &mut Vec<usize>, slot: usize) {
        let mut state = self.lock();
        let slots = list(&mut state.work);
        if !slots.contains(&slot) {
            slots.push(slot);
        }
        drop(state);
        self.ready.notify_one();
    }

    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.ready.notify_one();
    }

    /// The next round's work, maybe none; `None` once closed.
    fn next(&self) -> Option<Work> {
        let state = self.lock();
        let idle = |state: &mut State| state.work.is_empty() && !state.closed;
        let round = Duration::from_secs(ROUND_SECONDS);
        let (mut state, _) = self.ready.wait_timeout_while(state, round, idle).unwrap_or_else(PoisonError::into_inner);
        if state.closed && state.work.is_empty() { None } else { Some(std::mem::take(&mut state.work)) }
    }
}

/// Runs until the requests are closed and done.
pub(crate) fn run(shared: &Arc<Shared>) {
    let mut unfinished: Vec<usize> = Vec::new();
    while let Some(mut work) = shared.janitor.next() {
        for slot in work.to_flush {
            if let Err(failure) = shared.with_engine(|engine| engine.flush(slot)) {
                // The next commit meets the same trouble and says so to those who wait for it.
                observe::background_failed("flush a partition", &failure.message);
            }
        }
        work.trimmed.append(&mut unfinished);
        work.trimmed.sort_unstable();
        work.trimmed.dedup();
        if !work.trimmed.is_empty()
            && let Err(failure) = trim(shared, &work.trimmed)
        {
            observe::background_failed("free trimmed records", &failure.message);
            unfinished = work.trimmed;
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
