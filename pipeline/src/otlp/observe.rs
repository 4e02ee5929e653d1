//! What the export of traces tells about itself.

use std::time::Duration;

/// Counters on which operators are alerted exist from the start.
pub(crate) fn started() {
    for outcome in ["exported", "dropped"] {
        metrics::counter!("fastn_otlp_spans_total", "outcome" => outcome).absolute(0);
    }
    metrics::counter!("fastn_otlp_skipped_records_total").absolute(0);
    metrics::counter!("fastn_otlp_failures_total").absolute(0);
}

/// The collector took these spans.
pub(crate) fn exported(spans: usize) {
    metrics::counter!("fastn_otlp_spans_total", "outcome" => "exported").increment(spans as u64);
}

/// These spans are lost.
pub(crate) fn dropped(spans: usize, reason: &str) {
    metrics::counter!("fastn_otlp_spans_total", "outcome" => "dropped").increment(spans as u64);
    tracing::warn!(spans, reason, "spans were dropped: {reason}");
}

/// Records of the journal were passed over, so that what comes now can be told.
pub(crate) fn skipped(records: u64) {
    metrics::counter!("fastn_otlp_skipped_records_total").increment(records);
    tracing::warn!(records, "the collector was away for too long; traces go on with what happens now");
}

/// An attempt failed, and another follows.
pub(crate) fn failed(reason: &str, failures: u32, wait: Duration) {
    metrics::counter!("fastn_otlp_failures_total").increment(1);
    if failures == 1 {
        tracing::warn!(reason, wait_ms = wait.as_millis() as u64, "traces are not exported for now: {reason}");
    }
}
