//! The embedded log: durable, on one machine, in one directory.
//!
//! ```text
//! append ─► queue ─► committer ─► engine (fjall) ─► fdatasync ─► recent frames, tails, answers
//! read   ─► recent frames, else the engine on a blocking thread
//! trim   ─► start offset at once, janitor frees the tables
//! ```
//!
//! The directory holds `lock` (taken while open), `format` (layout version and partition count) and `engine/`.

mod committer;
mod engine;
mod failure;
mod format;
mod frame;
mod janitor;
mod journal_check;
mod options;
mod queue;
mod recent;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Instant;

use async_trait::async_trait;
use futures_util::future::{BoxFuture, FutureExt, ready};
use tokio::sync::{oneshot, watch};

use crate::observe::{self, Meters};
use crate::seam::{
    Appended, Bounds, Log, LogError, LogErrorKind, LogResult, Membership, Offset, Outcome, Partition, Record,
    StoredRecord, Topic,
};
use crate::unheard::{Failures, heard};
use committer::{Committer, outcome_of};
use engine::Engine;
use failure::Failure;
use frame::Budget;
pub use options::EmbeddedOptions;
use queue::{Pending, Queue, Refused};
use recent::Recent;

/// A partition as all threads see it.
pub(crate) struct Slot {
    start: AtomicU64,
    pub(crate) tail: watch::Sender<Offset>,
    pub(crate) failures: Failures,
}

impl Slot {
    pub(crate) fn start(&self) -> Offset {
        self.start.load(Ordering::Acquire)
    }
}

/// What callers, the committer and the janitor share.
pub(crate) struct Shared {
    pub(crate) dir: PathBuf,
    pub(crate) options: EmbeddedOptions,
    /// Index: topic × partitions + partition.
    pub(crate) slots: Box<[Slot]>,
    pub(crate) queue: Queue,
    pub(crate) recent: Recent,
    pub(crate) janitor: janitor::Requests,
    pub(crate) meters: Meters,
    /// `None` once closed, or while it could not be opened anew. Written only by the committer and by closing.
    engine: RwLock<Option<Engine>>,
    failed: AtomicBool,
    /// What the next write meets instead of the device.
    #[cfg(test)]
    pub(crate) injected: Mutex<Option<Failure>>,
}

impl Shared {
    pub(crate) fn with_engine<T>(&self, work: impl FnOnce(&Engine) -> Result<T, Failure>) -> Result<T, Failure> {
        let engine = self.engine.read().unwrap_or_else(PoisonError::into_inner);
        engine.as_ref().map_or_else(|| Err(Failure::closed()), work)
    }

    /// Closes the engine once its readers are through, and opens it anew.
    pub(crate) fn reopen_engine(&self) -> Result<(), Failure> {
        let mut engine = self.engine.write().unwrap_or_else(PoisonError::into_inner);
        drop(engine.take());
        *engine = Some(Engine::open(&self.dir.join("engine"), &self.options)?);
        Ok(())
    }

    pub(crate) fn is_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    pub(crate) fn fail(&self) {
        self.failed.store(true, Ordering::Release);
    }

    /// Whether the partition has one writer, who counts on it that nothing is missing between its records.
    pub(crate) fn is_journal(&self, slot: usize) -> bool {
        slot / self.options.partitions as usize == Topic::Executions as usize
    }

    fn context(&self, slot: usize) -> String {
        let partitions = self.options.partitions as usize;
        format!("{}[{}]", Topic::ALL[slot / partitions], slot % partitions)
    }

    pub(crate) fn append_error(&self, slot: usize, failure: &Failure) -> LogError {
        observe::failed(failure.kind);
        failure.error(outcome_of(failure.kind), "append to", self.context(slot))
    }

    fn read_error(&self, slot: usize, failure: &Failure) -> LogError {
        observe::failed(failure.kind);
        failure.error(Outcome::NotDone, "read", self.context(slot))
    }
}

/// See the module's comment.
pub struct EmbeddedLog {
    shared: Arc<Shared>,
    owned: watch::Sender<Arc<[Partition]>>,
    threads: Arc<Mutex<Threads>>,
}

#[derive(Default)]
struct Threads {
    handles: Vec<JoinHandle<()>>,
    lock: Option<File>,
}

impl std::fmt::Debug for EmbeddedLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedLog").field("dir", &self.shared.dir).finish_non_exhaustive()
    }
}

impl EmbeddedLog {
    /// Opens the log in `dir` and creates it if there is none. Blocks: reads the journals.
    ///
    /// # Errors
    /// `Locked` when another process has it open, `Corrupt` when acknowledged records do not read back or the directory
    /// was made with another partition count, `Full` and `Io` from the device.
    pub fn open(dir: &Path, options: EmbeddedOptions) -> LogResult<Self> {
        Self::start(dir, options).map_err(|failure| {
            observe::failed(failure.kind);
            failure.error(Outcome::NotDone, "open the log in", dir.display().to_string())
        })
    }

    fn start(dir: &Path, options: EmbeddedOptions) -> Result<Self, Failure> {
        let started = Instant::now();
        std::fs::create_dir_all(dir)?;
        let lock = engine::lock(dir)?;
        format::check(dir, options.partitions)?;
        let engine = Engine::open(&dir.join("engine"), &options)?;
        let count = Topic::ALL.len() * options.partitions as usize;
        let mut slots = Vec::with_capacity(count);
        for slot in 0..count {
            let extent = engine.extent(slot)?;
            let (start, tail) = (AtomicU64::new(extent.start), watch::Sender::new(extent.end));
            slots.push(Slot { start, tail, failures: Failures::default() });
        }
        let owned: Arc<[Partition]> = (0..options.partitions).collect();
        let shared = Arc::new(Shared {
            dir: dir.to_owned(),
            slots: slots.into(),
            queue: Queue::new(options.queue_bytes_max),
            recent: Recent::new(count, options.recent_bytes_max),
            janitor: janitor::Requests::default(),
            meters: Meters::new(),
            engine: RwLock::new(None),
            failed: AtomicBool::new(false),
            #[cfg(test)]
            injected: Mutex::default(),
            options,
        });
        let committer = Committer::new(Arc::clone(&shared), &engine)?;
        *shared.engine.write().unwrap_or_else(PoisonError::into_inner) = Some(engine);
        let janitor = Arc::clone(&shared);
        let handles = vec![
            std::thread::Builder::new().name("log-commit".into()).spawn(move || committer.run())?,
            std::thread::Builder::new().name("log-janitor".into()).spawn(move || janitor::run(&janitor))?,
        ];
        observe::opened(dir, shared.options.partitions, started);
        let threads = Arc::new(Mutex::new(Threads { handles, lock: Some(lock) }));
        Ok(Self { shared, owned: watch::Sender::new(owned), threads })
    }

    fn slot(&self, topic: Topic, partition: Partition) -> usize {
        let partitions = self.shared.options.partitions;
        assert!(partition < partitions, "{topic}[{partition}] of a log with {partitions} partitions");
        topic as usize * partitions as usize + partition as usize
    }

    fn refuse(&self, slot: usize, kind: LogErrorKind, message: String) -> BoxFuture<'static, LogResult<Appended>> {
        observe::failed(kind);
        let context = self.shared.context(slot);
        let error = LogError { kind, outcome: Outcome::NotDone, operation: "append to", context, message };
        let refused = Err((error, self.shared.slots[slot].failures.unheard()));
        async move { heard(refused) }.boxed()
    }

    /// The limit that the records pass, if any.
    fn too_large(&self, records: &[Record]) -> Option<String> {
        let options = &self.shared.options;
        let record_max = options.record_bytes_max;
        if let Some(record) = records.iter().find(|record| record.size() > record_max || !frame::fits(record)) {
            return Some(format!("a record of {} bytes; the most is {record_max}", record.size()));
        }
        let bytes: usize = records.iter().map(Record::size).sum();
        let append_max = options.queue_bytes_max.max(record_max);
        (bytes > append_max).then(|| format!("{bytes} bytes in one append; the most is {append_max}, split it"))
    }
}

#[async_trait]
impl Log for EmbeddedLog {
    fn partitions(&self) -> u32 {
        self.shared.options.partitions
    }

    fn append(
        &self,
        topic: Topic,
        partition: Partition,
        records: Vec<Record>,
    ) -> BoxFuture<'static, LogResult<Appended>> {
        let slot = self.slot(topic, partition);
        debug_assert!(!records.is_empty(), "an append of no records to {topic}[{partition}]");
        if records.is_empty() {
            return ready(Ok(Appended { first: *self.shared.slots[slot].tail.borrow(), count: 0 })).boxed();
        }
        if let Some(message) = self.too_large(&records) {
            return self.refuse(slot, LogErrorKind::TooLarge, message);
        }
        if self.shared.is_failed() {
            return self.refuse(slot, LogErrorKind::Closed, "an earlier commit failed; open the log anew".into());
        }
        let (done, answer) = oneshot::channel();
        let frame = frame::encode(&records);
        let pending = Pending { slot, frame, records: records.len() as u32, since: Instant::now(), done };
        let failures = self.shared.is_journal(slot).then(|| &self.shared.slots[slot].failures);
        match self.shared.queue.push(pending, failures) {
            Ok(()) => {}
            Err(Refused::Unheard) => {
                let message = "an append before it failed, and its writer has not heard of that yet".into();
                return self.refuse(slot, LogErrorKind::Busy, message);
            }
            Err(Refused::Busy) => {
                let message = "the append queue is full; try again after a moment".into();
                return self.refuse(slot, LogErrorKind::Busy, message);
            }
            Err(Refused::Closed) => return self.refuse(slot, LogErrorKind::Closed, "the log is closed".into()),
        }
        let shared = Arc::clone(&self.shared);
        async move {
            match answer.await {
                Ok(answer) => heard(answer),
                // The committer is gone without an answer.
                Err(_) => Err(Failure { kind: LogErrorKind::Io, ..Failure::closed() }.error(
                    Outcome::Unknown,
                    "append to",
                    shared.context(slot),
                )),
            }
        }
        .boxed()
    }

    async fn read(
        &self,
        topic: Topic,
        partition: Partition,
        from: Offset,
        records_max: usize,
        bytes_max: usize,
    ) -> LogResult<Vec<StoredRecord>> {
        let index = self.slot(topic, partition);
        let slot = &self.shared.slots[index];
        let (start, end) = (slot.start(), *slot.tail.borrow());
        if from < start {
            observe::failed(LogErrorKind::Trimmed);
            let message = format!("offset {from} was trimmed away; reading can start at {start}");
            let context = self.shared.context(index);
            let (kind, outcome) = (LogErrorKind::Trimmed, Outcome::NotDone);
            return Err(LogError { kind, outcome, operation: "read", context, message });
        }
        if from >= end || records_max == 0 {
            return Ok(Vec::new());
        }
        if let Some(records) = self.shared.recent.read(index, from, Budget::new(records_max, bytes_max)) {
            return records.map_err(|malformed| self.shared.read_error(index, &malformed.into()));
        }
        let shared = Arc::clone(&self.shared);
        let scan = move || {
            let scanned = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                shared.with_engine(|engine| engine.scan(index, from, end, Budget::new(records_max, bytes_max)))
            }));
            scanned
                .unwrap_or_else(|panic| Err(Failure::from_panic(panic.as_ref())))
                .map_err(|failure| shared.read_error(index, &failure))
        };
        match tokio::task::spawn_blocking(scan).await {
            Ok(result) => result,
            Err(_) => Err(self.shared.read_error(index, &Failure::closed())),
        }
    }

    fn tail(&self, topic: Topic, partition: Partition) -> watch::Receiver<Offset> {
        self.shared.slots[self.slot(topic, partition)].tail.subscribe()
    }

    async fn bounds(&self, topic: Topic, partition: Partition) -> LogResult<Bounds> {
        let slot = &self.shared.slots[self.slot(topic, partition)];
        let start = slot.start();
        Ok(Bounds { start, end: *slot.tail.borrow() })
    }

    async fn trim(&self, topic: Topic, partition: Partition, before: Offset) -> LogResult<()> {
        let index = self.slot(topic, partition);
        let slot = &self.shared.slots[index];
        let before = before.min(*slot.tail.borrow());
        if slot.start.fetch_max(before, Ordering::AcqRel) < before {
            self.shared.janitor.trimmed(index);
        }
        Ok(())
    }

    async fn join(&self, _node: &str) -> LogResult<Membership> {
        Ok(Membership { owned: self.owned.subscribe() })
    }

    fn disk_bytes(&self) -> u64 {
        self.shared.with_engine(|engine| Ok(engine.disk_bytes())).unwrap_or(0)
    }

    async fn close(&self) -> LogResult<()> {
        let (shared, threads) = (Arc::clone(&self.shared), Arc::clone(&self.threads));
        // A panic in there is the engine's while it lets go of its files; they are closed with the process at the latest.
        let _ = tokio::task::spawn_blocking(move || stop(&shared, &threads)).await;
        Ok(())
    }
}

/// Waits for what is queued, then lets go of the directory. Does nothing the second time.
fn stop(shared: &Shared, threads: &Mutex<Threads>) {
    let mut threads = threads.lock().unwrap_or_else(PoisonError::into_inner);
    shared.queue.close();
    shared.janitor.close();
    for handle in threads.handles.drain(..) {
        // Both threads catch what panics in them.
        let _ = handle.join();
    }
    drop(shared.engine.write().unwrap_or_else(PoisonError::into_inner).take());
    if let Some(lock) = threads.lock.take() {
        // Not only dropped: a process that is being started right now may hold a copy of the file for a moment.
        let _ = lock.unlock();
    }
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        stop(&self.shared, &self.threads);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: after an error of the device the waiters hear that the outcome is unknown, later appends are refused as
    /// closed, what was durable stays readable, and opening the log anew makes it whole again.
    #[tokio::test]
    async fn device_error_stops_appends_until_reopened() {
        let dir = tempfile::tempdir().unwrap();
        let options = EmbeddedOptions { partitions: 1, disk_free_bytes_min: 0, ..EmbeddedOptions::default() };
        let log = EmbeddedLog::open(dir.path(), options.clone()).unwrap();
        let append = |log: &EmbeddedLog| log.append(Topic::Events, 0, vec![Record::new("k", "v")]);
        append(&log).await.unwrap();
        *log.shared.injected.lock().unwrap() = Some(std::io::Error::other("injected").into());
        let error = append(&log).await.expect_err("it failed");
        assert_eq!((error.kind, error.outcome), (LogErrorKind::Io, Outcome::Unknown));
        let error = append(&log).await.expect_err("it is refused");
        assert_eq!((error.kind, error.outcome), (LogErrorKind::Closed, Outcome::NotDone));
        assert_eq!(log.read(Topic::Events, 0, 0, 10, 100).await.unwrap().len(), 1);
        drop(log);
        let log = EmbeddedLog::open(dir.path(), options).unwrap();
        assert_eq!(append(&log).await.unwrap().first, 1);
    }

    /// Property: an engine that stopped by itself is opened anew and the append goes through, once.
    #[tokio::test]
    async fn stopped_engine_is_reopened() {
        let dir = tempfile::tempdir().unwrap();
        let options = EmbeddedOptions {
            partitions: 1,
            disk_free_bytes_min: 0,
            recent_bytes_max: 0,
            ..EmbeddedOptions::default()
        };
        let log = EmbeddedLog::open(dir.path(), options).unwrap();
        for n in 0..3 {
            *log.shared.injected.lock().unwrap() = Some(fjall::Error::Poisoned.into());
            let appended = log.append(Topic::Events, 0, vec![Record::new("k", "v")]).await.unwrap();
            assert_eq!(appended, Appended { first: n, count: 1 });
        }
        assert_eq!(log.read(Topic::Events, 0, 0, 10, 100).await.unwrap().len(), 3);
    }
}
