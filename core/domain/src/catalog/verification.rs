//! What a verification must be to be usable.

use fastn_contract::verification::{HmacScheme, SecretNames, Verification};

use crate::signed_text::{self, Piece};

/// Largest tolerance of a timestamp: a day.
const TOLERANCE_SECONDS_MAX: u32 = 86_400;
/// Most certificates of one webhook.
const CERTIFICATES_MAX: usize = 16;
/// Longest name, prefix or value of a header here.
const HEADER_BYTES_MAX: usize = 256;

/// Complains about every part of `verification` that is not valid; `path` is where it stands in the body.
pub(super) fn check(path: &str, verification: &Verification, complain: &mut impl FnMut(&str, String)) {
    let mut part = |name: &str, message: String| complain(&format!("{path}.{name}"), message);
    for names in verification.secrets() {
        check_secrets(names, &mut part);
    }
    if verification.tolerance_seconds().is_some_and(|seconds| seconds == 0 || seconds > TOLERANCE_SECONDS_MAX) {
        part("toleranceSeconds", format!("must be 1 to {TOLERANCE_SECONDS_MAX}"));
    }
    match verification {
        Verification::Hubspot { url, .. } | Verification::Twilio { url, .. } => {
            let sound = |url: &str| {
                let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
                rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(['?', '#', ' ']) && url.is_ascii())
            };
            if url.as_deref().is_some_and(|url| !sound(url)) {
                part("url", "must be the whole http or https URL, without a query".to_owned());
            }
        }
        Verification::Hmac(scheme) => check_hmac(scheme, &mut part),
        Verification::Token { header, prefix, .. } => {
            check_header("header", header, &mut part);
            check_text("prefix", prefix, &mut part);
        }
        Verification::Basic { username, .. } => {
            if username.is_empty() || username.contains(':') || username.len() > HEADER_BYTES_MAX {
                part("username", format!("must be 1 to {HEADER_BYTES_MAX} bytes without a colon"));
            }
        }
        Verification::ClientCertificate { header, allowed } => {
            check_header("header", header, &mut part);
            let sound = |value: &String| !value.trim().is_empty() && value.len() <= 4 * HEADER_BYTES_MAX;
            if allowed.is_empty() || allowed.len() > CERTIFICATES_MAX || !allowed.iter().all(sound) {
                part("allowed", format!("must name 1 to {CERTIFICATES_MAX} fingerprints or subjects"));
            }
        }
        _ => {}
    }
}

fn check_secrets(names: &SecretNames, part: &mut impl FnMut(&str, String)) {
    let names = names.names();
    if names.iter().any(String::is_empty) {
        part("secret", "name the secret that holds the key".to_owned());
    } else if names.len() == 2 && names[0] == names[1] {
        part("secret", "two names stand for two secrets; one is enough here".to_owned());
    }
}

fn check_hmac(scheme: &HmacScheme, part: &mut impl FnMut(&str, String)) {
    check_header("header", &scheme.header, part);
    check_text("prefix", &scheme.prefix, part);
    for (name, header) in [("timestampHeader", &scheme.timestamp_header), ("idHeader", &scheme.id_header)] {
        if let Some(header) = header {
            check_header(name, header, part);
        }
    }
    let pieces = match signed_text::parse(&scheme.payload) {
        Ok(pieces) => pieces,
        Err(message) => return part("payload", message),
    };
    let signs_time = pieces.contains(&Piece::Timestamp);
    match (&scheme.timestamp_header, signs_time) {
        (Some(_), false) => {
            part("payload", "must hold {timestamp}: a time that is not signed proves nothing".to_owned())
        }
        (None, true) => part("timestampHeader", "is needed for {timestamp} in the payload".to_owned()),
        (None, false) if scheme.tolerance_seconds.is_some() => {
            part("toleranceSeconds", "needs a timestampHeader".to_owned());
        }
        _ => {}
    }
    if pieces.contains(&Piece::Id) && scheme.id_header.is_none() {
        part("idHeader", "is needed for {id} in the payload".to_owned());
    }
}

/// RFC 9110 section 5.6.2: a token.
fn check_header(name: &str, header: &str, part: &mut impl FnMut(&str, String)) {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if header.is_empty() || header.len() > HEADER_BYTES_MAX || !header.bytes().all(token) {
        part(name, "must be the name of a header".to_owned());
    }
}

fn check_text(name: &str, text: &str, part: &mut impl FnMut(&str, String)) {
    if text.len() > HEADER_BYTES_MAX || !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        part(name, format!("must be at most {HEADER_BYTES_MAX} printable ASCII characters"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn paths(verification: Value) -> Vec<String> {
        let verification: Verification = serde_json::from_value(verification).unwrap();
        let mut paths = Vec::new();
        check("v", &verification, &mut |path, _| paths.push(path.to_owned()));
        paths
    }

    /// Property: every scheme takes what it is documented with, and names the part that is not usable.
    #[test]
    fn every_scheme() {
        for good in [
            json!({"scheme": "accessKey"}),
            json!({"scheme": "github", "secret": ["A", "B"]}),
            json!({"scheme": "hubspot", "secret": "A", "version": "v1", "url": "https://x.example/v1/webhooks/a"}),
            json!({"scheme": "meta", "secret": "A", "verifyToken": "B"}),
            json!({"scheme": "microsoftGraph", "clientState": "A"}),
            json!({"scheme": "hmac", "secret": "A", "header": "X-Sig", "payload": "{timestamp}.{body}",
                "timestampHeader": "X-Time", "toleranceSeconds": 60}),
            json!({"scheme": "token", "secret": "A", "header": "Authorization", "prefix": "Bearer "}),
            json!({"scheme": "clientCertificate", "header": "X-Cert", "allowed": ["AB:CD"]}),
        ] {
            assert_eq!(paths(good.clone()), Vec::<String>::new(), "{good}");
        }
        for (bad, path) in [
            (json!({"scheme": "github", "secret": ""}), "v.secret"),
            (json!({"scheme": "github", "secret": ["A", "A"]}), "v.secret"),
            (json!({"scheme": "stripe", "secret": "A", "toleranceSeconds": 0}), "v.toleranceSeconds"),
            (json!({"scheme": "twilio", "secret": "A", "url": "x.example/a"}), "v.url"),
            (json!({"scheme": "hmac", "secret": "A", "header": "a b"}), "v.header"),
            (json!({"scheme": "hmac", "secret": "A", "header": "a", "payload": "x"}), "v.payload"),
            (json!({"scheme": "hmac", "secret": "A", "header": "a", "timestampHeader": "t"}), "v.payload"),
            (
                json!({"scheme": "hmac", "secret": "A", "header": "a", "payload": "{timestamp}{body}"}),
                "v.timestampHeader",
            ),
            (json!({"scheme": "hmac", "secret": "A", "header": "a", "payload": "{id}{body}"}), "v.idHeader"),
            (json!({"scheme": "hmac", "secret": "A", "header": "a", "toleranceSeconds": 5}), "v.toleranceSeconds"),
            (json!({"scheme": "basic", "secret": "A", "username": "a:b"}), "v.username"),
            (json!({"scheme": "token", "secret": "A", "header": "a", "prefix": "\n"}), "v.prefix"),
            (json!({"scheme": "clientCertificate", "header": "a", "allowed": []}), "v.allowed"),
        ] {
            assert_eq!(paths(bad.clone()), [path], "{bad}");
        }
    }
}
