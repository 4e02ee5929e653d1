//! What the server tells of itself: one function for each thing that happens. Never a payload, a header or a key.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use fastn_contract::quota::{Dimension, Enforcement};
use fastn_domain::catalog::ResourceKind;
use metrics::{counter, gauge, histogram};

/// Counters on which operators are alerted, with the values of the label that they have. A counter that appears with its
/// first count has no increase, and an alert on a metric that is not there looks like one that is well.
const ALERTED: &[(&str, &str, &[&str])] = &[
    ("fastn_answers_forwarded_total", "outcome", &["sent", "lost"]),
    ("fastn_api_failures_total", "", &[""]),
    ("fastn_api_panics_total", "", &[""]),
    ("fastn_catalog_feed_errors_total", "", &[""]),
    ("fastn_dead_letters_total", "", &[""]),
    ("fastn_execution_retries_total", "", &[""]),
    ("fastn_executions_finished_total", "status", &["completed", "failed", "timeout", "cancelled"]),
    ("fastn_ingest_append_failures_total", "", &[""]),
    ("fastn_log_producers_replaced_total", "", &[""]),
    ("fastn_partition_restarts_total", "", &[""]),
    ("fastn_projector_errors_total", "source", &["log", "store", "prune"]),
    ("fastn_records_missing_total", "", &[""]),
    ("fastn_records_undecodable_total", "", &[""]),
];

/// Shows every counter on which operators are alerted from the start.
pub(crate) fn show_alerted() {
    for (name, label, values) in ALERTED {
        for value in *values {
            if label.is_empty() {
                counter!(*name).absolute(0);
            } else {
                counter!(*name, *label => *value).absolute(0);
            }
        }
    }
}

/// A layer that counts requests and their time by route. Routes are a fixed set, so the labels are bounded.
pub(crate) async fn count_request(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let method = match request.method().as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        _ => "other",
    };
    let response = next.run(request).await;
    let class = match response.status().as_u16() {
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    };
    let labels = [("route", route), ("method", method.to_owned())];
    counter!("fastn_api_requests_total", &[labels[0].clone(), labels[1].clone(), ("class", class.to_owned())])
        .increment(1);
    histogram!("fastn_api_request_seconds", &labels).record(started.elapsed().as_secs_f64());
    response
}

/// A request was beyond a limit.
pub(crate) fn quota_passed(dimension: Dimension, mode: Enforcement) {
    counter!("fastn_quota_passed_total", "dimension" => dimension.as_str(), "mode" => mode.as_str()).increment(1);
}

/// A connector app was asked to subscribe or unsubscribe a trigger.
pub(crate) fn subscription(outcome: &'static str, trigger: &str, reason: &str) {
    counter!("fastn_subscriptions_total", "outcome" => outcome).increment(1);
    if reason.is_empty() {
        tracing::info!(trigger, outcome, "trigger {trigger}: {outcome}");
    } else {
        tracing::warn!(trigger, outcome, reason, "trigger {trigger}: {outcome}: {reason}");
    }
}

/// The answer of an Instant run was sent to the node whose caller waits.
pub(crate) fn answer_forwarded() {
    counter!("fastn_answers_forwarded_total", "outcome" => "sent").increment(1);
}

/// It was not; the caller looks at the execution instead.
pub(crate) fn answer_not_forwarded(reason: &str) {
    counter!("fastn_answers_forwarded_total", "outcome" => "lost").increment(1);
    tracing::info!(reason, "the answer of an Instant run did not reach the node that waits for it");
}

/// A request failed for a reason on our side.
pub(crate) fn request_failed_inside(error: &dyn std::error::Error) {
    counter!("fastn_api_failures_total").increment(1);
    tracing::error!(error = %error, "a request failed: {error}");
}

/// A handler panicked.
pub(crate) fn handler_panicked() {
    counter!("fastn_api_panics_total").increment(1);
    tracing::error!("a handler panicked; the line before names the place");
}

/// A stored row does not read back.
pub(crate) fn row_unreadable(kind: ResourceKind, id: &str, error: &serde_json::Error) {
    tracing::error!(kind = kind.as_str(), id, error = %error, "the stored {} {id} does not read back", kind.as_str());
}

/// The answer of a write was not kept for a repeat.
pub(crate) fn answer_not_kept(error: &dyn std::error::Error) {
    tracing::warn!(error = %error, "the answer of a write was not kept under its idempotency key: {error}");
}

/// A secret could not be sealed.
pub(crate) fn secret_not_sealed(name: &str, reason: &str) {
    tracing::error!(name, reason, "the secret {name} could not be sealed: {reason}");
}

/// A secret does not open.
pub(crate) fn secret_not_opened(name: &str, reason: &str) {
    tracing::error!(name, reason, "the secret {name} could not be opened: {reason}");
}

/// A reader follows executions.
pub(crate) fn stream_opened() {
    gauge!("fastn_api_streams_count").increment(1.0);
}

/// A reader left.
pub(crate) fn stream_closed() {
    gauge!("fastn_api_streams_count").decrement(1.0);
}

/// A reader was too slow.
pub(crate) fn stream_dropped(missed: u64) {
    counter!("fastn_api_streams_dropped_total").increment(1);
    tracing::info!(missed, "a reader of live updates was let go: {missed} changes behind");
}

/// A replay was interrupted by a failure of log or store; it goes on.
pub(crate) fn replay_interrupted(id: &str, error: &dyn std::error::Error) {
    counter!("fastn_replay_interruptions_total").increment(1);
    tracing::warn!(id, error = %error, "replay {id} was interrupted and goes on: {error}");
}

/// A replay cannot go on.
pub(crate) fn replay_stopped(id: &str, error: &dyn std::error::Error) {
    tracing::error!(id, error = %error, "replay {id} cannot go on: {error}");
}

/// An erasure was interrupted by a failure of log or store; it goes on.
pub(crate) fn erasure_interrupted(id: &str, error: &dyn std::error::Error) {
    counter!("fastn_erasure_interruptions_total").increment(1);
    tracing::warn!(id, error = %error, "erasure {id} was interrupted and goes on: {error}");
}

/// A customer is erased.
pub(crate) fn erased(id: &str) {
    counter!("fastn_erasures_total").increment(1);
    tracing::info!(id, "erasure {id} is done");
}

/// An export was cut off by a failure.
pub(crate) fn export_failed(reason: &str) {
    counter!("fastn_export_failures_total").increment(1);
    tracing::warn!(reason, "the export of a customer was cut off: {reason}");
}
