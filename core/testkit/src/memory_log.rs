//! A [`Log`] in memory: everything that the contract asks for except that it survives its process.
//!
//! An append has happened when the call returns, so that a simulation with one thread is deterministic.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use fastn_domain::time::{Clock, Timestamp};
use fastn_log::{
    Appended, Bounds, Log, LogError, LogErrorKind, LogResult, Membership, Offset, Outcome, Partition, Record,
    StoredRecord, Topic,
};
use futures_util::future::{BoxFuture, FutureExt, ready};
use tokio::sync::watch;

/// The largest record taken.
pub const RECORD_BYTES_MAX: usize = 8 << 20;

/// See the module's comment.
pub struct MemoryLog {
    partitions: u32,
    slots: Vec<Slot>,
    clock: Option<Arc<dyn Clock>>,
    closed: AtomicBool,
    owned: watch::Sender<Arc<[Partition]>>,
}

struct Slot {
    state: Mutex<State>,
    tail: watch::Sender<Offset>,
    /// Failed appends that their callers have not heard of.
    unheard: Arc<AtomicUsize>,
}

/// Lives until the caller of a failed append has heard of it or has lost interest.
struct Unheard(Arc<AtomicUsize>);

impl Drop for Unheard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[derive(Default)]
struct State {
    start: Offset,
    records: Vec<StoredRecord>,
    last: Timestamp,
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for MemoryLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryLog").field("partitions", &self.partitions).finish_non_exhaustive()
    }
}

impl MemoryLog {
    /// An empty log that stamps its records with the system's time.
    pub fn new(partitions: u32) -> Self {
        let slot = |_| Slot { state: Mutex::default(), tail: watch::Sender::new(0), unheard: Arc::default() };
        let owned: Arc<[Partition]> = (0..partitions).collect();
        Self {
            partitions,
            slots: (0..Topic::ALL.len() * partitions as usize).map(slot).collect(),
            clock: None,
            closed: AtomicBool::new(false),
            owned: watch::Sender::new(owned),
        }
    }

    /// Stamps records with this clock.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Gives the partitions to whoever has joined or joins, e.g. to take one away.
    pub fn assign(&self, partitions: &[Partition]) {
        self.owned.send_replace(partitions.into());
    }

    /// Everything that a partition holds now.
    pub fn records(&self, topic: Topic, partition: Partition) -> Vec<StoredRecord> {
        self.slot(topic, partition).lock().records.clone()
    }

    fn slot(&self, topic: Topic, partition: Partition) -> &Slot {
        assert!(partition < self.partitions, "{topic}[{partition}] of a log with {} partitions", self.partitions);
        &self.slots[topic as usize * self.partitions as usize + partition as usize]
    }

    fn now(&self) -> Timestamp {
        match &self.clock {
            Some(clock) => clock.now(),
            None => {
                let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
            }
        }
    }

    fn append_now(&self, topic: Topic, partition: Partition, records: Vec<Record>) -> LogResult<Appended> {
        let error = |kind, message: &str| {
            let context = format!("{topic}[{partition}]");
            LogError { kind, outcome: Outcome::NotDone, operation: "append to", context, message: message.into() }
        };
        debug_assert!(!records.is_empty(), "an append of no records to {topic}[{partition}]");
        if self.closed.load(Ordering::Acquire) {
            return Err(error(LogErrorKind::Closed, "the log is closed"));
        }
        if records.iter().any(|record| record.size() > RECORD_BYTES_MAX) {
            return Err(error(LogErrorKind::TooLarge, "the record is larger than the log takes"));
        }
        let slot = self.slot(topic, partition);
        if topic == Topic::Executions && slot.unheard.load(Ordering::Acquire) > 0 {
            return Err(error(
                LogErrorKind::Busy,
                "an append before it failed, and its writer has not heard of that yet",
            ));
        }
        let mut state = slot.lock();
        let timestamp = self.now().max(state.last);
        state.last = timestamp;
        let first = *slot.tail.borrow();
        let count = records.len() as u64;
        state.records.extend(records.into_iter().zip(first..).map(|(record, offset)| {
            let Record { key, headers, value } = record;
            StoredRecord { offset, timestamp, key, headers, value }
        }));
        slot.tail.send_replace(first + count);
        Ok(Appended { first, count })
    }
}

#[async_trait]
impl Log for MemoryLog {
    fn partitions(&self) -> u32 {
        self.partitions
    }

    fn append(
        &self,
        topic: Topic,
        partition: Partition,
        records: Vec<Record>,
    ) -> BoxFuture<'static, LogResult<Appended>> {
        let appended = self.append_now(topic, partition, records);
        if appended.is_ok() {
            return ready(appended).boxed();
        }
        let unheard = Arc::clone(&self.slot(topic, partition).unheard);
        unheard.fetch_add(1, Ordering::AcqRel);
        let unheard = Unheard(unheard);
        async move {
            drop(unheard);
            appended
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
        let state = self.slot(topic, partition).lock();
        if from < state.start {
            let message = format!("offset {from} was trimmed away; reading can start at {}", state.start);
            let context = format!("{topic}[{partition}]");
            let (kind, outcome) = (LogErrorKind::Trimmed, Outcome::NotDone);
            return Err(LogError { kind, outcome, operation: "read", context, message });
        }
        let at = state.records.partition_point(|record| record.offset < from);
        let mut bytes = 0;
        let fits = |(index, record): &(usize, &StoredRecord)| {
            let headers: usize = record.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
            bytes += record.key.len() + record.value.len() + headers;
            *index == 0 || bytes <= bytes_max
        };
        let records = state.records[at..].iter().take(records_max).enumerate().take_while(fits);
        Ok(records.map(|(_, record)| record.clone()).collect())
    }

    fn tail(&self, topic: Topic, partition: Partition) -> watch::Receiver<Offset> {
        self.slot(topic, partition).tail.subscribe()
    }

    async fn bounds(&self, topic: Topic, partition: Partition) -> LogResult<Bounds> {
        let slot = self.slot(topic, partition);
        let start = slot.lock().start;
        Ok(Bounds { start, end: *slot.tail.borrow() })
    }

    async fn trim(&self, topic: Topic, partition: Partition, before: Offset) -> LogResult<()> {
        let slot = self.slot(topic, partition);
        let mut state = slot.lock();
        state.start = state.start.max(before.min(*slot.tail.borrow()));
        let start = state.start;
        state.records.retain(|record| record.offset >= start);
        Ok(())
    }

    async fn join(&self, _node: &str) -> LogResult<Membership> {
        Ok(Membership { owned: self.owned.subscribe() })
    }

    fn disk_bytes(&self) -> u64 {
        0
    }

    async fn close(&self) -> LogResult<()> {
        self.closed.store(true, Ordering::Release);
        Ok(())
    }
}
