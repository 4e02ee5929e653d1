//! A signed webhook after Standard Webhooks, so that receivers verify it with a library of theirs:
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>.
//!
//! `webhook-id` is the same in every attempt: a receiver that remembers it takes each message once.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fastn_store::SecretText;

use super::super::notice::Notice;
use super::Notifier;

pub(super) async fn send(notifier: &Notifier, url: &str, secret: &SecretText, notice: &Notice) -> Result<(), String> {
    let body = serde_json::to_string(&notice.body).map_err(|_| "the message can't be written".to_owned())?;
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let signature = signature(secret.expose(), &notice.id, seconds, &body)?;
    let request = notifier
        .post(url)?
        .header("content-type", "application/json")
        .header("webhook-id", &notice.id)
        .header("webhook-timestamp", seconds)
        .header("webhook-signature", signature)
        .body(body);
    notifier.taken(request).await
}

fn signature(secret: &str, id: &str, seconds: u64, body: &str) -> Result<String, String> {
    let bare = "the secret is no whsec_… key of Standard Webhooks";
    let key = STANDARD.decode(secret.trim().strip_prefix("whsec_").ok_or(bare)?).map_err(|_| bare.to_owned())?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let tag = hmac::sign(&key, format!("{id}.{seconds}.{body}").as_bytes());
    Ok(format!("v1,{}", STANDARD.encode(tag)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: the signature is that of the reference implementation's test vector.
    #[test]
    fn signs_like_the_reference() {
        let (secret, id) = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek");
        let signed = signature(secret, id, 1_614_265_330, r#"{"test": 2432232314}"#).unwrap();
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert!(signature("plain", id, 1, "").is_err());
    }
}
