//! What the server says of itself: health, readiness, metrics and the OpenAPI document. No key needed.

use std::sync::LazyLock;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use fastn_contract::activity::Health;

use super::Api;

/// The document never changes while the process runs.
static DOCUMENT: LazyLock<String> = LazyLock::new(|| super::document().to_string());

/// Whether the process lives
///
/// Answers as long as it can answer at all. A process that does not should be restarted.
#[utoipa::path(get, path = "/healthz", operation_id = "health", tag = "System",
    responses((status = 200, description = "It lives", body = Health)))]
pub(crate) async fn healthz() -> Json<Health> {
    Json(Health { status: "ok".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned(), checks: Vec::new() })
}

/// Whether the process takes traffic
///
/// Looks at the log, the store and the configuration. A process that is not ready should get no traffic.
#[utoipa::path(get, path = "/readyz", operation_id = "readiness", tag = "System",
    responses((status = 200, description = "It is ready", body = Health),
        (status = 503, description = "It is not; the checks say why", body = Health)))]
pub(crate) async fn readyz(State(api): State<Api>) -> (StatusCode, Json<Health>) {
    let checks = (api.readiness)();
    let ready = checks.iter().all(|check| check.ok) && !api.stopping.is_cancelled();
    let (code, status) = if ready { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "failing") };
    let version = env!("CARGO_PKG_VERSION").to_owned();
    (code, Json(Health { status: status.to_owned(), version, checks }))
}

/// Metrics
///
/// In the text form of Prometheus.
#[utoipa::path(get, path = "/metrics", operation_id = "metrics", tag = "System",
    responses((status = 200, description = "The metrics", content_type = "text/plain", body = String)))]
pub(crate) async fn metrics(State(api): State<Api>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], (api.metrics)()).into_response()
}

/// This document
#[utoipa::path(get, path = "/openapi.json", operation_id = "openapi", tag = "System",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json", body = serde_json::Value)))]
pub(crate) async fn openapi_json() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.as_str()).into_response()
}
