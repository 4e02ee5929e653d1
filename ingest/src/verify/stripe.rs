//! Stripe: `Stripe-Signature: t=<seconds>,v1=<hex>[,v1=<hex>]`, HMAC-SHA-256 of `<t>.<body>` with the endpoint's whole
//! `whsec_…` secret as text. Other versions, such as `v0` of test events, are passed over.
//!
//! Source: Stripe docs, "Webhooks", verify webhook signatures manually.

use super::encoding::hex_signature;
use super::{Digest, Refusal, SIGNATURES_MAX, Sent, Signed, Window, text_keys};

/// Header of time and signatures.
const SIGNATURE: &str = "stripe-signature";

/// What to check the body against.
pub(crate) fn signed(keys: &[String], sent: Sent<'_>, window: Window) -> Result<Signed, Refusal> {
    let mut time = None;
    let mut candidates = Vec::new();
    for part in sent.header(SIGNATURE)?.split(',') {
        match part.trim().split_once('=') {
            Some(("t", text)) => time = Some(text),
            Some(("v1", digits)) if candidates.len() < SIGNATURES_MAX => {
                candidates.extend(hex_signature(digits, 32, SIGNATURE).ok());
            }
            _ => {}
        }
    }
    let time = time.filter(|_| !candidates.is_empty()).ok_or_else(|| Refusal::malformed(SIGNATURE))?;
    window.check_seconds(time, SIGNATURE)?;
    let before = format!("{time}.").into_bytes();
    Ok(Signed { keys: text_keys(keys)?, digest: Digest::HmacSha256, before, after: Vec::new(), candidates })
}

#[cfg(test)]
mod tests {
    use super::super::Request;
    use super::*;

    /// The payload of stripe-node's own tests.
    const BODY: &[u8] = b"{\n  \"id\": \"evt_test_webhook\",\n  \"object\": \"event\"\n}";
    const SENT_S: i64 = 1_492_774_577;
    /// As stripe-node's `generateTestHeaderString` makes it for that time and `whsec_test_secret`.
    const VALID: &str = "c2f890decbc5ede7c5060bb9a6d31e0626a4342bacb9aeae2adb1bcea72f9812";

    fn check(header: &str, now_s: i64, body: &[u8]) -> Result<(), Refusal> {
        let request = Request::at(now_s, &[(SIGNATURE, header)]);
        let window = Window::around(request.now, None);
        signed(&["whsec_test_secret".to_owned()], request.sent(), window)?.check(body)
    }

    /// Property: the library's header passes, alone and among others, and not after five minutes or for another body.
    #[test]
    fn library_vector() {
        let valid = format!("t={SENT_S},v1={VALID}");
        assert_eq!(check(&valid, SENT_S, BODY), Ok(()));
        assert_eq!(check(&format!("t={SENT_S},v1={},v0=6ffbb5, v1={VALID}", "a".repeat(64)), SENT_S, BODY), Ok(()));
        assert_eq!(check(&valid, SENT_S + 300, BODY), Ok(()));
        assert!(matches!(check(&valid, SENT_S + 301, BODY), Err(Refusal::Expired(_))));
        assert_eq!(check(&valid, SENT_S, b"{}"), Err(Refusal::Mismatch));
        assert_eq!(check(&format!("t={},v1={VALID}", SENT_S + 1), SENT_S, BODY), Err(Refusal::Mismatch));
        for bad in ["", "t=1", &format!("v1={VALID}"), &format!("t=x,v1={VALID}"), "t=1,v1=zz", &valid[..40]] {
            assert_eq!(check(bad, SENT_S, BODY), Err(Refusal::malformed(SIGNATURE)), "{bad}");
        }
    }
}
