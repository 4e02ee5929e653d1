//! What the scheduler tells about itself.

use std::time::Duration;

use fastn_domain::{AccountId, Timestamp, TriggerId};
use fastn_log::{LogError, Partition};
use fastn_store::StoreError;

/// So many triggers fire by the clock.
pub(crate) fn planned(triggers: usize) {
    metrics::gauge!("fastn_schedules").set(triggers as f64);
}

/// Fires became events, each so long after it was due.
pub(crate) fn fired(events: usize, late: impl Iterator<Item = Duration>) {
    metrics::counter!("fastn_schedule_events_total").increment(events as u64);
    let histogram = metrics::histogram!("fastn_schedule_late_seconds");
    for late in late {
        histogram.record(late.as_secs_f64());
    }
}

/// Events did not reach the log, or nobody knows; they are appended again.
pub(crate) fn not_appended(partition: Partition, error: &LogError) {
    metrics::counter!("fastn_schedule_append_errors_total").increment(1);
    tracing::debug!(partition, %error, "fires are appended again");
}

/// Events that the log never takes.
pub(crate) fn too_large(partition: Partition, events: usize) {
    metrics::counter!("fastn_schedule_refused_events_total").increment(events as u64);
    tracing::error!(
        partition,
        events,
        "fires were dropped: the log takes no record as large; make the payload smaller"
    );
}

/// What was missed since `mark` was made up for.
pub(crate) fn caught_up(mark: Timestamp, fires: usize) {
    metrics::counter!("fastn_schedule_caught_up_fires_total").increment(fires as u64);
    tracing::info!(%mark, fires, "schedules have caught up with what was missed since {mark}");
}

/// The store does not say how far schedules have fired.
pub(crate) fn not_caught_up(error: &StoreError) {
    tracing::warn!(%error, "what schedules missed is made up for when the store is back; what is due fires");
}

/// The store does not take how far schedules have fired.
pub(crate) fn mark_not_kept(error: &StoreError) {
    metrics::counter!("fastn_schedule_mark_errors_total").increment(1);
    tracing::debug!(%error, "the mark of fired schedules is not written for now");
}

/// Activity, or configuration, could not be read or written.
pub(crate) fn failures_not_counted(error: &StoreError) {
    metrics::counter!("fastn_schedule_failure_look_errors_total").increment(1);
    tracing::debug!(%error, "failures of schedules are not counted for now");
}

/// A schedule was switched off.
pub(crate) fn disabled(account: &AccountId, trigger: &TriggerId, failures: u32) {
    metrics::counter!("fastn_schedules_disabled_total").increment(1);
    tracing::warn!(%account, %trigger, failures, "a schedule was switched off after failures in a row");
}

/// A schedule was switched on again.
pub(crate) fn enabled(account: &AccountId, trigger: &TriggerId) {
    metrics::counter!("fastn_schedules_enabled_total").increment(1);
    tracing::info!(%account, %trigger, "a schedule was switched on again after its cooldown");
}
