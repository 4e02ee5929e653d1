//! HubSpot's three signatures, each with the app's client secret.
//!
//! | version | header                     | what is made                                                        |
//! |---------|----------------------------|---------------------------------------------------------------------|
//! | v1      | `X-HubSpot-Signature`      | hex of SHA-256 of secret, body                                      |
//! | v2      | `X-HubSpot-Signature`      | hex of SHA-256 of secret, method, URL, body                         |
//! | v3      | `X-HubSpot-Signature-v3`   | base 64 of HMAC-SHA-256 of method, URL, body, timestamp             |
//!
//! Of v3, the timestamp is `X-HubSpot-Request-Timestamp` in milliseconds, and some escapes of the URL are decoded first.
//! A request of v1 or v2 says which one it is in `X-HubSpot-Signature-Version`; the trigger decides, not the sender.
//!
//! Source: HubSpot developer docs, "Validating requests".

use fastn_contract::verification::HubspotVersion;

use super::encoding::{base64_signature, hex_signature};
use super::{Digest, Refusal, Sent, Signed, Window, text_keys};

const SIGNATURE: &str = "x-hubspot-signature";
const SIGNATURE_V3: &str = "x-hubspot-signature-v3";
const TIMESTAMP: &str = "x-hubspot-request-timestamp";

/// The escapes that v3 decodes.
const DECODED: [(&str, &str); 12] = [
    ("%3A", ":"),
    ("%2F", "/"),
    ("%3F", "?"),
    ("%40", "@"),
    ("%21", "!"),
    ("%24", "$"),
    ("%27", "'"),
    ("%28", "("),
    ("%29", ")"),
    ("%2A", "*"),
    ("%2C", ","),
    ("%3B", ";"),
];

/// What to check the body against. `url` is the webhook's URL as HubSpot has it.
pub(crate) fn signed(
    version: HubspotVersion,
    keys: &[String],
    url: Option<&str>,
    sent: Sent<'_>,
    window: Window,
) -> Result<Signed, Refusal> {
    let keys = text_keys(keys)?;
    if version == HubspotVersion::V3 {
        let (signature, time) = (sent.header(SIGNATURE_V3)?, sent.header(TIMESTAMP)?);
        let candidates = vec![base64_signature(signature, 32, SIGNATURE_V3)?];
        window.check_ms(time.parse().map_err(|_| Refusal::malformed(TIMESTAMP))?)?;
        let before = format!("{}{}", sent.method, decoded(&sent.url(url))).into_bytes();
        return Ok(Signed { keys, digest: Digest::HmacSha256, before, after: time.as_bytes().to_vec(), candidates });
    }
    let candidates = vec![hex_signature(sent.header(SIGNATURE)?, 32, SIGNATURE)?];
    let before = match version {
        HubspotVersion::V1 => Vec::new(),
        _ => format!("{}{}", sent.method, sent.url(url)).into_bytes(),
    };
    Ok(Signed { keys, digest: Digest::KeyedSha256, before, after: Vec::new(), candidates })
}

fn decoded(url: &str) -> String {
    DECODED.iter().fold(url.to_owned(), |url, (escape, plain)| {
        url.replace(escape, plain).replace(&escape.to_ascii_lowercase(), plain)
    })
}

#[cfg(test)]
mod tests {
    use super::super::Request;
    use super::*;

    /// The examples of HubSpot's documentation.
    const SECRET: &str = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy";
    const URL: &str = "https://www.example.com/webhook_uri";
    const BODY: &[u8] = b"[{\"eventId\":1,\"subscriptionId\":12345,\"portalId\":62515,\"occurredAt\":1564113600000,\
        \"subscriptionType\":\"contact.creation\",\"attemptNumber\":0,\"objectId\":123,\"changeSource\":\"CRM\",\
        \"changeFlag\":\"NEW\",\"appId\":54321}]";
    const SENT_S: i64 = 1_564_113_600;

    fn check(
        version: HubspotVersion,
        uri: &str,
        headers: &[(&str, &str)],
        now_s: i64,
        body: &[u8],
    ) -> Result<(), Refusal> {
        let request = Request::at(now_s, headers).to(uri);
        let window = Window::around(request.now, None);
        signed(version, &[SECRET.to_owned()], Some(URL), request.sent(), window)?.check(body)
    }

    /// Property: the documented hashes of v1 and v2 pass, each as its own version only.
    #[test]
    fn documented_vectors() {
        let v1 = [(SIGNATURE, "232db2615f3d666fe21a8ec971ac7b5402d33b9a925784df3ca654d05f4817de")];
        assert_eq!(check(HubspotVersion::V1, "/x", &v1, 0, BODY), Ok(()));
        assert_eq!(check(HubspotVersion::V2, "/x", &v1, 0, BODY), Err(Refusal::Mismatch));
        let v2 = [(SIGNATURE, "9569219f8ba981ffa6f6f16aa0f48637d35d728c7e4d93d0d52efaa512af7900")];
        let body = b"{\"example_field\":\"example_value\"}";
        assert_eq!(check(HubspotVersion::V2, "/x", &v2, 0, body), Ok(()));
        assert_eq!(check(HubspotVersion::V1, "/x", &v2, 0, body), Err(Refusal::Mismatch));
        assert_eq!(check(HubspotVersion::V2, "/x?a=1", &v2, 0, body), Err(Refusal::Mismatch));
        assert_eq!(check(HubspotVersion::V3, "/x", &v2, 0, body), Err(Refusal::missing(SIGNATURE_V3)));
    }

    /// Property: a request signed as documented for v3 passes within five minutes, with a query whose escapes are decoded
    /// too. HubSpot publishes no vector of v3; these are of Python's hmac.
    #[test]
    fn version_3() {
        let time = (SENT_S * 1_000).to_string();
        let headers = |signature| [(SIGNATURE_V3, signature), (TIMESTAMP, time.as_str())];
        let plain = headers("DxmVAjFNa2xfF3YgQjdZP6TNcok9k1oaH7UXombPtvw=");
        assert_eq!(check(HubspotVersion::V3, "/x", &plain, SENT_S + 300, BODY), Ok(()));
        assert!(matches!(check(HubspotVersion::V3, "/x", &plain, SENT_S + 301, BODY), Err(Refusal::Expired(_))));
        assert_eq!(check(HubspotVersion::V3, "/x", &plain, SENT_S, b"[]"), Err(Refusal::Mismatch));
        let query = headers("Rc+XTp2Xzr+9rQVqviKgsBxnBk4USSY4xyCbao5Ue+0=");
        assert_eq!(check(HubspotVersion::V3, "/x?a=1%3A2%2f3", &query, SENT_S, BODY), Ok(()));
    }
}
