//! What becomes an event's data: JSON text, whatever the body was.
//!
//! | body                                       | data                                                      |
//! |--------------------------------------------|-----------------------------------------------------------|
//! | JSON (`application/json`, `…+json`)        | as it was sent, byte for byte                             |
//! | form, one field `payload` that holds JSON  | that JSON (GitHub and Slack send so)                      |
//! | any other form                             | an object of strings; a repeated field is an array        |
//! | text (`text/…`, XML, YAML, NDJSON)         | a string                                                  |
//! | no media type                              | JSON if it is JSON, else a string                         |
//! | anything else, and text that is not UTF-8  | `{"base64": "…"}`                                         |
//! | nothing                                    | `null`                                                    |

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use fastn_contract::error::Problem;
use fastn_domain::event::EVENT_DATA_BYTES_MAX;
use serde_json::Value;

use crate::body::too_large;
use crate::json;
use crate::problem::invalid_part;

/// Most fields of a form.
pub(crate) const FORM_FIELDS_MAX: usize = 1_000;

/// What a media type says about a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Media {
    /// There is none.
    Absent,
    /// JSON.
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// Text of any other kind.
    Text,
    /// One CloudEvent in JSON.
    CloudEvent,
    /// A JSON array of CloudEvents.
    CloudEventBatch,
    /// CloudEvents in another format than JSON.
    CloudEventOther,
    /// Bytes.
    Binary,
}

impl Media {
    /// Reads a media type; its parameters do not matter here.
    pub(crate) fn of(media_type: Option<&[u8]>) -> Self {
        let Some(media_type) = media_type.and_then(|bytes| std::str::from_utf8(bytes).ok()) else {
            return Self::Absent;
        };
        let essence = media_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        match essence.as_str() {
            "" => Self::Absent,
            "application/json" | "text/json" => Self::Json,
            "application/x-www-form-urlencoded" => Self::Form,
            "application/cloudevents" | "application/cloudevents+json" => Self::CloudEvent,
            "application/cloudevents-batch" | "application/cloudevents-batch+json" => Self::CloudEventBatch,
            "application/xml" | "application/yaml" | "application/x-yaml" | "application/x-ndjson" => Self::Text,
            other if other.starts_with("application/cloudevents") => Self::CloudEventOther,
            other if other.starts_with("text/") || other.ends_with("+xml") || other.ends_with("+yaml") => Self::Text,
            other if other.ends_with("+json") => Self::Json,
            _ => Self::Binary,
        }
    }
}

/// The data of an event whose payload is `body`.
///
/// # Errors
/// `VALIDATION_ERROR` naming `path` for a body that is not what its media type says, `PAYLOAD_TOO_LARGE` when the data is
/// larger than an event takes.
pub(crate) fn data_of(media: Media, body: &[u8], path: &str) -> Result<Arc<str>, Problem> {
    if body.is_empty() {
        return Ok(Arc::from("null"));
    }
    let text = std::str::from_utf8(body);
    let data: Arc<str> = match (media, text) {
        (Media::Json | Media::CloudEvent | Media::CloudEventBatch, Ok(text)) => {
            json::check(text).map_err(|error| invalid_part(path, format!("is not valid JSON: {error}")))?;
            Arc::from(text)
        }
        (Media::Json | Media::CloudEvent | Media::CloudEventBatch, Err(_)) => {
            return Err(invalid_part(path, "is not valid JSON: it is not UTF-8"));
        }
        (Media::Form, _) => form(body, path)?,
        (Media::Absent, Ok(text)) if json::check(text).is_ok() => Arc::from(text),
        (Media::Absent | Media::Text, Ok(text)) => Value::from(text).to_string().into(),
        (Media::Absent | Media::Text | Media::Binary | Media::CloudEventOther, _) => {
            format!("{{\"base64\":\"{}\"}}", BASE64_STANDARD.encode(body)).into()
        }
    };
    within_limit(data)
}

/// `data`, unless it is larger than an event takes.
pub(crate) fn within_limit(data: Arc<str>) -> Result<Arc<str>, Problem> {
    if data.len() > EVENT_DATA_BYTES_MAX { Err(too_large(EVENT_DATA_BYTES_MAX)) } else { Ok(data) }
}

fn form(body: &[u8], path: &str) -> Result<Arc<str>, Problem> {
    let mut fields: BTreeMap<String, Value> = BTreeMap::new();
    for (at, (name, value)) in form_urlencoded::parse(body).enumerate() {
        if at == FORM_FIELDS_MAX {
            return Err(invalid_part(path, format!("is a form of more than {FORM_FIELDS_MAX} fields")));
        }
        let value = Value::from(value.into_owned());
        match fields.get_mut(name.as_ref()) {
            None => drop(fields.insert(name.into_owned(), value)),
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    if let (1, Some(Value::String(payload))) = (fields.len(), fields.get("payload"))
        && json::check(payload).is_ok()
    {
        return Ok(Arc::from(payload.as_str()));
    }
    let text = serde_json::to_string(&fields).expect("a map of texts is JSON");
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn data(media_type: &str, body: &[u8]) -> Result<String, Problem> {
        let media = Media::of((!media_type.is_empty()).then_some(media_type.as_bytes()));
        data_of(media, body, "body").map(|data| data.to_string())
    }

    /// Property: each kind of body becomes the data that the table above says.
    #[test]
    fn every_kind_of_body() {
        for (media_type, body, expected) in [
            ("application/json; charset=utf-8", b" {\"b\":1.0, \"a\":2}\n".as_slice(), " {\"b\":1.0, \"a\":2}\n"),
            ("application/vnd.github.v3+json", b"[1]", "[1]"),
            ("application/x-www-form-urlencoded", b"a=1&b=x+y&a=%C3%A9", r#"{"a":["1","é"],"b":"x y"}"#),
            ("application/x-www-form-urlencoded", b"payload=%7B%22n%22%3A1%7D", r#"{"n":1}"#),
            ("application/x-www-form-urlencoded", b"payload=hello", r#"{"payload":"hello"}"#),
            ("application/x-www-form-urlencoded", b"payload=1&x=2", r#"{"payload":"1","x":"2"}"#),
            ("text/plain", b"{\"a\":1}", r#""{\"a\":1}""#),
            ("application/atom+xml", b"<a/>", r#""<a/>""#),
            ("text/plain", b"\xff\xfe", r#"{"base64":"//4="}"#),
            ("image/png", b"abc", r#"{"base64":"YWJj"}"#),
            ("", b"{\"a\":1}", r#"{"a":1}"#),
            ("", b"hello", r#""hello""#),
            ("", b"\xff", r#"{"base64":"/w=="}"#),
            ("application/json", b"", "null"),
        ] {
            assert_eq!(data(media_type, body).unwrap(), expected, "{media_type} {body:?}");
        }
    }

    /// Property: a body that is not what its media type says, or becomes too large as data, is refused.
    #[test]
    fn refuses_what_does_not_fit() {
        assert!(data("application/json", b"{").is_err());
        assert!(data("application/json", b"\"\xff\"").is_err());
        assert!(data("text/plain", &vec![1u8; EVENT_DATA_BYTES_MAX / 6 + 1]).is_err());
        assert!(data("image/png", &vec![1u8; EVENT_DATA_BYTES_MAX]).is_err());
        assert!(data("application/x-www-form-urlencoded", "a&".repeat(FORM_FIELDS_MAX + 1).as_bytes()).is_err());
    }

    proptest! {
        /// Property: whatever the bytes, the data is JSON that every later reader can read.
        #[test]
        fn data_is_always_json(
            media_type in prop_oneof![
                Just("application/json"), Just("application/x-www-form-urlencoded"), Just("text/plain"),
                Just("image/png"), Just("")
            ],
            body in prop_oneof![proptest::collection::vec(any::<u8>(), 0..64), "[\\[\\]{}\":0-9a=&%+]{0,32}".prop_map(String::into_bytes)],
        ) {
            if let Ok(data) = data(media_type, &body) {
                prop_assert!(serde_json::from_str::<Value>(&data).is_ok(), "{}", data);
            }
        }
    }
}
