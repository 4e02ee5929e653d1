//! The seam: what every log must do, whatever is behind it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use fastn_domain::time::Timestamp;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

/// The topics. All have the same partition count and are co-partitioned by `account/customer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Input: events and commands.
    Events,
    /// The journal: one writer a partition, the processor that owns it.
    Executions,
    /// Connector calls.
    Traces,
    /// Claims and checkpoints of each partition, in one order. Trimmed by its writers, never compacted: records have no key.
    Control,
}

impl Topic {
    /// Every topic.
    pub const ALL: [Topic; 4] = [Topic::Events, Topic::Executions, Topic::Traces, Topic::Control];

    /// The topic's name without a region prefix.
    pub const fn name(self) -> &'static str {
        match self {
            Topic::Events => "events",
            Topic::Executions => "executions",
            Topic::Traces => "traces",
            Topic::Control => "control",
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A partition's number, from zero.
pub type Partition = u32;

/// A record's place in its partition. Offsets grow; after a crash or a trim there may be gaps.
pub type Offset = u64;

/// A record on its way into the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// `account/customer`; empty for records that belong to the partition as a whole.
    pub key: Bytes,
    /// Few and short, e.g. the CloudEvents binding headers.
    pub headers: Vec<(Cow<'static, str>, Bytes)>,
    /// The Avro value in the Confluent wire format.
    pub value: Bytes,
}

impl Record {
    /// A record without headers.
    pub fn new(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self { key: key.into(), headers: Vec::new(), value: value.into() }
    }

    /// Bytes that count against limits.
    pub fn size(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.key.len() + self.value.len() + headers
    }
}

/// A record as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    /// Its place.
    pub offset: Offset,
    /// When the log took it. Never decreases along a partition; in a cluster, as far as the brokers' clocks agree when a
    /// partition's leader changes.
    pub timestamp: Timestamp,
    /// See [`Record::key`].
    pub key: Bytes,
    /// See [`Record::headers`].
    pub headers: Vec<(Cow<'static, str>, Bytes)>,
    /// See [`Record::value`].
    pub value: Bytes,
}

/// What a partition holds: offsets in `start..end` that were not trimmed.
///
/// ```text
///        trimmed        readable            not written yet
///   ───────────────┬──────────────────────┬────────────────
///                start                   end   (start == end: empty)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The first readable offset.
    pub start: Offset,
    /// One past the last durable record.
    pub end: Offset,
}

/// Whether a failed operation may have happened all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did not happen and will not.
    NotDone,
    /// It may have happened: the acknowledgement was lost.
    Unknown,
}

/// What went wrong. Decisions read this, never a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogErrorKind {
    /// The append queue is full; try again after a moment.
    Busy,
    /// No space is left on the device.
    Full,
    /// The record is larger than the log takes.
    TooLarge,
    /// The offset was trimmed away; the bounds say where reading can start.
    Trimmed,
    /// Another process has the log open.
    Locked,
    /// What is stored does not read back.
    Corrupt,
    /// The log is shut down.
    Closed,
    /// The device or the broker failed.
    Io,
}

/// A failed log operation.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{operation} {context}: {message}")]
pub struct LogError {
    /// See [`LogErrorKind`].
    pub kind: LogErrorKind,
    /// See [`Outcome`].
    pub outcome: Outcome,
    /// The operation attempted, e.g. `append to`.
    pub operation: &'static str,
    /// On what, e.g. `events[3]` or the directory.
    pub context: String,
    /// What happened and what to do.
    pub message: String,
}

/// The result of a log operation.
pub type LogResult<T> = Result<T, LogError>;

/// Where the records of one append came to lie: `first..first + count`, without gaps on `executions` and `control`. On
/// `events` and `traces`, which have many writers, a log shared by several processes may put records of others between; they
/// keep their order, and `first` is that of the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The offset of the first record.
    pub first: Offset,
    /// How many there were.
    pub count: u64,
}

/// The partitions that this process owns now. A change of ownership is a new value. Where partitions are shared out over
/// a network, the value is empty until that has happened, and its first outcome is a change even if it is empty.
#[derive(Clone, Debug)]
pub struct Membership {
    /// Sorted partition numbers. The sender lives as long as the membership does.
    pub owned: watch::Receiver<Arc<[Partition]>>,
}

/// A partitioned, durable, ordered log.
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// How many partitions every topic has. Fixed at creation.
    fn partitions(&self) -> u32;

    /// Appends `records` to one partition. When it succeeds, all are there.
    ///
    /// Order: calls on one partition are ordered by when they are made, not by when their futures are polled; each call's
    /// records stay together, see [`Appended`]. Atomic on one machine; of a cluster's log an append with an unknown outcome
    /// may leave the first few of its records, never a later one without those before.
    /// Prefix: on `executions` a durable record means that all before it of that writer are durable. So once an append has
    /// failed, for whatever reason, later ones on that partition are refused as `Busy` until the failure was heard, that is
    /// until its future was polled to the end or dropped. A writer that stops at the first failure it hears leaves no hole.
    /// Durability: the future resolves once the records survive the death of the process and of the machine, as the back end
    /// promises it. Dropping the future does not take the append back. Twice: appends twice.
    /// An empty batch is refused by a panic in debug builds and resolves at once otherwise.
    ///
    /// # Errors
    /// `Busy` (nothing was queued), `Full`, `TooLarge`, `Closed`: not done. `Io`: unknown. After an unknown outcome
    /// later appends may still succeed, so a writer that needs its order must stop and claim anew.
    fn append(
        &self,
        topic: Topic,
        partition: Partition,
        records: Vec<Record>,
    ) -> BoxFuture<'static, LogResult<Appended>>;

    /// Reads durable records at `from` or after it, in order: at most `records_max`, and at most `bytes_max` bytes but
    /// always one record if there is one, and perhaps fewer than there are. Empty at the tail, at once. Never shows a record
    /// that is not durable; shows everything that was acknowledged to this process, and what another one appended soon.
    ///
    /// # Errors
    /// `Trimmed` when `from` is before the start.
    async fn read(
        &self,
        topic: Topic,
        partition: Partition,
        from: Offset,
        records_max: usize,
        bytes_max: usize,
    ) -> LogResult<Vec<StoredRecord>>;

    /// Follows the end of a partition: the receiver's value is [`Bounds::end`], and it changes after every commit. In a
    /// cluster the value is what this process knows: it may be low, even zero, until the brokers have been asked. Hold a
    /// receiver only of partitions that are worked on: each is fetched as it grows.
    fn tail(&self, topic: Topic, partition: Partition) -> watch::Receiver<Offset>;

    /// The readable range.
    async fn bounds(&self, topic: Topic, partition: Partition) -> LogResult<Bounds>;

    /// Forgets every record before `before` and, soon, frees its space. Offsets are not reused. Trimming to an offset
    /// already trimmed, or past the end, is no error: it trims what there is. Not durable at once: after a crash some
    /// trimmed records may be readable again.
    async fn trim(&self, topic: Topic, partition: Partition, before: Offset) -> LogResult<()>;

    /// Joins the processes that share the partitions as `group`, e.g. `pipeline` or `projector`. Each partition has one
    /// owner a group, except for moments in which the old one has not heard yet; claims and stored positions make those
    /// harmless. On one machine: owns them all from the start. In a cluster: none until the group gives some, and none again
    /// when the brokers can't be reached for longer than a session. Joining a group twice is one membership.
    async fn join(&self, group: &str) -> LogResult<Membership>;

    /// Bytes on disk that the log holds now, as far as the back end knows.
    fn disk_bytes(&self) -> u64;

    /// Stops taking appends, waits for those queued, and releases the directory or the connections.
    async fn close(&self) -> LogResult<()>;
}
