//! `fastn rebuild`: the activity tables made anew from the log.

use std::sync::Arc;

use fastn_log::{Log, Partition, Topic};
use fastn_store::Store;
use tokio::sync::broadcast;

use super::{ProjectError, ProjectorOptions, Worker};

/// Empties the activity tables and projects everything that the log still holds. No other projector may run. Tells
/// `progress` how many journal offsets are done, and of how many. What happens if it is interrupted: the next projector
/// goes on where it was.
///
/// # Errors
/// Those of the log and of the store. Running it again is safe.
pub async fn rebuild(
    log: Arc<dyn Log>,
    store: Arc<dyn Store>,
    options: ProjectorOptions,
    mut progress: impl FnMut(u64, u64),
) -> Result<(), ProjectError> {
    let partitions: Vec<Partition> = (0..log.partitions()).collect();
    let (mut total, mut starts) = (0, Vec::with_capacity(partitions.len()));
    for &partition in &partitions {
        let bounds = log.bounds(Topic::Executions, partition).await?;
        total += bounds.end - bounds.start;
        starts.push(bounds.start);
    }
    store.reset_activity().await?;
    let mut worker = Worker::new(log, store, options, broadcast::channel(1).0);
    worker.erases = true;
    worker.own(&partitions).await?;
    progress(0, total);
    loop {
        let (_, more) = worker.step().await?;
        let done: u64 =
            worker.sources.iter().zip(&starts).map(|(source, start)| source.projected().saturating_sub(*start)).sum();
        progress(done.min(total), total);
        if !more {
            return Ok(());
        }
    }
}
