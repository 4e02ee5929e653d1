//! How a handler fails: a problem (RFC 9457) that becomes the answer.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use fastn_contract::error::{ErrorCode, FieldError, Problem};
use fastn_log::{LogError, LogErrorKind};
use fastn_store::{StoreError, StoreErrorKind};

/// The media type of every error.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// Seconds after which a request that met a full queue or a busy database is worth another try.
const RETRY_AFTER_S: u32 = 1;

/// A failed request. Boxed, since most results are not failures.
#[derive(Debug, Clone)]
pub(crate) struct ApiError(pub(crate) Box<Problem>);

/// The result of a handler.
pub(crate) type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    /// A problem with the code's own status and title.
    pub(crate) fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self(Box::new(Problem::new(code, detail)))
    }

    /// One part of the request is not valid.
    pub(crate) fn invalid(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::fields(vec![FieldError { path: path.into(), message: message.into() }])
    }

    /// Several parts of the request are not valid.
    pub(crate) fn fields(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [only] => format!("{}: {}", only.path, only.message),
            many => format!("{} parts of the request are not valid; see `errors`", many.len()),
        };
        let mut problem = Problem::new(ErrorCode::ValidationError, detail);
        problem.errors = errors;
        Self(Box::new(problem))
    }

    /// The object is not there, or not within the caller's reach: the answer is the same.
    pub(crate) fn not_found(what: &str, id: &str) -> Self {
        Self::new(ErrorCode::NotFound, format!("there is no {what} {id:?} within reach of this key"))
    }

    /// The same problem, with the time after which to try again.
    pub(crate) fn retry_after(mut self, seconds: u32) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    /// The same problem, with the execution that the request started.
    pub(crate) fn execution(mut self, id: impl ToString) -> Self {
        self.0.execution_id = Some(id.to_string());
        self
    }
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error.kind {
            StoreErrorKind::NotFound => Self::new(ErrorCode::NotFound, error.to_string()),
            StoreErrorKind::Conflict => Self::new(ErrorCode::Conflict, error.to_string()),
            StoreErrorKind::BadCursor => Self::invalid("cursor", "this cursor was not made by this list"),
            StoreErrorKind::Unavailable => {
                crate::observe::request_failed_inside(&error);
                Self::new(ErrorCode::ServiceUnavailable, "the database is busy; try again").retry_after(RETRY_AFTER_S)
            }
            StoreErrorKind::Full | StoreErrorKind::SchemaNewer | StoreErrorKind::Corrupt | StoreErrorKind::Database => {
                crate::observe::request_failed_inside(&error);
                Self::new(ErrorCode::DbError, format!("{} failed; the server's log says why", error.operation))
            }
        }
    }
}

impl From<LogError> for ApiError {
    fn from(error: LogError) -> Self {
        match error.kind {
            LogErrorKind::TooLarge => Self::new(ErrorCode::PayloadTooLarge, error.to_string()),
            LogErrorKind::Busy | LogErrorKind::Closed => {
                Self::new(ErrorCode::ServiceUnavailable, "the log takes no more at the moment; nothing was done")
                    .retry_after(RETRY_AFTER_S)
            }
            LogErrorKind::Full => {
                crate::observe::request_failed_inside(&error);
                Self::new(ErrorCode::ServiceUnavailable, "the server's disk is full; nothing was done")
                    .retry_after(30 * RETRY_AFTER_S)
            }
            LogErrorKind::Trimmed | LogErrorKind::Locked | LogErrorKind::Corrupt | LogErrorKind::Io => {
                crate::observe::request_failed_inside(&error);
                Self::new(
                    ErrorCode::ServiceUnavailable,
                    "the log failed, and it is not known whether the request was taken; repeat it with the same \
                     Idempotency-Key",
                )
                .retry_after(RETRY_AFTER_S)
            }
        }
    }
}

/// The code travels beside the answer, so that the metrics need not read the body.
#[derive(Clone)]
pub(crate) struct AnsweredCode(pub(crate) ErrorCode);

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        problem_response(&self.0)
    }
}

/// The answer that carries `problem`.
pub(crate) fn problem_response(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = serde_json::to_vec(problem).unwrap_or_default();
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    if let Some(seconds) = problem.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"fastn\""));
    }
    let mut response = (status, headers, body).into_response();
    response.extensions_mut().insert(AnsweredCode(problem.code));
    response
}

/// Gives the bare error answers of the router (404, 405 and the like) the form of every other error.
pub(crate) async fn dress(request: axum::extract::Request, next: axum::middleware::Next) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let response = next.run(request).await;
    let status = response.status();
    let dressed = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind != "text/plain; charset=utf-8");
    if !(status.is_client_error() || status.is_server_error()) || dressed {
        return response;
    }
    let problem = match status {
        StatusCode::METHOD_NOT_ALLOWED => {
            Problem::new(ErrorCode::MethodNotAllowed, format!("{method} is not a method of {}", uri.path()))
        }
        StatusCode::NOT_FOUND => Problem::new(ErrorCode::NotFound, format!("there is no {}", uri.path())),
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(ErrorCode::PayloadTooLarge, "the body is larger than the limit"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            Problem::new(ErrorCode::UnsupportedMediaType, "the media type or encoding is not supported")
        }
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => {
            Problem::new(ErrorCode::Timeout, "the request took too long")
        }
        _ if status.is_client_error() => Problem::new(ErrorCode::ValidationError, "the request is not valid"),
        _ => Problem::new(ErrorCode::InternalError, "the server failed; its log says why"),
    };
    let mut dressed = problem_response(&problem);
    for (name, value) in response.headers() {
        if *name != header::CONTENT_TYPE && *name != header::CONTENT_LENGTH {
            dressed.headers_mut().insert(name.clone(), value.clone());
        }
    }
    dressed
}

/// What a panicking handler answers.
pub(crate) fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    crate::observe::handler_panicked();
    problem_response(&Problem::new(ErrorCode::InternalError, "the server failed; its log says why"))
}
