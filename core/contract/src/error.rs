//! The one table of public error codes, and the problem details (RFC 9457) that carry them.

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = ($code:literal, $status:literal, $title:literal);)*) => {
        /// A public error code. Each has a page `docs/errors/<code>.md`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[non_exhaustive]
        pub enum ErrorCode {
            $($(#[$doc])* #[serde(rename = $code)] $name,)*
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$name),*];

            /// The code as it stands on the wire, e.g. `VALIDATION_ERROR`.
            pub const fn as_str(self) -> &'static str {
                match self { $(ErrorCode::$name => $code),* }
            }

            /// The HTTP status it travels with.
            pub const fn status(self) -> u16 {
                match self { $(ErrorCode::$name => $status),* }
            }

            /// A few words for people, the same for every occurrence.
            pub const fn title(self) -> &'static str {
                match self { $(ErrorCode::$name => $title),* }
            }
        }
    };
}

codes! {
    /// The access key is missing or unknown.
    AuthInvalid = ("AUTH_INVALID", 401, "The access key is missing or unknown");
    /// The access key has expired or was revoked.
    AuthExpired = ("AUTH_EXPIRED", 401, "The access key has expired");
    /// The key may not do this.
    Forbidden = ("FORBIDDEN", 403, "This key may not do this");
    /// The object does not exist, or not for this account and customer.
    NotFound = ("NOT_FOUND", 404, "No such object");
    /// The path exists, the method does not.
    MethodNotAllowed = ("METHOD_NOT_ALLOWED", 405, "Method not allowed");
    /// The body, a parameter or a header is not valid.
    ValidationError = ("VALIDATION_ERROR", 400, "The request is not valid");
    /// The object was changed by somebody else, or exists already.
    Conflict = ("CONFLICT", 409, "The object was changed meanwhile, or exists already");
    /// The customer's data is kept in another region.
    WrongRegion = ("WRONG_REGION", 421, "The customer belongs to another region");
    /// The body is larger than the limit.
    PayloadTooLarge = ("PAYLOAD_TOO_LARGE", 413, "The payload is too large");
    /// The media type or content encoding is not understood.
    UnsupportedMediaType = ("UNSUPPORTED_MEDIA_TYPE", 415, "The media type or encoding is not supported");
    /// Too many requests; waiting helps.
    RateLimited = ("RATE_LIMITED", 429, "Too many requests");
    /// A quota is used up; waiting for the window, or a higher quota, helps.
    QuotaExceeded = ("QUOTA_EXCEEDED", 429, "A quota is used up");
    /// The server failed.
    InternalError = ("INTERNAL_ERROR", 500, "The server failed");
    /// The server is overloaded or starting; the request was not taken.
    ServiceUnavailable = ("SERVICE_UNAVAILABLE", 503, "The server cannot take the request now");
    /// A system that the request needs answered with an error.
    UpstreamError = ("UPSTREAM_ERROR", 502, "A connected system failed");
    /// The database failed.
    DbError = ("DB_ERROR", 500, "The database failed");
    /// The request took longer than its limit.
    Timeout = ("TIMEOUT", 504, "The request took too long");
    /// The workflow ended with an error.
    WorkflowFailed = ("WF-EXEC-FAILED", 500, "The workflow failed");
    /// The workflow did not finish within its limit.
    WorkflowTimeout = ("WF-TIMEOUT", 504, "The workflow timed out");
    /// The workflow was cancelled before it finished.
    WorkflowCancelled = ("WF-CANCELLED", 409, "The workflow was cancelled");
    /// The workflow has no published version, or none in this environment.
    WorkflowNotPublished = ("WORKFLOW_NOT_PUBLISHED", 409, "The workflow has no published version here");
    /// The workflow's source does not parse.
    WorkflowInvalid = ("WORKFLOW_INVALID", 422, "The workflow source is not valid");
    /// A webhook's signature, timestamp or token is wrong.
    WebhookAuthFailed = ("EVT-WEBHOOK-AUTH-FAILED", 401, "The webhook could not be verified");
}

/// RFC 9457 problem details. The media type is `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Where the code is explained, `/errors/<code>` of the same server.
    #[serde(rename = "type")]
    pub kind: String,
    /// The code's title.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What was attempted, on what, and what to do.
    pub detail: String,
    /// The public code.
    pub code: ErrorCode,
    /// Seconds to wait before trying again, where waiting helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u32>,
    /// The parts of the request that are not valid.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// The execution that the request started, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_id: Option<String>,
    /// Where to send the request instead, with `WRONG_REGION`: the base URL of the customer's own cell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<Box<str>>,
    /// The id of the request, which the header `x-request-id` of the answer and the server's log carry too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<Box<str>>,
}

impl Problem {
    /// A problem with the code's own status and title.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("/errors/{}", code.as_str()),
            title: code.title().to_owned(),
            status: code.status(),
            detail: detail.into(),
            code,
            retry_after: None,
            errors: Vec::new(),
            execution_id: None,
            base_url: None,
            request_id: None,
        }
    }
}

/// One part of a request that is not valid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct FieldError {
    /// Where, as a dotted path into the body (`routes[0].workflow`), or the name of a parameter or header.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}
