//! A place for workflows to call without the internet: `ANY /dev/inbox/{path}` records, `GET /dev/inbox` lists.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method};
use axum::routing::{any, get};
use serde::Serialize;
use serde_json::{Value, json};

/// Requests that are kept, newest last.
const REQUESTS_MAX: usize = 200;
/// Bytes of a body that are kept.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// A request that a workflow made.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Received {
    at: String,
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    body: Value,
}

#[derive(Clone, Default)]
struct Inbox(Arc<Mutex<VecDeque<Received>>>);

/// The routes.
pub(super) fn router() -> Router {
    Router::new()
        .route("/dev/inbox", get(list).delete(clear))
        .route("/dev/inbox/{*path}", any(receive))
        .with_state(Inbox::default())
}

async fn receive(
    State(inbox): State<Inbox>,
    method: Method,
    Path(path): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Json<Value> {
    let cut = &body[..body.len().min(BODY_BYTES_MAX)];
    let text = || Value::String(String::from_utf8_lossy(cut).into_owned());
    let shown = |name: &str| name != "authorization" && name != "cookie";
    let headers = headers
        .iter()
        .filter(|(name, _)| shown(name.as_str()))
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let received = Received {
        at: crate::clock::now().to_string(),
        method: method.to_string(),
        path: format!("/{path}"),
        headers,
        body: if body.is_empty() { Value::Null } else { serde_json::from_slice(cut).unwrap_or_else(|_| text()) },
    };
    let mut requests = inbox.0.lock().unwrap_or_else(PoisonError::into_inner);
    if requests.len() == REQUESTS_MAX {
        requests.pop_front();
    }
    requests.push_back(received);
    Json(json!({"received": true, "count": requests.len()}))
}

async fn list(State(inbox): State<Inbox>) -> Json<Vec<Received>> {
    Json(inbox.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect())
}

async fn clear(State(inbox): State<Inbox>) -> Json<Value> {
    inbox.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    Json(json!({"count": 0}))
}
