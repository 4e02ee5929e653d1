//! Deletes activity that is older than it is kept, a little at a time.

use std::sync::Arc;
use std::time::Duration;

use fastn_domain::time::{Clock, Timestamp};
use fastn_store::{Store, StoreResult};
use tokio::task::JoinHandle;

use super::observe;

/// What is kept, and how gently the rest goes.
#[derive(Clone, Copy, Debug)]
pub struct RetentionOptions {
    /// How long events and ended executions are kept.
    pub keep: Duration,
    /// Time between two rounds.
    pub every: Duration,
    /// Rows of one transaction: it holds up the projector for some milliseconds.
    pub chunk_rows_max: u32,
    /// Wait between two transactions of a round.
    pub pause: Duration,
}

impl Default for RetentionOptions {
    fn default() -> Self {
        Self {
            keep: Duration::from_secs(30 * 24 * 3_600),
            every: Duration::from_secs(3_600),
            chunk_rows_max: 500,
            pause: Duration::from_millis(50),
        }
    }
}

/// The task. It ends when this is dropped.
#[derive(Debug)]
pub struct Retention {
    task: JoinHandle<()>,
}

impl Retention {
    /// Starts the first round at once.
    pub fn start(store: Arc<dyn Store>, clock: Arc<dyn Clock>, options: RetentionOptions) -> Retention {
        let task = tokio::spawn(async move {
            loop {
                let keep_us = i64::try_from(options.keep.as_micros()).unwrap_or(i64::MAX);
                let before = Timestamp(clock.now().0.saturating_sub(keep_us));
                match round(store.as_ref(), before, options).await {
                    Ok(rows) => observe::pruned(rows, before),
                    Err(error) => observe::prune_failed(&error),
                }
                tokio::time::sleep(options.every).await;
            }
        });
        Retention { task }
    }
}

impl Drop for Retention {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn round(store: &dyn Store, before: Timestamp, options: RetentionOptions) -> StoreResult<u64> {
    let mut rows = 0;
    loop {
        let gone = store.prune(before, options.chunk_rows_max).await?;
        if gone == 0 {
            return Ok(rows);
        }
        rows += gone;
        tokio::time::sleep(options.pause).await;
    }
}
