//! The secret values that an execution has received, taken out of everything that is shown.

use std::fmt;

use url::form_urlencoded;

use super::op::JsonText;

/// Shorter values are not looked for: they would blank out half of every text.
pub const SECRET_CHARS_MIN: usize = 4;
const MASK: &str = "***";

/// Values to take out, each in the forms that it may be written in.
#[derive(Default)]
pub(crate) struct Secrets {
    needles: Vec<String>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.needles.len())
    }
}

impl Secrets {
    pub(crate) fn is_empty(&self) -> bool {
        self.needles.is_empty()
    }

    /// Remembers the result of a secret request, a JSON string; anything else is remembered as its text.
    pub(crate) fn learn(&mut self, json: &str) {
        let value = serde_json::from_str::<String>(json).unwrap_or_else(|_| json.to_owned());
        if value == "null" || value.chars().count() < SECRET_CHARS_MIN {
            return;
        }
        let in_json = escaped(&value);
        let in_json_in_json = escaped(&in_json);
        let in_url: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
        for needle in [value, in_json, in_json_in_json, in_url] {
            if !needle.is_empty() && !self.needles.contains(&needle) {
                self.needles.push(needle);
            }
        }
        self.needles.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
    }

    /// `text` with every secret replaced.
    pub(crate) fn scrub(&self, mut text: String) -> String {
        for needle in &self.needles {
            if text.contains(needle.as_str()) {
                text = text.replace(needle.as_str(), MASK);
            }
        }
        text
    }

    /// As `scrub`; if a secret is no part of a string, the whole document is replaced.
    pub(crate) fn scrub_json(&self, json: JsonText) -> JsonText {
        if !self.needles.iter().any(|needle| json.as_str().contains(needle.as_str())) {
            return json;
        }
        JsonText::new(self.scrub(json.as_str().to_owned()))
            .or_else(|_| JsonText::new(format!("\"{MASK}\"")))
            .unwrap_or(json)
    }
}

/// `text` as it stands between the quotes of a JSON string.
fn escaped(text: &str) -> String {
    let quoted = serde_json::to_string(text).unwrap_or_default();
    quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(&quoted).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: a secret is found as it is, inside JSON, and inside a URL; what is left is JSON again.
    #[test]
    fn every_form_is_masked() {
        let mut secrets = Secrets::default();
        secrets.learn(r#""s3cr\"t/&=ü""#);
        secrets.learn("123456");
        for text in [
            r#"key s3cr"t/&=ü."#,
            r#"{"k":"s3cr\"t/&=ü"}"#,
            r#"{"body":"{\"k\":\"s3cr\\\"t/&=ü\"}"}"#,
            "?k=s3cr%22t%2F%26%3D%C3%BC",
        ] {
            assert!(!secrets.scrub(text.into()).contains("s3cr"), "{text}");
        }
        let number = JsonText::new(r#"{"pin":123456}"#.into()).unwrap();
        assert_eq!(secrets.scrub_json(number).as_str(), "\"***\"");
    }
}
