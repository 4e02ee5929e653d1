//! Meta (Facebook, Instagram, WhatsApp): `X-Hub-Signature-256`, as GitHub has it, with the app's secret.
//!
//! Source: Meta for Developers, "Webhooks: Getting Started", validating payloads. Meta writes what is beyond ASCII as
//! `\uXXXX` and signs the body so, which is the body as it is sent.

use super::{Refusal, Sent, Signed, github};

/// What to check the body against.
pub(crate) fn signed(keys: &[String], sent: Sent<'_>) -> Result<Signed, Refusal> {
    github::signed(keys, sent)
}

#[cfg(test)]
mod tests {
    use super::super::Request;
    use super::*;

    /// Property: a body signed as Meta's documentation says passes. It publishes no vector; this one is of Python's hmac.
    #[test]
    fn documented_scheme() {
        let signature = "sha256=e6e9d7a842a48e17f43a34d6125d0d933e2aab92ee37f0993a4d493b50e3d438";
        let request = Request::at(0, &[("x-hub-signature-256", signature)]);
        let signed = signed(&["app-secret".to_owned()], request.sent()).unwrap();
        assert_eq!(signed.check(b"{\"object\":\"page\",\"entry\":[]}"), Ok(()));
        assert_eq!(signed.check(b"{\"object\":\"user\",\"entry\":[]}"), Err(Refusal::Mismatch));
    }
}
