//! Taking a partition: its journal is read, a claim is appended, and the machine is made.
//!
//! ```text
//!   control[p]:     checkpoint … checkpoint            the newest valid one says where reading starts
//!   executions[p]:  ───┬─────────────────┬──────┬────▶
//!              recover_from      checkpoint   our claim: read up to here, then write
//! ```

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
    /// Where the next recovery would start.
    pub(crate) recover_from: Offset,
}

impl Claiming<'_> {
    /// Reads the journal and claims the partition.
    pub(crate) async fn run(&self) -> Result<Claimed, LogError> {
        let began = Instant::now();
        let bounds = self.log.bounds(Topic::Executions, self.partition).await?;
        let mut checkpoints = self.checkpoints().await?;
        loop {
            let checkpoint = checkpoints.pop().filter(|checkpoint| checkpoint.recover_from >= bounds.start);
            let Some(mut read) = self.read_from(checkpoint.as_ref(), bounds.start).await? else {
                // A zombie's checkpoint: what it said again was not believed. The one before it counts.
                continue;
            };
            let start = checkpoint.map_or(bounds.start, |checkpoint| checkpoint.recover_from);
            let (epoch, at) = self.claim(&mut read).await?;
            let records = at.saturating_sub(start);
            let machine = read.recovery.finish(epoch, at, start, self.now);
            observe::recovered(self.partition, records, machine.live(), began.elapsed());
            return Ok(Claimed { machine, recover_from: start });
        }
    }

    /// The checkpoints that `control[p]` tells, the one to try first last.
    async fn checkpoints(&self) -> Result<Vec<Checkpoint>, LogError> {
        let mut found = Vec::new();
        let mut next = self.log.bounds(Topic::Control, self.partition).await?.start;
        loop {
            let records = self.log.read(Topic::Control, self.partition, next, READ_RECORDS_MAX, READ_BYTES_MAX).await?;
            let Some(last) = records.last() else { break };
            next = last.offset + 1;
            for record in &records {
                if let Ok(JournalRecord::Checkpoint(checkpoint)) = codec::decode_journal(&record.value) {
                    found.push(checkpoint);
                }
            }
        }
        found.sort_by_key(|checkpoint| (checkpoint.epoch, checkpoint.journal_offset));
        Ok(found)
    }

    /// Reads from a checkpoint, or from the start, to the end. `None` when the checkpoint is not to be believed.
    async fn read_from(&self, checkpoint: Option<&Checkpoint>, start: Offset) -> Result<Option<Reading>, LogError> {
        let recovery =
            Recovery::new(self.partition, self.log.partitions(), self.limits.clone(), Arc::clone(&self.catalog));
        let mut reading = match checkpoint {
            Some(checkpoint) => {
                Reading { recovery: recovery.starting_in(checkpoint.recover_epoch), next: checkpoint.recover_from }
            }
            None => Reading { recovery, next: start },
        };
        loop {
            let records = self.read(reading.next).await?;
            if records.is_empty() {
                return Ok(Some(reading));
            }
            for stored in records {
                let record = self.decode(&stored)?;
                if let (Some(checkpoint), JournalRecord::Claim(claim)) = (checkpoint, &record)
                    && claim.epoch > checkpoint.epoch
                    && checkpoint.journal_offset.is_none_or(|offset| stored.offset < offset)
                {
                    return Ok(None);
                }
                // A record of a writer whose claim lies before `recover_from`, where this checkpoint's writer did not see it.
                let unclaimed =
                    record.epoch() > reading.recovery.claimed() && !matches!(record, JournalRecord::Claim(_));
                if checkpoint.is_some() && unclaimed {
                    return Ok(None);
                }
                reading.take(stored.offset, record);
            }
        }
    }

    /// Appends a claim above every one seen, and reads up to it. Another claim that got in between is passed by a new one.
    async fn claim(&self, reading: &mut Reading) -> Result<(Epoch, Offset), LogError> {
        loop {
            let epoch = reading.recovery.claimed() + 1;
            let claim = Claim { epoch, node: self.node.to_owned(), at: self.now };
            let value = codec::encode_journal(&JournalRecord::Claim(claim));
            let record = Record::new(Bytes::new(), value);
            let at = self.log.append(Topic::Executions, self.partition, vec![record]).await?.first;
            while reading.next <= at {
                for stored in self.read(reading.next).await? {
                    if stored.offset > at {
                        break;
                    }
                    let record = self.decode(&stored)?;
                    reading.take(stored.offset, record);
                }
            }
            if reading.recovery.claimed() == epoch {
                return Ok((epoch, at));
            }
        }
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
