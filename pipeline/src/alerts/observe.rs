//! What the evaluation of alerts tells about itself.

use std::time::Duration;

use fastn_contract::alert::AlertMetric;

use super::evaluator::EvaluateError;
use super::notice::Settled;

/// Counters on which operators are alerted exist from the start: one that appears with its first count has no increase.
pub(crate) fn started() {
    metrics::counter!("fastn_alert_errors_total").absolute(0);
    for outcome in ["delivered", "retried", "failed"] {
        metrics::counter!("fastn_alert_notices_total", "outcome" => outcome).absolute(0);
    }
    sizes(0, 0, 0);
    behind(Duration::ZERO);
}

/// A rule fired.
pub(crate) fn fired(metric: AlertMetric) {
    let metric = match metric {
        AlertMetric::ErrorRate => "error_rate",
        AlertMetric::LatencyP99 => "latency_p99",
        AlertMetric::LatencyP95 => "latency_p95",
        AlertMetric::LatencyAvg => "latency_avg",
        AlertMetric::Throughput => "throughput",
        AlertMetric::FailureCount => "failure_count",
        AlertMetric::DeadLetterDepth => "dead_letter_depth",
        AlertMetric::Lag => "lag",
        AlertMetric::QuotaUse => "quota_use",
    };
    metrics::counter!("fastn_alerts_fired_total", "metric" => metric).increment(1);
}

/// An alert is over.
pub(crate) fn resolved() {
    metrics::counter!("fastn_alerts_resolved_total").increment(1);
}

/// An attempt to send a message came to an end.
pub(crate) fn settled(settled: &Settled) {
    let outcome = match settled {
        Settled::Delivered => "delivered",
        Settled::Waits(_) => "retried",
        Settled::Failed(_) => "failed",
    };
    metrics::counter!("fastn_alert_notices_total", "outcome" => outcome).increment(1);
    if let Settled::Failed(reason) = settled {
        tracing::warn!(reason, "a message about an alert could not be delivered; the alert shows it");
    }
}

/// How much this node evaluates: nothing, unless it is the one that does.
pub(crate) fn sizes(rules: usize, firing: usize, notices: usize) {
    metrics::gauge!("fastn_alert_rules_count").set(rules as f64);
    metrics::gauge!("fastn_alerts_firing_count").set(firing as f64);
    metrics::gauge!("fastn_alert_notices_pending_count").set(notices as f64);
}

/// For how long no evaluation was possible, because there was more to read.
pub(crate) fn behind(time: Duration) {
    metrics::gauge!("fastn_alerts_behind_seconds").set(time.as_secs_f64());
}

/// Part of the journal was gone before it was counted.
pub(crate) fn hole(partition: u32) {
    metrics::counter!("fastn_alerts_trimmed_total").increment(1);
    tracing::warn!(partition, "the journal was trimmed before alerts had counted it; what they count has a hole");
}

/// Something that was saved does not read back.
pub(crate) fn memory_unreadable(key: &str) {
    tracing::warn!(key, "what alerts had saved does not read back and is left out");
}

/// The log or the store could not be used; evaluation starts again from what was saved.
pub(crate) fn failed(error: &EvaluateError, failures: u32) {
    metrics::counter!("fastn_alert_errors_total").increment(1);
    if failures == 1 {
        tracing::warn!(%error, "alerts are not evaluated for now; they go on where they were saved");
    }
}
