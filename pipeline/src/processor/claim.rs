//! Taking a partition: an intent in `control[p]`, the journal read, a claim appended, the machine made.
//!
//! ```text
//!   control[p]:     checkpoint … checkpoint · intent(e)     the newest believed checkpoint says where reading starts
//!   executions[p]:  ───┬─────────────────┬───────┬────▶
//!              recover_from      checkpoint   claim(e): read up to here, then write
//! ```
//!
//! `control[p]` puts claims and checkpoints into one order. A checkpoint is believed if no intent with a higher epoch lies
//! before it: what its writer said again was then in the journal before that claim. A writer looks, after its checkpoint is
//! written, whether it is believed; only then may it trim, and if not, it has lost the partition. An epoch belongs to the
//! first intent that names it.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use fastn_domain::catalog::Catalog;
use fastn_domain::journal::{Checkpoint, Claim, Epoch, JournalRecord};
use fastn_domain::time::Timestamp;
use fastn_log::{Log, LogError, LogErrorKind, Offset, Outcome, Partition, Record, StoredRecord, Topic, codec};

use super::machine::{Limits, Machine, Recovery};
use super::observe;

/// Records and bytes in one read.
const READ_RECORDS_MAX: usize = 4_096;
const READ_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a claim needs.
pub(crate) struct Claiming<'a> {
    pub(crate) log: &'a dyn Log,
    pub(crate) partition: Partition,
    pub(crate) node: &'a str,
    pub(crate) limits: Limits,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) now: Timestamp,
}

/// A claimed partition.
pub(crate) struct Claimed {
    pub(crate) machine: Machine,
    /// Its epoch.
    pub(crate) epoch: Epoch,
    /// Where the next recovery would start.
    pub(crate) recover_from: Offset,
}

impl Claiming<'_> {
    /// Reads the journal and claims the partition.
    pub(crate) async fn run(&self) -> Result<Claimed, LogError> {
        let began = Instant::now();
        let mut epoch = Control::read(self.log, self.partition, None).await?.epoch_max + 1;
        loop {
            let intent = self.append(Topic::Control, epoch).await?;
            let control = Control::read(self.log, self.partition, Some(intent)).await?;
            if control.epoch_max >= epoch {
                epoch = control.epoch_max + 1;
                continue;
            }
            let start = match &control.believed {
                Some(checkpoint) => checkpoint.recover_from,
                None => self.log.bounds(Topic::Executions, self.partition).await?.start,
            };
            let mut reading = self.reading(control.believed.as_ref(), start);
            self.read_to(&mut reading, None).await?;
            if reading.recovery.claimed() >= epoch {
                epoch = reading.recovery.claimed() + 1;
                continue;
            }
            let at = self.append(Topic::Executions, epoch).await?;
            self.read_to(&mut reading, Some(at)).await?;
            if reading.recovery.claimed() != epoch {
                epoch = reading.recovery.claimed() + 1;
                continue;
            }
            let records = at.saturating_sub(start);
            let machine = reading.recovery.finish(epoch, at, start, self.now);
            observe::recovered(self.partition, records, machine.live(), began.elapsed());
            return Ok(Claimed { machine, epoch, recover_from: start });
        }
    }

    fn reading(&self, checkpoint: Option<&Checkpoint>, start: Offset) -> Reading {
        let recovery =
            Recovery::new(self.partition, self.log.partitions(), self.limits.clone(), Arc::clone(&self.catalog));
        match checkpoint {
            Some(checkpoint) => Reading { recovery: recovery.starting_in(checkpoint.recover_epoch), next: start },
            None => Reading { recovery, next: start },
        }
    }

    /// Reads on, up to and including `last`, or to the end.
    async fn read_to(&self, reading: &mut Reading, last: Option<Offset>) -> Result<(), LogError> {
        while last.is_none_or(|last| reading.next <= last) {
            let records = self.read(reading.next).await?;
            if records.is_empty() {
                return Ok(());
            }
            for stored in records {
                if last.is_some_and(|last| stored.offset > last) {
                    return Ok(());
                }
                let record = self.decode(&stored)?;
                reading.take(stored.offset, record);
            }
        }
        Ok(())
    }

    /// Appends an intent to `control[p]`, or a claim to the journal.
    async fn append(&self, topic: Topic, epoch: Epoch) -> Result<Offset, LogError> {
        let claim = Claim { epoch, node: self.node.to_owned(), at: self.now };
        let value = codec::encode_journal(&JournalRecord::Claim(claim));
        let record = Record::new(Bytes::new(), value);
        Ok(self.log.append(topic, self.partition, vec![record]).await?.first)
    }

    async fn read(&self, from: Offset) -> Result<Vec<StoredRecord>, LogError> {
        self.log.read(Topic::Executions, self.partition, from, READ_RECORDS_MAX, READ_BYTES_MAX).await
    }

    fn decode(&self, stored: &StoredRecord) -> Result<JournalRecord, LogError> {
        codec::decode_journal(&stored.value).map_err(|error| LogError {
            kind: LogErrorKind::Corrupt,
            outcome: Outcome::NotDone,
            operation: "recover from",
            context: format!("executions[{}] at offset {}", self.partition, stored.offset),
            message: format!("{error}; the journal was written by a newer version, or is damaged"),
        })
    }
}

/// What `control[p]` says.
pub(crate) struct Control {
    /// The highest epoch of an intent.
    pub(crate) epoch_max: Epoch,
    /// The newest checkpoint that is believed.
    pub(crate) believed: Option<Checkpoint>,
}

impl Control {
    /// Reads what lies before `end`, or everything.
    pub(crate) async fn read(log: &dyn Log, partition: Partition, end: Option<Offset>) -> Result<Self, LogError> {
        let mut control = Self { epoch_max: 0, believed: None };
        let mut next = log.bounds(Topic::Control, partition).await?.start;
        loop {
            let records = log.read(Topic::Control, partition, next, READ_RECORDS_MAX, READ_BYTES_MAX).await?;
            let Some(last) = records.last() else { return Ok(control) };
            next = last.offset + 1;
            for record in &records {
                if end.is_some_and(|end| record.offset >= end) {
                    return Ok(control);
                }
                match codec::decode_journal(&record.value) {
                    Ok(JournalRecord::Claim(intent)) => control.epoch_max = control.epoch_max.max(intent.epoch),
                    Ok(JournalRecord::Checkpoint(checkpoint)) if checkpoint.epoch >= control.epoch_max => {
                        control.believed = Some(checkpoint);
                    }
                    _ => {}
                }
            }
        }
    }
}

struct Reading {
    recovery: Recovery,
    next: Offset,
}

impl Reading {
    fn take(&mut self, offset: Offset, record: JournalRecord) {
        self.recovery.apply(offset, record);
        self.next = offset + 1;
    }
}
