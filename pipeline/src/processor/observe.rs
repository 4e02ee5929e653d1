//! Metrics and log lines of the processor.

use std::time::Duration;

use fastn_contract::activity::{EventStatus, ExecutionStatus};
use fastn_contract::quota::{Dimension, Enforcement};
use metrics::{counter, gauge, histogram};

/// An event was admitted.
pub(crate) fn event_admitted(status: EventStatus) {
    let status = match status {
        EventStatus::Delivered => "delivered",
        EventStatus::Duplicate => "duplicate",
        EventStatus::Unmatched => "unmatched",
        EventStatus::Rejected => "rejected",
    };
    counter!("fastn_events_admitted_total", "status" => status).increment(1);
}

/// An execution ended, `took` after its admission.
pub(crate) fn execution_finished(status: ExecutionStatus, took: Duration) {
    let label = match status {
        ExecutionStatus::Completed => "completed",
        ExecutionStatus::Failed => "failed",
        ExecutionStatus::Timeout => "timeout",
        _ => "cancelled",
    };
    counter!("fastn_executions_finished_total", "status" => label).increment(1);
    histogram!("fastn_execution_duration_seconds").record(took.as_secs_f64());
    if matches!(status, ExecutionStatus::Failed | ExecutionStatus::Timeout) {
        counter!("fastn_dead_letters_total").increment(1);
    }
}

/// An event, an execution or a request was beyond a limit.
pub(crate) fn quota_passed(dimension: Dimension, mode: Enforcement) {
    counter!("fastn_quota_passed_total", "dimension" => dimension.as_str(), "mode" => mode.as_str()).increment(1);
}

/// An attempt failed and another follows.
pub(crate) fn execution_retried() {
    counter!("fastn_execution_retries_total").increment(1);
}

/// A round of the cleaner begins.
pub(crate) fn cleaning(executions: usize) {
    counter!("fastn_cleaner_rounds_total").increment(1);
    counter!("fastn_cleaner_snapshots_total").increment(executions as u64);
}

/// A record that an execution needs is not in the log any more.
pub(crate) fn record_missing(topic: fastn_log::Topic, partition: u32, offset: u64, error: &dyn std::fmt::Display) {
    counter!("fastn_records_missing_total", "topic" => topic.name()).increment(1);
    tracing::error!(%topic, partition, offset, %error, "a record that an execution needs cannot be read any more");
}

/// Events were judged under an older configuration than the one that accepted them, which did not come in time.
pub(crate) fn catalog_behind(partition: u32, revision: u64) {
    counter!("fastn_catalog_behind_total").increment(1);
    tracing::warn!(
        partition,
        revision,
        "the configuration that accepted an event did not come; going on with what is known"
    );
}

/// The partition fell to this node.
pub(crate) fn partition_taken(partition: u32) {
    gauge!("fastn_partitions_owned").increment(1.0);
    tracing::info!(partition, "partition taken");
}

/// The partition is another node's now, or this one stops.
pub(crate) fn partition_given_up(partition: u32) {
    gauge!("fastn_partitions_owned").decrement(1.0);
    tracing::info!(partition, "partition given up");
}

/// A partition is claimed and recovered.
pub(crate) fn recovered(partition: u32, records: u64, live: usize, took: Duration) {
    histogram!("fastn_recovery_seconds").record(took.as_secs_f64());
    tracing::info!(partition, records, live, took_ms = took.as_millis() as u64, "partition recovered");
}

/// A partition stops and will be claimed again.
pub(crate) fn partition_failed(partition: u32, error: &dyn std::fmt::Display) {
    counter!("fastn_partition_restarts_total").increment(1);
    tracing::warn!(partition, %error, "partition stopped; it is claimed again from its journal");
}

/// A record of the log does not decode.
pub(crate) fn undecodable(topic: &'static str, partition: u32, offset: u64, error: &dyn std::fmt::Display) {
    counter!("fastn_records_undecodable_total", "topic" => topic).increment(1);
    tracing::error!(topic, partition, offset, %error, "record does not decode; it is passed over");
}

/// How much is live and queued in a partition.
pub(crate) fn partition_depth(partition: u32, live: usize, queued: usize, parked: usize, lag: u64) {
    let label = partition.to_string();
    gauge!("fastn_executions_live", "partition" => label.clone()).set(live as f64);
    gauge!("fastn_executions_queued", "partition" => label.clone()).set(queued as f64);
    gauge!("fastn_executions_parked", "partition" => label.clone()).set(parked as f64);
    gauge!("fastn_events_lag_records", "partition" => label).set(lag as f64);
}

/// Traces of outside calls were written.
pub(crate) fn traces_written(count: usize) {
    counter!("fastn_traces_written_total").increment(count as u64);
}

/// Traces of outside calls were not written: too many waited, or the log did not take them.
pub(crate) fn traces_dropped(count: usize) {
    counter!("fastn_traces_dropped_total").increment(count as u64);
}

/// An outside call was answered, or failed for good.
pub(crate) fn call_done(outcome: &'static str, took: Duration) {
    counter!("fastn_calls_total", "outcome" => outcome).increment(1);
    histogram!("fastn_step_duration_seconds", "kind" => "fetch").record(took.as_secs_f64());
}
