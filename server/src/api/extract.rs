//! Reading requests: bodies, queries and path parts, each refused with the part's own name.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequest, Query, Request};
use axum::http::header::{self, HeaderMap};
use axum::http::request::Parts;
use fastn_contract::error::ErrorCode;
use fastn_contract::page::{PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX};
use fastn_domain::ExecutionId;
use fastn_domain::time::{Timestamp, parse_rfc3339};
use fastn_store::{Expect, PageRequest};
use serde::de::DeserializeOwned;

use super::problem::{ApiError, ApiResult};

/// Largest body of a request to the API (workflow sources are the largest).
pub(crate) const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Longest cursor that is looked at.
const CURSOR_BYTES_MAX: usize = 1_024;

/// A JSON body. Unknown fields, malformed JSON, another media type and an encoding are refused.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> ApiResult<Self> {
        check_media_type(request.headers())?;
        let bytes = Bytes::from_request(request, state).await.map_err(body_not_read)?;
        parse(&bytes).map(Self)
    }
}

impl<T: DeserializeOwned, S: Send + Sync> OptionalFromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> ApiResult<Option<Self>> {
        let typed = request.headers().contains_key(header::CONTENT_TYPE);
        if typed {
            check_media_type(request.headers())?;
        }
        let bytes = Bytes::from_request(request, state).await.map_err(body_not_read)?;
        match (typed, bytes.is_empty()) {
            (_, true) => Ok(None),
            (true, false) => parse(&bytes).map(|body| Some(Self(body))),
            (false, false) => Err(wrong_media_type()),
        }
    }
}

fn wrong_media_type() -> ApiError {
    ApiError::new(ErrorCode::UnsupportedMediaType, "send the body as Content-Type: application/json")
}

fn check_media_type(headers: &HeaderMap) -> ApiResult<()> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(wrong_media_type());
    }
    match headers.get(header::CONTENT_ENCODING) {
        Some(encoding) if encoding != "identity" => {
            Err(ApiError::new(ErrorCode::UnsupportedMediaType, "this endpoint takes no Content-Encoding"))
        }
        _ => Ok(()),
    }
}

fn body_not_read(rejection: BytesRejection) -> ApiError {
    if rejection.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE {
        let detail = format!("the body is larger than {BODY_BYTES_MAX} bytes");
        ApiError::new(ErrorCode::PayloadTooLarge, detail)
    } else {
        ApiError::invalid("body", "the body could not be read to its end")
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> ApiResult<T> {
    // Read as they stand, arrays would pass for the fields of an object in their order.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(ApiError::invalid("body", "must be an object, not an array"));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let path = if path == "." || path == "?" { "body".to_owned() } else { path };
        ApiError::invalid(path, error.into_inner().to_string())
    })?;
    reader.end().map_err(|error| ApiError::invalid("body", error.to_string()))?;
    Ok(value)
}

/// The query. Unknown parameters are refused where `T` refuses them.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> ApiResult<Self> {
        let Query(params) = Query::<T>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| ApiError::invalid("query", rejection.body_text()))?;
        Ok(Self(params))
    }
}

/// The parts of the path, as text that was percent-decoded.
pub(crate) struct PathParts<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for PathParts<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> ApiResult<Self> {
        let axum::extract::Path(path) = axum::extract::Path::<T>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| ApiError::invalid("path", rejection.body_text()))?;
        Ok(Self(path))
    }
}

/// Checks a text with one of the id types and names the part that is wrong.
pub(crate) fn checked<T, E: ToString>(part: &str, made: Result<T, E>) -> ApiResult<T> {
    made.map_err(|error| ApiError::invalid(part, error.to_string()))
}

/// An execution id in the path. One that cannot be is one that is not there.
pub(crate) fn execution_id(text: &str) -> ApiResult<ExecutionId> {
    text.parse().map_err(|_| ApiError::not_found("execution", text))
}

/// An instant in the query.
pub(crate) fn instant(part: &str, text: Option<&str>) -> ApiResult<Option<Timestamp>> {
    let parse = |text| {
        parse_rfc3339(text).ok_or_else(|| ApiError::invalid(part, "must be RFC 3339, e.g. 2026-11-24T13:34:42Z"))
    };
    text.map(parse).transpose()
}

/// Cursor and limit of a list.
pub(crate) fn page(cursor: Option<String>, limit: Option<u32>) -> ApiResult<PageRequest> {
    let limit = limit.unwrap_or(PAGE_LIMIT_DEFAULT);
    if limit == 0 || limit > PAGE_LIMIT_MAX {
        return Err(ApiError::invalid("limit", format!("must be 1 to {PAGE_LIMIT_MAX}")));
    }
    if cursor.as_ref().is_some_and(|cursor| cursor.is_empty() || cursor.len() > CURSOR_BYTES_MAX) {
        return Err(ApiError::invalid("cursor", "this cursor was not made by this list"));
    }
    Ok(PageRequest { cursor, limit })
}

/// What a write expects to find, from `If-Match` and `If-None-Match: *`.
pub(crate) struct Precondition(pub(crate) Expect);

impl<S: Send + Sync> FromRequestParts<S> for Precondition {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> ApiResult<Self> {
        if let Some(none) = parts.headers.get(header::IF_NONE_MATCH) {
            return match none.as_bytes() {
                b"*" => Ok(Self(Expect::New)),
                _ => Err(ApiError::invalid("if-none-match", "only * is understood: the object must be new")),
            };
        }
        let Some(header) = parts.headers.get(header::IF_MATCH) else { return Ok(Self(Expect::Any)) };
        let text = header.to_str().unwrap_or_default().trim().trim_matches('"');
        if text == "*" {
            return Ok(Self(Expect::Any));
        }
        let revision = text.parse().map_err(|_| ApiError::invalid("if-match", "must be the object's revision"))?;
        Ok(Self(Expect::Version(revision)))
    }
}
