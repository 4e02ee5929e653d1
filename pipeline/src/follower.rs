//! Reads the journal of one partition for whoever makes something of it beside the projector: decoded, without the records
//! of replaced writers.

use fastn_domain::journal::JournalRecord;
use fastn_domain::time::Timestamp;
use fastn_log::codec::decode_journal;
use fastn_log::{Log, LogErrorKind, LogResult, Offset, Partition, StoredRecord, Topic};
use fastn_store::Position;
use tokio::sync::watch;

/// Records and bytes of one read.
const READ_RECORDS_MAX: usize = 512;
const READ_BYTES_MAX: usize = 2 << 20;

/// See the head of this file.
pub(crate) struct Follower {
    /// The partition.
    pub(crate) partition: Partition,
    position: Position,
    tail: watch::Receiver<Offset>,
    /// The end of the partition when it was first asked for: in a cluster the tail may be known only later.
    known_end: Offset,
    /// When the log took the last record that was read.
    read_at: Timestamp,
}

/// What one read gave.
pub(crate) struct Read {
    /// The records that count, in order.
    pub(crate) records: Vec<JournalRecord>,
    /// Whether records were trimmed away before they were read.
    pub(crate) gap: bool,
    /// Records that do not decode: written by a newer program.
    pub(crate) unreadable: u64,
}

impl Follower {
    /// Goes on at `position`.
    pub(crate) async fn at(log: &dyn Log, partition: Partition, position: Position) -> LogResult<Self> {
        let known_end = log.bounds(Topic::Executions, partition).await?.end;
        let tail = log.tail(Topic::Executions, partition);
        Ok(Self { partition, position, tail, known_end, read_at: Timestamp::default() })
    }

    /// Begins at what is written from now on.
    pub(crate) async fn at_end(log: &dyn Log, partition: Partition) -> LogResult<Self> {
        let next = log.bounds(Topic::Executions, partition).await?.end;
        Self::at(log, partition, Position { next, epoch: 0 }).await
    }

    /// How far it has come.
    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// Whether everything that this process knows to be there was read.
    pub(crate) fn at_tail(&self) -> bool {
        self.position.next >= self.known_end.max(*self.tail.borrow())
    }

    /// When the log took the last record that was read; the epoch when none was.
    pub(crate) fn read_at(&self) -> Timestamp {
        self.read_at
    }

    /// Waits until there is more to read. False when the log is closed.
    pub(crate) async fn grown(&mut self) -> bool {
        let next = self.position.next;
        self.tail.wait_for(|end| *end > next).await.is_ok()
    }

    /// The next records, at once; none at the tail.
    pub(crate) async fn read(&mut self, log: &dyn Log) -> LogResult<Read> {
        self.read_before(log, Offset::MAX).await
    }

    /// The next records that lie before `end`.
    pub(crate) async fn read_before(&mut self, log: &dyn Log, end: Offset) -> LogResult<Read> {
        let mut read = Read { records: Vec::new(), gap: false, unreadable: 0 };
        if self.at_tail() || self.position.next >= end {
            return Ok(read);
        }
        let stored = match self.fetch(log).await {
            Err(error) if error.kind == LogErrorKind::Trimmed => {
                let start = log.bounds(Topic::Executions, self.partition).await?.start;
                self.position.next = start.max(self.position.next + 1);
                read.gap = true;
                self.fetch(log).await?
            }
            fetched => fetched?,
        };
        for record in stored {
            if record.offset >= end {
                self.position.next = end;
                break;
            }
            self.position.next = record.offset + 1;
            self.read_at = record.timestamp;
            match decode_journal(&record.value) {
                Ok(record) if record.epoch() >= self.position.epoch => {
                    // The claim of a higher epoch may have been trimmed away: then the record stands for it.
                    self.position.epoch = record.epoch();
                    read.records.push(record);
                }
                Ok(_) => {}
                Err(_) => read.unreadable += 1,
            }
        }
        Ok(read)
    }

    async fn fetch(&self, log: &dyn Log) -> LogResult<Vec<StoredRecord>> {
        let next = self.position.next;
        log.read(Topic::Executions, self.partition, next, READ_RECORDS_MAX, READ_BYTES_MAX).await
    }
}
