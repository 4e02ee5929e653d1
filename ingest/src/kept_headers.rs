//! Which headers of a request stay with its event, and the trace context that does.
//!
//! A workflow reads the rest as `ctx.headers`, and they are stored and shown. So whatever may be a credential goes: it is
//! better to lose a harmless header whose name sounds like one than to keep a token.

use axum::http::HeaderMap;
use axum::http::header::CONNECTION;
use fastn_contract::error::Problem;
use fastn_contract::verification::{HmacScheme, Verification};
use fastn_domain::event::{Header, SEALED_HEADER};
use fastn_domain::span::TRACESTATE_BYTES_MAX;

use crate::problem::invalid_part;

/// Most headers that one event keeps.
pub const KEPT_HEADERS_MAX: usize = 64;
/// Most bytes of the names and values that one event keeps.
pub const KEPT_HEADER_BYTES_MAX: usize = 16 * 1024;

/// Parts of names that mark a credential.
const CREDENTIAL_PARTS: [&str; 11] = [
    "authorization",
    "cookie",
    "token",
    "secret",
    "signature",
    "password",
    "api-key",
    "apikey",
    "access-key",
    "hmac",
    "credential",
];

/// Headers about the connection or the transfer, not about the event (RFC 9110 section 7.6.1), and those that the event
/// holds elsewhere.
const TRANSFER: [&str; 15] = [
    "connection",
    "content-encoding",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "traceparent",
    "transfer-encoding",
    "upgrade",
    "via",
    "www-authenticate",
];

/// The headers to keep, in the order of arrival. A value that is not text is left out, and so is what the scheme of the
/// webhook says is proof.
///
/// # Errors
/// `VALIDATION_ERROR` when there is more to keep than [`KEPT_HEADERS_MAX`] and [`KEPT_HEADER_BYTES_MAX`] allow.
pub(crate) fn kept(headers: &HeaderMap, verification: &Verification) -> Result<Vec<Header>, Problem> {
    let named_by_connection = headers.get(CONNECTION).and_then(|value| value.to_str().ok()).unwrap_or("");
    let mut kept = Vec::with_capacity(headers.len().min(KEPT_HEADERS_MAX));
    let mut bytes = 0;
    for (name, value) in headers {
        let name = name.as_str();
        let hop = named_by_connection.split(',').any(|hop| hop.trim().eq_ignore_ascii_case(name));
        if hop || is_left_out(name) || is_proof(name, verification) {
            continue;
        }
        let Ok(value) = value.to_str() else { continue };
        bytes += name.len() + value.len();
        if kept.len() == KEPT_HEADERS_MAX || bytes > KEPT_HEADER_BYTES_MAX {
            let message = format!("are more than {KEPT_HEADERS_MAX} or {KEPT_HEADER_BYTES_MAX} bytes; send fewer");
            return Err(invalid_part("headers", message));
        }
        kept.push(Header { name: name.to_owned(), value: value.to_owned() });
    }
    Ok(kept)
}

fn is_left_out(name: &str) -> bool {
    TRANSFER.contains(&name) || name == SEALED_HEADER || CREDENTIAL_PARTS.iter().any(|part| name.contains(part))
}

/// Whether a scheme that names its own headers names this one for its proof.
fn is_proof(name: &str, verification: &Verification) -> bool {
    match verification {
        Verification::Token { header, .. }
        | Verification::ClientCertificate { header, .. }
        | Verification::Hmac(HmacScheme { header, .. }) => name.eq_ignore_ascii_case(header),
        _ => false,
    }
}

/// The W3C trace context of the request, if it is valid. An invalid one is ignored, as the recommendation asks.
pub(crate) fn traceparent(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("traceparent")?.to_str().ok()?;
    is_traceparent(text).then(|| text.to_owned())
}

/// `tracestate`, which means something only beside a valid `traceparent`. One that is longer than what every hop must be
/// able to pass on is dropped whole, as the recommendation allows.
pub(crate) fn tracestate(headers: &HeaderMap) -> Option<String> {
    traceparent(headers)?;
    let text = headers.get("tracestate")?.to_str().ok()?;
    (!text.is_empty() && text.len() <= TRACESTATE_BYTES_MAX).then(|| text.to_owned())
}

/// W3C Trace Context, section 3.2.2: version, trace id, parent id and flags in lower-case hex; later versions may be longer.
pub(crate) fn is_traceparent(text: &str) -> bool {
    let hex = |part: &str| part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let zero = |part: &str| part.bytes().all(|b| b == b'0');
    if !text.is_ascii() || text.len() < 55 || text.len() > 256 {
        return false;
    }
    let (version, trace, parent, flags) = (&text[..2], &text[3..35], &text[36..52], &text[53..55]);
    let dashes = [2, 35, 52].iter().all(|&at| text.as_bytes()[at] == b'-');
    let ends = if version == "00" { text.len() == 55 } else { text.len() == 55 || text.as_bytes()[55] == b'-' };
    dashes
        && ends
        && version != "ff"
        && [version, trace, parent, flags].into_iter().all(hex)
        && !zero(trace)
        && !zero(parent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderName;
    use axum::http::HeaderValue;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    fn kept_of(headers: &HeaderMap) -> Result<Vec<Header>, Problem> {
        kept(headers, &Verification::Public)
    }

    /// Property: no credential and no hop-by-hop header stays with an event; the rest does, in order.
    #[test]
    fn credentials_and_hops_go() {
        let kept = kept_of(&headers(&[
            ("Authorization", "x"),
            ("Cookie", "x"),
            ("x-fastn-access-key", "x"),
            ("X-Hub-Signature-256", "x"),
            ("x-hub-signature", "x"),
            ("webhook-signature", "x"),
            ("proxy-authorization", "x"),
            ("x-gitlab-token", "x"),
            ("x-shopify-hmac-sha256", "x"),
            ("Connection", "close, X-Hop"),
            ("x-hop", "x"),
            ("content-length", "1"),
            ("X-GitHub-Event", "issues"),
            ("content-type", "application/json"),
            ("idempotency-key", "k"),
        ]))
        .unwrap();
        let names: Vec<&str> = kept.iter().map(|header| header.name.as_str()).collect();
        assert_eq!(names, ["x-github-event", "content-type", "idempotency-key"]);
    }

    /// Property: a header of one's own choice that proves the sender goes, too.
    #[test]
    fn own_proof_goes() {
        let token = serde_json::json!({"scheme": "token", "header": "X-Door", "secret": "S"});
        let hmac = serde_json::json!({"scheme": "hmac", "header": "X-Door", "secret": "S"});
        let certificate = serde_json::json!({"scheme": "clientCertificate", "header": "X-Door", "allowed": ["a"]});
        let headers = headers(&[("x-door", "x"), ("x-window", "x")]);
        for verification in [token, hmac, certificate] {
            let kept = kept(&headers, &serde_json::from_value(verification).unwrap()).unwrap();
            assert_eq!(kept.iter().map(|header| header.name.as_str()).collect::<Vec<_>>(), ["x-window"]);
        }
    }

    /// Property: an event never keeps more headers, or more bytes of them, than the limits.
    #[test]
    fn count_and_size_are_limited() {
        let many: Vec<String> = (0..=KEPT_HEADERS_MAX).map(|at| format!("x-{at}")).collect();
        let pairs: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "v")).collect();
        assert_eq!(kept_of(&headers(&pairs[1..])).unwrap().len(), KEPT_HEADERS_MAX);
        assert!(kept_of(&headers(&pairs)).is_err());
        assert!(kept_of(&headers(&[("x-long", &"v".repeat(KEPT_HEADER_BYTES_MAX))])).is_err());
    }

    /// Property: a trace context is taken exactly when the recommendation calls it valid.
    #[test]
    fn trace_contexts() {
        let valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(is_traceparent(valid));
        assert!(is_traceparent(&valid.replacen("00", "cc", 1)) && is_traceparent(&format!("cc{}-more", &valid[2..])));
        for bad in [
            "",
            "00",
            &valid.to_uppercase(),
            &format!("{valid}-more"),
            &valid.replacen("00", "ff", 1),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            &valid.replace('-', "_"),
            &valid[..54],
        ] {
            assert!(!is_traceparent(bad), "{bad}");
        }
    }
}
