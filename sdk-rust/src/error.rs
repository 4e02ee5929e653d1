//! How a call fails.

use std::time::Duration;

use fastn_contract::error::{ErrorCode, FieldError};
use serde::Deserialize;
use serde_json::Value;

use crate::transport::Head;

/// What kind of failure it is. Decisions read this and the code, never a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The client is not configured: a key is missing, the URL is no URL.
    Config,
    /// The server could not be reached; the request was not taken.
    Unreachable,
    /// The connection broke or the time ran out: the request may have been taken. Repeating it is safe.
    Unknown,
    /// The server answered with an error.
    Answered,
    /// The server's answer was not understood.
    BadAnswer,
}

/// Problem details as far as they are needed. A server newer than this client may send a code that the client does not
/// know; what it says in words still reaches the caller.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    detail: String,
    #[serde(default)]
    code: Value,
    #[serde(default)]
    retry_after: Option<u32>,
    #[serde(default)]
    errors: Vec<FieldError>,
    #[serde(default)]
    execution_id: Option<String>,
    #[serde(default)]
    base_url: Option<String>,
}

/// A failed call.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{operation}: {detail}")]
pub struct Error {
    /// See [`ErrorKind`].
    pub kind: ErrorKind,
    /// The public code, when the server answered with one that this client knows.
    pub code: Option<ErrorCode>,
    /// The HTTP status, when the server answered.
    pub status: Option<u16>,
    /// What was attempted, e.g. `GET /v1/events`.
    pub operation: String,
    /// What happened and what to do.
    pub detail: String,
    /// How long to wait before another attempt, when the server says so.
    pub retry_after: Option<Duration>,
    /// The execution that the request started, if it did.
    pub execution_id: Option<String>,
    /// The parts of the request that are not valid.
    pub fields: Vec<FieldError>,
    /// The cell of the customer's region, when the one that was asked serves another.
    pub base_url: Option<String>,
    /// By which the server's log tells of the request.
    pub request_id: Option<String>,
    /// The problem document as it was sent; `null` when there was none.
    pub problem: Box<Value>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, operation: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            kind,
            code: None,
            status: None,
            operation: operation.into(),
            detail: detail.into(),
            retry_after: None,
            execution_id: None,
            fields: Vec::new(),
            base_url: None,
            request_id: None,
            problem: Box::default(),
        }
    }

    pub(crate) fn answered(operation: &str, head: Head, body: &[u8]) -> Self {
        let Head { status, retry_after, request_id } = head;
        let mut error = Self::new(ErrorKind::Answered, operation, format!("the server answered {status}"));
        (error.status, error.retry_after, error.request_id) = (Some(status), retry_after, request_id);
        error.problem = Box::new(serde_json::from_slice(body).unwrap_or_default());
        if let Ok(problem) = Told::deserialize(&*error.problem) {
            error.code = serde_json::from_value(problem.code).ok();
            error.detail = problem.detail;
            error.execution_id = problem.execution_id;
            error.fields = problem.errors;
            error.base_url = problem.base_url;
            let told = problem.retry_after.map(|seconds| Duration::from_secs(u64::from(seconds)));
            error.retry_after = retry_after.or(told);
        }
        error
    }

    /// The name that the error has in every language: the code's, e.g. `QuotaExceededError`, or the kind's.
    ///
    /// A code that this client does not know is an `ApiError`.
    pub fn name(&self) -> String {
        let name = match (self.kind, self.code) {
            (ErrorKind::Config, _) => "CONFIG",
            (ErrorKind::Unreachable, _) => "UNREACHABLE",
            (ErrorKind::Unknown, _) => "UNKNOWN_OUTCOME",
            (ErrorKind::BadAnswer, _) => "BAD_ANSWER",
            (ErrorKind::Answered, Some(code)) => code.as_str(),
            (ErrorKind::Answered, None) => "API",
        };
        error_name(name)
    }

    /// Whether the object is not there or not within reach.
    pub fn is_not_found(&self) -> bool {
        self.code == Some(ErrorCode::NotFound)
    }

    /// Whether the request was certainly not taken, so that even one that must not happen twice may be sent again.
    pub fn is_not_done(&self) -> bool {
        match self.kind {
            ErrorKind::Unreachable | ErrorKind::Config => true,
            ErrorKind::Answered => self.status == Some(429),
            ErrorKind::Unknown | ErrorKind::BadAnswer => false,
        }
    }

    /// Whether another attempt, after a while, may succeed.
    pub fn is_transient(&self) -> bool {
        match self.kind {
            ErrorKind::Unreachable | ErrorKind::Unknown => true,
            ErrorKind::Answered => {
                matches!(self.status, Some(429 | 502 | 503)) && self.code != Some(ErrorCode::QuotaExceeded)
            }
            ErrorKind::Config | ErrorKind::BadAnswer => false,
        }
    }
}

/// `QUOTA_EXCEEDED` becomes `QuotaExceededError`, `WF-EXEC-FAILED` becomes `WfExecFailedError`.
fn error_name(code: &str) -> String {
    let words = code.split(['_', '-']).filter(|word| !word.is_empty() && !word.eq_ignore_ascii_case("error"));
    let capital = |word: &str| {
        let (first, rest) = word.split_at(1);
        first.to_ascii_uppercase() + &rest.to_ascii_lowercase()
    };
    words.map(capital).chain(["Error".to_owned()]).collect()
}
