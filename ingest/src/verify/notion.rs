//! Notion: `X-Notion-Signature: sha256=<hex>`, HMAC-SHA-256 of the body with the verification token as text. The token
//! comes in the first request, see `handshake.rs`.
//!
//! Source: Notion developer docs, "Webhooks", validating requests.

use super::encoding::hex_signature;
use super::{Refusal, Sent, Signed};

/// Header of the signature.
pub(crate) const SIGNATURE: &str = "x-notion-signature";

/// What to check the body against.
pub(crate) fn signed(keys: &[String], sent: Sent<'_>) -> Result<Signed, Refusal> {
    let digits = sent.header(SIGNATURE)?.strip_prefix("sha256=").ok_or_else(|| Refusal::malformed(SIGNATURE))?;
    Signed::body_only(keys, hex_signature(digits, 32, SIGNATURE)?)
}

#[cfg(test)]
mod tests {
    use super::super::Request;
    use super::*;

    /// Property: a body signed as Notion documents, with the documented example of a token, passes. Notion publishes no
    /// signature; this one is of Python's hmac.
    #[test]
    fn documented_scheme() {
        let body = b"{\"id\":\"367cba44-b6f3-4c92-81e7-6a2e9659efd4\",\"type\":\"page.created\"}";
        let signature = "sha256=b30b43ac8fa987d169cb3ee2425866b953d974456e21e4c6d4d9b18fee3249b4";
        let token = "secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl".to_owned();
        let request = Request::at(0, &[(SIGNATURE, signature)]);
        let signed = signed(&[token], request.sent()).unwrap();
        assert_eq!(signed.check(body), Ok(()));
        assert_eq!(signed.check(b"{}"), Err(Refusal::Mismatch));
    }
}
