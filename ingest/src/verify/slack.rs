//! Slack: `X-Slack-Signature: v0=<hex>`, HMAC-SHA-256 of `v0:<seconds>:<body>` with the app's signing secret as text, the
//! time in `X-Slack-Request-Timestamp`.
//!
//! Source: Slack docs, "Verifying requests from Slack".

use super::encoding::hex_signature;
use super::{Digest, Refusal, Sent, Signed, Window, text_keys};

const SIGNATURE: &str = "x-slack-signature";
const TIMESTAMP: &str = "x-slack-request-timestamp";

/// What to check the body against.
pub(crate) fn signed(keys: &[String], sent: Sent<'_>, window: Window) -> Result<Signed, Refusal> {
    let (signature, time) = (sent.header(SIGNATURE)?, sent.header(TIMESTAMP)?);
    let digits = signature.strip_prefix("v0=").ok_or_else(|| Refusal::malformed(SIGNATURE))?;
    let candidates = vec![hex_signature(digits, 32, SIGNATURE)?];
    window.check_seconds(time, TIMESTAMP)?;
    let before = format!("v0:{time}:").into_bytes();
    Ok(Signed { keys: text_keys(keys)?, digest: Digest::HmacSha256, before, after: Vec::new(), candidates })
}

#[cfg(test)]
mod tests {
    use super::super::Request;
    use super::*;

    const SENT_S: i64 = 1_531_420_618;
    const BODY: &[u8] =
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&\
        channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&\
        response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&\
        trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    const VALID: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";

    fn check(signature: &str, time: &str, now_s: i64, body: &[u8]) -> Result<(), Refusal> {
        let request = Request::at(now_s, &[(SIGNATURE, signature), (TIMESTAMP, time)]);
        let window = Window::around(request.now, None);
        signed(&["8f742231b10e8888abcd99yyyzzz85a5".to_owned()], request.sent(), window)?.check(body)
    }

    /// Property: the worked example of Slack's documentation passes within five minutes, and no change of it does.
    #[test]
    fn documented_vector() {
        let time = SENT_S.to_string();
        assert_eq!(check(VALID, &time, SENT_S + 300, BODY), Ok(()));
        assert!(matches!(check(VALID, &time, SENT_S + 301, BODY), Err(Refusal::Expired(_))));
        assert!(matches!(check(VALID, &time, SENT_S - 301, BODY), Err(Refusal::Expired(_))));
        assert_eq!(check(VALID, &(SENT_S + 1).to_string(), SENT_S, BODY), Err(Refusal::Mismatch));
        assert_eq!(check(VALID, &time, SENT_S, b"text=evil"), Err(Refusal::Mismatch));
        assert_eq!(check(&VALID.replace("v0", "v1"), &time, SENT_S, BODY), Err(Refusal::malformed(SIGNATURE)));
        assert_eq!(check(VALID, "now", SENT_S, BODY), Err(Refusal::malformed(TIMESTAMP)));
    }
}
