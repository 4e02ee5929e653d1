//! The group commit: one thread, one batch, one fdatasync for everything that queued while the last one ran.
//!
//! ```text
//! take ─ merge each partition's appends into frames ─ commit (write, fdatasync) ─ publish ends ─ answer the waiters
//!   ▲                                                                                                  │
//!   └──────────────────────────────────────── flush what outgrew the buffer ◄─────────────────────────┘
//! ```
//!
//! Offsets and timestamps are given out here and become the partition's only when the commit succeeds.
//!
//! After an error of the device nothing is retried: the kernel may have dropped the dirty pages that it could not write
//! and report the next fdatasync as a success, so a second one proves nothing. The waiters hear `Io`, outcome unknown, and
//! the log takes no more appends until it is opened anew, which reads back what is really there. A full device is milder:
//! the write fails before the sync, the batch has no end on the disk and never counts, so the waiters hear `Full`, not
//! done; the engine is opened anew once there is space.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use fastn_domain::time::Timestamp;

use crate::embedded::Shared;
use crate::embedded::engine::{Engine, disk_free_bytes};
use crate::embedded::failure::Failure;
use crate::embedded::frame;
use crate::embedded::queue::Pending;
use crate::embedded::recent::Frame;
use crate::observe;
use crate::seam::{Appended, LogErrorKind, Offset, Outcome};

/// A frame is read as a whole, so it stays small enough for a reader that wants one record of it.
const FRAME_BYTES_MAX: usize = 256 << 10;
/// What an entry costs in the write buffer beside its bytes.
const ENTRY_OVERHEAD_BYTES: u64 = 96;

/// What the committer knows of a partition; nobody else writes it.
#[derive(Clone, Copy, Default)]
struct Head {
    next: Offset,
    timestamp: Timestamp,
    unflushed_bytes: u64,
}

/// A partition's frame while a batch is being merged.
struct Open {
    first: Offset,
    count: u32,
    bytes: Vec<u8>,
}

/// See the head comment.
pub(crate) struct Committer {
    shared: Arc<Shared>,
    heads: Vec<Head>,
    open: Vec<Option<Open>>,
    /// Partitions of the batch in hand.
    touched: Vec<usize>,
    frames: Vec<Frame>,
    answers: Vec<Appended>,
    unflushed_bytes: u64,
    /// The engine met the end of the device and has to be opened anew.
    stopped: bool,
}

impl Committer {
    pub(crate) fn new(shared: Arc<Shared>, engine: &Engine) -> Result<Self, Failure> {
        let mut heads = vec![Head::default(); shared.slots.len()];
        for (slot, head) in heads.iter_mut().enumerate() {
            head.next = *shared.slots[slot].tail.borrow();
            head.unflushed_bytes = engine.unflushed_bytes(slot);
            head.timestamp = engine.last_timestamp(slot)?;
        }
        let unflushed_bytes = heads.iter().map(|head| head.unflushed_bytes).sum();
        let open = heads.iter().map(|_| None).collect();
        let (touched, frames, answers) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { shared, heads, open, touched, frames, answers, unflushed_bytes, stopped: false })
    }

    /// Runs until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        let mut batch = Vec::new();
        let mut taken = 0;
        while let Some(bytes) = self.shared.queue.take(&mut batch, taken, self.shared.options.commit_bytes_max) {
            taken = bytes;
            observe::queue(&self.shared.meters, self.shared.queue.bytes());
            let result = catch_unwind(AssertUnwindSafe(|| self.commit(&mut batch)))
                .unwrap_or_else(|panic| Err(self.judge(Failure::from_panic(panic.as_ref()))));
            self.answer(&mut batch, result);
            self.flush_over_budget();
        }
    }

    fn commit(&mut self, batch: &mut [Pending]) -> Result<(), Failure> {
        if self.shared.is_failed() {
            return Err(Failure::closed());
        }
        self.require_space()?;
        self.merge(batch);
        let started = Instant::now();
        let mut result = self.write();
        if result.as_ref().is_err_and(|failure| failure.stopped) {
            // A flush in the background failed. What was acknowledged is in the journal, and of this batch nothing is.
            self.reopen()?;
            result = self.write();
        }
        let bytes = self.frames.iter().map(|frame| frame.bytes.len()).sum();
        match result {
            Ok(()) => observe::commit(&self.shared.meters, self.answers.iter().map(|a| a.count).sum(), bytes, started),
            Err(failure) => return Err(self.judge(failure)),
        }
        self.publish();
        Ok(())
    }

    fn write(&self) -> Result<(), Failure> {
        #[cfg(test)]
        if let Some(failure) = self.shared.injected.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take() {
            return Err(failure);
        }
        self.shared.with_engine(|engine| engine.commit(&self.frames))
    }

    /// Remembers what a failed write means for the next ones.
    fn judge(&mut self, failure: Failure) -> Failure {
        if failure.kind == LogErrorKind::Full {
            self.stopped = true;
        } else {
            self.shared.fail();
            observe::log_failed(&failure.message);
        }
        failure
    }

    fn require_space(&mut self) -> Result<(), Failure> {
        let free = disk_free_bytes(&self.shared.dir)?;
        if free < self.shared.options.disk_free_bytes_min {
            return Err(Failure::full(&format!("{free} bytes are left")));
        }
        if self.stopped {
            self.reopen()?;
        }
        Ok(())
    }

    /// Opens the engine anew and takes back what a failed batch may have left, since its waiters were told that it was not
    /// done. Its offsets stay unused.
    fn reopen(&mut self) -> Result<(), Failure> {
        self.stopped = true;
        self.shared.reopen_engine().map_err(|failure| self.judge(failure))?;
        for (slot, head) in self.heads.iter_mut().enumerate() {
            let removed = self.shared.with_engine(|engine| engine.remove_from(slot, head.next))?;
            head.next = removed.unwrap_or(head.next);
            head.unflushed_bytes = self.shared.with_engine(|engine| Ok(engine.unflushed_bytes(slot)))?;
        }
        self.unflushed_bytes = self.heads.iter().map(|head| head.unflushed_bytes).sum();
        self.stopped = false;
        observe::engine_reopened();
        Ok(())
    }

    /// Merges the batch into frames, in order, and gives out offsets and timestamps.
    fn merge(&mut self, batch: &mut [Pending]) {
        self.frames.clear();
        self.answers.clear();
        self.touched.clear();
        let now = self.shared.options.clock.now();
        for pending in batch {
            let slot = pending.slot;
            let timestamp = now.max(self.heads[slot].timestamp);
            frame::stamp(&mut pending.frame, timestamp);
            if self.open[slot].as_ref().is_some_and(|open| open.bytes.len() + pending.frame.len() > FRAME_BYTES_MAX) {
                self.seal(slot);
            }
            let first = match &mut self.open[slot] {
                Some(open) => {
                    let first = open.first + u64::from(open.count);
                    frame::merge(&mut open.bytes, &pending.frame);
                    open.count += pending.records;
                    first
                }
                free => {
                    let sealed = self.frames.iter().rev().find(|frame| frame.slot == slot).map(|frame| frame.last + 1);
                    let first = sealed.unwrap_or(self.heads[slot].next);
                    *free = Some(Open { first, count: pending.records, bytes: std::mem::take(&mut pending.frame) });
                    self.touched.push(slot);
                    first
                }
            };
            self.answers.push(Appended { first, count: u64::from(pending.records) });
        }
        for at in 0..self.touched.len() {
            let slot = self.touched[at];
            self.heads[slot].timestamp = now.max(self.heads[slot].timestamp);
            self.seal(slot);
        }
    }

    fn seal(&mut self, slot: usize) {
        if let Some(open) = self.open[slot].take() {
            let last = open.first + u64::from(open.count) - 1;
            self.frames.push(Frame { slot, first: open.first, last, bytes: Bytes::from(open.bytes) });
        }
    }

    /// Shows the durable frames to readers.
    fn publish(&mut self) {
        self.shared.recent.add(&self.frames);
        for frame in &self.frames {
            let head = &mut self.heads[frame.slot];
            let bytes = frame.bytes.len() as u64 + ENTRY_OVERHEAD_BYTES;
            head.next = frame.last + 1;
            head.unflushed_bytes += bytes;
            self.unflushed_bytes += bytes;
        }
        for slot in &self.touched {
            let end = self.heads[*slot].next;
            self.shared.slots[*slot].tail.send_if_modified(|tail| std::mem::replace(tail, end) != end);
        }
    }

    fn answer(&mut self, batch: &mut Vec<Pending>, result: Result<(), Failure>) {
        match result {
            Ok(()) => {
                for (pending, appended) in batch.drain(..).zip(self.answers.drain(..)) {
                    observe::appended(&self.shared.meters, pending.since);
                    // A caller that does not wait any more has lost interest, not its record.
                    let _ = pending.done.send(Ok(appended));
                }
            }
            Err(failure) => {
                self.open.iter_mut().for_each(|open| *open = None);
                self.fail(std::mem::take(batch), &failure);
            }
        }
    }

    /// Tells the waiters. On a journal, what was queued behind a failed append fails with it: it must not come through alone.
    fn fail(&self, batch: Vec<Pending>, failure: &Failure) {
        let marked = |pending: Pending| {
            let unheard = self.shared.slots[pending.slot].failures.unheard();
            (self.shared.append_error(pending.slot, failure), unheard, pending)
        };
        let mut failed: Vec<_> = batch.into_iter().map(marked).collect();
        // Nothing more is queued behind them from here on.
        let behind = self
            .shared
            .queue
            .take_of(|slot| self.shared.is_journal(slot) && failed.iter().any(|(_, _, pending)| pending.slot == slot));
        failed.extend(behind.into_iter().map(marked));
        for (error, unheard, pending) in failed {
            let _ = pending.done.send(Err((error, unheard)));
        }
    }

    /// Keeps the write buffer of all partitions together within its budget, by flushing the fullest ones.
    fn flush_over_budget(&mut self) {
        while self.unflushed_bytes > self.shared.options.write_buffer_bytes {
            let fullest = (0..self.heads.len()).max_by_key(|slot| self.heads[*slot].unflushed_bytes);
            let Some(slot) = fullest else { return };
            let bytes = std::mem::take(&mut self.heads[slot].unflushed_bytes);
            self.unflushed_bytes -= bytes;
            self.shared.janitor.flush(slot);
        }
    }
}

/// Whether a failed append may have happened all the same.
pub(crate) fn outcome_of(kind: LogErrorKind) -> Outcome {
    match kind {
        LogErrorKind::Io | LogErrorKind::Corrupt => Outcome::Unknown,
        _ => Outcome::NotDone,
    }
}
