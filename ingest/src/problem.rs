//! How a [`Problem`] becomes an HTTP answer. The API crate answers with the same type, so that every error of the
//! server has one shape.

use axum::Router;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use fastn_contract::error::{ErrorCode, FieldError, Problem};

/// The media type of RFC 9457.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Most field errors that one answer lists; what is beyond them is only counted.
const FIELD_ERRORS_MAX: usize = 50;

/// A problem on its way out: status, `application/problem+json`, and `Retry-After` where waiting helps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProblemResponse(pub Problem);

impl From<Problem> for ProblemResponse {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for ProblemResponse {
    fn into_response(self) -> Response {
        let problem = self.0;
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&problem).expect("a problem holds only text and numbers");
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some(seconds) = problem.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110 section 15.5.2: a 401 names at least one scheme.
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// `router`, answering problems for paths and methods that it does not have. For the whole server, after everything was
/// merged: `axum` does not merge routers that both have fallbacks.
pub fn with_fallbacks(router: Router) -> Router {
    router.method_not_allowed_fallback(no_such_method).fallback(no_such_route)
}

/// The answer for a path that no route knows.
async fn no_such_route(method: Method, uri: Uri) -> ProblemResponse {
    let detail = format!("There is nothing at {method} {}; see /openapi.json for what there is.", cut(uri.path(), 200));
    ProblemResponse(Problem::new(ErrorCode::NotFound, detail))
}

/// The answer for a path that exists with a method that does not. `axum` adds the `Allow` header.
async fn no_such_method(method: Method, uri: Uri) -> ProblemResponse {
    no_such_method_at(&method, &uri)
}

/// See [`no_such_method`].
pub(crate) fn no_such_method_at(method: &Method, uri: &Uri) -> ProblemResponse {
    let detail = format!("{} does not take {method}; the Allow header names what it takes.", cut(uri.path(), 200));
    ProblemResponse(Problem::new(ErrorCode::MethodNotAllowed, detail))
}

/// A request of which the named parts are not valid. Nothing of it was taken.
pub fn invalid(mut errors: Vec<FieldError>) -> Problem {
    let count = errors.len();
    let detail = match errors.first() {
        Some(first) if count == 1 => format!("{}: {}. Nothing was taken.", first.path, first.message),
        Some(first) => {
            format!("{count} parts are not valid, the first is {}: {}. Nothing was taken.", first.path, first.message)
        }
        None => "The request is not valid. Nothing was taken.".to_owned(),
    };
    errors.truncate(FIELD_ERRORS_MAX);
    Problem { errors, ..Problem::new(ErrorCode::ValidationError, detail) }
}

/// [`invalid`] with one part.
pub fn invalid_part(path: impl Into<String>, message: impl Into<String>) -> Problem {
    invalid(vec![FieldError { path: path.into(), message: message.into() }])
}

/// `problem`, and the seconds after which trying again makes sense.
pub fn retry_after(problem: Problem, seconds: u32) -> Problem {
    Problem { retry_after: Some(seconds), ..problem }
}

/// The first `chars_max` characters of `text`.
pub(crate) fn cut(text: &str, chars_max: usize) -> &str {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}
