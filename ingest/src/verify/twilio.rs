//! Twilio: `X-Twilio-Signature`, base 64 of HMAC-SHA-1 with the account's auth token as text.
//!
//! Of a form, the URL and then each field, name and value without anything between, in the order of names; of a repeated
//! name, each different value once, in order. Of any other body, the URL alone, whose `bodySHA256` is the body's hash.
//! Twilio leaves the standard port out of the URL or not, so both are tried.
//!
//! Source: Twilio docs, "Webhooks security", and the request validators of Twilio's own libraries.

use std::collections::BTreeSet;

use aws_lc_rs::digest::{SHA256, digest};

use super::encoding::{base64_signature, hex_signature};
use super::{Digest, Refusal, Sent, text_keys};
use crate::payload::{FORM_FIELDS_MAX, Media};

const SIGNATURE: &str = "x-twilio-signature";
/// The parameter of the URL that holds the body's hash.
const BODY_HASH: &str = "bodySHA256";
/// Header of the delivery's id.
pub(crate) const DELIVERY: &str = "i-twilio-idempotency-token";

/// A signature whose body is still to come.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    inner: super::Signed,
    urls: Vec<String>,
    body_hash: Option<Vec<u8>>,
    is_form: bool,
}

/// What to check the body against. `url` is the webhook's URL as Twilio has it.
pub(crate) fn signed(keys: &[String], url: Option<&str>, sent: Sent<'_>) -> Result<Signed, Refusal> {
    let candidates = vec![base64_signature(sent.header(SIGNATURE)?, 20, SIGNATURE)?];
    let keys = text_keys(keys)?;
    let (before, after) = (Vec::new(), Vec::new());
    let inner = super::Signed { keys, digest: Digest::HmacSha1, before, after, candidates };
    let query = sent.uri.query().unwrap_or("");
    let given = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == BODY_HASH);
    let body_hash = given.map(|(_, digits)| hex_signature(&digits, 32, BODY_HASH)).transpose()?;
    let media = Media::of(sent.headers.get(axum::http::header::CONTENT_TYPE).map(axum::http::HeaderValue::as_bytes));
    Ok(Signed { inner, urls: spellings(&sent.url(url)), body_hash, is_form: media == Media::Form })
}

impl Signed {
    /// Compares in constant time.
    pub(crate) fn check(&self, body: &[u8]) -> Result<(), Refusal> {
        let fields = match &self.body_hash {
            Some(hash) if *hash != digest(&SHA256, body).as_ref() => return Err(Refusal::Mismatch),
            Some(_) => String::new(),
            None if self.is_form => fields(body)?,
            // Nothing would cover it.
            None if !body.is_empty() => return Err(Refusal::malformed(BODY_HASH)),
            None => String::new(),
        };
        let tried = self.urls.iter().map(|url| self.inner.check(format!("{url}{fields}").as_bytes()));
        tried.fold(Err(Refusal::Mismatch), |found, one| found.or(one))
    }
}

/// The fields of a form as they are signed.
fn fields(body: &[u8]) -> Result<String, Refusal> {
    let mut fields = BTreeSet::new();
    for (at, (name, value)) in form_urlencoded::parse(body).enumerate() {
        if at == FORM_FIELDS_MAX {
            return Err(Refusal::malformed("body"));
        }
        fields.insert((name.into_owned(), value.into_owned()));
    }
    Ok(fields.into_iter().flat_map(|(name, value)| [name, value]).collect())
}

/// `url` as it is, and with the standard port put in or any port taken out.
fn spellings(url: &str) -> Vec<String> {
    let mut all = vec![url.to_owned()];
    let Some((scheme, rest)) = url.split_once("://") else { return all };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, tail) = rest.split_at(end);
    let port = if scheme == "https" { 443 } else { 80 };
    match host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit())) {
        Some((bare, _)) => all.push(format!("{scheme}://{bare}{tail}")),
        None => all.push(format!("{scheme}://{host}:{port}{tail}")),
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::Request;
    use super::*;

    const FORM: &[u8] =
        b"Digits=1234&CallSid=CA1234567890ABCDE&To=%2B18005551212&From=%2B14158675309&Caller=%2B14158675309";
    const FORM_SIGNATURE: &str = "RSOYDt4T1cUTdK1PDd93/VVr8B8=";
    const JSON: &[u8] = b"{\"property\": \"value\", \"boolean\": true}";
    const JSON_SIGNATURE: &str = "a9nBmqA0ju/hNViExpshrM61xv4=";
    const JSON_QUERY: &str =
        "/x?foo=1&bar=2&bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620";

    fn check(url: &str, query: &str, kind: &str, signature: &str, body: &[u8]) -> Result<(), Refusal> {
        let request = Request::at(0, &[(SIGNATURE, signature), ("content-type", kind)]).to(query);
        signed(&["12345".to_owned()], Some(url), request.sent())?.check(body)
    }

    /// Property: the vectors of Twilio's libraries pass: a form, one with repeated fields, one under another spelling of
    /// the port, and JSON by its hash.
    #[test]
    fn library_vectors() {
        let (url, form, query) =
            ("https://mycompany.com/myapp.php", "application/x-www-form-urlencoded", "/x?foo=1&bar=2");
        assert_eq!(check(url, query, form, FORM_SIGNATURE, FORM), Ok(()));
        assert_eq!(check("https://mycompany.com:1234/myapp.php", query, form, FORM_SIGNATURE, FORM), Ok(()));
        let repeated = b"Sid=CA123&SidAccount=AC123&Digits=5678&Digits=1234&Digits=1234";
        assert_eq!(check(url, query, form, "IK+Dwps556ElfBT0I3Rgjkr1wJU=", repeated), Ok(()));
        assert_eq!(check(url, JSON_QUERY, "application/json", JSON_SIGNATURE, JSON), Ok(()));
    }

    /// Property: another field, body, URL or hash is refused, and so is a body that nothing covers.
    #[test]
    fn refuses_the_rest() {
        let (url, form, query) =
            ("https://mycompany.com/myapp.php", "application/x-www-form-urlencoded", "/x?foo=1&bar=2");
        let changed = [FORM, b"&Digits=9"].concat();
        assert_eq!(check(url, query, form, FORM_SIGNATURE, &changed), Err(Refusal::Mismatch));
        assert_eq!(check(url, "/x?foo=1&bar=3", form, FORM_SIGNATURE, FORM), Err(Refusal::Mismatch));
        assert_eq!(check(url, JSON_QUERY, "application/json", JSON_SIGNATURE, b"{}"), Err(Refusal::Mismatch));
        let bare = check(url, query, "application/json", JSON_SIGNATURE, JSON);
        assert_eq!(bare, Err(Refusal::malformed(BODY_HASH)));
        assert_eq!(check(url, query, form, "RSOYDt4T", FORM), Err(Refusal::malformed(SIGNATURE)));
    }
}
