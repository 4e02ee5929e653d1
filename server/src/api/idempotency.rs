//! `Idempotency-Key`: a write that is repeated with the same key is done once and answered the same.
//!
//! The answer of a write that succeeded (or of a run that ended) is kept for a day in SQL. Repeats that arrive while the
//! first is still under way wait for it. A crash between the effect and the keeping is covered below this layer: runs,
//! replays and commands derive their event's id from the key, and every other write is a `PUT` or `DELETE`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::body::{Body, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use fastn_contract::HEADER_IDEMPOTENCY_KEY;
use fastn_contract::error::ErrorCode;
use fastn_store::RememberedAnswer;

use super::Api;
use super::access;
use super::caller::Caller;
use super::extract::BODY_BYTES_MAX;
use super::problem::{AnsweredCode, ApiError, ApiResult, PROBLEM_JSON};

/// Longest key.
const KEY_BYTES_MAX: usize = 255;
/// Largest answer that is kept.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Tells a caller that it got the answer of an earlier request.
const HEADER_REPEATED: &str = "idempotency-replayed";

/// The key of the request, for handlers that derive ids from it.
#[derive(Clone, Debug)]
pub(crate) struct IdempotencyKey(pub(crate) String);

/// Keys whose first request is under way.
#[derive(Default)]
pub(crate) struct InFlight(Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>);

impl InFlight {
    fn gate(&self, key: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut gates = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        gates.retain(|_, gate| Arc::strong_count(gate) > 1);
        gates.entry(key.to_owned()).or_default().clone()
    }
}

/// The layer.
pub(crate) async fn repeat_safely(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let key = match key_of(&request) {
        Ok(Some(key)) => key,
        Ok(None) => return next.run(request).await,
        Err(error) => return error.into_response(),
    };
    request.extensions_mut().insert(IdempotencyKey(key.clone()));
    match once(&api, &key, request, next).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

fn key_of(request: &Request) -> ApiResult<Option<String>> {
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    // A key on what is no operation means nothing: the router refuses it.
    let known = || access::operation(request.method(), route).is_some();
    if !matches!(*request.method(), Method::POST | Method::PUT | Method::DELETE) || !known() {
        return Ok(None);
    }
    let Some(value) = request.headers().get(HEADER_IDEMPOTENCY_KEY) else { return Ok(None) };
    match value.to_str() {
        Ok(key) if !key.is_empty() && key.len() <= KEY_BYTES_MAX => Ok(Some(key.to_owned())),
        _ => Err(ApiError::invalid(
            HEADER_IDEMPOTENCY_KEY,
            format!("must be 1 to {KEY_BYTES_MAX} visible ASCII characters"),
        )),
    }
}

async fn once(api: &Api, key: &str, request: Request, next: Next) -> ApiResult<Response> {
    let missing = || ApiError::new(ErrorCode::AuthInvalid, "send an access key in x-fastn-access-key");
    let reach = request.extensions().get::<Caller>().ok_or_else(missing)?.reach();
    let (parts, body) = request.into_parts();
    let too_large = |_| ApiError::new(ErrorCode::PayloadTooLarge, format!("the body is over {BODY_BYTES_MAX} bytes"));
    let body = to_bytes(body, BODY_BYTES_MAX).await.map_err(too_large)?;
    let fingerprint = fingerprint(&parts.method, &parts.uri, &body);

    let gate = api.repeats.gate(&format!("{reach:?} {key}"));
    let _first = gate.lock().await;
    if let Some(known) = api.store.recall(&reach, key).await? {
        return repeated(key, &fingerprint, known);
    }
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    if !is_kept(&response) {
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let unreadable = |_| ApiError::new(ErrorCode::InternalError, "the answer is too large to be kept");
    let body = to_bytes(body, ANSWER_BYTES_MAX).await.map_err(unreadable)?;
    let text = String::from_utf8_lossy(&body).into_owned();
    let answer = RememberedAnswer { fingerprint: fingerprint.clone(), status: parts.status.as_u16(), body: text };
    match api.store.remember(&reach, key, answer).await {
        Ok(None) => {}
        // Another node was first with the same key.
        Ok(Some(known)) if known.fingerprint != fingerprint => return repeated(key, &fingerprint, known),
        Ok(Some(_)) => {}
        // The write is done; that its answer was not kept only costs a repeat its shortcut.
        Err(error) => crate::observe::answer_not_kept(&error),
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn fingerprint(method: &Method, uri: &axum::http::Uri, body: &[u8]) -> String {
    let mut hash = blake3::Hasher::new();
    for part in [method.as_str().as_bytes(), uri.path().as_bytes(), uri.query().unwrap_or("").as_bytes(), body] {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().to_hex().to_string()
}

fn repeated(key: &str, fingerprint: &str, known: RememberedAnswer) -> ApiResult<Response> {
    if known.fingerprint != fingerprint {
        let detail = format!("Idempotency-Key {key:?} was used for another request; use a new key");
        return Err(ApiError::new(ErrorCode::Conflict, detail));
    }
    let status = StatusCode::from_u16(known.status).unwrap_or(StatusCode::OK);
    let kind = if status.is_success() { "application/json" } else { PROBLEM_JSON };
    let (empty, tag) = (known.body.is_empty(), revision_in(&known.body));
    let mut response = (status, known.body).into_response();
    let headers = response.headers_mut();
    if empty {
        headers.remove(header::CONTENT_TYPE);
    } else {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    if let Some(tag) = tag {
        headers.insert(header::ETAG, tag);
    }
    headers.insert(HEADER_REPEATED, HeaderValue::from_static("true"));
    Ok(response)
}

/// What the first answer had in `ETag`: the revision of the object that it shows.
fn revision_in(body: &str) -> Option<HeaderValue> {
    #[derive(serde::Deserialize)]
    struct Shown {
        revision: u64,
    }
    let shown: Shown = serde_json::from_str(body).ok()?;
    HeaderValue::from_str(&format!("\"{}\"", shown.revision)).ok()
}

/// Successes are kept, and the end of a run however it ended. Refusals are not: the caller may mend and repeat.
fn is_kept(response: &Response) -> bool {
    let ended = |code: &AnsweredCode| {
        matches!(code.0, ErrorCode::WorkflowFailed | ErrorCode::WorkflowTimeout | ErrorCode::WorkflowCancelled)
    };
    response.status().is_success() || response.extensions().get::<AnsweredCode>().is_some_and(ended)
}
