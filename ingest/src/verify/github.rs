//! GitHub: `X-Hub-Signature-256: sha256=<hex>`, HMAC-SHA-256 of the body with the webhook's secret as text.
//!
//! Source: GitHub docs, "Validating webhook deliveries". GitHub sends no timestamp; a delivery that is sent again comes
//! with the same `X-GitHub-Delivery` and is a duplicate.

use axum::http::HeaderMap;

use super::{Refusal, Signed};
use crate::hex;

/// Header of the signature.
const SIGNATURE: &str = "x-hub-signature-256";
/// Header of the delivery's id.
pub(crate) const DELIVERY: &str = "x-github-delivery";
/// Header of the event's name.
pub(crate) const EVENT: &str = "x-github-event";

/// What to check the body against.
pub(crate) fn signed(secret: &str, headers: &HeaderMap) -> Result<Signed, Refusal> {
    let header = headers.get(SIGNATURE).ok_or(Refusal::Missing(SIGNATURE))?;
    let digits = header.as_bytes().strip_prefix(b"sha256=").ok_or(Refusal::Malformed(SIGNATURE))?;
    let signature = hex::decode_32(digits).ok_or(Refusal::Malformed(SIGNATURE))?;
    if secret.is_empty() {
        return Err(Refusal::BadKey);
    }
    Ok(Signed { key: secret.as_bytes().to_vec(), prefix: Vec::new(), candidates: vec![signature] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    const SECRET: &str = "It's a Secret to Everybody";
    const VALID: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn check(secret: &str, signature: Option<&str>, body: &[u8]) -> Result<(), Refusal> {
        let mut headers = HeaderMap::new();
        if let Some(signature) = signature {
            headers.insert(SIGNATURE, HeaderValue::from_str(signature).unwrap());
        }
        signed(secret, &headers)?.check(body)
    }

    /// Property: GitHub's published vector passes, and any change to secret, body or signature is refused.
    #[test]
    fn published_vector() {
        assert_eq!(check(SECRET, Some(VALID), b"Hello, World!"), Ok(()));
        assert_eq!(check(SECRET, Some(VALID), b"Hello, World."), Err(Refusal::Mismatch));
        assert_eq!(check("another", Some(VALID), b"Hello, World!"), Err(Refusal::Mismatch));
        assert_eq!(check(SECRET, Some(&VALID.replace("757", "758")), b"Hello, World!"), Err(Refusal::Mismatch));
        assert_eq!(check(SECRET, None, b"Hello, World!"), Err(Refusal::Missing(SIGNATURE)));
        assert_eq!(check("", Some(VALID), b"Hello, World!"), Err(Refusal::BadKey));
        for malformed in ["", "sha256=", "sha1=757107ea", &VALID[7..], &VALID[..70]] {
            assert_eq!(check(SECRET, Some(malformed), b"Hello, World!"), Err(Refusal::Malformed(SIGNATURE)));
        }
    }
}
