//! A client certificate whose holder a proxy has proven by mTLS; it says in a header which one it was.
//!
//! fastn cannot tell who set the header. So this is for a server that is reached through the proxy alone, and a proxy that
//! removes the header from what clients send.

use super::{Refusal, Sent, is_one_of};

/// Compares the header with the certificates that are good.
pub(crate) fn check(header: &str, allowed: &[String], sent: Sent<'_>) -> Result<(), Refusal> {
    // A second value may be a client's own.
    if sent.headers.get_all(header).iter().count() > 1 {
        return Err(Refusal::malformed(header));
    }
    let given = normal(sent.header(header)?);
    let allowed: Vec<String> = allowed.iter().map(|text| normal(text)).collect();
    match is_one_of(given.as_bytes(), allowed.iter().map(String::as_bytes)) {
        true => Ok(()),
        false => Err(Refusal::Mismatch),
    }
}

/// Fingerprints without colons and in lower case, since every tool writes them differently; subjects as they are.
fn normal(text: &str) -> String {
    let text = text.trim();
    let digits: String = text.chars().filter(|&c| c != ':').collect();
    // The hashes that fingerprints are made with: SHA-1, SHA-256, SHA-384, SHA-512.
    let is_fingerprint = [40, 64, 96, 128].contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    if is_fingerprint { digits.to_ascii_lowercase() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::Request;
    use super::*;

    /// Property: a fingerprint passes in whatever notation, a subject only as it stands, and two values never.
    #[test]
    fn fingerprints_and_subjects() {
        let fingerprint = "3a".repeat(32);
        let colons = vec!["3A"; 32].join(":");
        let allowed = [fingerprint.clone(), "CN=sender,O=Example".to_owned()];
        let try_all = |values: &[&str]| {
            let headers: Vec<(&str, &str)> = values.iter().map(|value| ("x-cert", *value)).collect();
            check("X-Cert", &allowed, Request::at(0, &headers).sent())
        };
        for good in [fingerprint.as_str(), &colons, "CN=sender,O=Example"] {
            assert_eq!(try_all(&[good]), Ok(()), "{good}");
        }
        for bad in ["cn=sender,o=example", &"3b".repeat(32), "CN=sender"] {
            assert_eq!(try_all(&[bad]), Err(Refusal::Mismatch), "{bad}");
        }
        assert_eq!(try_all(&[]), Err(Refusal::missing("X-Cert")));
    }
}
