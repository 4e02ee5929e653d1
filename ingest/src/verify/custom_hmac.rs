//! An HMAC that a trigger describes itself: header, prefix, encoding, hash, and what is signed.

use fastn_contract::verification::{HmacAlgorithm, HmacScheme, SignatureEncoding};
use fastn_domain::signed_text::{self, Piece};

use super::{Digest, Refusal, SIGNATURES_MAX, Sent, Signed, Window, encoding, text_keys};
use crate::hex;

/// What to check the body against.
pub(crate) fn signed(scheme: &HmacScheme, keys: &[String], sent: Sent<'_>, window: Window) -> Result<Signed, Refusal> {
    let header = sent.header(&scheme.header)?;
    let (digest, bytes) = match scheme.algorithm {
        HmacAlgorithm::Sha1 => (Digest::HmacSha1, 20),
        HmacAlgorithm::Sha256 => (Digest::HmacSha256, 32),
        HmacAlgorithm::Sha512 => (Digest::HmacSha512, 64),
    };
    // One signature, or several behind each other with commas or spaces between them.
    let candidates: Vec<Vec<u8>> = std::iter::once(header)
        .chain(header.split([',', ' ']))
        .filter_map(|text| text.strip_prefix(&scheme.prefix))
        .filter_map(|text| match scheme.encoding {
            SignatureEncoding::Hex => hex::decode(text.as_bytes()),
            SignatureEncoding::Base64 => encoding::any_base64(text),
        })
        .filter(|signature| signature.len() == bytes)
        .take(SIGNATURES_MAX)
        .collect();
    if candidates.is_empty() {
        return Err(Refusal::malformed(&scheme.header));
    }
    let time = match &scheme.timestamp_header {
        None => "",
        Some(name) => {
            let time = sent.header(name)?;
            window.check_any(time, name)?;
            time
        }
    };
    let (before, after) = around_body(scheme, sent, time)?;
    Ok(Signed { keys: text_keys(keys)?, digest, before, after, candidates })
}

/// What stands before and after the body in what is signed.
fn around_body(scheme: &HmacScheme, sent: Sent<'_>, time: &str) -> Result<(Vec<u8>, Vec<u8>), Refusal> {
    let pieces = signed_text::parse(&scheme.payload).map_err(|_| Refusal::BadKey)?;
    let (mut before, mut after) = (Vec::new(), None);
    for piece in pieces {
        let text = match piece {
            Piece::Body => {
                after = Some(Vec::new());
                continue;
            }
            Piece::Text(text) => text,
            Piece::Timestamp => time.to_owned(),
            Piece::Id => sent.header(scheme.id_header.as_deref().unwrap_or_default())?.to_owned(),
            Piece::Method => sent.method.to_owned(),
            Piece::Url => sent.url(None),
        };
        after.as_mut().unwrap_or(&mut before).extend_from_slice(text.as_bytes());
    }
    Ok((before, after.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::super::Request;
    use super::*;
    use aws_lc_rs::hmac;
    use base64::Engine as _;
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
    use serde_json::{Value, json};

    const NOW_S: i64 = 1_700_000_000;

    fn check(scheme: Value, headers: &[(&str, &str)], body: &[u8]) -> Result<(), Refusal> {
        let scheme: HmacScheme = serde_json::from_value(scheme).unwrap();
        let request = Request::at(NOW_S, headers).to("/hook?a=1");
        let window = Window::around(request.now, scheme.tolerance_seconds);
        signed(&scheme, &["k".to_owned()], request.sent(), window)?.check(body)
    }

    /// Property: every hash in every encoding is understood, with and without a prefix. The values are of Python's hmac.
    #[test]
    fn every_hash_and_encoding() {
        for (algorithm, hash) in [
            ("sha1", hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
            ("sha256", hmac::HMAC_SHA256),
            ("sha512", hmac::HMAC_SHA512),
        ] {
            let tag = hmac::sign(&hmac::Key::new(hash, b"k"), b"1700000000.x");
            let hex = crate::hex::encode(tag.as_ref());
            for (encoding, text) in [
                ("hex", hex.clone()),
                ("hex", hex.to_uppercase()),
                ("base64", BASE64_STANDARD.encode(tag.as_ref())),
                ("base64", BASE64_URL_SAFE_NO_PAD.encode(tag.as_ref())),
            ] {
                for prefix in ["", "v1=", "HMAC "] {
                    let scheme = json!({"secret": "S", "header": "x-sig", "algorithm": algorithm, "encoding": encoding,
                        "prefix": prefix, "payload": "{timestamp}.{body}", "timestampHeader": "x-time"});
                    let given = format!("{prefix}{text}");
                    let headers = [("x-sig", given.as_str()), ("x-time", "1700000000")];
                    assert_eq!(check(scheme.clone(), &headers, b"x"), Ok(()), "{algorithm} {encoding} {given}");
                    assert_eq!(check(scheme, &headers, b"y"), Err(Refusal::Mismatch), "{algorithm} {encoding}");
                }
            }
        }
        let known = "fedc06ad000f48e8355272e27f30642053f516d4";
        let scheme = json!({"secret": "S", "header": "x-sig", "algorithm": "sha1", "payload": "1700000000.{body}"});
        assert_eq!(check(scheme, &[("x-sig", known)], b"x"), Ok(()));
    }

    /// Property: every place of the template takes part in what is signed.
    #[test]
    fn every_place() {
        let scheme = json!({"secret": "S", "header": "x-sig", "idHeader": "x-id", "timestampHeader": "x-time",
            "payload": "{method}|{url}|{id}|{timestamp}|{body}|end"});
        let text = b"POST|https://h.example/hook?a=1|i7|2023-11-14T22:13:20Z|body|end";
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"k"), text);
        let tag = crate::hex::encode(tag.as_ref());
        let good = [
            ("x-sig", tag.as_str()),
            ("x-id", "i7"),
            ("x-time", "2023-11-14T22:13:20Z"),
            ("host", "h.example"),
            ("x-forwarded-proto", "https"),
        ];
        assert_eq!(check(scheme.clone(), &good, b"body"), Ok(()));
        for (at, other) in [(1, ("x-id", "i8")), (2, ("x-time", "2023-11-14T22:13:21Z")), (3, ("host", "i.example"))] {
            let mut headers = good;
            headers[at] = other;
            assert_eq!(check(scheme.clone(), &headers, b"body"), Err(Refusal::Mismatch), "{other:?}");
        }
        let mut late = good;
        late[2] = ("x-time", "2023-11-14T22:07:00Z");
        assert!(matches!(check(scheme.clone(), &late, b"body"), Err(Refusal::Expired(_))));
        assert_eq!(check(scheme.clone(), &good[..1], b"body"), Err(Refusal::missing("x-time")));
        assert_eq!(check(scheme, &[("x-sig", "zz")], b"body"), Err(Refusal::malformed("x-sig")));
    }
}
