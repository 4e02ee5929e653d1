//! Standard Webhooks: `webhook-id`, `webhook-timestamp`, `webhook-signature`, version v1 (HMAC-SHA-256).
//!
//! Source: the Standard Webhooks specification 1.0.0. What is signed is `<id>.<timestamp>.<body>`; the key is the base64
//! after `whsec_`; the signatures are separated by spaces, each `v1,<base64>`. Other versions are passed over.

use axum::http::HeaderMap;
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use fastn_domain::Timestamp;

use super::{Refusal, SIGNATURES_MAX, Signed};

/// Header of the message's id: the same on every attempt.
pub(crate) const ID: &str = "webhook-id";
const TIMESTAMP: &str = "webhook-timestamp";
const SIGNATURE: &str = "webhook-signature";

/// How far a timestamp may be from now, either way: as the specification's own libraries have it.
const WINDOW_SECONDS: i64 = 5 * 60;

/// Keys are handed out with and without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What to check the body against.
pub(crate) fn signed(secret: &str, headers: &HeaderMap, now: Timestamp) -> Result<Signed, Refusal> {
    let text = |name: &'static str| {
        let value = headers.get(name).ok_or(Refusal::Missing(name))?;
        value.to_str().ok().filter(|text| !text.is_empty()).ok_or(Refusal::Malformed(name))
    };
    let (id, timestamp, signatures) = (text(ID)?, text(TIMESTAMP)?, text(SIGNATURE)?);
    let sent_s: i64 = timestamp.parse().map_err(|_| Refusal::Malformed(TIMESTAMP))?;
    if now.as_millis().div_euclid(1_000).abs_diff(sent_s) > WINDOW_SECONDS.unsigned_abs() {
        return Err(Refusal::Expired);
    }
    let candidates: Vec<[u8; 32]> = signatures
        .split(' ')
        .filter_map(|signature| BASE64.decode(signature.strip_prefix("v1,")?).ok()?.try_into().ok())
        .take(SIGNATURES_MAX)
        .collect();
    if candidates.is_empty() {
        return Err(Refusal::Malformed(SIGNATURE));
    }
    let key = BASE64.decode(secret.strip_prefix("whsec_").unwrap_or(secret)).map_err(|_| Refusal::BadKey)?;
    if key.is_empty() {
        return Err(Refusal::BadKey);
    }
    Ok(Signed { key, prefix: format!("{id}.{timestamp}.").into_bytes(), candidates })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const BODY: &[u8] = b"{\"test\": 2432232314}";
    const VALID: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    const SENT_S: i64 = 1_614_265_330;

    fn check_with(
        secret: &str,
        signature: &str,
        body: &[u8],
        now_s: i64,
        edit: impl FnOnce(&mut HeaderMap),
    ) -> Result<(), Refusal> {
        let mut headers = HeaderMap::new();
        headers.insert(ID, HeaderValue::from_static("msg_p5jXN8AQM9LWM0D4loKWxJek"));
        headers.insert(TIMESTAMP, HeaderValue::from(SENT_S));
        headers.insert(SIGNATURE, HeaderValue::from_str(signature).unwrap());
        edit(&mut headers);
        signed(secret, &headers, Timestamp::from_millis(now_s * 1_000))?.check(body)
    }

    fn check(secret: &str, signature: &str, body: &[u8], now_s: i64) -> Result<(), Refusal> {
        check_with(secret, signature, body, now_s, |_| {})
    }

    /// Property: the specification's reference vector passes, alone, without prefix or padding, and among others.
    #[test]
    fn reference_vector() {
        assert_eq!(check(SECRET, VALID, BODY, SENT_S), Ok(()));
        assert_eq!(check(&SECRET[6..], VALID, BODY, SENT_S), Ok(()));
        assert_eq!(check(SECRET, VALID.trim_end_matches('='), BODY, SENT_S), Ok(()));
        let several = format!("v1a,abcd v1,{} {VALID}", "A".repeat(43));
        assert_eq!(check(SECRET, &several, BODY, SENT_S), Ok(()));
    }

    /// Property: the timestamp is good for five minutes either way and not one second longer.
    #[test]
    fn window() {
        for (offset_s, expected) in
            [(300, Ok(())), (-300, Ok(())), (301, Err(Refusal::Expired)), (-301, Err(Refusal::Expired))]
        {
            assert_eq!(check(SECRET, VALID, BODY, SENT_S + offset_s), expected, "{offset_s}");
        }
        let far = |headers: &mut HeaderMap| drop(headers.insert(TIMESTAMP, HeaderValue::from(i64::MIN)));
        assert_eq!(check_with(SECRET, VALID, BODY, SENT_S, far), Err(Refusal::Expired));
    }

    /// Property: whatever is changed, missing or malformed is refused, each for its own reason.
    #[test]
    fn refuses_the_rest() {
        assert_eq!(check(SECRET, VALID, b"{\"test\": 2432232315}", SENT_S), Err(Refusal::Mismatch));
        assert_eq!(check("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx", VALID, BODY, SENT_S), Err(Refusal::Mismatch));
        assert_eq!(check("whsec_!", VALID, BODY, SENT_S), Err(Refusal::BadKey));
        assert_eq!(check("whsec_", VALID, BODY, SENT_S), Err(Refusal::BadKey));
        assert_eq!(check(SECRET, "v2,abc", BODY, SENT_S), Err(Refusal::Malformed(SIGNATURE)));
        for name in [ID, TIMESTAMP, SIGNATURE] {
            let without = |headers: &mut HeaderMap| drop(headers.remove(name));
            assert_eq!(check_with(SECRET, VALID, BODY, SENT_S, without), Err(Refusal::Missing(name)));
        }
        let other_id = |headers: &mut HeaderMap| drop(headers.insert(ID, HeaderValue::from_static("msg_other")));
        assert_eq!(check_with(SECRET, VALID, BODY, SENT_S, other_id), Err(Refusal::Mismatch));
        let no_number = |headers: &mut HeaderMap| drop(headers.insert(TIMESTAMP, HeaderValue::from_static("soon")));
        assert_eq!(check_with(SECRET, VALID, BODY, SENT_S, no_number), Err(Refusal::Malformed(TIMESTAMP)));
    }
}
