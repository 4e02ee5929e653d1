//! Zendesk: `X-Zendesk-Webhook-Signature`, base 64 of HMAC-SHA-256 of timestamp and body with the webhook's signing secret
//! as text, the time in `X-Zendesk-Webhook-Signature-Timestamp` in RFC 3339.
//!
//! Source: Zendesk developer docs, "Verifying webhook authenticity".

use super::encoding::base64_signature;
use super::{Digest, Refusal, Sent, Signed, Window, text_keys};

const SIGNATURE: &str = "x-zendesk-webhook-signature";
const TIMESTAMP: &str = "x-zendesk-webhook-signature-timestamp";
/// Header of the delivery's id.
pub(crate) const DELIVERY: &str = "x-zendesk-webhook-invocation-id";

/// What to check the body against.
pub(crate) fn signed(keys: &[String], sent: Sent<'_>, window: Window) -> Result<Signed, Refusal> {
    let (signature, time) = (sent.header(SIGNATURE)?, sent.header(TIMESTAMP)?);
    let candidates = vec![base64_signature(signature, 32, SIGNATURE)?];
    window.check_any(time, TIMESTAMP)?;
    let before = time.as_bytes().to_vec();
    Ok(Signed { keys: text_keys(keys)?, digest: Digest::HmacSha256, before, after: Vec::new(), candidates })
}

#[cfg(test)]
mod tests {
    use super::super::Request;
    use super::*;

    /// Property: the secret, time and body of Zendesk's documentation, signed as it says, pass within five minutes.
    /// Zendesk publishes no signature of them; this one is of Python's hmac.
    #[test]
    fn documented_scheme() {
        let headers =
            [(SIGNATURE, "gf3v0LzLRHPUnIdhbvwRDVEvzSb07/QN0GYjSNlkBT0="), (TIMESTAMP, "2021-07-25T10:00:00Z")];
        let check = |now_s, body: &[u8]| {
            let request = Request::at(now_s, &headers);
            let secret = "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ==".to_owned();
            signed(&[secret], request.sent(), Window::around(request.now, None))?.check(body)
        };
        let sent_s = 1_627_207_200;
        assert_eq!(check(sent_s, b"{\"say\": \"hello\"}"), Ok(()));
        assert_eq!(check(sent_s, b"{\"say\": \"hullo\"}"), Err(Refusal::Mismatch));
        assert!(matches!(check(sent_s + 301, b"{\"say\": \"hello\"}"), Err(Refusal::Expired(_))));
    }
}
