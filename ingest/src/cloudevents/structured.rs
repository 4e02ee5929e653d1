//! The JSON format: one event as an object, attributes and data side by side.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use fastn_contract::error::Problem;
use fastn_domain::event::EVENT_DATA_BYTES_MAX;
use serde_json::value::RawValue;

use super::{Attributes, is_media_type};
use crate::body::too_large;
use crate::draft::{self, ATTRIBUTE_BYTES_MAX, Draft};
use crate::fields::{self, Complaints, Fields};
use crate::json;
use crate::payload::{Media, data_of};
use crate::problem::invalid;

/// Reads one event. `prefix` names it in errors, e.g. `events[3].`.
///
/// # Errors
/// `VALIDATION_ERROR` with every part that breaks the specification, `PAYLOAD_TOO_LARGE`.
pub(crate) fn read(text: &str, prefix: String) -> Result<Draft, Problem> {
    let mut complaints = Complaints::at(prefix);
    let mut fields = match Fields::read(text) {
        Ok(fields) => fields,
        Err(message) => {
            complaints.add("", format!("is no CloudEvent in JSON: {message}"));
            return Err(invalid(complaints.errors));
        }
    };
    let attributes = Attributes {
        specversion: fields.take_text("specversion", &mut complaints),
        id: fields.take_text("id", &mut complaints),
        source: fields.take_text("source", &mut complaints),
        kind: fields.take_text("type", &mut complaints),
        subject: fields.take_text("subject", &mut complaints),
        time: fields.take_text("time", &mut complaints),
        dataschema: fields.take_text("dataschema", &mut complaints),
        extensions: Vec::new(),
    };
    let media_type = fields.take_text("datacontenttype", &mut complaints);
    let media_type = draft::optional("datacontenttype", media_type, ATTRIBUTE_BYTES_MAX, &mut complaints);
    if media_type.as_deref().is_some_and(|text| !is_media_type(text)) {
        complaints.add("datacontenttype", "must be a media type, e.g. application/json");
    }
    let data = data(&mut fields, media_type.as_deref(), &mut complaints)?;
    let attributes = extensions(attributes, fields, &mut complaints);
    let draft = attributes.check(&mut complaints);
    if complaints.errors.is_empty() { Ok(Draft { data, ..draft }) } else { Err(invalid(complaints.errors)) }
}

/// The payload. `data` is JSON as it stands, whatever the media type; `data_base64` becomes what the same bytes would
/// have become as a body of that media type.
fn data(fields: &mut Fields<'_>, media_type: Option<&str>, complaints: &mut Complaints) -> Result<Arc<str>, Problem> {
    let (plain, encoded) = (fields.take("data"), fields.take_text("data_base64", complaints));
    match (plain, encoded) {
        (Some(_), Some(_)) => {
            complaints.add("data_base64", "stands beside data; an event has one of them");
            Ok(Arc::from("null"))
        }
        (Some(data), None) => checked(data, complaints),
        (None, Some(encoded)) => from_base64(&encoded, media_type, complaints),
        (None, None) => Ok(Arc::from("null")),
    }
}

/// `data` as text, once it is known to be readable.
pub(crate) fn checked(data: &RawValue, complaints: &mut Complaints) -> Result<Arc<str>, Problem> {
    let text = data.get();
    if text.len() > EVENT_DATA_BYTES_MAX {
        return Err(too_large(EVENT_DATA_BYTES_MAX));
    }
    if let Err(error) = json::check(text) {
        complaints.add("data", format!("is not valid JSON: {error}"));
    }
    Ok(Arc::from(text))
}

fn from_base64(encoded: &str, media_type: Option<&str>, complaints: &mut Complaints) -> Result<Arc<str>, Problem> {
    let Ok(bytes) = BASE64_STANDARD.decode(encoded.as_bytes()) else {
        complaints.add("data_base64", "is not base64 with the standard alphabet and padding");
        return Ok(Arc::from("null"));
    };
    match data_of(Media::of(media_type.map(str::as_bytes)), &bytes, "data_base64") {
        Err(problem) if problem.errors.is_empty() => Err(problem),
        Err(problem) => {
            let message = problem.errors.into_iter().next().map(|error| error.message).unwrap_or_default();
            complaints.add("data_base64", message);
            Ok(Arc::from("null"))
        }
        Ok(data) => Ok(data),
    }
}

fn extensions<'a>(mut attributes: Attributes<'a>, fields: Fields<'a>, complaints: &mut Complaints) -> Attributes<'a> {
    for (name, value) in fields.0 {
        let value = match value.get() {
            "null" => continue,
            literal @ ("true" | "false") => literal.to_owned(),
            // Integer attributes are 32-bit (section 2.2 of the specification).
            literal if literal.parse::<i32>().is_ok() => literal.to_owned(),
            _ => match fields::text(value) {
                Some(text) => text.into_owned(),
                None => {
                    let name = crate::problem::cut(&name, super::NAME_BYTES_MAX);
                    complaints.add(name, "must be a text, a boolean or a 32-bit integer");
                    continue;
                }
            },
        };
        attributes.extend(&name, value, complaints);
    }
    attributes
}
