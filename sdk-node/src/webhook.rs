//! Checks what fastn sends.

use std::time::SystemTime;

use fastn_sdk::webhook::{Rejected, TOLERANCE, verify_at};
use napi::bindgen_prelude::{Either, Uint8Array};
use napi_derive::napi;

use crate::client::millis;

/// Why a message is not to be trusted.
#[napi(object)]
pub(crate) struct Distrust {
    /// `secret`, `header`, `time` or `signature`.
    pub reason: String,
    /// For people.
    pub detail: String,
}

/// Checks a message; nothing when it is right. `headers` are those of Standard Webhooks: id, timestamp, signature.
#[napi]
pub(crate) fn verify_webhook(
    secrets: Vec<String>,
    headers: Vec<Option<String>>,
    body: Either<String, Uint8Array>,
    tolerance: Option<f64>,
) -> Option<Distrust> {
    let header = |name: &str| {
        let at = ["webhook-id", "webhook-timestamp", "webhook-signature"].iter().position(|known| *known == name)?;
        headers.get(at).cloned().flatten()
    };
    let body: &[u8] = match &body {
        Either::A(text) => text.as_bytes(),
        Either::B(bytes) => bytes,
    };
    let tolerance = tolerance.map_or(TOLERANCE, millis);
    let rejected = verify_at(&secrets, header, body, SystemTime::now(), tolerance).err()?;
    let reason = match rejected {
        Rejected::Secret => "secret",
        Rejected::Header(_) => "header",
        Rejected::Time => "time",
        Rejected::Signature => "signature",
    };
    Some(Distrust { reason: reason.to_owned(), detail: rejected.to_string() })
}
