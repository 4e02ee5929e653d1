//! What the projector tells about itself.

use std::time::Duration;

use fastn_log::{LogError, Partition};
use fastn_store::StoreError;

/// A batch is in SQL.
pub(crate) fn committed(records: usize, rows: usize, took: Duration) {
    metrics::counter!("fastn_projector_records_total").increment(records as u64);
    metrics::counter!("fastn_projector_rows_total").increment(rows as u64);
    metrics::histogram!("fastn_projector_batch_rows").record(rows as f64);
    metrics::histogram!("fastn_projector_batch_seconds").record(took.as_secs_f64());
}

/// How far the projector is behind the journal after a batch: offsets, and the age of the newest record in SQL if it
/// has not reached the end.
pub(crate) fn lag(offsets: u64, behind: Duration) {
    metrics::gauge!("fastn_projector_lag_records").set(offsets as f64);
    metrics::gauge!("fastn_projector_lag_seconds").set(behind.as_secs_f64());
}

/// The log or the store could not be used; the projector starts again from what is stored.
pub(crate) fn failed(error: &ProjectError, failures: u32, wait: Duration) {
    let source = match error {
        ProjectError::Log(_) => "log",
        ProjectError::Store(_) => "store",
    };
    metrics::counter!("fastn_projector_errors_total", "source" => source).increment(1);
    if failures == 1 {
        tracing::warn!(%error, wait_ms = wait.as_millis() as u64, "activity is not projected for now; it catches up later");
    }
}

/// It works again.
pub(crate) fn recovered(failures: u32) {
    tracing::info!(failures, "activity is projected again");
}

/// The journal was trimmed before the projector saw these offsets. Executions that still live are said again by
/// snapshots; those that ended are missing from activity.
pub(crate) fn journal_trimmed(partition: Partition, from: u64, start: u64) {
    metrics::counter!("fastn_projector_trimmed_records_total").increment(start - from);
    if from > 0 {
        tracing::warn!(partition, from, start, "the journal was trimmed before it was projected; activity has a hole");
    }
}

/// An admitted event is no longer in the log: neither it nor what it started can be shown.
pub(crate) fn event_missing(partition: Partition, offset: u64) {
    metrics::counter!("fastn_projector_missing_events_total").increment(1);
    tracing::debug!(partition, offset, "an admitted event is no longer in the log");
}

/// A record that does not read. It is passed over, so that it does not stop those behind it.
pub(crate) fn undecodable(partition: Partition, offset: u64, error: &fastn_log::codec::CodecError) {
    metrics::counter!("fastn_projector_undecodable_records_total").increment(1);
    tracing::error!(partition, offset, %error, "a journal record is passed over; rebuild activity with a program that reads it");
}

/// A record of a writer that had lost the partition.
pub(crate) fn stale_record() {
    metrics::counter!("fastn_projector_stale_records_total").increment(1);
}

/// Old activity was deleted or blanked.
pub(crate) fn pruned(rows: u64) {
    metrics::counter!("fastn_projector_pruned_rows_total").increment(rows);
    if rows > 0 {
        tracing::info!(rows, "old activity was deleted or blanked");
    }
}

/// Old activity could not be deleted; the next round tries again.
pub(crate) fn prune_failed(error: &StoreError) {
    metrics::counter!("fastn_projector_errors_total", "source" => "prune").increment(1);
    tracing::warn!(%error, "old activity could not be deleted");
}

/// Why a batch did not happen.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// The log could not be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The store refused or was away.
    #[error(transparent)]
    Store(#[from] StoreError),
}
