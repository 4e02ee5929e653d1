//! How webhook senders prove themselves: one file per scheme.
//!
//! Nearly every scheme is the same shape, [`Signed`]: from the keys and the headers it makes the bytes that stand before
//! and after the body in what was signed, and the signatures that came along. Only then is the body read and hashed, as it
//! was sent, before content decoding (see `body.rs`). All comparisons with secrets take the same time whatever they find.

use std::borrow::Cow;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{digest, hmac};
use axum::http::{HeaderMap, Uri};
use fastn_domain::Timestamp;

pub(crate) mod basic;
pub(crate) mod client_certificate;
pub(crate) mod custom_hmac;
pub(crate) mod dropbox;
pub(crate) mod encoding;
pub(crate) mod github;
pub(crate) mod hubspot;
pub(crate) mod linear;
pub(crate) mod meta;
pub(crate) mod microsoft_graph;
pub(crate) mod notion;
pub(crate) mod shopify;
pub(crate) mod slack;
pub(crate) mod standard_webhooks;
pub(crate) mod stripe;
pub(crate) mod token;
pub(crate) mod twilio;
pub(crate) mod window;
pub(crate) mod zendesk;

pub(crate) use window::Window;

/// Most signatures of one request that are compared.
pub(crate) const SIGNATURES_MAX: usize = 16;

/// The request as its sender made it, without the body.
#[derive(Clone, Copy)]
pub(crate) struct Sent<'a> {
    /// In capitals.
    pub(crate) method: &'a str,
    /// The target.
    pub(crate) uri: &'a Uri,
    /// The headers.
    pub(crate) headers: &'a HeaderMap,
    /// When it came.
    pub(crate) now: Timestamp,
}

impl<'a> Sent<'a> {
    /// A header that must be there, as text.
    pub(crate) fn header(&self, name: &str) -> Result<&'a str, Refusal> {
        let value = self.headers.get(name).ok_or_else(|| Refusal::missing(name))?;
        value.to_str().ok().filter(|text| !text.is_empty()).ok_or_else(|| Refusal::malformed(name))
    }

    /// The URL that the sender called: `known`, else what the headers of a proxy say, with the query of this request.
    /// Whoever lies about it has to find a signature for the lie.
    pub(crate) fn url(&self, known: Option<&str>) -> String {
        let query = self.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        if let Some(known) = known {
            return format!("{known}{query}");
        }
        let text = |name| self.headers.get(name).and_then(|value| value.to_str().ok());
        let first = |text: &'a str| text.split(',').next().unwrap_or(text).trim();
        let scheme = text("x-forwarded-proto").map_or("http", first);
        let host = text("x-forwarded-host").or_else(|| text("host")).map(first);
        let host = host.or_else(|| self.uri.authority().map(|authority| authority.as_str())).unwrap_or("");
        format!("{scheme}://{host}{}{query}", self.uri.path())
    }
}

/// How a signature is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Digest {
    /// HMAC-SHA-1.
    HmacSha1,
    /// HMAC-SHA-256.
    HmacSha256,
    /// HMAC-SHA-512.
    HmacSha512,
    /// SHA-256 of the key and then the rest.
    KeyedSha256,
}

/// Signatures whose body is still to come.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    /// The signing keys: one, or two while a key is being changed.
    pub(crate) keys: Vec<Vec<u8>>,
    /// How.
    pub(crate) digest: Digest,
    /// What stands before the body in what was signed.
    pub(crate) before: Vec<u8>,
    /// What stands after it.
    pub(crate) after: Vec<u8>,
    /// The signatures that the sender gave. One right one is enough: a sender who changes its key signs with both.
    pub(crate) candidates: Vec<Vec<u8>>,
}

impl Signed {
    /// HMAC-SHA-256 of the body alone, with keys that are text.
    pub(crate) fn body_only(keys: &[String], signature: Vec<u8>) -> Result<Self, Refusal> {
        let (before, after) = (Vec::new(), Vec::new());
        Ok(Self { keys: text_keys(keys)?, digest: Digest::HmacSha256, before, after, candidates: vec![signature] })
    }

    /// Compares in constant time.
    pub(crate) fn check(&self, body: &[u8]) -> Result<(), Refusal> {
        let mut right = false;
        for key in &self.keys {
            let expected = self.sign(key, body);
            for candidate in &self.candidates {
                right |= verify_slices_are_equal(candidate, &expected).is_ok();
            }
        }
        if right { Ok(()) } else { Err(Refusal::Mismatch) }
    }

    fn sign(&self, key: &[u8], body: &[u8]) -> Vec<u8> {
        let algorithm = match self.digest {
            Digest::HmacSha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Digest::HmacSha256 => hmac::HMAC_SHA256,
            Digest::HmacSha512 => hmac::HMAC_SHA512,
            Digest::KeyedSha256 => {
                let mut context = digest::Context::new(&digest::SHA256);
                [key, &self.before, body, &self.after].into_iter().for_each(|part| context.update(part));
                return context.finish().as_ref().to_vec();
            }
        };
        let mut context = hmac::Context::with_key(&hmac::Key::new(algorithm, key));
        [&self.before, body, &self.after].into_iter().for_each(|part| context.update(part));
        context.sign().as_ref().to_vec()
    }
}

/// What the body has still to prove.
#[derive(Clone, Debug)]
pub(crate) enum Check {
    /// Nothing: the headers proved all.
    Done,
    /// A signature over it.
    Signed(Signed),
    /// A signature, and a timestamp in it.
    Linear(Signed, Window),
    /// A signature over its fields, or its hash in the URL.
    Twilio(twilio::Signed),
    /// A shared text in each notification.
    ClientState(Vec<String>),
}

impl Check {
    /// Checks the body as it was sent.
    pub(crate) fn body(&self, body: &[u8]) -> Result<(), Refusal> {
        match self {
            Check::Done => Ok(()),
            Check::Signed(signed) => signed.check(body),
            Check::Linear(signed, window) => {
                signed.check(body)?;
                linear::check_time(body, *window)
            }
            Check::Twilio(signed) => signed.check(body),
            Check::ClientState(states) => microsoft_graph::check(states, body),
        }
    }
}

/// Text keys as bytes; an empty one is no key.
pub(crate) fn text_keys(keys: &[String]) -> Result<Vec<Vec<u8>>, Refusal> {
    if keys.iter().any(String::is_empty) {
        return Err(Refusal::BadKey);
    }
    Ok(keys.iter().map(|key| key.as_bytes().to_vec()).collect())
}

/// Whether two texts are equal, in a time that tells nothing of either: hashes are compared, which have one length.
pub(crate) fn same_text(given: &[u8], expected: &[u8]) -> bool {
    let hash = |text| digest::digest(&digest::SHA256, text);
    verify_slices_are_equal(hash(given).as_ref(), hash(expected).as_ref()).is_ok()
}

/// Whether `given` is one of `expected`, all of which are compared.
pub(crate) fn is_one_of<'e>(given: &[u8], expected: impl Iterator<Item = &'e [u8]>) -> bool {
    expected.fold(false, |found, expected| found | same_text(given, expected))
}

/// Why a webhook could not be verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A header that the scheme needs is not there.
    Missing(Cow<'static, str>),
    /// A header, or a field of the body, does not look as the scheme says.
    Malformed(Cow<'static, str>),
    /// The timestamp is outside the window.
    Expired(Window),
    /// No signature fits, or no shared secret.
    Mismatch,
    /// The trigger's secret is no key of this scheme.
    BadKey,
    /// The trigger's secret does not exist.
    NoKey,
    /// The access key is missing, unknown, expired, or not for this trigger.
    AccessKey,
}

impl Refusal {
    /// A header is not there.
    pub(crate) fn missing(name: &str) -> Self {
        Self::Missing(Cow::Owned(name.to_owned()))
    }

    /// A header or a field is not right.
    pub(crate) fn malformed(name: &str) -> Self {
        Self::Malformed(Cow::Owned(name.to_owned()))
    }

    /// The bounded label of metrics.
    pub(crate) const fn label(&self) -> &'static str {
        match self {
            Refusal::Missing(_) => "missing",
            Refusal::Malformed(_) => "malformed",
            Refusal::Expired(_) => "expired",
            Refusal::Mismatch => "mismatch",
            Refusal::BadKey | Refusal::NoKey => "key",
            Refusal::AccessKey => "access_key",
        }
    }

    /// What the sender is told: enough to repair its side, nothing about the key.
    pub(crate) fn detail(&self) -> String {
        match self {
            Refusal::Missing(header) => format!("The header {header} is missing."),
            Refusal::Malformed(part) => format!("{part} is not in the form that the scheme asks for."),
            Refusal::Expired(window) => {
                format!("The timestamp is more than {} seconds away from now. Check the sender's clock.", window.seconds())
            }
            Refusal::Mismatch => {
                "No signature fits. Check that both sides hold the same secret and that nothing between them changes the body."
                    .to_owned()
            }
            Refusal::BadKey => "The signing secret is not a key of this scheme. Its owner must set it.".to_owned(),
            Refusal::NoKey => "The signing secret does not exist. Its owner must create it.".to_owned(),
            Refusal::AccessKey => "The access key is missing, or not valid for this trigger and customer.".to_owned(),
        }
    }
}

/// A request for tests of the schemes.
#[cfg(test)]
pub(crate) struct Request {
    pub(crate) headers: HeaderMap,
    pub(crate) uri: Uri,
    pub(crate) now: Timestamp,
}

#[cfg(test)]
impl Request {
    pub(crate) fn at(seconds: i64, headers: &[(&str, &str)]) -> Self {
        let pair = |(name, value): &(&str, &str)| {
            let name = axum::http::HeaderName::from_bytes(name.as_bytes()).unwrap();
            (name, axum::http::HeaderValue::from_str(value).unwrap())
        };
        let headers = headers.iter().map(pair).collect();
        Self { headers, uri: Uri::from_static("/v1/webhooks/x"), now: Timestamp::from_millis(seconds * 1_000) }
    }

    pub(crate) fn to(mut self, uri: &str) -> Self {
        self.uri = uri.parse().unwrap();
        self
    }

    pub(crate) fn sent(&self) -> Sent<'_> {
        Sent { method: "POST", uri: &self.uri, headers: &self.headers, now: self.now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: of two keys either is good, and no other; both are tried whatever the first gave.
    #[test]
    fn two_keys() {
        let keys = ["old".to_owned(), "new".to_owned()];
        let sign = |key: &str| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), b"x").as_ref().to_vec();
        for (key, expected) in [("old", Ok(())), ("new", Ok(())), ("other", Err(Refusal::Mismatch))] {
            assert_eq!(Signed::body_only(&keys, sign(key)).unwrap().check(b"x"), expected, "{key}");
        }
        assert_eq!(Signed::body_only(&["".to_owned()], sign("")).unwrap_err(), Refusal::BadKey);
    }

    /// Property: the URL is the known one, else what a proxy says, else the host's, always with this request's query.
    #[test]
    fn urls() {
        let plain = Request::at(0, &[("host", "a.example:7400")]).to("/v1/webhooks/x?a=1&b=%20");
        assert_eq!(plain.sent().url(None), "http://a.example:7400/v1/webhooks/x?a=1&b=%20");
        assert_eq!(plain.sent().url(Some("https://b.example/h")), "https://b.example/h?a=1&b=%20");
        let headers = [("host", "inner"), ("x-forwarded-proto", "https, http"), ("x-forwarded-host", "b.example")];
        assert_eq!(Request::at(0, &headers).sent().url(None), "https://b.example/v1/webhooks/x");
    }
}
