//! Standard Webhooks, and Svix under its own names: `webhook-id`, `webhook-timestamp`, `webhook-signature`, version v1 (HMAC-SHA-256).
//!
//! Source: the Standard Webhooks specification 1.0.0. What is signed is `<id>.<timestamp>.<body>`; the key is the base64
//! after `whsec_`; the signatures are separated by spaces, each `v1,<base64>`. Other versions are passed over.

use super::{Digest, Refusal, SIGNATURES_MAX, Sent, Signed, Window, encoding};

/// Header of the message's id: the same on every attempt.
pub(crate) const ID: &str = "webhook-id";
/// The same under Svix's own name.
pub(crate) const SVIX_ID: &str = "svix-id";

/// The names of the headers.
struct Names {
    id: &'static str,
    timestamp: &'static str,
    signature: &'static str,
}

const STANDARD: Names = Names { id: ID, timestamp: "webhook-timestamp", signature: "webhook-signature" };
const SVIX: Names = Names { id: SVIX_ID, timestamp: "svix-timestamp", signature: "svix-signature" };

/// What to check the body against.
pub(crate) fn signed(keys: &[String], sent: Sent<'_>, window: Window) -> Result<Signed, Refusal> {
    under(&STANDARD, keys, sent, window)
}

/// The same for Svix, which sends either names.
pub(crate) fn svix(keys: &[String], sent: Sent<'_>, window: Window) -> Result<Signed, Refusal> {
    let names = if sent.headers.contains_key(SVIX_ID) { &SVIX } else { &STANDARD };
    under(names, keys, sent, window)
}

fn under(names: &Names, keys: &[String], sent: Sent<'_>, window: Window) -> Result<Signed, Refusal> {
    let (id, timestamp) = (sent.header(names.id)?, sent.header(names.timestamp)?);
    let signatures = sent.header(names.signature)?;
    window.check_seconds(timestamp, names.timestamp)?;
    let candidates: Vec<Vec<u8>> = signatures
        .split(' ')
        .filter_map(|signature| encoding::base64(signature.strip_prefix("v1,")?))
        .filter(|signature| signature.len() == 32)
        .take(SIGNATURES_MAX)
        .collect();
    if candidates.is_empty() {
        return Err(Refusal::malformed(names.signature));
    }
    let key = |text: &String| {
        let bytes = encoding::base64(text.strip_prefix("whsec_").unwrap_or(text));
        bytes.filter(|bytes| !bytes.is_empty()).ok_or(Refusal::BadKey)
    };
    let keys = keys.iter().map(key).collect::<Result<_, _>>()?;
    let before = format!("{id}.{timestamp}.").into_bytes();
    Ok(Signed { keys, digest: Digest::HmacSha256, before, after: Vec::new(), candidates })
}

#[cfg(test)]
mod tests {
    use super::super::Request;
    use super::*;
    use axum::http::{HeaderMap, HeaderValue};

    const TIMESTAMP: &str = "webhook-timestamp";
    const SIGNATURE: &str = "webhook-signature";

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
        let sent_s = SENT_S.to_string();
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let mut request = Request::at(now_s, &[(ID, id), (TIMESTAMP, &sent_s), (SIGNATURE, signature)]);
        edit(&mut request.headers);
        signed(&[secret.to_owned()], request.sent(), Window::around(request.now, None))?.check(body)
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
        for (offset_s, good) in [(300, true), (-300, true), (301, false), (-301, false)] {
            let checked = check(SECRET, VALID, BODY, SENT_S + offset_s);
            assert!(if good { checked == Ok(()) } else { matches!(checked, Err(Refusal::Expired(_))) }, "{offset_s}");
        }
        let far = |headers: &mut HeaderMap| drop(headers.insert(TIMESTAMP, HeaderValue::from(i64::MIN)));
        assert!(matches!(check_with(SECRET, VALID, BODY, SENT_S, far), Err(Refusal::Expired(_))));
    }

    /// Property: whatever is changed, missing or malformed is refused, each for its own reason.
    #[test]
    fn refuses_the_rest() {
        assert_eq!(check(SECRET, VALID, b"{\"test\": 2432232315}", SENT_S), Err(Refusal::Mismatch));
        assert_eq!(check("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx", VALID, BODY, SENT_S), Err(Refusal::Mismatch));
        assert_eq!(check("whsec_!", VALID, BODY, SENT_S), Err(Refusal::BadKey));
        assert_eq!(check("whsec_", VALID, BODY, SENT_S), Err(Refusal::BadKey));
        assert_eq!(check(SECRET, "v2,abc", BODY, SENT_S), Err(Refusal::malformed(SIGNATURE)));
        for name in [ID, TIMESTAMP, SIGNATURE] {
            let without = |headers: &mut HeaderMap| drop(headers.remove(name));
            assert_eq!(check_with(SECRET, VALID, BODY, SENT_S, without), Err(Refusal::missing(name)));
        }
        let other_id = |headers: &mut HeaderMap| drop(headers.insert(ID, HeaderValue::from_static("msg_other")));
        assert_eq!(check_with(SECRET, VALID, BODY, SENT_S, other_id), Err(Refusal::Mismatch));
        let no_number = |headers: &mut HeaderMap| drop(headers.insert(TIMESTAMP, HeaderValue::from_static("soon")));
        assert_eq!(check_with(SECRET, VALID, BODY, SENT_S, no_number), Err(Refusal::malformed(TIMESTAMP)));
    }

    /// Property: the worked example of Svix's documentation passes under either names, and under no mixture of them.
    #[test]
    fn svix_vector() {
        let check = |names: [&str; 3]| {
            let [id, timestamp, signature] = names;
            let headers = [
                (id, "msg_loFOjxBNrRLzqYUf"),
                (timestamp, "1731705121"),
                (signature, "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0="),
            ];
            let request = Request::at(1_731_705_121, &headers);
            let keys = ["whsec_plJ3nmyCDGBKInavdOK15jsl".to_owned()];
            let window = Window::around(request.now, None);
            svix(&keys, request.sent(), window)?.check(b"{\"event_type\":\"ping\",\"data\":{\"success\":true}}")
        };
        assert_eq!(check(["svix-id", "svix-timestamp", "svix-signature"]), Ok(()));
        assert_eq!(check([ID, TIMESTAMP, SIGNATURE]), Ok(()));
        assert_eq!(check(["svix-id", TIMESTAMP, SIGNATURE]), Err(Refusal::missing("svix-timestamp")));
    }
}
