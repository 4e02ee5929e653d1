//! Shopify: `X-Shopify-Hmac-Sha256`, base 64 of HMAC-SHA-256 of the body with the app's client secret as text.
//!
//! Source: Shopify developer docs, "Deliver webhooks through HTTPS", verify the webhook.

use super::encoding::base64_signature;
use super::{Refusal, Sent, Signed};

/// Header of the signature.
const SIGNATURE: &str = "x-shopify-hmac-sha256";
/// Header of the delivery's id: the same when it is sent again.
pub(crate) const DELIVERY: &str = "x-shopify-webhook-id";

/// What to check the body against.
pub(crate) fn signed(keys: &[String], sent: Sent<'_>) -> Result<Signed, Refusal> {
    Signed::body_only(keys, base64_signature(sent.header(SIGNATURE)?, 32, SIGNATURE)?)
}

#[cfg(test)]
mod tests {
    use super::super::Request;
    use super::*;

    /// Property: a body signed as Shopify documents passes; another body, key or notation does not. Shopify publishes no
    /// vector; this one is of Python's hmac.
    #[test]
    fn documented_scheme() {
        let check = |key: &str, signature: &str, body: &[u8]| {
            signed(&[key.to_owned()], Request::at(0, &[(SIGNATURE, signature)]).sent())?.check(body)
        };
        let valid = "qBvrsZF7RfB1iS6BX6IHqJTp5L911P7intnPeTPsH0I=";
        assert_eq!(check("hush", valid, b"{\"id\":820982911946154508}"), Ok(()));
        assert_eq!(check("hush", valid, b"{\"id\":820982911946154509}"), Err(Refusal::Mismatch));
        assert_eq!(check("hush!", valid, b"{\"id\":820982911946154508}"), Err(Refusal::Mismatch));
        for bad in ["", "!", "qBvr", "a81bebb1917b45f075892e815fa207a894e9e4bf75d4fee29ed9cf7933ec1f42"] {
            assert_eq!(check("hush", bad, b""), Err(Refusal::malformed(SIGNATURE)), "{bad}");
        }
    }
}
