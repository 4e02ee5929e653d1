//! Brings the events of an outbox into the log.

use fastn_domain::partition::partition_of;
use fastn_domain::poll::{Told, event};
use fastn_domain::{Scope, TriggerId};
use fastn_log::{Log, LogErrorKind, LogResult, Record, Topic, event_record_at};

use crate::observe;

/// Records of one append.
const APPEND_RECORDS_MAX: usize = 500;

/// Appends all events, in order, and waits until they are durable. Twice is once: their ids are the same.
///
/// # Errors
/// When the log does not say that they are durable. Some may be.
pub(super) async fn deliver(
    log: &dyn Log,
    scope: &Scope,
    trigger: &TriggerId,
    revision: u64,
    told: &[Told],
) -> LogResult<()> {
    let partition = partition_of(scope, log.partitions());
    for some in told.chunks(APPEND_RECORDS_MAX) {
        // An id is at most as long as that of a trigger, a number and a hash.
        let events = some.iter().filter_map(|told| event(trigger, scope.clone(), told).ok());
        let records: Vec<Record> = events.map(|event| event_record_at(&event, revision)).collect();
        match log.append(Topic::Events, partition, records.clone()).await {
            Ok(_) => {}
            Err(error) if error.kind == LogErrorKind::TooLarge => one_by_one(log, partition, records).await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What is too large for this log today is so tomorrow: it is left out, and the others are not.
async fn one_by_one(log: &dyn Log, partition: u32, records: Vec<Record>) -> LogResult<()> {
    for record in records {
        match log.append(Topic::Events, partition, vec![record]).await {
            Ok(_) => {}
            Err(error) if error.kind == LogErrorKind::TooLarge => observe::change_too_large(partition),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
