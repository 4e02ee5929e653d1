//! A shared token in a header, e.g. GitLab's `X-Gitlab-Token`.

use super::{Refusal, Sent, is_one_of, text_keys};

/// Compares the header with the tokens.
pub(crate) fn check(header: &str, prefix: &str, tokens: &[String], sent: Sent<'_>) -> Result<(), Refusal> {
    let tokens = text_keys(tokens)?;
    let given = sent.header(header)?.strip_prefix(prefix).ok_or_else(|| Refusal::malformed(header))?;
    match is_one_of(given.as_bytes(), tokens.iter().map(Vec::as_slice)) {
        true => Ok(()),
        false => Err(Refusal::Mismatch),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Request;
    use super::*;

    /// Property: either token passes behind its prefix, and nothing else.
    #[test]
    fn either_token() {
        let try_one = |value: &str| {
            let tokens = ["one".to_owned(), "two".to_owned()];
            check("X-Token", "Bearer ", &tokens, Request::at(0, &[("x-token", value)]).sent())
        };
        assert_eq!((try_one("Bearer one"), try_one("Bearer two")), (Ok(()), Ok(())));
        assert_eq!((try_one("Bearer three"), try_one("Bearer ")), (Err(Refusal::Mismatch), Err(Refusal::Mismatch)));
        assert_eq!(try_one("one"), Err(Refusal::malformed("X-Token")));
        let empty = check("X-Token", "", &[String::new()], Request::at(0, &[("x-token", "x")]).sent());
        assert_eq!(empty, Err(Refusal::BadKey));
    }
}
