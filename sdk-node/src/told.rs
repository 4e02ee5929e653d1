//! An error as JSON text, of which JavaScript makes an object of the right class.

use fastn_sdk::Error;
use serde_json::{Value, json};

/// Milliseconds that JavaScript can hold exactly.
fn millis(wait: std::time::Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).min((1 << 53) - 1)
}

/// Everything that the error knows.
pub(crate) fn told(error: &Error) -> Value {
    json!({
        "name": error.name(),
        "code": error.code,
        "status": error.status,
        "operation": error.operation,
        "detail": error.detail,
        "retryAfter": error.retry_after.map(millis),
        "executionId": error.execution_id,
        "fields": error.fields,
        "baseUrl": error.base_url,
        "requestId": error.request_id,
        "details": error.problem,
        "notDone": error.is_not_done(),
        "transient": error.is_transient(),
    })
}

/// An error of this binding itself: what was asked for cannot be done.
pub(crate) fn refused(operation: &str, detail: &str) -> Value {
    json!({"name": "ConfigError", "operation": operation, "detail": detail, "notDone": true, "transient": false})
}
