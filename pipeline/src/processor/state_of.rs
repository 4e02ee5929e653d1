//! What the journal says of one customer's `fastn.state`, read as a recovery reads it, by somebody who owns nothing.

use std::collections::BTreeMap;

use fastn_domain::journal::{Epoch, JournalRecord, StateWrite};
use fastn_domain::partition::partition_of;
use fastn_domain::scope::Scope;
use fastn_log::{Log, LogError, LogErrorKind, Topic, codec};

use super::claim::Control;

/// Records and bytes in one read.
const READ_RECORDS_MAX: usize = 1_024;
const READ_BYTES_MAX: usize = 1 << 20;

/// The entries of `scope` as the journal has them now, expired ones included. Memory is bounded by what one customer may
/// hold; the time by the journal since its last checkpoint.
///
/// # Errors
/// Those of the log; one that is trimmed meanwhile reads again from where it starts.
pub async fn state_of(log: &dyn Log, scope: &Scope) -> Result<Vec<StateWrite>, LogError> {
    let partition = partition_of(scope, log.partitions());
    let control = Control::read(log, partition, None).await?;
    let (mut next, epoch) = match &control.believed {
        Some(checkpoint) => (checkpoint.recover_from, checkpoint.recover_epoch),
        None => (log.bounds(Topic::Executions, partition).await?.start, 0),
    };
    let mut reading = Reading { scope, claimed: epoch, entries: BTreeMap::new() };
    loop {
        let records = match log.read(Topic::Executions, partition, next, READ_RECORDS_MAX, READ_BYTES_MAX).await {
            Err(error) if error.kind == LogErrorKind::Trimmed => {
                next = log.bounds(Topic::Executions, partition).await?.start.max(next + 1);
                continue;
            }
            read => read?,
        };
        let Some(last) = records.last() else { return Ok(reading.entries.into_values().collect()) };
        next = last.offset + 1;
        records.iter().filter_map(|stored| codec::decode_journal(&stored.value).ok()).for_each(|one| reading.take(one));
    }
}

struct Reading<'s> {
    scope: &'s Scope,
    /// The newest claim seen.
    claimed: Epoch,
    entries: BTreeMap<(String, String), StateWrite>,
}

impl Reading<'_> {
    fn take(&mut self, record: JournalRecord) {
        if record.epoch() < self.claimed {
            return;
        }
        match record {
            JournalRecord::Claim(claim) => self.claimed = claim.epoch,
            JournalRecord::Progress(progress) if progress.scope == *self.scope => self.apply(progress.state),
            JournalRecord::StateSnapshot(snapshot) if snapshot.scope == *self.scope => self.apply(snapshot.entries),
            JournalRecord::Finished(finished) if finished.scope == *self.scope => {
                let own = format!("execution/{}", finished.execution);
                self.entries.retain(|(space, _), _| *space != own);
            }
            _ => {}
        }
    }

    fn apply(&mut self, writes: Vec<StateWrite>) {
        for write in writes {
            let place = (write.space.clone(), write.key.clone());
            match write.value {
                Some(_) => self.entries.insert(place, write),
                None => self.entries.remove(&place),
            };
        }
    }
}
