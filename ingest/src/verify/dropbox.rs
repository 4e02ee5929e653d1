//! Dropbox: `X-Dropbox-Signature`, hex of HMAC-SHA-256 of the body with the app's secret as text.
//!
//! Source: Dropbox developer docs, "Webhooks", notifications.

use super::encoding::hex_signature;
use super::{Refusal, Sent, Signed};

/// Header of the signature.
const SIGNATURE: &str = "x-dropbox-signature";

/// What to check the body against.
pub(crate) fn signed(keys: &[String], sent: Sent<'_>) -> Result<Signed, Refusal> {
    Signed::body_only(keys, hex_signature(sent.header(SIGNATURE)?, 32, SIGNATURE)?)
}

#[cfg(test)]
mod tests {
    use super::super::Request;
    use super::*;

    /// Property: the documented notification, signed as documented, passes. Dropbox publishes no signature of it; this one
    /// is of Python's hmac.
    #[test]
    fn documented_scheme() {
        let body = b"{\"list_folder\": {\"accounts\": [\"dbid:AAH4f99T0taONIb-OurWxbNQ6ywGRopQngc\"]}, \"delta\": {\"users\": [12345678]}}";
        let signature = "4c5c4f66f44d1c4caf09bf8bb533cce0bfbf09ea119d0f1945e1a38bd6c54670";
        let request = Request::at(0, &[(SIGNATURE, signature)]);
        let check = |key: &str| signed(&[key.to_owned()], request.sent()).unwrap().check(body);
        assert_eq!(check("app-secret"), Ok(()));
        assert_eq!(check("app-secret2"), Err(Refusal::Mismatch));
    }
}
