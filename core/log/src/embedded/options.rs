//! What an operator or a test may turn on the embedded log.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use fastn_domain::time::{Clock, Timestamp};

/// Options of [`crate::EmbeddedLog::open`].
#[derive(Clone)]
pub struct EmbeddedOptions {
    /// Partitions of every topic. Fixed when the log is created; opening it with another number is refused.
    pub partitions: u32,
    /// Appended bytes that may wait for a commit; past it appends are refused as `Busy`.
    pub queue_bytes_max: usize,
    /// Bytes that one group commit takes from the queue, so that its waiters do not wait for a queue of 64 MiB.
    pub commit_bytes_max: usize,
    /// The largest record taken.
    pub record_bytes_max: usize,
    /// Memory for records that are not in tables yet, over all topics and partitions; the same again may be on its way
    /// to the disk.
    pub write_buffer_bytes: u64,
    /// Memory for blocks of tables that were read.
    pub block_cache_bytes: u64,
    /// Memory for the newest records, from which readers right behind the head are served without touching the tree.
    /// They share their bytes with the write buffer while they are in it.
    pub recent_bytes_max: usize,
    /// Bytes that stay free on the device: below it appends are refused as `Full`, because flushing what was accepted
    /// needs space too and an engine that hits the end of the device has to be reopened.
    pub disk_free_bytes_min: u64,
    /// Where record timestamps come from.
    pub clock: Arc<dyn Clock>,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self {
            partitions: 16,
            queue_bytes_max: 64 << 20,
            commit_bytes_max: 4 << 20,
            record_bytes_max: 8 << 20,
            write_buffer_bytes: 16 << 20,
            block_cache_bytes: 8 << 20,
            recent_bytes_max: 8 << 20,
            disk_free_bytes_min: 128 << 20,
            clock: Arc::new(WallClock),
        }
    }
}

impl fmt::Debug for EmbeddedOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedOptions")
            .field("partitions", &self.partitions)
            .field("queue_bytes_max", &self.queue_bytes_max)
            .field("commit_bytes_max", &self.commit_bytes_max)
            .field("record_bytes_max", &self.record_bytes_max)
            .field("write_buffer_bytes", &self.write_buffer_bytes)
            .field("block_cache_bytes", &self.block_cache_bytes)
            .field("recent_bytes_max", &self.recent_bytes_max)
            .field("disk_free_bytes_min", &self.disk_free_bytes_min)
            .finish_non_exhaustive()
    }
}

/// The system's clock.
struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}
