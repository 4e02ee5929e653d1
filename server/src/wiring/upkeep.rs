//! Frees what the log need not keep: what neither a recovery nor the projector needs, once it is old or there is no room.

use std::sync::Arc;
use std::time::Duration;

use fastn_domain::time::{Clock, Timestamp};
use fastn_log::{Log, LogResult, Offset, Partition, Topic};
use fastn_pipeline::processor::Pipeline;
use fastn_store::Store;

/// How often the log is looked at for what can be freed.
const EVERY: Duration = Duration::from_secs(30);
/// Looks between two at the age of records, which costs reads.
const LOOKS_PER_AGE: u64 = 20;

/// What the log keeps beyond what is needed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keep {
    /// Bytes on disk, where the log can tell.
    pub(super) bytes: u64,
    /// For how long.
    pub(super) time: Duration,
}

/// Trims the partitions of this node's processors, for ever.
pub(super) async fn trim(
    log: Arc<dyn Log>,
    store: Arc<dyn Store>,
    pipeline: Arc<Pipeline>,
    clock: Arc<dyn Clock>,
    keep: Keep,
) {
    let mut ticks = tokio::time::interval(EVERY);
    for look in 1_u64.. {
        ticks.tick().await;
        let no_room = log.disk_bytes() > keep.bytes;
        if !no_room && !look.is_multiple_of(LOOKS_PER_AGE) {
            continue;
        }
        let cut = (!no_room).then(|| {
            let keep_us = i64::try_from(keep.time.as_micros()).unwrap_or(i64::MAX);
            Timestamp(clock.now().as_micros().saturating_sub(keep_us))
        });
        for partition in 0..log.partitions() {
            if let Err(error) = trim_one(&*log, &*store, &pipeline, partition, cut).await {
                tracing::warn!(partition, %error, "the log could not be trimmed");
            }
        }
    }
}

async fn trim_one(
    log: &dyn Log,
    store: &dyn Store,
    pipeline: &Pipeline,
    partition: Partition,
    cut: Option<Timestamp>,
) -> LogResult<()> {
    let Some(floor) = pipeline.trim_floor(partition) else { return Ok(()) };
    let Ok(position) = store.position(partition).await else { return Ok(()) };
    // The projector reads the events of the records that it has still to read.
    let behind = position.next < floor.journal;
    let events = if behind { 0 } else { floor.events };
    for (topic, free) in [(Topic::Executions, floor.journal.min(position.next)), (Topic::Events, events)] {
        let before = match cut {
            Some(cut) => free.min(first_since(log, topic, partition, cut).await?),
            None => free,
        };
        log.trim(topic, partition, before).await?;
    }
    Ok(())
}

/// The first offset whose record the log took at `cut` or later, by halving.
async fn first_since(log: &dyn Log, topic: Topic, partition: Partition, cut: Timestamp) -> LogResult<Offset> {
    let bounds = log.bounds(topic, partition).await?;
    let (mut low, mut high) = (bounds.start, bounds.end);
    while low < high {
        let middle = low + (high - low) / 2;
        match log.read(topic, partition, middle, 1, 1).await?.first() {
            Some(record) if record.timestamp < cut => low = record.offset + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}
