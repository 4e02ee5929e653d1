//! What polling needs: requests to sources, under the rules for requests to the outside.

use std::sync::Arc;
use std::time::Duration;

use fastn_pipeline::processor::{CallBy, Intercept, Outbound, OutboundLimits, OutboundRequest};
use fastn_scheduler::{Fetch, FetchAnswer, FetchRequest};

/// A page of a source takes no longer, and is not larger.
const LIMITS: OutboundLimits = OutboundLimits { timeout: Duration::from_secs(30), answer_bytes_max: 16 * 1024 * 1024 };

/// Makes requests to sources.
///
/// # Errors
/// TLS cannot be set up.
pub(super) fn fetch(allow_private_addresses: bool, intercept: Option<Intercept>) -> anyhow::Result<Fetch> {
    let outbound = Outbound::with_limits(allow_private_addresses, LIMITS)?.asking(intercept, CallBy::Poll);
    Ok(Arc::new(move |request| {
        let outbound = outbound.clone();
        Box::pin(async move {
            let FetchRequest { method, url, headers, body } = request;
            let answer = outbound.send(OutboundRequest { method, url, headers, body }).await?;
            Ok(FetchAnswer { status: answer.status, headers: answer.headers, body: answer.body })
        })
    }))
}
