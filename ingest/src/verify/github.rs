//! GitHub: `X-Hub-Signature-256: sha256=<hex>`, HMAC-SHA-256 of the body with the webhook's secret as text.
//!
//! Source: GitHub docs, "Validating webhook deliveries". GitHub sends no timestamp; a delivery that is sent again comes
//! with the same `X-GitHub-Delivery` and is a duplicate.

use super::encoding::hex_signature;
use super::{Refusal, Sent, Signed};

/// Header of the signature.
const SIGNATURE: &str = "x-hub-signature-256";
/// Header of the delivery's id.
pub(crate) const DELIVERY: &str = "x-github-delivery";
/// Header of the event's name.
pub(crate) const EVENT: &str = "x-github-event";

/// What to check the body against.
pub(crate) fn signed(keys: &[String], sent: Sent<'_>) -> Result<Signed, Refusal> {
    let digits = sent.header(SIGNATURE)?.strip_prefix("sha256=").ok_or_else(|| Refusal::malformed(SIGNATURE))?;
    Signed::body_only(keys, hex_signature(digits, 32, SIGNATURE)?)
}

#[cfg(test)]
mod tests {
    use super::super::Request;
    use super::*;

    const SECRET: &str = "It's a Secret to Everybody";
    const VALID: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn check(secret: &str, signature: Option<&str>, body: &[u8]) -> Result<(), Refusal> {
        let headers: Vec<(&str, &str)> = signature.map(|signature| (SIGNATURE, signature)).into_iter().collect();
        signed(&[secret.to_owned()], Request::at(0, &headers).sent())?.check(body)
    }

    /// Property: GitHub's published vector passes, and any change to secret, body or signature is refused.
    #[test]
    fn published_vector() {
        assert_eq!(check(SECRET, Some(VALID), b"Hello, World!"), Ok(()));
        assert_eq!(check(SECRET, Some(VALID), b"Hello, World."), Err(Refusal::Mismatch));
        assert_eq!(check("another", Some(VALID), b"Hello, World!"), Err(Refusal::Mismatch));
        assert_eq!(check(SECRET, Some(&VALID.replace("757", "758")), b"Hello, World!"), Err(Refusal::Mismatch));
        assert_eq!(check(SECRET, None, b"Hello, World!"), Err(Refusal::missing(SIGNATURE)));
        assert_eq!(check("", Some(VALID), b"Hello, World!"), Err(Refusal::BadKey));
        for malformed in ["", "sha256=", "sha1=757107ea", &VALID[7..], &VALID[..70]] {
            assert_eq!(check(SECRET, Some(malformed), b"Hello, World!"), Err(Refusal::malformed(SIGNATURE)));
        }
    }
}
