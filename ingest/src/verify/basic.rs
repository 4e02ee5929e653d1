//! HTTP Basic (RFC 7617).

use super::{Refusal, Sent, encoding, is_one_of, same_text, text_keys};

const AUTHORIZATION: &str = "authorization";

/// Compares user name and password.
pub(crate) fn check(username: &str, passwords: &[String], sent: Sent<'_>) -> Result<(), Refusal> {
    let passwords = text_keys(passwords)?;
    let (scheme, encoded) = sent.header(AUTHORIZATION)?.split_once(' ').ok_or(Refusal::malformed(AUTHORIZATION))?;
    let decoded = encoding::base64(encoded.trim()).filter(|_| scheme.eq_ignore_ascii_case("basic"));
    let decoded = decoded.ok_or(Refusal::malformed(AUTHORIZATION))?;
    let colon = decoded.iter().position(|byte| *byte == b':').ok_or(Refusal::malformed(AUTHORIZATION))?;
    let (user, password) = (&decoded[..colon], &decoded[colon + 1..]);
    let right = same_text(user, username.as_bytes()) & is_one_of(password, passwords.iter().map(Vec::as_slice));
    if right { Ok(()) } else { Err(Refusal::Mismatch) }
}

#[cfg(test)]
mod tests {
    use super::super::Request;
    use super::*;

    /// Property: the example of RFC 7617 passes, a password may hold colons, and what differs or is malformed does not.
    #[test]
    fn standard_example() {
        let try_one = |value: &str, passwords: &[&str]| {
            let passwords: Vec<String> = passwords.iter().map(|&text| text.to_owned()).collect();
            check("Aladdin", &passwords, Request::at(0, &[(AUTHORIZATION, value)]).sent())
        };
        assert_eq!(try_one("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", &["x", "open sesame"]), Ok(()));
        assert_eq!(try_one("basic QWxhZGRpbjphOmI=", &["a:b"]), Ok(()));
        assert_eq!(try_one("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", &["open"]), Err(Refusal::Mismatch));
        for bad in ["Bearer QWxhZGRpbjphOmI=", "Basic", "Basic !", "Basic QWxhZGRpbg=="] {
            assert_eq!(try_one(bad, &["x"]), Err(Refusal::malformed(AUTHORIZATION)), "{bad}");
        }
    }
}
