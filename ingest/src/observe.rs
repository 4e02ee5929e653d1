//! What the edge tells about itself: metrics and log lines. Never payloads, headers, tokens or customers.

use std::time::Duration;

use fastn_contract::error::{ErrorCode, Problem};
use fastn_log::{LogError, LogErrorKind};
use metrics::{counter, gauge, histogram};

/// A provider's handshake was answered.
pub(crate) fn handshake(scheme: &'static str) {
    counter!("fastn_ingest_handshakes_total", "scheme" => scheme).increment(1);
}

/// A provider's verification token was stored as a secret.
pub(crate) fn token_kept(name: &str, secret: &str) {
    tracing::info!(name, secret, "the verification token for {name} is stored as the secret {secret}");
}

/// App events were dispatched to customers, and so many were not, since nobody listens to their account or they do not
/// say whose they are.
pub(crate) fn app_events(app: &str, dispatched: usize, unroutable: usize) {
    counter!("fastn_ingest_app_events_total", "outcome" => "dispatched").increment(dispatched as u64);
    counter!("fastn_ingest_app_events_total", "outcome" => "unroutable").increment(unroutable as u64);
    if unroutable > 0 {
        tracing::info!(
            app,
            unroutable,
            "{unroutable} events of app {app} were unroutable: no trigger has their account"
        );
    }
}

/// The routes of the edge, as labels.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Route {
    Webhooks,
    Events,
    AppWebhooks,
    AppEvents,
}

impl Route {
    const fn label(self) -> &'static str {
        match self {
            Route::Webhooks => "webhooks",
            Route::Events => "events",
            Route::AppWebhooks => "app_webhooks",
            Route::AppEvents => "app_events",
        }
    }
}

/// A request was answered 202 with `events` durable events from a body of `bytes`.
pub(crate) fn accepted(route: Route, events: usize, bytes: usize, took: Duration) {
    answered(route, "accepted", took);
    counter!("fastn_ingest_events_total", "route" => route.label()).increment(events as u64);
    counter!("fastn_ingest_bytes_total", "route" => route.label()).increment(bytes as u64);
}

/// A request was answered with a problem.
pub(crate) fn refused(route: Route, problem: &Problem, took: Duration) {
    answered(route, outcome(problem.code), took);
}

fn answered(route: Route, outcome: &'static str, took: Duration) {
    counter!("fastn_ingest_requests_total", "route" => route.label(), "outcome" => outcome).increment(1);
    histogram!("fastn_ingest_request_seconds", "route" => route.label()).record(took.as_secs_f64());
}

/// The bounded label of a refusal.
const fn outcome(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::AuthInvalid | ErrorCode::AuthExpired | ErrorCode::WebhookAuthFailed => "unauthenticated",
        ErrorCode::Forbidden => "forbidden",
        ErrorCode::NotFound => "not_found",
        ErrorCode::PayloadTooLarge => "too_large",
        ErrorCode::UnsupportedMediaType => "unsupported",
        ErrorCode::ServiceUnavailable => "unavailable",
        ErrorCode::ValidationError => "invalid",
        _ => "failed",
    }
}

/// A webhook's sender did not prove itself. An attacker can make many of these, so the log line is for debugging only.
pub(crate) fn verification_failed(scheme: &'static str, trigger: &str, reason: &'static str) {
    counter!("fastn_ingest_verification_failures_total", "scheme" => scheme, "reason" => reason).increment(1);
    tracing::debug!(scheme, trigger, reason, "a webhook could not be verified");
}

/// The signing secret of a trigger is missing or does not open: its webhooks cannot be verified until someone acts.
pub(crate) fn secret_unusable(trigger: &str, secret: &str, reason: &str) {
    counter!("fastn_ingest_secret_failures_total").increment(1);
    tracing::warn!(trigger, secret, reason, "the signing secret of trigger {trigger} is not usable: {reason}");
}

/// Events could not be appended.
pub(crate) fn append_failed(error: &LogError) {
    counter!("fastn_ingest_append_failures_total").increment(1);
    // A full queue is ordinary back-pressure and already counted; the rest needs an operator.
    if error.kind == LogErrorKind::Busy {
        tracing::debug!(%error, "events were not taken: the log is busy");
    } else {
        tracing::error!(%error, "events were not taken, or their fate is unknown");
    }
}

/// Body bytes were taken from the budget.
pub(crate) fn in_flight_grew(bytes: usize) {
    gauge!("fastn_ingest_in_flight_bytes").increment(bytes as f64);
}

/// Body bytes were given back.
pub(crate) fn in_flight_shrank(bytes: usize) {
    gauge!("fastn_ingest_in_flight_bytes").decrement(bytes as f64);
}
