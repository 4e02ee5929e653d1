//! The routes by which a test in another process moves time, answers calls and starts anew. Only a test server has them.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use fastn_domain::time::{Clock as _, parse_rfc3339};
use serde::Deserialize;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::mocks::{Call, Mock};
use super::world::{Moved, World};
use super::{LIMIT_DEFAULT, TestError, duration_ms};

/// All that a test server answers: its own routes, and the node's.
pub(crate) fn router(world: Arc<World>) -> Router {
    Router::new()
        .route("/test/clock", get(clock).post(move_clock))
        .route("/test/settle", post(settle))
        .route("/test/mocks", put(set_mocks).post(add_mock))
        .route("/test/calls", get(calls))
        .route("/test/reset", post(reset))
        .fallback(of_the_node)
        .with_state(world)
}

/// How long the caller waits at most.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Patience {
    timeout: Option<String>,
}

impl Patience {
    fn limit(&self) -> Result<Duration, TestError> {
        let Some(text) = &self.timeout else { return Ok(LIMIT_DEFAULT) };
        let ms = duration_ms(text).ok_or_else(|| TestError::Refused(format!("timeout {text:?} is no duration")))?;
        Ok(Duration::from_millis(ms))
    }
}

/// Where to move the clock.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MoveClock {
    advance: Option<String>,
    to: Option<String>,
}

async fn of_the_node(State(world): State<Arc<World>>, request: Request) -> Response {
    match world.run().app.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

async fn clock(State(world): State<Arc<World>>) -> Json<Value> {
    Json(json!({ "now": world.run().clock.now().to_string() }))
}

async fn move_clock(
    State(world): State<Arc<World>>,
    Query(patience): Query<Patience>,
    body: Result<Json<MoveClock>, JsonRejection>,
) -> Result<Json<Moved>, TestError> {
    let Json(wanted) = body?;
    let limit = patience.limit()?;
    let moved = match (wanted.advance, wanted.to) {
        (Some(by), None) => {
            let ms = duration_ms(&by);
            let ms =
                ms.ok_or_else(|| TestError::Refused(format!("advance {by:?} is no duration, e.g. 90s, 25h, 7d")))?;
            world.advance(Duration::from_millis(ms), limit).await?
        }
        (None, Some(to)) => {
            let at = parse_rfc3339(&to);
            let at =
                at.ok_or_else(|| TestError::Refused(format!("to {to:?} is no instant, e.g. 2026-03-29T01:00:00Z")))?;
            world.advance_to(at, limit).await?
        }
        _ => return Err(TestError::Refused("say either advance, a duration, or to, an instant".to_owned())),
    };
    Ok(Json(moved))
}

async fn settle(State(world): State<Arc<World>>, Query(patience): Query<Patience>) -> Result<Json<Moved>, TestError> {
    Ok(Json(world.settle(patience.limit()?).await?))
}

async fn set_mocks(
    State(world): State<Arc<World>>,
    body: Result<Json<Vec<Mock>>, JsonRejection>,
) -> Result<Json<Value>, TestError> {
    let Json(mocks) = body?;
    let count = mocks.len();
    world.run().mocks.set(mocks).map_err(TestError::Refused)?;
    Ok(Json(json!({ "mocks": count })))
}

async fn add_mock(
    State(world): State<Arc<World>>,
    body: Result<Json<Mock>, JsonRejection>,
) -> Result<Json<Value>, TestError> {
    let Json(mock) = body?;
    world.run().mocks.add(mock).map_err(TestError::Refused)?;
    Ok(Json(json!({ "mocks": 1 })))
}

async fn calls(State(world): State<Arc<World>>) -> Json<Vec<Call>> {
    Json(world.run().mocks.calls())
}

async fn reset(State(world): State<Arc<World>>) -> Result<Json<Value>, TestError> {
    world.reset().await?;
    Ok(Json(json!({ "now": world.run().clock.now().to_string() })))
}

impl From<JsonRejection> for TestError {
    fn from(rejection: JsonRejection) -> Self {
        Self::Refused(rejection.body_text())
    }
}

impl IntoResponse for TestError {
    fn into_response(self) -> Response {
        let (status, title) = match &self {
            Self::Refused(_) => (StatusCode::UNPROCESSABLE_ENTITY, "the request is not valid"),
            Self::NotAtRest { .. } => (StatusCode::GATEWAY_TIMEOUT, "the platform did not come to rest"),
            Self::Stopped | Self::Failed(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the test server failed"),
        };
        let body = json!({"title": title, "status": status.as_u16(), "detail": self.to_string()});
        (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
    }
}
