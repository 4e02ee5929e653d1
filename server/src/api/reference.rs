//! Pages for people: the API reference and the pages of the error codes. Everything comes from the binary.

use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use fastn_contract::error::ErrorCode;

use super::extract::PathParts;
use super::problem::ApiError;

mod markdown;

const PAGE: &str = include_str!("reference/page.html");

/// No scripts, styles or connections from elsewhere.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:";

macro_rules! pages {
    ($($code:literal),* $(,)?) => {
        /// The text of each code's page, by code.
        const ERROR_PAGES: &[(&str, &str)] =
            &[$(($code, include_str!(concat!("../../../docs/errors/", $code, ".md")))),*];
    };
}

pages!(
    "AUTH_INVALID",
    "AUTH_EXPIRED",
    "FORBIDDEN",
    "NOT_FOUND",
    "METHOD_NOT_ALLOWED",
    "VALIDATION_ERROR",
    "CONFLICT",
    "WRONG_REGION",
    "PAYLOAD_TOO_LARGE",
    "UNSUPPORTED_MEDIA_TYPE",
    "RATE_LIMITED",
    "QUOTA_EXCEEDED",
    "INTERNAL_ERROR",
    "SERVICE_UNAVAILABLE",
    "UPSTREAM_ERROR",
    "DB_ERROR",
    "TIMEOUT",
    "WF-EXEC-FAILED",
    "WF-TIMEOUT",
    "WF-CANCELLED",
    "WORKFLOW_NOT_PUBLISHED",
    "WORKFLOW_INVALID",
    "EVT-WEBHOOK-AUTH-FAILED",
);

/// The API reference
///
/// A page for people, made from `/openapi.json`.
#[utoipa::path(get, path = "/docs", operation_id = "reference", tag = "System",
    responses((status = 200, description = "The page", content_type = "text/html", body = String)))]
pub(crate) async fn docs() -> Response {
    page(StatusCode::OK, PAGE.to_owned())
}

/// What an error code means
///
/// Its cause and what to do, as a page for people.
#[utoipa::path(get, path = "/errors/{code}", operation_id = "errorPage", tag = "System",
    params(("code" = String, Path, description = "A public error code")),
    responses((status = 200, description = "The page", content_type = "text/html", body = String)))]
pub(crate) async fn error_page(PathParts(code): PathParts<String>) -> Response {
    let Some((_, text)) = ERROR_PAGES.iter().find(|(known, _)| *known == code) else {
        return ApiError::new(ErrorCode::NotFound, format!("there is no error code {code:?}")).into_response();
    };
    page(StatusCode::OK, markdown::page(&code, text))
}

fn page(status: StatusCode, html: String) -> Response {
    let headers = [(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY)];
    (status, headers, Html(html)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: every public error code has a page that names it in its first line and says what to do.
    #[test]
    fn every_code_has_its_page() {
        assert_eq!(ERROR_PAGES.len(), ErrorCode::ALL.len());
        for code in ErrorCode::ALL {
            let (_, text) = ERROR_PAGES.iter().find(|(known, _)| *known == code.as_str()).unwrap();
            assert!(text.starts_with(&format!("# {}", code.as_str())), "{}", code.as_str());
            assert!(text.contains("## What to do"), "{}", code.as_str());
            assert!(text.contains(&format!("HTTP status {}", code.status())), "{}", code.as_str());
        }
    }
}
