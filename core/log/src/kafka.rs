//! The log on Apache Kafka.
//!
//! ```text
//! append ─► lane (events | journal) ─► idempotent producer, acks=all ─► answer
//! read   ─► window of a followed partition, else a cursor
//! tail   ─► follower: one consumer over the partitions that somebody follows
//! trim   ─► DeleteRecords
//! join   ─► consumer group over `executions`, for its assignment only
//! ```
//!
//! librdkafka's threads do the talking. Everything here that waits for them has a thread of its own or runs on the blocking
//! pool; nothing blocks an async task. Positions are the callers': no offset is committed. There are no transactions: claims
//! and epochs fence a journal's writers, and one record a decision leaves nothing to make atomic.
//!
//! What Kafka does not give, and the seam asks of others: several records are not one to a broker. On `executions` and
//! `control` an append whose records do not lie together fails as unknown; on `events` and `traces` they keep their order,
//! and those of other processes may lie between.

mod admin;
mod client;
mod clocks;
mod cursor;
mod doctor;
mod failure;
mod follower;
mod limits;
mod line;
mod member;
mod options;
mod pending;
mod producer;
mod slot;
mod stored;
mod topics;
mod window;

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::future::{BoxFuture, FutureExt, ready};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::observe::{self, Meters};
use crate::seam::{
    Appended, Bounds, Log, LogError, LogErrorKind, LogResult, Membership, Offset, Outcome, Partition, Record,
    StoredRecord, Topic,
};
use crate::unheard::heard;
use admin::Admin;
use cursor::{Cursors, Found};
use follower::Follower;
pub use limits::bare_producer;
use member::Member;
pub use options::{KafkaOptions, Sasl, Security, Tls};
use producer::Lane;
use slot::{Slot, Slots};
pub use topics::{Finding, Severity};
use window::{Budget, Seen};

/// A reader that is ahead of the follower waits so long for it before it asks the brokers itself.
const FOLLOWER_WAIT: Duration = Duration::from_secs(1);
/// The pause before brokers are asked again that were away or did not know yet.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// See the module's comment.
pub struct KafkaLog {
    shared: Arc<Shared>,
}

struct Shared {
    options: Arc<KafkaOptions>,
    slots: Arc<Slots>,
    admin: Arc<Admin>,
    events: Arc<Lane>,
    journal: Arc<Lane>,
    follower: Follower,
    cursors: Arc<Cursors>,
    members: Mutex<Vec<Arc<Member>>>,
    closed: AtomicBool,
}

impl std::fmt::Debug for KafkaLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let options = &self.shared.options;
        f.debug_struct("KafkaLog")
            .field("brokers", &options.brokers)
            .field("prefix", &options.prefix)
            .finish_non_exhaustive()
    }
}

impl KafkaLog {
    /// Connects to the cluster, makes the topics that are missing and checks those that are there. Blocks.
    ///
    /// # Errors
    /// `Io` when no broker answers in time, refuses us, or has a topic that can't be used; the message says what to do.
    pub fn open(options: KafkaOptions) -> LogResult<Self> {
        let began = Instant::now();
        let options = Arc::new(options);
        let unusable = |message: String| {
            failure::error(LogErrorKind::Io, Outcome::NotDone, "open the log on", options.brokers.clone(), message)
        };
        let admin = Arc::new(Admin::new(&options).map_err(|error| unusable(error.to_string()))?);
        let findings = block_on(topics::prepare(&admin, &options))
            .map_err(|error| unusable(doctor::trouble(&options).unwrap_or(error.to_string())))?;
        let (errors, warnings): (Vec<_>, Vec<_>) =
            findings.into_iter().partition(|finding| finding.severity == Severity::Error);
        warnings.iter().for_each(|finding| observe::kafka_finding(&finding.to_string()));
        if !errors.is_empty() {
            let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
            return Err(unusable(errors.join("; ")));
        }
        let meters = Arc::new(Meters::new());
        let slots = Arc::new(Slots::new(&options));
        let shared = Shared {
            events: Lane::open("events", &options, &meters)?,
            journal: Lane::open("journal", &options, &meters)?,
            follower: Follower::start(&options, &slots, &admin)?,
            cursors: Arc::new(Cursors::new(&options)),
            members: Mutex::default(),
            closed: AtomicBool::new(false),
            options,
            slots,
            admin,
        };
        observe::kafka_opened(&shared.options.brokers, shared.options.partitions, began);
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Says what is wrong with a cluster, without changing anything in it: brokers that do not answer or refuse us or are
    /// too old, topics that are missing or made differently, copies that are away, clocks that differ. Empty: all is well.
    pub async fn examine(options: KafkaOptions) -> Vec<Finding> {
        doctor::examine(options).await
    }
}

/// Runs a future on a thread of its own, because the caller's may be one of a runtime.
fn block_on<T: Send>(future: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let work = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            runtime.expect("a runtime without I/O needs nothing that can be missing").block_on(future)
        });
        work.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

impl Shared {
    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn members(&self) -> MutexGuard<'_, Vec<Arc<Member>>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks where a partition starts and ends now, and remembers it.
    async fn watermarks(&self, slot: &Arc<Slot>) -> Result<(Offset, Offset), KafkaError> {
        let deadline = Instant::now() + self.options.operation_timeout;
        let (start, end) = loop {
            let (admin, asked) = (Arc::clone(&self.admin), Arc::clone(slot));
            let left = deadline.saturating_duration_since(Instant::now());
            let answer = tokio::task::spawn_blocking(move || admin.watermarks(&asked, left)).await;
            match answer.unwrap_or(Err(KafkaError::MetadataFetch(RDKafkaErrorCode::Fail))) {
                Ok(found) => break found,
                Err(error) if !failure::is_lasting(&error) && Instant::now() < deadline && !self.is_closed() => {
                    tokio::time::sleep(ASK_AGAIN).await;
                }
                Err(error) => return Err(error),
            }
        };
        slot.starts_at(start);
        slot.reaches(end);
        Ok((start, end))
    }

    async fn read(&self, slot: &Arc<Slot>, from: Offset, budget: Budget) -> LogResult<Vec<StoredRecord>> {
        let deadline = Instant::now() + self.options.operation_timeout;
        let failed = |error: &KafkaError| failure::not_done("read", slot.context(), error);
        loop {
            if self.is_closed() {
                return Err(failure::closed("read", slot.context()));
            }
            if from < slot.start() {
                return Err(trimmed(slot, from));
            }
            match self.recent(slot, from, budget).await {
                Some(records) => return Ok(records),
                // Not followed: only the brokers know whether there is something.
                None if from >= slot.end() => {
                    let (_, end) = self.watermarks(slot).await.map_err(|error| failed(&error))?;
                    if from >= end {
                        return Ok(Vec::new());
                    }
                }
                None => {}
            }
            let found = self.cursors.read(slot, from, slot.end(), budget, deadline).await;
            match found.map_err(|error| failed(&error))? {
                Found::Records(records) => {
                    let next = records.last().map_or(from, |last| last.offset + 1);
                    slot.reaches(next);
                    slot.was_read_to(next);
                    return Ok(records);
                }
                Found::End => return Ok(Vec::new()),
                Found::OutOfRange => {
                    let (start, end) = self.watermarks(slot).await.map_err(|error| failed(&error))?;
                    if from >= start && from >= end && from >= slot.end() {
                        return Ok(Vec::new());
                    }
                    if from >= start && Instant::now() > deadline {
                        let late = KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut);
                        return Err(failed(&late));
                    }
                    // Trimmed, or a new leader that is not there yet.
                    tokio::time::sleep(ASK_AGAIN).await;
                }
            }
        }
    }

    /// What the window of a followed partition answers; `None` when it does not.
    async fn recent(&self, slot: &Slot, from: Offset, budget: Budget) -> Option<Vec<StoredRecord>> {
        let mut fetched = slot.fetched.subscribe();
        let patience = Instant::now() + FOLLOWER_WAIT;
        loop {
            fetched.borrow_and_update();
            let seen = slot.window().read(from, budget);
            match seen {
                Seen::Records(records) => {
                    let next = records.last().map_or(from, |last| last.offset + 1);
                    // The follower fills the window first; nobody is to see a record past the tail.
                    slot.reaches(next);
                    slot.was_read_to(next);
                    return Some(records);
                }
                Seen::Ahead if from >= slot.end() => {
                    slot.was_read_to(from);
                    return Some(Vec::new());
                }
                // Acknowledged to us, and on its way from the broker.
                Seen::Ahead => {
                    let left = patience.saturating_duration_since(Instant::now());
                    if !matches!(timeout(left, fetched.changed()).await, Ok(Ok(()))) {
                        return None;
                    }
                }
                Seen::No => return None,
            }
        }
    }

    /// The limit that the records pass, if any.
    fn too_large(&self, records: &[Record]) -> Option<String> {
        let record_max = self.options.record_bytes_max;
        if let Some(record) = records.iter().find(|record| record.size() > record_max) {
            return Some(format!("a record of {} bytes; the most is {record_max}", record.size()));
        }
        let bytes: usize = records.iter().map(Record::size).sum();
        let append_max = self.options.queue_bytes_max.max(record_max);
        (bytes > append_max).then(|| format!("{bytes} bytes in one append; the most is {append_max}, split it"))
    }

    /// Takes nothing more. What waits is seen through by its threads.
    fn refuse(&self) {
        self.closed.store(true, Ordering::Release);
        self.events.refuse();
        self.journal.refuse();
        self.members().iter().for_each(|member| member.stop());
        self.follower.stop();
    }

    /// Waits for what is under way.
    fn join(&self) {
        self.events.join();
        self.journal.join();
        let members = self.members().clone();
        members.iter().for_each(|member| member.wait());
        self.follower.join();
        self.cursors.close();
    }
}

fn trimmed(slot: &Slot, from: Offset) -> LogError {
    let message = format!("offset {from} was trimmed away; reading can start at {}", slot.start());
    failure::error(LogErrorKind::Trimmed, Outcome::NotDone, "read", slot.context(), message)
}

#[async_trait]
impl Log for KafkaLog {
    fn partitions(&self) -> u32 {
        self.shared.options.partitions
    }

    fn append(
        &self,
        topic: Topic,
        partition: Partition,
        records: Vec<Record>,
    ) -> BoxFuture<'static, LogResult<Appended>> {
        let shared = &self.shared;
        let slot = Arc::clone(shared.slots.get(topic, partition));
        debug_assert!(!records.is_empty(), "an append of no records to {topic}[{partition}]");
        if records.is_empty() {
            return ready(Ok(Appended { first: slot.end(), count: 0 })).boxed();
        }
        let lane = if topic == Topic::Events { &shared.events } else { &shared.journal };
        let queued = match shared.too_large(&records) {
            None => lane.append(&slot, records),
            Some(message) => {
                let (kind, context) = (LogErrorKind::TooLarge, slot.context());
                Err(failure::error(kind, Outcome::NotDone, "append to", context, message))
            }
        };
        // A refusal is unheard like any failure, until it is polled or dropped.
        let queued = queued.map_err(|error| (error, slot.failures.unheard()));
        async move {
            let answer = match queued {
                Ok(answer) => answer.await,
                Err(refused) => Ok(Err(refused)),
            };
            answer.map(heard).unwrap_or_else(|_| {
                // The producer's thread is gone without an answer.
                let (kind, outcome) = (LogErrorKind::Io, Outcome::Unknown);
                Err(failure::error(kind, outcome, "append to", slot.context(), "its answer was lost"))
            })
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
        let slot = self.shared.slots.get(topic, partition);
        if records_max == 0 {
            return Ok(Vec::new());
        }
        self.shared.read(slot, from, Budget::new(records_max, bytes_max)).await
    }

    fn tail(&self, topic: Topic, partition: Partition) -> watch::Receiver<Offset> {
        let slot = self.shared.slots.get(topic, partition);
        let tail = slot.tail.subscribe();
        self.shared.follower.follow(slot);
        tail
    }

    async fn bounds(&self, topic: Topic, partition: Partition) -> LogResult<Bounds> {
        let slot = self.shared.slots.get(topic, partition);
        if self.shared.is_closed() {
            return Err(failure::closed("find the bounds of", slot.context()));
        }
        let failed = |error| failure::not_done("find the bounds of", slot.context(), &error);
        let (start, _) = self.shared.watermarks(slot).await.map_err(failed)?;
        Ok(Bounds { start, end: slot.end() })
    }

    async fn trim(&self, topic: Topic, partition: Partition, before: Offset) -> LogResult<()> {
        let slot = self.shared.slots.get(topic, partition);
        if self.shared.is_closed() {
            return Err(failure::closed("trim", slot.context()));
        }
        if before <= slot.start() {
            return Ok(());
        }
        let failed = |error| failure::not_done("trim", slot.context(), &error);
        let end = match slot.end() {
            end if before <= end => end,
            _ => self.shared.watermarks(slot).await.map_err(failed)?.1,
        };
        let patience = self.shared.options.operation_timeout;
        let start = self.shared.admin.delete_before(slot, before.min(end), patience).await.map_err(failed)?;
        slot.starts_at(start);
        Ok(())
    }

    async fn join(&self, group: &str) -> LogResult<Membership> {
        let shared = &self.shared;
        let mut members = shared.members();
        if shared.is_closed() {
            return Err(failure::closed("join", group));
        }
        if let Some(member) = members.iter().find(|member| member.group == group) {
            return Ok(Membership { owned: member.owned.clone() });
        }
        let member = Member::join(&shared.options, group).map_err(|error| failure::not_done("join", group, &error))?;
        let owned = member.owned.clone();
        members.push(Arc::new(member));
        Ok(Membership { owned })
    }

    /// Not known to a client: the brokers' disks are theirs to watch. Always 0.
    fn disk_bytes(&self) -> u64 {
        0
    }

    async fn close(&self) -> LogResult<()> {
        let shared = Arc::clone(&self.shared);
        shared.refuse();
        // A panic in there is that of a thread which is gone then.
        let _ = tokio::task::spawn_blocking(move || shared.join()).await;
        Ok(())
    }
}

impl Drop for KafkaLog {
    fn drop(&mut self) {
        // The threads end by themselves; waiting here could block a task.
        self.shared.refuse();
    }
}
