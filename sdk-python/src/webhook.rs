//! Verifies what fastn itself sends.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fastn_sdk::webhook::verify_at;
use pyo3::prelude::*;

use crate::client::duration;
use crate::failure::refuse;

/// Checks a message. Headers are by their lower-case names; `now` is in seconds since 1970, the machine's clock when absent.
#[pyfunction]
#[pyo3(signature = (secrets, headers, body, now, tolerance))]
pub(crate) fn verify_webhook(
    py: Python<'_>,
    secrets: Vec<String>,
    headers: Vec<(String, String)>,
    body: &[u8],
    now: Option<f64>,
    tolerance: f64,
) -> PyResult<()> {
    let now = now.and_then(|seconds| UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds).ok()?));
    let header = |name: &str| headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str());
    verify_at(&secrets, header, body, now.unwrap_or_else(SystemTime::now), duration(tolerance))
        .map_err(|rejected| refuse(py, "WebhookVerificationError", "verify a webhook", &rejected.to_string()))
}
