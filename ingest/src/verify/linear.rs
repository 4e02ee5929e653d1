//! Linear: `Linear-Signature`, hex of HMAC-SHA-256 of the body with the webhook's signing secret as text. The time is in
//! the body, `webhookTimestamp` in milliseconds, so it is looked at once the signature is right.
//!
//! Source: Linear developer docs, "Webhooks", securing webhooks.

use super::encoding::hex_signature;
use super::{Refusal, Sent, Signed, Window};

const SIGNATURE: &str = "linear-signature";
/// The field of the body that holds the time.
const TIMESTAMP: &str = "webhookTimestamp";
/// Header of the delivery's id.
pub(crate) const DELIVERY: &str = "linear-delivery";

/// What to check the body against.
pub(crate) fn signed(keys: &[String], sent: Sent<'_>) -> Result<Signed, Refusal> {
    Signed::body_only(keys, hex_signature(sent.header(SIGNATURE)?, 32, SIGNATURE)?)
}

/// Checks the time in a body.
pub(crate) fn check_time(body: &[u8], window: Window) -> Result<(), Refusal> {
    #[derive(serde::Deserialize)]
    struct Timed {
        #[serde(rename = "webhookTimestamp")]
        ms: i64,
    }
    let timed: Timed = serde_json::from_slice(body).map_err(|_| Refusal::malformed(TIMESTAMP))?;
    window.check_ms(timed.ms)
}

#[cfg(test)]
mod tests {
    use super::super::{Check, Request};
    use super::*;

    const SENT_S: i64 = 1_676_056_940;
    const BODY: &[u8] = b"{\"action\":\"create\",\"type\":\"Issue\",\"webhookTimestamp\":1676056940508}";
    /// Linear publishes no vector; this one is of Python's hmac.
    const VALID: &str = "7f1b01e2282c7612f4ba310248a964ea16327e81ef037d2f5a0080bf80b4e551";

    fn check(now_s: i64, body: &[u8]) -> Result<(), Refusal> {
        let request = Request::at(now_s, &[(SIGNATURE, VALID)]);
        let signed = signed(&["lin_wh_secret".to_owned()], request.sent())?;
        Check::Linear(signed, Window::around(request.now, Some(60))).body(body)
    }

    /// Property: a body signed as documented passes while its own timestamp is fresh.
    #[test]
    fn documented_scheme() {
        assert_eq!(check(SENT_S, BODY), Ok(()));
        assert_eq!(check(SENT_S + 60, BODY), Ok(()));
        assert!(matches!(check(SENT_S + 61, BODY), Err(Refusal::Expired(_))));
        assert_eq!(check(SENT_S, b"{\"webhookTimestamp\":1676056940508}"), Err(Refusal::Mismatch));
        let window = Window::around(Request::at(SENT_S, &[]).now, None);
        assert_eq!(check_time(b"{}", window), Err(Refusal::malformed(TIMESTAMP)));
        assert_eq!(check_time(b"[", window), Err(Refusal::malformed(TIMESTAMP)));
    }
}
