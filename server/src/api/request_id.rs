//! The id of a request: its sender's or one made here, on every answer, in every problem, beside every line of the log.
//!
//! Whoever was told that "the server's log says why" finds the line by it.

use axum::body::{Body, HttpBody as _, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use fastn_contract::HEADER_REQUEST_ID;
use fastn_contract::error::Problem;
use tracing::Instrument as _;

use super::opaque_id;
use super::problem::PROBLEM_JSON;

/// Longest id that is taken from a sender.
const ID_BYTES_MAX: usize = 128;
/// Largest problem that is read again to put the id into it; the lists in problems are short.
const PROBLEM_BYTES_MAX: usize = 1024 * 1024;

/// The layer.
pub(crate) async fn identify(request: Request, next: Next) -> Response {
    let id = sent(request.headers()).unwrap_or_else(made);
    let text = id.to_str().unwrap_or_default().to_owned();
    // At the level of the gravest line, so that every line that is written has it.
    let span = tracing::error_span!("request", id = text);
    let response = next.run(request).instrument(span).await;
    let mut response = if is_problem(&response) { told_in(response, &text).await } else { response };
    response.headers_mut().insert(HEADER_REQUEST_ID, id);
    response
}

/// The id that the sender or a proxy gave, if it can stand in a log.
fn sent(headers: &HeaderMap) -> Option<HeaderValue> {
    let id = headers.get(HEADER_REQUEST_ID)?;
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:@".contains(byte);
    let good = (1..=ID_BYTES_MAX).contains(&id.len()) && id.as_bytes().iter().all(plain);
    good.then(|| id.clone())
}

fn made() -> HeaderValue {
    HeaderValue::from_str(&opaque_id::random("req_")).expect("letters and digits")
}

fn is_problem(response: &Response) -> bool {
    let small = response.body().size_hint().upper().is_some_and(|bytes| bytes <= PROBLEM_BYTES_MAX as u64);
    small && response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == PROBLEM_JSON)
}

async fn told_in(response: Response, id: &str) -> Response {
    let (mut parts, body) = response.into_parts();
    let bytes = to_bytes(body, PROBLEM_BYTES_MAX).await.unwrap_or_default();
    // The answer to a HEAD has no body.
    let Ok(mut problem) = serde_json::from_slice::<Problem>(&bytes) else {
        return Response::from_parts(parts, Body::from(bytes));
    };
    problem.request_id = Some(id.into());
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(serde_json::to_vec(&problem).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: a sender's id is taken only if it is short and of plain letters; every other request gets a new one.
    #[test]
    fn ids_are_plain() {
        let of = |id: &str| {
            let headers =
                HeaderMap::from_iter([(HEADER_REQUEST_ID.parse().unwrap(), HeaderValue::from_str(id).unwrap())]);
            sent(&headers).is_some()
        };
        assert!(of("req-1.a_B:2@x") && of(&"a".repeat(ID_BYTES_MAX)));
        assert!(!of("") && !of("a b") && !of("a\"b") && !of(&"a".repeat(ID_BYTES_MAX + 1)));
        assert_ne!(made(), made());
    }
}
