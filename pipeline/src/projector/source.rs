//! One partition as the projector reads it: the journal, and beside it the events that it admits.

use std::collections::VecDeque;

use fastn_domain::journal::{Admitted, JournalRecord};
use fastn_log::codec::{decode_event, decode_journal};
use fastn_log::{Log, LogErrorKind, LogResult, Offset, Partition, StoredRecord, Topic};
use fastn_store::{Advance, Position};
use tokio::sync::watch;

use super::fold::ReadEvent;
use super::observe;

/// Records and bytes of one read.
const READ_RECORDS_MAX: usize = 512;
const READ_BYTES_MAX: usize = 2 << 20;

/// A journal record on its way into a batch.
pub(crate) struct Next {
    pub(crate) record: JournalRecord,
    pub(crate) bytes: usize,
}

/// See the head of this file.
pub(crate) struct Source {
    pub(crate) partition: Partition,
    /// What SQL holds.
    stored: Position,
    /// What SQL will hold once the current batch is written.
    taken: Position,
    journal: VecDeque<StoredRecord>,
    /// Where the next read of the journal begins.
    read_from: Offset,
    pub(crate) tail: watch::Receiver<Offset>,
    /// When the log took the last record taken.
    taken_at: fastn_domain::time::Timestamp,
    events: Events,
}

impl Source {
    pub(crate) fn new(log: &dyn Log, partition: Partition, stored: Position) -> Self {
        Self {
            partition,
            stored,
            taken: stored,
            journal: VecDeque::new(),
            read_from: stored.next,
            tail: log.tail(Topic::Executions, partition),
            taken_at: Default::default(),
            events: Events { partition, queue: VecDeque::new(), start: 0 },
        }
    }

    /// The next record that counts, decoded but not taken yet. Records that do not count are taken on the way.
    pub(crate) async fn peek(&mut self, log: &dyn Log) -> LogResult<Option<Next>> {
        loop {
            if self.journal.is_empty() {
                self.fill(log).await?;
            }
            let Some(stored) = self.journal.front() else { return Ok(None) };
            let record = match decode_journal(&stored.value) {
                Ok(record) => record,
                Err(error) => {
                    observe::undecodable(self.partition, stored.offset, &error);
                    self.take();
                    continue;
                }
            };
            if record.epoch() < self.taken.epoch {
                observe::stale_record();
                self.take();
                continue;
            }
            // The claim of a higher epoch may have been trimmed away: then the record stands for it.
            self.taken.epoch = record.epoch();
            let bytes = stored.value.len();
            return Ok(Some(Next { record, bytes }));
        }
    }

    /// Takes the record that `peek` showed.
    pub(crate) fn take(&mut self) {
        if let Some(record) = self.journal.pop_front() {
            self.taken.next = record.offset + 1;
            self.taken_at = record.timestamp;
        }
    }

    async fn fill(&mut self, log: &dyn Log) -> LogResult<()> {
        // Marked as seen before the read: whatever comes later wakes the next wait.
        if *self.tail.borrow_and_update() <= self.read_from {
            return Ok(());
        }
        let (from, records, bytes) = (self.read_from, READ_RECORDS_MAX, READ_BYTES_MAX);
        match log.read(Topic::Executions, self.partition, from, records, bytes).await {
            Ok(records) => {
                self.read_from = records.last().map_or(from, |last| last.offset + 1);
                self.journal.extend(records);
                Ok(())
            }
            Err(error) if error.kind == LogErrorKind::Trimmed => {
                let start = log.bounds(Topic::Executions, self.partition).await?.start.max(from + 1);
                observe::journal_trimmed(self.partition, from, start);
                self.read_from = start;
                self.taken.next = start;
                let records = log.read(Topic::Executions, self.partition, start, records, bytes).await?;
                self.read_from = records.last().map_or(start, |last| last.offset + 1);
                self.journal.extend(records);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// The events that a record admits, in its order.
    pub(crate) async fn events_of(&mut self, log: &dyn Log, record: &Admitted) -> LogResult<Vec<Option<ReadEvent>>> {
        let mut events = Vec::with_capacity(record.events.len());
        for event in &record.events {
            events.push(self.events.read(log, event.offset).await?);
        }
        Ok(events)
    }

    /// One event, wherever it lies: that of an execution which the cleaner said again, long before those of `events_of`.
    pub(crate) async fn event_at(&self, log: &dyn Log, offset: Offset) -> LogResult<Option<ReadEvent>> {
        let read = match log.read(Topic::Events, self.partition, offset, 1, 1).await {
            Ok(records) => records,
            Err(error) if error.kind == LogErrorKind::Trimmed => Vec::new(),
            Err(error) => return Err(error),
        };
        let found = read.into_iter().next().filter(|record| record.offset == offset);
        let decoded = found.and_then(|record| Some((decode_event(&record.value).ok()?, record.timestamp)));
        if decoded.is_none() {
            observe::event_missing(self.partition, offset);
        }
        Ok(decoded.map(|(record, received)| ReadEvent { record, received }))
    }

    /// The step that the current batch makes, if it makes one.
    pub(crate) fn advance(&self) -> Option<Advance> {
        let (partition, from, to) = (self.partition, self.stored, self.taken);
        (to.next != from.next).then_some(Advance { partition, from, to })
    }

    /// The batch is written.
    pub(crate) fn written(&mut self) {
        if self.taken.next != self.stored.next {
            self.stored = self.taken;
        }
    }

    /// The journal offset from which the partition is not projected yet.
    pub(crate) fn projected(&self) -> Offset {
        self.stored.next
    }

    /// How many offsets lie ahead, and when the log took the last record taken.
    pub(crate) fn behind(&self) -> (u64, fastn_domain::time::Timestamp) {
        (self.tail.borrow().saturating_sub(self.stored.next), self.taken_at)
    }
}

/// Reads events in step with the journal, which names them in ascending order.
struct Events {
    partition: Partition,
    queue: VecDeque<StoredRecord>,
    /// Everything before it was trimmed, as far as known.
    start: Offset,
}

impl Events {
    async fn read(&mut self, log: &dyn Log, offset: Offset) -> LogResult<Option<ReadEvent>> {
        if offset < self.start {
            observe::event_missing(self.partition, offset);
            return Ok(None);
        }
        // Offsets that were never admitted, such as those of commands to nobody, are passed over.
        while self.queue.front().is_some_and(|record| record.offset < offset) {
            self.queue.pop_front();
        }
        if self.queue.is_empty() {
            self.fill(log, offset).await?;
        }
        let found = self.queue.pop_front_if(|record| record.offset == offset);
        let decoded = found.map(|record| (decode_event(&record.value), record.timestamp));
        match decoded {
            Some((Ok(record), received)) => Ok(Some(ReadEvent { record, received })),
            Some((Err(error), _)) => {
                observe::undecodable(self.partition, offset, &error);
                Ok(None)
            }
            None => {
                observe::event_missing(self.partition, offset);
                Ok(None)
            }
        }
    }

    async fn fill(&mut self, log: &dyn Log, offset: Offset) -> LogResult<()> {
        match log.read(Topic::Events, self.partition, offset, READ_RECORDS_MAX, READ_BYTES_MAX).await {
            Ok(records) => {
                self.queue.extend(records);
                Ok(())
            }
            Err(error) if error.kind == LogErrorKind::Trimmed => {
                self.start = log.bounds(Topic::Events, self.partition).await?.start;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}
