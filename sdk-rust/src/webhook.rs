//! Verifies what fastn itself sends, such as messages of alerts: Standard Webhooks,
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// How far the time of a message may lie from now.
pub const TOLERANCE: Duration = Duration::from_secs(300);

/// Why a message is not to be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// The secret is none.
    #[error("the secret is no whsec_… key of Standard Webhooks")]
    Secret,
    /// A header is missing or does not read.
    #[error("the header {0} is missing or does not read")]
    Header(&'static str),
    /// It is too old, or of the future: somebody may have kept it to send it again.
    #[error("the message's time is too far from now")]
    Time,
    /// None of its signatures is right.
    #[error("no signature is right; was the body changed on its way, or is the secret another one?")]
    Signature,
}

/// Checks a message by its headers, which `header` gives by their lower-case names, and its body as it came. `secrets` are the
/// keys that are valid now: two while one takes the other's place. Remember `webhook-id` to take each message once.
///
/// ```
/// # let headers = |name: &str| None::<String>;
/// let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// let verdict = fastn_sdk::webhook::verify(&[secret], headers, b"{}");
/// assert!(verdict.is_err());
/// ```
///
/// # Errors
/// See [`Rejected`].
pub fn verify<H: AsRef<str>>(
    secrets: &[impl AsRef<str>],
    header: impl Fn(&str) -> Option<H>,
    body: &[u8],
) -> Result<(), Rejected> {
    verify_at(secrets, header, body, SystemTime::now(), TOLERANCE)
}

/// As [`verify`], for a clock and a tolerance of the caller's.
///
/// # Errors
/// See [`Rejected`].
pub fn verify_at<H: AsRef<str>>(
    secrets: &[impl AsRef<str>],
    header: impl Fn(&str) -> Option<H>,
    body: &[u8],
    now: SystemTime,
    tolerance: Duration,
) -> Result<(), Rejected> {
    let read = |name: &'static str| header(name).ok_or(Rejected::Header(name));
    let (id, timestamp, signatures) = (read("webhook-id")?, read("webhook-timestamp")?, read("webhook-signature")?);
    let seconds: u64 = timestamp.as_ref().parse().map_err(|_| Rejected::Header("webhook-timestamp"))?;
    let told = UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).ok_or(Rejected::Time)?;
    let apart = now.duration_since(told).unwrap_or_else(|future| future.duration());
    if apart > tolerance {
        return Err(Rejected::Time);
    }
    let mut signed = format!("{}.{}.", id.as_ref(), timestamp.as_ref()).into_bytes();
    signed.extend_from_slice(body);
    for secret in secrets {
        let key = secret.as_ref().trim().strip_prefix("whsec_").and_then(|key| STANDARD.decode(key).ok());
        // An empty one, such as of a setting that is missing, is everybody's.
        let key = key.filter(|key| !key.is_empty()).ok_or(Rejected::Secret)?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let given = signatures.as_ref().split(' ').filter_map(|one| STANDARD.decode(one.strip_prefix("v1,")?).ok());
        for signature in given {
            // In a time that tells nothing of where they differ.
            if hmac::verify(&key, &signed, &signature).is_ok() {
                return Ok(());
            }
        }
    }
    Err(Rejected::Signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const OTHER: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const AT: u64 = 1_614_265_330;

    fn verdict(secrets: &[&str], signature: &str, body: &[u8], now: u64) -> Result<(), Rejected> {
        let header = |name: &str| match name {
            "webhook-id" => Some("msg_p5jXN8AQM9LWM0D4loKWxJek".to_owned()),
            "webhook-timestamp" => Some(AT.to_string()),
            "webhook-signature" => Some(signature.to_owned()).filter(|text| !text.is_empty()),
            _ => None,
        };
        verify_at(secrets, header, body, UNIX_EPOCH + Duration::from_secs(now), TOLERANCE)
    }

    /// Property: the vector of the reference library is right, beside others and under either of two secrets; a changed body,
    /// another secret, a time that is far away, a missing header and a secret that is none are told apart.
    #[test]
    fn the_vector_of_the_reference() {
        assert_eq!(verdict(&[SECRET], SIGNATURE, BODY, AT), Ok(()));
        assert_eq!(verdict(&[OTHER, SECRET], &format!("v1,AAAA v2,x {SIGNATURE}"), BODY, AT + 299), Ok(()));
        assert_eq!(verdict(&[SECRET], SIGNATURE, b"{}", AT), Err(Rejected::Signature));
        assert_eq!(verdict(&[OTHER], SIGNATURE, BODY, AT), Err(Rejected::Signature));
        assert_eq!(verdict(&[SECRET], SIGNATURE, BODY, AT + 301), Err(Rejected::Time));
        assert_eq!(verdict(&[SECRET], SIGNATURE, BODY, AT - 301), Err(Rejected::Time));
        assert_eq!(verdict(&[SECRET], "", BODY, AT), Err(Rejected::Header("webhook-signature")));
        assert_eq!(verdict(&["MfKQ9r8G"], SIGNATURE, BODY, AT), Err(Rejected::Secret));
    }
}
