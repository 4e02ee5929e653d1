//! The binary mode of the HTTP binding: attributes as `ce-` headers, the body is the data.

use std::borrow::Cow;

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use fastn_contract::error::Problem;
use percent_encoding::percent_decode_str;

use super::{Attributes, HEADER_PREFIX};
use crate::draft::Draft;
use crate::fields::{Complaints, FIELDS_MAX};
use crate::payload::{Media, data_of};
use crate::problem::invalid;

/// Reads the event that the headers and the body are.
///
/// # Errors
/// `VALIDATION_ERROR` with every part that breaks the specification, `PAYLOAD_TOO_LARGE`.
pub(crate) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Draft, Problem> {
    let mut complaints = Complaints::at(HEADER_PREFIX.to_owned());
    let mut attributes = Attributes::default();
    for (name, value) in headers {
        let Some(name) = name.as_str().strip_prefix(HEADER_PREFIX) else { continue };
        let Some(text) = decode(value) else {
            complaints.add(name, "is not percent-encoded UTF-8");
            continue;
        };
        let known = match name {
            "specversion" => &mut attributes.specversion,
            "id" => &mut attributes.id,
            "source" => &mut attributes.source,
            "type" => &mut attributes.kind,
            "subject" => &mut attributes.subject,
            "time" => &mut attributes.time,
            "dataschema" => &mut attributes.dataschema,
            _ if attributes.extensions.len() == FIELDS_MAX => {
                complaints.add(name, format!("is one extension more than {FIELDS_MAX}"));
                break;
            }
            _ => {
                attributes.extend(name, text.into_owned(), &mut complaints);
                continue;
            }
        };
        if known.replace(text).is_some() {
            complaints.add(name, "stands there twice");
        }
    }
    let draft = attributes.check(&mut complaints);
    if !complaints.errors.is_empty() {
        return Err(invalid(complaints.errors));
    }
    let media = Media::of(headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes));
    Ok(Draft { data: data_of(media, body, "body")?, ..draft })
}

/// A header's value: quotes off, then percent-decoding (HTTP binding, section 3.1.3.2).
fn decode(value: &HeaderValue) -> Option<Cow<'_, str>> {
    let text = std::str::from_utf8(value.as_bytes()).ok()?;
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    match inner {
        Some(inner) if inner.contains('\\') => {
            let plain = unescape(inner);
            percent_decode_str(&plain).decode_utf8().ok().map(|text| Cow::Owned(text.into_owned()))
        }
        Some(inner) => percent_decode_str(inner).decode_utf8().ok(),
        None => percent_decode_str(text).decode_utf8().ok(),
    }
}

/// A quoted string without its backslashes: each one makes the next character plain.
fn unescape(quoted: &str) -> String {
    let mut plain = String::with_capacity(quoted.len());
    let mut characters = quoted.chars();
    while let Some(c) = characters.next() {
        plain.extend(if c == '\\' { characters.next() } else { Some(c) });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: header values are decoded as the HTTP binding says, and what is no UTF-8 is refused.
    #[test]
    fn header_values() {
        let decode = |text: &'static str| decode(&HeaderValue::from_static(text)).map(Cow::into_owned);
        assert_eq!(decode("Euro%20%E2%82%AC%20%F0%9F%98%80").unwrap(), "Euro € 😀");
        assert_eq!(decode("\"a\\\"b%20c\"").unwrap(), "a\"b c");
        assert_eq!(decode("100%").unwrap(), "100%");
        assert_eq!(decode("%ff"), None);
    }
}
